//! What all threads that answer share, beside the names.

use std::sync::Arc;

use crate::cookie::Jar;
use crate::querylog::QueryLog;
use crate::update::Door;

/// Given to each of them.
#[derive(Clone)]
pub struct Common {
    /// Makes and knows cookies.
    pub jar: Jar,
    /// Shows questions to those who ask for it.
    pub log: Arc<QueryLog>,
    /// The way in for updates.
    pub door: Door,
}
