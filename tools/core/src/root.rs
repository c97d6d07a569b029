//! The root that every absolute path hangs from, so that a test is a directory.

use std::env;
use std::path::{Path, PathBuf};

/// The file system root of the system that a tool works on.
#[derive(Clone, Debug)]
pub struct Root(PathBuf);

impl Root {
    /// `/`, or the directory named by `GUIFI_ROOT` (tests only).
    pub fn from_env() -> Self {
        Self(env::var_os("GUIFI_ROOT").map_or_else(|| PathBuf::from("/"), PathBuf::from))
    }

    /// A given directory.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// `path` (with or without a leading slash) below this root.
    pub fn join(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.0.join(path.strip_prefix("/").unwrap_or(path))
    }
}
