//! Strangers at the door of a closed community.
use super::*;

fn home(name: &str) -> Home {
    Home {
        name: name.into(),
        zone: "vic".into(),
    }
}

fn address(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

impl Town {
    fn knocks(&mut self, at: usize, stranger: usize, from: &str) -> Admission {
        let now = self.now(at);
        let key = Signer::numbered(stranger).key();
        let name = format!("stranger{stranger}");
        self.node(at).knock(key, address(from), &home(&name), now)
    }

    fn waiting(&mut self, at: usize) -> Vec<String> {
        let now = self.now(at);
        let waiting = self.node(at).pending(now);
        let name = |w: &Value| w["name"].as_str().unwrap().to_owned();
        waiting.iter().map(name).collect()
    }
}

#[test]
fn a_stranger_waits_also_over_a_restart_until_it_is_approved() {
    let mut town = Town::founded("closed", 2, 1);
    let (key, now) = (town.signers[1].key(), town.now(0));
    let asked = town.node(0).admit(key, None, &home("box1"), now);
    assert!(matches!(asked, Admission::Wait));
    let asked = town.node(0).knock(key, None, &home("box1"), now);
    assert!(matches!(asked, Admission::Wait));
    town.kill(0);
    town.boot(0);
    assert_eq!(town.waiting(0), ["box1"]);
    town.node(0).approve("BOX1.vic", now).unwrap();
    assert!(town.waiting(0).is_empty());
    town.admit(1, 0);
    town.run(SECOND * 30);
    town.put(1, "a", 1);
    town.run(SECOND * 2);
    assert_eq!(town.agree(), [(1, "a".to_owned(), 1, false)]);
}

#[test]
fn a_member_that_is_no_administrator_sends_to_those_who_are() {
    let mut town = Town::founded("closed", 2, 2);
    town.run(SECOND * 30);
    let (stranger, now) = (Signer::new(99).key(), town.now(1));
    let asked = town.node(1).admit(stranger, None, &home("x"), now);
    assert!(matches!(asked, Admission::Ask(able) if able == [town.signers[0].key()]));
    let own = town.node(1).approve(&stranger.to_string(), now);
    assert_eq!(own.unwrap_err().kind(), guifi_core::Kind::NotAllowed);
}

#[test]
fn a_stranger_learns_no_name_at_a_closed_door() {
    let mut town = Town::founded("closed", 2, 2);
    town.run(SECOND * 30);
    let (key, now) = (Signer::new(99).key(), town.now(0));
    let asked = town.node(0).admit(key, None, &home("box1"), now);
    assert!(matches!(asked, Admission::Wait), "the name is taken");
    town.node(0).approve(&key.to_string(), now).unwrap();
    let asked = town.node(0).admit(key, None, &home("box1"), now);
    assert!(matches!(asked, Admission::Taken));
}

#[test]
fn who_was_refused_stays_so_until_it_is_approved() {
    let mut town = Town::founded("closed", 1, 1);
    let now = town.now(0);
    let key = Signer::numbered(1).key();
    town.knocks(0, 1, "10.0.0.1");
    town.node(0).refuse("stranger1", now).unwrap();
    assert!(town.waiting(0).is_empty());
    assert!(matches!(
        town.knocks(0, 1, "10.0.0.1"),
        Admission::Refused(_)
    ));
    assert!(town.node(0).approve("stranger1", now).is_err());
    town.node(0).approve(&key.to_string(), now).unwrap();
    let asked = town.node(0).admit(key, None, &home("stranger1"), now);
    assert!(matches!(asked, Admission::Member(_)));
}

#[test]
fn a_network_has_four_places_and_all_have_sixty_four() {
    let mut town = Town::founded("closed", 1, 1);
    for n in 0..6 {
        let asked = town.knocks(0, n, &format!("10.0.0.{n}"));
        assert_eq!(matches!(asked, Admission::Wait), n < 4, "{n}: {asked:?}");
    }
    for n in 6..80 {
        town.knocks(0, n, &format!("10.1.{n}.1"));
    }
    assert_eq!(town.waiting(0).len(), 64);
    // Who asks again stays, who has been silent gives way.
    town.skew_ms[0] = 2 * 3_600_000;
    assert!(matches!(town.knocks(0, 0, "10.0.0.0"), Admission::Wait));
    assert!(matches!(town.knocks(0, 90, "10.2.0.1"), Admission::Wait));
    let waiting = town.waiting(0);
    assert_eq!(waiting.len(), 64);
    assert!(waiting.contains(&"stranger0".to_owned()) && waiting.contains(&"stranger90".into()));
    town.skew_ms[0] += 8 * 24 * 3_600_000;
    assert!(town.waiting(0).is_empty(), "a week is long enough");
}

#[test]
fn one_name_of_two_must_be_told_apart_by_the_key() {
    let mut town = Town::founded("closed", 1, 1);
    let now = town.now(0);
    for n in [1, 2] {
        let key = Signer::numbered(n).key();
        town.node(0).knock(key, None, &home("same"), now);
    }
    let error = town.node(0).approve("same", now).unwrap_err();
    assert!(error.to_string().contains("several"), "{error}");
    let error = town.node(0).approve("nobody", now).unwrap_err();
    assert!(error.to_string().contains("nobody called"), "{error}");
}
