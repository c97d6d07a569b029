//! `guifi-dns log`: questions as they come.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write};
use std::os::fd::OwnedFd;

use guifi_bus::{DnsAdminProxy, block_on, connect};
use guifi_core::Error;
use serde_json::Value;

use super::text;

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
