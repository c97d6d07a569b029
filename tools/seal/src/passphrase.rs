//! The passphrase: from a file, or typed on the terminal, where it is not shown.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::fd::AsFd as _;
use std::path::Path;

use guifi_core::Error;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use guifi_core::terminal::{ask, is_interactive, say};

/// Octets of a passphrase at most.
const MAX_BYTES: u64 = 4096;

/// The passphrase; typed twice if it is a new one.
///
/// # Errors
/// [`guifi_core::Kind::Usage`] if there is none, [`guifi_core::Kind::Failed`] if two differ.
pub fn passphrase(file: Option<&Path>, new: bool) -> Result<String, Error> {
    if let Some(path) = file {
        return from_file(path);
    }
    if !is_interactive() {
        return Err(Error::usage("nobody is there to type the passphrase")
            .hint("write it into a file and name that: --passphrase-file FILE"));
    }
    let first = hidden("Passphrase")?;
    if new && hidden("The same again")? != first {
        return Err(Error::failed("the two passphrases differ"));
    }
    not_empty(first)
}

fn not_empty(passphrase: String) -> Result<String, Error> {
    if passphrase.is_empty() {
        return Err(Error::usage("the passphrase is empty"));
    }
    Ok(passphrase)
}

/// The first line of a file.
fn from_file(path: &Path) -> Result<String, Error> {
    let unreadable = |e: std::io::Error| {
        Error::usage(format!(
            "cannot read the passphrase from {}: {e}",
            path.display()
        ))
    };
    let mut line = String::new();
    let file = File::open(path).map_err(unreadable)?;
    BufReader::new(file.take(MAX_BYTES))
        .read_line(&mut line)
        .map_err(unreadable)?;
    // Blanks around it are not part of it, as when it is typed.
    not_empty(line.trim().to_owned())
}

/// An answer that the terminal does not echo.
fn hidden(question: &str) -> Result<String, Error> {
    let stdin = std::io::stdin();
    let failed = |e: rustix::io::Errno| Error::failed(format!("cannot hide what is typed: {e}"));
    let shown = tcgetattr(stdin.as_fd()).map_err(failed)?;
    let mut mute = shown.clone();
    mute.local_modes.remove(LocalModes::ECHO);
    tcsetattr(stdin.as_fd(), OptionalActions::Flush, &mute).map_err(failed)?;
    let answer = ask(question, "");
    let restored = tcsetattr(stdin.as_fd(), OptionalActions::Flush, &shown).map_err(failed);
    say(""); // the new line that was not echoed
    answer.and_then(|answer| restored.map(|()| answer))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use guifi_core::Kind;

    #[test]
    fn the_first_line_of_a_file_counts_and_must_not_be_empty() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("passphrase");
        for (text, found) in [
            (" a b\r\nsecond", Some("a b")),
            ("ä", Some("ä")),
            ("\nx", None),
        ] {
            std::fs::write(&path, text).unwrap();
            let read = passphrase(Some(&path), true);
            match found {
                Some(found) => assert_eq!(read.unwrap(), found),
                None => assert_eq!(read.unwrap_err().kind(), Kind::Usage),
            }
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(
            passphrase(Some(&path), false).unwrap_err().kind(),
            Kind::Usage
        );
    }
}
