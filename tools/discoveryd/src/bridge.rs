//! One box per link, the *bridge*, browses everything there; the others ask it, so that a link
//! with many boxes stays quiet. It is the live member with the lowest key that the others reach
//! directly on that link.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use guifi_streams::{Client, ClientError, Key, Stream};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::community::Boxed;
use crate::near::{self, Proofs};

/// The stream protocol by which the others ask.
const PROTOCOL: &str = "browse";
/// How long the bridge may take.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long opening a stream to it may take.
const DIAL: Duration = Duration::from_secs(3);
/// The largest answer.
const MAX_ANSWER: u64 = 8 << 20;
/// The longest question.
const MAX_QUESTION: u64 = 1024;

/// Who browses this link.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Bridge {
    /// Another box; `None`: this one.
    pub(crate) other: Option<Key>,
    /// Members on this link, this box included.
    pub(crate) members: usize,
    /// Key of this box, once it has joined.
    pub(crate) own: Option<Key>,
}

/// A question of another box: the type, and where the answer goes.
pub(crate) type Question = (String, oneshot::Sender<Vec<Value>>);

/// Finds out who is the bridge among the live boxes.
pub(crate) async fn elect(proofs: &mut Proofs<'_>, own: Key, boxes: &[Boxed]) -> Bridge {
    let interfaces = near::interfaces();
    let near = near::keys(boxes, own, |a| interfaces.iter().any(|i| i.holds(a)));
    Bridge {
        members: near.len() + 1,
        other: proofs.lowest(&near, own, &interfaces).await,
        own: Some(own),
    }
}

/// Asks the bridge what is on the link; blocks.
///
/// # Errors
/// A sentence if it does not answer as it should.
pub(crate) fn ask(socket: &Path, bridge: Key, kind: &str) -> Result<Vec<Value>, String> {
    let client = Client::connect(socket).map_err(|e| e.to_string())?;
    let stream = client
        .open(bridge, PROTOCOL, &[], DIAL)
        .map_err(|e| e.to_string())?;
    let io = |e: std::io::Error| e.to_string();
    stream.socket.set_read_timeout(Some(PATIENCE)).map_err(io)?;
    stream
        .socket
        .set_write_timeout(Some(PATIENCE))
        .map_err(io)?;
    writeln!(&stream.socket, "{}", json!({"type": kind})).map_err(io)?;
    let mut found = Vec::new();
    for line in BufReader::new((&stream.socket).take(MAX_ANSWER)).lines() {
        let line: Value = serde_json::from_str(&line.map_err(io)?).map_err(|e| e.to_string())?;
        // Only this says that nothing is missing.
        if line.get("end").is_some() {
            return Ok(found);
        }
        found.push(line);
    }
    Err("the answer was cut".to_owned())
}

/// Serves the questions of others for ever.
pub(crate) fn serve(socket: PathBuf, questions: mpsc::Sender<Question>) {
    let started = thread::Builder::new()
        .name("bridge".into())
        .stack_size(128 << 10)
        .spawn(move || {
            let mut wait = Duration::from_millis(500);
            loop {
                if let Ok(client) = Client::connect(&socket)
                    && let Ok(listener) = client.listen(PROTOCOL, 16)
                {
                    wait = Duration::from_millis(500);
                    loop {
                        match listener.accept() {
                            // One at a time: the link is looked at once for all.
                            Ok(stream) => answer(&stream, &questions),
                            Err(ClientError::Closed) => break,
                            Err(e) => log::debug!("a stream was not delivered: {e}"),
                        }
                    }
                }
                if questions.is_closed() {
                    return;
                }
                thread::sleep(wait);
                wait = (wait * 2).min(Duration::from_secs(30));
            }
        });
    if let Err(e) = started {
        log::error!("cannot start the bridge's thread: {e}; others browse for themselves");
    }
}

fn answer(stream: &Stream, questions: &mpsc::Sender<Question>) {
    let answered = || -> Result<(), String> {
        let io = |e: std::io::Error| e.to_string();
        stream.socket.set_read_timeout(Some(DIAL)).map_err(io)?;
        stream.socket.set_write_timeout(Some(DIAL)).map_err(io)?;
        let mut line = String::new();
        BufReader::new((&stream.socket).take(MAX_QUESTION))
            .read_line(&mut line)
            .map_err(io)?;
        let question: Value = serde_json::from_str(&line).map_err(|e| e.to_string())?;
        let kind = question["type"].as_str().unwrap_or_default().to_owned();
        let (answer, wait) = oneshot::channel();
        questions
            .blocking_send((kind, answer))
            .map_err(|e| e.to_string())?;
        let found = wait.blocking_recv().map_err(|e| e.to_string())?;
        let mut out = std::io::BufWriter::new(&stream.socket);
        for service in found {
            writeln!(out, "{service}").map_err(io)?;
        }
        writeln!(out, "{}", json!({"end": true})).map_err(io)?;
        out.flush().map_err(io)
    };
    if let Err(e) = answered() {
        log::debug!("a question of {} is not answered: {e}", stream.peer);
        stream.reset(256);
    }
}
