//! Zones from files: loaded, kept, changed, and as they were when something is wrong.
#![allow(clippy::unwrap_used)]

mod updates;

use std::fs;
use std::path::Path;

use hickory_proto::rr::RecordType;

use super::super::rrset::Record;
use super::super::rrset::newer;
use super::super::spec::Source;
use super::super::{blob, file};
use super::*;
use crate::ask::data;

const FILE: &str = "/etc/guifi/zones/vall";

fn zone(serial: u32, address: &str) -> String {
    format!("$TTL 60\n@ SOA ns dns {serial} 60 60 60 60\n@ NS ns\nns A {address}\n")
}

fn spec(root: &Root) -> Vec<Spec> {
    fs::create_dir_all(root.join("/etc/guifi/zones")).unwrap();
    vec![Spec {
        name: Name::parse("vall.example").unwrap(),
        views: vec![View::Internal],
        source: Source::File(FILE.into()),
        transfer: super::super::spec::Access::default(),
        notify: Vec::new(),
    }]
}

fn write(root: &Root, text: &str) {
    fs::write(root.join(Path::new(FILE)), text).unwrap();
}

fn reports(holder: &Holder) -> Vec<Report> {
    holder.reports().lock().unwrap().values().cloned().collect()
}

/// Starts a holder, and gives what it serves and says.
fn run(root: &Root, specs: Vec<Spec>) -> (Vec<String>, Vec<Report>) {
    let board = Arc::new(Board::default());
    let (changes, _) = tokio::sync::mpsc::unbounded_channel();
    let holder = Holder::start(root, &board, changes, specs, None).unwrap();
    let snapshot = board.get();
    let served = if snapshot.internal.is_empty() {
        Vec::new()
    } else {
        data(&snapshot, "ns.vall.example", RecordType::A)
    };
    let reports = reports(&holder);
    (served, reports)
}

#[test]
fn a_zone_stays_as_it_was_while_its_file_is_wrong_or_gone() {
    let directory = tempfile::tempdir().unwrap();
    let root = Root::new(directory.path());
    let specs = spec(&root);
    let (served, reports) = run(&root, specs.clone());
    assert_eq!(served, [""; 0]);
    assert!(reports[0].fault.as_ref().unwrap().contains("cannot read"));
    write(&root, &zone(7, "10.0.0.1"));
    let (served, reports) = run(&root, specs.clone());
    assert_eq!(served, ["10.0.0.1"]);
    assert_eq!((reports[0].serial, &reports[0].fault), (Some(7), &None));
    for wrong in ["@ 60 NS ns\n", "x", &zone(8, "10.0.0"), ""] {
        write(&root, wrong);
        let (served, reports) = run(&root, specs.clone());
        assert_eq!(served, ["10.0.0.1"], "{wrong}");
        assert_eq!(reports[0].serial, Some(7));
        assert!(reports[0].fault.is_some());
    }
    fs::remove_file(root.join(Path::new(FILE))).unwrap();
    assert_eq!(run(&root, specs.clone()).0, ["10.0.0.1"]);
    // A serial that did not rise rises here; one that did is kept.
    write(&root, &zone(7, "10.0.0.2"));
    let (served, reports) = run(&root, specs.clone());
    assert_eq!(
        (served[0].as_str(), reports[0].serial),
        ("10.0.0.2", Some(8))
    );
    assert_eq!(
        run(&root, specs.clone()).1[0].serial,
        Some(8),
        "the same file again"
    );
    write(&root, &zone(2024, "10.0.0.2"));
    assert_eq!(run(&root, specs.clone()).1[0].serial, Some(2024));
    // What is hosted no more is forgotten.
    run(&root, Vec::new());
    fs::remove_file(root.join(Path::new(FILE))).unwrap();
    drop(run(&root, specs.clone()));
    let store = Store::open(&root).unwrap();
    let (_, reports) = run(&root, specs);
    assert_eq!(
        store.zones().unwrap().len(),
        usize::from(reports[0].serial.is_some())
    );
}

#[test]
fn a_zone_is_served_also_if_it_cannot_be_kept() {
    let directory = tempfile::tempdir().unwrap();
    let root = Root::new(directory.path());
    let specs = spec(&root);
    write(&root, &zone(7, "10.0.0.1"));
    // As on a disk that takes nothing: there is no place for the database.
    fs::create_dir_all(root.join("/var/lib/guifi/dnsd/zones.db")).unwrap();
    let (served, reports) = run(&root, specs);
    assert_eq!(served, ["10.0.0.1"]);
    assert_eq!(reports[0].serial, Some(7));
    let fault = reports[0].fault.as_ref().unwrap();
    assert!(fault.contains("not kept"), "{fault}");
}

#[test]
fn the_way_from_one_state_to_another_leads_there() {
    let origin = Name::parse("vall.example").unwrap();
    let make = |text: &str| Content::of(&origin, file::read(text, None, &origin).unwrap());
    let old = make(&zone(1, "10.0.0.1"));
    let new = make(&(zone(2, "10.0.0.2") + "A.b 5 TXT x\na.B 5 TXT y\n"));
    for (from, to) in [(&old, &new), (&new, &old), (&old, &old)] {
        let delta = blob::between(from, to);
        let key = |r: Record| (r.owner.lower(), r.rtype, r.ttl, r.data);
        let mut records: Vec<_> = blob::records(from).into_iter().map(key).collect();
        for gone in delta.removed.into_iter().map(key) {
            let at = records.iter().position(|record| *record == gone).unwrap();
            records.remove(at);
        }
        records.extend(delta.added.into_iter().map(key));
        let mut wanted: Vec<_> = blob::records(to).into_iter().map(key).collect();
        records.sort();
        wanted.sort();
        assert_eq!(records, wanted);
    }
    assert_eq!(blob::between(&old, &old), Delta::default());
}

/// A zone of the portal with one address.
fn defined(address: &str) -> Defined {
    let origin = Name::parse("vall.example").unwrap();
    let records = file::read(&zone(0, address), None, &origin).unwrap();
    Defined {
        name: origin,
        view: View::Internal,
        transfer: true,
        records,
    }
}

/// Has the holder take what the portal says, and waits until it has.
fn give(holder: &Holder, service: u64, zones: Vec<Defined>) {
    let order = Order::Portal {
        service,
        zones,
        copies: Vec::new(),
    };
    order_and_wait(holder, order);
}

fn configure(holder: &Holder, specs: Vec<Spec>) {
    let portal = None;
    order_and_wait(holder, Order::Configure { specs, portal });
}

fn order_and_wait(holder: &Holder, order: Order) {
    holder.orders().send(order).unwrap();
    // An answer to the next order says that this one is done.
    let (reply, done) = oneshot::channel();
    let (name, view) = (Name::root(), View::Internal);
    let order = Order::Since {
        name,
        view,
        serial: 0,
        reply,
    };
    holder.orders().send(order).unwrap();
    done.blocking_recv().unwrap();
}

#[test]
fn zones_of_the_portal_come_stay_and_go() {
    let directory = tempfile::tempdir().unwrap();
    let root = Root::new(directory.path());
    let start = |portal, specs: &[Spec]| {
        let board = Arc::new(Board::default());
        let (changes, _) = tokio::sync::mpsc::unbounded_channel();
        (
            Holder::start(&root, &board, changes, specs.to_vec(), portal).unwrap(),
            board,
        )
    };
    let served = |board: &Board| data(&board.get(), "ns.vall.example", RecordType::A);
    let serial = |holder: &Holder| reports(holder)[0].serial.unwrap();
    let (holder, board) = start(Some(9503), &[]);
    give(&holder, 1, vec![defined("10.0.0.9")]);
    assert!(board.get().internal.is_empty(), "of another service");
    give(&holder, 9503, vec![defined("10.0.0.1")]);
    assert_eq!(served(&board), ["10.0.0.1"]);
    let first = serial(&holder);
    give(&holder, 9503, vec![defined("10.0.0.1")]);
    assert_eq!(serial(&holder), first, "nothing has changed");
    give(&holder, 9503, vec![defined("10.0.0.2")]);
    assert!(newer(serial(&holder), first));
    let wrong = Defined {
        records: Vec::<Record>::new(),
        ..defined("10.0.0.3")
    };
    give(&holder, 9503, vec![wrong]);
    assert_eq!(served(&board), ["10.0.0.2"]);
    drop(holder);
    // The portal is away: what it said last is served.
    let (holder, board) = start(Some(9503), &[]);
    assert_eq!(served(&board), ["10.0.0.2"]);
    assert!(reports(&holder)[0].fault.is_none());
    let name = Name::parse("vall.example").unwrap();
    let kept = board.get().internal.get(&name).unwrap().clone();
    assert!(kept.transfer.allows([9, 9, 9, 9].into(), None));
    // What is configured here counts.
    let specs = spec(&root);
    write(&root, &zone(5, "10.0.0.5"));
    let order = Order::Configure {
        specs,
        portal: Some(9503),
    };
    holder.orders().send(order).unwrap();
    give(&holder, 9503, vec![defined("10.0.0.6")]);
    assert_eq!(served(&board), ["10.0.0.5"]);
    let order = Order::Configure {
        specs: Vec::new(),
        portal: Some(9503),
    };
    holder.orders().send(order).unwrap();
    give(&holder, 9503, vec![defined("10.0.0.6")]);
    assert_eq!(served(&board), ["10.0.0.6"]);
    // One zone for everybody is also what the outside sees.
    let mut specs = spec(&root);
    specs[0].views = vec![View::Internal, View::External];
    let order = Order::Configure {
        specs,
        portal: Some(9503),
    };
    holder.orders().send(order).unwrap();
    let outside = Defined {
        view: View::External,
        ..defined("10.0.0.7")
    };
    give(&holder, 9503, vec![outside]);
    assert_eq!(holder.reports().lock().unwrap().len(), 1);
    let (inside, outside) = (board.get().internal.clone(), board.get().external.clone());
    assert!(Arc::ptr_eq(
        inside.get(&name).unwrap(),
        outside.get(&name).unwrap()
    ));
    let order = Order::Configure {
        specs: Vec::new(),
        portal: Some(9503),
    };
    holder.orders().send(order).unwrap();
    give(&holder, 9503, Vec::new());
    assert!(board.get().internal.is_empty());
    drop(holder);
    let (_, board) = start(Some(9503), &[]);
    assert!(board.get().internal.is_empty());
}
