//! The command lines, types only, so that manuals and tests can read them.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Name service of a community's box.
#[derive(Debug, Parser)]
#[command(name = "guifi-dnsd", version)]
pub struct Cli {
    /// Check the configuration and exit.
    #[arg(long)]
    pub check: bool,
}

/// Look at this box's name service, and ask it.
#[derive(Debug, Parser)]
#[command(name = "guifi-dns", version)]
pub struct Command {
    /// Print JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Show addresses, registry, upstream servers and counters.
    Status,
    /// List the zones.
    Zones,
    /// List the zones that this box hosts beside the community's.
    Hosted,
    /// Look through a master file before it is used.
    Check {
        /// Name of the zone.
        zone: String,
        /// The master file.
        file: PathBuf,
    },
    /// Print a zone as a master file.
    Show {
        /// Zone of the network (vic), or a domain; the community's domain is everything.
        zone: String,
    },
    /// Ask this box's name service.
    Query {
        /// Name; spaces and dots within a label are written \032 and \. .
        name: String,
        /// Type of record.
        #[arg(default_value = "A")]
        r#type: String,
    },
    /// Forget all answers from outside.
    Flush,
}

/// Make this system use guifi-dnsd as its resolver, or undo that.
#[derive(Debug, Parser)]
#[command(name = "guifi-dnsd-resolv", version)]
pub struct Resolv {
    /// What to do.
    #[command(subcommand)]
    pub action: ResolvAction,
}

/// What to do with the system's resolver.
#[derive(Debug, Subcommand)]
pub enum ResolvAction {
    /// Use guifi-dnsd; what was there is kept.
    Up,
    /// Put back what was there.
    Down,
}
