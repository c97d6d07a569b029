//! The command lines of guifi-discoveryd, guifi-publish, guifi-unpublish and guifi-browse.

use clap::{Parser, ValueEnum};

/// Publish and find services on the link and in the community.
#[derive(Debug, Parser)]
#[command(name = "guifi-discoveryd", version)]
pub struct Cli {
    /// Check the configuration and the declared services, and exit
    #[arg(long)]
    pub check: bool,
}

/// Publish a service of this box.
#[derive(Debug, Parser)]
#[command(name = "guifi-publish", version)]
pub struct Publish {
    /// What people call it
    pub name: String,
    /// Its type, such as _http._tcp
    pub r#type: String,
    /// Its port; with --host, if not given, what that machine announces on the link
    #[arg(required_unless_present = "host")]
    pub port: Option<u16>,
    /// Details for programs, such as path=/album
    #[arg(value_name = "KEY=VALUE")]
    pub txt: Vec<String>,
    /// Show it to the whole community, not only on this link
    #[arg(long)]
    pub global: bool,
    /// The machine that it runs on, if that is not this box
    #[arg(long, value_name = "NAME|ADDRESS")]
    pub host: Option<String>,
    /// How to find out whether it answers (default: tcp; none for _udp)
    #[arg(long, value_name = "tcp|http:/PATH|none")]
    pub check: Option<String>,
    /// Print JSON instead of text
    #[arg(long)]
    pub json: bool,
}

/// Stop publishing a service of this box.
#[derive(Debug, Parser)]
#[command(name = "guifi-unpublish", version)]
pub struct Unpublish {
    /// Its name
    pub name: String,
    /// Its type; all services of that name if not given
    pub r#type: Option<String>,
    /// Print JSON instead of text
    #[arg(long)]
    pub json: bool,
}

/// Where to look for services.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Scope {
    /// On this link
    Local,
    /// What is published to the community
    Community,
    /// Both
    All,
}

impl Scope {
    /// The word for it on the bus.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Community => "community",
            Self::All => "all",
        }
    }
}

/// Find services.
#[derive(Debug, Parser)]
#[command(name = "guifi-browse", version)]
pub struct Browse {
    /// Only services of this type, such as _http._tcp
    pub r#type: Option<String>,
    /// Where to look
    #[arg(long, value_enum, default_value = "all")]
    pub scope: Scope,
    /// Only services of boxes in this zone
    #[arg(long)]
    pub zone: Option<String>,
    /// Go on and print each change as it comes
    #[arg(long)]
    pub watch: bool,
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
}
