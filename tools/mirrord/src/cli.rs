//! The command lines of guifi-mirrord, guifi-mirror and guifi-mirrord-apt.

use clap::{Parser, Subcommand};

/// Mirror the community's package repository, and serve it.
#[derive(Debug, Parser)]
#[command(name = "guifi-mirrord", version)]
pub struct Cli {
    /// Check the configuration and exit
    #[arg(long)]
    pub check: bool,
}

/// Look at this box's mirror, at those of other boxes, and at pending updates.
#[derive(Debug, Parser)]
#[command(name = "guifi-mirror", version)]
pub struct Command {
    /// Print JSON instead of text
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub action: Action,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Show the mirror of this box, and what is pending here
    Status,
    /// Check the mirror of this box and bring it up to date
    Update,
    /// List the mirrors of the community, the nearest first
    List,
}

/// Tell APT where the nearest mirrors are, and how updates stand.
#[derive(Debug, Parser)]
#[command(name = "guifi-mirrord-apt", version)]
pub struct Apt {
    /// What to do
    #[command(subcommand)]
    pub action: AptAction,
}

/// What to do for APT.
#[derive(Debug, Subcommand)]
pub enum AptAction {
    /// Add the mirrors to APT's sources
    Up,
    /// Remove them from APT's sources
    Down,
    /// Look for mirrors and write APT's list of them
    Refresh,
    /// Print pending and failed updates, and the mirrors, as JSON
    Status,
}
