//! With the official program, where `GUIFI_TAHOE` names it: its servers beside ours in one grid,
//! its client beside our gateway.

use std::env;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use data_encoding::BASE64URL_NOPAD;
use openssl::x509::X509;
use sha2::{Digest as _, Sha256};

use crate::gateway::{Gateway, exchange};
use crate::grid::{Grid, eventually, free_port, noise};

struct Node {
    dir: tempfile::TempDir,
    port: u16,
    child: Child,
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> Option<PathBuf> {
    let named = env::var_os("GUIFI_TAHOE").map(PathBuf::from);
    if named.is_none() {
        eprintln!("skipped: GUIFI_TAHOE names no official program");
    }
    named
}

fn run(tahoe: &Path, node: &Path, words: &[&str]) -> String {
    let done = Command::new(tahoe)
        .arg("-d")
        .arg(node)
        .args(words)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(done.status.success(), "{words:?}: {done:?}");
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

impl Node {
    fn start(tahoe: &Path, make: &[&str], yaml: Option<&str>) -> Self {
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        let node = dir.path().join("node");
        let with_port: Vec<String> = make
            .iter()
            .map(|w| w.replace("PORT", &port.to_string()))
            .collect();
        let made = Command::new(tahoe)
            .args(&with_port)
            .arg(&node)
            .stdout(Stdio::null())
            .status();
        assert!(made.unwrap().success());
        if let Some(yaml) = yaml {
            fs::write(node.join("private/servers.yaml"), yaml).unwrap();
        }
        let child = Command::new(tahoe)
            .args(["run", "--allow-stdin-close"])
            .arg(&node)
            .stdin(Stdio::null())
            .stdout(File::create(dir.path().join("log")).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = Self { dir, port, child };
        let address = ("127.0.0.1", port);
        eventually("an official node listens", || {
            TcpStream::connect(address).ok()
        });
        started
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("node")
    }

    fn entry(&self, number: usize) -> String {
        let private = self.path().join("private");
        let furl = eventually("a FURL", || {
            fs::read_to_string(private.join("storage.furl")).ok()
        });
        let pem = fs::read(private.join("node.pem")).unwrap();
        let begin = b"-----BEGIN CERTIFICATE";
        let place = pem.windows(begin.len()).position(|w| w == begin).unwrap();
        let key = X509::from_pem(&pem[place..]).unwrap().public_key().unwrap();
        let hash = BASE64URL_NOPAD.encode(&Sha256::digest(key.public_key_to_der().unwrap()));
        let (furl, port) = (furl.trim(), self.port);
        let swissnum = furl.rsplit('/').next().unwrap();
        let public = fs::read_to_string(self.path().join("node.pubkey")).unwrap();
        let id = public
            .lines()
            .find_map(|line| line.strip_prefix("pub-"))
            .unwrap();
        format!(
            "  {id}:\n    ann:\n      nickname: official-{number}\n      anonymous-storage-FURL: {furl}\n      \
             anonymous-storage-NURLs:\n        - pb://{hash}@127.0.0.1:{port}/{swissnum}#v=1\n"
        )
    }
}

#[test]
fn each_reads_checks_and_changes_what_the_other_wrote() {
    let Some(tahoe) = program() else { return };
    let ours = Grid::new(2);
    let make_server = [
        "create-node",
        "--port=tcp:PORT:interface=127.0.0.1",
        "--location=tcp:127.0.0.1:PORT",
        "--webport=none",
    ];
    let official: Vec<Node> = (0..2)
        .map(|_| Node::start(&tahoe, &make_server, None))
        .collect();
    let entries: String = official
        .iter()
        .enumerate()
        .map(|(n, node)| node.entry(n))
        .collect();
    let yaml = ours.yaml() + &entries;
    let make_client = [
        "create-client",
        "--webport=tcp:PORT:interface=127.0.0.1",
        "--shares-needed=2",
        "--shares-happy=4",
        "--shares-total=4",
    ];
    let client = Node::start(&tahoe, &make_client, Some(&yaml));
    let gateway = Gateway::new(&yaml, [2, 4, 4]);
    let (us, them) = (gateway.address(), client.address());
    let ask = |at: SocketAddr, method: &str, path: &str, body: &[u8]| {
        exchange(at, method, path, "", body)
    };
    eventually("the official client knows four servers", || {
        let text = ask(them, "GET", "/?t=json", b"").text();
        (text.matches("\"connected\"").count() == 4).then_some(())
    });
    for size in [0_usize, 55, 56, 1 << 20, (10 << 20) + 7] {
        for (writer, reader) in [(us, them), (them, us)] {
            let bytes = noise(size, size as u64 + u64::from(writer.port()));
            let cap = ask(writer, "PUT", "/uri", &bytes).ok();
            let back = ask(reader, "GET", &format!("/uri/{cap}"), b"");
            assert!(
                back.status == 200 && back.body == bytes,
                "{size}: {}",
                back.status
            );
            if size <= 55 {
                continue;
            }
            for at in [us, them] {
                let path = format!("/uri/{cap}?t=check&verify=true&output=JSON");
                let found = ask(at, "POST", &path, b"").json();
                assert_eq!(found["results"]["healthy"], true, "{found}");
            }
        }
    }
    for (maker, other) in [(us, them), (them, us)] {
        // One makes the directory, both write into it.
        let root = ask(maker, "POST", "/uri?t=mkdir", b"").ok();
        let at = |path: &str| format!("/uri/{root}/{path}");
        ask(maker, "PUT", &at("sub/mine"), b"mine").ok();
        ask(other, "PUT", &at("sub/theirs"), &noise(2000, 1)).ok();
        let rename = at("sub?t=rename&from_name=mine&to_name=moved");
        ask(other, "POST", &rename, b"").ok();
        assert_eq!(ask(maker, "GET", &at("sub/moved"), b"").text(), "mine");
        let listings = [us, them].map(|who| ask(who, "GET", &at("sub?t=json"), b"").json());
        assert_eq!(listings[0], listings[1]);
        for who in [us, them] {
            let path = format!("/uri/{root}?t=check&verify=true&output=JSON");
            let found = ask(who, "POST", &path, b"").json();
            assert_eq!(found["results"]["healthy"], true, "{found}");
        }
        let file = ask(maker, "PUT", "/uri?format=SDMF", b"one").ok();
        ask(other, "PUT", &format!("/uri/{file}"), b"two").ok();
        assert_eq!(
            ask(maker, "GET", &format!("/uri/{file}"), b"").text(),
            "two"
        );
    }
    // The official command line, against our gateway.
    let cli = gateway.path("cli");
    fs::create_dir_all(cli.join("private")).unwrap();
    fs::write(cli.join("node.url"), format!("http://{us}/\n")).unwrap();
    let small = gateway.path("small").display().to_string();
    fs::write(&small, noise(3000, 9)).unwrap();
    run(&tahoe, &cli, &["create-alias", "fam"]);
    run(&tahoe, &cli, &["put", &small, "fam:sub/file"]);
    run(&tahoe, &cli, &["mv", "fam:sub/file", "fam:sub/moved"]);
    assert_eq!(run(&tahoe, &cli, &["ls", "fam:sub"]), "moved");
    let said = run(&tahoe, &cli, &["deep-check", "--verify", "fam:"]);
    assert!(said.contains("0 unhealthy"), "{said}");
}
