//! `guifi-join`: finds out what is wanted, shows what it means, and lets the registry do it.

mod admission;
mod invited;

use std::collections::HashMap;
use std::fs;
use std::io::Read as _;
use std::time::Duration;

use futures_util::StreamExt as _;
use guifi_bus::{RegistryAdminProxy, RegistryProxy};
use guifi_core::{Error, Kind};
use serde_json::Value;
use zbus::OwnedVariant;

use crate::cli::Join;
use crate::nearby::{self, Nearby};
use crate::terminal::{ask, confirm, is_interactive, print, say, tame};

/// How long `--wait` waits.
const WAIT: Duration = Duration::from_secs(60);
/// The longest terms in bytes.
const MAX_TERMS: u64 = 3000;

/// What the registry is asked for.
#[derive(Debug, Default)]
struct Wish {
    community: String,
    create: bool,
    closed: bool,
    administrators: Vec<String>,
    domain: String,
    terms: String,
    zone: String,
    name: String,
    seeds: Vec<String>,
    invitation: String,
}

pub(crate) async fn run(cli: &Join) -> Result<(), Error> {
    let connection = guifi_bus::connect().await?;
    let failed = |e| guifi_bus::error("cannot join", e);
    let reads = RegistryProxy::new(&connection).await.map_err(failed)?;
    let admin = RegistryAdminProxy::new(&connection).await.map_err(failed)?;
    let state = describe(&reads).await?;
    let joined = state["joined"].as_bool().unwrap_or_default();
    let wish = if joined {
        again(cli, &state)
    } else {
        wish(cli, &admin).await?
    };
    let mut synced = reads
        .receive_synced()
        .await
        .map_err(|e| guifi_bus::error("cannot watch the registry", e))?;
    if !joined && !wish.create {
        say(&format!("joining as {} …", place(&wish)));
    }
    let document = admission::wait(cli, &wish, &reads, &admin).await?;
    let done: Value = serde_json::from_str(&document).unwrap_or_default();
    if cli.wait
        && !describe(&reads).await?["synced"]
            .as_bool()
            .unwrap_or_default()
    {
        say("waiting for the records of the community …");
        if tokio::time::timeout(WAIT, synced.next()).await.is_err() {
            return Err(Error::new(
                Kind::TryLater,
                "joined, but no other box has sent its records yet",
            )
            .hint("guifi-status says what is missing"));
        }
    }
    if cli.json {
        return print(&format!("{document}\n"));
    }
    let community = &done["community"];
    let name = tame(community["name"].as_str().unwrap_or_default());
    let domain = tame(community["domain"].as_str().unwrap_or_default());
    let changed = done["changed"].as_bool().unwrap_or_default();
    print(&match (joined, changed, wish.create) {
        (true, false, _) => format!("this box is a member of {name}\n"),
        (true, true, _) => format!("this box is now called {}\n", place(&wish)),
        (false, _, true) => format!(
            "founded the community {name} ({domain})\n\
             others join with: {}\n",
            if wish.closed {
                "guifi-join INVITATION, which guifi-invite prints".to_owned()
            } else {
                format!("guifi-join {name} --seed ADDRESS-OF-THIS-BOX")
            }
        ),
        (false, _, false) => format!(
            "joined the community {name} ({domain}) as {}\n",
            place(&wish)
        ),
    })
}

async fn describe(reads: &RegistryProxy<'_>) -> Result<Value, Error> {
    let document = reads
        .describe()
        .await
        .map_err(|e| guifi_bus::error("cannot ask the registry", e))?;
    serde_json::from_str(&document)
        .map_err(|e| Error::failed(format!("cannot read the registry's answer: {e}")))
}

/// A member that joins again changes at most what it is called.
fn again(cli: &Join, state: &Value) -> Wish {
    let held = |member: &str| state[member].as_str().unwrap_or_default().to_owned();
    let community = cli.community.clone().unwrap_or_default();
    Wish {
        community: if invited::is_invitation(&community) {
            String::new()
        } else {
            community
        },
        name: cli.name.clone().unwrap_or_else(|| held("wished_name")),
        zone: cli.zone.clone().unwrap_or_else(|| held("zone")),
        ..Wish::default()
    }
}

fn place(wish: &Wish) -> String {
    if wish.zone.is_empty() {
        wish.name.clone()
    } else {
        format!("{}.{}", wish.name, wish.zone)
    }
}

/// What a box that has not joined wants: from the options, the link and, on a terminal, at most
/// three questions.
async fn wish(cli: &Join, admin: &RegistryAdminProxy<'_>) -> Result<Wish, Error> {
    let mut wish = Wish {
        community: cli.community.clone().unwrap_or_default(),
        create: cli.create,
        closed: cli.closed,
        administrators: cli.admin_key.clone(),
        domain: cli.domain.clone().unwrap_or_default(),
        terms: cli
            .terms
            .as_deref()
            .map(terms)
            .transpose()?
            .unwrap_or_default(),
        zone: cli.zone.clone().unwrap_or_default(),
        name: cli.name.clone().unwrap_or_else(host_name),
        seeds: cli.seed.clone(),
        invitation: String::new(),
    };
    if invited::is_invitation(&wish.community) {
        invited::read(&mut wish, admin).await?;
    }
    if wish.create && wish.community.is_empty() {
        return Err(Error::usage("a new community needs a name").hint("guifi-join NAME --create"));
    }
    if !wish.create && wish.seeds.is_empty() {
        let bare = wish.community.is_empty();
        choose(&mut wish, bare && is_interactive())?;
        if bare && is_interactive() {
            if cli.zone.is_none() {
                wish.zone = ask("Zone that this box lives in (empty for none)", "")?;
            }
            if cli.name.is_none() {
                wish.name = ask("Name of this box", &wish.name)?;
            }
        }
    }
    if !wish.create {
        consent(cli, &mut wish, admin).await?;
    }
    Ok(wish)
}

/// Finds the community on the link.
fn choose(wish: &mut Wish, interactive: bool) -> Result<(), Error> {
    say("listening for communities on this link …");
    let heard = nearby::listen();
    let named = |n: &&Nearby| {
        wish.community.is_empty() || n.name == wish.community || n.id == wish.community
    };
    let found: Vec<&Nearby> = heard.iter().filter(named).collect();
    let list = |found: &[&Nearby]| -> String {
        found
            .iter()
            .map(|n| format!("  {}  {}\n", tame(&n.name), tame(&n.id)))
            .collect()
    };
    let chosen = match found.as_slice() {
        [] if wish.community.is_empty() => {
            return Err(Error::usage("no community is heard on this link").hint(
                "guifi-join NAME --seed ADDRESS asks a box that you know; guifi-join NAME --create founds one",
            ));
        }
        [] => {
            return Err(Error::failed(format!(
                "no community '{}' is heard on this link",
                wish.community
            ))
            .hint("--seed ADDRESS asks a box that you know; --create founds it"));
        }
        [one] if !wish.community.is_empty() => *one,
        several if interactive => {
            say("Communities on this link:");
            for (number, n) in several.iter().enumerate() {
                say(&format!(
                    "  {}  {}  ({} boxes heard)",
                    number + 1,
                    tame(&n.name),
                    n.seeds.len()
                ));
            }
            let answer = ask("Which one", "1")?;
            let number = answer.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
            *number
                .and_then(|n| several.get(n))
                .ok_or_else(|| Error::usage(format!("'{}' is not in the list", tame(&answer))))?
        }
        several if wish.community.is_empty() => {
            return Err(Error::usage(format!(
                "say which community; heard on this link:\n{}",
                list(several).trim_end()
            )));
        }
        several => {
            return Err(Error::failed(format!(
                "several communities call themselves {}:\n{}",
                wish.community,
                list(several).trim_end()
            ))
            .hint("guifi-join IDENTITY names one of them"));
        }
    };
    wish.community = chosen.id.clone();
    wish.seeds = chosen.seeds.clone();
    Ok(())
}

/// Shows what joining means and asks for consent; pins the key that was shown.
async fn consent(cli: &Join, wish: &mut Wish, admin: &RegistryAdminProxy<'_>) -> Result<(), Error> {
    let keyless = wish.seeds.iter().any(|s| !s.contains('@'));
    let invited = !wish.invitation.is_empty();
    if !cli.yes && !is_interactive() && (keyless || !invited) {
        if keyless {
            return Err(
                Error::usage("a seed without its key is trusted only with --yes")
                    .hint("--seed KEY@HOST:PORT names the key (guifi-peer key, on that box)"),
            );
        }
        return Ok(());
    }
    let mut last = None;
    for seed in &wish.seeds {
        match admin.probe(seed).await {
            Ok(document) => {
                let offer: Value = serde_json::from_str(&document).unwrap_or_default();
                let text = |pointer: &str| {
                    tame(
                        offer
                            .pointer(pointer)
                            .and_then(Value::as_str)
                            .unwrap_or_default(),
                    )
                };
                say(&format!(
                    "community  {} ({})",
                    text("/community/name"),
                    text("/community/domain")
                ));
                say(&format!("identity   {}", text("/community/id")));
                say(&format!(
                    "seed       {} with key {}",
                    tame(seed),
                    text("/key")
                ));
                let terms = text("/community/terms");
                say(&if terms.is_empty() {
                    "terms      none".to_owned()
                } else {
                    format!("terms\n{terms}\n")
                });
                if !cli.yes && is_interactive() && !confirm("Join")? {
                    return Err(Error::failed("not joined"));
                }
                if invited {
                    // All its seeds have keys; the next one may know more of it.
                    return Ok(());
                }
                let host = seed.rsplit('@').next().unwrap_or(seed);
                wish.seeds = vec![format!("{}@{host}", text("/key"))];
                return Ok(());
            }
            Err(e) => last = Some(guifi_bus::error("cannot join", e)),
        }
    }
    Err(last.unwrap_or_else(|| Error::usage("no seed")))
}

fn terms(path: &std::path::Path) -> Result<String, Error> {
    let unreadable =
        |e: &dyn std::fmt::Display| Error::usage(format!("cannot read {}: {e}", path.display()));
    let mut text = String::new();
    let file = fs::File::open(path).map_err(|e| unreadable(&e))?;
    file.take(MAX_TERMS + 1)
        .read_to_string(&mut text)
        .map_err(|e| unreadable(&e))?;
    if text.len() as u64 > MAX_TERMS {
        return Err(Error::usage(format!(
            "the terms have over {MAX_TERMS} bytes"
        )));
    }
    Ok(text.trim_end().to_owned())
}

fn host_name() -> String {
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    name.split('.').next().unwrap_or_default().to_owned()
}

fn options(wish: &Wish) -> HashMap<&'static str, OwnedVariant> {
    let texts = [
        ("community", &wish.community),
        ("domain", &wish.domain),
        ("terms", &wish.terms),
        ("zone", &wish.zone),
        ("name", &wish.name),
        ("invitation", &wish.invitation),
    ];
    let mut options: HashMap<&str, OwnedVariant> = texts
        .into_iter()
        .filter_map(|(key, text)| Some((key, zbus::Variant::from(text.clone()).try_into().ok()?)))
        .collect();
    options.insert("create", wish.create.into());
    options.insert("closed", wish.closed.into());
    let lists = [
        ("seeds", &wish.seeds),
        ("administrators", &wish.administrators),
    ];
    options.extend(
        lists.into_iter().filter_map(|(key, list)| {
            Some((key, zbus::Variant::from(list.clone()).try_into().ok()?))
        }),
    );
    options
}
