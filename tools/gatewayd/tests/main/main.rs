//! The real daemon and command on loopback, against real storage servers.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)] // what is left out is said aloud

mod contract;
mod directories;
mod faults;
mod files;
mod garbage;
mod gateway;
mod grid;
mod interop;
mod store;
