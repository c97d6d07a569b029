//! What is at a place.

use guifi_core::terminal::{print, tame};
use guifi_core::{Error, Kind};
use hyper::Method;
use serde_json::{Map, Value, json};

use super::Session;
use super::place::Place;

/// A file or directory, as the gateway describes it.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) is_directory: bool,
    pub(super) about: Map<String, Value>,
}

impl Node {
    /// Reads `[kind, {…}]`.
    pub(super) fn read(value: &Value) -> Option<Self> {
        Some(Self {
            is_directory: value.get(0)?.as_str()? == "dirnode",
            about: value.get(1)?.as_object()?.clone(),
        })
    }

    /// The strongest cap that there is.
    pub(super) fn cap(&self) -> Option<&str> {
        let text = |name: &str| self.about.get(name).and_then(Value::as_str);
        text("rw_uri").or(text("ro_uri"))
    }

    /// The entries of a directory.
    pub(super) fn children(&self) -> Vec<(String, Node)> {
        let children = self.about.get("children").and_then(Value::as_object);
        let children = children.into_iter().flatten();
        children
            .filter_map(|(name, child)| Some((name.clone(), Self::read(child)?)))
            .collect()
    }
}

/// Asks for what is at a place.
pub(super) async fn node(session: &Session, place: &Place) -> Result<Node, Error> {
    let address = format!("{}?t=json", place.address());
    let value = session.client.json(Method::GET, &address).await?;
    Node::read(&value).ok_or_else(|| Error::failed("cannot read the answer of the gateway"))
}

/// The same; nothing if nothing is there.
pub(super) async fn find(session: &Session, place: &Place) -> Result<Option<Node>, Error> {
    match node(session, place).await {
        Ok(node) => Ok(Some(node)),
        // The gateway's words for what is not there.
        Err(e) if e.kind() == Kind::Failed && e.to_string().contains("there is nothing called") => {
            Ok(None)
        }
        Err(e) => Err(e),
    }
}

/// Whether a directory is at a place.
pub(super) async fn is_directory(session: &Session, place: &Place) -> Result<bool, Error> {
    Ok(find(session, place)
        .await?
        .is_some_and(|node| node.is_directory))
}

/// Lists a directory, or shows a file.
pub(super) async fn list(session: &Session, text: &str, caps: bool) -> Result<(), Error> {
    let place = session.place(text)?;
    let found = node(session, &place).await?;
    let entries = if found.is_directory {
        found.children()
    } else {
        vec![(place.name().unwrap_or("-").to_owned(), found)]
    };
    let lines = entries.iter().map(|(name, node)| {
        if session.json {
            format!("{}\n", document(name, node))
        } else {
            line(name, node, caps)
        }
    });
    print(&lines.collect::<String>())
}

fn document(name: &str, node: &Node) -> Value {
    json!({
        "name": name,
        "type": if node.is_directory { "directory" } else { "file" },
        "size_bytes": node.about.get("size"),
        "mutable": node.about.get("mutable"),
        "linked": linked(node),
        "cap": node.cap(),
    })
}

/// When it was linked, as RFC 3339 has times.
fn linked(node: &Node) -> Option<String> {
    let seconds = node
        .about
        .get("metadata")?
        .pointer("/tahoe/linkmotime")?
        .as_f64()?;
    // Whole seconds are enough; what is beyond the calendar is left out.
    let time = jiff::Timestamp::from_second(seconds as i64).ok()?;
    Some(time.to_string())
}

fn line(name: &str, node: &Node, caps: bool) -> String {
    let size = match node.about.get("size").and_then(Value::as_u64) {
        Some(size) => size.to_string(),
        None => "-".into(),
    };
    let slash = if node.is_directory { "/" } else { "" };
    let time = linked(node).unwrap_or_else(|| "-".into());
    let cap = node
        .cap()
        .filter(|_| caps)
        .map(|cap| format!("  {}", tame(cap)));
    format!(
        "{size:>12}  {time:<20}  {}{slash}{}\n",
        tame(name),
        cap.unwrap_or_default()
    )
}
