//! One request to the portal: conditional, compressed, bounded in time and size; the answer
//! goes to a file without a name.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ureq::http::{HeaderMap, StatusCode, header};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Error, Timeout};

use crate::config::{Limits, Settings};

/// Redirects of one request.
const REDIRECTS: u32 = 5;

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The whole address.
    pub url: String,
    /// Tag of what is held.
    pub etag: Option<String>,
    /// Time of what is held.
    pub modified: Option<String>,
}

/// What came.
#[derive(Debug)]
pub enum Answer {
    /// What is held is current.
    Same,
    /// A file, as it came: perhaps packed.
    File {
        /// The file.
        file: File,
        /// Its tag.
        etag: Option<String>,
        /// Its time.
        modified: Option<String>,
    },
}

/// What went wrong.
#[derive(Clone, Debug, Default)]
pub struct Trouble {
    /// In words.
    pub text: String,
    /// Whether it is the portal as a whole that is away or overloaded.
    pub portal: bool,
    /// Whether the portal has no such thing.
    pub absent: bool,
    /// How long the portal wants to be left alone.
    pub wait: Option<Duration>,
}

/// Makes the client for these settings.
#[must_use]
pub fn agent(settings: &Settings) -> Agent {
    let tls = TlsConfig::builder()
        // The authorities that this machine trusts, so that a town may have its own.
        .root_certs(RootCerts::PlatformVerifier)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    let Limits {
        connect,
        response,
        fetch,
        ..
    } = settings.limits;
    Agent::config_builder()
        .http_status_as_error(false)
        .https_only(settings.portal.starts_with("https:"))
        .tls_config(tls)
        .max_redirects(REDIRECTS)
        .max_redirects_will_error(true)
        .user_agent(concat!("guifi-portald/", env!("CARGO_PKG_VERSION")))
        .accept_encoding("gzip")
        .timeout_resolve(Some(connect))
        .timeout_connect(Some(connect))
        .timeout_recv_response(Some(response))
        .timeout_per_read(Some(response))
        .timeout_global(Some(fetch))
        .max_idle_connections(0)
        .build()
        .new_agent()
}

/// Asks, and writes the answer to a file in `directory`.
///
/// # Errors
/// What went wrong.
pub fn fetch(
    agent: &Agent,
    request: &Request,
    limits: Limits,
    directory: &Path,
) -> Result<Answer, Trouble> {
    let mut asking = agent.get(&request.url);
    if let Some(etag) = &request.etag {
        asking = asking.header(header::IF_NONE_MATCH, etag);
    }
    if let Some(modified) = &request.modified {
        asking = asking.header(header::IF_MODIFIED_SINCE, modified);
    }
    let conditional = request.etag.is_some() || request.modified.is_some();
    let mut response = asking.call().map_err(|e| trouble(&e))?;
    match response.status() {
        StatusCode::OK => {}
        StatusCode::NOT_MODIFIED if conditional => return Ok(Answer::Same),
        status => return Err(refused(status, response.headers())),
    }
    let headers = response.headers();
    let encoding = text(headers, &header::CONTENT_ENCODING).unwrap_or_default();
    if !["", "identity", "gzip", "x-gzip"].contains(&encoding.to_ascii_lowercase().as_str()) {
        return Err(plain(format!(
            "the answer is packed as '{}'",
            encoding.escape_debug()
        )));
    }
    let (etag, modified) = (
        text(headers, &header::ETAG),
        text(headers, &header::LAST_MODIFIED),
    );
    let length = text(headers, &header::CONTENT_LENGTH).and_then(|n| n.parse::<u64>().ok());
    if length.is_some_and(|length| length > limits.bytes) {
        return Err(too_large(limits));
    }
    let file = save(response.body_mut(), limits, directory)?;
    Ok(Answer::File {
        file,
        etag,
        modified,
    })
}

fn save(body: &mut ureq::Body, limits: Limits, directory: &Path) -> Result<File, Trouble> {
    let disk = |e: io::Error| plain(format!("cannot keep the answer: {e}"));
    let mut file = tempfile::tempfile_in(directory).map_err(disk)?;
    let (mut reader, mut buffer, mut sum) = (body.as_reader(), vec![0; 64 << 10], 0);
    loop {
        let read = match reader.read(&mut buffer) {
            Ok(0) => return Ok(file),
            Ok(read) => read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(trouble(&Error::from(e))),
        };
        sum += read as u64;
        if sum > limits.bytes {
            return Err(too_large(limits));
        }
        file.write_all(&buffer[..read]).map_err(disk)?;
    }
}

/// A header that may be sent back: short and plain.
fn text(headers: &HeaderMap, name: &header::HeaderName) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?.trim();
    (!value.is_empty() && value.len() <= 256).then(|| value.to_owned())
}

fn plain(text: String) -> Trouble {
    Trouble {
        text,
        ..Trouble::default()
    }
}

fn too_large(limits: Limits) -> Trouble {
    plain(format!("the answer has more than {} bytes", limits.bytes))
}

fn refused(status: StatusCode, headers: &HeaderMap) -> Trouble {
    let wait = text(headers, &header::RETRY_AFTER).and_then(|seconds| seconds.parse().ok());
    Trouble {
        text: format!("the portal answers {status}"),
        portal: status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS,
        absent: [StatusCode::NOT_FOUND, StatusCode::GONE].contains(&status),
        wait: wait.map(Duration::from_secs),
    }
}

fn trouble(error: &Error) -> Trouble {
    let portal = !matches!(
        error,
        Error::TooManyRedirects | Error::RedirectFailed | Error::RequireHttpsOnly(_)
    );
    let text = match error {
        Error::Io(e) if e.kind() == io::ErrorKind::UnexpectedEof => "the answer broke off".into(),
        Error::Io(e) => e.to_string(),
        Error::Timeout(Timeout::Resolve | Timeout::Connect) => {
            "no connection in time (limits.connect_seconds)".into()
        }
        Error::Timeout(Timeout::PerRead | Timeout::RecvResponse) => {
            "the portal was silent for too long (limits.response_seconds)".into()
        }
        Error::Timeout(_) => "it took too long (limits.fetch_seconds)".into(),
        other => other.to_string(),
    };
    Trouble {
        text: guifi_core::terminal::tame(&text).replace('\n', " "),
        portal,
        ..Trouble::default()
    }
}
