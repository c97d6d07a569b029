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
    /// Take the master file of a zone as it is now, and drop the updates since it was last taken.
    Take {
        /// Name of the zone.
        zone: String,
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
    /// Keys that others sign transfers and updates with (TSIG).
    Key {
        /// What to do with them.
        #[command(subcommand)]
        action: KeyAction,
    },
    /// Ask the primary of a zone at once whether it has changed.
    Refresh {
        /// The zone, one that this box keeps a copy of.
        zone: String,
        /// Fetch all of it, even if its serial is not newer.
        #[arg(long)]
        whole: bool,
    },
    /// Forget all answers from outside.
    Flush,
}

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum KeyAction {
    /// Make a key, and print it for those who shall use it.
    Add {
        /// Its name.
        name: String,
        /// How is signed: hmac-sha256, hmac-sha384 or hmac-sha512.
        #[arg(long, default_value = "hmac-sha256")]
        algorithm: String,
        /// File with a secret in base64 that the other side has already; - for standard input.
        #[arg(long, value_name = "FILE")]
        secret_file: Option<PathBuf>,
        /// What the key may change, several times if need be: ZONE[:NAMES[:TYPES]].
        #[arg(long, value_name = "GRANT")]
        update: Vec<String>,
        /// Zone that the key may have as a whole, several times if need be.
        #[arg(long, value_name = "ZONE")]
        transfer: Vec<String>,
    },
    /// List the keys and what they may do.
    List,
    /// Print a key with its secret, as BIND and its tools read it.
    Show {
        /// Its name.
        name: String,
    },
    /// End a key at once.
    Revoke {
        /// Its name.
        name: String,
    },
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
