//! Dynamic updates (RFC 2136): only signed ones, of zones that are hosted here, as far as the
//! rights of the key go. Here they are let in; [`apply`] says what they do, and the thread that
//! owns the zones does it.

pub mod apply;
pub mod community;
mod door;
pub mod publish;
#[cfg(test)]
mod tests;

pub use door::{Door, Reply, Request};
