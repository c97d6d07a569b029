//! The command lines of guifi-join, guifi-leave, guifi-status and guifi-backup.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Make this machine a box of a community.
#[derive(Debug, Parser)]
#[command(name = "guifi-join", version)]
pub struct Join {
    /// Name or identity of the community, or an invitation
    #[arg(value_name = "COMMUNITY|INVITATION")]
    pub community: Option<String>,
    /// Found the community, with this box as its administrator
    #[arg(long, conflicts_with = "seed")]
    pub create: bool,
    /// Only administrators admit to the new community, or their invitations
    #[arg(long, requires = "create")]
    pub closed: bool,
    /// Key of one more founding administrator; may be given several times
    #[arg(long, value_name = "KEY", requires = "create")]
    pub admin_key: Vec<String>,
    /// DNS domain of the new community (NAME.internal if not given)
    #[arg(long, requires = "create")]
    pub domain: Option<String>,
    /// The zone that this box lives in
    #[arg(long)]
    pub zone: Option<String>,
    /// What this box is called (the host name if not given)
    #[arg(long)]
    pub name: Option<String>,
    /// A box to ask; may be given several times
    #[arg(long, value_name = "[KEY@]HOST[:PORT]")]
    pub seed: Vec<String>,
    /// File with the terms of the new community
    #[arg(long, value_name = "FILE", requires = "create")]
    pub terms: Option<PathBuf>,
    /// Wait until an administrator has approved, if need be, and the records are here
    #[arg(long)]
    pub wait: bool,
    /// Agree to the community's terms, and trust a seed whose key is not given
    #[arg(long, short)]
    pub yes: bool,
    /// Print JSON instead of text
    #[arg(long)]
    pub json: bool,
}

/// Leave the community; the key of this box is kept.
#[derive(Debug, Parser)]
#[command(name = "guifi-leave", version)]
pub struct Leave {
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Print JSON instead of text
    #[arg(long)]
    pub json: bool,
}

/// Show the health of this box, part by part.
#[derive(Debug, Parser)]
#[command(name = "guifi-status", version)]
pub struct Status {
    /// Wait until every part is well, up to --timeout
    #[arg(long)]
    pub wait: bool,
    /// How long to wait
    #[arg(long, value_name = "SECONDS", default_value_t = 60, requires = "wait")]
    pub timeout: u64,
    /// Print JSON instead of text
    #[arg(long)]
    pub json: bool,
}

/// Keep what makes this box itself in one sealed file, and put it back.
#[derive(Debug, Parser)]
#[command(name = "guifi-backup", version)]
pub struct Backup {
    /// What to do
    #[command(subcommand)]
    pub action: BackupAction,
    /// File whose first line is the passphrase, instead of asking for it
    #[arg(long, global = true, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// Print JSON instead of text
    #[arg(long, global = true)]
    pub json: bool,
}

/// What guifi-backup does.
#[derive(Debug, Subcommand)]
pub enum BackupAction {
    /// Write key, configuration and records of this box into a file
    Create {
        /// The file, replaced if it exists
        file: PathBuf,
    },
    /// Make this machine the box of a backup
    Restore {
        /// The file
        file: PathBuf,
        /// Also if this machine is another box of a community now
        #[arg(long)]
        force: bool,
    },
    /// Show whose backup a file is, and what is in it
    List {
        /// The file
        file: PathBuf,
    },
}
