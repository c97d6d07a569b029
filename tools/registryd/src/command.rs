//! The command `guifi-registry`.

mod ban;
mod door;
pub(crate) mod table;

use std::collections::HashMap;
use std::io::{self, Write as _};

use clap::Parser as _;
use futures_util::StreamExt as _;
use guifi_bus::{RegistryAdminProxy, RegistryProxy, read_lines};
use guifi_core::{Error, Kind};
use serde_json::Value;

use crate::cli::{Action, Command};

/// Entry of the command.
///
/// # Errors
/// Each with the kind that its exit code stands for.
pub(crate) fn main() -> Result<(), Error> {
    let cli = Command::parse();
    guifi_bus::block_on(run(&cli))
}

async fn run(cli: &Command) -> Result<(), Error> {
    let connection = guifi_bus::connect().await?;
    let failed = |attempt: &'static str| move |e| guifi_bus::error(attempt, e);
    let reads = RegistryProxy::new(&connection)
        .await
        .map_err(failed("cannot ask the registry"))?;
    let admin = RegistryAdminProxy::new(&connection)
        .await
        .map_err(failed("cannot ask the registry"))?;
    match &cli.action {
        Action::List {
            kind,
            owner,
            zone,
            watch,
        } => {
            let owner = match owner {
                Some(owner) => Some(resolve(&reads, owner).await?),
                None => None,
            };
            list(
                cli,
                &reads,
                kind.as_deref(),
                owner.as_deref(),
                zone.as_deref(),
                *watch,
            )
            .await
        }
        Action::Show { owner, kind, name } => {
            let owner = resolve(&reads, owner).await?;
            let record = reads
                .get(&owner, kind, name)
                .await
                .map_err(failed("cannot show the record"))?;
            print(&table::whole(cli.json, &record)?)
        }
        Action::Put {
            kind,
            name,
            body,
            lifetime,
        } => {
            let version = admin
                .put(kind, name, body, *lifetime)
                .await
                .map_err(failed("cannot write the record"))?;
            print(&if cli.json {
                format!("{{\"version\":{version}}}\n")
            } else {
                format!("{kind}/{name} is written, version {version}\n")
            })
        }
        Action::Remove { kind, name } => {
            admin
                .remove(kind, name)
                .await
                .map_err(failed("cannot remove the record"))?;
            print(&if cli.json {
                "{\"removed\":true}\n".to_owned()
            } else {
                format!("{kind}/{name} is removed\n")
            })
        }
        Action::Pending => door::pending(cli.json, &admin).await,
        Action::Approve { who } => door::decide(cli.json, &admin, who, true).await,
        Action::Refuse { who } => door::decide(cli.json, &admin, who, false).await,
        Action::Administrators => door::administrators(cli.json, &reads).await,
        Action::Ban {
            owner,
            with_sponsored,
            yes,
        } => {
            let key = resolve(&reads, owner).await?;
            ban::ban(cli.json, &admin, &key, *with_sponsored, *yes).await
        }
        Action::Appoint { owner } => {
            let key = resolve(&reads, owner).await?;
            ban::rank(cli.json, &admin, &key, true).await
        }
        Action::Dismiss { owner } => {
            let key = resolve(&reads, owner).await?;
            ban::rank(cli.json, &admin, &key, false).await
        }
        Action::ConfirmName { name, owner } => {
            let key = match owner {
                Some(owner) => resolve(&reads, owner).await?,
                None => String::new(),
            };
            ban::confirm_name(cli.json, &admin, name, &key).await
        }
        Action::ConfirmKey { key } => ban::confirm_key(cli.json, &admin, key).await,
        Action::Members => members(cli, &reads).await,
        Action::Stats => {
            let document = reads
                .describe()
                .await
                .map_err(failed("cannot ask the registry"))?;
            print(&table::whole(cli.json, &document)?)
        }
        Action::Verify => {
            let document = admin
                .verify()
                .await
                .map_err(failed("cannot verify the records"))?;
            print(&table::whole(cli.json, &document)?)?;
            let answer: Value = serde_json::from_str(&document).unwrap_or_default();
            let bad = answer
                .get("bad")
                .and_then(Value::as_array)
                .map_or(0, Vec::len);
            if bad > 0 {
                return Err(Error::failed(format!(
                    "{bad} records are not signed by their owners"
                )));
            }
            Ok(())
        }
    }
}

/// The key of an owner given by key or by box name.
async fn resolve(reads: &RegistryProxy<'_>, owner: &str) -> Result<String, Error> {
    if owner.parse::<guifi_streams::Key>().is_ok() {
        return Ok(owner.to_ascii_lowercase());
    }
    let boxes = records(reads, &["box"], HashMap::new(), "", 0).await?.1;
    let (name, zone) = owner
        .split_once('.')
        .map_or((owner, None), |(n, z)| (n, Some(z)));
    let found: Vec<&Value> = boxes
        .iter()
        .filter(|b| text(b, "owner_name").eq_ignore_ascii_case(name))
        .filter(|b| zone.is_none_or(|z| text(b, "owner_zone").eq_ignore_ascii_case(z)))
        .collect();
    match found.as_slice() {
        [one] => Ok(text(one, "owner").to_owned()),
        [] => {
            Err(Error::failed(format!("there is no box '{owner}'")).hint("guifi-registry members"))
        }
        _ => Err(Error::failed(format!("there are several boxes '{owner}'"))
            .hint("write NAME.ZONE or the key")),
    }
}

/// The text of a member of a document.
pub(crate) fn text<'a>(record: &'a Value, member: &str) -> &'a str {
    record
        .get(member)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

type Listed = ((String, u64), Vec<Value>);

async fn records(
    reads: &RegistryProxy<'_>,
    kinds: &[&str],
    filter: HashMap<&str, &str>,
    epoch: &str,
    sequence: u64,
) -> Result<Listed, Error> {
    let (epoch, sequence, _, lines) = reads
        .list(kinds, filter, epoch, sequence)
        .await
        .map_err(|e| guifi_bus::error("cannot list the records", e))?;
    Ok(((epoch, sequence), read_lines(lines)?))
}

async fn list(
    cli: &Command,
    reads: &RegistryProxy<'_>,
    kind: Option<&str>,
    owner: Option<&str>,
    zone: Option<&str>,
    watch: bool,
) -> Result<(), Error> {
    let kinds: Vec<&str> = kind.into_iter().collect();
    let filter: HashMap<&str, &str> = [("owner", owner), ("zone", zone)]
        .into_iter()
        .filter_map(|(k, v)| Some((k, v?)))
        .collect();
    // Subscribed before the first list: nothing falls between.
    let mut changes = reads
        .receive_changed()
        .await
        .map_err(|e| guifi_bus::error("cannot watch the registry", e))?;
    let (mut at, mut found) = records(reads, &kinds, filter.clone(), "", 0).await?;
    found.sort_by_cached_key(|r| {
        ["kind", "owner_zone", "owner_name", "name"].map(|m| text(r, m).to_owned())
    });
    print(&if cli.json {
        table::lines(&found)
    } else {
        table::records(&found)
    })?;
    if !watch {
        return Ok(());
    }
    loop {
        if changes.next().await.is_none() {
            return Err(Error::new(Kind::Unavailable, "the bus is gone"));
        }
        let (next, found) = records(reads, &kinds, filter.clone(), &at.0, at.1).await?;
        at = next;
        print(&if cli.json {
            table::lines(&found)
        } else {
            table::changes(&found)
        })?;
    }
}

async fn members(cli: &Command, reads: &RegistryProxy<'_>) -> Result<(), Error> {
    let (_, mut found) = records(reads, &["box"], HashMap::new(), "", 0).await?;
    found.sort_by_cached_key(|r| ["owner_zone", "owner_name"].map(|m| text(r, m).to_owned()));
    print(&if cli.json {
        table::lines(&found)
    } else {
        table::boxes(&found)
    })
}

/// Reads a document that the daemon has sent.
pub(crate) fn read(document: &str) -> Result<Value, Error> {
    serde_json::from_str(document)
        .map_err(|e| Error::failed(format!("cannot read the answer: {e}")))
}

/// Says something beside the result.
pub(crate) fn note(text: &str) {
    // Nobody is told about a closed standard error.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Writes the result.
pub(crate) fn print(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(Error::stdout)
}
