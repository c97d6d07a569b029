//! `guifi-portal`: what the daemon knows, for people and for scripts.

mod show;

use std::fs::File;
use std::path::Path;

use guifi_bus::{PortalAdminProxy, PortalProxy, connect, each_line};
use guifi_core::terminal::{print, tame};
use guifi_core::{Error, Kind, Root};
use serde_json::{Value, json};
use zbus::OwnedFd;

use crate::check::check;
use crate::cli::{Action, Command};
use crate::config::{FILE_BYTES, Settings};
use crate::input::Input;
use crate::keeper::summary;

pub(crate) async fn run(cli: &Command) -> Result<(), Error> {
    let json = cli.json;
    match &cli.action {
        Action::Status => {
            let document = object(
                "cannot ask guifi-portald",
                |p| async move { p.describe().await },
            );
            out(json, &document.await?, show::status)
        }
        Action::Fetch { what, confirm } => fetch(json, what, *confirm).await,
        Action::Zones => {
            let lines = lines("cannot list the zones", |p| async move { p.zones().await });
            listed(json, lines.await?, show::zones)
        }
        Action::Node { which } => {
            let node = object(
                "cannot show the node",
                |p| async move { p.node(which).await },
            );
            out(json, &node.await?, show::node)
        }
        Action::ZoneOf { address } => {
            let attempt = "cannot tell the zone";
            let zone = object(attempt, |p| async move { p.zone_of(address).await });
            out(json, &zone.await?, show::zone)
        }
        Action::Services { kind, zone } => {
            let attempt = "cannot list the services";
            let lines = lines(attempt, |p| async move { p.services(kind, *zone).await });
            listed(json, lines.await?, show::services)
        }
        Action::Check { file } => look(json, file),
        Action::Import { file, confirm } => import(json, file, *confirm).await,
    }
}

async fn object<F>(
    attempt: &str,
    call: impl FnOnce(PortalProxy<'static>) -> F,
) -> Result<Value, Error>
where
    F: Future<Output = zbus::Result<String>>,
{
    let failed = |e| guifi_bus::error(attempt, e);
    let daemon = PortalProxy::new(&connect().await?).await.map_err(failed)?;
    read(&call(daemon).await.map_err(failed)?)
}

async fn lines<F>(
    attempt: &str,
    call: impl FnOnce(PortalProxy<'static>) -> F,
) -> Result<Vec<Value>, Error>
where
    F: Future<Output = zbus::Result<OwnedFd>>,
{
    let failed = |e| guifi_bus::error(attempt, e);
    let daemon = PortalProxy::new(&connect().await?).await.map_err(failed)?;
    each_line(call(daemon).await.map_err(failed)?)?.collect()
}

async fn admin() -> Result<PortalAdminProxy<'static>, Error> {
    let failed = |e| guifi_bus::error("cannot ask guifi-portald", e);
    PortalAdminProxy::new(&connect().await?)
        .await
        .map_err(failed)
}

fn read(text: &str) -> Result<Value, Error> {
    serde_json::from_str(text)
        .map_err(|e| Error::failed(format!("cannot read the answer of guifi-portald: {e}")))
}

fn out(json: bool, document: &Value, show: impl Fn(&Value) -> String) -> Result<(), Error> {
    print(&if json {
        format!("{document}\n")
    } else {
        tame(&show(document))
    })
}

fn listed(json: bool, lines: Vec<Value>, show: impl Fn(&[Value]) -> String) -> Result<(), Error> {
    print(&if json {
        lines.iter().map(|line| format!("{line}\n")).collect()
    } else {
        tame(&show(&lines))
    })
}

async fn fetch(json: bool, what: &str, confirm: bool) -> Result<(), Error> {
    if confirm && what.is_empty() {
        return Err(Error::usage(
            "--confirm takes what may be empty, such as cnml/900",
        ));
    }
    let mark = if confirm { "!" } else { "" };
    let failed = |e| guifi_bus::error("cannot fetch", e);
    admin()
        .await?
        .fetch(&format!("{what}{mark}"))
        .await
        .map_err(failed)?;
    out(json, &json!({"queued": what}), |_| {
        "queued; guifi-portal status shows how it goes\n".to_owned()
    })
}

/// Opens a file within the bounds of the daemon, as far as its configuration can be read.
fn open(file: &Path) -> Result<File, Error> {
    File::open(file).map_err(|e| Error::failed(format!("cannot open {}: {e}", file.display())))
}

fn input(path: &Path, file: File) -> Result<Input, Error> {
    let settings = Settings::load(&Root::from_env());
    let limit = settings.map_or(FILE_BYTES, |settings| settings.limits.bytes);
    Input::new(file, limit)
        .map_err(|e| Error::failed(format!("cannot read {}: {e}", path.display())))
}

fn look(json: bool, path: &Path) -> Result<(), Error> {
    let checked = check(&input(path, open(path)?)?)
        .map_err(|e| Error::failed(format!("cannot read {}: {e}", path.display())))?;
    out(json, &checked.document(), |document| {
        show::check(document, path)
    })?;
    match checked.fatal {
        None => Ok(()),
        Some(_) => Err(Error::silent(Kind::Failed)),
    }
}

async fn import(json: bool, path: &Path, confirm: bool) -> Result<(), Error> {
    let file = open(path)?;
    let admin = admin().await?;
    let attempt = format!("cannot import {}", path.display());
    let failed = |e| guifi_bus::error(&attempt, e);
    if confirm {
        let copy = file
            .try_clone()
            .map_err(|e| Error::failed(format!("{attempt}: {e}")))?;
        let checked =
            check(&input(path, copy)?).map_err(|e| Error::failed(format!("{attempt}: {e}")))?;
        let (Some(kind), Some(id)) = (checked.kind, checked.id) else {
            let hint = format!("guifi-portal check {}", path.display());
            return Err(
                Error::failed(format!("{attempt}: it does not say what it is of")).hint(hint),
            );
        };
        let what = format!("{}/{id}!", kind.word());
        admin.fetch(&what).await.map_err(failed)?;
    }
    let file = OwnedFd::from(std::os::fd::OwnedFd::from(file));
    let told = admin.import(file).await.map_err(|e| refused(failed(e)))?;
    let document = read(&told)?;
    out(json, &document, |document| {
        let faults = document["faults"].as_array().into_iter().flatten();
        let faults: String = faults
            .filter_map(Value::as_str)
            .map(|fault| format!("left out: {fault}\n"))
            .collect();
        let (what, id) = (
            document["what"].as_str().unwrap_or_default(),
            &document["id"],
        );
        format!(
            "taken as {what}/{id}: {}\n{faults}",
            summary(&document["held"])
        )
    })
}

/// A file that is not sound is no wrong usage of the command.
fn refused(error: Error) -> Error {
    if error.kind() != Kind::Usage {
        return error;
    }
    let text = error.to_string();
    match text.rsplit_once(" (hint: ") {
        Some((text, hint)) => Error::failed(text).hint(hint.trim_end_matches(')')),
        None => Error::failed(text),
    }
}
