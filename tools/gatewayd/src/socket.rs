//! The Unix socket of clients: that of `guifi-gatewayd.socket`, or one of our own.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener as Std, UnixStream};
use std::path::Path;

use guifi_core::Error;
use rustix::net::{SocketType, sockopt};
use tokio::net::UnixListener;

/// Listens at `path`. Every user of this machine may connect: a cap is the authority.
///
/// # Errors
/// If another gateway serves it, or it cannot be made.
pub(crate) fn listen(path: &Path) -> Result<UnixListener, Error> {
    let failed = |e: io::Error| Error::failed(format!("cannot listen on {}: {e}", path.display()));
    let listener = match passed() {
        Some(socket) => Std::from(socket),
        None => own(path).map_err(failed)?,
    };
    listener
        .set_nonblocking(true)
        .and_then(|()| UnixListener::from_std(listener))
        .map_err(failed)
}

/// The socket of the unit, which asks for it as standard input: only a descriptor that the
/// standard library knows can be taken over without unsafe code.
fn passed() -> Option<OwnedFd> {
    let stdin = io::stdin();
    let stdin = stdin.as_fd();
    let listening = sockopt::socket_acceptconn(stdin).is_ok_and(|listening| listening)
        && sockopt::socket_type(stdin).is_ok_and(|kind| kind == SocketType::STREAM);
    listening.then(|| stdin.try_clone_to_owned().ok()).flatten()
}

fn own(path: &Path) -> io::Result<Std> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    // A socket that nobody serves is left over from a crash.
    match UnixStream::connect(path) {
        Ok(_) => {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                "another guifi-gatewayd serves it",
            ));
        }
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path)?,
        Err(_) => {}
    }
    let listener = Std::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o666))?;
    Ok(listener)
}
