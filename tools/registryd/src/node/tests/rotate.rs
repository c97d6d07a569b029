//! Changes of key.
use super::*;
use crate::rules::{CLAIM_CONTEXT, rotation_message};

const MINUTE: Duration = Duration::from_secs(60);

impl Town {
    fn offer(&mut self, n: usize) {
        let now = self.now(n);
        let body = json!({"port": 80}).as_object().cloned().unwrap();
        self.node(n)
            .put("service", "_http._tcp/a", body, MINUTE * 60, now)
            .unwrap();
    }

    fn rotate(&mut self, n: usize, new: &Signer) {
        self.try_rotate(n, new).unwrap();
    }

    fn try_rotate(&mut self, n: usize, new: &Signer) -> Result<(), String> {
        let message = rotation_message(&self.founding.hash, self.signers[n].key(), new.key());
        let signature = new.sign(CLAIM_CONTEXT, &message);
        let now = self.now(n);
        let sign = |content: &[u8]| Ok(new.sign(crate::record::CONTEXT, content));
        self.node(n).rotate(new.key(), &signature, sign, now)
    }

    /// Box `n` goes on with another key, as after its peerd has gone over to it.
    fn succeed(&mut self, n: usize, new: &Signer) {
        self.kill(n);
        self.signers[n] = new.clone();
        self.boot(n);
    }

    fn offers(&mut self, at: usize, owner: Key) -> bool {
        let key = RecordKey {
            owner,
            kind: "service".into(),
            name: "_http._tcp/a".into(),
        };
        self.node(at).book().view().get(&key).is_some()
    }

    fn label_of(&mut self, at: usize, owner: Key) -> String {
        let view = self.node(at).book().view();
        view.of_owner(owner)
            .next()
            .map(|e| e.standing.label.clone())
            .unwrap_or_default()
    }
}

fn town() -> (Town, Key, Signer) {
    let mut town = Town::new(4);
    town.run(MINUTE);
    town.offer(1);
    town.run(SECOND * 2);
    let old = town.signers[1].key();
    (town, old, Signer::new(100))
}

#[test]
fn membership_name_and_records_follow_to_the_new_key() {
    let (mut town, old, new) = town();
    assert!(town.offers(3, old));
    town.rotate(1, &new);
    town.run(SECOND);
    for at in [0, 2, 3] {
        assert!(town.offers(at, new.key()) && !town.offers(at, old));
    }
    town.succeed(1, &new);
    town.run(MINUTE * 2);
    for at in 0..4 {
        assert!(town.node(at).book().ruling().is_member(new.key()));
        assert!(town.offers(at, new.key()) && !town.offers(at, old));
        assert_eq!(town.label_of(at, new.key()), "box1");
    }
    // It goes on as before, under the new key.
    let now = town.now(1);
    assert_eq!(town.node(1).key_state(), KeyState::InUse);
    town.node(1).remove("service", "_http._tcp/a", now).unwrap();
    town.run(SECOND * 2);
    assert!(!town.offers(3, new.key()));
    // And is kept by those who come later, and after a restart.
    town.kill(3);
    town.boot(3);
    assert!(town.node(3).book().ruling().is_member(new.key()));
}

#[test]
fn a_crash_in_the_midst_of_it_loses_nothing() {
    let (mut town, old, new) = town();
    town.rotate(1, &new);
    // Dead before anybody heard, and before peerd was told.
    town.kill(1);
    town.boot(1);
    assert_eq!(town.node(1).successors(), [new.key()]);
    assert_eq!(town.node(1).key_state(), KeyState::LeftFor(new.key()));
    let (body, now) = (Map::new(), town.now(1));
    let refused = town.node(1).put("service", "_b._tcp/b", body, MINUTE, now);
    assert!(matches!(refused, Err(WriteError::NoKey(_))), "{refused:?}");
    town.succeed(1, &new);
    town.run(MINUTE * 2);
    for at in 0..4 {
        assert!(town.offers(at, new.key()) && !town.offers(at, old));
    }
}

#[test]
fn a_thief_of_a_key_gains_nothing_that_an_administrator_does_not_grant() {
    let (mut town, old, mine) = town();
    let thief = Signer::new(101);
    let message = rotation_message(&town.founding.hash, old, thief.key());
    let signature = data_encoding::BASE32_NOPAD.encode(&thief.sign(CLAIM_CONTEXT, &message));
    let now = town.now(2);
    let version = town.node(2).community_time(now);
    let stolen = town.signers[1].record(
        town.founding.hash,
        "rotate",
        &thief.key().to_string(),
        version,
        json!({"signature": signature.to_lowercase()}),
    );
    let now = town.now(2);
    town.node(2).merge(vec![stolen], now);
    town.run(SECOND * 2);
    assert_eq!(town.node(1).key_state(), KeyState::LeftFor(thief.key()));
    // The true owner gives it up as well, and is heard at the door.
    town.rotate(1, &mine);
    assert_eq!(town.node(1).key_state(), KeyState::Frozen);
    town.succeed(1, &mine);
    town.run(MINUTE);
    for at in 0..4 {
        let ruling = town.node(at).book().ruling();
        assert!(!ruling.is_member(mine.key()) && !ruling.is_member(thief.key()));
    }
    // Neither is let in as somebody new meanwhile.
    let home = town.node(1).home().clone();
    for key in [mine.key(), thief.key(), old] {
        let now = town.now(0);
        let answer = town.node(0).admit(key, None, &home, now);
        assert!(matches!(answer, Admission::Refused(_)), "{answer:?}");
    }
    let now = town.now(0);
    let done = town.node(0).confirm_key(mine.key(), now).unwrap();
    assert_eq!(done["key"], json!(mine.key()));
    town.run(MINUTE * 2);
    for at in 0..4 {
        let ruling = town.node(at).book().ruling();
        assert!(ruling.is_member(mine.key()) && !ruling.is_member(thief.key()));
        assert!(town.offers(at, mine.key()));
    }
    let now = town.now(0);
    assert!(town.node(0).confirm_key(mine.key(), now).is_err());
}

#[test]
fn who_has_changed_its_key_twice_while_alone_is_heard_at_the_door() {
    let (mut town, old, new) = town();
    let newer = Signer::new(104);
    town.cut(&[1], &[0, 2, 3]);
    town.run(SECOND * 5);
    for key in [&new, &newer] {
        town.rotate(1, key);
        town.succeed(1, key);
        town.run(SECOND * 5);
    }
    town.cut.clear();
    town.run(MINUTE * 2);
    for at in 0..4 {
        assert!(town.node(at).book().ruling().is_member(newer.key()));
        assert!(town.offers(at, newer.key()) && !town.offers(at, old));
    }
}

#[test]
fn only_changes_to_the_callers_own_key_are_heard_at_the_door() {
    let (mut town, old, new) = town();
    town.rotate(1, &new);
    town.succeed(1, &new);
    let rotation = Record::clone(&town.node(1).own_rotations()[0]);
    let now = town.now(0);
    // A stranger's own keys are nobody's business.
    let [stranger, other] = [Signer::new(102), Signer::new(103)];
    let made = json!({"signature": "aa"});
    let strange = stranger.record(
        town.founding.hash,
        "rotate",
        &other.key().to_string(),
        T,
        made,
    );
    let mut hear = |records, from| town.node(0).hear_rotations(records, from, now).is_ok();
    assert!(!hear(vec![strange.clone()], other.key()));
    assert!(!hear(vec![rotation.clone()], old));
    assert!(!hear(vec![strange, rotation.clone()], new.key()));
    assert!(!hear(vec![rotation.clone(); 7], new.key()));
    assert!(hear(vec![rotation], new.key()));
}

#[test]
fn a_box_that_is_no_member_changes_nothing() {
    let (mut town, _, new) = town();
    town.ban(1);
    assert!(town.try_rotate(1, &new).is_err());
    town.kill(1);
    let path = town.dirs[1].path().join("registry.db");
    let stored = Store::open(&path).unwrap().records;
    let mut keys = stored.iter().map(|r| &r.key);
    assert!(keys.all(|k| k.owner != new.key() && k.kind != "rotate"));
}
