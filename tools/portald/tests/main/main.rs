//! The tests of the crate from outside, one program, so that what they share is built and linked once.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;
mod contract;
mod fetch;
mod garbage;
mod import;
