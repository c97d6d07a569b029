//! Files and directories as JSON, in the forms of Tahoe's `t=json`.

use std::collections::BTreeMap;

use guifi_tahoe::cap::{Cap, Format, Object};
use guifi_tahoe::directory::{Entries, Entry};
use serde_json::{Map, Value, json};

use super::request::cap;
use crate::directory::{self, Link};
use crate::problem::Problem;

/// A file or directory without its entries.
pub(crate) fn node(
    write: Option<&Cap>,
    read: Option<&Cap>,
    size: Option<u64>,
) -> (&'static str, Map<String, Value>) {
    let mut about = Map::new();
    let strongest = write.or(read);
    let kind = match strongest {
        Some(Cap::File(object)) => {
            about.insert("mutable".into(), object.is_mutable().into());
            about.insert("format".into(), format(object).into());
            let size = size.or(length(object));
            about.extend(size.map(|size| ("size".into(), size.into())));
            "filenode"
        }
        Some(Cap::Directory(object)) => {
            about.insert("mutable".into(), object.is_mutable().into());
            "dirnode"
        }
        Some(Cap::Unknown(_)) | None => "unknown",
    };
    let is_write = |cap: &&Cap| cap.object().is_none_or(Object::may_write);
    let texts = [
        ("rw_uri", write.filter(is_write).map(ToString::to_string)),
        ("ro_uri", read.map(ToString::to_string)),
        (
            "verify_uri",
            strongest
                .and_then(Cap::to_verifier)
                .map(|cap| cap.to_string()),
        ),
    ];
    let present = texts
        .into_iter()
        .filter_map(|(name, text)| Some((name.to_owned(), text?.into())));
    about.extend(present);
    (kind, about)
}

/// What a cap alone tells.
pub(crate) fn of_cap(cap: &Cap, size: Option<u64>) -> (&'static str, Map<String, Value>) {
    let write = cap.object().is_some_and(Object::may_write).then_some(cap);
    let read = cap.to_readonly().unwrap_or_else(|| cap.clone());
    node(write, Some(&read), size)
}

/// A directory with its entries.
pub(crate) fn listing(cap: &Cap, entries: &Entries) -> Value {
    let (kind, mut about) = of_cap(cap, None);
    let children: Map<String, Value> = entries
        .iter()
        .map(|(name, entry)| (name.clone(), child(entry)))
        .collect();
    about.insert("children".into(), children.into());
    json!([kind, about])
}

fn child(entry: &Entry) -> Value {
    let (kind, mut about) = node(entry.write.as_ref(), entry.read.as_ref(), None);
    about.insert("metadata".into(), metadata(entry));
    json!([kind, about])
}

/// The metadata of an entry.
pub(crate) fn metadata(entry: &Entry) -> Value {
    serde_json::from_str(&entry.metadata).unwrap_or_else(|_| json!({}))
}

fn format(object: &Object) -> &'static str {
    let format = match object {
        Object::Write(cap) => cap.format,
        Object::Read(cap) => cap.format,
        Object::Verifier(cap) => cap.format,
        Object::Literal(_) | Object::Chk(_) | Object::ChkVerifier(_) => return "CHK",
    };
    match format {
        Format::Sdmf => "SDMF",
        Format::Mdmf => "MDMF",
    }
}

fn length(object: &Object) -> Option<u64> {
    match object {
        Object::Literal(bytes) => Some(bytes.len() as u64),
        Object::Chk(cap) => Some(cap.size),
        Object::ChkVerifier(cap) => Some(cap.size),
        _ => None,
    }
}

/// New entries from the JSON of `t=set_children` and `t=mkdir-with-children`.
///
/// # Errors
/// If it has not that form, or a cap is none.
pub(crate) fn links(text: &[u8]) -> Result<BTreeMap<String, Link>, Problem> {
    if text.iter().all(u8::is_ascii_whitespace) {
        return Ok(BTreeMap::new());
    }
    let wrong =
        |why: String| Problem::bad(format!("the children are not as they should be: {why}"));
    let children: BTreeMap<String, (String, Map<String, Value>)> =
        serde_json::from_slice(text).map_err(|e| wrong(e.to_string()))?;
    let link = |(name, (_, about)): (String, (String, Map<String, Value>))| {
        let name = directory::checked(&name)?;
        let text = |key: &str| about.get(key).and_then(Value::as_str);
        let given = text("rw_uri")
            .or(text("ro_uri"))
            .ok_or_else(|| wrong(format!("'{name}' has neither rw_uri nor ro_uri")))?;
        let metadata = about.get("metadata").and_then(Value::as_object).cloned();
        Ok((
            name,
            Link {
                cap: cap(given)?,
                metadata,
            },
        ))
    };
    children.into_iter().map(link).collect()
}
