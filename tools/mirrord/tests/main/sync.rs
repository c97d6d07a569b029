//! Synchronising: only what is signed, newer and whole comes into the tree.

use crate::repository;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;

use repository::{Place, make, package, path, serve};

fn repo(name: &str, packages: &[&str]) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    make(name, packages, dir.path());
    let url = format!("file:{}", dir.path().display());
    (dir, url)
}

fn over_http(dir: &Path) -> String {
    format!("http://{}/", serve(dir, [64, 64], repository::SOON))
}

/// A server that says the right size and ends in the middle of every package.
fn half(dir: &Path) -> String {
    let (listener, dir) = (TcpListener::bind("127.0.0.1:0").unwrap(), dir.to_owned());
    let url = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let mut request = [0; 4096];
            let length = socket.read(&mut request).unwrap();
            let text = String::from_utf8_lossy(&request[..length]).replace("%2b", "+");
            let file = text
                .split(' ')
                .nth(1)
                .unwrap()
                .trim_start_matches('/')
                .to_owned();
            let content = fs::read(dir.join(&file)).unwrap();
            let end = if file.starts_with("pool") {
                content.len() / 2
            } else {
                content.len()
            };
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
                content.len()
            );
            socket.write_all(head.as_bytes()).unwrap();
            socket.write_all(&content[..end]).unwrap();
        }
    });
    url
}

#[test]
fn a_repository_is_mirrored_and_followed() {
    let (_one, first) = repo("one", &["a", "b"]);
    let (_two, second) = repo("two", &["a", "c"]);
    let mut place = Place::new();
    assert_eq!(place.sync(&[&first]), Ok(3));
    assert_eq!(place.sync(&[&first]), Ok(0), "nothing is fetched twice");
    let content = fs::read_to_string(place.tree.top().join(path("a"))).unwrap();
    assert_eq!(content, package("a"));
    let by_hash = "dists/guifi/main/binary-amd64/by-hash";
    let count = |place: &Place, kind: &str| {
        fs::read_dir(place.tree.top().join(by_hash).join(kind))
            .unwrap()
            .count()
    };
    assert_eq!((count(&place, "SHA256"), count(&place, "SHA512")), (1, 1));

    assert_eq!(
        place.sync(&[&first, &second]),
        Ok(2),
        "the newer one, less what is there"
    );
    assert!(place.has(&path("c")));
    assert!(
        place.has(&path("b")),
        "the packages of the index before stay"
    );
    assert_eq!(count(&place, "SHA256"), 2, "and its lists, by their sums");
    assert!(place.tree.check(place.held.as_ref().unwrap()).is_empty());

    // What was held is known again after a restart.
    let held = place.tree.held(repository::LIMITS).unwrap().unwrap();
    assert_eq!(held.release, place.held.as_ref().unwrap().release);
    let left: Vec<_> = fs::read_dir(place.tree.top().join("dists"))
        .unwrap()
        .collect();
    assert_eq!(left.len(), 2, "one directory and the link to it");
}

#[test]
fn an_index_older_than_the_last_is_refused() {
    let (_one, first) = repo("one", &["a", "b"]);
    let (_two, second) = repo("two", &["a", "c"]);
    let mut place = Place::new();
    place.sync(&[&second]).unwrap();
    let reason = place.sync(&[&first]).unwrap_err();
    assert!(reason.contains("older than the one held"), "{reason}");
    assert!(place.has(&path("c")));
}

#[test]
fn a_signature_that_is_not_trusted_is_refused() {
    let (_dir, other) = repo("other", &["a"]);
    let mut place = Place::new();
    let reason = place.sync(&[&other]).unwrap_err();
    assert!(reason.contains("not of a key that is trusted"), "{reason}");

    let (dir, url) = repo("one", &["a", "b"]);
    let file = dir.path().join("dists/guifi/InRelease");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("20 Nov", "29 Nov")).unwrap();
    let reason = place.sync(&[&url]).unwrap_err();
    assert!(reason.contains("not of a key that is trusted"), "{reason}");
    // Words around what is signed count for nothing.
    fs::write(
        &file,
        format!("Suite: evil\n{text}\nDate: Sun, 29 Nov 2026 10:00:00 +0000\n"),
    )
    .unwrap();
    if place.sync(&[&url]).is_ok() {
        assert_eq!(
            place.held.unwrap().release.date.to_string(),
            "2026-11-20T10:00:00Z"
        );
    }
}

#[test]
fn what_one_source_has_damaged_comes_from_the_next() {
    let (bad, bad_url) = repo("one", &["a", "b"]);
    fs::write(bad.path().join(path("a")), package("b")).unwrap();
    let (good, _) = repo("one", &["a", "b"]);
    let mut place = Place::new();
    let reason = place.sync(&[&bad_url]).unwrap_err();
    assert!(
        reason.contains("content is not what its index says"),
        "{reason}"
    );
    assert!(
        place.held.is_none() && !place.has("dists/guifi/InRelease"),
        "half a tree is none"
    );
    place.sync(&[&bad_url, &over_http(good.path())]).unwrap();
    assert_eq!(
        fs::read_to_string(place.tree.top().join(path("a"))).unwrap(),
        package("a")
    );
}

#[test]
fn half_a_file_comes_from_the_next_source() {
    let (dir, _) = repo("one", &["a", "b"]);
    let mut place = Place::new();
    let reason = place.sync(&[&half(dir.path())]).unwrap_err();
    assert!(reason.contains(&path("a")), "{reason}");
    place
        .sync(&[&half(dir.path()), &over_http(dir.path())])
        .unwrap();
    assert!(place.tree.check(place.held.as_ref().unwrap()).is_empty());
}

#[test]
fn damage_on_the_disk_is_found_and_repaired() {
    let (_dir, url) = repo("one", &["a", "b"]);
    let mut place = Place::new();
    place.sync(&[&url]).unwrap();
    let top = place.tree.top().to_owned();
    fs::write(top.join(path("a")), package("a").to_uppercase()).unwrap();
    assert_eq!(place.sync(&[&url]), Ok(0), "the size is right");
    assert_eq!(place.tree.check(place.held.as_ref().unwrap()), [path("a")]);
    assert_eq!(place.sync(&[&url]), Ok(1));

    let list = "dists/guifi/main/binary-amd64/Packages";
    fs::write(top.join(list), "Package: evil\n").unwrap();
    assert_eq!(place.sync(&[&url]), Ok(1));
    fs::write(top.join("dists/guifi/InRelease"), "evil").unwrap();
    assert_eq!(place.sync(&[&url]), Ok(1));
    assert!(place.tree.check(place.held.as_ref().unwrap()).is_empty());
    assert!(
        fs::read_to_string(top.join(list))
            .unwrap()
            .starts_with("Package: a\n")
    );
}
