//! The real daemon on loopback, spoken to as clients do, and as others might. One program, so
//! that it is linked once.
#![allow(clippy::unwrap_used, missing_docs)]

mod client;
mod contract;
mod crash;
mod garbage;
mod limits;
mod place;
mod protocol;
mod streams;
