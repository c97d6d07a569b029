//! Figures of the transport, as one table: streams through two daemons beside the same streams
//! between two iroh endpoints in processes of their own, with the same settings; and what a
//! member notices while another floods. Run it by `tests/bench/transport`.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "../../tests/main/bed/mod.rs"]
#[allow(dead_code)] // the benchmark uses its part
mod bed;
mod drive;
mod flood;
mod idle;
mod measure;
mod native;

use std::env;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use bed::*;
use drive::{Figures, Phase};
use guifi_streams::{Client, Key};
use measure::{Process, median};

/// How often everything is measured; the two kinds take turns.
const ROUNDS: usize = 5;
/// The protocol of the measured streams.
const PROTOCOL: &str = "sync";

fn main() {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["serve-native"] => native::serve(),
        ["serve-peerd", socket] => drive::serve(&Client::connect(socket.as_ref()).unwrap()),
        ["drive-native", phase, key, port] => {
            let phase = Phase::named(phase);
            println!("{}", native::drive(phase, key, port.parse().unwrap()));
        }
        ["drive-peerd", phase, socket, key] => {
            let client = Client::connect(socket.as_ref()).unwrap();
            let key: Key = key.parse().unwrap();
            println!("{}", drive::drive(Phase::named(phase), &client, key));
        }
        _ => tables(&words),
    }
}

/// A child that is this program in another part; it ends when dropped.
struct Part(Child);

impl Part {
    fn start(words: &[&str]) -> (Self, String) {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let output = child.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        (Self(child), line.trim().to_owned())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Two daemons and a program that serves, or two endpoints.
struct Pair<'a> {
    to: Vec<&'a str>,
    kind: &'a str,
    lasting: Vec<Process>,
}

impl Pair<'_> {
    /// Runs a phase in a fresh program; its figures, with the work of all processes.
    fn run(&self, phase: Phase) -> Figures {
        let before: f64 = self.lasting.iter().map(Process::cpu).sum();
        let words = [&[self.kind, phase.name()], &self.to[..]].concat();
        let (_part, said) = Part::start(&words);
        let mut figures = Figures::read(&said);
        figures.cpu += self.lasting.iter().map(Process::cpu).sum::<f64>() - before;
        figures
    }
}

fn tables(words: &[&str]) {
    if words.contains(&"--idle") {
        return idle::table();
    }
    raise_own_limit();
    let (a, b) = (Box::new(), Box::new());
    let (ca, cb) = (a.client(), b.client());
    let mad = iroh::SecretKey::generate();
    let members = community(vec![
        member(ca.own_key(), vec![a.address()]),
        member(cb.own_key(), vec![b.address()]),
        member(Key(*mad.public().as_bytes()), vec![]),
    ]);
    ca.configure(&members).unwrap();
    cb.configure(&members).unwrap();
    let (sockets, key) = ([a.socket(), b.socket()], cb.own_key().to_string());
    let [sa, sb] = sockets.each_ref().map(|s| s.to_str().unwrap());
    let (program, _) = Part::start(&["serve-peerd", sb]);
    let (server, address) = Part::start(&["serve-native"]);
    let (native_key, port) = address.split_once(' ').unwrap();
    let daemons = Pair {
        kind: "drive-peerd",
        to: vec![sa, &key],
        lasting: [a.child.id(), b.child.id(), program.0.id()]
            .map(Process)
            .into(),
    };
    let native = Pair {
        kind: "drive-native",
        to: vec![native_key, port],
        lasting: vec![Process(server.0.id())],
    };
    println!(
        "{:<44}{:>10}{:>12}{:>9}{:>10}",
        "median of the rounds", "iroh", "two daemons", "ratio", "best"
    );
    for phase in Phase::ALL {
        let mut found: [Vec<Figures>; 2] = Default::default();
        for _ in 0..ROUNDS {
            found[0].push(native.run(phase));
            found[1].push(daemons.run(phase));
        }
        for (what, figure, best) in phase.rows() {
            let all = found
                .each_ref()
                .map(|all| all.iter().map(figure).collect::<Vec<_>>());
            let [iroh, ours] = all.each_ref().map(|all| median(all));
            let best = all[1].iter().copied().reduce(best).unwrap();
            let ratio = ours / iroh;
            println!("{what:<44}{iroh:>10.2}{ours:>12.2}{ratio:>9.2}{best:>10.2}");
        }
    }
    let rss = |pid: u32| Process(pid).rss_mib();
    println!(
        "{:<44}{:>10.1}{:>12}",
        "RSS afterwards, MiB (each daemon)",
        rss(server.0.id()),
        format!("{:.1}, {:.1}", rss(a.child.id()), rss(b.child.id())),
    );
    println!();
    flood::table(&daemons, &b, &cb, &mad);
}
