//! Copies without a network: what their primaries say is told to the holder.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use guifi_core::Root;
use hickory_proto::rr::RecordType;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::super::super::file;
use super::super::super::portal::Copied;
use super::super::super::spec::{Access, Spec};
use super::super::{Holder, Order};
use super::*;
use crate::ask::{ask, data};
use crate::board::Board;

const PRIMARY: &str = "10.91.4.4:53";

fn name() -> Name {
    Name::parse("altra.example").unwrap()
}

fn primary() -> Server {
    Server {
        address: PRIMARY.parse().unwrap(),
        key: None,
    }
}

fn spec(source: Source) -> Spec {
    Spec {
        name: name(),
        views: vec![View::Internal],
        source,
        transfer: Access::default(),
        notify: Vec::new(),
    }
}

fn copied() -> Vec<Copied> {
    vec![Copied {
        name: name(),
        view: View::Internal,
        primaries: vec![primary()],
    }]
}

/// All records of the zone with this serial.
fn records(serial: u32) -> Vec<u8> {
    let text =
        format!("@ 60 SOA ns dns {serial} 60 60 600 60\n@ 60 NS ns\nns 60 A 10.0.0.{serial}\n");
    blob::write(&file::read(&text, None, &name()).unwrap())
}

/// A running holder.
struct Running {
    holder: Holder,
    board: Arc<Board>,
}

impl Running {
    fn start(root: &Root, specs: Vec<Spec>, portal: Option<u64>) -> Self {
        let board = Arc::new(Board::default());
        let (changes, _) = tokio::sync::mpsc::unbounded_channel();
        let holder = Holder::start(root, &board, changes, specs, portal).unwrap();
        Self { holder, board }
    }

    fn order(&self, order: Order) {
        self.holder.orders().send(order).unwrap();
        // An answer to the next order says that this one is done.
        let (reply, done) = oneshot::channel();
        let since = Order::Since {
            name: Name::root(),
            view: View::Internal,
            serial: 0,
            reply,
        };
        self.holder.orders().send(since).unwrap();
        done.blocking_recv().unwrap();
    }

    fn portal(&self, copies: Vec<Copied>) {
        self.order(Order::Portal {
            service: 9503,
            zones: Vec::new(),
            copies,
        });
    }

    /// Tells what the primary said; gives how the zone is followed on, if it is.
    fn tell(&self, event: Event) -> Option<Reply> {
        let zone = self.board.get().followed.get(&name()).first()?.clone();
        let (reply, answer) = oneshot::channel();
        let told = Told { zone, event, reply };
        self.holder.orders().send(Order::Copy(told)).unwrap();
        answer.blocking_recv().ok()
    }

    fn whole(&self, serial: u32) -> Option<Reply> {
        self.tell(Event::Whole(
            PRIMARY.parse().unwrap(),
            records(serial),
            false,
        ))
    }

    /// The address that is answered; none if it is asked for elsewhere.
    fn served(&self) -> Option<String> {
        let snapshot = self.board.get();
        snapshot.internal.get(&name())?;
        data(&snapshot, "ns.altra.example", RecordType::A).pop()
    }

    fn fault(&self) -> Option<String> {
        let reports = self.holder.reports();
        let reports = reports.lock().unwrap();
        reports[&(name(), View::Internal)].fault.clone()
    }
}

#[test]
fn copies_that_the_portal_names_come_stay_and_go() {
    let directory = tempfile::tempdir().unwrap();
    let root = Root::new(directory.path());
    let running = Running::start(&root, Vec::new(), Some(9503));
    running.portal(copied());
    running.tell(Event::Begun).unwrap();
    running.tell(Event::Failed("refused".into())).unwrap();
    assert_eq!(
        (running.served(), running.fault()),
        (None, None),
        "asked for elsewhere"
    );
    running.whole(1).unwrap();
    assert_eq!(running.served().unwrap(), "10.0.0.1");
    running.portal(copied());
    assert_eq!(running.served().unwrap(), "10.0.0.1");
    drop(running);
    // The portal is away: its primary is followed all the same.
    let running = Running::start(&root, Vec::new(), Some(9503));
    assert_eq!(running.served().unwrap(), "10.0.0.1");
    running.whole(2).unwrap();
    assert_eq!(running.served().unwrap(), "10.0.0.2");
    running.portal(Vec::new());
    assert_eq!((running.served(), running.whole(3)), (None, None));
    drop(running);
    let running = Running::start(&root, Vec::new(), Some(9503));
    assert_eq!(running.served(), None, "forgotten");
}

#[test]
fn another_zone_of_the_name_is_no_copy() {
    let directory = tempfile::tempdir().unwrap();
    let root = Root::new(directory.path());
    let path = root.join("/vall");
    std::fs::write(
        &path,
        "$TTL 60\n@ SOA ns dns 9 60 60 600 60\n@ NS ns\nns A 10.0.0.9\n",
    )
    .unwrap();
    let from_file = || vec![spec(Source::File("/vall".into()))];
    let copy = || vec![spec(Source::Primaries(vec![primary()]))];
    let running = Running::start(&root, from_file(), None);
    assert_eq!(running.served().unwrap(), "10.0.0.9");
    let configure = |specs| Order::Configure {
        specs,
        portal: None,
    };
    running.order(configure(copy()));
    assert_eq!(running.served(), None);
    running.whole(1).unwrap();
    assert_eq!(running.served().unwrap(), "10.0.0.1");
    // The same primary again: nothing begins anew.
    let before = running.board.get().followed.get(&name())[0].clone();
    running.order(configure(copy()));
    assert!(Arc::ptr_eq(
        &before,
        &running.board.get().followed.get(&name())[0]
    ));
    running.order(configure(from_file()));
    assert_eq!(running.served().unwrap(), "10.0.0.9");
    assert!(running.board.get().followed.get(&name()).is_empty());
    drop(running);
    let running = Running::start(&root, copy(), None);
    assert_eq!(running.served(), None);
}

#[test]
fn events_lead_to_plans() {
    let directory = tempfile::tempdir().unwrap();
    let root = Root::new(directory.path());
    let running = Running::start(&root, vec![spec(Source::Primaries(vec![primary()]))], None);
    let plan = |reply: Option<Reply>| match reply.unwrap() {
        Reply::Plan(plan) => plan,
        Reply::Misfit => unreachable!(),
    };
    let start = Instant::now();
    let begun = plan(running.tell(Event::Begun));
    assert!(begun.serial.is_none() && begun.expire.is_none());
    assert!(begun.check < start + Duration::from_secs(3));
    let failed = plan(running.tell(Event::Failed("no answer".into())));
    assert!(failed.check > start + Duration::from_secs(3));
    assert_eq!(running.fault().unwrap(), "no answer");
    let whole = plan(running.whole(5));
    assert_eq!((whole.serial, running.fault()), (Some(5), None));
    assert!(whole.check >= start + Duration::from_secs(45));
    assert!(whole.expire.unwrap() >= start + Duration::from_secs(600));
    plan(running.whole(4));
    assert_eq!(running.served().unwrap(), "10.0.0.5", "not an older one");
    let address = PRIMARY.parse().unwrap();
    let misfit = Delta {
        from: 4,
        to: 6,
        ..Delta::default()
    };
    assert_eq!(
        running.tell(Event::Changes(address, vec![misfit])),
        Some(Reply::Misfit)
    );
    plan(running.tell(Event::Whole(address, records(4), true)));
    assert_eq!(running.served().unwrap(), "10.0.0.4", "as it was told");
    let (outcome, answer) = ask(&running.board.get(), "ns.altra.example", RecordType::A);
    assert_eq!(outcome, crate::respond::Outcome::Answer);
    assert_eq!(answer.answers.len(), 1);
}
