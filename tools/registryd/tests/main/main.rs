//! The tests of the crate from outside, one program, so that what they share is built and linked once.
#![allow(clippy::unwrap_used, missing_docs)]

mod closed;
mod contract;
mod garbage;
mod power;
mod replication;
mod strangers;
mod town;
