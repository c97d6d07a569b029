//! `guifi-dns log` and `guifi-dns stats`: questions as they come, and their numbers.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write};
use std::os::fd::OwnedFd;

use guifi_bus::{DnsAdminProxy, block_on, connect};
use guifi_core::Error;
use serde_json::{Value, json};
use zbus::fdo::DBusProxy;

use super::{list, text};
use crate::stats::memory;

/// Prints questions until the time is over: seconds, and one of how many.
pub(super) fn log(
    as_json: bool,
    [seconds, sample]: [u32; 2],
    client: &str,
    name: &str,
    out: &mut impl Write,
) -> Result<(), Error> {
    let attempt = |e| guifi_bus::error("cannot show questions", e);
    let stream = block_on(async {
        let admin = DnsAdminProxy::new(&connect().await?)
            .await
            .map_err(attempt)?;
        let stream = admin.log_queries(seconds, sample, client, name).await;
        stream.map_err(attempt)
    })?;
    let lines = BufReader::new(File::from(OwnedFd::from(stream))).lines();
    for line in lines {
        let line = line.map_err(|e| Error::failed(format!("cannot read a question: {e}")))?;
        let printed = if as_json {
            writeln!(out, "{line}")
        } else {
            writeln!(out, "{}", row(&line))
        };
        printed.and_then(|()| out.flush()).map_err(Error::stdout)?;
    }
    Ok(())
}

/// A question for people; what is not JSON stays as it is.
fn row(line: &str) -> String {
    let Ok(question) = serde_json::from_str::<Value>(line) else {
        return line.to_owned();
    };
    let fields = ["client", "name", "type", "transport", "outcome"];
    let row = fields.map(|field| text(&question[field])).join(" ");
    match question["lost"].as_u64() {
        Some(lost) => format!("({lost} questions not shown)\n{row}"),
        None => row,
    }
}

/// The numbers in the description of the daemon, and its memory.
pub(super) fn numbers(d: &Value) -> Result<Value, Error> {
    let process = block_on(async {
        let connection = connect().await?;
        let attempt = |e| guifi_bus::error("cannot find guifi-dnsd", e);
        let bus = DBusProxy::new(&connection).await.map_err(attempt)?;
        let name = guifi_bus::DNS.name.try_into();
        let process = bus
            .get_connection_unix_process_id(name.map_err(attempt)?)
            .await;
        process.map_err(|e| attempt(e.into()))
    })?;
    let mut upstreams = d["upstreams"]["health"].clone();
    if upstreams.is_null() {
        upstreams = json!([]);
    }
    Ok(json!({
        "counters": d["counters"], "transports": d["transports"], "types": d["types"],
        "cache": d["cache"], "upstreams": upstreams,
        "zones": list(&d["zones"]).count() + list(&d["hosted"]).count(),
        "memory_bytes": memory(&process.to_string()),
    }))
}

/// The same for people; what is zero is left out of lists.
pub(super) fn stats(d: &Value) -> String {
    let some = |members: &Value| {
        let members = members.as_object().into_iter().flatten();
        let some = members.filter(|(_, n)| n.as_f64() != Some(0.0));
        let some: Vec<_> = some.map(|(name, n)| format!("{n} {name}")).collect();
        if some.is_empty() {
            "none".to_owned()
        } else {
            some.join(", ")
        }
    };
    let mut lines = vec![
        format!("counters   {}", some(&d["counters"])),
        format!("transports {}", some(&d["transports"])),
        format!("types      {}", some(&d["types"]).to_uppercase()),
        format!("cache      {}", some(&d["cache"])),
    ];
    for upstream in list(&d["upstreams"]) {
        let (server, state) = (text(&upstream["server"]), text(&upstream["state"]));
        let latency = upstream["latency_ms"].as_f64();
        let latency = latency.map_or_else(String::new, |ms| format!(" in {ms:.1} ms"));
        let (answers, failures) = (&upstream["answers"], &upstream["failures"]);
        lines.push(format!(
            "upstream   {server} {state}, {answers} answers{latency}, {failures} failures"
        ));
    }
    lines.push(format!("zones      {}", d["zones"]));
    if let Some(memory) = d["memory_bytes"].as_u64() {
        let tenths = memory * 10 / (1 << 20);
        lines.push(format!("memory     {}.{} MiB", tenths / 10, tenths % 10));
    }
    lines.join("\n") + "\n"
}
