//! Strangers at the door of a box that may not sponsor.

use crate::town;

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use guifi_registryd::body;
use guifi_registryd::frame::{Frame, kind};
use guifi_streams::{Client, Configuration, Key, Stream};
use serde_json::{Value, json};
use town::{Place, SOON, until};

/// A stranger, who speaks with the seed itself.
struct Stranger {
    client: Client,
    seed: Key,
    address: SocketAddr,
}

impl Stranger {
    fn new(place: &mut Place, seed: &Place) -> Self {
        place.kill_registryd();
        let socket = place.dir.path().join("run/guifi/peerd.sock");
        let client = Client::connect(&socket).unwrap();
        let known = seed.describe();
        client
            .configure(&Configuration {
                community: Some(known["community"]["id"].as_str().unwrap().to_owned()),
                name: "osona".to_owned(),
                ..Configuration::default()
            })
            .unwrap();
        Self {
            client,
            seed: known["key"].as_str().unwrap().parse().unwrap(),
            address: SocketAddr::from(([127, 0, 0, 1], seed.port)),
        }
    }

    fn ask(&self, frame: &Frame) -> Stream {
        let stream = self
            .client
            .open(self.seed, "join", &[self.address], SOON)
            .unwrap();
        stream.socket.set_read_timeout(Some(SOON)).unwrap();
        frame.write(&mut &stream.socket).unwrap();
        stream
    }
}

fn answer(stream: &Stream) -> Frame {
    Frame::read(&mut &stream.socket).unwrap()
}

#[test]
fn requests_that_are_passed_on_in_vain_keep_nobody_else_out() {
    let [mut sponsor, seed, mut visitor] = std::array::from_fn(|_| Place::new());
    sponsor.found("osona", "one");
    seed.enter(&sponsor, "two").unwrap();
    until("both boxes are known", || seed.names("box").len() == 2);
    sponsor.kill_registryd();
    sponsor.kill_peerd();
    let stranger = Stranger::new(&mut visitor, &seed);
    let body = json!({"name": "three", "zone": ""});
    let admit = Frame::new(
        kind::ADMIT,
        body::encode(body.as_object().unwrap()).unwrap(),
    );
    // More than there are places for strangers.
    let asked = Instant::now();
    let (told, verdicts) = mpsc::channel();
    for _ in 0..10 {
        let (stream, told) = (stranger.ask(&admit), told.clone());
        thread::spawn(move || {
            let verdict = body::decode(&answer(&stream).payload).unwrap();
            // The test has ended if nobody listens.
            let _ = told.send(verdict["status"].clone());
        });
    }
    let next = |n: usize| -> Vec<Value> {
        let one = |_| verdicts.recv_timeout(SOON).unwrap();
        (0..n).map(one).collect()
    };
    // Two of them take their time; the others are sent away at once.
    assert_eq!(next(8), vec![json!("later"); 8]);
    let founding = stranger.ask(&Frame::new(kind::FOUNDING, []));
    assert_eq!(answer(&founding).kind, kind::RECORD);
    let soon = asked.elapsed();
    assert!(soon < Duration::from_secs(5), "{soon:?}");
    assert_eq!(next(2), vec![json!("later"); 2]);
    let late = asked.elapsed();
    assert!(late > Duration::from_secs(5), "{late:?}");
}
