//! The Unix socket of clients: that of `guifi-gatewayd.socket`, or one of our own.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream as Blocking};
use std::path::Path;

use guifi_core::Error;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{SocketType, sockopt};
use tokio::io::Interest;
use tokio::net::UnixStream;

/// The listening socket. Others have it, too: whenever it reloads the unit, the service manager
/// gives it to what does that as its standard input, and makes it one that blocks. So accepting
/// never relies on that.
pub(crate) struct Listener {
    socket: UnixListener,
    /// The same socket: the runtime tells of this type alone when it is readable.
    readable: UnixStream,
}

impl Listener {
    fn new(socket: UnixListener) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let same = Blocking::from(OwnedFd::from(socket.try_clone()?));
        let readable = UnixStream::from_std(same)?;
        Ok(Self { socket, readable })
    }

    /// Waits for a client.
    ///
    /// # Errors
    /// Those of the system; none that lasts.
    pub(crate) async fn accept(&self) -> io::Result<UnixStream> {
        let accept = || {
            let mut waiting = [PollFd::new(&self.socket, PollFlags::IN)];
            if poll(&mut waiting, Some(&Timespec::default()))? == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.socket.accept()
        };
        let (socket, _) = self.readable.async_io(Interest::READABLE, accept).await?;
        socket.set_nonblocking(true)?;
        UnixStream::from_std(socket)
    }
}

/// Listens at `path`. Every user of this machine may connect: a cap is the authority.
///
/// # Errors
/// If another gateway serves it, or it cannot be made.
pub(crate) fn listen(path: &Path) -> Result<Listener, Error> {
    let failed = |e: io::Error| Error::failed(format!("cannot listen on {}: {e}", path.display()));
    let listener = match passed() {
        Some(socket) => UnixListener::from(socket),
        None => own(path).map_err(failed)?,
    };
    Listener::new(listener).map_err(failed)
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

fn own(path: &Path) -> io::Result<UnixListener> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    // A socket that nobody serves is left over from a crash.
    match Blocking::connect(path) {
        Ok(_) => {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                "another guifi-gatewayd serves it",
            ));
        }
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path)?,
        Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o666))?;
    Ok(listener)
}
