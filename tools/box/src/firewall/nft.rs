//! Asking nft(8) for the rules, with patience and for so much.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use guifi_core::Root;

use super::Firewall;

/// The program.
const NFT: &str = "/usr/sbin/nft";
/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The largest ruleset that is read, in bytes.
const MAX_BYTES: u64 = 16 << 20;

/// Looks at the rules of this machine, as far as it may; blocks.
pub(crate) fn look(root: &Root) -> Firewall {
    let program = root.join(NFT);
    if !program.is_file() {
        return Firewall::NotSeen;
    }
    if !rustix::process::geteuid().is_root() {
        return Firewall::Hidden;
    }
    let spawned = Command::new(program)
        .args(["-j", "list", "ruleset"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = spawned else {
        return Firewall::NotSeen;
    };
    let (tell, told) = mpsc::channel();
    if let Some(output) = child.stdout.take() {
        std::thread::spawn(move || {
            let mut text = Vec::new();
            let read = output.take(MAX_BYTES + 1).read_to_end(&mut text);
            // Nobody waits any more if it came too late.
            let _ = tell.send(read.map(|_| text));
        });
    }
    let text = told.recv_timeout(PATIENCE);
    // It is over already, or is to be.
    let _ = child.kill();
    let _ = child.wait();
    match text {
        Ok(Ok(text)) if text.len() as u64 <= MAX_BYTES => {
            serde_json::from_slice(&text).map_or(Firewall::NotSeen, Firewall::Rules)
        }
        _ => Firewall::NotSeen,
    }
}
