//! Pages for people with a browser: what a directory has, and the grid in a few words.

use std::fmt::Write as _;

use guifi_tahoe::cap::Cap;
use guifi_tahoe::directory::Entries;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::directory;

/// What stays as it is in addresses.
pub(crate) const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// The entries of a directory, as links.
pub(crate) fn listing(cap: &Cap, entries: &Entries) -> String {
    let here = utf8_percent_encode(&cap.to_string(), PLAIN).to_string();
    let mut rows = String::new();
    for (name, entry) in entries {
        let slash = match directory::cap(entry) {
            Some(Cap::Directory(_)) => "/",
            _ => "",
        };
        let link = utf8_percent_encode(name, PLAIN);
        let shown = escape(name);
        // Writing to a text does not fail.
        let _ = writeln!(
            rows,
            "<li><a href=\"/uri/{here}/{link}\">{shown}{slash}</a></li>"
        );
    }
    page("Directory", &format!("<ul>\n{rows}</ul>"))
}

/// A page.
pub(crate) fn page(title: &str, content: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>{title}</title></head>\n<body>\n\
         <h1>{title}</h1>\n{content}\n</body></html>\n"
    )
}

/// Text that means nothing to a browser.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
