//! Questions over TLS, to a stand-in for a server outside.

use crate::common;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use common::{Bus, Daemon, free_port};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{RData, Record, RecordType};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

const NAME: &str = "dns.example";

/// How the stand-in answers.
#[derive(Clone, Copy)]
enum Manner {
    /// The last of so many questions first.
    Backwards(usize),
    /// One question on each connection.
    Curt,
}

/// A stand-in for a server that is asked by TLS; it counts connections and keeps the lengths of
/// the questions. In the clear it may not be asked.
struct StandIn {
    address: SocketAddr,
    authority: String,
    connections: Arc<AtomicUsize>,
    lengths: Arc<Mutex<Vec<usize>>>,
    clear: UdpSocket,
}

impl StandIn {
    fn start(manner: Manner) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([NAME.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        config.alpn_protocols = vec![b"dot".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let port = free_port();
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let clear = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        clear.set_nonblocking(true).unwrap();
        let stand_in = Self {
            address: listener.local_addr().unwrap(),
            authority: format!(
                "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
                data_encoding::BASE64.encode(issuer.der())
            ),
            connections: Arc::default(),
            lengths: Arc::default(),
            clear,
        };
        let (count, lengths) = (stand_in.connections.clone(), stand_in.lengths.clone());
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().build().unwrap();
        std::thread::spawn(move || {
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    count.fetch_add(1, Ordering::Relaxed);
                    let (acceptor, lengths) = (acceptor.clone(), lengths.clone());
                    tokio::spawn(async move {
                        let _ = serve(acceptor, stream, manner, &lengths).await;
                    });
                }
            });
        });
        stand_in
    }

    fn daemon(&self, bus: &Bus, name: &str, authority: &str) -> Daemon {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("authorities.pem");
        fs::write(&file, authority).unwrap();
        let text = format!(
            "listen = ['127.0.0.1']\n[upstream]\nservers = ['tls://{}#{name}']\nauthorities = '{}'\n",
            self.address,
            file.display()
        );
        let daemon = Daemon::start(bus, &text);
        // The file is read when it is needed: now.
        let _ = daemon.ask("first.example", RecordType::A);
        daemon
    }

    fn asked_in_the_clear(&self) -> bool {
        self.clear.recv(&mut [0; 600]).is_ok()
    }
}

async fn serve(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    manner: Manner,
    lengths: &Mutex<Vec<usize>>,
) -> std::io::Result<()> {
    let mut stream = acceptor.accept(stream).await?;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"dot"[..]));
    let mut held = Vec::new();
    loop {
        let length = stream.read_u16().await?;
        let mut query = vec![0; usize::from(length)];
        stream.read_exact(&mut query).await?;
        lengths.lock().unwrap().push(query.len());
        let query = Message::from_vec(&query).unwrap();
        let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
        answer.queries = query.queries.clone();
        let name = query.queries[0].name.clone();
        // The number in the name comes back in the address.
        let number = name
            .to_string()
            .trim_matches(|c: char| !c.is_ascii_digit())
            .parse();
        let address = RData::A(Ipv4Addr::new(192, 0, 2, number.unwrap_or(0)).into());
        answer.add_answer(Record::from_rdata(name.clone(), 300, address));
        held.push(answer.to_vec().unwrap());
        let first = name.to_string().to_ascii_lowercase().starts_with("first");
        match manner {
            Manner::Backwards(count) if held.len() < count && !first => continue,
            _ => {}
        }
        for answer in held.drain(..).rev() {
            stream.write_u16(answer.len() as u16).await?;
            stream.write_all(&answer).await?;
        }
        stream.flush().await?;
        if matches!(manner, Manner::Curt) {
            return stream.shutdown().await;
        }
    }
}

#[test]
fn questions_share_a_connection_and_answers_come_in_any_order() {
    let stand_in = StandIn::start(Manner::Backwards(20));
    let bus = Bus::new();
    let daemon = stand_in.daemon(&bus, NAME, &stand_in.authority);
    std::thread::scope(|scope| {
        let ask = |n: u8| (n, daemon.data(&format!("n{n}.example"), RecordType::A));
        let all: Vec<_> = (0..20).map(|n| scope.spawn(move || ask(n))).collect();
        for asked in all {
            let (n, data) = asked.join().unwrap();
            assert_eq!(data, [format!("192.0.2.{n}")]);
        }
    });
    assert_eq!(stand_in.connections.load(Ordering::Relaxed), 1);
    let lengths = stand_in.lengths.lock().unwrap();
    assert!(
        lengths.iter().all(|length| length % 128 == 0),
        "{lengths:?}"
    );
    assert!(!stand_in.asked_in_the_clear());
    let health = &daemon.describe()["upstreams"]["health"][0];
    assert_eq!(
        health["server"],
        format!("tls://{}#{NAME}", stand_in.address)
    );
    assert_eq!(health["state"], "up");
}

#[test]
fn a_server_may_close_after_each_answer() {
    let stand_in = StandIn::start(Manner::Curt);
    let bus = Bus::new();
    let daemon = stand_in.daemon(&bus, NAME, &stand_in.authority);
    for n in 1..20 {
        let data = daemon.data(&format!("n{n}.example"), RecordType::A);
        assert_eq!(data, [format!("192.0.2.{n}")]);
    }
}

#[test]
fn the_wrong_certificate_is_no_answer_and_nothing_goes_in_the_clear() {
    let stand_in = StandIn::start(Manner::Backwards(1));
    let other = StandIn::start(Manner::Curt);
    let bus = Bus::new();
    for (name, authority, why) in [
        ("other.example", &stand_in.authority, "not valid for name"),
        (NAME, &other.authority, "invalid peer certificate"),
        (NAME, &String::new(), "there is no certificate in it"),
    ] {
        let daemon = stand_in.daemon(&bus, name, authority);
        let answer = daemon.ask("n1.example", RecordType::A).unwrap();
        assert_eq!(
            answer.metadata.response_code,
            ResponseCode::ServFail,
            "{why}"
        );
        assert!(daemon.log().contains(why), "{why}: {}", daemon.log());
        assert!(!stand_in.asked_in_the_clear(), "{why}");
    }
    assert!(stand_in.lengths.lock().unwrap().is_empty());
}
