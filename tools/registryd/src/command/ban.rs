//! `guifi-registry ban`, `appoint`, `dismiss`, `confirm-name` and `confirm-key`: what
//! administrators decide about members.

use guifi_bus::RegistryAdminProxy;
use guifi_core::{Error, terminal};
use serde_json::Value;

use super::{note, print, read, table, text};

/// Members that are shown before a ban.
const SHOWN: usize = 20;

fn list(document: &Value, member: &str) -> Vec<Value> {
    document[member].as_array().cloned().unwrap_or_default()
}

/// Shows what a ban leads to, asks, and bans.
pub(super) async fn ban(
    json: bool,
    admin: &RegistryAdminProxy<'_>,
    key: &str,
    with_sponsored: bool,
    yes: bool,
) -> Result<(), Error> {
    let failed = |e| guifi_bus::error("cannot ban it", e);
    let preview = read(&admin.sponsored(key).await.map_err(failed)?)?;
    note(&announcement(&preview, with_sponsored));
    if !yes && !confirmed()? {
        return Err(Error::failed("not banned"));
    }
    let document = admin.ban(key, with_sponsored).await.map_err(failed)?;
    let done = read(&document)?;
    if json {
        return print(&format!("{document}\n"));
    }
    let (kept, banned) = (list(&done, "kept").len(), list(&done, "banned").len());
    let more = match (kept, banned) {
        (0, 0) => String::new(),
        (kept, 0) => format!("; {kept} that it had sponsored stay, sponsored by this box"),
        (_, banned) => format!("; and {banned} that it had sponsored"),
    };
    print(&if done["counts"] == true {
        format!("{key} is banned{more}\n")
    } else {
        format!(
            "{key} is of a higher rank: this counts as a vote until more than half of the founding administrators have banned it{more}\n"
        )
    })
}

fn announcement(preview: &Value, with_sponsored: bool) -> String {
    let mut said = format!("{} {}\n", text(preview, "key"), place(preview));
    if preview["administrator"] == true {
        said.push_str("it is an administrator: whom it has appointed is none any more either\n");
    }
    let members = list(preview, "members");
    if members.is_empty() {
        said.push_str("no other member hangs on it\n");
        return said;
    }
    let fate = if with_sponsored {
        "are banned with it"
    } else {
        "hang on it and stay, sponsored by this box"
    };
    said.push_str(&format!("{} other members {fate}:\n", members.len()));
    for member in members.iter().take(SHOWN) {
        said.push_str(&format!("  {} {}\n", text(member, "key"), place(member)));
    }
    if members.len() > SHOWN {
        said.push_str("  …\n");
    }
    said
}

fn place(person: &Value) -> String {
    let name = table::plain(&person["name"]);
    match text(person, "zone") {
        "" => name,
        zone => format!("{name}.{zone}"),
    }
}

/// Asks for a yes.
fn confirmed() -> Result<bool, Error> {
    if !terminal::is_interactive() {
        return Err(Error::usage("nobody is there to confirm").hint("--yes"));
    }
    terminal::confirm("A ban stands for ever. Ban it")
}

/// Appoints or dismisses an administrator.
pub(super) async fn rank(
    json: bool,
    admin: &RegistryAdminProxy<'_>,
    key: &str,
    appointed: bool,
) -> Result<(), Error> {
    let (answer, attempt, done) = if appointed {
        let answer = admin.appoint(key).await;
        (answer, "cannot appoint it", "is an administrator now")
    } else {
        let answer = admin.dismiss(key).await;
        (answer, "cannot dismiss it", "is no administrator any more")
    };
    let document = answer.map_err(|e| guifi_bus::error(attempt, e))?;
    print(&if json {
        format!("{document}\n")
    } else {
        format!("{} {done}\n", place(&read(&document)?))
    })
}

/// Confirms whose a name is; `key` is empty for its present holder.
pub(super) async fn confirm_name(
    json: bool,
    admin: &RegistryAdminProxy<'_>,
    name: &str,
    key: &str,
) -> Result<(), Error> {
    let (label, zone) = name.split_once('.').unwrap_or((name, ""));
    let document = admin
        .confirm_name(label, zone, key)
        .await
        .map_err(|e| guifi_bus::error("cannot confirm the name", e))?;
    let done = read(&document)?;
    if json {
        return print(&format!("{document}\n"));
    }
    print(&format!(
        "{} is the name of {}\n",
        place(&done),
        text(&done, "key")
    ))
}

/// Decides for which of two keys a member has given up its own.
pub(super) async fn confirm_key(
    json: bool,
    admin: &RegistryAdminProxy<'_>,
    key: &str,
) -> Result<(), Error> {
    let document = admin
        .confirm_key(key)
        .await
        .map_err(|e| guifi_bus::error("cannot confirm the key", e))?;
    let done = read(&document)?;
    if json {
        return print(&format!("{document}\n"));
    }
    print(&format!(
        "{} uses the key {} now\n",
        text(&done, "old"),
        text(&done, "key")
    ))
}
