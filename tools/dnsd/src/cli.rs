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
    /// Write the configuration of the recursor and exit; with 1 if it is not wanted.
    #[arg(long, value_name = "FILE", conflicts_with = "check")]
    pub recursor: Option<PathBuf>,
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
    /// Show questions as they come, for administrators.
    Log {
        /// How long: 90s, 30m, 1h.
        #[arg(long = "for", value_name = "TIME", default_value = "60s", value_parser = duration)]
        time: u32,
        /// Only one of so many: 1/100.
        #[arg(long, value_name = "1/N", default_value = "1/1", value_parser = sample)]
        sample: u32,
        /// Only those of a client or network.
        #[arg(long, value_name = "NET", default_value = "")]
        client: String,
        /// Only those for a name and the names below it.
        #[arg(long, value_name = "SUFFIX", default_value = "")]
        name: String,
    },
    /// Show numbers since the start: questions, limits, cache, servers outside, memory.
    Stats,
    /// Forget answers from outside: all, or those for a name and the names below it.
    Flush {
        /// The name.
        name: Option<String>,
    },
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

/// A time as people write it, up to an hour, in seconds.
fn duration(text: &str) -> Result<u32, String> {
    let wrong = || "write a number and s, m or h, up to 1h: 90s, 30m".to_owned();
    let at = text.len().saturating_sub(1);
    let (number, unit) = text.split_at_checked(at).ok_or_else(wrong)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(wrong()),
    };
    let number: u32 = number.parse().map_err(|_| wrong())?;
    let time = number.checked_mul(seconds);
    time.filter(|time| (1..=3600).contains(time))
        .ok_or_else(wrong)
}

/// The share of questions to show: one of how many.
fn sample(text: &str) -> Result<u32, String> {
    let number = text.strip_prefix("1/").and_then(|n| n.parse().ok());
    let number = number.filter(|&n| n > 0);
    number.ok_or_else(|| "write 1/N: 1/100".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_shares_are_read() {
        assert_eq!((duration("90s"), duration("1h")), (Ok(90), Ok(3600)));
        for wrong in ["", "s", "0s", "90", "61m", "-1s", "4294967296s", "1ñ"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        assert_eq!((sample("1/1"), sample("1/100")), (Ok(1), Ok(100)));
        for wrong in ["", "1", "2/3", "1/0", "1/-1", "1/x"] {
            assert!(sample(wrong).is_err(), "{wrong}");
        }
    }
}
