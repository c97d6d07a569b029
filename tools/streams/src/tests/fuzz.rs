//! Mutants of what comes over the socket, from either side.

use guifi_testing::fuzz;

use crate::*;

const KEY: Key = Key([9; 32]);

fn requests() -> Vec<Vec<u8>> {
    let (id, deadline_ms) = (7, 5000);
    let (protocol, address) = ("sync".to_owned(), "10.1.0.2:7656".to_owned());
    [
        Request::Hello,
        Request::Open {
            id,
            peer: KEY,
            protocol: protocol.clone(),
            deadline_ms,
            addresses: vec![address.clone(); 3],
        },
        Request::Listen {
            id,
            protocol: protocol.clone(),
            backlog: 8,
        },
        Request::Unlisten { protocol },
        Request::Reset {
            stream: 3,
            code: 300,
        },
        Request::Sign {
            id,
            context: context::RECORD.to_owned(),
            bytes: vec![1; 40],
        },
        Request::Successor { id },
        Request::SignAsSuccessor {
            id,
            context: context::CLAIM.to_owned(),
            bytes: vec![1; 40],
        },
        Request::Succeed { id, key: KEY },
        Request::Configure { id },
        Request::Who {
            id,
            address,
            deadline_ms,
        },
    ]
    .iter()
    .map(Request::encode)
    .collect()
}

#[test]
fn mutants_of_requests() {
    fuzz::bytes("request", &requests(), |bytes| {
        if let Ok(request) = Request::decode(bytes) {
            assert_eq!(Request::decode(&request.encode()).unwrap(), request);
        }
    });
}

#[test]
fn mutants_of_events() {
    let (id, stream, rtt_us) = (7, 3, 900);
    let address = Some("10.1.0.2:7656".to_owned());
    let ended = Ended {
        end: End::Reset,
        direction: Direction::Receive,
        code: 300,
        text: "lost".to_owned(),
    };
    let samples: Vec<_> = [
        Event::Hello { key: KEY },
        Event::Opened {
            id,
            stream,
            path: PathKind::Relay,
            rtt_us,
            member: true,
            address: address.clone(),
        },
        Event::Refused {
            id,
            reason: Reason::Busy,
            text: "busy".to_owned(),
        },
        Event::Listening { id },
        Event::Incoming {
            stream,
            peer: KEY,
            protocol: "join".to_owned(),
            member: false,
            path: PathKind::Direct,
            rtt_us,
            address,
        },
        Event::Ended { stream, ended },
        Event::Signed {
            id,
            signature: [5; 64],
        },
        Event::Successor { id, key: KEY },
        Event::Done { id },
        Event::Whois {
            id,
            key: KEY,
            community: Some("c".to_owned()),
            name: "osona".to_owned(),
        },
    ]
    .iter()
    .map(Event::encode)
    .collect();
    fuzz::bytes("event", &samples, |bytes| {
        if let Ok(event) = Event::decode(bytes) {
            assert_eq!(Event::decode(&event.encode()).unwrap(), event);
        }
    });
}

#[test]
fn mutants_of_configurations() {
    let mut member = Member::new(KEY, vec!["10.1.0.2:7656".parse().unwrap()]);
    member.relays = vec![KEY];
    member.coordinate = Some(Coordinate::default());
    member.relay = Some(RelayPorts {
        udp: 7656,
        tcp: 7657,
        certificate: KEY.to_string(),
    });
    let whole = Configuration {
        community: Some(KEY.to_string()),
        name: "osona".to_owned(),
        members: vec![member, Member::new(KEY, vec![])],
        banned: vec![KEY],
    };
    let samples = [serde_json::to_string(&whole).unwrap()];
    fuzz::texts("configuration and relay ports", &samples, |text| {
        let _ = serde_json::from_str::<Configuration>(text);
        let _ = text.parse::<Key>();
    });
}
