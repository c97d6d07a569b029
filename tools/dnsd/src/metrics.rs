//! Numbers for Prometheus, over HTTP on a local socket: the text format, version 0.0.4, with
//! names and units as OpenMetrics wants them.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use guifi_core::Root;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::service::Parts;
use crate::stats::{TYPES, memory};

/// Where the numbers are.
pub const SOCKET: &str = "/run/guifi/dnsd/metrics.sock";
/// Connections at once; those that find no place are closed.
const CONNECTIONS: usize = 4;
/// How long a connection may take, and octets of a request's head.
const TIME: Duration = Duration::from_secs(10);
const HEAD: usize = 8 << 10;
const TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Begins to serve the numbers of `parts`; what is at the place of the socket is replaced.
///
/// # Errors
/// Those of the file system.
pub fn start(root: &Root, parts: &Arc<Parts>) -> io::Result<()> {
    let path = root.join(SOCKET);
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    match fs::remove_file(&path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {} // left behind by one that was killed
    }
    let listener = UnixListener::bind(&path)?;
    // Anyone may read, as on the bus.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666))?;
    tokio::spawn(serve(listener, parts.clone()));
    Ok(())
}

async fn serve(listener: UnixListener, parts: Arc<Parts>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let Ok(place) = places.clone().try_acquire_owned() else {
                    continue;
                };
                let parts = parts.clone();
                tokio::spawn(async move {
                    let _ = timeout(TIME, attend(stream, &parts)).await; // the client's business
                    drop(place);
                });
            }
            Err(e) => {
                log::debug!("cannot accept a reader of metrics: {e}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn attend(stream: UnixStream, parts: &Arc<Parts>) -> hyper::Result<()> {
    let service = service_fn(|request| async move { Ok::<_, Infallible>(answer(&request, parts)) });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(TIME)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

fn answer(request: &Request<Incoming>, parts: &Parts) -> Response<String> {
    let status = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => {
            let mut answer = Response::new(text(parts));
            let plain = HeaderValue::from_static(TYPE);
            answer.headers_mut().insert(CONTENT_TYPE, plain);
            return answer;
        }
        (_, "/metrics") => StatusCode::METHOD_NOT_ALLOWED,
        _ => StatusCode::NOT_FOUND,
    };
    let mut answer = Response::new(String::new());
    *answer.status_mut() = status;
    answer
}

/// Writes families of numbers.
#[derive(Default)]
struct Page(String);

impl Page {
    /// One family: name, kind, what it is, and each value with its label.
    fn family<'a>(
        &mut self,
        [name, kind, help]: [&str; 3],
        values: impl IntoIterator<Item = (&'a str, &'a str, f64)>,
    ) {
        let mut values = values.into_iter().peekable();
        if values.peek().is_none() {
            return;
        }
        // Into memory, which cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (label, of, value) in values {
            let _ = if label.is_empty() {
                writeln!(self.0, "{name} {value}")
            } else {
                let of = of
                    .replace('\\', "\\\\")
                    .replace('"', "\\\"")
                    .replace('\n', "\\n");
                writeln!(self.0, "{name}{{{label}=\"{of}\"}} {value}")
            };
        }
    }

    fn one(&mut self, family: [&str; 3], value: f64) {
        self.family(family, [("", "", value)]);
    }
}

/// Exact below 2^53, which takes a server centuries.
fn number(value: u64) -> f64 {
    value as f64
}

/// All numbers.
fn text(parts: &Parts) -> String {
    let mut page = Page::default();
    let [udp, tcp] = parts.by_transport();
    let all = parts.totals();
    page.family(
        [
            "guifi_dnsd_queries_total",
            "counter",
            "Questions that came.",
        ],
        [
            ("transport", "udp", number(udp.queries)),
            ("transport", "tcp", number(tcp.queries)),
        ],
    );
    page.family(
        [
            "guifi_dnsd_questions_total",
            "counter",
            "Questions by the type that they asked for.",
        ],
        TYPES
            .iter()
            .zip(all.types)
            .map(|(kind, n)| ("type", *kind, number(n))),
    );
    let outcomes = all.outcomes();
    page.family(
        [
            "guifi_dnsd_outcomes_total",
            "counter",
            "Messages by what became of them.",
        ],
        outcomes
            .iter()
            .map(|(outcome, n)| ("outcome", *outcome, number(*n))),
    );
    page.one(
        [
            "guifi_dnsd_cookies_total",
            "counter",
            "Questions that came with a good cookie.",
        ],
        number(all.cookies),
    );
    let ((entries, octets), cache) = parts.forwarder.numbers();
    page.family(
        [
            "guifi_dnsd_lookups_total",
            "counter",
            "Names outside, by where the answer came from.",
        ],
        [
            ("from", "cache", number(cache.hits)),
            ("from", "outside", number(cache.misses)),
            ("from", "stale", number(cache.stale)),
            ("from", "nowhere", number(cache.failures)),
        ],
    );
    page.one(
        ["guifi_dnsd_cache_entries", "gauge", "Answers in the cache."],
        entries as f64,
    );
    page.one(
        ["guifi_dnsd_cache_bytes", "gauge", "Size of the cache."],
        octets as f64,
    );
    upstreams(&mut page, parts);
    let hosted = parts.hosted();
    let wrong = hosted.iter().filter(|zone| zone.fault.is_some()).count();
    page.family(
        [
            "guifi_dnsd_hosted_zones",
            "gauge",
            "Hosted zones, by how they stand.",
        ],
        [
            ("state", "good", (hosted.len() - wrong) as f64),
            ("state", "fault", wrong as f64),
        ],
    );
    let records = parts.overview().records;
    page.one(
        [
            "guifi_dnsd_registry_records",
            "gauge",
            "Records of the registry.",
        ],
        records as f64,
    );
    if let Some(memory) = memory("self") {
        let family = [
            "process_resident_memory_bytes",
            "gauge",
            "Resident memory size.",
        ];
        page.one(family, number(memory));
    }
    page.family(
        ["guifi_dnsd_build_info", "gauge", "Version of the daemon."],
        [("version", env!("CARGO_PKG_VERSION"), 1.0)],
    );
    page.0
}

fn upstreams(page: &mut Page, parts: &Parts) {
    let health = parts.forwarder.health();
    let mut family = |family, value: &dyn Fn(&crate::health::Report) -> Option<f64>| {
        let values = health
            .iter()
            .filter_map(|h| Some(("server", &*h.server, value(h)?)));
        page.family(family, values);
    };
    family(
        [
            "guifi_dnsd_upstream_up",
            "gauge",
            "Whether a server outside answers.",
        ],
        &|h| Some(f64::from(u8::from(h.state != "down"))),
    );
    family(
        [
            "guifi_dnsd_upstream_latency_seconds",
            "gauge",
            "Time until it answers, smoothed.",
        ],
        &|h| Some(h.latency_ms? / 1000.0),
    );
    family(
        [
            "guifi_dnsd_upstream_answers_total",
            "counter",
            "Answers of a server outside.",
        ],
        &|h| Some(number(h.answers)),
    );
    family(
        [
            "guifi_dnsd_upstream_failures_total",
            "counter",
            "Questions that it did not answer.",
        ],
        &|h| Some(number(h.failures)),
    );
}
