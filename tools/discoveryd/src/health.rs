//! Whether a service answers.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::service::{Check, Service};

/// Bytes of an answer that are looked at: the status line.
const MAX_ANSWER: usize = 64;

/// Whether it answers; a service without a check always does.
pub(crate) async fn answers(service: &Service, patience: Duration) -> bool {
    if service.check == Check::None {
        return true;
    }
    timeout(patience, attempt(service)).await.unwrap_or(false)
}

async fn attempt(service: &Service) -> bool {
    let local = [
        IpAddr::from([127, 0, 0, 1]),
        "::1".parse().unwrap_or(IpAddr::from([127, 0, 0, 1])),
    ];
    let addresses = service
        .host
        .as_ref()
        .map_or_else(|| local.to_vec(), |h| h.addresses.clone());
    for address in addresses {
        let Ok(mut stream) = TcpStream::connect(SocketAddr::new(address, service.port)).await
        else {
            continue;
        };
        match &service.check {
            Check::Http(path) => {
                if http(&mut stream, path).await.is_ok_and(|good| good) {
                    return true;
                }
            }
            Check::Tcp | Check::None => return true,
        }
    }
    false
}

/// Asks for a path; any answer but an error of the server is good (a page may want a log-in).
async fn http(stream: &mut TcpStream, path: &str) -> std::io::Result<bool> {
    let request =
        format!("GET {path} HTTP/1.0\r\nHost: localhost\r\nUser-Agent: guifi-discoveryd\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = [0; MAX_ANSWER];
    let mut length = 0;
    while length < 12 {
        match stream.read(&mut answer[length..]).await? {
            0 => return Ok(false),
            read => length += read,
        }
    }
    let line = String::from_utf8_lossy(&answer[..length]);
    let status = line.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5));
    Ok(status
        .and_then(|s| s.parse::<u16>().ok())
        .is_some_and(|s| (100..500).contains(&s)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tokio::net::TcpListener;

    fn service(port: u16, check: Check) -> Service {
        Service {
            name: "x".into(),
            r#type: "_http._tcp".into(),
            port,
            txt: vec![],
            global: false,
            check,
            host: None,
            heard: None,
        }
    }

    async fn serve(answer: &'static str) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 256];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        port
    }

    #[tokio::test]
    async fn an_open_port_a_page_and_nothing_are_told_apart() {
        let patience = Duration::from_secs(5);
        let page = || Check::Http("/".to_owned());
        let good = serve("HTTP/1.1 401 Unauthorized\r\n\r\n").await;
        let bad = serve("HTTP/1.1 502 Bad Gateway\r\n\r\n").await;
        let odd = serve("220 smtp ready here\r\n").await;
        assert!(answers(&service(good, page()), patience).await);
        assert!(!answers(&service(bad, page()), patience).await);
        assert!(!answers(&service(odd, page()), patience).await);
        assert!(answers(&service(odd, Check::Tcp), patience).await);
        let closed = TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        assert!(!answers(&service(closed, Check::Tcp), patience).await);
        assert!(answers(&service(closed, Check::None), patience).await);
    }
}
