//! What is measured, and the program that measures it over the daemon's socket.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use guifi_streams::{Client, Key, Stream};

use super::PROTOCOL;
use super::measure::Process;

/// How many bytes one stream carries.
pub(crate) const BULK: u64 = 1 << 30;
/// How much is written at once.
pub(crate) const BLOCK: usize = 256 << 10;
/// How many round trips.
pub(crate) const TRIPS: usize = 5000;
/// How many small streams, one after the other,
pub(crate) const SERIAL: usize = 3000;
/// and so many at once.
pub(crate) const PARALLEL: usize = 9600;
pub(crate) const AT_ONCE: usize = 32;
/// The bytes of a small stream, each way.
pub(crate) const SMALL: usize = 100;
/// What a stream begins with: take everything and say how much it was, or send it back.
pub(crate) const SINK: u8 = b'S';
pub(crate) const ECHO: u8 = b'E';
/// Long enough for everything.
const LONG: Duration = Duration::from_secs(10);

/// What is measured at a time.
#[derive(Clone, Copy)]
pub(crate) enum Phase {
    Bulk,
    Trip,
    Serial,
    Parallel,
}

/// One row of the table: what it is, how it is computed, which of two is better.
type Row = (&'static str, fn(&Figures) -> f64, fn(f64, f64) -> f64);

impl Phase {
    pub(crate) const ALL: [Self; 4] = [Self::Bulk, Self::Trip, Self::Serial, Self::Parallel];

    pub(crate) fn name(self) -> &'static str {
        ["bulk", "trip", "serial", "parallel"][self as usize]
    }

    pub(crate) fn named(name: &str) -> Self {
        Self::ALL.into_iter().find(|p| p.name() == name).unwrap()
    }

    pub(crate) fn rows(self) -> Vec<Row> {
        let (most, least) = (f64::max, f64::min);
        match self {
            Self::Bulk => vec![
                (
                    "one stream, Mbit/s",
                    |f| BULK as f64 * 8.0 / f.seconds / 1e6,
                    most,
                ),
                (
                    "  CPU of all processes, s/GB",
                    |f| f.cpu / (BULK as f64 / 1e9),
                    least,
                ),
            ],
            Self::Trip => vec![("round trip of 100 bytes, us", |f| f.median_us, least)],
            Self::Serial => vec![
                (
                    "small streams one at a time, 1/s",
                    |f| SERIAL as f64 / f.seconds,
                    most,
                ),
                ("  median us", |f| f.median_us, least),
                (
                    "  CPU of all processes, ms each",
                    |f| f.cpu * 1e3 / SERIAL as f64,
                    least,
                ),
            ],
            Self::Parallel => vec![
                (
                    "small streams 32 at once, 1/s",
                    |f| PARALLEL as f64 / f.seconds,
                    most,
                ),
                ("  median us", |f| f.median_us, least),
            ],
        }
    }
}

/// What a phase took.
#[derive(Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) seconds: f64,
    pub(crate) cpu: f64,
    pub(crate) median_us: f64,
    pub(crate) slow_us: f64,
}

impl Figures {
    /// From the beginning to now, with the time of each part.
    pub(crate) fn since(begin: Instant, cpu: f64, mut each: Vec<Duration>) -> Self {
        each.sort_unstable();
        let at = |permille: usize| {
            let index = each.len() * permille / 1000;
            each.get(index).map_or(0.0, |d| d.as_secs_f64() * 1e6)
        };
        Self {
            seconds: begin.elapsed().as_secs_f64(),
            cpu: own_cpu() - cpu,
            median_us: at(500),
            slow_us: at(990),
        }
    }

    pub(crate) fn read(line: &str) -> Self {
        let all: Vec<f64> = line.split(' ').map(|n| n.parse().unwrap()).collect();
        let [seconds, cpu, median_us, slow_us] = all[..] else {
            panic!("'{line}'")
        };
        Self {
            seconds,
            cpu,
            median_us,
            slow_us,
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seconds,
            cpu,
            median_us,
            slow_us,
        } = self;
        write!(f, "{seconds} {cpu} {median_us} {slow_us}")
    }
}

/// Seconds of CPU of this process.
pub(crate) fn own_cpu() -> f64 {
    Process(std::process::id()).cpu()
}

/// Serves until it is killed.
pub(crate) fn serve(client: &Client) {
    let listener = client.listen(PROTOCOL, 256).unwrap();
    println!("ready");
    while let Ok(stream) = listener.accept() {
        std::thread::spawn(move || answer(stream));
    }
}

fn answer(mut stream: Stream) {
    let mut kind = [0];
    // Whoever floods may leave at any time.
    if stream.read_exact(&mut kind).is_err() {
        return;
    }
    if kind == [ECHO] {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut buffer) {
            if stream.write_all(&buffer[..length]).is_err() {
                return;
            }
        }
    } else {
        let mut buffer = vec![0; BLOCK];
        let mut taken = 0u64;
        while let Ok(length @ 1..) = stream.read(&mut buffer) {
            taken += length as u64;
        }
        // The writer sees what is missing.
        let _ = stream.write_all(&taken.to_be_bytes());
    }
}

/// Measures a phase.
pub(crate) fn drive(phase: Phase, client: &Client, key: Key) -> Figures {
    // The connection is there before anything is measured.
    small(client, key);
    let (begin, cpu) = (Instant::now(), own_cpu());
    let each = match phase {
        Phase::Bulk => {
            bulk(&mut open(client, key, SINK));
            Vec::new()
        }
        Phase::Trip => {
            let mut stream = open(client, key, ECHO);
            (0..TRIPS).map(|_| trip(&mut stream)).collect()
        }
        Phase::Serial => (0..SERIAL).map(|_| small(client, key)).collect(),
        Phase::Parallel => std::thread::scope(|scope| {
            let share = || {
                (0..PARALLEL / AT_ONCE)
                    .map(|_| small(client, key))
                    .collect()
            };
            let all: Vec<_> = (0..AT_ONCE)
                .map(|_| scope.spawn(move || -> Vec<Duration> { share() }))
                .collect();
            all.into_iter().flat_map(|t| t.join().unwrap()).collect()
        }),
    };
    Figures::since(begin, cpu, each)
}

fn open(client: &Client, key: Key, kind: u8) -> Stream {
    let mut stream = client.open(key, PROTOCOL, &[], LONG).unwrap();
    stream.write_all(&[kind]).unwrap();
    stream
}

fn bulk(stream: &mut Stream) {
    let block = vec![5; BLOCK];
    for _ in 0..BULK / BLOCK as u64 {
        stream.write_all(&block).unwrap();
    }
    stream.socket.shutdown(Shutdown::Write).unwrap();
    let mut taken = [0; 8];
    stream.read_exact(&mut taken).unwrap();
    assert_eq!(u64::from_be_bytes(taken), BULK);
}

fn trip(stream: &mut Stream) -> Duration {
    let begin = Instant::now();
    let mut bytes = [1; SMALL];
    stream.write_all(&bytes).unwrap();
    stream.read_exact(&mut bytes).unwrap();
    begin.elapsed()
}

/// A stream from its opening to its answer.
fn small(client: &Client, key: Key) -> Duration {
    let begin = Instant::now();
    let mut stream = open(client, key, ECHO);
    trip(&mut stream);
    drop(stream);
    begin.elapsed()
}
