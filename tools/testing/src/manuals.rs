//! Holds a manual against the code it describes, both ways.
//!
//! What the pages must look like (mdoc):
//! - an option is introduced by `.It Fl -LONG` (or `.It Fl s , Fl -LONG`), a subcommand by
//!   `.It Cm NAME`;
//! - a configuration key by `.It Ic KEY`, dotted for tables (`limit.streams`);
//! - a method, signal or property of a bus interface by `.It Ic NAME`;
//! - a member of a JSON document is a word of the page.
//!
//! `--help` and `--version` need no mention. Each function returns the faults it found, one
//! sentence each; a test asserts that there are none.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// The text of `man/PAGE`.
///
/// # Panics
/// If there is no such page: the test is to fail.
#[must_use]
pub fn page(name: &str) -> String {
    read(&format!("man/{name}"))
}

/// The text of `systemd/dbus-1/interfaces/NAME.xml`.
///
/// # Panics
/// If there is no such file.
#[must_use]
pub fn interface(name: &str) -> String {
    read(&format!("systemd/dbus-1/interfaces/{name}.xml"))
}

/// The text of `systemd/etc/guifi/TOOL.toml` with every key in force: `#key` and `#[table]` are
/// keys that are commented out, `# words` are comments.
///
/// # Panics
/// If there is no such file.
#[must_use]
pub fn example(tool: &str) -> String {
    read(&format!("systemd/etc/guifi/{tool}.toml"))
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(key) if !key.starts_with(' ') => format!("{key}\n"),
            _ => format!("{line}\n"),
        })
        .collect()
}

fn read(path: &str) -> String {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path);
    match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(e) => panic!("cannot read {}: {e}", file.display()),
    }
}

/// Options and subcommands of `command` against its page.
#[must_use]
pub fn command_faults(page: &str, command: &clap::Command) -> Vec<String> {
    let mut options = BTreeSet::new();
    let mut names = BTreeSet::new();
    collect(command, &mut options, &mut names);
    let written = |macro_: &str| -> BTreeSet<String> {
        items(page)
            .flat_map(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                words
                    .windows(2)
                    .filter(|w| w[0] == macro_)
                    .map(|w| w[1].to_owned())
                    .collect::<Vec<_>>()
            })
            .collect()
    };
    let flags = written("Fl")
        .into_iter()
        .filter_map(|f| f.strip_prefix('-').map(str::to_owned))
        .filter(|f| f != "help" && f != "version")
        .collect();
    let mut faults = differences("option", &options, &flags);
    faults.extend(differences("subcommand", &names, &written("Cm")));
    faults
}

/// Configuration keys (dotted) against the page.
#[must_use]
pub fn key_faults<'a>(page: &str, keys: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let keys = keys.into_iter().map(str::to_owned).collect();
    differences("key", &keys, &commands_of(page))
}

/// Members of all interfaces in `xml` against the page.
#[must_use]
pub fn member_faults(page: &str, xml: &str) -> Vec<String> {
    let members = ["<method name=\"", "<signal name=\"", "<property name=\""]
        .iter()
        .flat_map(|tag| xml.split(tag).skip(1))
        .filter_map(|rest| rest.split('"').next())
        .map(str::to_owned)
        .collect();
    differences("member", &members, &commands_of(page))
}

/// The members of a JSON document, however deep, against the page: each must be a word of it.
#[must_use]
pub fn document_faults(page: &str, document: &serde_json::Value) -> Vec<String> {
    let words = page
        .split(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'))
        .collect();
    let mut faults = BTreeSet::new();
    absent_members(&words, document, &mut faults);
    faults.into_iter().collect()
}

fn absent_members(
    words: &BTreeSet<&str>,
    document: &serde_json::Value,
    faults: &mut BTreeSet<String>,
) {
    use serde_json::Value::{Array, Object};
    match document {
        Object(members) => {
            for (name, value) in members {
                if !words.contains(name.as_str()) {
                    faults.insert(format!("member {name} is not in the manual"));
                }
                absent_members(words, value, faults);
            }
        }
        Array(list) => list.iter().for_each(|v| absent_members(words, v, faults)),
        _ => {}
    }
}

/// The lines that introduce a list item.
fn items(page: &str) -> impl Iterator<Item = &str> {
    page.lines().filter_map(|line| line.strip_prefix(".It "))
}

fn commands_of(page: &str) -> BTreeSet<String> {
    items(page)
        .filter_map(|item| item.strip_prefix("Ic "))
        .filter_map(|rest| rest.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

fn collect(command: &clap::Command, options: &mut BTreeSet<String>, names: &mut BTreeSet<String>) {
    for argument in command.get_arguments().filter(|a| !a.is_hide_set()) {
        match argument.get_long() {
            Some("help" | "version") | None => {}
            Some(long) => {
                options.insert(long.to_owned());
            }
        }
    }
    for sub in command.get_subcommands().filter(|s| !s.is_hide_set()) {
        names.insert(sub.get_name().to_owned());
        collect(sub, options, names);
    }
}

fn differences(what: &str, code: &BTreeSet<String>, page: &BTreeSet<String>) -> Vec<String> {
    let missing = code
        .difference(page)
        .map(|name| format!("{what} {name} is not in the manual"));
    let stale = page
        .difference(code)
        .map(|name| format!("{what} {name} is in the manual only"));
    missing.chain(stale).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_are_reported() {
        let page = ".It Ic port\n.It Ic gone Ar x\n";
        let faults = key_faults(page, ["port", "new"]);
        assert_eq!(
            faults,
            [
                "key new is not in the manual",
                "key gone is in the manual only"
            ]
        );
    }

    #[test]
    fn members_are_read_from_the_interface() {
        let xml = "<method name=\"Get\"><signal name=\"Changed\">";
        assert!(member_faults(".It Ic Get\n.It Ic Changed\n", xml).is_empty());
    }

    #[test]
    fn options_and_subcommands_are_walked() {
        let command = clap::Command::new("x")
            .arg(clap::Arg::new("json").long("json"))
            .subcommand(clap::Command::new("list"));
        let page = ".It Fl j , Fl -json\n.It Cm list\n";
        assert!(command_faults(page, &command).is_empty());
        assert_eq!(command_faults("", &command).len(), 2);
    }

    #[test]
    fn members_of_documents_are_words_of_the_page() {
        let document = serde_json::json!({"port": 1, "peers": [{"rtt_ms": 1, "gone": {}}]});
        let faults = document_faults("the .Sy port , .It Va peers of rtt_ms", &document);
        assert_eq!(faults, ["member gone is not in the manual"]);
    }
}
