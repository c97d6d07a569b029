//! Copies from this machine to the grid.
//!
//! Directories go up from their leaves: files first, each without a name, then a directory with
//! all its entries at once. So each directory is written once.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use futures_util::stream::{StreamExt as _, iter};
use guifi_core::Error;
use hyper::Method;
use serde_json::{Value, json};

use super::{Copy, LocalFuture};
use crate::command::client::Upload;
use crate::command::place::Place;
use crate::command::progress::Progress;
use crate::command::show::{self, Node};

/// Files that are stored at once.
const AT_ONCE: usize = 6;

/// A name, and what it is of.
type Named = (String, PathBuf);

impl Copy<'_> {
    pub(super) async fn up(&self, from: &Path, to: &Place, into: bool) -> Result<(), Error> {
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

    pub(super) async fn create(&self, children: BTreeMap<String, Value>) -> Result<String, Error> {
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
}

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
