//! Messages are read as they are written, and garbage is an error.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use crate::*;

fn requests() -> impl Strategy<Value = Request> {
    let text = "[ -~]{0,40}";
    let key = any::<[u8; 32]>().prop_map(Key);
    prop_oneof![
        Just(Request::Hello),
        (
            any::<u64>(),
            key,
            text,
            any::<u32>(),
            prop::collection::vec(text, 0..4)
        )
            .prop_map(
                |(id, peer, protocol, deadline_ms, addresses)| Request::Open {
                    id,
                    peer,
                    protocol,
                    deadline_ms,
                    addresses
                }
            ),
        (any::<u64>(), text, any::<u32>()).prop_map(|(id, protocol, backlog)| Request::Listen {
            id,
            protocol,
            backlog
        }),
        text.prop_map(|protocol| Request::Unlisten { protocol }),
        (any::<u64>(), any::<u32>()).prop_map(|(stream, code)| Request::Reset { stream, code }),
        (any::<u64>(), text, any::<Vec<u8>>()).prop_map(|(id, context, bytes)| Request::Sign {
            id,
            context,
            bytes
        }),
        any::<u64>().prop_map(|id| Request::Configure { id }),
        (any::<u64>(), text, any::<u32>()).prop_map(|(id, address, deadline_ms)| Request::Who {
            id,
            address,
            deadline_ms
        }),
    ]
}

fn events() -> impl Strategy<Value = Event> {
    let text = "[ -~]{0,40}";
    let key = || any::<[u8; 32]>().prop_map(Key);
    let path = (0..3u8).prop_map(|n| PathKind::from_number(n).unwrap());
    let address = prop::option::of(text);
    prop_oneof![
        key().prop_map(|key| Event::Hello { key }),
        (
            any::<u64>(),
            any::<u64>(),
            path.clone(),
            any::<u32>(),
            any::<bool>(),
            address.clone()
        )
            .prop_map(
                |(id, stream, path, rtt_us, member, address)| Event::Opened {
                    id,
                    stream,
                    path,
                    rtt_us,
                    member,
                    address
                }
            ),
        (any::<u64>(), 1..12u8, text).prop_map(|(id, reason, text)| Event::Refused {
            id,
            reason: Reason::from_number(reason).unwrap(),
            text
        }),
        any::<u64>().prop_map(|id| Event::Listening { id }),
        (
            any::<u64>(),
            key(),
            text,
            any::<bool>(),
            path,
            any::<u32>(),
            address.clone()
        )
            .prop_map(|(stream, peer, protocol, member, path, rtt_us, address)| {
                Event::Incoming {
                    stream,
                    peer,
                    protocol,
                    member,
                    path,
                    rtt_us,
                    address,
                }
            }),
        (any::<u64>(), 0..5u8, 0..3u8, any::<u32>(), text).prop_map(
            |(stream, end, direction, code, text)| Event::Ended {
                stream,
                ended: Ended {
                    end: End::from_number(end).unwrap(),
                    direction: Direction::from_number(direction).unwrap(),
                    code,
                    text
                }
            }
        ),
        (any::<u64>(), any::<[u8; 32]>()).prop_map(|(id, half)| Event::Signed {
            id,
            signature: [half, half].concat().try_into().unwrap()
        }),
        any::<u64>().prop_map(|id| Event::Done { id }),
        (any::<u64>(), key(), address, text).prop_map(|(id, key, community, name)| {
            Event::Whois {
                id,
                key,
                community,
                name,
            }
        }),
    ]
}

proptest! {
    #[test]
    fn requests_are_read_as_written(request in requests()) {
        let packet = request.encode();
        prop_assert_eq!(Request::decode(&packet).unwrap(), request);
        for cut in 0..packet.len() {
            prop_assert!(Request::decode(&packet[..cut]).is_err());
        }
    }

    #[test]
    fn events_are_read_as_written(event in events()) {
        let packet = event.encode();
        prop_assert_eq!(Event::decode(&packet).unwrap(), event);
        for cut in 0..packet.len() {
            prop_assert!(Event::decode(&packet[..cut]).is_err());
        }
    }

    #[test]
    fn garbage_is_an_error_and_never_a_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        kind in 0..10u8,
    ) {
        let _ = Request::decode(&bytes);
        let _ = Event::decode(&bytes);
        let mut likely = vec![0x98, 0x08, VERSION, kind];
        likely.extend(&bytes);
        let _ = Request::decode(&likely);
        let _ = Event::decode(&likely);
    }
}
