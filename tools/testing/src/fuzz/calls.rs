//! Garbage for the methods of a daemon on the bus.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::timeout;
use zbus::names::BusName;
use zbus::{Connection, Structure, Variant};

use super::{Chance, rounds};
use crate::bus::contract;

/// Calls under way at once; the bus daemon lets 128 of a connection wait.
const AT_ONCE: usize = 48;
/// Of them slow ones.
const SLOW: usize = 8;
/// After so many calls the daemon is looked at.
const OFTEN: u64 = 500;
/// How long any call may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// Between two looks for the daemon.
const LOOK: Duration = Duration::from_millis(20);
/// What the daemon still has to answer afterwards.
const AFTERWARDS: Duration = Duration::from_secs(60);

/// A daemon on the bus.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Its bus name.
    pub name: &'static str,
    /// Its object.
    pub path: &'static str,
    /// Its contract, as XML.
    pub interface: &'a str,
    /// Methods that would end what the others are tried on.
    pub without: &'a [&'a str],
    /// Methods that ask others, and take their time.
    pub slow: &'a [&'a str],
    /// Texts, keys of options among them, that its methods know.
    pub samples: &'a [&'a str],
}

struct Method {
    interface: String,
    name: String,
    arguments: Vec<String>,
}

/// Calls each method of the daemon with garbage, `count` calls in all; it must be the same
/// process that answers `Describe` afterwards.
///
/// # Panics
/// If the daemon died.
pub fn calls(address: &str, target: Target<'_>, count: u64) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().unwrap();
    let methods = methods(target);
    assert!(!methods.is_empty());
    let connection = runtime.block_on(connect(address));
    runtime.block_on(come(&connection, target.name));
    let owner = runtime.block_on(owner(&connection, target.name));
    let mut stream = Stream::default();
    rounds(target.name, count, |chance, input| {
        let call = Call::of(&methods, target, chance, &stream);
        // The one that kills is among these; the death is seen later.
        input.is(stream.latest.make_contiguous().join("\n").into_bytes());
        runtime.block_on(stream.call(&connection, target, call));
    });
    runtime.block_on(async {
        stream.end().await;
        let describe = connection.call_method(
            Some(target.name),
            target.path,
            Some(target.name),
            "Describe",
            &(),
        );
        let answer = timeout(AFTERWARDS, describe).await;
        let answer = answer.expect("it answers no more").unwrap();
        let text: String = answer.body().deserialize().unwrap();
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
        let after = self::owner(&connection, target.name).await;
        assert_eq!(after, owner, "it died and came back");
    });
}

async fn connect(address: &str) -> Connection {
    let builder = zbus::connection::Builder::address(address);
    builder.build().await.unwrap()
}

/// Waits until the daemon is on the bus.
async fn come(connection: &Connection, name: &'static str) {
    let bus = zbus::fdo::DBusProxy::new(connection).await.unwrap();
    let end = Instant::now() + AFTERWARDS;
    while !bus.name_has_owner(name.try_into().unwrap()).await.unwrap() {
        assert!(Instant::now() < end, "{name} is not on the bus");
        tokio::time::sleep(LOOK).await;
    }
}

async fn owner(connection: &Connection, name: &'static str) -> String {
    let bus = zbus::fdo::DBusProxy::new(connection).await.unwrap();
    let name = BusName::try_from(name).unwrap();
    bus.get_name_owner(name).await.unwrap().to_string()
}

/// Calls under way, and what the latest of them were.
#[derive(Default)]
struct Stream {
    calls: JoinSet<()>,
    slow: JoinSet<()>,
    latest: VecDeque<String>,
    made: u64,
}

impl Stream {
    async fn call(&mut self, connection: &Connection, target: Target<'_>, call: Call) {
        while self.calls.len() >= AT_ONCE - SLOW {
            self.calls.join_next().await.unwrap().unwrap();
        }
        while let Some(done) = self.slow.try_join_next() {
            done.unwrap();
        }
        self.made += 1;
        if self.made.is_multiple_of(OFTEN) {
            assert!(!connection.is_closed(), "the bus has thrown us out");
            owner(connection, target.name).await;
        }
        self.latest.push_back(format!("{call:?}"));
        if self.latest.len() > AT_ONCE {
            self.latest.pop_front();
        }
        let slow = target.slow.contains(&call.method.as_str());
        let calls = if slow {
            &mut self.slow
        } else {
            &mut self.calls
        };
        calls.spawn(call.make(connection.clone(), target.name, target.path));
    }

    async fn end(self) {
        self.calls.join_all().await;
        self.slow.join_all().await;
    }
}

/// One call.
#[derive(Debug)]
struct Call {
    interface: String,
    method: String,
    body: Option<Structure<'static>>,
}

impl Call {
    fn of(methods: &[Method], target: Target<'_>, chance: &mut Chance, stream: &Stream) -> Self {
        let is_slow = |method: &Method| target.slow.contains(&method.name.as_str());
        let mut method = chance.one(methods);
        while stream.slow.len() >= SLOW && is_slow(method) {
            method = chance.one(methods);
        }
        Self {
            interface: method.interface.clone(),
            method: method.name.clone(),
            body: body(method, chance, target.samples),
        }
    }

    /// Makes the call; a refusal is as good as an answer, if it is the daemon's.
    async fn make(self, connection: Connection, name: &'static str, path: &'static str) {
        let (to, interface, member) = (Some(name), Some(self.interface), self.method.as_str());
        let reply = async {
            match &self.body {
                Some(body) => {
                    connection
                        .call_method(to, path, interface, member, body)
                        .await
                }
                None => {
                    connection
                        .call_method(to, path, interface, member, &())
                        .await
                }
            }
        };
        let reply = timeout(PATIENCE, reply).await;
        let reply = reply.unwrap_or_else(|_| panic!("no answer to {member} {:?}", self.body));
        if let Err(e) = reply {
            let refusal = e.to_string();
            assert!(!refusal.contains("pending replies"), "{refusal}");
        }
    }
}

/// What the contract says may be called.
fn methods(target: Target<'_>) -> Vec<Method> {
    let mut found: BTreeMap<(String, String), BTreeMap<usize, String>> = BTreeMap::new();
    for line in contract(target.interface) {
        let words: Vec<&str> = line.split(' ').collect();
        let key = || (words[0].to_owned(), words[1].to_owned());
        match words[..] {
            // A method or a signal; a property has a type here.
            [_, _, "", ""] => drop(found.entry(key()).or_default()),
            [.., position, _, kind, "in"] => {
                let position = position.parse().unwrap();
                found
                    .entry(key())
                    .or_default()
                    .insert(position, kind.to_owned());
            }
            _ => {}
        }
    }
    let method = |((interface, name), arguments): (_, BTreeMap<_, _>)| Method {
        interface,
        name,
        arguments: arguments.into_values().collect(),
    };
    let signal = |name: &str| {
        target
            .interface
            .contains(&format!("<signal name=\"{name}\""))
    };
    let all = found.into_iter().map(method);
    all.filter(|m| !signal(&m.name) && !target.without.contains(&m.name.as_str()))
        .collect()
}

/// Arguments for a method: most of the types it wants.
fn body(method: &Method, chance: &mut Chance, samples: &[&str]) -> Option<Structure<'static>> {
    let mut kinds: Vec<&str> = method.arguments.iter().map(String::as_str).collect();
    if chance.below(24) == 0 {
        kinds.truncate(chance.index(kinds.len() + 1));
        kinds.push(*chance.one(&["s", "u", "as", "v", "a{sv}"]));
    }
    let mut builder = Structure::builder();
    for kind in &kinds {
        builder = builder.append_field(value(kind, chance, samples));
    }
    (!kinds.is_empty()).then(|| builder.build().unwrap())
}

fn value(kind: &str, chance: &mut Chance, samples: &[&str]) -> Variant<'static> {
    let number = chance.edge();
    let [a, b, c, d, ..] = number.to_le_bytes();
    match kind {
        "y" => a.into(),
        "b" => (a % 2 == 0).into(),
        "q" => u16::from_le_bytes([a, b]).into(),
        "u" => u32::from_le_bytes([a, b, c, d]).into(),
        "t" => number.into(),
        "as" => texts(chance, samples).into(),
        "a{ss}" => {
            let pairs = texts(chance, samples).into_iter();
            let pairs: HashMap<_, _> = pairs.map(|k| (k, text(chance, samples))).collect();
            pairs.into()
        }
        "a{sv}" => {
            let keys = texts(chance, samples).into_iter();
            let pairs: HashMap<String, Variant<'static>> =
                keys.map(|key| (key, any(chance, samples))).collect();
            pairs.into()
        }
        "v" => Variant::Variant(Box::new(any(chance, samples))),
        "s" => text(chance, samples).into(),
        "h" => Variant::Fd(file(chance, samples).into()),
        other => panic!("no garbage is known for the type {other}"),
    }
}

/// A file with a text in it, or one that never ends.
fn file(chance: &mut Chance, samples: &[&str]) -> OwnedFd {
    if chance.below(8) == 0 {
        return File::open("/dev/zero").unwrap().into();
    }
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(text(chance, samples).as_bytes()).unwrap();
    file.into()
}

fn any(chance: &mut Chance, samples: &[&str]) -> Variant<'static> {
    let kind = *chance.one(&["s", "s", "s", "b", "u", "t", "q", "y", "as", "a{ss}"]);
    value(kind, chance, samples)
}

fn texts(chance: &mut Chance, samples: &[&str]) -> Vec<String> {
    (0..chance.below(5))
        .map(|_| text(chance, samples))
        .collect()
}

/// Half of them as they are, so that some calls get far. A text on the bus has no NUL.
fn text(chance: &mut Chance, samples: &[&str]) -> String {
    if chance.below(2) == 0 {
        return (*chance.one(samples)).to_owned();
    }
    chance.text(samples).replace('\0', "")
}
