//! What people read: tables and listings.

use guifi_core::Error;
use serde_json::Value;

use super::text;

/// One JSON document a line.
pub(crate) fn lines(records: &[Value]) -> String {
    records.iter().map(|r| format!("{r}\n")).collect()
}

/// A document as it came, or as `member: value` lines.
pub(super) fn whole(json: bool, document: &str) -> Result<String, Error> {
    if json {
        return Ok(format!("{document}\n"));
    }
    let value: Value = serde_json::from_str(document)
        .map_err(|e| Error::failed(format!("cannot read the answer: {e}")))?;
    let mut out = String::new();
    listing(&value, 0, &mut out);
    Ok(out)
}

fn listing(value: &Value, depth: usize, out: &mut String) {
    let Value::Object(map) = value else { return };
    for (key, value) in map {
        let indent = "  ".repeat(depth);
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                out.push_str(&format!("{indent}{key}:\n"));
                listing(value, depth + 1, out);
            }
            other => out.push_str(&format!("{indent}{key}: {}\n", plain(other))),
        }
    }
}

/// A value without quotes, and without what a terminal would obey.
pub(super) fn plain(value: &Value) -> String {
    let text = match value {
        Value::String(s) => s.clone(),
        Value::Null => "-".to_owned(),
        Value::Array(list) => list.iter().map(plain).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    };
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |c: usize| rows.iter().map(|r| r[c].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, w)| format!("{cell:w$}"))
            .collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}

fn place(record: &Value) -> String {
    match (text(record, "owner_name"), text(record, "owner_zone")) {
        (name, "") => name.to_owned(),
        (name, zone) => format!("{name}.{zone}"),
    }
}

/// A table of members of objects, each under its head.
fn columns(objects: &[Value], columns: &[(&str, &str)]) -> String {
    let head = columns.iter().map(|(head, _)| (*head).to_owned()).collect();
    let rows = objects.iter().map(|o| {
        columns
            .iter()
            .map(|(_, member)| plain(&o[*member]))
            .collect()
    });
    aligned(
        &std::iter::once(head)
            .chain(rows)
            .collect::<Vec<Vec<String>>>(),
    )
}

/// Invitations.
pub(crate) fn invitations(list: &[Value]) -> String {
    columns(
        list,
        &[
            ("NUMBER", "number"),
            ("STATE", "state"),
            ("USED", "used"),
            ("OF", "uses"),
            ("UNTIL", "expires_at"),
            ("KEY", "key"),
            ("BY", "by"),
        ],
    )
}

/// Who waits at the door.
pub(super) fn waiting(requests: &[Value]) -> String {
    columns(
        requests,
        &[
            ("NAME", "name"),
            ("ZONE", "zone"),
            ("SEEN AT", "address"),
            ("SINCE", "first_asked_at"),
            ("KEY", "key"),
        ],
    )
}

/// Administrators, the highest rank first.
pub(super) fn administrators(found: &[Value]) -> String {
    columns(
        found,
        &[
            ("RANK", "rank"),
            ("BOX", "name"),
            ("ZONE", "zone"),
            ("STATE", "state"),
            ("KEY", "key"),
        ],
    )
}

/// Records of any kind.
pub(super) fn records(records: &[Value]) -> String {
    let head = ["KIND", "BOX", "NAME", "STATE", "WRITTEN"]
        .map(str::to_owned)
        .to_vec();
    let rows = records.iter().map(|r| {
        vec![
            text(r, "kind").to_owned(),
            place(r),
            plain(&r["name"]),
            text(r, "state").to_owned(),
            text(r, "written_at").to_owned(),
        ]
    });
    aligned(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
}

/// Changes of records, one a line.
pub(super) fn changes(records: &[Value]) -> String {
    records
        .iter()
        .map(|r| {
            if r.get("removed").is_some() {
                format!("- {} {}\n", text(r, "kind"), plain(&r["name"]))
            } else {
                format!(
                    "+ {} {} {} {}\n",
                    text(r, "kind"),
                    place(r),
                    plain(&r["name"]),
                    text(r, "state")
                )
            }
        })
        .collect()
}

/// The boxes of the community.
pub(super) fn boxes(records: &[Value]) -> String {
    let head = ["BOX", "ZONE", "STATE", "SEEN", "ADDRESSES", "KEY"]
        .map(str::to_owned)
        .to_vec();
    let rows = records.iter().map(|r| {
        vec![
            text(r, "owner_name").to_owned(),
            text(r, "owner_zone").to_owned(),
            text(r, "state").to_owned(),
            text(r, "seen_at").to_owned(),
            plain(r.pointer("/body/spine/addresses").unwrap_or(&Value::Null)),
            text(r, "owner").to_owned(),
        ]
    });
    aligned(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
}
