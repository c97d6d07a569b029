//! The daemons of the box, stopped while their files change.

use std::process::{Command, Output, Stdio};

use guifi_core::Error;

/// Units that are to run.
#[derive(Debug, Default)]
pub(crate) struct Units(Vec<String>);

impl Units {
    /// The units of ours that run, or try to: a restore may be what they need. None where systemd
    /// does not run: in a chroot, say.
    pub(crate) fn wanted() -> Self {
        let states = "--state=active,reloading,activating,failed";
        let words = ["list-units", "--plain", "--no-legend", states];
        let listed = systemctl(&words, &["guifi-*.service".into(), "guifi-*.socket".into()]);
        let listed = listed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        let names = listed.unwrap_or_default();
        let first = |line: &str| line.split_whitespace().next().map(str::to_owned);
        Self(names.lines().filter_map(first).collect())
    }

    /// Stops them.
    ///
    /// # Errors
    /// [`guifi_core::Kind::Failed`] with what systemctl says.
    pub(crate) fn stop(&self) -> Result<(), Error> {
        self.tell("stop")
    }

    /// Starts them, also those that something has started meanwhile.
    ///
    /// # Errors
    /// [`guifi_core::Kind::Failed`] with what systemctl says.
    pub(crate) fn start(&self) -> Result<(), Error> {
        if !self.0.is_empty() {
            // Those that have failed too often are tried again. It fails if there is none.
            let _ = systemctl(&["reset-failed"], &self.0);
        }
        self.tell("restart")
    }

    fn tell(&self, verb: &str) -> Result<(), Error> {
        if self.0.is_empty() {
            return Ok(());
        }
        let failed = |why: &str| {
            Error::failed(format!(
                "cannot {verb} the daemons: {}",
                why.trim().replace('\n', "; ")
            ))
            .hint("journalctl -u 'guifi-*'")
        };
        match systemctl(&[verb], &self.0) {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(failed(&String::from_utf8_lossy(&output.stderr))),
            Err(e) => Err(failed(&e.to_string())),
        }
    }
}

fn systemctl(words: &[&str], units: &[String]) -> std::io::Result<Output> {
    Command::new("systemctl")
        .args(words)
        .args(units)
        .stdin(Stdio::null())
        .output()
}
