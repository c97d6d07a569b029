//! Copies from the grid to this machine.

use std::fs;
use std::path::Path;

use guifi_core::Error;
use guifi_core::terminal::tame;

use super::{Copy, LocalFuture};
use crate::command::local::Target;
use crate::command::place::Place;
use crate::command::progress::Progress;
use crate::command::show::{self, Node};

impl Copy<'_> {
    pub(super) async fn down(&self, from: &Place, to: &Path, into: bool) -> Result<(), Error> {
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
