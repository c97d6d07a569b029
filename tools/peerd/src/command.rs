//! `guifi-peer`: the transport as a person sees it.

mod key;

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use guifi_bus::PeerProxy;
use guifi_core::{Error, Kind};
use serde_json::{Value, json};

use crate::who;

/// How long `who` waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Shows the boxes that this one reaches, and how.
#[derive(Debug, Parser)]
#[command(name = "guifi-peer", version, about)]
pub struct Cli {
    /// What to show.
    #[command(subcommand)]
    pub command: Command,
    /// Print JSON.
    #[arg(long, global = true)]
    pub json: bool,
}

/// What to show.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the peers.
    List,
    /// Measure the round trip to a peer.
    Ping {
        /// The peer's key, or its beginning.
        key: String,
    },
    /// Show how a peer is reached.
    Path {
        /// The peer's key, or its beginning.
        key: String,
    },
    /// Show the state of the transport and its counters.
    Stats,
    /// Print the key of this box, carry it elsewhere or change it.
    Key {
        /// What to do with it, instead of printing it.
        #[command(subcommand)]
        action: Option<KeyAction>,
    },
    /// Ask an address which box answers there.
    Who {
        /// HOST or HOST:PORT.
        address: String,
    },
}

/// What is done with the key of the box.
#[derive(Debug, Subcommand)]
pub enum KeyAction {
    /// Write the key into a file that a passphrase seals (root).
    Export {
        /// The file, which must not exist yet.
        file: PathBuf,
        /// File whose first line is the passphrase, instead of asking for it.
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
    /// Take a key out of such a file, in the place of this box's own (root).
    Import {
        /// The file.
        file: PathBuf,
        /// File whose first line is the passphrase, instead of asking for it.
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
    /// Give the key up for a new one; membership, name and records follow to it (root, guifi-admin).
    Rotate,
}

/// Runs the command.
///
/// # Errors
/// [`Kind::Unavailable`] if guifi-peerd or the peer is absent; the kind of its answer otherwise.
pub fn run(cli: &Cli, out: &mut impl Write) -> Result<(), Error> {
    let text = guifi_bus::block_on(answer(cli))?;
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(Error::stdout)
}

async fn answer(cli: &Cli) -> Result<String, Error> {
    match &cli.command {
        Command::Who { address } => return ask(address, cli.json).await,
        Command::Key {
            action: Some(action),
        } => return key::act(action, cli.json).await,
        _ => {}
    }
    let bus = guifi_bus::connect().await?;
    let peer = PeerProxy::new(&bus)
        .await
        .map_err(|e| guifi_bus::error("cannot ask guifi-peerd", e))?;
    let text = peer
        .describe()
        .await
        .map_err(|e| guifi_bus::error("cannot ask guifi-peerd", e))?;
    let document: Value = serde_json::from_str(&text)
        .map_err(|e| Error::failed(format!("cannot read the answer of guifi-peerd: {e}")))?;
    match &cli.command {
        Command::List if cli.json => Ok(lines([&document["peers"]])),
        Command::List => Ok(list(&document)),
        Command::Ping { key } => {
            let key = find(&document, key)?;
            let micros = peer
                .ping(&key)
                .await
                .map_err(|e| guifi_bus::error(&format!("cannot ping {key}"), e))?;
            let ms = f64::from(micros) / 1e3;
            Ok(if cli.json {
                lines([&json!({"key": key, "rtt_ms": ms})])
            } else {
                format!("{key}: {ms:.2} ms\n")
            })
        }
        Command::Path { key } => {
            let found = entry(&document, key)?;
            Ok(if cli.json {
                lines([found])
            } else {
                path(found)
            })
        }
        Command::Stats if cli.json => Ok(lines([&document])),
        Command::Stats => Ok(stats(&document)),
        Command::Key { .. } if cli.json => Ok(lines([&json!({"key": document["key"]})])),
        Command::Key { .. } => Ok(format!("{}\n", word(&document["key"]))),
        Command::Who { address } => ask(address, cli.json).await,
    }
}

async fn ask(address: &str, json: bool) -> Result<String, Error> {
    let unavailable = |cause: String| {
        let text = format!("cannot ask {address} who it is: {cause}");
        Error::new(Kind::Unavailable, text)
    };
    let found = tokio::time::timeout(PATIENCE, who::ask(address))
        .await
        .map_err(|_| unavailable("no answer".to_owned()))?
        .map_err(|e| unavailable(e.to_string()))?;
    let community = found.community.clone();
    Ok(if json {
        let community = community.map(|id| json!({"id": id, "name": found.name}));
        lines([&json!({"key": found.key, "community": community})])
    } else {
        let community = match community {
            Some(id) => format!("{} ({id})", printable(&found.name)),
            None => "none".to_owned(),
        };
        format!("key: {}\ncommunity: {community}\n", found.key)
    })
}

/// The full key that `text` means: a key, or the beginning of one that is known.
fn find(document: &Value, text: &str) -> Result<String, Error> {
    if text.parse::<guifi_streams::Key>().is_ok() {
        return Ok(text.to_ascii_lowercase());
    }
    entry(document, text).map(|found| word(&found["key"]).to_owned())
}

fn entry<'a>(document: &'a Value, text: &str) -> Result<&'a Value, Error> {
    let text = text.to_ascii_lowercase();
    let mut matching = document["peers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|p| word(&p["key"]).starts_with(&text));
    match (matching.next(), matching.next()) {
        (Some(found), None) => Ok(found),
        (None, _) => Err(Error::failed(format!("no peer '{text}' is known"))
            .hint("guifi-peer list shows those that are")),
        (Some(_), Some(_)) => Err(Error::usage(format!("'{text}' begins several keys"))),
    }
}

fn list(document: &Value) -> String {
    let peers = document["peers"].as_array().map_or(&[][..], Vec::as_slice);
    if peers.is_empty() {
        return if document["online"] == true {
            "No peers are known.\n".to_owned()
        } else {
            "This box is not joined to a community.\n".to_owned()
        };
    }
    let mut text = format!(
        "{:<18}{:<8}{:>9}  {:<26}{:>8}  {}\n",
        "PEER", "PATH", "RTT", "ADDRESS", "STREAMS", "LAST SEEN"
    );
    for peer in peers {
        text += &format!(
            "{:<18}{:<8}{:>9}  {:<26}{:>8}  {}\n",
            &word(&peer["key"]).get(..16).unwrap_or("-"),
            word(&peer["path"]),
            round_trip(peer),
            word(&peer["address"]),
            peer["streams"],
            word(&peer["last_seen"]),
        );
    }
    text
}

fn path(peer: &Value) -> String {
    format!(
        "key: {}\npath: {}\naddress: {}\nround trip: {}\nlast seen: {}\n",
        word(&peer["key"]),
        word(&peer["path"]),
        word(&peer["address"]),
        round_trip(peer),
        word(&peer["last_seen"]),
    )
}

fn stats(document: &Value) -> String {
    let community = match &document["community"] {
        Value::Null => "none".to_owned(),
        community => printable(word(&community["name"])),
    };
    let reached = &document["reached_from_outside"];
    let reached = match (reached["udp"].as_bool(), reached["tcp"].as_bool()) {
        (Some(true), Some(true)) => "yes",
        (Some(true), _) => "UDP only",
        (_, Some(true)) => "TCP only",
        (Some(false), _) => "no",
        (None, _) => "unknown",
    };
    let mut text = format!(
        "key: {}\ncommunity: {community}\nport: {}\nreached from outside: {reached}\n\
         relays for others: {}\nmembers: {}\nopen streams: {}\n",
        word(&document["key"]),
        document["port"],
        if document["relay"].is_null() {
            "no"
        } else {
            "yes"
        },
        document["members"],
        document["streams"],
    );
    for (name, value) in document["counters"].as_object().into_iter().flatten() {
        text += &format!("{}: {value}\n", name.replace('_', " "));
    }
    text
}

fn round_trip(peer: &Value) -> String {
    peer["rtt_ms"]
        .as_f64()
        .map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1} ms"))
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}

/// Text from another box, without what could play with the terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

fn lines<'a>(values: impl IntoIterator<Item = &'a Value>) -> String {
    values.into_iter().map(|v| format!("{v}\n")).collect()
}
