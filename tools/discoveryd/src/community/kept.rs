//! Records as they are kept: small, because every box keeps those of all others.

use std::sync::Arc;

use serde_json::Value;

use crate::config::MAX_IMPORTS;

/// Addresses of a machine that are looked at.
const MAX_ADDRESSES: usize = 32;

/// An owner of records: its standing, its `box` record, its services.
#[derive(Debug, Default)]
pub(super) struct Owner {
    pub(super) name: Box<str>,
    pub(super) zone: Box<str>,
    pub(super) stale: bool,
    pub(super) own: bool,
    pub(super) seen_at: Option<Box<str>>,
    pub(super) record: Option<Record>,
    /// In the order of their records' names.
    pub(super) services: Vec<Service>,
}

/// What is needed of a `box` record.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) addresses: Box<[Box<str>]>,
    pub(super) imports: Box<[Box<str>]>,
}

/// What is needed of a `service` record.
#[derive(Debug)]
pub(super) struct Service {
    /// Name of the record.
    record: Box<str>,
    pub(super) instance: Box<str>,
    pub(super) r#type: Arc<str>,
    pub(super) port: Option<u16>,
    pub(super) healthy: bool,
    pub(super) txt: Box<[Box<str>]>,
    pub(super) host: Option<Box<Machine>>,
}

/// The machine of a service that is not on the box itself.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) name: Option<Box<str>>,
    pub(super) addresses: Option<Box<[Box<str>]>>,
}

/// A text in a document, or nothing.
pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_default()
}

fn texts(value: &Value, pointer: &str, most: usize) -> Option<Box<[Box<str>]>> {
    let list = value.pointer(pointer)?.as_array()?;
    let texts = list.iter().filter_map(Value::as_str);
    Some(texts.take(most).map(Into::into).collect())
}

impl Owner {
    /// Takes the standing that a line tells.
    pub(super) fn stand(&mut self, line: &Value) {
        // Most lines of one owner say the same.
        for (kept, pointer) in [
            (&mut self.name, "/owner_name"),
            (&mut self.zone, "/owner_zone"),
        ] {
            let told = text(line, pointer);
            if **kept != *told {
                *kept = told.into();
            }
        }
        let seen = line.get("seen_at").and_then(Value::as_str);
        if self.seen_at.as_deref() != seen {
            self.seen_at = seen.map(Into::into);
        }
        self.stale = text(line, "/state") == "stale";
        self.own = line.get("own") == Some(&Value::Bool(true));
    }

    pub(super) fn put(&mut self, service: Service) {
        match self.find(&service.record) {
            Ok(at) => self.services[at] = service,
            Err(at) => {
                // Most owners have few services, and there are many owners.
                self.services.reserve_exact(1);
                self.services.insert(at, service);
            }
        }
    }

    pub(super) fn forget(&mut self, kind: &str, name: &str) {
        if kind == "box" {
            self.record = None;
        } else if let Ok(at) = self.find(name) {
            self.services.remove(at);
        }
    }

    fn find(&self, record: &str) -> Result<usize, usize> {
        self.services.binary_search_by(|s| (*s.record).cmp(record))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.record.is_none() && self.services.is_empty()
    }
}

impl Record {
    pub(super) fn read(line: &Value) -> Self {
        let texts = |pointer, most| texts(line, pointer, most).unwrap_or_default();
        Self {
            addresses: texts("/body/spine/addresses", MAX_ADDRESSES),
            imports: texts("/body/discovery/import", MAX_IMPORTS),
        }
    }
}

impl Service {
    pub(super) fn read(record: &str, r#type: Arc<str>, line: &Value) -> Self {
        let number = line.pointer("/body/port").and_then(Value::as_u64);
        let healthy = line.pointer("/body/healthy").and_then(Value::as_bool);
        let host = line.pointer("/body/host").filter(|h| h.is_object());
        Self {
            record: record.into(),
            instance: text(line, "/body/instance").into(),
            r#type,
            port: number.and_then(|n| n.try_into().ok()),
            healthy: healthy.unwrap_or(true),
            txt: texts(line, "/body/txt", usize::MAX).unwrap_or_default(),
            host: host.map(|host| {
                let name = host.get("name").and_then(Value::as_str);
                Box::new(Machine {
                    name: name.map(Into::into),
                    addresses: texts(host, "/addresses", MAX_ADDRESSES),
                })
            }),
        }
    }
}
