//! What administrators decide about members.
use super::*;
use guifi_core::Kind;

impl Town {
    fn key(&self, n: usize) -> Key {
        self.signers[n].key()
    }

    fn members_at(&mut self, at: usize) -> BTreeSet<usize> {
        let keys: Vec<Key> = self
            .node(at)
            .book()
            .ruling()
            .members
            .keys()
            .copied()
            .collect();
        keys.into_iter().map(|k| self.index(k)).collect()
    }

    fn bans(&mut self, by: usize, n: usize, with_sponsored: bool) -> Value {
        let (key, now) = (self.key(n), self.now(by));
        let done = self.node(by).ban(key, with_sponsored, now).unwrap();
        self.run(SECOND * 5);
        done
    }
}

/// 1 sponsors 2, which sponsors 3; 4 is the administrator's.
fn chain() -> Town {
    let mut town = Town::with(5, 2);
    town.run(SECOND * 60);
    for (n, by) in [(2, 1), (3, 2)] {
        let name = format!("member/{}", town.key(by));
        town.decree("confirm", &name);
        town.admit(n, by);
        town.run(SECOND * 5);
    }
    town.admit(4, 0);
    town.run(SECOND * 5);
    town
}

#[test]
fn whoever_hangs_on_a_banned_member_is_shown_and_stays() {
    let mut town = chain();
    let (key, now) = (town.key(1), town.now(0));
    let preview = town.node(0).sponsored(key, now).unwrap();
    let mut shown: Vec<&str> = preview["members"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["name"].as_str().unwrap())
        .collect();
    shown.sort_unstable();
    assert_eq!(
        (shown, &preview["counts"]),
        (vec!["box2", "box3"], &true.into())
    );
    assert_eq!(town.members_at(4).len(), 5, "looking changes nothing");
    let done = town.bans(0, 1, false);
    assert_eq!(done["kept"].as_array().unwrap().len(), 2);
    for n in [0, 2, 3, 4] {
        assert_eq!(town.members_at(n), BTreeSet::from([0, 2, 3, 4]), "{n}");
    }
    assert_eq!(town.node(1).expelled(), Some("it is banned"));
}

#[test]
fn a_ban_may_take_all_that_hangs_on_the_key() {
    let mut town = chain();
    let done = town.bans(0, 1, true);
    assert_eq!(done["banned"].as_array().unwrap().len(), 2);
    assert_eq!(town.members_at(4), BTreeSet::from([0, 4]));
    let (key, now) = (town.key(3), town.now(0));
    assert!(town.node(0).book().ruling().is_banned(key));
    assert!(town.node(0).approve(&key.to_string(), now).is_err());
}

#[test]
fn nobody_bans_himself_nor_a_higher_rank_nor_without_being_administrator() {
    let mut town = Town::new(3);
    town.run(SECOND * 30);
    let (keys, now) = ([0, 1, 2].map(|n| town.key(n)), town.now(0));
    let error = town.node(0).ban(keys[0], false, now).unwrap_err();
    assert!(
        error.to_string().contains("does not ban himself"),
        "{error}"
    );
    let error = town.node(1).ban(keys[2], false, now).unwrap_err();
    assert_eq!(error.kind(), Kind::NotAllowed);
    town.node(0).appoint(keys[1], now).unwrap();
    town.run(SECOND * 5);
    let error = town.node(1).ban(keys[0], false, now).unwrap_err();
    assert!(error.to_string().contains("higher rank"), "{error}");
    town.bans(1, 2, false);
    assert_eq!(town.members_at(0), BTreeSet::from([0, 1]));
}

#[test]
fn a_dismissed_administrator_and_whom_it_admitted_stay_members() {
    let mut town = Town::founded("closed", 4, 2);
    town.run(SECOND * 30);
    let (keys, now) = ([0, 1, 2, 3].map(|n| town.key(n)), town.now(0));
    let stranger = town.node(0).appoint(keys[2], now).unwrap_err();
    assert!(stranger.to_string().contains("not a member"), "{stranger}");
    town.node(0).appoint(keys[1], now).unwrap();
    town.run(SECOND * 5);
    town.admit(2, 1);
    town.run(SECOND * 5);
    let error = town.node(1).dismiss(keys[0], now).unwrap_err();
    assert_eq!(error.kind(), Kind::NotAllowed);
    let now = town.now(0);
    town.node(0).dismiss(keys[1], now).unwrap();
    town.run(SECOND * 5);
    for n in 0..3 {
        assert_eq!(town.members_at(n), BTreeSet::from([0, 1, 2]));
        assert_eq!(town.node(n).book().ruling().administrators, [keys[0]]);
    }
    let error = town.node(0).dismiss(keys[1], now).unwrap_err();
    assert!(
        error.to_string().contains("not an administrator"),
        "{error}"
    );
}

#[test]
fn a_confirmed_name_goes_to_whom_the_administrator_says_if_it_claims_it() {
    let mut town = Town::new(3);
    town.run(SECOND * 30);
    let now = town.now(2);
    let home = Home {
        name: "box1".into(),
        zone: "vic".into(),
    };
    town.node(2).set_home(home, now);
    town.run(SECOND * 30);
    let keys = [0, 1, 2].map(|n| town.key(n));
    let now = town.now(0);
    let name = |town: &mut Town, key| town.node(0).confirm_name("Box1", "vic", key, now);
    assert_eq!(name(&mut town, None).unwrap()["key"], json!(keys[1]));
    assert!(
        name(&mut town, Some(keys[0])).is_err(),
        "it does not claim it"
    );
    assert_eq!(
        name(&mut town, Some(keys[2])).unwrap()["key"],
        json!(keys[2])
    );
    let error = town
        .node(0)
        .confirm_name("nobody", "", None, now)
        .unwrap_err();
    assert!(error.to_string().contains("nobody claims"), "{error}");
}
