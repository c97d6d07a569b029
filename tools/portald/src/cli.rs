//! The command lines of guifi-portald and guifi-portal.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Keep the data of guifi.net's portal on this box.
#[derive(Debug, Parser)]
#[command(name = "guifi-portald", version)]
pub struct Cli {
    /// Check the configuration and exit
    #[arg(long)]
    pub check: bool,
}

/// Look at zones, nodes and services as guifi.net's portal knows them.
#[derive(Debug, Parser)]
#[command(name = "guifi-portal", version)]
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
    /// Show what is kept, how old it is, and what went wrong
    Status,
    /// Fetch now: all that is configured, a kind such as cnml, or one such as cnml/900
    Fetch {
        /// cnml, proxies, federation, domains or addresses, perhaps with /ID
        #[arg(default_value = "")]
        what: String,
        /// Take it even if it has become empty
        #[arg(long)]
        confirm: bool,
    },
    /// Show the zones as a tree
    Zones,
    /// Show one node
    Node {
        /// Number, name or IPv4 address
        which: String,
    },
    /// Say in which zone an address is
    ZoneOf {
        /// IPv4 address
        address: String,
    },
    /// List services
    Services {
        /// Kind of service, such as Proxy or DNS; all if absent
        #[arg(default_value = "")]
        kind: String,
        /// Only those in this zone and below it
        #[arg(long, value_name = "ID", default_value_t = 0)]
        zone: u64,
    },
    /// Explain what is wrong with a CNML file; works without the daemon
    Check {
        /// The file
        file: PathBuf,
    },
    /// Take data from a file, such as one from a USB stick
    Import {
        /// The file
        file: PathBuf,
        /// Take it even if it has become empty
        #[arg(long)]
        confirm: bool,
    },
}
