//! The front door: `guifi X …` runs `guifi-X …`; `guifi` alone lists what is installed.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use guifi_core::{Error, Root};

/// Where the commands are.
const COMMANDS: [&str; 2] = ["/usr/bin", "/usr/local/bin"];
/// Where their manuals are.
const MANUALS: &str = "/usr/share/man/man1";

/// Entry of the program.
#[must_use]
pub fn main() -> ExitCode {
    guifi_core::run("guifi", || {
        run(env::args_os().skip(1).collect(), &Root::from_env())
    })
}

fn run(mut arguments: Vec<OsString>, root: &Root) -> Result<(), Error> {
    let first = arguments
        .first()
        .and_then(|a| a.to_str())
        .unwrap_or_default()
        .to_owned();
    match first.as_str() {
        "" | "--help" | "-h" | "help" => list(root),
        "--version" | "-V" => print(&format!("guifi {}\n", env!("CARGO_PKG_VERSION"))),
        name => {
            arguments.remove(0);
            Err(execute(name, &arguments, root))
        }
    }
}

/// Becomes `guifi-NAME`; returns only if that fails.
fn execute(name: &str, arguments: &[OsString], root: &Root) -> Error {
    let valid = name
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let found = COMMANDS
        .iter()
        .map(|directory| root.join(directory).join(format!("guifi-{name}")))
        .find(|path| valid && path.is_file());
    let Some(path) = found else {
        return Error::usage(format!("there is no command 'guifi {name}'"))
            .hint("'guifi' alone lists what is installed");
    };
    let error = Command::new(&path).args(arguments).exec();
    Error::failed(format!("cannot run {}: {error}", path.display()))
}

/// Lists every installed command with the line that its manual gives it.
fn list(root: &Root) -> Result<(), Error> {
    let commands = installed(root);
    let width = commands.keys().map(String::len).max().unwrap_or(0);
    let mut text = "usage: guifi COMMAND …\n\n".to_owned();
    for (name, path) in &commands {
        let line = summary(
            root,
            &path.file_name().unwrap_or_default().to_string_lossy(),
        );
        text.push_str(format!("  {name:width$}  {line}").trim_end());
        text.push('\n');
    }
    text.push_str("\n'guifi COMMAND --help' and 'man guifi-COMMAND' say more.\n");
    print(&text)
}

fn installed(root: &Root) -> BTreeMap<String, PathBuf> {
    COMMANDS
        .iter()
        .filter_map(|directory| std::fs::read_dir(root.join(directory)).ok())
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry
                .file_name()
                .to_str()?
                .strip_prefix("guifi-")?
                .to_owned();
            Some((name, entry.path()))
        })
        .collect()
}

/// The description in a manual's NAME section (mdoc `.Nd`); empty if there is none.
fn summary(root: &Root, command: &str) -> String {
    let page = root.join(MANUALS).join(format!("{command}.1"));
    let zipped = page.with_extension("1.gz");
    let text = std::fs::read_to_string(&page)
        .ok()
        .or_else(|| unzip(&zipped));
    let text = text.unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix(".Nd "))
        .unwrap_or_default()
        .to_owned()
}

fn unzip(path: &Path) -> Option<String> {
    if !path.is_file() {
        return None;
    }
    // gzip is essential on Debian; no library is linked for a help text.
    let output = Command::new("gzip")
        .arg("-dc")
        .arg(path)
        .stderr(Stdio::null())
        .output()
        .ok()?;
    String::from_utf8(output.stdout).ok()
}

fn print(text: &str) -> Result<(), Error> {
    io::stdout()
        .lock()
        .write_all(text.as_bytes())
        .map_err(Error::stdout)
}
