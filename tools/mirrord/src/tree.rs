//! The mirrored tree on the disk. Readers see the old indices or the new ones: these are made
//! beside the old ones and come in their place by one rename, as in repo/publish.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use guifi_core::Error;

use crate::disk::{by_hash, date_all, files_below, sums, sync_names, write};
use crate::packages;
use crate::release::{Listed, Release};

/// Where the tree keeps what is being fetched, beside it.
const PARTIAL: &str = "partial";

/// Files by their paths below the repository.
pub type Files = BTreeMap<String, Listed>;

/// Bounds of what is kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Packages.
    pub packages: usize,
    /// Bytes of all packages.
    pub bytes: u64,
}

/// The tree of one suite below a directory.
#[derive(Clone, Debug)]
pub struct Tree {
    top: PathBuf,
    partial: PathBuf,
    suite: String,
}

/// What the tree holds.
#[derive(Clone, Debug)]
pub struct Held {
    /// Its release.
    pub release: Release,
    /// Its packages.
    pub packages: Files,
}

impl Tree {
    /// The tree in `state`, cleaned of what a crash has left.
    ///
    /// # Errors
    /// [`guifi_core::Kind::Failed`] if the directories cannot be made.
    pub fn open(state: &Path, suite: &str) -> Result<Self, Error> {
        let tree = Self {
            top: state.join("tree"),
            partial: state.join(PARTIAL),
            suite: suite.to_owned(),
        };
        tree.prepare()
            .map_err(|e| Error::failed(format!("cannot use {}: {e}", state.display())))?;
        Ok(tree)
    }

    fn prepare(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.partial) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        for directory in [
            &self.partial,
            &self.top.join("dists"),
            &self.top.join("pool"),
        ] {
            fs::create_dir_all(directory)?;
        }
        self.sweep()
    }

    /// The directory that is served.
    #[must_use]
    pub fn top(&self) -> &Path {
        &self.top
    }

    fn suite(&self) -> PathBuf {
        self.top.join("dists").join(&self.suite)
    }

    /// A place for a file that is being fetched.
    #[must_use]
    pub fn partial(&self, name: &str) -> PathBuf {
        self.partial.join(name.replace('/', "_"))
    }

    /// What it holds; nothing before the first synchronisation.
    ///
    /// # Errors
    /// [`guifi_core::Kind::Failed`] if its own indices are damaged.
    pub fn held(&self, limits: Limits) -> Result<Option<Held>, Error> {
        let Ok(text) = fs::read_to_string(self.suite().join("Release")) else {
            return Ok(None);
        };
        let release = Release::parse(&text, &self.suite)?;
        let mut packages = Files::new();
        for path in release.package_lists() {
            let text = fs::read_to_string(self.suite().join(path))
                .map_err(|e| Error::failed(format!("cannot read {path}: {e}")))?;
            packages::add(&mut packages, &text, limits.packages, limits.bytes)?;
        }
        Ok(Some(Held { release, packages }))
    }

    /// Whether the release that is served is this one, byte by byte.
    #[must_use]
    pub fn shows(&self, inrelease: &[u8], text: &str) -> bool {
        let is = |name: &str, content: &[u8]| {
            fs::read(self.suite().join(name)).is_ok_and(|found| found == content)
        };
        is("InRelease", inrelease) && is("Release", text.as_bytes())
    }

    /// The signed release that is served.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn inrelease(&self) -> io::Result<Vec<u8>> {
        fs::read(self.suite().join("InRelease"))
    }

    /// The packages whose files are absent or have another size.
    #[must_use]
    pub fn missing(&self, packages: &Files) -> Files {
        let is_missing = |(path, listed): &(&String, &Listed)| {
            !fs::metadata(self.top.join(path)).is_ok_and(|m| m.is_file() && m.len() == listed.size)
        };
        packages
            .iter()
            .filter(is_missing)
            .map(|(p, l)| (p.clone(), l.clone()))
            .collect()
    }

    /// Puts a fetched package in its place.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn place(&self, fetched: &Path, path: &str) -> io::Result<()> {
        let target = self.top.join(path);
        if let Some(directory) = target.parent() {
            fs::create_dir_all(directory)?;
        }
        fs::rename(fetched, target)
    }

    /// Puts new indices in the place of the old ones, and removes the packages that neither of
    /// them lists. `fetched` are the files of the release by their paths below the suite.
    ///
    /// # Errors
    /// Those of the file system; the old indices are then untouched.
    pub fn swap(
        &self,
        inrelease: &[u8],
        text: &str,
        release: &Release,
        fetched: &BTreeMap<String, PathBuf>,
        keep: [&Files; 2],
    ) -> io::Result<()> {
        let old = fs::read_link(self.suite()).ok();
        let name = format!(".{}.{}", self.suite, release.date.as_second());
        // The same date again, after damage.
        let name = if old.as_deref() == Some(Path::new(&name)) {
            name + "a"
        } else {
            name
        };
        let new = self.top.join("dists").join(&name);
        match fs::remove_dir_all(&new) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        fs::create_dir_all(&new)?;
        for (path, file) in fetched {
            let target = new.join(path);
            let directory = target.parent().unwrap_or(&new).to_owned();
            fs::create_dir_all(&directory)?;
            fs::rename(file, &target)?;
            if release.by_hash {
                by_hash(&directory, &target)?;
                // The generation before stays reachable for readers that are half-way.
                if let Some(before) = old
                    .as_ref()
                    .map(|old| self.top.join("dists").join(old).join(path))
                    && before.is_file()
                {
                    by_hash(&directory, &before)?;
                }
            }
        }
        write(&new.join("Release"), text.as_bytes())?;
        write(&new.join("InRelease"), inrelease)?;
        date_all(&new, release)?;
        sync_names(&new)?;
        let link = self.top.join("dists").join(format!(".{}.link", self.suite));
        let _ = fs::remove_file(&link); // left by a crash
        std::os::unix::fs::symlink(&name, &link)?;
        fs::rename(&link, self.suite())?;
        File::open(self.top.join("dists"))?.sync_all()?;
        self.sweep()?;
        self.prune(keep)
    }

    /// Removes indices that are not in use.
    fn sweep(&self) -> io::Result<()> {
        let used = fs::read_link(self.suite()).ok();
        for entry in fs::read_dir(self.top.join("dists"))? {
            let entry = entry?;
            let name = PathBuf::from(entry.file_name());
            if entry.file_type()?.is_dir() && Some(&name) != used.as_ref() {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }

    fn prune(&self, keep: [&Files; 2]) -> io::Result<()> {
        for path in files_below(&self.top.join("pool"))? {
            let listed = path.strip_prefix(&self.top).ok().and_then(Path::to_str);
            if !listed.is_some_and(|path| keep.iter().any(|files| files.contains_key(path))) {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }

    /// Reads everything and compares it with the indices; removes packages that are damaged, so
    /// that they are fetched again, and returns the paths of all that is wrong.
    #[must_use]
    pub fn check(&self, held: &Held) -> Vec<String> {
        let suite = self.suite();
        let indices = held
            .release
            .files
            .iter()
            .map(|(path, listed)| (suite.join(path), listed));
        let packages = held
            .packages
            .iter()
            .map(|(path, listed)| (self.top.join(path), listed));
        let mut wrong = Vec::new();
        for (path, listed) in indices.chain(packages) {
            let good =
                sums(&path).is_ok_and(|(size, sum, _)| size == listed.size && sum == listed.sum);
            if !good {
                if path.starts_with(self.top.join("pool")) {
                    // Absent already, or to be fetched over it.
                    let _ = fs::remove_file(&path);
                }
                wrong.push(
                    path.strip_prefix(&self.top)
                        .unwrap_or(&path)
                        .display()
                        .to_string(),
                );
            }
        }
        wrong
    }
}
