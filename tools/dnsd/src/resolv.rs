//! `guifi-dnsd-resolv`: makes the system resolve through guifi-dnsd, in the way that the system
//! keeps its resolver, and undoes it. Run by root when the package comes and goes.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use clap::Parser as _;
use guifi_core::{Error, Kind, Root, write_atomic};

use crate::cli::{Resolv, ResolvAction};
use crate::upstream::{MARK, RESOLV_CONF, RESOLVED_DROP_IN, SAVED};
use crate::{command, links};

/// NetworkManager leaves resolv.conf alone.
const NETWORK_MANAGER: &str = "/etc/NetworkManager/conf.d/guifi-dnsd.conf";
/// dhclient tells its servers to us.
const DHCLIENT: &str = "/etc/dhcp/dhclient-enter-hooks.d/guifi-dnsd";
/// The head of the file that Debian's resolvconf writes.
const RESOLVCONF_HEAD: &str = "/etc/resolvconf/resolv.conf.d/head";
/// What resolv.conf pointed to, if it was a link.
const SAVED_LINK: &str = "/var/lib/guifi/dnsd/resolv.conf.link";

const END: &str = "# End of guifi-dnsd";

/// The program.
pub fn main() -> ExitCode {
    let root = Root::from_env();
    guifi_core::run("guifi-dnsd-resolv", || match Resolv::parse().action {
        ResolvAction::Up => reachable(&root).and_then(|()| up(&root)),
        ResolvAction::Down => down(&root),
    })
}

/// Refuses to send the system to 127.0.0.1 while another server answers there: with a resolver
/// that asks itself no name would resolve any more. A daemon that is not running yet is fine.
fn reachable(root: &Root) -> Result<(), Error> {
    let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 53));
    let taken = UdpSocket::bind(here).is_err_and(|e| e.kind() == io::ErrorKind::AddrInUse);
    if !taken || root.join("/") != Path::new("/") || answering(here) {
        return Ok(());
    }
    let holder = links::holder(root, here).unwrap_or_else(|| "another program".into());
    let message = format!("cannot use guifi-dnsd: {here} is taken by {holder}");
    Err(Error::new(Kind::TryLater, message)
        .hint("free that address, then: /usr/lib/guifi/guifi-dnsd-resolv up"))
}

/// Whether guifi-dnsd says that it listens at `address`.
fn answering(address: SocketAddr) -> bool {
    let address = address.to_string();
    command::describe().is_ok_and(|document| {
        let listen = document["listen"].as_array();
        listen
            .into_iter()
            .flatten()
            .any(|listen| listen["address"] == address.as_str() && listen["state"] == "listening")
    })
}

/// How this system keeps its resolver.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Way {
    Resolved,
    Resolvconf,
    Plain,
}

fn way(root: &Root) -> Way {
    let target = fs::read_link(root.join(RESOLV_CONF)).unwrap_or_default();
    let target = target.to_string_lossy().into_owned();
    let text = fs::read_to_string(root.join(RESOLV_CONF)).unwrap_or_default();
    let stub = text
        .lines()
        .any(|line| line.trim_start().starts_with("nameserver 127.0.0.53"));
    if target.contains("systemd/resolve/") || stub {
        Way::Resolved
    } else if target.contains("resolvconf/") && root.join(RESOLVCONF_HEAD).exists() {
        Way::Resolvconf
    } else {
        Way::Plain
    }
}

/// Makes the system use guifi-dnsd. Doing it again changes nothing.
///
/// # Errors
/// [`guifi_core::Kind::Failed`] naming the file that could not be written.
pub fn up(root: &Root) -> Result<(), Error> {
    match way(root) {
        Way::Resolved => {
            // What is set for all links would be asked beside us: we ask it instead.
            let servers = resolved_servers(root)?;
            let kept: String = servers
                .iter()
                .map(|s| format!("nameserver {s}\n"))
                .collect();
            write(root, SAVED, &kept)?;
            let text = format!("{MARK}\n[Resolve]\nDNS=\nDNS=127.0.0.1\nDomains=~.\n");
            if write(root, RESOLVED_DROP_IN, &text)? {
                tell(
                    root,
                    &["systemctl", "try-restart", "systemd-resolved.service"],
                );
            }
        }
        Way::Resolvconf => {
            let old = read(root, RESOLVCONF_HEAD)?.unwrap_or_default();
            let text = format!(
                "{}{MARK}\nnameserver 127.0.0.1\n{END}\n",
                without_block(&old)
            );
            if write(root, RESOLVCONF_HEAD, &text)? {
                tell(root, &["resolvconf", "-u"]);
            }
        }
        Way::Plain => plain_up(root)?,
    }
    reload_avahi(root);
    Ok(())
}

/// Avahi asks the servers that it found at its start for names beyond the link.
fn reload_avahi(root: &Root) {
    if root.join("/run/avahi-daemon/pid").exists() {
        tell(root, &["avahi-daemon", "--reload"]);
    }
}

/// The servers that the administrator gave to systemd-resolved.
fn resolved_servers(root: &Root) -> Result<Vec<String>, Error> {
    let mut texts = vec![read(root, "/etc/systemd/resolved.conf")?.unwrap_or_default()];
    let directory = root.join(RESOLVED_DROP_IN);
    let entries = directory
        .parent()
        .and_then(|directory| fs::read_dir(directory).ok());
    let mut paths: Vec<_> = entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|e| e.path())
        .collect();
    paths.sort();
    let ours = root.join(RESOLVED_DROP_IN);
    let others = paths.iter().filter(|path| **path != ours);
    texts.extend(others.filter_map(|path| fs::read_to_string(path).ok()));
    let mut servers = Vec::new();
    for line in texts.iter().flat_map(|text| text.lines()) {
        if let Some(value) = line.trim().strip_prefix("DNS=") {
            if value.trim().is_empty() {
                servers.clear();
            }
            // ADDRESS, with a port, interface or server name behind it that we do not need.
            let words = value
                .split_whitespace()
                .filter_map(|w| w.split(['#', '%']).next());
            servers.extend(
                words
                    .filter(|w| w.parse::<std::net::IpAddr>().is_ok())
                    .map(String::from),
            );
        }
    }
    Ok(servers)
}

fn plain_up(root: &Root) -> Result<(), Error> {
    if root.join("/etc/NetworkManager").is_dir() {
        let text = format!("{MARK}\n[main]\ndns=none\nrc-manager=unmanaged\n");
        if write(root, NETWORK_MANAGER, &text)? {
            tell(
                root,
                &[
                    "systemctl",
                    "try-reload-or-restart",
                    "NetworkManager.service",
                ],
            );
        }
    }
    if let Some(hooks) = Path::new(DHCLIENT).parent()
        && root.join(hooks).is_dir()
    {
        write(root, DHCLIENT, &dhclient_hook())?;
    }
    let path = root.join(RESOLV_CONF);
    let old = read(root, RESOLV_CONF)?;
    if old.as_deref().is_some_and(|text| text.starts_with(MARK)) {
        return Ok(());
    }
    match fs::read_link(&path) {
        Ok(target) => drop(write(root, SAVED_LINK, &format!("{}\n", target.display()))?),
        Err(_) => remove(root, SAVED_LINK)?,
    }
    let old = old.unwrap_or_default();
    write(root, SAVED, &old)?;
    let kept = old.lines().filter(|line| {
        let word = line.split_whitespace().next();
        matches!(word, Some("search" | "domain" | "options" | "sortlist"))
    });
    let kept: String = kept.map(|line| format!("{line}\n")).collect();
    let text = format!("{MARK}; what was here before: {SAVED}\nnameserver 127.0.0.1\n{kept}");
    write(root, RESOLV_CONF, &text)?;
    Ok(())
}

/// With this dhclient writes its servers where guifi-dnsd looks for them.
fn dhclient_hook() -> String {
    format!(
        "{MARK}\nif grep -qs '^{MARK}' {RESOLV_CONF}; then\n    make_resolv_conf() {{\n        \
         [ -n \"$new_domain_name_servers\" ] || return 0\n        \
         for server in $new_domain_name_servers; do\n            \
         echo \"nameserver $server\"\n        done > {SAVED}.new\n        \
         mv -f {SAVED}.new {SAVED}\n    }}\nfi\n"
    )
}

/// Undoes what [`up`] did, whichever way it was.
///
/// # Errors
/// [`guifi_core::Kind::Failed`] naming the file that could not be put back.
pub fn down(root: &Root) -> Result<(), Error> {
    if remove_ours(root, RESOLVED_DROP_IN)? {
        tell(
            root,
            &["systemctl", "try-restart", "systemd-resolved.service"],
        );
    }
    if let Some(old) = read(root, RESOLVCONF_HEAD)?.filter(|text| text.contains(MARK)) {
        write(root, RESOLVCONF_HEAD, &without_block(&old))?;
        tell(root, &["resolvconf", "-u"]);
    }
    remove_ours(root, DHCLIENT)?;
    let ours = read(root, RESOLV_CONF)?.is_some_and(|text| text.starts_with(MARK));
    if ours {
        let link = read(root, SAVED_LINK)?.map(|text| PathBuf::from(text.trim_end()));
        let saved = read(root, SAVED)?.unwrap_or_default();
        let path = root.join(RESOLV_CONF);
        match link {
            Some(target) => {
                let attempt = |e: io::Error| failed("restore", RESOLV_CONF, &e);
                fs::remove_file(&path)
                    .and_then(|()| symlink(target, &path))
                    .map_err(attempt)?;
            }
            None if saved.is_empty() => remove(root, RESOLV_CONF)?,
            None => drop(write(root, RESOLV_CONF, &saved)?),
        }
    }
    remove(root, SAVED)?;
    remove(root, SAVED_LINK)?;
    if remove_ours(root, NETWORK_MANAGER)? {
        tell(
            root,
            &[
                "systemctl",
                "try-reload-or-restart",
                "NetworkManager.service",
            ],
        );
    }
    reload_avahi(root);
    Ok(())
}

/// The text without the lines between mark and end.
fn without_block(text: &str) -> String {
    let mut inside = false;
    let mut kept = String::new();
    for line in text.lines() {
        inside |= line.starts_with(MARK);
        if !inside {
            kept.push_str(line);
            kept.push('\n');
        }
        inside &= line != END;
    }
    kept
}

fn failed(attempt: &str, path: &str, error: &io::Error) -> Error {
    Error::failed(format!("cannot {attempt} {path}: {error}"))
}

/// The text of a file; `None` if it, or what it points to, does not exist.
fn read(root: &Root, path: &str) -> Result<Option<String>, Error> {
    match fs::read(root.join(path)) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(failed("read", path, &e)),
    }
}

/// Writes a file unless it is so already; says whether it wrote.
fn write(root: &Root, path: &str, text: &str) -> Result<bool, Error> {
    let full = root.join(path);
    let link = full.is_symlink();
    if !link && read(root, path)?.as_deref() == Some(text) {
        return Ok(false);
    }
    let attempt = |e: io::Error| failed("write", path, &e);
    if let Some(directory) = full.parent() {
        fs::create_dir_all(directory).map_err(attempt)?;
    }
    match write_atomic(&full, text.as_bytes(), 0o644) {
        // In some containers the file is a mount and cannot be replaced.
        Err(e) if e.kind() == io::ErrorKind::ResourceBusy => fs::write(&full, text),
        written => written,
    }
    .map_err(attempt)?;
    Ok(true)
}

fn remove(root: &Root, path: &str) -> Result<(), Error> {
    match fs::remove_file(root.join(path)) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(failed("remove", path, &e)),
        _ => Ok(()),
    }
}

/// Removes a file that begins with our mark; says whether there was one.
fn remove_ours(root: &Root, path: &str) -> Result<bool, Error> {
    let ours = read(root, path)?.is_some_and(|text| text.starts_with(MARK));
    if ours {
        remove(root, path)?;
    }
    Ok(ours)
}

/// Tells a running service; on a system that is not running there is nobody to tell.
fn tell(root: &Root, command: &[&str]) {
    let running = root.join("/") == Path::new("/")
        && (command[0] != "systemctl" || Path::new("/run/systemd/system").is_dir());
    if !running {
        return;
    }
    let mut run = Command::new(command[0]);
    run.args(&command[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    match run.status() {
        Ok(status) if status.success() => {}
        Ok(_) => log::warn!("{} did not succeed; going on", command.join(" ")),
        Err(e) => log::warn!("cannot run {}: {e}; going on", command.join(" ")),
    }
}

#[cfg(test)]
mod tests;
