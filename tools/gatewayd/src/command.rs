//! `guifi-store`: a client of the gateway, over its Unix socket.

mod aliases;
mod checks;
mod client;
mod copy;
mod local;
mod place;
mod progress;
mod servers;
mod show;

use std::path::{Path, PathBuf};

use guifi_core::terminal::print;
use guifi_core::{Error, Root};
use hyper::Method;
use serde_json::json;

use crate::cli::{Action, Command, Put};
use crate::status;
use aliases::Aliases;
use client::{Client, Upload};
use place::Place;
use progress::Progress;

/// What every action has.
struct Session {
    client: Client,
    aliases: Aliases,
    json: bool,
}

pub(crate) async fn run(cli: &Command, root: &Root) -> Result<(), Error> {
    let session = Session {
        client: Client::new(root),
        aliases: Aliases::of_user()?,
        json: cli.json,
    };
    match &cli.action {
        Action::Put(what) => put(&session, what).await,
        Action::Get { place, file } => get(&session, place, file.as_deref()).await,
        Action::Ls { place, caps } => show::list(&session, place, *caps).await,
        Action::Cp { recursive, paths } => copy::run(&session, paths, *recursive).await,
        Action::Mv { from, to } => rename(&session, from, to).await,
        Action::Rm { recursive, places } => remove(&session, places, *recursive).await,
        Action::Mkdir { place } => mkdir(&session, place.as_deref()).await,
        Action::Share { place } => share(&session, place).await,
        Action::Check(what) => checks::run(&session, what, false).await,
        Action::Repair(what) => checks::run(&session, what, true).await,
        Action::Status => {
            let document = session.client.json(Method::GET, "/?t=describe").await?;
            session.say(&document, || status::words(&document))
        }
        Action::Alias { action } => aliases::run(&session, action).await,
        Action::Grid { action } => servers::run(&session, action).await,
    }
}

impl Session {
    /// The place of an argument.
    fn place(&self, text: &str) -> Result<Place, Error> {
        Place::parse(text, &self.aliases)
    }

    /// Prints a result: as JSON on one line, or for people.
    fn say(
        &self,
        document: &serde_json::Value,
        text: impl FnOnce() -> String,
    ) -> Result<(), Error> {
        if self.json {
            print(&format!("{document}\n"))
        } else {
            print(&text())
        }
    }

    /// Prints a cap.
    fn say_cap(&self, cap: &str) -> Result<(), Error> {
        self.say(&json!({"cap": cap}), || format!("{cap}\n"))
    }
}

async fn put(session: &Session, what: &Put) -> Result<(), Error> {
    let query = if what.mutable { "?format=SDMF" } else { "" };
    let target = match &what.place {
        None => format!("/uri{query}"),
        Some(place) => format!("{}{query}", session.place(place)?.address()),
    };
    let file = what.file.as_deref().filter(|file| *file != Path::new("-"));
    let upload = match file {
        Some(path) => Upload::file(path, Progress::new(&path.display().to_string()))?,
        None => Upload::stdin(Progress::new("standard input")),
    };
    let cap = session.client.upload(&target, upload).await?;
    session.say_cap(&cap)
}

async fn get(session: &Session, place: &str, file: Option<&Path>) -> Result<(), Error> {
    let address = session.place(place)?.address();
    match file.filter(|file| *file != Path::new("-")) {
        None => {
            session
                .client
                .download(&address, &mut std::io::stdout().lock(), Progress::silent())
                .await
        }
        Some(path) => {
            let mut target = local::Target::new(path)?;
            let progress = Progress::new(&path.display().to_string());
            session
                .client
                .download(&address, target.file(), progress)
                .await?;
            target.keep()
        }
    }
}

async fn rename(session: &Session, from: &str, to: &str) -> Result<(), Error> {
    let (from, mut to) = (session.place(from)?, session.place(to)?);
    let (source, name) = from.parent()?;
    // Into a directory that is there, under the same name.
    if to.is_directory_like() || show::is_directory(session, &to).await? {
        to = to.join(&name);
    }
    let (target, new) = to.parent()?;
    let query = client::query(&[
        ("t", "relink"),
        ("from_name", &name),
        ("to_dir", &target.plain()),
        ("to_name", &new),
        ("replace", "only-files"),
    ]);
    let address = format!("{}?{query}", source.address());
    session.client.text(Method::POST, &address).await.map(drop)
}

async fn remove(session: &Session, places: &[String], recursive: bool) -> Result<(), Error> {
    for text in places {
        let place = session.place(text)?;
        place.parent()?;
        if !recursive && show::is_directory(session, &place).await? {
            return Err(Error::usage(format!("'{text}' is a directory"))
                .hint("with --recursive it is taken out with all that is in it"));
        }
        session
            .client
            .text(Method::DELETE, &place.address())
            .await?;
    }
    Ok(())
}

async fn mkdir(session: &Session, place: Option<&str>) -> Result<(), Error> {
    let address = match place {
        None => "/uri".to_owned(),
        Some(place) => session.place(place)?.address(),
    };
    let cap = session
        .client
        .text(Method::POST, &format!("{address}?t=mkdir"))
        .await?;
    match place {
        None => session.say_cap(&cap),
        Some(_) if session.json => session.say_cap(&cap),
        Some(_) => Ok(()),
    }
}

async fn share(session: &Session, place: &str) -> Result<(), Error> {
    let address = format!("{}?t=readonly-uri", session.place(place)?.address());
    let cap = session.client.text(Method::GET, &address).await?;
    session.say_cap(&cap)
}

/// Where the user's own files of ours are.
fn config_directory() -> Option<PathBuf> {
    let set = std::env::var_os("XDG_CONFIG_HOME").filter(|path| Path::new(path).is_absolute());
    let base = set.map(PathBuf::from).or_else(|| {
        let home = std::env::var_os("HOME").filter(|home| !home.is_empty())?;
        Some(Path::new(&home).join(".config"))
    })?;
    Some(base.join("guifi/store"))
}
