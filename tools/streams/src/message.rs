//! What is said on the control connection.

use std::fmt;

use crate::Key;

/// From a program to peerd. `id` is the program's own number for the answer to carry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Request {
    /// First message of a connection.
    Hello,
    /// A stream to `peer`, answered by `Opened` or `Refused`.
    Open {
        /// The answer's number.
        id: u64,
        /// Whom to reach.
        peer: Key,
        /// What to speak: see [`protocol_name_is_valid`].
        protocol: String,
        /// How long it may take, in milliseconds.
        deadline_ms: u32,
        /// `IP:PORT` hints for a peer that is not in the member list.
        addresses: Vec<String>,
    },
    /// Take the streams of `protocol`, answered by `Listening` or `Refused`.
    Listen {
        /// The answer's number.
        id: u64,
        /// The protocol to serve; one program at a time serves it.
        protocol: String,
        /// How many streams may wait at once.
        backlog: u32,
    },
    /// Give `protocol` up; no answer.
    Unlisten {
        /// The protocol.
        protocol: String,
    },
    /// Abort a stream; no answer.
    Reset {
        /// peerd's number of the stream.
        stream: u64,
        /// Passed on to the peer.
        code: u32,
    },
    /// Sign `context`, a zero byte, then `bytes`; answered by `Signed` or `Refused`.
    Sign {
        /// The answer's number.
        id: u64,
        /// One of [`context`].
        context: String,
        /// What to sign.
        bytes: Vec<u8>,
    },
    /// Make the key that is to follow the present one, unless it is made already; answered by
    /// `Successor` or `Refused`.
    Successor {
        /// The answer's number.
        id: u64,
    },
    /// As `Sign`, with the key that is to follow.
    SignAsSuccessor {
        /// The answer's number.
        id: u64,
        /// One of [`context`].
        context: String,
        /// What to sign.
        bytes: Vec<u8>,
    },
    /// Go over to the key that was made to follow; answered by `Done` or `Refused`. peerd then
    /// ends all connections and begins anew with that key.
    Succeed {
        /// The answer's number.
        id: u64,
        /// The key that is meant.
        key: Key,
    },
    /// The members, as JSON in the descriptor beside it; answered by `Done` or `Refused`.
    Configure {
        /// The answer's number.
        id: u64,
    },
    /// Ask a TCP address who answers there; answered by `Whois` or `Refused`.
    Who {
        /// The answer's number.
        id: u64,
        /// `HOST:PORT`.
        address: String,
        /// How long it may take, in milliseconds.
        deadline_ms: u32,
    },
}

/// From peerd to a program.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// Answer to `Hello`.
    Hello {
        /// The key of this box.
        key: Key,
    },
    /// Answer to `Open`, with one end of the stream beside it.
    Opened {
        /// As in the request.
        id: u64,
        /// peerd's number of the stream.
        stream: u64,
        /// How the peer is reached now.
        path: PathKind,
        /// Round trip, in microseconds.
        rtt_us: u32,
        /// Whether the peer is a member.
        member: bool,
        /// The peer's address, `IP:PORT`, on a direct path.
        address: Option<String>,
    },
    /// The answer is no.
    Refused {
        /// As in the request.
        id: u64,
        /// Why.
        reason: Reason,
        /// Why, in words.
        text: String,
    },
    /// Answer to `Listen`.
    Listening {
        /// As in the request.
        id: u64,
    },
    /// A peer opened a stream; one end of it lies beside.
    Incoming {
        /// peerd's number of the stream.
        stream: u64,
        /// The peer's proven key.
        peer: Key,
        /// What it speaks.
        protocol: String,
        /// Whether the peer is a member.
        member: bool,
        /// How the peer is reached.
        path: PathKind,
        /// Round trip, in microseconds.
        rtt_us: u32,
        /// The peer's address, `IP:PORT`, on a direct path.
        address: Option<String>,
    },
    /// A stream came to an end.
    Ended {
        /// peerd's number of the stream.
        stream: u64,
        /// How it ended.
        ended: Ended,
    },
    /// Answer to `Sign`.
    Signed {
        /// As in the request.
        id: u64,
        /// Ed25519 signature.
        signature: [u8; 64],
    },
    /// Answer to `Successor`.
    Successor {
        /// As in the request.
        id: u64,
        /// The key that is to follow.
        key: Key,
    },
    /// Answer to `Configure` and `Succeed`.
    Done {
        /// As in the request.
        id: u64,
    },
    /// Answer to `Who`.
    Whois {
        /// As in the request.
        id: u64,
        /// The key that answers there, proved by a signature.
        key: Key,
        /// Identity of its community, if it has joined one.
        community: Option<String>,
        /// Name of its community.
        name: String,
    },
}

/// How a stream ended, in one direction or both.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ended {
    /// What happened.
    pub end: End,
    /// Which way.
    pub direction: Direction,
    /// The peer's code of a reset or stop, else 0.
    pub code: u32,
    /// In words, for a log; may be empty.
    pub text: String,
}

/// Defines an enumeration that travels as a small number, unknown numbers being errors.
macro_rules! numbered {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $number:literal $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        #[repr(u8)]
        pub enum $name { $($(#[$vdoc])* $variant = $number),+ }

        impl $name {
            /// The number on the wire.
            pub fn number(self) -> u8 {
                self as u8
            }

            /// The meaning of a number from the wire.
            pub fn from_number(number: u8) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self { $(Self::$variant => $word),+ })
            }
        }
    };
}

numbered! {
    /// What became of a stream, the mildest first.
    End {
        /// The peer finished its direction; all it sent has arrived.
        Clean = 0 "finished",
        /// The peer takes no more of what is sent to it.
        Stopped = 1 "stopped by the peer",
        /// The peer, its program or a limit aborted the stream.
        Reset = 2 "reset by the peer",
        /// The connection to the peer is gone.
        Lost = 3 "peer lost",
        /// Trouble on this box: peerd is gone, or gave the stream up.
        Local = 4 "ended by this box",
    }
}

numbered! {
    /// Which way a stream ended, seen from the program that is told.
    Direction {
        /// What is read.
        Receive = 0 "receive",
        /// What is written.
        Send = 1 "send",
        /// Both.
        Both = 2 "both",
    }
}

numbered! {
    /// How a peer is reached.
    PathKind {
        /// Not at all.
        None = 0 "none",
        /// From address to address.
        Direct = 1 "direct",
        /// Through a member that relays.
        Relay = 2 "relay",
    }
}

numbered! {
    /// Why a request was refused.
    Reason {
        /// Nobody serves the protocol at the peer.
        NoListener = 1 "nobody serves this protocol there",
        /// The peer refuses this box.
        Denied = 2 "denied by the peer",
        /// No address of the peer is known.
        Unknown = 3 "no address of the peer is known",
        /// The peer does not answer.
        Unreachable = 4 "the peer does not answer",
        /// The deadline passed.
        TimedOut = 5 "timed out",
        /// A limit is reached, here or there.
        Busy = 6 "busy",
        /// The caller may not do this.
        NotAllowed = 7 "not allowed",
        /// Another program serves this protocol already.
        Taken = 8 "taken by another program",
        /// This box is not joined to a community.
        Offline = 9 "this box is not joined to a community",
        /// The request makes no sense.
        Invalid = 10 "invalid request",
        /// It failed on this box.
        Failed = 11 "failed",
    }
}

/// Contexts of [`Request::Sign`]; none is shared with TLS.
pub mod context {
    /// A registry record.
    pub const RECORD: &str = "guifi-record-v1";
    /// A second signature on a claim.
    pub const CLAIM: &str = "guifi-claim-v1";
    /// A statement that a box was met at an address.
    pub const WITNESS: &str = "guifi-witness-v1";
    /// An answer to "who are you"; peerd alone makes these.
    pub const WHO: &str = "guifi-who-v1";
}

/// Codes of resets that peerd and its client make; protocols use codes from 256.
pub mod reset {
    /// The program died or aborted without a code.
    pub const ABORTED: u32 = 1;
    /// The program did not take the stream in time.
    pub const BUSY: u32 = 2;
    /// The local reader took nothing for a minute.
    pub const STALLED: u32 = 3;
    /// The program closed the reading side.
    pub const CLOSED: u32 = 4;
}

/// Whether `name` can be a protocol: 1 to 32 of `a`-`z`, `0`-`9`, `-`.
pub fn protocol_name_is_valid(name: &str) -> bool {
    (1..=32).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}
