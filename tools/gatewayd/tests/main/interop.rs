//! With the official program, where `GUIFI_TAHOE` names it: its servers beside ours in one grid,
//! its client beside our gateway.

use std::env;
use std::fs::{self, File};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use data_encoding::BASE64URL_NOPAD;
use openssl::x509::X509;
use sha2::{Digest as _, Sha256};

use crate::gateway::Gateway;
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
    // The official command line, against our gateway and against its own client.
    let to_us = gateway.path("cli");
    fs::create_dir_all(to_us.join("private")).unwrap();
    fs::write(
        to_us.join("node.url"),
        format!("http://127.0.0.1:{}/\n", gateway.port),
    )
    .unwrap();
    let to_them = client.path();
    let tell = |node: &Path, words: &[&str]| run(&tahoe, node, words);
    eventually("the official client knows four servers", || {
        let mut socket = TcpStream::connect(("127.0.0.1", client.port)).unwrap();
        use std::io::{Read as _, Write as _};
        socket.write_all(b"GET /?t=json HTTP/1.0\r\n\r\n").unwrap();
        let mut text = String::new();
        socket.read_to_string(&mut text).unwrap();
        (text.matches("\"connected\"").count() == 4).then_some(())
    });
    for (number, size) in [0_usize, 55, 56, 1 << 20, (10 << 20) + 7]
        .into_iter()
        .enumerate()
    {
        let file = gateway.path(&format!("f{number}"));
        fs::write(&file, noise(size, number as u64 + 1)).unwrap();
        let name = file.display().to_string();
        for (writer, reader) in [(&to_us, &to_them), (&to_them, &to_us)] {
            let cap = tell(writer, &["put", &name]);
            let back = gateway.path("back").display().to_string();
            tell(reader, &["get", &cap, &back]);
            assert!(
                fs::read(&back).unwrap() == fs::read(&file).unwrap(),
                "{size}"
            );
            if size > 55 {
                for node in [&to_us, &to_them] {
                    let said = tell(node, &["check", "--verify", &cap]);
                    assert!(said.contains("Summary: Healthy"), "{said}");
                }
            }
        }
    }
    let small = gateway.path("f2").display().to_string();
    for (maker, other, alias) in [(&to_us, &to_them, "a"), (&to_them, &to_us, "b")] {
        tell(maker, &["create-alias", alias]);
        let aliases = fs::read_to_string(maker.join("private/aliases")).unwrap();
        let line = aliases
            .lines()
            .find(|line| line.starts_with(alias))
            .unwrap();
        let root = line.split_once(": ").unwrap().1;
        // One makes the directory, both write into it.
        tell(maker, &["mkdir", &format!("{root}/sub")]);
        tell(other, &["put", &small, &format!("{root}/sub/theirs")]);
        tell(maker, &["put", &small, &format!("{root}/sub/mine")]);
        tell(
            other,
            &[
                "mv",
                &format!("{root}/sub/mine"),
                &format!("{root}/sub/moved"),
            ],
        );
        for node in [maker, other] {
            assert_eq!(tell(node, &["ls", &format!("{root}/sub")]), "moved\ntheirs");
            let said = tell(node, &["deep-check", "--verify", root]);
            assert!(said.contains("0 unhealthy"), "{said}");
        }
    }
}
