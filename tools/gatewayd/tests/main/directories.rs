//! Directories: what clients do with them, and two gateways at once.

use std::collections::BTreeSet;
use std::thread;

use serde_json::{Value, json};

use crate::gateway::Gateway;
use crate::grid::Grid;

fn names(gateway: &Gateway, cap: &str) -> BTreeSet<String> {
    let listing = gateway.get(&format!("/uri/{cap}?t=json")).json();
    listing[1]["children"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect()
}

#[test]
fn entries_are_made_moved_and_taken_out() {
    let grid = Grid::new(3);
    let gateway = Gateway::new(&grid.yaml(), [1, 3, 3]);
    let root = gateway.ask("POST", "/uri?t=mkdir", b"").ok();
    let at = |path: &str| format!("/uri/{root}/{path}");
    // Directories on the way are made.
    assert_eq!(
        gateway.ask("PUT", &at("a/b/c.txt"), b"contents").status,
        201
    );
    assert_eq!(
        gateway.ask("PUT", &at("a/b/c.txt"), b"contents 2").status,
        200
    );
    assert_eq!(gateway.get(&at("a/b/c.txt")).text(), "contents 2");
    assert_eq!(
        gateway
            .ask("PUT", &at("a/b/c.txt?replace=false"), b"x")
            .status,
        409
    );
    assert_eq!(gateway.ask("PUT", &at("a/b/c.txt/d"), b"x").status, 400);
    assert_eq!(gateway.ask("PUT", &at("a"), b"x").status, 409);
    let file = gateway.get(&at("a/b/c.txt?t=uri")).ok();
    gateway.ask("PUT", &at("again?t=uri"), file.as_bytes()).ok();
    gateway
        .ask(
            "POST",
            &at("a/b?t=rename&from_name=c.txt&to_name=d.txt"),
            b"",
        )
        .ok();
    gateway
        .ask(
            "POST",
            &at(&format!("a/b?t=relink&from_name=d.txt&to_dir={root}/a")),
            b"",
        )
        .ok();
    assert_eq!(gateway.get(&at("a/d.txt")).text(), "contents 2");
    assert_eq!(gateway.get(&at("a/b/d.txt")).status, 404);
    let children = json!({"x": ["filenode", {"ro_uri": file, "metadata": {"mine": 1}}]});
    gateway
        .ask(
            "POST",
            &at("?t=set_children"),
            children.to_string().as_bytes(),
        )
        .ok();
    let about = gateway.get(&at("x?t=json")).json();
    assert_eq!(about[1]["metadata"]["mine"], 1);
    assert!(about[1]["metadata"]["tahoe"]["linkcrtime"].is_f64());
    gateway.ask("DELETE", &at("again"), b"").ok();
    assert_eq!(gateway.ask("DELETE", &at("again"), b"").status, 404);
    assert_eq!(names(&gateway, &root), ["a", "x"].map(str::to_owned).into());
    // Names in any Unicode, up to 255 bytes and beyond; composed and not are one.
    let long = "ñ".repeat(127);
    gateway.ask("PUT", &at("cafe%CC%81"), b"1").ok();
    gateway.ask("PUT", &at(&"%C3%B1".repeat(127)), b"2").ok();
    assert_eq!(gateway.get(&at("caf%C3%A9")).text(), "1");
    assert!(names(&gateway, &root).contains(&long));
    // Without the right to write.
    let weaker = gateway.get(&format!("/uri/{root}?t=readonly-uri")).ok();
    assert_eq!(
        gateway
            .ask("PUT", &format!("/uri/{weaker}/no"), b"x")
            .status,
        403
    );
    let listing = gateway.get(&format!("/uri/{weaker}?t=json")).json();
    assert!(
        !listing.to_string().contains("rw_uri"),
        "it gives no more than it is"
    );
}

#[test]
fn directories_that_never_change_hold_only_what_never_does() {
    let grid = Grid::new(1);
    let gateway = Gateway::new(&grid.yaml(), [1, 1, 1]);
    let children = |cap: &str| json!({"f": ["filenode", {"ro_uri": cap}]}).to_string();
    let make = "/uri?t=mkdir-immutable";
    let cap = gateway
        .ask("POST", make, children("URI:LIT:nbuqu").as_bytes())
        .ok();
    assert!(
        cap.starts_with("URI:DIR2-CHK:") || cap.starts_with("URI:DIR2-LIT:"),
        "{cap}"
    );
    assert_eq!(gateway.get(&format!("/uri/{cap}/f")).text(), "hi");
    let mutable = gateway.ask("PUT", "/uri?format=SDMF", b"x").ok();
    assert_eq!(
        gateway
            .ask("POST", make, children(&mutable).as_bytes())
            .status,
        400
    );
    assert_eq!(
        gateway
            .ask("POST", "/uri?t=mkdir-with-children", b"{")
            .status,
        400
    );
}

/// Two gateways, many writers: every entry that was acknowledged is there.
#[test]
fn two_gateways_that_change_one_directory_lose_no_entry() {
    let grid = Grid::new(3);
    let gateways = [
        Gateway::new(&grid.yaml(), [2, 3, 3]),
        Gateway::new(&grid.yaml(), [2, 3, 3]),
    ];
    let root = gateways[0].ask("POST", "/uri?t=mkdir", b"").ok();
    let writers = 2;
    let each = 6;
    let acknowledged: BTreeSet<String> = thread::scope(|scope| {
        let mut running = Vec::new();
        for (number, gateway) in gateways.iter().enumerate() {
            for writer in 0..writers {
                let root = &root;
                running.push(scope.spawn(move || {
                    let mut mine = Vec::new();
                    for entry in 0..each {
                        let name = format!("{number}-{writer}-{entry}");
                        let path = format!("/uri/{root}/{name}?t=uri");
                        let put = gateway.ask("PUT", &path, b"URI:LIT:nbuqu");
                        if put.status < 300 {
                            mine.push(name);
                        } else {
                            // A clear conflict is allowed, silence is not.
                            assert_eq!(put.status, 409, "{}", put.text());
                        }
                    }
                    mine
                }));
            }
        }
        running
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(acknowledged.len() >= each, "{acknowledged:?}");
    for gateway in &gateways {
        let there = names(gateway, &root);
        let lost: Vec<_> = acknowledged.difference(&there).collect();
        assert!(lost.is_empty(), "lost: {lost:?}");
    }
    let check = gateways[0].ask("POST", &format!("/uri/{root}?t=check&output=JSON"), b"");
    let check: Value = check.json();
    assert_eq!(check["results"]["recoverable"], true, "{check}");
}
