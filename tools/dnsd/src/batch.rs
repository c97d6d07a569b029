//! Receiving and sending many datagrams with one system call each.

use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd as _;

use nix::errno::Errno;
use nix::sys::socket::{
    MsgFlags, MultiHeaders, SockaddrIn, SockaddrIn6, SockaddrLike, recvmmsg, sendmmsg,
};

/// Datagrams taken at once.
pub const BATCH: usize = 64;
/// Octets of the longest query that is read; EDNS options included they have a few hundred.
const QUERY: usize = 2048;
/// Octets of the longest answer, which is what each place keeps room for.
const ANSWER: usize = 1280;

/// An address family as the kernel's interface has it.
pub trait Family: SockaddrLike + Copy {
    /// The loopback address.
    const LOOPBACK: IpAddr;
    /// The address for the rest of us.
    fn address(self) -> SocketAddr;
}

impl Family for SockaddrIn {
    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    fn address(self) -> SocketAddr {
        SocketAddr::V4(SocketAddrV4::new(self.ip(), self.port()))
    }
}

impl Family for SockaddrIn6 {
    const LOOPBACK: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
    fn address(self) -> SocketAddr {
        let (ip, port) = (self.ip(), self.port());
        SocketAddr::V6(SocketAddrV6::new(
            ip,
            port,
            self.flowinfo(),
            self.scope_id(),
        ))
    }
}

/// Buffers for one batch of one address family.
pub struct Batch<F> {
    receive: MultiHeaders<F>,
    send: Option<MultiHeaders<F>>,
    queries: Vec<u8>,
    from: [(usize, Option<F>); BATCH],
    answers: Vec<Vec<u8>>,
    to: [Option<F>; BATCH],
    used: usize,
}

impl<F: Family> Default for Batch<F> {
    /// Buffers; their memory is touched only as far as batches get full.
    fn default() -> Self {
        Self {
            receive: MultiHeaders::preallocate(BATCH, None),
            send: primed(),
            queries: vec![0; BATCH * QUERY],
            from: [(0, None); BATCH],
            answers: (0..BATCH).map(|_| Vec::new()).collect(),
            to: [None; BATCH],
            used: 0,
        }
    }
}

impl<F: Family> Batch<F> {
    /// Takes what has arrived, at most [`BATCH`] datagrams; 0 if there is nothing.
    pub fn receive(&mut self, socket: &UdpSocket) -> usize {
        let mut room = self.queries.chunks_exact_mut(QUERY);
        let mut slices: [[IoSliceMut<'_>; 1]; BATCH] =
            std::array::from_fn(|_| [IoSliceMut::new(room.next().unwrap_or_default())]);
        let flags = MsgFlags::MSG_DONTWAIT;
        let got = recvmmsg(
            socket.as_raw_fd(),
            &mut self.receive,
            slices.iter_mut(),
            flags,
            None,
        );
        let mut count = 0;
        // An error of an earlier answer (a port unreachable) arrives here and means nothing.
        for (place, message) in self.from.iter_mut().zip(got.into_iter().flatten()) {
            let whole = !message.flags.contains(MsgFlags::MSG_TRUNC);
            *place = (if whole { message.bytes } else { 0 }, message.address);
            count += 1;
        }
        count
    }

    /// The datagram at `index` and its sender.
    pub fn query(&self, index: usize) -> (&[u8], Option<F>) {
        let (length, from) = self.from[index];
        let start = index * QUERY;
        (&self.queries[start..start + length.min(QUERY)], from)
    }

    /// Answers the datagram at `index` with what `write` puts into the buffer, if anything.
    pub fn answer<T>(
        &mut self,
        index: usize,
        write: impl FnOnce(&[u8], F, &mut Vec<u8>) -> T,
    ) -> Option<T> {
        let (length, from) = self.from[index];
        let from = from?;
        let start = index * QUERY;
        let query = &self.queries[start..start + length.min(QUERY)];
        let buffer = &mut self.answers[self.used];
        buffer.clear();
        buffer.reserve(ANSWER);
        let value = write(query, from, buffer);
        if !buffer.is_empty() {
            self.to[self.used] = Some(from);
            self.used += 1;
        }
        Some(value)
    }

    /// Sends all answers of the batch. One that cannot be sent is lost, as on the way.
    pub fn send(&mut self, socket: &UdpSocket) {
        let mut first = 0;
        while first < self.used {
            let (answers, to) = (&self.answers[first..self.used], &self.to[first..self.used]);
            let Some(headers) = &mut self.send else {
                for (answer, to) in answers.iter().zip(to) {
                    let _ = to.map(|to| socket.send_to(answer, to.address())); // lost
                }
                break;
            };
            let slices: [[IoSlice<'_>; 1]; BATCH] =
                std::array::from_fn(|i| [IoSlice::new(answers.get(i).map_or(&[], |a| &a[..]))]);
            let slices = slices[..answers.len()].iter();
            let flags = MsgFlags::MSG_DONTWAIT;
            let sent = sendmmsg(socket.as_raw_fd(), headers, slices, to, [], flags);
            first += match sent {
                Ok(sent) => sent.count().max(1),
                Err(Errno::EINTR) => 0,
                Err(Errno::EAGAIN | Errno::ENOBUFS) => break, // the queue is full
                Err(_) => 1,                                  // this one cannot be sent
            };
        }
        self.used = 0;
    }
}

/// Headers for sending. Counting what was sent walks over the addresses that headers hold,
/// which are uninitialised until something was received with them: so receive once.
/// Without a loopback there are none, and answers are sent one by one.
fn primed<F: Family>() -> Option<MultiHeaders<F>> {
    let socket = UdpSocket::bind((F::LOOPBACK, 0)).ok()?;
    let own = socket.local_addr().ok()?;
    for _ in 0..BATCH {
        socket.send_to(&[], own).ok()?;
    }
    let mut headers = MultiHeaders::preallocate(BATCH, None);
    let mut octets = [0u8; BATCH];
    let mut room = octets.chunks_exact_mut(1);
    let mut slices: [[IoSliceMut<'_>; 1]; BATCH] =
        std::array::from_fn(|_| [IoSliceMut::new(room.next().unwrap_or_default())]);
    let flags = MsgFlags::MSG_DONTWAIT;
    let got = recvmmsg(
        socket.as_raw_fd(),
        &mut headers,
        slices.iter_mut(),
        flags,
        None,
    );
    (got.ok()?.count() == BATCH).then_some(headers)
}
