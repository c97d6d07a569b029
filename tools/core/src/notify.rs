//! The service manager's notification protocol, sd_notify(3); silent where there is none.

use std::env;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The service is ready: sockets bound, bus name owned.
pub fn ready() {
    send("READY=1");
}

/// The configuration is being read again; followed by [`ready`].
pub fn reloading() {
    send("RELOADING=1");
}

/// The service is about to end.
pub fn stopping() {
    send("STOPPING=1");
}

/// One line on what the service is doing, for `systemctl status`.
pub fn status(text: &str) {
    send(&format!("STATUS={text}"));
}

fn send(message: &str) {
    let Some(path) = env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    // A leading '@' means an abstract name.
    let address = match path.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&path),
    };
    let sent = address
        .and_then(|address| UnixDatagram::unbound()?.send_to_addr(message.as_bytes(), &address));
    if let Err(e) = sent {
        log::warn!("cannot notify the service manager: {e}; going on");
    }
}
