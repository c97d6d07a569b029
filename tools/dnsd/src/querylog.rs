//! Questions shown as they come to an administrator who asks for them, and kept nowhere. Without
//! such a reader a question costs one look at a flag.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::board::within;
use crate::name::Name;
use crate::query::Question;
use crate::respond::{Outcome, Transport};
use crate::text::type_name;

/// Lines that may wait for a reader; later ones are lost to it.
const LINES: usize = 512;
/// Readers at once.
const READERS: usize = 8;
/// How long a reader is served at most.
const LONGEST: Duration = Duration::from_secs(3600);

/// What a reader wants to see.
#[derive(Clone, Debug)]
pub struct Filter {
    /// Every so many questions of those that match, at least 1.
    pub sample: u32,
    /// Those of these clients.
    pub client: Option<(IpAddr, u8)>,
    /// Those for this name (in lower case) and the names below it.
    pub name: Option<Name>,
}

struct Reader {
    filter: Filter,
    lines: mpsc::Sender<String>,
    /// Questions that matched, and lines that were lost since the last one.
    matched: u32,
    lost: u64,
}

/// The readers.
#[derive(Default)]
pub struct QueryLog {
    on: AtomicBool,
    readers: Mutex<Vec<Reader>>,
}

impl QueryLog {
    /// Whether anybody reads.
    pub fn on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Shows a question that was read, and what came of it.
    pub fn tell(&self, client: SocketAddr, question: &Question, way: Transport, outcome: Outcome) {
        if outcome == Outcome::Drop {
            return; // it was none
        }
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        for reader in readers.iter_mut() {
            if !reader.filter.matches(client.ip(), question) {
                continue;
            }
            reader.matched = reader.matched.wrapping_add(1);
            if !reader.matched.is_multiple_of(reader.filter.sample.max(1)) {
                continue;
            }
            let line = line(client.ip(), question, way, outcome, reader.lost);
            match reader.lines.try_send(line) {
                Ok(()) => reader.lost = 0,
                Err(_) => reader.lost += 1,
            }
        }
    }

    /// Lets somebody read for a time: JSON, one object a line.
    ///
    /// # Errors
    /// Those of the system; [`io::ErrorKind::ResourceBusy`] if too many read.
    pub fn read(self: &Arc<Self>, filter: Filter, time: Duration) -> io::Result<OwnedFd> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let stream = UnixStream::from_std(ours)?;
        let (lines, inbox) = mpsc::channel(LINES);
        {
            let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
            if readers.len() >= READERS {
                return Err(io::ErrorKind::ResourceBusy.into());
            }
            readers.push(Reader {
                filter,
                lines,
                matched: 0,
                lost: 0,
            });
            self.on.store(true, Ordering::Relaxed);
        }
        let log = self.clone();
        tokio::spawn(async move {
            serve(stream, inbox, Instant::now() + time.min(LONGEST)).await;
            log.clean();
        });
        Ok(theirs.into())
    }

    /// Forgets readers that are served no more.
    fn clean(&self) {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.retain(|reader| !reader.lines.is_closed());
        self.on.store(!readers.is_empty(), Ordering::Relaxed);
    }
}

/// Writes lines until the time is over or the reader has gone.
async fn serve(stream: UnixStream, mut inbox: mpsc::Receiver<String>, end: Instant) {
    let (mut from, mut to) = stream.into_split();
    let write = async {
        while let Some(line) = inbox.recv().await {
            if to.write_all(line.as_bytes()).await.is_err() {
                return;
            }
        }
    };
    let mut nothing = [0; 1];
    tokio::select! {
        () = write => {}
        () = sleep_until(end) => {}
        // It has nothing to say: it closes.
        _ = from.read(&mut nothing) => {}
    }
}

impl Filter {
    fn matches(&self, client: IpAddr, question: &Question) -> bool {
        let below = |name: &Name| question.ends_with(name.wire(), name.labels().count());
        self.client.is_none_or(|network| within(client, network))
            && self.name.as_ref().is_none_or(below)
    }
}

fn line(
    client: IpAddr,
    question: &Question,
    way: Transport,
    outcome: Outcome,
    lost: u64,
) -> String {
    let known = question.rtype != 0;
    let name = known.then(|| Name::from_wire(question.name()).to_string());
    let mut line = json!({
        "time": jiff::Timestamp::now().to_string(),
        "client": client,
        "name": name,
        "type": known.then(|| type_name(question.rtype)),
        "transport": way,
        "outcome": outcome,
    });
    if lost != 0 {
        line["lost"] = lost.into();
    }
    format!("{line}\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn question(name: &str) -> Question {
        let mut question = Question::default();
        assert!(question.set(Name::parse(name).unwrap().wire(), 28));
        question
    }

    #[test]
    fn filters_look_at_client_and_name() {
        let filter = Filter {
            sample: 1,
            client: Some(("10.0.0.0".parse().unwrap(), 8)),
            name: Name::parse("vic.example"),
        };
        let matches = |client: &str, name| filter.matches(client.parse().unwrap(), &question(name));
        assert!(matches("10.1.1.1", "a.vic.example") && matches("10.1.1.1", "vic.example"));
        assert!(!matches("192.0.2.1", "vic.example") && !matches("10.1.1.1", "bvic.example"));
    }

    #[test]
    fn a_slow_reader_loses_lines_and_is_told() {
        let (lines, mut inbox) = mpsc::channel(2);
        let log = QueryLog::default();
        log.readers.lock().unwrap().push(Reader {
            filter: Filter {
                sample: 2,
                client: None,
                name: None,
            },
            lines,
            matched: 0,
            lost: 0,
        });
        let client = "10.0.0.1:5".parse().unwrap();
        let tell = || {
            log.tell(
                client,
                &question("a.example"),
                Transport::Udp,
                Outcome::NoData,
            )
        };
        (0..10).for_each(|_| tell());
        let first = inbox.try_recv().unwrap();
        assert!(
            first.contains(r#""name":"a.example.","outcome":"nodata""#),
            "{first}"
        );
        assert!(
            first.contains(r#""type":"AAAA""#) && !first.contains("lost"),
            "{first}"
        );
        (0..2).for_each(|_| tell());
        inbox.try_recv().unwrap();
        assert!(inbox.try_recv().unwrap().contains(r#""lost":3"#));
        drop(inbox);
        log.clean();
        assert!(log.readers.lock().unwrap().is_empty() && !log.on());
    }
}
