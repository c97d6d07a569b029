//! Where boxes can be met, as the others' peerd learns it.
use super::*;
use guifi_streams::{Coordinate, RelayPorts};

#[test]
fn relays_and_places_reach_the_peerd_of_the_others() {
    let mut town = Town::new(3);
    let key = |town: &Town, n: usize| town.signers[n].key();
    let coordinate = Coordinate {
        x_us: -700,
        error_permille: 120,
        ..Coordinate::default()
    };
    let relay = RelayPorts {
        udp: 7657,
        tcp: 7657,
        certificate: Key([1; 32]).to_string(),
    };
    let reaches = [
        Reach {
            addresses: vec![IpAddr::from([10, 1, 0, 1])],
            port: 7656,
            relay: Some(relay.clone()),
            coordinate: Some(coordinate),
            ..Reach::default()
        },
        Reach {
            port: 7656,
            relays: vec![key(&town, 0)],
            coordinate: Some(coordinate),
            ..Reach::default()
        },
    ];
    for (n, reach) in reaches.into_iter().enumerate() {
        let now = town.now(n);
        town.node(n).set_reach(reach, now);
    }
    town.run(SECOND * 5);
    let members = town.node(2).members().members;
    let of = |n: usize| members.iter().find(|m| m.key == key(&town, n)).unwrap();
    assert_eq!(of(0).relay, Some(relay));
    assert_eq!(of(0).coordinate, Some(coordinate));
    assert_eq!(of(1).relays, [key(&town, 0)]);
    // Only the way to relays is guessed: others' places need not wake peerd.
    assert_eq!(of(1).coordinate, None);
    town.run(SECOND * 60);
    let now = town.now(1);
    let version = |town: &mut Town| {
        let owner = town.signers[1].key();
        town.node(1).box_version(owner)
    };
    let before = version(&mut town);
    let moved = Reach {
        port: 7656,
        relays: vec![key(&town, 0)],
        coordinate: Some(Coordinate::default()),
        ..Reach::default()
    };
    town.node(1).set_reach(moved, now);
    town.run(SECOND * 60);
    assert_eq!(version(&mut town), before, "a new place alone is no news");
}

#[test]
fn a_box_that_has_said_good_bye_is_not_called_back_by_its_own_news() {
    let mut town = Town::new(3);
    town.run(SECOND * 90);
    let owner = town.signers[1].key();
    let now = town.now(1);
    town.node(1).say_goodbye(now);
    let moved = Reach {
        port: 7700,
        ..Reach::default()
    };
    town.node(1).set_reach(moved, now);
    town.run(SECOND * 30);
    let entry = town
        .node(0)
        .book()
        .view()
        .get(&crate::book::box_key(owner))
        .cloned();
    assert!(entry.unwrap().standing.stale);
}

#[test]
fn two_that_are_cut_off_from_all_others_try_each_before_one_again() {
    for other in [1, 3, 5] {
        let mut town = Town::new(6);
        town.run(SECOND * 90);
        let rest: Vec<usize> = (1..6).filter(|n| *n != other).collect();
        town.cut(&[0, other], &rest);
        // Attempts after 1, 3, 7, 15 and 31 seconds: as many as there are others.
        town.run(SECOND * 35);
        let key = town.signers[other].key();
        assert!(town.node(0).neighbours.contains(&key), "0 and {other}");
    }
}
