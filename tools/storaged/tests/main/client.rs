//! A small client that speaks HTTP by hand, so that it can speak it wrongly.

use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use data_encoding::BASE64;
use guifi_tahoe::gbs::{
    Allocate, Allocated, ReadTestWrite, ReadTestWritten, Shares, decode_shares,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

use crate::place::SOON;

pub(crate) const SI: &str = "a7u7nte5ywgm6puqf6ozv2vvme";

/// A kept connection.
pub(crate) struct Client {
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    /// What it shows as its right.
    pub(crate) authorization: String,
    stream: Option<StreamOwned<ClientConnection, TcpStream>>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

#[derive(Debug)]
struct Pin(Vec<u8>, CryptoProvider);

impl ServerCertVerifier for Pin {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        assert_eq!(end.as_ref(), self.0);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("not in use".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.1.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.1.signature_verification_algorithms.supported_schemes()
    }
}

impl Client {
    pub(crate) fn new(address: SocketAddr, certificate: Vec<u8>, swissnum: &str) -> Self {
        let provider = ring::default_provider();
        let tls = ClientConfig::builder_with_provider(provider.clone().into())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Pin(certificate, provider)))
            .with_no_client_auth();
        Self {
            address,
            tls: Arc::new(tls),
            authorization: format!("Tahoe-LAFS {}", BASE64.encode(swissnum.as_bytes())),
            stream: None,
        }
    }

    fn connect(&self) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
        let socket = TcpStream::connect(self.address)?;
        socket.set_read_timeout(Some(SOON))?;
        socket.set_nodelay(true)?;
        let name = ServerName::try_from("server").unwrap();
        let tls = ClientConnection::new(self.tls.clone(), name).unwrap();
        Ok(StreamOwned::new(tls, socket))
    }

    /// Sends these bytes and reads one answer; an error if the connection ends before it.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> io::Result<Answer> {
        if self.stream.is_none() {
            self.stream = Some(self.connect()?);
        }
        let stream = self.stream.as_mut().unwrap();
        let done = stream
            .write_all(bytes)
            .and_then(|()| stream.flush())
            .and_then(|()| answer(stream));
        if !done
            .as_ref()
            .is_ok_and(|answer| !answer.head.contains("connection: close"))
        {
            self.stream = None;
        }
        done
    }

    pub(crate) fn try_ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: &[u8],
    ) -> io::Result<Answer> {
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\n{headers}Content-Length: {}\r\n\r\n",
            self.authorization,
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        self.raw(&request)
    }

    pub(crate) fn ask(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        self.try_ask(method, path, headers, body).unwrap()
    }

    pub(crate) fn get(&mut self, path: &str, headers: &str) -> Answer {
        self.ask("GET", path, headers, b"")
    }

    pub(crate) fn shares(&mut self, kind: &str, index: &str) -> Shares {
        let answer = self.get(&format!("/storage/v1/{kind}/{index}/shares"), "");
        assert_eq!(answer.code, 200);
        decode_shares(&answer.body).unwrap()
    }

    pub(crate) fn allocate(&mut self, index: &str, shares: &[u8], size: u64) -> Allocated {
        let wish = Allocate {
            shares: shares.iter().copied().collect(),
            size,
        };
        let path = format!("/storage/v1/immutable/{index}");
        let answer = self.ask("POST", &path, &(lease() + &upload()), &wish.encode());
        assert_eq!(answer.code, 200, "{answer:?}");
        assert!(answer.head.contains("content-type: application/cbor"));
        Allocated::decode(&answer.body).unwrap()
    }

    pub(crate) fn patch(
        &mut self,
        index: &str,
        number: u8,
        begin: usize,
        bytes: &[u8],
    ) -> io::Result<Answer> {
        let range = format!(
            "Content-Range: bytes {begin}-{}/*\r\n",
            begin + bytes.len() - 1
        );
        let path = format!("/storage/v1/immutable/{index}/{number}");
        self.try_ask("PATCH", &path, &(upload() + &range), bytes)
    }

    pub(crate) fn change(
        &mut self,
        index: &str,
        enabler: &str,
        wish: &ReadTestWrite,
    ) -> io::Result<Result<ReadTestWritten, u16>> {
        let path = format!("/storage/v1/mutable/{index}/read-test-write");
        let headers = lease() + &secret("write-enabler", enabler.as_bytes());
        let answer = self.try_ask("POST", &path, &headers, &wish.encode())?;
        Ok(match answer.code {
            200 => Ok(ReadTestWritten::decode(&answer.body).unwrap()),
            code => Err(code),
        })
    }
}

pub(crate) fn secret(kind: &str, bytes: &[u8]) -> String {
    format!("X-Tahoe-Authorization: {kind} {}\r\n", BASE64.encode(bytes))
}

pub(crate) fn lease() -> String {
    secret("lease-renew-secret", &[1; 32]) + &secret("lease-cancel-secret", &[2; 32])
}

pub(crate) fn upload() -> String {
    secret("upload-secret", b"upload")
}

pub(crate) fn answer(stream: &mut impl io::Read) -> io::Result<Answer> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    if code != 204 {
        stream.read_exact(&mut body)?;
    }
    Ok(Answer { code, head, body })
}
