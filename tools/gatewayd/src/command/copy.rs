//! `guifi-store cp`: to, from and within the grid.

mod down;
mod up;

use std::collections::BTreeMap;
use std::path::PathBuf;

use guifi_core::terminal::say;
use guifi_core::{Error, Kind};
use hyper::Method;
use serde_json::{Value, json};

use super::Session;
use super::place::Place;
use super::progress::Progress;
use super::show::{self, Node};

/// One end of a copy.
enum End {
    Local(PathBuf),
    Grid(Place),
}

/// Copies; what cannot be copied is said, and the rest is copied all the same.
struct Copy<'a> {
    session: &'a Session,
    recursive: bool,
    failed: std::cell::Cell<bool>,
}

pub(super) async fn run(session: &Session, paths: &[String], recursive: bool) -> Result<(), Error> {
    let Some((target, sources)) = paths.split_last() else {
        return Err(Error::usage("a source and a target are needed"));
    };
    let end = |text: &String| -> Result<End, Error> {
        Ok(if Place::is_one(text, &session.aliases) {
            End::Grid(session.place(text)?)
        } else {
            End::Local(PathBuf::from(text))
        })
    };
    let (ends, target_end): (Result<Vec<End>, Error>, End) =
        (sources.iter().map(end).collect(), end(target)?);
    let copy = Copy {
        session,
        recursive,
        failed: std::cell::Cell::new(false),
    };
    let into = copy.is_directory(&target_end, target).await?;
    if sources.len() > 1 && !into {
        return Err(Error::usage(format!("'{target}' is not a directory"))
            .hint("several sources need a directory as target"));
    }
    for source in ends? {
        match (source, &target_end) {
            (End::Local(from), End::Grid(to)) => copy.up(&from, to, into).await?,
            (End::Grid(from), End::Local(to)) => copy.down(&from, to, into).await?,
            (End::Grid(from), End::Grid(to)) => copy.within(&from, to, into).await?,
            (End::Local(_), End::Local(_)) => {
                return Err(Error::usage("neither source nor target is in the grid")
                    .hint("write ALIAS:PATH or CAP for places in the grid"));
            }
        }
    }
    if copy.failed.get() {
        return Err(Error::silent(Kind::Failed));
    }
    Ok(())
}

impl Copy<'_> {
    /// Says what failed, and goes on; a gateway that is away ends it all.
    fn fails(&self, error: Error) -> Result<(), Error> {
        if error.kind() == Kind::Unavailable {
            return Err(error);
        }
        say(&format!("guifi-store: {error}"));
        self.failed.set(true);
        Ok(())
    }

    async fn is_directory(&self, end: &End, text: &str) -> Result<bool, Error> {
        Ok(match end {
            End::Local(path) => path.is_dir() || text.ends_with('/'),
            End::Grid(place) => {
                place.is_directory_like() || show::is_directory(self.session, place).await?
            }
        })
    }

    fn needs_recursive(&self, name: &str) -> Result<(), Error> {
        if self.recursive {
            return Ok(());
        }
        Err(Error::usage(format!("'{name}' is a directory")).hint("cp --recursive copies it"))
    }

    /// Within the grid nothing is read: what never changes is linked, directories are made anew.
    async fn within(&self, from: &Place, to: &Place, into: bool) -> Result<(), Error> {
        let node = show::node(self.session, from).await?;
        let place = if into {
            let name = from.name().ok_or_else(|| {
                Error::usage("a cap has no name: say which name the copy is to have")
            })?;
            to.join(name)
        } else {
            to.clone()
        };
        if node.is_directory {
            self.needs_recursive(from.name().unwrap_or("this"))?;
        }
        let cap = self.duplicate(node).await?;
        let address = format!("{}?t=uri&replace=only-files", place.address());
        let linked = self
            .session
            .client
            .post(Method::PUT, &address, cap.into_bytes());
        linked.await.map(drop)
    }

    /// The cap of a copy.
    fn duplicate<'b>(&'b self, node: Node) -> LocalFuture<'b, Result<String, Error>> {
        Box::pin(async move {
            let cap = node.cap().unwrap_or_default().to_owned();
            if !node.is_directory {
                if node.about.get("mutable") == Some(&Value::Bool(true)) {
                    return self.duplicate_mutable(&cap).await;
                }
                return Ok(cap);
            }
            let mut children = BTreeMap::new();
            for (name, child) in node.children() {
                let kind = if child.is_directory {
                    "dirnode"
                } else {
                    "filenode"
                };
                let whole = match child.cap() {
                    Some(cap) if child.is_directory => {
                        show::node(self.session, &Place::of_cap(cap)).await?
                    }
                    _ => child,
                };
                let cap = self.duplicate(whole).await?;
                children.insert(name, json!([kind, {"rw_uri": cap}]));
            }
            self.create(children).await
        })
    }

    /// A mutable file is copied as it is now.
    async fn duplicate_mutable(&self, cap: &str) -> Result<String, Error> {
        let mut contents = Vec::new();
        let address = Place::of_cap(cap).address();
        let client = &self.session.client;
        client
            .download(&address, &mut contents, Progress::silent())
            .await?;
        client.post(Method::PUT, "/uri", contents).await
    }
}

/// A future of this thread.
type LocalFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + 'a>>;
