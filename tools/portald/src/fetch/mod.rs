//! Fetching: what there is to fetch, when, and how.

pub mod http;
pub mod pace;
pub mod target;
