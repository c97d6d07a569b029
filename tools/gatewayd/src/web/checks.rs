//! Checks and repairs over HTTP.

use guifi_tahoe::cap::Cap;

use super::reply::Reply;
use super::request::Arguments;
use crate::engine::Engine;
use crate::problem::{Problem, Reason};

pub(crate) async fn answer(
    _engine: &Engine,
    _cap: Cap,
    _arguments: &Arguments,
) -> Result<Reply, Problem> {
    Err(Problem::new(Reason::NotSupported, "not yet"))
}
