//! The verdict on a request for admission, as it travels.

use std::io::{Read, Write as _};

use guifi_streams::Stream;
use serde_json::{Value, json};

use super::object;
use crate::body;
use crate::frame::{Frame, kind};
use crate::node::Admission;
use crate::record::Record;

/// The most records that prove a membership: a chain of dozens of sponsors.
const MAX_PROOF: usize = 256;

/// The verdict on a request, as it travels.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verdict {
    /// `member`, `wait`, `later`, `taken` or `refused`.
    pub status: String,
    /// Why, for a person.
    pub reason: String,
    /// The records that prove the membership.
    pub proof: Vec<Record>,
}

impl Verdict {
    pub(super) fn new(status: &str, reason: impl Into<String>) -> Self {
        Self {
            status: status.to_owned(),
            reason: reason.into(),
            proof: Vec::new(),
        }
    }

    /// What is answered for an admission; nobody else is asked.
    pub(super) fn of(admission: Admission) -> Self {
        match admission {
            Admission::Member(proof) => Self {
                proof,
                ..Self::new("member", "")
            },
            Admission::Wait => Self::new("wait", "an administrator has to approve"),
            Admission::Taken => Self::new("taken", "another box has this name in this zone"),
            Admission::Later(why) => Self::new("later", why),
            Admission::Refused(why) => Self::new("refused", why),
            Admission::Ask(_) => Self::new("later", "this box may not sponsor"),
        }
    }

    pub(super) fn write(&self, stream: &Stream) -> std::io::Result<()> {
        let map = object(json!({"status": self.status, "reason": self.reason}));
        let payload = body::encode(&map).unwrap_or_default();
        let mut out = std::io::BufWriter::new(&stream.socket);
        Frame::new(kind::VERDICT, payload).write(&mut out)?;
        for record in &self.proof {
            Frame::new(kind::RECORD, record.encode()).write(&mut out)?;
        }
        Frame::new(kind::DONE, []).write(&mut out)?;
        out.flush()
    }

    pub(super) fn read(stream: &Stream) -> Result<Self, String> {
        let mut socket = &stream.socket;
        let frame = Frame::read(&mut socket).map_err(|e| e.to_string())?;
        Self::read_after(&frame, &mut socket)
    }

    /// Reads what follows `frame`, which begins it.
    pub(super) fn read_after(frame: &Frame, input: &mut impl Read) -> Result<Self, String> {
        if frame.kind != kind::VERDICT {
            return Err("the answer is not a verdict".to_owned());
        }
        let map = body::decode(&frame.payload)?;
        let text = |member: &str| {
            map.get(member)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let mut verdict = Self {
            status: text("status"),
            reason: text("reason"),
            proof: Vec::new(),
        };
        loop {
            let frame = Frame::read(input).map_err(|e| e.to_string())?;
            match frame.kind {
                kind::DONE => return Ok(verdict),
                kind::RECORD if verdict.proof.len() < MAX_PROOF => {
                    verdict.proof.push(Record::decode(&frame.payload)?);
                }
                other => return Err(format!("frame {other} is out of place")),
            }
        }
    }
}
