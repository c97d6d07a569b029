//! The command lines of guifi-gatewayd and guifi-store.

use clap::Parser;

/// Encrypt files and spread them over the storage servers of a grid.
#[derive(Debug, Parser)]
#[command(name = "guifi-gatewayd", version)]
pub struct Cli {
    /// Check the configuration and exit
    #[arg(long)]
    pub check: bool,
}
