//! What is wrong with a file, and where.

use std::fmt;

use serde_json::{Value, json};

use crate::guard::Place;

/// Faults that are kept with their text; of more there is only the number.
const KEPT: usize = 200;

/// One fault.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    /// Where, if that is known.
    pub place: Option<Place>,
    /// What.
    pub text: String,
    /// Whether the whole file is refused for it; otherwise only a part is left out.
    pub fatal: bool,
}

impl Fault {
    /// One for which the whole is refused.
    pub fn fatal(place: impl Into<Option<Place>>, text: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            text: text.into(),
            fatal: true,
        }
    }

    /// One for which a part is left out.
    pub fn part(place: impl Into<Option<Place>>, text: impl Into<String>) -> Self {
        Self {
            fatal: false,
            ..Self::fatal(place, text)
        }
    }

    /// The document of `guifi-portal check --json`.
    #[must_use]
    pub fn document(&self) -> Value {
        json!({
            "line": self.place.map(|p| p.line),
            "column": self.place.map(|p| p.column),
            "fatal": self.fatal,
            "text": self.text,
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = self.place {
            write!(f, "line {}, column {}: ", place.line, place.column)?;
        }
        f.write_str(&self.text)
    }
}

/// Faults of a file that cost a part of it.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// The first of them.
    pub list: Vec<Fault>,
    /// Of all.
    pub count: u64,
}

impl Faults {
    /// Adds one.
    pub fn add(&mut self, place: impl Into<Option<Place>>, text: impl Into<String>) {
        self.count += 1;
        if self.list.len() < KEPT {
            self.list.push(Fault::part(place, text));
        }
    }
}

/// What is quoted of a file: short, and nothing a terminal would obey.
#[must_use]
pub fn quote(text: &str) -> String {
    let mut short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!(
        "'{}'",
        guifi_core::terminal::tame(&short).replace('\n', " ")
    )
}
