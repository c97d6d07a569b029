//! Garbage by HTTP and on the bus: the daemon lives, and answers after it.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use guifi_bus::GATEWAY;
use guifi_testing::bus::Bus;
use guifi_testing::fuzz::{self, Target, calls, inputs};
use guifi_testing::interface;

use crate::gateway::Gateway;

#[test]
fn no_request_ends_the_daemon() {
    // No server is known: what a request could cost elsewhere is not what is tried here.
    let gateway = Gateway::new("storage: {}\n", [1, 1, 1]);
    let samples = [
        "PUT /uri HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello",
        "GET /uri/URI%3ALIT%3Anbuqu?t=json HTTP/1.1\r\nHost: [::1]:3456\r\nRange: bytes=0-0\r\n\r\n",
        "POST /uri?t=mkdir-immutable HTTP/1.1\r\nContent-Length: 44\r\n\r\n{\"f\":[\"filenode\",{\"ro_uri\":\"URI:LIT:nbuqu\"}]}",
        "POST /uri/URI:DIR2:aa:bb/x/y?t=relink&from_name=a&to_dir=URI:DIR2:a:b/c HTTP/1.1\r\n\r\n",
        "GET /uri/URI:DIR2-LIT:gi4duz3pnvrw63lq/x HTTP/1.1\r\nOrigin: http://localhost\r\n\r\n",
    ];
    let samples = samples.map(str::to_owned);
    // Each costs a connection.
    fuzz::rounds("requests", inputs() / 4, |chance, input| {
        let request = input.is(chance.mutant(&samples)).to_vec();
        let mut socket = TcpStream::connect(gateway.address()).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let _ = socket.write_all(&request);
        let _ = socket.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
    });
    assert_eq!(gateway.get("/uri/URI:LIT:nbuqu").text(), "hi");
}

#[test]
fn no_call_ends_the_daemon() {
    let bus = Bus::new();
    let _gateway = Gateway::on_bus(&bus.address(), "storage: {}\n", [1, 1, 1]);
    let target = Target {
        name: GATEWAY.name,
        path: GATEWAY.path,
        interface: &interface("net.guifi.Gateway1"),
        without: &[],
        slow: &["ImportServers"],
        samples: &["storage: {}"],
    };
    calls(&bus.address(), target, inputs());
}
