//! The tests of the crate from outside, one program, so that what they share is built and linked once.
#![allow(clippy::unwrap_used, missing_docs)]

mod bed;
mod bus;
mod daemon;
mod flood;
mod garbage;
mod limits;
mod network;
mod streams;
mod who;
