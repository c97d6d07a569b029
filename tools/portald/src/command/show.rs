//! Answers for people.

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;

use crate::keeper::summary;

/// A value in words, or a dash.
fn word(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) if text.is_empty() => "-".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Columns as wide as their widest cell.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |at: usize| {
        rows.iter()
            .filter_map(|row| row.get(at))
            .map(|cell| cell.chars().count())
            .max()
    };
    let widths: Vec<usize> = (0..columns).filter_map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

/// Seconds as people count them.
fn age(seconds: &Value) -> String {
    match seconds.as_u64() {
        None => "-".into(),
        Some(s) if s < 120 => format!("{s} s"),
        Some(s) if s < 7200 => format!("{} min", s / 60),
        Some(s) if s < 48 * 3600 => format!("{} h", s / 3600),
        Some(s) => format!("{} days", s / 86400),
    }
}

pub(super) fn status(document: &Value) -> String {
    let mut rows = vec![
        ["WHAT", "AGE", "ENTRIES", "NEXT", "STATE"]
            .map(String::from)
            .to_vec(),
    ];
    let fetching = document["fetching"].as_str();
    for source in list(&document["sources"]) {
        let what = match (word(&source["what"]), &source["id"]) {
            (what, id) if what != "addresses" => format!("{what}/{id}"),
            (what, _) => what,
        };
        let state = match (source["error"].as_str(), source["configured"].as_bool()) {
            _ if fetching == Some(what.as_str()) => "being fetched".to_owned(),
            (Some(error), _) => format!("failed: {error}"),
            (None, Some(false)) => "not fetched any more, or imported".into(),
            (None, _) if source["checked"].is_null() => "not fetched yet".into(),
            (None, _) => "ok".into(),
        };
        let next = word(&source["next"]);
        // One that is due at once has a time long past.
        let next = if next.starts_with("1970") {
            "now".into()
        } else {
            next.split('.').next().unwrap_or_default().to_owned()
        };
        rows.push(vec![
            what,
            age(&source["age_seconds"]),
            word(&source["entries"]),
            next,
            state,
        ]);
    }
    let quiet = match document["configured"].as_bool() {
        Some(false) => "\nnothing to fetch is configured: /etc/guifi/portald.toml\n",
        _ => "",
    };
    format!(
        "portal  {}\n\n{}{quiet}",
        word(&document["portal"]),
        table(&rows)
    )
}

pub(super) fn zones(lines: &[Value]) -> String {
    let mut depths: HashMap<u64, usize> = HashMap::new();
    let mut rows = Vec::new();
    for zone in lines {
        let parent = zone["parent"].as_u64();
        let depth = parent
            .and_then(|parent| depths.get(&parent))
            .map_or(0, |depth| depth + 1);
        depths.insert(zone["id"].as_u64().unwrap_or_default(), depth);
        rows.push(vec![
            format!("{}{}", "  ".repeat(depth), word(&zone["title"])),
            word(&zone["id"]),
            format!("{} nodes", zone["nodes"]),
        ]);
    }
    table(&rows)
}

fn path(zone: &Value) -> String {
    let path: Vec<String> = list(&zone["path"]).map(word).collect();
    format!("{} ({})", word(&zone["title"]), path.join(" › "))
}

pub(super) fn zone(document: &Value) -> String {
    format!(
        "{}\nnode {}, device {}\n",
        path(document),
        document["node"],
        document["device"]
    )
}

pub(super) fn node(document: &Value) -> String {
    let mut text = format!(
        "{} {} {}\nzone      {}\nplace     {}, {}\nknown     as of {}\n",
        word(&document["title"]),
        document["id"],
        word(&document["status"]),
        path(&document["zone"]),
        word(&document["latitude"]),
        word(&document["longitude"]),
        word(&document["checked"]),
    );
    for device in list(&document["devices"]) {
        let what = [
            word(&device["type"]),
            word(&device["status"]),
            word(&device["address"]),
        ];
        text += &format!(
            "device    {} {} {}\n",
            word(&device["title"]),
            device["id"],
            what.join(" ")
        );
        for radio in list(&device["radios"]) {
            text += &format!(
                "  radio   {} {} {}\n",
                radio["id"],
                word(&radio["mode"]),
                word(&radio["ssid"])
            );
        }
        for interface in list(&device["interfaces"]) {
            let about = [word(&interface["type"]), word(&interface["address"])].join(" ");
            text += &format!("  port    {} {about}\n", interface["id"]);
            for link in list(&interface["links"]) {
                let far = match &link["title"] {
                    Value::Null => format!("node {}", link["node"]),
                    title => word(title),
                };
                text += &format!(
                    "    link  {} {} {} to {far}\n",
                    link["id"],
                    word(&link["type"]),
                    word(&link["status"])
                );
            }
        }
        for service in list(&device["services"]) {
            let about = [word(&service["type"]), word(&service["status"])].join(" ");
            text += &format!(
                "  service {} {} {about}\n",
                word(&service["title"]),
                service["id"]
            );
        }
    }
    text
}

pub(super) fn services(lines: &[Value]) -> String {
    let keys = ["id", "title", "type", "status", "address", "zone", "node"];
    let mut rows = vec![keys.map(str::to_uppercase).to_vec()];
    rows.extend(
        lines
            .iter()
            .map(|line| keys.map(|key| word(&line[key])).to_vec()),
    );
    table(&rows)
}

pub(super) fn check(document: &Value, file: &Path) -> String {
    let file = file.display();
    let mut text = String::new();
    for fault in list(&document["faults"]) {
        let place = match (fault["line"].as_u64(), fault["column"].as_u64()) {
            (Some(line), Some(column)) => format!("line {line}, column {column}: "),
            _ => String::new(),
        };
        let cost = if fault["fatal"] == true {
            "refused"
        } else {
            "in part"
        };
        text += &format!("{file}: {cost}: {place}{}\n", word(&fault["text"]));
    }
    let shown = list(&document["faults"]).count() as u64;
    let more = document["fault_count"]
        .as_u64()
        .unwrap_or_default()
        .saturating_sub(shown);
    if more > 0 {
        text += &format!("{file}: and {more} more\n");
    }
    let what = match (
        document["what"].as_str(),
        document["class"].as_str(),
        document["id"].as_u64(),
    ) {
        (None, ..) => return text,
        (Some(what), Some(class), Some(id)) => format!("{what} ({class}) of {id}"),
        (Some(what), Some(class), None) => format!("{what} ({class})"),
        (Some(what), None, Some(id)) if id != 0 => format!("{what} of {id}"),
        (Some(what), ..) => what.to_owned(),
    };
    let held = match &document["held"]["internal"] {
        Value::Null => summary(&document["held"]),
        internal => format!(
            "{} inside; {} outside",
            summary(internal),
            summary(&document["held"]["external"])
        ),
    };
    let verdict = if document["sound"] == true {
        "sound"
    } else {
        "not sound"
    };
    text + &format!("{file}: {what}: {held}: {verdict}\n")
}
