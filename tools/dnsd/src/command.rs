//! `guifi-dns`: what the daemon says about itself, and what it answers.

mod key;
mod live;

use std::io::{Read as _, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use guifi_bus::{DnsAdminProxy, DnsProxy, block_on, connect};
use guifi_core::{Error, Kind};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use serde_json::{Value, json};

use crate::cli::{Action, Command};
use crate::encode::rtype::OPT;
use crate::hosted;
use crate::name::Name;
use crate::text::{data, owner};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The command.
pub fn main() -> ExitCode {
    guifi_core::run("guifi-dns", || {
        run(&Command::parse(), &mut std::io::stdout().lock())
    })
}

fn run(cli: &Command, out: &mut impl Write) -> Result<(), Error> {
    match &cli.action {
        Action::Status => {
            let document = describe()?;
            print(out, cli.json.then_some(&document), || status(&document))
        }
        Action::Zones => {
            let document = describe()?;
            let zones = &document["zones"];
            print(out, cli.json.then_some(zones), || table(ZONES, zones))
        }
        Action::Hosted => {
            let document = describe()?;
            let hosted = &document["hosted"];
            print(out, cli.json.then_some(hosted), || {
                let copies = list(hosted).any(|zone| zone["secondary"].is_object());
                match copies {
                    true => table(COPIES, hosted),
                    false => table(HOSTED, hosted),
                }
            })
        }
        Action::Check { zone, file } => check(cli.json, zone, file, out),
        Action::Take { zone } => take(cli.json, zone, out),
        Action::Show { zone } => {
            let text = show(zone)?;
            let document = json!({ "zone": zone, "text": text });
            print(out, cli.json.then_some(&document), || text.clone())
        }
        Action::Query { name, r#type } => query(cli.json, name, r#type, out),
        Action::Key { action } => key::run(cli.json, action, out),
        Action::Refresh { zone, whole } => block_on(async {
            let attempt = |e| guifi_bus::error("cannot refresh the zone", e);
            let admin = DnsAdminProxy::new(&connect().await?)
                .await
                .map_err(attempt)?;
            admin.refresh(zone, *whole).await.map_err(attempt)
        }),
        Action::Log {
            time,
            sample,
            client,
            name,
        } => live::log(cli.json, [*time, *sample], client, name, out),
        Action::Stats => {
            let document = live::numbers(&describe()?)?;
            print(out, cli.json.then_some(&document), || {
                live::stats(&document)
            })
        }
        Action::Flush { name } => block_on(async {
            let attempt = |e| guifi_bus::error("cannot flush the cache", e);
            let admin = DnsAdminProxy::new(&connect().await?)
                .await
                .map_err(attempt)?;
            match name {
                Some(name) => admin.flush_name(name).await.map_err(attempt),
                None => admin.flush().await.map_err(attempt),
            }
        }),
    }
}

fn print(
    out: &mut impl Write,
    json: Option<&Value>,
    text: impl FnOnce() -> String,
) -> Result<(), Error> {
    let printed = match json {
        Some(document) => writeln!(out, "{document}"),
        None => out.write_all(text().as_bytes()),
    };
    printed.map_err(Error::stdout)
}

/// The daemon's description of itself.
pub(crate) fn describe() -> Result<Value, Error> {
    block_on(async {
        let attempt = |e| guifi_bus::error("cannot ask guifi-dnsd", e);
        let dns = DnsProxy::new(&connect().await?).await.map_err(attempt)?;
        let text = dns.describe().await.map_err(attempt)?;
        serde_json::from_str(&text)
            .map_err(|e| Error::failed(format!("cannot read the answer of guifi-dnsd: {e}")))
    })
}

fn show(zone: &str) -> Result<String, Error> {
    block_on(async {
        let attempt = |e| guifi_bus::error("cannot show the zone", e);
        let dns = DnsProxy::new(&connect().await?).await.map_err(attempt)?;
        let fd = dns.show(zone).await.map_err(attempt)?;
        let mut file = std::fs::File::from(std::os::fd::OwnedFd::from(fd));
        let mut text = String::new();
        file.read_to_string(&mut text)
            .map_err(|e| Error::failed(format!("cannot read the zone: {e}")))?;
        Ok(text)
    })
}

/// A text value, or a dash.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".into(),
        other => other.to_string(),
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn status(d: &Value) -> String {
    let mut lines = Vec::new();
    for listen in list(&d["listen"]) {
        let reason = listen
            .get("reason")
            .map(|r| format!(": {}", text(r)))
            .unwrap_or_default();
        lines.push(format!(
            "listen     {} {}{reason}",
            text(&listen["address"]),
            text(&listen["state"])
        ));
    }
    lines.push(format!(
        "registry   {}, {} records",
        text(&d["registry"]),
        d["registry_records"]
    ));
    let domain = match d["community"].get("domain") {
        Some(domain) => format!("{} (serial {})", text(domain), text(&d["serial"])),
        None => "none: forwarding only".into(),
    };
    lines.push(format!("domain     {domain}"));
    lines.push(format!("zones      {}", list(&d["zones"]).count()));
    let servers: Vec<String> = list(&d["upstreams"]["servers"]).map(text).collect();
    let servers = if servers.is_empty() {
        "none: names outside the community have no answer".into()
    } else {
        format!(
            "{} ({})",
            servers.join(" "),
            text(&d["upstreams"]["source"])
        )
    };
    lines.push(format!("upstream   {servers}"));
    let cache = &d["cache"];
    lines.push(format!(
        "cache      {} answers, {} bytes, {} hits, {} misses, {} failures",
        cache["entries"], cache["size_bytes"], cache["hits"], cache["misses"], cache["failures"]
    ));
    let counters = d["counters"].as_object().into_iter().flatten();
    let counters: Vec<String> = counters.map(|(name, n)| format!("{n} {name}")).collect();
    lines.push(format!("counters   {}", counters.join(", ")));
    lines.join("\n") + "\n"
}

/// Columns: their heads, and the members that stand in them.
const ZONES: [(&str, &str); 6] = [
    ("DOMAIN", "domain"),
    ("SERIAL", "serial"),
    ("PARTS", "parts"),
    ("BOXES", "boxes"),
    ("INSTANCES", "instances"),
    ("RECORDS", "records"),
];
const HOSTED: [(&str, &str); 6] = [
    ("DOMAIN", "domain"),
    ("VIEW", "view"),
    ("SOURCE", "source"),
    ("SERIAL", "serial"),
    ("RECORDS", "records"),
    ("FAULT", "fault"),
];

/// The same where there are copies of other servers' zones: a JSON pointer leads to how old
/// they are.
const COPIES: [(&str, &str); 9] = [
    ("DOMAIN", "domain"),
    ("VIEW", "view"),
    ("SOURCE", "source"),
    ("SERIAL", "serial"),
    ("RECORDS", "records"),
    ("CHECKED", "secondary/checked"),
    ("NEXT", "secondary/next_check"),
    ("EXPIRES", "secondary/expires"),
    ("FAULT", "fault"),
];

fn table<const N: usize>(columns: [(&str, &str); N], zones: &Value) -> String {
    let head = columns.map(|(head, _)| head.to_owned());
    let member =
        |zone: &Value, key: &str| text(zone.pointer(&format!("/{key}")).unwrap_or(&Value::Null));
    let rows = list(zones).map(|zone| columns.map(|(_, key)| member(zone, key)));
    let rows: Vec<_> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let line = |row: &[String; N]| {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, &width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

/// Has the master file of a zone taken in spite of updates.
fn take(as_json: bool, zone: &str, out: &mut impl Write) -> Result<(), Error> {
    let dropped = block_on(async {
        let attempt = |e| guifi_bus::error("cannot take the file", e);
        let admin = DnsAdminProxy::new(&connect().await?)
            .await
            .map_err(attempt)?;
        admin.take(zone).await.map_err(attempt)
    })?;
    let document = json!({ "zone": zone, "dropped": dropped });
    print(out, as_json.then_some(&document), || {
        format!("{zone} is as its file has it; {dropped} updates were dropped\n")
    })
}

/// Looks through a master file without the daemon.
fn check(as_json: bool, zone: &str, file: &Path, out: &mut impl Write) -> Result<(), Error> {
    let name = Name::parse(zone).filter(|name| name.labels().count() > 0);
    let name = name
        .ok_or_else(|| Error::usage(format!("'{zone}' is not a name")))?
        .lower();
    let attempt = |e: String| Error::failed(format!("cannot check {zone}: {e}"));
    let text = hosted::file::load(file).map_err(attempt)?;
    let (records, findings) = match hosted::file::read(&text, Some(file), &name) {
        Ok(records) => {
            let content = hosted::content::Content::of(&name, records);
            (content.records(), hosted::check::check(&content))
        }
        Err(fault) => {
            let mut findings = hosted::check::Findings::default();
            findings.faults.push(fault.to_string());
            (0, findings)
        }
    };
    let document = json!({
        "domain": name.to_string(), "records": records,
        "faults": findings.faults, "doubts": findings.doubts,
    });
    print(out, as_json.then_some(&document), || {
        let mut lines: Vec<String> = Vec::new();
        lines.extend(findings.faults.iter().map(|text| format!("fault: {text}")));
        lines.extend(findings.doubts.iter().map(|text| format!("doubt: {text}")));
        if findings.faults.is_empty() {
            lines.push(format!("{name} can be loaded: {records} records"));
        }
        lines.join("\n") + "\n"
    })?;
    if findings.faults.is_empty() {
        Ok(())
    } else {
        Err(Error::silent(Kind::Failed))
    }
}

fn query(as_json: bool, name: &str, rtype: &str, out: &mut impl Write) -> Result<(), Error> {
    let number = record_type(rtype)?;
    let wire = Name::parse(name).ok_or_else(|| Error::usage(format!("'{name}' is not a name")))?;
    let document = describe()?;
    let server = list(&document["listen"])
        .filter(|listen| listen["state"] == "listening")
        .find_map(|listen| listen["address"].as_str()?.parse::<SocketAddr>().ok())
        .ok_or_else(|| {
            Error::new(Kind::Unavailable, "cannot ask: guifi-dnsd listens nowhere")
                .hint("guifi-dns status")
        })?;
    let answer = exchange(server, &wire, number)
        .map_err(|e| Error::new(Kind::Unavailable, format!("cannot ask {server}: {e}")))?;
    let code = answer.metadata.response_code;
    let records: Vec<Value> = answer
        .answers
        .iter()
        .map(|record| {
            json!({
                "name": owner(record), "ttl_seconds": record.ttl,
                "type": record.record_type().to_string(), "data": data(record),
            })
        })
        .collect();
    let found = code == ResponseCode::NoError && !records.is_empty();
    let document = json!({
        "name": wire.to_string(), "type": rtype.to_ascii_uppercase(),
        "status": code.to_str(), "authoritative": answer.metadata.authoritative,
        "server": server.to_string(), "answers": records,
    });
    print(out, as_json.then_some(&document), || {
        let line = |r: &Value| {
            let (name, kind) = (text(&r["name"]), text(&r["type"]));
            format!("{name} {} {kind} {}\n", r["ttl_seconds"], text(&r["data"]))
        };
        list(&document["answers"]).map(line).collect()
    })?;
    match (found, as_json) {
        (true, _) => Ok(()),
        (false, true) => Err(Error::silent(Kind::Failed)),
        (false, false) if code == ResponseCode::NoError => Err(Error::failed(format!(
            "{wire} has no record of type {rtype}"
        ))),
        (false, false) => Err(Error::failed(format!("{wire}: {code}"))),
    }
}

fn record_type(text: &str) -> Result<u16, Error> {
    let upper = text.to_ascii_uppercase();
    let number = upper.strip_prefix("TYPE").and_then(|n| n.parse().ok());
    number
        .or_else(|| upper.parse::<RecordType>().ok().map(u16::from))
        .ok_or_else(|| Error::usage(format!("'{text}' is not a type of record")))
}

fn exchange(server: SocketAddr, name: &Name, number: u16) -> std::io::Result<Message> {
    let mut id = [0; 2];
    getrandom::fill(&mut id).map_err(std::io::Error::other)?;
    let mut query = vec![id[0], id[1], 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    query.extend_from_slice(name.wire());
    query.extend_from_slice(&number.to_be_bytes());
    query.extend_from_slice(&[0, 1, 0, 0, OPT as u8, 4, 208, 0, 0, 0, 0, 0, 0]); // 1232 octets
    let local: SocketAddr = match server {
        SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        SocketAddr::V6(_) => ([0u16; 8], 0).into(),
    };
    let socket = UdpSocket::bind(local)?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send(&query)?;
    let mut buffer = vec![0; 4096];
    let length = socket.recv(&mut buffer)?;
    let read = |bytes: &[u8]| Message::from_vec(bytes).map_err(std::io::Error::other);
    let answer = read(&buffer[..length])?;
    if !answer.metadata.truncation {
        return Ok(answer);
    }
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = query.len() as u16; // at most 285
    stream.write_all(&[&length.to_be_bytes()[..], &query].concat())?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer)?;
    read(&answer)
}
