//! The tests of the crate from outside, one program, so that what they share is built and linked once.
#![allow(clippy::unwrap_used, missing_docs)]

mod avahi;
mod common;
mod contract;
mod fuzz;
mod garbage;
mod guests;
mod import;
mod many;
