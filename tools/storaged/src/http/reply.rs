//! Answers, and refusals with their codes.

use bytes::Bytes;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

use super::{Content, Who};
use crate::http::route::Lost;
use crate::store::Fault;

/// Why a request is not done.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Nobody's swissnum.
    Unauthorized,
    /// There is no such thing.
    Lost(Lost),
    /// Something in the request is not as it should be.
    Bad(&'static str),
    /// The body is of another type.
    MediaType,
    /// The body is too long.
    TooLong,
    /// No part of the share.
    Range,
    /// The body did not come in time.
    Late,
    /// The store did not do it.
    Store(Fault),
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::Store(fault)
    }
}

impl From<Lost> for Refusal {
    fn from(lost: Lost) -> Self {
        Self::Lost(lost)
    }
}

impl Refusal {
    fn code(&self) -> StatusCode {
        match self {
            Self::Unauthorized | Self::Store(Fault::WrongSecret) => StatusCode::UNAUTHORIZED,
            Self::Lost(Lost::NotFound) | Self::Store(Fault::NotFound | Fault::Complete) => {
                StatusCode::NOT_FOUND
            }
            Self::Lost(Lost::Method(_)) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Bad(_) => StatusCode::BAD_REQUEST,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLong | Self::Store(Fault::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Range | Self::Store(Fault::OutOfRange) => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::Late => StatusCode::REQUEST_TIMEOUT,
            Self::Store(Fault::Conflict) => StatusCode::CONFLICT,
            Self::Store(Fault::NoSpace | Fault::TooMany) => StatusCode::INSUFFICIENT_STORAGE,
            Self::Store(Fault::Disk(_)) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The answer, with a line for people.
    pub(crate) fn into_response(self) -> Response<Content> {
        let words = match &self {
            Self::Bad(words) => (*words).to_owned(),
            Self::Store(Fault::Disk(why)) => {
                log::error!("a request failed: {why}");
                // What is wrong with our disk is not for everybody.
                "the server has a problem".to_owned()
            }
            Self::Store(fault) => fault.to_string(),
            _ => String::new(),
        };
        let code = self.code();
        let mut answer = Response::new(if words.is_empty() {
            Content::none()
        } else {
            Content::Short(Some(Bytes::from(words)))
        });
        *answer.status_mut() = code;
        if let Self::Lost(Lost::Method(allowed)) = self {
            answer
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static(allowed));
        }
        answer
    }
}

/// An answer without a body.
pub(crate) fn status(code: u16) -> Response<Content> {
    let mut answer = Response::new(Content::none());
    *answer.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer
}

/// A body of CBOR.
pub(crate) fn cbor(body: Vec<u8>) -> Response<Content> {
    typed(guifi_tahoe::gbs::CBOR, Bytes::from(body))
}

/// What an owner is told of its account.
pub(crate) fn account(who: &Who) -> Result<Response<Content>, Refusal> {
    match who {
        Who::Owner(owner) => Ok(typed(
            "application/json",
            Bytes::from(owner.document.clone()),
        )),
        Who::Bearer(_) => Err(Refusal::Lost(Lost::NotFound)),
    }
}

fn typed(kind: &'static str, body: Bytes) -> Response<Content> {
    let mut answer = Response::new(Content::Short(Some(body)));
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}
