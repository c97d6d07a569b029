//! What a log may show of a capability: what verifies, and nothing that reads or writes.

use std::fmt;

use super::{Cap, Chk, Object, Read, Write};

impl fmt::Debug for Cap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(object) => f.debug_tuple("File").field(object).finish(),
            Self::Directory(object) => f.debug_tuple("Directory").field(object).finish(),
            Self::Unknown(text) => write!(f, "Unknown({} bytes)", text.len()),
        }
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(data) => write!(f, "Literal({} bytes)", data.len()),
            Self::Chk(cap) => cap.fmt(f),
            Self::ChkVerifier(cap) => cap.fmt(f),
            Self::Write(cap) => cap.fmt(f),
            Self::Read(cap) => cap.fmt(f),
            Self::Verifier(cap) => cap.fmt(f),
        }
    }
}

impl fmt::Debug for Chk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Chk").field(&self.to_verifier()).finish()
    }
}

impl fmt::Debug for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verifier = self.to_readonly().to_verifier();
        f.debug_tuple("Write").field(&verifier).finish()
    }
}

impl fmt::Debug for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Read").field(&self.to_verifier()).finish()
    }
}
