//! A stand-in for the portal: a small HTTP server that answers what it is told to, and
//! remembers what it was asked.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;

use flate2::Compression;
use flate2::write::GzEncoder;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What is answered for a path.
#[derive(Clone, Debug)]
pub enum Reply {
    /// 200 with this body.
    Body(Vec<u8>),
    /// The same, packed.
    Packed(Vec<u8>),
    /// 200 with a tag, and 304 to who has it.
    Tagged(Vec<u8>, &'static str),
    /// A status with headers, and no body.
    Status(u16, &'static str),
    /// The length of the first, and only so many bytes of it.
    Half(Vec<u8>, usize),
    /// The headers, and then nothing for ever.
    Silence,
    /// A byte now and then, for ever.
    Drip,
    /// More and more, for ever.
    Flood,
    /// A length that is a lie, large.
    Huge(u64),
}

#[derive(Default)]
struct State {
    replies: HashMap<String, Reply>,
    asked: Vec<String>,
    open: usize,
    most: usize,
}

/// The server; its threads end with the test.
pub struct MockPortal {
    address: SocketAddr,
    scheme: &'static str,
    state: Arc<Mutex<State>>,
}

impl MockPortal {
    pub fn new() -> Self {
        Self::with(None)
    }

    fn with(tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let portal = Self {
            address: listener.local_addr().unwrap(),
            scheme: if tls.is_some() { "https" } else { "http" },
            state: Arc::default(),
        };
        let state = portal.state.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (state, tls) = (state.clone(), tls.clone());
                thread::spawn(move || {
                    {
                        let mut state = state.lock().unwrap();
                        state.open += 1;
                        state.most = state.most.max(state.open);
                    }
                    // The client may go away at any time.
                    let _ = match tls {
                        None => serve(stream, &state),
                        Some(tls) => {
                            let session = ServerConnection::new(tls).unwrap();
                            serve(StreamOwned::new(session, stream), &state)
                        }
                    };
                    state.lock().unwrap().open -= 1;
                });
            }
        });
        portal
    }

    /// Its line of the configuration.
    pub fn line(&self) -> String {
        format!("portal = \"{}://{}\"\n", self.scheme, self.address)
    }

    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    pub fn answer(&self, path: &str, reply: Reply) {
        let mut state = self.state.lock().unwrap();
        state.replies.insert(path.to_owned(), reply);
    }

    pub fn body(&self, path: &str, text: &str) {
        self.answer(path, Reply::Body(text.as_bytes().to_vec()));
    }

    /// Over TLS, with a certificate that nobody knows; that comes with it, as PEM.
    pub fn secure() -> (Self, String) {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let text = data_encoding::BASE64.encode(made.cert.der());
        let lines: Vec<&str> = (0..text.len().div_ceil(64))
            .map(|n| &text[n * 64..text.len().min(n * 64 + 64)])
            .collect();
        let pem = format!(
            "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
            lines.join("\n")
        );
        (Self::with(Some(Arc::new(config))).filled(), pem)
    }

    /// Everything of the example.
    pub fn example() -> Self {
        Self::new().filled()
    }

    fn filled(self) -> Self {
        let portal = self;
        portal.body("/guifi/refresh/cnml", "1000");
        portal.body("/guifi/refresh/dns", "2000");
        portal.body("/guifi/cnml/900/detail", super::DETAIL);
        portal.body("/guifi/csvproxy/900", super::PROXIES);
        portal.body("/guifi/cnml/9503/domains", super::DOMAINS);
        portal.body("/guifi/export/9502/federation", super::FEDERATION);
        portal.body("/guifi/cnml/1/ips", super::IPS);
        portal
    }

    /// The requests so far: path, and the conditions after it.
    pub fn asked(&self) -> Vec<String> {
        self.state.lock().unwrap().asked.clone()
    }

    /// How often a path was asked for.
    pub fn count(&self, path: &str) -> usize {
        let state = self.state.lock().unwrap();
        let fits = |asked: &&String| asked.split(' ').next() == Some(path);
        state.asked.iter().filter(fits).count()
    }

    /// The most requests that were open at once.
    pub fn most(&self) -> usize {
        self.state.lock().unwrap().most
    }
}

fn serve(mut stream: impl Read + Write, state: &Mutex<State>) -> std::io::Result<()> {
    let mut lines = BufReader::new(&mut stream).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let (mut tag, mut packs) = (None, false);
    for line in lines.by_ref() {
        let line = line?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(": ").unwrap_or((&line, ""));
        match name.to_ascii_lowercase().as_str() {
            "if-none-match" => tag = Some(value.to_owned()),
            "accept-encoding" => packs = value.contains("gzip"),
            _ => {}
        }
    }
    let reply = {
        let mut state = state.lock().unwrap();
        let condition = tag
            .as_ref()
            .map(|tag| format!(" {tag}"))
            .unwrap_or_default();
        state.asked.push(format!("{path}{condition}"));
        state.replies.get(&path).cloned()
    };
    let head =
        |status: &str, more: &str| format!("HTTP/1.1 {status}\r\nConnection: close\r\n{more}\r\n");
    let with =
        |length: usize, more: &str| head("200 OK", &format!("Content-Length: {length}\r\n{more}"));
    drop(lines);
    let out = &mut stream;
    match reply.unwrap_or(Reply::Status(404, "")) {
        Reply::Body(body) => {
            out.write_all(with(body.len(), "Content-Type: text/html\r\n").as_bytes())?;
            out.write_all(&body)
        }
        Reply::Packed(body) => {
            assert!(packs, "packed answers are not asked for");
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(&body)?;
            let packed = encoder.finish()?;
            out.write_all(with(packed.len(), "Content-Encoding: gzip\r\n").as_bytes())?;
            out.write_all(&packed)
        }
        Reply::Tagged(_, own) if tag.as_deref() == Some(own) => {
            out.write_all(head("304 Not Modified", "").as_bytes())
        }
        Reply::Tagged(body, own) => {
            out.write_all(with(body.len(), &format!("ETag: {own}\r\n")).as_bytes())?;
            out.write_all(&body)
        }
        Reply::Status(status, more) => {
            let more = format!("Content-Length: 0\r\n{more}");
            out.write_all(head(&format!("{status} X"), &more).as_bytes())
        }
        Reply::Half(body, bytes) => {
            out.write_all(with(body.len(), "").as_bytes())?;
            out.write_all(&body[..bytes])
        }
        Reply::Silence => {
            out.write_all(with(100, "").as_bytes())?;
            wait_for_end(out)
        }
        Reply::Drip => {
            out.write_all(with(1 << 10, "").as_bytes())?;
            loop {
                out.write_all(b" ")?;
                thread::park_timeout(std::time::Duration::from_millis(200));
            }
        }
        Reply::Flood => {
            out.write_all(head("200 OK", "").as_bytes())?;
            loop {
                out.write_all(&[b' '; 4096])?;
            }
        }
        Reply::Huge(length) => {
            out.write_all(head("200 OK", &format!("Content-Length: {length}\r\n")).as_bytes())?;
            wait_for_end(out)
        }
    }
}

fn wait_for_end(stream: &mut impl Read) -> std::io::Result<()> {
    stream.read(&mut [0; 1]).map(drop)
}
