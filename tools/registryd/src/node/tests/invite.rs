//! Invitations, and everything that may be wrong with them.
use super::*;
use crate::invitation::Invitation;
use crate::record::{CONTEXT, Draft};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn said(document: &Value) -> Invitation {
    Invitation::read(document["invitation"].as_str().unwrap()).unwrap()
}

fn refused(admission: Admission) -> String {
    let Admission::Refused(why) = admission else {
        panic!("{admission:?}")
    };
    why
}

impl Town {
    fn invites(&mut self, uses: u32, life: Duration) -> Invitation {
        let now = self.now(0);
        let reach = Reach {
            addresses: vec!["10.1.0.2".parse().unwrap()],
            port: 7656,
            ..Reach::default()
        };
        self.node(0).set_reach(reach, now);
        let right = [self.made as u8 ^ 0x55; 32];
        said(&self.node(0).invite(uses, life, right, now).unwrap())
    }

    /// The holder `joiner` asks box `at`.
    fn asks(&mut self, at: usize, invitation: &Invitation, joiner: &Signer) -> Admission {
        let now = self.now(at);
        let home = Home {
            name: format!("x{}", &joiner.key().to_string()[..8]),
            zone: String::new(),
        };
        let granted = self
            .node(at)
            .grant(invitation.key(), joiner.key(), &home, now);
        let grant = match granted {
            Ok(grant) => grant,
            Err(admission) => return admission,
        };
        let (key, body) = use_of(invitation.key(), joiner.key(), &grant);
        let draft = Draft {
            community: self.founding.hash,
            key,
            version: grant.time,
            expires: 0,
            body: Some(body),
        };
        let record = draft.sign(|c| Ok(invitation.sign(CONTEXT, c))).unwrap();
        self.node(at).redeem(record, joiner.key(), now)
    }

    fn state(&mut self) -> Value {
        let now = self.now(0);
        self.node(0).invitations(now).pop().unwrap()
    }
}

#[test]
fn an_invitation_admits_at_any_member_while_the_administrator_is_away() {
    let mut town = Town::founded("closed", 3, 2);
    town.run(SECOND * 30);
    let invitation = town.invites(1, DAY);
    assert_eq!(invitation.community, town.founding.hash);
    assert_eq!(invitation.seeds[0].0, town.signers[0].key());
    town.run(SECOND * 5);
    town.kill(0);
    let joiner = town.signers[2].clone();
    let Admission::Member(proof) = town.asks(1, &invitation, &joiner) else {
        panic!("not admitted")
    };
    town.enter(2, 1, proof);
    town.run(SECOND * 10);
    town.boot(0);
    town.run(SECOND * 90);
    town.put(2, "a", 1);
    town.run(SECOND * 2);
    assert_eq!(town.agree(), [(2, "a".to_owned(), 1, false)]);
    let again = town.asks(1, &invitation, &joiner);
    assert!(matches!(again, Admission::Member(_)), "the answer was lost");
    assert_eq!(town.state()["state"], "used");
}

#[test]
fn a_used_up_an_expired_a_forged_and_a_revoked_one_are_told_apart() {
    let mut town = Town::founded("closed", 1, 1);
    let joiners: Vec<Signer> = (60..64).map(Signer::new).collect();
    let forged = Invitation::new(town.founding.hash, [1; 32], T, Vec::new());
    let why = refused(town.asks(0, &forged, &joiners[0]));
    assert!(why.contains("no administrator has made"), "{why}");

    let twice = town.invites(2, DAY);
    for joiner in &joiners[..2] {
        let admission = town.asks(0, &twice, joiner);
        assert!(matches!(admission, Admission::Member(_)), "{admission:?}");
    }
    let why = refused(town.asks(0, &twice, &joiners[2]));
    assert!(why.contains("all 2 uses"), "{why}");

    town.made += 1;
    let short = town.invites(1, SECOND * 60);
    town.run(SECOND * 61);
    let why = refused(town.asks(0, &short, &joiners[2]));
    assert!(why.contains("ended at 2026-"), "{why}");

    town.made += 1;
    let long = town.invites(3, DAY);
    assert!(matches!(
        town.asks(0, &long, &joiners[2]),
        Admission::Member(_)
    ));
    let now = town.now(0);
    let key = long.key().to_string();
    let revoked = town.node(0).revoke(&key, now).unwrap();
    assert_eq!(revoked["kept"], 1);
    let why = refused(town.asks(0, &long, &joiners[3]));
    assert!(why.contains("revoked"), "{why}");
    for joiner in &joiners[..3] {
        assert!(town.node(0).book().ruling().is_member(joiner.key()));
    }
    assert_eq!(town.state()["state"], "revoked");
    assert_eq!(town.node(0).revoke(&key, now).unwrap()["kept"], 0);
    assert!(town.node(0).revoke("77", now).is_err());
}

#[test]
fn whoever_came_in_stays_when_the_member_that_admitted_is_banned_a_day_later() {
    let mut town = Town::founded("closed", 2, 2);
    town.run(SECOND * 30);
    let invitation = town.invites(1, DAY * 9);
    town.run(SECOND * 5);
    let joiner = Signer::new(60);
    assert!(matches!(
        town.asks(1, &invitation, &joiner),
        Admission::Member(_)
    ));
    town.skew_ms = vec![DAY.as_millis().try_into().unwrap(); 2];
    town.run(SECOND * 120);
    assert!(town.node(0).sponsors_itself(joiner.key()));
    town.ban(1);
    assert!(town.node(0).book().ruling().is_member(joiner.key()));
}

#[test]
fn only_an_administrator_invites_and_within_limits() {
    let mut town = Town::founded("closed", 2, 2);
    town.run(SECOND * 30);
    town.invites(1, DAY);
    let now = town.now(1);
    let error = town.node(1).invite(1, DAY, [3; 32], now).unwrap_err();
    assert_eq!(error.kind(), guifi_core::Kind::NotAllowed);
    for (uses, life) in [(0, DAY), (1025, DAY), (1, SECOND), (1, DAY * 400)] {
        let error = town.node(0).invite(uses, life, [3; 32], now).unwrap_err();
        assert_eq!(error.kind(), guifi_core::Kind::Usage, "{uses} {life:?}");
    }
}

/// Two strangers use the one place of an invitation in two halves of a split.
#[test]
fn of_two_uses_in_a_split_the_earlier_wins_and_the_loser_is_told() {
    let mut town = Town::founded("closed", 6, 4);
    town.run(SECOND * 90);
    let invitation = town.invites(1, DAY);
    town.run(SECOND * 5);
    town.cut(&[0, 1, 4], &[2, 3, 5]);
    for (joiner, at) in [(4, 1), (5, 3)] {
        let signer = town.signers[joiner].clone();
        let Admission::Member(proof) = town.asks(at, &invitation, &signer) else {
            panic!("not admitted")
        };
        town.enter(joiner, at, proof);
        town.run(SECOND * 20);
    }
    for joiner in [4, 5] {
        let key = town.signers[joiner].key();
        assert!(town.node(joiner).book().ruling().is_member(key));
    }
    town.cut.clear();
    town.run(SECOND * 120);
    let keys = [4, 5].map(|n| town.signers[n].key());
    for n in 0..4 {
        let ruling = town.node(n).book().ruling();
        assert!(
            ruling.is_member(keys[0]) && !ruling.is_member(keys[1]),
            "{n}"
        );
    }
    assert_eq!(town.node(4).expelled(), None);
    let told = town.node(5).expelled().unwrap_or_default();
    assert!(told.contains("used by another box before it"), "{told:?}");
}

#[test]
fn a_holder_can_neither_fill_the_books_nor_undo_the_use_of_another() {
    let mut town = Town::founded("closed", 1, 1);
    let invitation = town.invites(1, DAY);
    let joiner = Signer::new(60);
    assert!(matches!(
        town.asks(0, &invitation, &joiner),
        Admission::Member(_)
    ));
    let (now, community) = (town.now(0), town.founding.hash);
    let signed = |name: &str, body: Option<Value>| {
        let key = crate::record::RecordKey {
            owner: invitation.key(),
            kind: "member".into(),
            name: name.into(),
        };
        let draft = Draft {
            community,
            key,
            version: T + 1000,
            expires: 0,
            body: body.and_then(|b| b.as_object().cloned()),
        };
        draft.sign(|c| Ok(invitation.sign(CONTEXT, c))).unwrap()
    };
    let used = json!({"key": invitation.key(), "invite": true});
    let wrong = vec![
        signed("1024", Some(used.clone())),
        signed("007", Some(used.clone())),
        signed("x", Some(used)),
        signed("0", None),
        signed("0", Some(json!({"key": invitation.key()}))),
    ];
    let before = town.node(0).book().records().count();
    town.node(0).merge(wrong, now);
    assert_eq!(town.node(0).book().records().count(), before);
    assert!(town.node(0).book().ruling().is_member(joiner.key()));
}
