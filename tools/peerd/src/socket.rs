//! The listening control socket: passed by the service manager as standard input, or made here.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream as Blocking};

use guifi_core::{Error, Root};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with, sockopt,
};
use tokio::io::Interest;
use tokio::net::UnixStream;

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 128;

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

/// The listening socket.
pub(crate) fn listener(root: &Root) -> Result<Listener, Error> {
    let socket = match passed() {
        Some(socket) => socket,
        None => own(root).map_err(|e| {
            Error::failed(format!(
                "cannot listen on {}: {e}",
                root.join(guifi_streams::SOCKET).display()
            ))
        })?,
    };
    Listener::new(UnixListener::from(socket))
        .map_err(|e| Error::failed(format!("cannot use the control socket: {e}")))
}

/// The socket of `guifi-peerd.socket`. The unit asks for it as standard input besides
/// descriptor 3, since only a descriptor that the standard library knows can be taken over
/// without unsafe code.
fn passed() -> Option<OwnedFd> {
    let stdin = io::stdin();
    let stdin = stdin.as_fd();
    let listening = sockopt::socket_acceptconn(stdin).is_ok_and(|listening| listening)
        && sockopt::socket_type(stdin).is_ok_and(|kind| kind == SocketType::SEQPACKET);
    listening.then(|| stdin.try_clone_to_owned().ok()).flatten()
}

fn own(root: &Root) -> io::Result<OwnedFd> {
    let path = root.join(guifi_streams::SOCKET);
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let socket = socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?;
    // A socket that nobody serves is left over from a crash.
    match guifi_streams::packet::connect(&path) {
        Ok(_) => {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                "another guifi-peerd serves it",
            ));
        }
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(&path)?,
        Err(_) => {}
    }
    bind(&socket, &SocketAddrUnix::new(&path)?)?;
    fs::set_permissions(&path, Permissions::from_mode(0o660))?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}
