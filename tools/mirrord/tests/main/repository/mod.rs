//! Repositories for tests: signed indices from `fixtures/`, packages made here.
#![allow(unreachable_pub)]

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use guifi_mirrord::serve::{Shop, bind};
use guifi_mirrord::source::Source;
use guifi_mirrord::sync::{Outcome, Plan, run};
use guifi_mirrord::tree::{Held, Limits, Tree};

/// Long enough for anything that should happen at all.
pub const SOON: Duration = Duration::from_secs(30);

pub const LIMITS: Limits = Limits {
    packages: 10,
    bytes: 1 << 20,
};

pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

/// The content of a package, as `fixtures/make` writes it.
pub fn package(name: &str) -> String {
    (1..=4000).map(|n| format!("{name} line {n}\n")).collect()
}

pub fn path(name: &str) -> String {
    format!("pool/guifi/{name}_1+x_all.deb")
}

/// Copies a repository to `to`, with these packages.
pub fn make(name: &str, packages: &[&str], to: &Path) {
    let index = "dists/guifi/main/binary-amd64";
    fs::create_dir_all(to.join(index)).unwrap();
    fs::create_dir_all(to.join("pool/guifi")).unwrap();
    for file in [
        "dists/guifi/InRelease".to_owned(),
        format!("{index}/Packages"),
    ] {
        fs::copy(fixture(name).join(&file), to.join(&file)).unwrap();
    }
    for name in packages {
        fs::write(to.join(path(name)), package(name)).unwrap();
    }
}

pub fn plan() -> Plan {
    Plan {
        suite: "guifi".into(),
        keyring: fixture("keyring.gpg"),
        limits: LIMITS,
        time: SOON,
    }
}

/// A place to mirror into.
pub struct Place {
    _dir: tempfile::TempDir,
    pub tree: Tree,
    pub held: Option<Held>,
}

impl Place {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::open(dir.path(), "guifi").unwrap();
        Self {
            _dir: dir,
            tree,
            held: None,
        }
    }

    /// Synchronises; the number of files fetched, or the reason.
    pub fn sync(&mut self, sources: &[&str]) -> Result<usize, String> {
        let sources = sources
            .iter()
            .map(|url| Source::parse(url).unwrap())
            .collect();
        let Outcome { result, .. } =
            block_on(run(&plan(), &self.tree, self.held.as_ref(), sources));
        let (held, _, fetched) = result.map_err(|e| e.to_string())?;
        self.held = Some(held);
        Ok(fetched)
    }

    pub fn has(&self, file: &str) -> bool {
        self.tree.top().join(file).is_file()
    }
}

pub fn block_on<T>(task: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(SOON, task).await.unwrap() })
}

/// Serves a directory until the test ends; where.
pub fn serve(top: &Path, bounds: [usize; 2], idle: Duration) -> SocketAddr {
    let shop = Shop::new(top.to_owned(), fixture("keyring.gpg"));
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap().block_on(async {
            let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            shop.serve(&listener, bounds, idle).await;
        });
    });
    told.recv_timeout(SOON).unwrap()
}

/// A port that nobody has at this moment.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// A program that is killed with the test.
pub struct Killed(pub Child);

impl Killed {
    pub fn spawn(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        // Fails only if it is dead already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
