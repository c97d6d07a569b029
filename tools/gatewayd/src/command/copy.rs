//! `guifi-store cp`: to, from and within the grid.
//!
//! Directories go up from their leaves: files first, each without a name, then a directory with
//! all its entries at once. So each directory is written once.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use futures_util::stream::{StreamExt as _, iter};
use guifi_core::terminal::{say, tame};
use guifi_core::{Error, Kind};
use hyper::Method;
use serde_json::{Value, json};

use super::Session;
use super::client::Upload;
use super::local::Target;
use super::place::Place;
use super::progress::Progress;
use super::show::{self, Node};

/// Files that are stored at once.
const AT_ONCE: usize = 6;

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

    async fn up(&self, from: &Path, to: &Place, into: bool) -> Result<(), Error> {
        let shown = from.display().to_string();
        let about =
            fs::metadata(from).map_err(|e| Error::failed(format!("cannot read {shown}: {e}")))?;
        let place = if into {
            // A path such as `..` has a name of its own.
            let whole = fs::canonicalize(from).unwrap_or_else(|_| from.to_owned());
            to.join(local_name(&whole)?)
        } else {
            to.clone()
        };
        if about.is_dir() {
            self.needs_recursive(&shown)?;
            return self.up_into(from, &place).await;
        }
        let upload = Upload::file(from, Progress::new(&shown))?;
        self.session
            .client
            .upload(&place.address(), upload)
            .await
            .map(drop)
    }

    /// A directory to a place, into the directory that is there if there is one.
    fn up_into<'b>(
        &'b self,
        from: &'b Path,
        place: &'b Place,
    ) -> LocalFuture<'b, Result<(), Error>> {
        Box::pin(async move {
            let there = show::find(self.session, place).await?;
            if there.as_ref().is_some_and(|node| !node.is_directory) {
                return Err(Error::failed(format!(
                    "cannot copy {}: a file is in the way",
                    from.display()
                )));
            }
            let (files, directories) = self.look(from)?;
            let mut children = self.store(files).await?;
            let present: BTreeMap<String, Node> = there.iter().flat_map(Node::children).collect();
            for (name, path) in directories {
                if present.contains_key(&name) {
                    self.up_into(&path, &place.join(&name)).await?;
                } else {
                    let cap = self.make(&path).await?;
                    children.insert(name, json!(["dirnode", {"rw_uri": cap}]));
                }
            }
            if there.is_none() {
                let cap = self.create(children).await?;
                let address = format!("{}?t=uri", place.address());
                let linked = self
                    .session
                    .client
                    .post(Method::PUT, &address, cap.into_bytes());
                return linked.await.map(drop);
            }
            if children.is_empty() {
                return Ok(());
            }
            let address = format!("{}?t=set_children", place.address());
            let body = json!(children).to_string().into_bytes();
            self.session
                .client
                .post(Method::POST, &address, body)
                .await
                .map(drop)
        })
    }

    /// A new directory with all that a local one has; its cap.
    fn make<'b>(&'b self, from: &'b Path) -> LocalFuture<'b, Result<String, Error>> {
        Box::pin(async move {
            let (files, directories) = self.look(from)?;
            let mut children = self.store(files).await?;
            for (name, path) in directories {
                let cap = self.make(&path).await?;
                children.insert(name, json!(["dirnode", {"rw_uri": cap}]));
            }
            self.create(children).await
        })
    }

    async fn create(&self, children: BTreeMap<String, Value>) -> Result<String, Error> {
        let body = json!(children).to_string().into_bytes();
        let address = "/uri?t=mkdir-with-children";
        self.session.client.post(Method::POST, address, body).await
    }

    /// What a local directory has: files and directories by name.
    fn look(&self, from: &Path) -> Result<(Vec<Named>, Vec<Named>), Error> {
        let failed = |e| Error::failed(format!("cannot read {}: {e}", from.display()));
        let (mut files, mut directories) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(from).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let shown = path.display();
            let name = match local_name(&path) {
                Ok(name) => name.to_owned(),
                Err(e) => {
                    self.fails(e)?;
                    continue;
                }
            };
            match (fs::symlink_metadata(&path), fs::metadata(&path)) {
                (Ok(own), Ok(_)) if own.is_dir() => directories.push((name, path)),
                (Ok(_), Ok(about)) if about.is_file() => files.push((name, path)),
                (Ok(_), Ok(_)) => {
                    self.fails(Error::failed(format!(
                        "{shown} is left out: neither file nor directory"
                    )))?;
                }
                (Err(e), _) | (_, Err(e)) => {
                    self.fails(Error::failed(format!("cannot read {shown}: {e}")))?;
                }
            }
        }
        Ok((files, directories))
    }

    /// Stores files without names; what becomes entries of a directory.
    async fn store(&self, files: Vec<Named>) -> Result<BTreeMap<String, Value>, Error> {
        let mut storing = iter(files)
            .map(|(name, path)| async move {
                let stored = async {
                    let upload = Upload::file(&path, Progress::new(&path.display().to_string()))?;
                    self.session.client.upload("/uri", upload).await
                };
                (name, stored.await)
            })
            .buffer_unordered(AT_ONCE);
        let mut children = BTreeMap::new();
        while let Some((name, stored)) = storing.next().await {
            match stored {
                Ok(cap) => {
                    children.insert(name, json!(["filenode", {"ro_uri": cap}]));
                }
                Err(e) => self.fails(e)?,
            }
        }
        Ok(children)
    }

    async fn down(&self, from: &Place, to: &Path, into: bool) -> Result<(), Error> {
        let node = show::node(self.session, from).await?;
        let path = if into {
            let name = from.name().ok_or_else(|| {
                Error::usage("a cap has no name: say which name the copy is to have")
            })?;
            to.join(safe(name)?)
        } else {
            to.to_owned()
        };
        if node.is_directory {
            self.needs_recursive(from.name().unwrap_or("this"))?;
            return self.down_into(node, &path).await;
        }
        self.fetch(from, &path).await
    }

    async fn fetch(&self, from: &Place, path: &Path) -> Result<(), Error> {
        let shown = path.display().to_string();
        let mut target = Target::new(path)?;
        let progress = Progress::new(&shown);
        let address = from.address();
        let client = &self.session.client;
        let reading = client.download(&address, target.file(), progress);
        reading
            .await
            .map_err(|e| e.context(format!("cannot copy {shown}")))?;
        target.keep()
    }

    fn down_into<'b>(&'b self, node: Node, to: &'b Path) -> LocalFuture<'b, Result<(), Error>> {
        Box::pin(async move {
            match fs::create_dir(to) {
                Err(e) if !to.is_dir() => {
                    return Err(Error::failed(format!("cannot make {}: {e}", to.display())));
                }
                _ => {}
            }
            for (name, child) in node.children() {
                let outcome = self.down_child(&name, child, to).await;
                if let Err(e) = outcome {
                    self.fails(e)?;
                }
            }
            Ok(())
        })
    }

    async fn down_child(&self, name: &str, child: Node, to: &Path) -> Result<(), Error> {
        let path = to.join(safe(name)?);
        let cap = child.cap().ok_or_else(|| {
            Error::failed(format!(
                "'{}' is left out: of a kind that is not known",
                tame(name)
            ))
        })?;
        let place = Place::of_cap(cap);
        if child.is_directory {
            let whole = show::node(self.session, &place).await?;
            return self.down_into(whole, &path).await;
        }
        self.fetch(&place, &path).await
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

type Named = (String, PathBuf);

/// A future of this thread.
type LocalFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + 'a>>;

fn local_name(path: &Path) -> Result<&str, Error> {
    path.file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(|| {
            Error::failed(format!(
                "{} is left out: its name is not UTF-8",
                path.display()
            ))
        })
}

/// A name that stays within its directory: others may have chosen it.
fn safe(name: &str) -> Result<&str, Error> {
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
        return Err(Error::failed(format!(
            "'{}' is left out: no name for a file here",
            tame(name)
        )));
    }
    Ok(name)
}
