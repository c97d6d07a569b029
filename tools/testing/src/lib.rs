//! What tests of several tools share. For tests only.
#![allow(clippy::unwrap_used)] // for tests only

pub mod bus;
pub mod fuzz;
pub mod manuals;

pub use manuals::{
    command_faults, document_faults, example, interface, key_faults, member_faults, page,
};
