//! Options of the daemon.

use clap::Parser;

/// Carries authenticated streams between the boxes of a community.
#[derive(Debug, Parser)]
#[command(name = "guifi-peerd", version, about)]
pub struct Cli {
    /// Check the configuration and exit.
    #[arg(long)]
    pub check: bool,
}
