//! The command line of guifi-storaged.

use clap::Parser;

/// Keep shares of the community's files.
#[derive(Debug, Parser)]
#[command(name = "guifi-storaged", version)]
pub struct Cli {
    /// Check the configuration and exit
    #[arg(long)]
    pub check: bool,
}
