//! Signatures of release files, checked by the program that Debian checks them with: `sqv`, or
//! `gpgv` before Debian 13. A program and no library: it is what APT on the same box trusts, it
//! gets Debian's security updates, and it reads hostile input in a process of its own.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use guifi_core::Error;

/// The programs, the better one first.
const SQV: &str = "/usr/bin/sqv";
const GPGV: &str = "/usr/bin/gpgv";

/// Returns the text that a key of `keyring` has signed, without anything around it.
///
/// # Errors
/// [`guifi_core::Kind::Failed`] if there is no good signature, or no program to check it.
pub(crate) fn signed_text(keyring: &Path, inrelease: &[u8]) -> Result<String, Error> {
    let failed =
        |e: &dyn std::fmt::Display| Error::failed(format!("cannot check the signature: {e}"));
    if !keyring.exists() {
        return Err(failed(&format!("there is no {}", keyring.display()))
            .hint("install guifi-archive-keyring"));
    }
    let directory = tempfile::tempdir().map_err(|e| failed(&e))?;
    let (input, output) = (directory.path().join("in"), directory.path().join("out"));
    fs::write(&input, inrelease).map_err(|e| failed(&e))?;
    let with_sqv = Path::new(SQV).exists();
    let mut command = Command::new(if with_sqv { SQV } else { GPGV });
    if with_sqv {
        command
            .arg("--keyring")
            .arg(keyring)
            .arg("--output")
            .arg(&output);
        command.arg("--cleartext").arg(&input);
    } else {
        command.args(["--status-fd", "1", "--keyring"]).arg(keyring);
        command.arg("--output").arg(&output).arg(&input);
    }
    let done = command
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .map_err(|e| failed(&e).hint("install sqv or gpgv"))?;
    if !(if with_sqv {
        done.status.success()
    } else {
        is_good(&done)
    }) {
        return Err(Error::failed(
            "the signature is not of a key that is trusted here",
        ));
    }
    fs::read_to_string(&output).map_err(|e| failed(&e))
}

/// Whether gpgv found a good signature, not with a weak sum, and none that is wrong. Its exit
/// status is no answer: it is a failure also if there is one more, by a key not known yet.
fn is_good(done: &Output) -> bool {
    let text = String::from_utf8_lossy(&done.stdout);
    let has = |word: &str| {
        text.lines().any(|line| {
            line.strip_prefix("[GNUPG:] ")
                .is_some_and(|rest| rest.split(' ').next() == Some(word))
        })
    };
    // VALIDSIG: fingerprint, date, time, expiry, version, reserved, key's algorithm, and the
    // sum's: SHA-256 and larger are 8 to 11.
    let strong = text
        .lines()
        .filter(|line| line.starts_with("[GNUPG:] VALIDSIG "))
        .all(|line| {
            line.split(' ')
                .nth(9)
                .is_some_and(|sum| ["8", "9", "10", "11"].contains(&sum))
        });
    has("GOODSIG") && has("VALIDSIG") && strong && !has("BADSIG")
}
