//! Files up and down, whole and in ranges; refusals.

use crate::gateway::Gateway;
use crate::grid::{Grid, noise};

#[test]
fn files_of_every_size_come_back_and_ranges_of_them() {
    let grid = Grid::new(4);
    let gateway = Gateway::new(&grid.yaml(), [3, 4, 4]);
    for size in [
        0,
        1,
        55,
        56,
        1000,
        131_073,
        (1 << 20) - 1,
        1 << 20,
        (1 << 20) + 1,
        5_000_000,
    ] {
        let bytes = noise(size, size as u64);
        let cap = gateway.put(&bytes);
        let kind = if size <= 55 { "URI:LIT:" } else { "URI:CHK:" };
        assert!(cap.starts_with(kind), "{cap}");
        assert_eq!(gateway.put(&bytes), cap, "the same contents, the same cap");
        let got = gateway.get(&format!("/uri/{cap}"));
        assert_eq!((got.status, got.body == bytes), (200, true), "{size}");
    }
    let bytes = noise(3_000_000, 1);
    let cap = gateway.put(&bytes);
    for (range, from, to) in [
        ("0-0", 0, 1),
        ("1048570-1048580", 1_048_570, 1_048_581),
        ("2999990-", 2_999_990, 3_000_000),
        ("-5", 2_999_995, 3_000_000),
        ("1000000-2500000", 1_000_000, 2_500_001),
    ] {
        let headers = format!("Range: bytes={range}\r\n");
        let got = gateway.ask_with("GET", &format!("/uri/{cap}"), &headers, b"");
        assert_eq!(got.status, 206);
        assert!(got.body == bytes[from..to], "{range}");
    }
    let beyond = gateway.ask_with(
        "GET",
        &format!("/uri/{cap}"),
        "Range: bytes=3000000-\r\n",
        b"",
    );
    assert_eq!(beyond.status, 416);
    let head = gateway.ask("HEAD", &format!("/file/{cap}/@@named=/a.jpg"), b"");
    let text = head.head.to_ascii_lowercase();
    assert!(
        text.contains("content-length: 3000000") && text.contains("image/jpeg"),
        "{text}"
    );
    assert!(head.body.is_empty());
    // Each share lies once.
    let counts: Vec<usize> = grid.servers.iter().map(|s| s.shares().len()).collect();
    assert_eq!(counts.iter().min(), counts.iter().max());
}

#[test]
fn mutable_files_keep_their_cap() {
    let grid = Grid::new(3);
    let gateway = Gateway::new(&grid.yaml(), [1, 3, 3]);
    let cap = gateway.ask("PUT", "/uri?format=SDMF", b"one").ok();
    let address = format!("/uri/{cap}");
    assert_eq!(gateway.get(&address).text(), "one");
    assert_eq!(gateway.ask("PUT", &address, b"two, longer").ok(), cap);
    assert_eq!(gateway.get(&address).text(), "two, longer");
    gateway
        .ask("PUT", &format!("{address}?offset=5"), b"and more")
        .ok();
    assert_eq!(gateway.get(&address).text(), "two, and more");
    let weaker = gateway.get(&format!("{address}?t=readonly-uri")).ok();
    assert!(weaker.starts_with("URI:SSK-RO:"));
    assert_eq!(
        gateway.get(&format!("/uri/{weaker}")).text(),
        "two, and more"
    );
    assert_eq!(
        gateway.ask("PUT", &format!("/uri/{weaker}"), b"no").status,
        403
    );
    let about = gateway.get(&format!("{address}?t=json")).json();
    assert_eq!(
        (&about[0], &about[1]["size"]),
        (&"filenode".into(), &13.into())
    );
}

#[test]
fn what_makes_no_sense_is_refused_in_one_line() {
    let grid = Grid::new(1);
    let gateway = Gateway::new(&grid.yaml(), [1, 1, 1]);
    let cap = gateway.put(&noise(100, 3));
    // One character of the key, of the hash, of the numbers.
    let mutant = |at: usize| -> String {
        let other = if cap.as_bytes()[at] == b'a' { 'b' } else { 'a' };
        cap.char_indices()
            .map(|(i, c)| if i == at { other } else { c })
            .collect()
    };
    for (path, status) in [
        (format!("/uri/{}", mutant(10)), 410),
        (format!("/uri/{}", mutant(40)), 410),
        (format!("/uri/{}", cap.replace(":1:1:", ":2:1:")), 400),
        (format!("/uri/{}", cap.replace(":1:1:100", ":1:1:101")), 410),
        (format!("/uri/{cap}/child"), 400),
        ("/uri/URI:CHK:x".into(), 400),
        ("/uri//x".into(), 400),
        ("/uri/%ff".into(), 400),
        ("/elsewhere".into(), 404),
        (format!("/uri/{cap}?t=nonsense"), 400),
    ] {
        let got = gateway.get(&path);
        assert_eq!(got.status, status, "{path}: {}", got.text());
        assert!(
            !got.text().is_empty() && !got.text().contains('\n'),
            "{path}"
        );
    }
    // From pages of others.
    for headers in [
        "Origin: http://evil.example\r\n",
        "Host: evil.example\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
    ] {
        let got = gateway.ask_with("PUT", "/uri", headers, b"x");
        assert_eq!(got.status, 403, "{headers}");
    }
}
