//! The command lines of guifi-gatewayd and guifi-store.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Encrypt files and spread them over the storage servers of a grid.
#[derive(Debug, Parser)]
#[command(name = "guifi-gatewayd", version)]
pub struct Cli {
    /// Check the configuration and exit
    #[arg(long)]
    pub check: bool,
}

/// Keep files in the storage grid. A PLACE is ALIAS:PATH, or CAP with an optional /PATH.
#[derive(Debug, Parser)]
#[command(name = "guifi-store", version)]
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
    /// Store a file and print its cap
    Put(Put),
    /// Bring a file back
    Get {
        /// What to read
        place: String,
        /// Where to write it; standard output if left out or "-"
        file: Option<PathBuf>,
    },
    /// List a directory
    Ls {
        /// The directory or file
        place: String,
        /// Show caps, too: who sees them has what they give
        #[arg(long)]
        caps: bool,
    },
    /// Copy files and directories to, from or within the grid
    Cp {
        /// Copy directories with all that is in them
        #[arg(short, long)]
        recursive: bool,
        /// Local paths or places, the target last
        #[arg(required = true, num_args = 2..)]
        paths: Vec<String>,
    },
    /// Move or rename within the grid
    Mv {
        /// What to move
        from: String,
        /// Its new place
        to: String,
    },
    /// Take names out of their directories
    Rm {
        /// Take out directories, too
        #[arg(short, long)]
        recursive: bool,
        /// What to take out
        #[arg(required = true)]
        places: Vec<String>,
    },
    /// Make a directory, and those on the way to it
    Mkdir {
        /// Its place; none: one that nothing refers to, whose cap is printed
        place: Option<String>,
    },
    /// Print a cap that others can read with, and not write
    Share {
        /// What to share
        place: String,
    },
    /// Look whether all shares are there
    Check(Check),
    /// Make missing shares anew
    Repair(Check),
    /// Show the gateway, its servers and what it promises
    Status,
    /// Names for directories
    Alias {
        /// What to do with them
        #[command(subcommand)]
        action: AliasAction,
    },
    /// The servers of a foreign grid
    Grid {
        /// What to do with them
        #[command(subcommand)]
        action: GridAction,
    },
}

/// What to store.
#[derive(Debug, Args)]
pub struct Put {
    /// Make a file whose contents can be replaced
    #[arg(long)]
    pub mutable: bool,
    /// The file; "-" or none: standard input
    pub file: Option<PathBuf>,
    /// Where to link it
    pub place: Option<String>,
}

/// What to check.
#[derive(Debug, Args)]
pub struct Check {
    /// Read every byte of every share
    #[arg(long)]
    pub verify: bool,
    /// Everything that can be reached from a directory
    #[arg(short, long)]
    pub recursive: bool,
    /// Renew the leases, so that servers keep the shares
    #[arg(long)]
    pub lease: bool,
    /// What to check
    pub place: String,
}

/// What to do with aliases.
#[derive(Debug, Subcommand)]
pub enum AliasAction {
    /// List them
    List,
    /// Make a directory and a name for it
    Create {
        /// The name
        name: String,
    },
    /// Name a directory that there is
    Add {
        /// The name
        name: String,
        /// Its cap; read from standard input if left out, so that no list of processes shows it
        cap: Option<String>,
    },
    /// Forget a name; the directory stays
    Remove {
        /// The name
        name: String,
    },
}

/// What to do with the servers.
#[derive(Debug, Subcommand)]
pub enum GridAction {
    /// Print all servers as Tahoe's servers.yaml
    Export,
    /// Use the servers of a servers.yaml beside those of the community
    Import {
        /// The file; "-": standard input
        file: PathBuf,
    },
}
