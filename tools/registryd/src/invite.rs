//! The command `guifi-invite`.

use clap::Parser as _;
use guifi_bus::RegistryAdminProxy;
use guifi_core::Error;
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};
use serde_json::Value;

use crate::cli::{Invite, InviteAction};
use crate::command::{note, print, read, table, text};

/// Entry of the command.
///
/// # Errors
/// Each with the kind that its exit code stands for.
pub(crate) fn main() -> Result<(), Error> {
    let cli = Invite::parse();
    guifi_bus::block_on(run(&cli))
}

async fn run(cli: &Invite) -> Result<(), Error> {
    let connection = guifi_bus::connect().await?;
    let failed = |attempt: &'static str| move |e| guifi_bus::error(attempt, e);
    let admin = RegistryAdminProxy::new(&connection)
        .await
        .map_err(failed("cannot ask the registry"))?;
    match &cli.action {
        None => {
            let document = admin
                .invite(cli.uses, cli.expires.as_secs())
                .await
                .map_err(failed("cannot invite"))?;
            invited(cli, &document)
        }
        Some(InviteAction::List) => {
            let document = admin
                .invitations()
                .await
                .map_err(failed("cannot list the invitations"))?;
            let list = read(&document)?;
            let list = list.as_array().map_or(&[][..], Vec::as_slice);
            print(&if cli.json {
                table::lines(list)
            } else {
                table::invitations(list)
            })
        }
        Some(InviteAction::Revoke { which }) => {
            let document = admin
                .revoke(which)
                .await
                .map_err(failed("cannot revoke the invitation"))?;
            let done = read(&document)?;
            print(&if cli.json {
                format!("{document}\n")
            } else {
                format!(
                    "invitation {} is revoked; {} of those whom it has admitted are sponsored by this box now\n",
                    done["number"], done["kept"]
                )
            })
        }
    }
}

fn invited(cli: &Invite, document: &str) -> Result<(), Error> {
    if cli.json && !cli.qr {
        return print(&format!("{document}\n"));
    }
    let made = read(document)?;
    let invitation = text(&made, "invitation");
    if cli.json {
        note(&qr(invitation)?);
        return print(&format!("{document}\n"));
    }
    note(&format!("{}\n", meaning(&made)));
    let picture = if cli.qr {
        qr(invitation)?
    } else {
        String::new()
    };
    print(&format!("{picture}{invitation}\n"))
}

/// What the invitation is good for.
fn meaning(made: &Value) -> String {
    let times = match made["uses"].as_u64() {
        Some(1) => "once".to_owned(),
        uses => format!("{} times", uses.unwrap_or_default()),
    };
    format!(
        "invitation {}: works {times}, until {}, for whoever has it: guifi-join INVITATION",
        made["number"],
        text(made, "expires_at")
    )
}

/// A picture for a terminal: two modules a character. Capitals need fewer modules.
fn qr(invitation: &str) -> Result<String, Error> {
    let code = QrCode::with_error_correction_level(invitation.to_uppercase(), EcLevel::L)
        .map_err(|e| Error::failed(format!("cannot draw the QR code: {e}")))?;
    let picture = code
        .render::<Dense1x2>()
        .dark_color(Dense1x2::Light)
        .light_color(Dense1x2::Dark)
        .build();
    Ok(format!("{picture}\n"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_longest_invitation_fits_a_terminal() {
        // Four seeds with two addresses of IPv6 each.
        let picture = qr(&format!("guifi1{}", "a".repeat(560))).unwrap();
        let width = picture.lines().map(|l| l.chars().count()).max().unwrap();
        assert!(width <= 80, "{width}");
    }
}
