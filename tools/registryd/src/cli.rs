//! The command lines of guifi-registryd, guifi-registry and guifi-invite.

use std::time::Duration;

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
    /// Make a member an administrator (administrators)
    Appoint {
        /// Key or box name of the member
        #[arg(value_name = "KEY|BOX")]
        owner: String,
    },
    /// End an appointment that this box has made (administrators)
    Dismiss {
        /// Key or box name of the administrator
        #[arg(value_name = "KEY|BOX")]
        owner: String,
    },
    /// Ban a key for ever (administrators)
    Ban {
        /// Key or box name
        #[arg(value_name = "KEY|BOX")]
        owner: String,
        /// Ban also the members that hang on it, instead of sponsoring them
        #[arg(long)]
        with_sponsored: bool,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Confirm whose a name is (administrators)
    ConfirmName {
        /// The name, with its zone if it has one
        #[arg(value_name = "NAME[.ZONE]")]
        name: String,
        /// Key or box name of the one that claims it; its present holder if not given
        #[arg(value_name = "KEY|BOX")]
        owner: Option<String>,
    },
    /// Decide for which of two keys a member has given up its own (administrators)
    ConfirmKey {
        /// The new key that counts
        key: String,
    },
    /// List the boxes of the community
    Members,
    /// Show the state of the registry
    Stats,
    /// Check the signature of every stored record again
    Verify,
}

/// Invite boxes into the community.
#[derive(Debug, Parser)]
#[command(name = "guifi-invite", version, args_conflicts_with_subcommands = true)]
pub struct Invite {
    /// How many boxes the invitation admits
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub uses: u32,
    /// How long it works: a number and s, m, h or d
    #[arg(long, value_name = "DURATION", default_value = "7d", value_parser = duration)]
    pub expires: Duration,
    /// Draw it as a QR code as well
    #[arg(long)]
    pub qr: bool,
    /// Print JSON instead of text
    #[arg(long, global = true)]
    pub json: bool,
    /// What else to do
    #[command(subcommand)]
    pub action: Option<InviteAction>,
}

/// What guifi-invite does besides inviting.
#[derive(Debug, Subcommand)]
pub enum InviteAction {
    /// List the invitations
    List,
    /// End an invitation; whom it has admitted stays
    Revoke {
        /// Its number or key
        #[arg(value_name = "NUMBER|KEY")]
        which: String,
    },
}

/// A time as people write it: `90s`, `30m`, `12h`, `7d`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "write a number and s, m, h or d: 12h, 7d".to_owned();
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    number
        .checked_mul(seconds)
        .map(Duration::from_secs)
        .ok_or_else(|| "that is too long".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_numbers_with_a_unit() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("7d"), Ok(Duration::from_secs(604_800)));
        for wrong in [
            "",
            "7",
            "d",
            "7ñ",
            "-1h",
            "7 d",
            "99999999999999999999d",
            "999999999999999999d",
        ] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
