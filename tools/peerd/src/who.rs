//! "Who are you", on TCP: a box that knows only an address learns the key and the community
//! that answer there.
//!
//! The caller sends [`GREETING`] and 32 random bytes. The answer is one CBOR array of version 1,
//! key, community (text or null), name and signature, and the end of the connection. What is
//! signed, under the context `guifi-who-v1`, is the CBOR array of the caller's bytes, community
//! and name.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ed25519_dalek::{Signature, VerifyingKey};
use guifi_streams::{Key, Whois, context};
use minicbor::data::Type;
use minicbor::{Decoder, Encoder, encode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::limits::{Limiter, Rate};
use crate::node::{Node, count};

/// What a caller sends before its random bytes.
pub const GREETING: &[u8; 12] = b"guifi-who 1\n";
/// The port that is asked if none is given.
pub const PORT: u16 = 7656;
/// The longest answer that is read, in bytes.
const MAX_ANSWER: usize = 1024;
/// How long a caller may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// How many callers are served at once.
const MAX_CALLERS: usize = 64;
/// Answers to one source.
const ANSWERS: Rate = Rate::new(10, Duration::from_millis(500));

/// Listens on all addresses.
pub(crate) fn listen(port: u16) -> io::Result<TcpListener> {
    let bound = |socket: io::Result<TcpSocket>, address: IpAddr| {
        let socket = socket?;
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::new(address, port))?;
        socket.listen(64)
    };
    // A box without IPv6 cannot bind its wildcard, which else serves IPv4 too.
    bound(TcpSocket::new_v6(), Ipv6Addr::UNSPECIFIED.into())
        .or_else(|_| bound(TcpSocket::new_v4(), Ipv4Addr::UNSPECIFIED.into()))
}

/// Answers callers.
pub(crate) async fn serve(node: Arc<Node>, listener: TcpListener) {
    let callers = Arc::new(Semaphore::new(MAX_CALLERS));
    let mut limiter = Limiter::new(ANSWERS);
    loop {
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(e) => {
                // Out of descriptors, most likely: let others go first.
                log::warn!("cannot accept a caller: {e}; going on");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        let permit = callers.clone().try_acquire_owned();
        let admitted = limiter.admits(from.into(), Instant::now());
        let (true, Ok(permit)) = (admitted, permit) else {
            count(&node.counters.callers_refused, 1);
            continue;
        };
        let node = node.clone();
        tokio::spawn(async move {
            // The caller is told nothing when it speaks strangely or slowly.
            let _ = timeout(PATIENCE, answer(&node, stream)).await;
            drop(permit);
        });
    }
}

async fn answer(node: &Node, mut stream: TcpStream) -> io::Result<()> {
    let mut greeting = [0; GREETING.len()];
    stream.read_exact(&mut greeting).await?;
    if greeting != *GREETING {
        return Ok(());
    }
    let mut nonce = [0; 32];
    stream.read_exact(&mut nonce).await?;
    let members = node.members();
    let community = members.community.as_deref();
    let signed = statement(&nonce, community, &members.name);
    let signature = node.identity.sign(context::WHO, &signed);
    let key = node.identity.public();
    stream
        .write_all(&encode_answer(key, community, &members.name, &signature))
        .await?;
    stream.shutdown().await
}

/// Asks the box at `address` (`HOST` or `HOST:PORT`) who it is.
///
/// # Errors
/// No answer, one that is malformed, or one whose signature is not by its key.
pub async fn ask(address: &str) -> io::Result<Whois> {
    question(connect(address).await?).await
}

/// Asks what listens at `address` who it is; errors as [`ask`].
pub(crate) async fn ask_at(address: SocketAddr) -> io::Result<Whois> {
    question(TcpStream::connect(address).await?).await
}

async fn question(mut stream: TcpStream) -> io::Result<Whois> {
    let mut nonce = [0; 32];
    getrandom::fill(&mut nonce).map_err(io::Error::other)?;
    stream
        .write_all(&[GREETING.as_slice(), &nonce].concat())
        .await?;
    let mut answer = Vec::new();
    stream
        .take(MAX_ANSWER as u64)
        .read_to_end(&mut answer)
        .await?;
    read_answer(&answer, &nonce)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no box of ours answers there"))
}

async fn connect(address: &str) -> io::Result<TcpStream> {
    if let Ok(ip) = address.trim_matches(['[', ']']).parse::<IpAddr>() {
        return TcpStream::connect((ip, PORT)).await;
    }
    if address.contains(':') {
        TcpStream::connect(address).await
    } else {
        TcpStream::connect((address, PORT)).await
    }
}

/// Checks an answer; none if it is malformed or not signed by its key.
pub fn read_answer(bytes: &[u8], nonce: &[u8; 32]) -> Option<Whois> {
    let mut d = Decoder::new(bytes);
    if d.array().ok()?? < 5 || d.u8().ok()? != 1 {
        return None;
    }
    let key = Key(d.bytes().ok()?.try_into().ok()?);
    let community = if d.datatype().ok()? == Type::Null {
        d.null().ok()?;
        None
    } else {
        Some(d.str().ok()?.to_owned())
    };
    let name = d.str().ok()?.to_owned();
    let signature: [u8; 64] = d.bytes().ok()?.try_into().ok()?;
    let statement = statement(nonce, community.as_deref(), &name);
    let message = [context::WHO.as_bytes(), &[0], &statement].concat();
    VerifyingKey::from_bytes(&key.0)
        .ok()?
        .verify_strict(&message, &Signature::from_bytes(&signature))
        .ok()?;
    Some(Whois {
        key,
        community,
        name,
    })
}

type Encoded = Result<(), encode::Error<Infallible>>;

fn written(fill: impl FnOnce(&mut Encoder<&mut Vec<u8>>) -> Encoded) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    match fill(&mut Encoder::new(&mut bytes)) {
        // Writing to memory has no error.
        Ok(()) | Err(_) => bytes,
    }
}

fn statement(nonce: &[u8; 32], community: Option<&str>, name: &str) -> Vec<u8> {
    written(|e| {
        e.array(3)?.bytes(nonce)?;
        e.encode(community)?.str(name)?.ok()
    })
}

fn encode_answer(key: Key, community: Option<&str>, name: &str, signature: &[u8; 64]) -> Vec<u8> {
    written(|e| {
        e.array(5)?.u8(1)?.bytes(&key.0)?;
        e.encode(community)?.str(name)?.bytes(signature)?.ok()
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ed25519_dalek::{Signer as _, SigningKey};

    fn signed(nonce: &[u8; 32], name: &str) -> Vec<u8> {
        let secret = SigningKey::from_bytes(&[3; 32]);
        let message = [
            b"guifi-who-v1\0",
            statement(nonce, Some("c"), name).as_slice(),
        ]
        .concat();
        let key = Key(secret.verifying_key().to_bytes());
        encode_answer(key, Some("c"), name, &secret.sign(&message).to_bytes())
    }

    #[test]
    fn an_answer_counts_for_its_question_only() {
        let answer = signed(&[1; 32], "osona");
        assert_eq!(read_answer(&answer, &[1; 32]).unwrap().name, "osona");
        assert_eq!(read_answer(&answer, &[2; 32]), None);
        for place in 0..answer.len() {
            let mut forged = answer.clone();
            forged[place] ^= 1;
            assert_eq!(read_answer(&forged, &[1; 32]), None, "byte {place}");
            assert_eq!(read_answer(&answer[..place], &[1; 32]), None);
        }
    }

    #[test]
    fn no_mutant_speaks_for_another() {
        let nonce = [1; 32];
        let samples = [signed(&nonce, "osona"), signed(&[2; 32], "osona")];
        let honest = read_answer(&samples[0], &nonce).unwrap();
        guifi_testing::fuzz::bytes("who are you", &samples, |bytes| {
            assert!(read_answer(bytes, &nonce).is_none_or(|said| said == honest));
        });
    }
}
