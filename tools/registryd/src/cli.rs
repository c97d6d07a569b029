//! The command lines of guifi-registryd and guifi-registry.

use clap::{Parser, Subcommand};

/// The registry of the community: keeps and replicates its signed records.
#[derive(Debug, Parser)]
#[command(name = "guifi-registryd", version)]
pub struct Cli {
    /// Check the configuration and exit
    #[arg(long)]
    pub check: bool,
}

/// Look into the community's registry, and write to it.
#[derive(Debug, Parser)]
#[command(name = "guifi-registry", version, subcommand_required = true)]
pub struct Command {
    /// Print JSON instead of text
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub action: Action,
}

/// What guifi-registry does.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// List records
    List {
        /// Only records of this kind
        kind: Option<String>,
        /// Only records of this key or box
        #[arg(long, value_name = "KEY|BOX")]
        owner: Option<String>,
        /// Only records of boxes in this zone
        #[arg(long)]
        zone: Option<String>,
        /// Go on and print each change as it comes
        #[arg(long)]
        watch: bool,
    },
    /// Show one record
    Show {
        /// Key or box name of its owner
        owner: String,
        /// Its kind
        kind: String,
        /// Its name
        name: String,
    },
    /// Write a record of this box (administrators)
    Put {
        /// Its kind
        kind: String,
        /// Its name
        name: String,
        /// Its body, a JSON object
        body: String,
        /// How long it lives unless renewed, in seconds (at most 30 days)
        #[arg(long, value_name = "SECONDS", default_value_t = 0)]
        lifetime: u32,
    },
    /// Remove a record of this box (administrators)
    Remove {
        /// Its kind
        kind: String,
        /// Its name
        name: String,
    },
    /// List who waits to be admitted (administrators)
    Pending,
    /// Admit a key, or who waits under a name (administrators)
    Approve {
        /// A key, or the name of one that waits
        #[arg(value_name = "KEY|NAME")]
        who: String,
    },
    /// Say no to one that waits (administrators)
    Refuse {
        /// Its key or name
        #[arg(value_name = "KEY|NAME")]
        who: String,
    },
    /// List the administrators, the highest rank first
    Administrators,
    /// List the boxes of the community
    Members,
    /// Show the state of the registry
    Stats,
    /// Check the signature of every stored record again
    Verify,
}
