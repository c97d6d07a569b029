#![allow(clippy::unwrap_used)]
mod proof;

use super::rotations::{CLAIM_CONTEXT, rotation_message};
use super::*;
use crate::testing::Signer;
use data_encoding::BASE32_NOPAD;
use serde_json::{Value, json};

const T: u64 = 1_795_000_000_000;

struct Town {
    id: Hash,
    records: Vec<Record>,
}

impl Town {
    fn new(policy: &str, founders: &[&Signer]) -> Self {
        let founding = founders[0].found(policy, &founders[1..]);
        Self {
            id: founding.hash,
            records: vec![founding],
        }
    }

    fn add(
        &mut self,
        signer: &Signer,
        kind: &str,
        name: &str,
        version: u64,
        body: Value,
    ) -> &mut Self {
        self.records
            .push(signer.record(self.id, kind, name, version, body));
        self
    }

    fn sponsor(&mut self, sponsor: &Signer, slot: u32, target: &Signer) -> &mut Self {
        self.add(
            sponsor,
            "member",
            &slot.to_string(),
            T,
            json!({"key": target.key()}),
        )
    }

    fn confirm(&mut self, by: &Signer, what: &str, body: Value) -> &mut Self {
        self.add(by, "confirm", what, T, body)
    }

    fn confirm_member(&mut self, by: &Signer, member: &Signer) -> &mut Self {
        self.confirm(by, &format!("member/{}", member.key()), json!({}))
    }

    fn ban(&mut self, by: &Signer, target: &Signer) -> &mut Self {
        self.add(by, "ban", &target.key().to_string(), T, json!({}))
    }

    fn rotate(&mut self, old: &Signer, new: &Signer, version: u64) -> &mut Self {
        let message = rotation_message(&self.id, old.key(), new.key());
        let signature = BASE32_NOPAD
            .encode(&new.sign(CLAIM_CONTEXT, &message))
            .to_lowercase();
        let body = json!({"signature": signature});
        self.add(old, "rotate", &new.key().to_string(), version, body)
    }

    fn claim(&mut self, by: &Signer, name: &str, zone: &str, time: u64) -> &mut Self {
        let body = json!({"space": "dns", "name": name, "zone": zone, "time": time});
        self.add(by, "claim", "dns/0", time.max(T), body)
    }

    fn ruling(&self) -> Ruling {
        Ruling::of(&self.id, self.records.iter()).unwrap()
    }
}

fn signers<const N: usize>() -> [Signer; N] {
    std::array::from_fn(|n| Signer::new(u8::try_from(n + 1).unwrap()))
}

#[test]
fn members_lead_back_to_an_administrator() {
    let [admin, a, b, c] = signers();
    let mut town = Town::new("open", &[&admin]);
    town.sponsor(&admin, 0, &a)
        .sponsor(&a, 0, &b)
        .sponsor(&c, 0, &c);
    let ruling = town.ruling();
    assert!(ruling.is_member(admin.key()) && ruling.is_member(a.key()));
    assert!(!ruling.is_member(b.key()), "a is not confirmed yet");
    assert!(!ruling.is_member(c.key()), "nobody sponsors himself");
    town.confirm_member(&admin, &a);
    let ruling = town.ruling();
    assert!(
        ruling.is_member(b.key()) && ruling.may_sponsor(a.key()) && !ruling.may_sponsor(b.key())
    );
}

#[test]
fn a_member_has_256_slots_and_an_administrator_65536() {
    let [admin, a, b, c, d] = signers();
    let mut town = Town::new("open", &[&admin]);
    town.sponsor(&admin, 65_535, &a)
        .confirm_member(&admin, &a)
        .sponsor(&a, 255, &b)
        .sponsor(&a, 256, &c)
        .add(&admin, "member", "007", T, json!({"key": d.key()}));
    let ruling = town.ruling();
    assert!(ruling.is_member(b.key()) && !ruling.is_member(c.key()) && !ruling.is_member(d.key()));
}

#[test]
fn in_a_closed_community_only_administrators_sponsor() {
    let [admin, a, b] = signers();
    let mut town = Town::new("closed", &[&admin]);
    town.sponsor(&admin, 0, &a)
        .confirm_member(&admin, &a)
        .sponsor(&a, 0, &b);
    let ruling = town.ruling();
    assert!(ruling.is_member(a.key()) && !ruling.is_member(b.key()));
}

#[test]
fn ranks_are_founding_order_then_appointer_and_slot() {
    let [a, b, c, d, e] = signers();
    let mut town = Town::new("open", &[&a, &b]);
    town.add(&b, "admin", "0", T, json!({"key": c.key()}))
        .add(&a, "admin", "7", T, json!({"key": d.key()}))
        .add(&a, "admin", "3", T, json!({"key": e.key()}));
    let order = [&a, &b, &e, &d, &c].map(Signer::key);
    assert_eq!(town.ruling().administrators, order);
}

#[test]
fn a_ban_counts_downwards_only() {
    let [a, b, c] = signers();
    let mut town = Town::new("open", &[&a, &b, &c]);
    town.ban(&b, &a).ban(&b, &c).ban(&b, &b);
    let ruling = town.ruling();
    assert_eq!(ruling.administrators, [a.key(), b.key()]);
    assert!(ruling.is_banned(c.key()) && !ruling.is_banned(a.key()) && !ruling.is_banned(b.key()));
    // More than half of the founding list outranks everybody.
    town.ban(&c, &a);
    let ruling = town.ruling();
    assert!(ruling.is_banned(a.key()));
    assert_eq!(ruling.administrators, [b.key()]);
}

#[test]
fn nothing_signed_by_a_banned_key_counts_whatever_its_date() {
    let [admin, a, b] = signers();
    let mut town = Town::new("open", &[&admin]);
    town.sponsor(&admin, 0, &a)
        .confirm_member(&admin, &a)
        .sponsor(&a, 0, &b)
        .ban(&admin, &a);
    let ruling = town.ruling();
    assert!(!ruling.is_member(a.key()) && !ruling.is_member(b.key()));
    town.sponsor(&admin, 1, &b);
    assert!(town.ruling().is_member(b.key()));
}

#[test]
fn a_rotation_takes_membership_names_and_bans_along() {
    let [admin, a, new] = signers();
    let mut town = Town::new("open", &[&admin]);
    town.sponsor(&admin, 0, &a)
        .claim(&a, "vic-01", "vic", T)
        .rotate(&a, &new, T + 10);
    let ruling = town.ruling();
    assert_eq!(ruling.identity(new.key()), a.key());
    assert!(ruling.is_member(new.key()) && !ruling.is_member(a.key()));
    assert_eq!(ruling.host_label(a.key(), "VIC-01", "vic"), "vic-01");
    // What lasts was said by whom it was said by; the rest is for the new key to say again.
    let said = |kind: &str, version| a.record(town.id, kind, "x", version, json!({}));
    assert!(ruling.counts(&said("trust", T + 9)) && !ruling.counts(&said("trust", T + 11)));
    assert!(!ruling.counts(&said("service", T + 9)));
    town.claim(&new, "vic-99", "vic", T + 20);
    let ruling = town.ruling();
    assert_eq!(ruling.host_label(a.key(), "vic-99", "vic"), "vic-99");
    assert_ne!(ruling.host_label(a.key(), "vic-01", "vic"), "vic-01");
    town.ban(&admin, &new);
    assert!(town.ruling().is_banned(a.key()));
}

#[test]
fn a_rotation_without_the_new_keys_signature_or_to_a_member_does_not_count() {
    let [admin, a, b] = signers();
    let mut town = Town::new("open", &[&admin]);
    town.sponsor(&admin, 0, &a)
        .sponsor(&admin, 1, &b)
        .rotate(&a, &b, T);
    let forged = json!({"signature": "a".repeat(103)});
    town.add(&b, "rotate", &Signer::new(9).key().to_string(), T, forged);
    let ruling = town.ruling();
    assert!(ruling.is_member(a.key()) && ruling.is_member(b.key()));
}

#[test]
fn two_rotations_freeze_both_until_an_administrator_decides() {
    let [admin, a, mine, thief] = signers();
    let mut town = Town::new("open", &[&admin]);
    town.sponsor(&admin, 0, &a)
        .rotate(&a, &mine, T + 1)
        .rotate(&a, &thief, T + 2);
    let ruling = town.ruling();
    assert!(
        [&a, &mine, &thief]
            .iter()
            .all(|s| !ruling.is_member(s.key()))
    );
    assert!(ruling.frozen.contains(&a.key()));
    town.confirm(
        &admin,
        &format!("rotate/{}", a.key()),
        json!({"key": mine.key()}),
    );
    let ruling = town.ruling();
    assert!(ruling.is_member(mine.key()) && !ruling.is_member(thief.key()));
}

#[test]
fn an_invitation_admits_as_often_as_it_says() {
    let [admin, a, b, c, invite] = signers();
    let mut town = Town::new("closed", &[&admin]);
    let body = json!({"key": invite.key(), "uses": 2, "expires": T + 100});
    town.add(&admin, "invite", "0", T, body);
    for (slot, joiner, time) in [(0u32, &a, T + 1), (1, &b, T + 101), (2, &c, T + 3)] {
        let message = members::countersigned(&town.id, invite.key(), slot, joiner.key(), time);
        let signature = BASE32_NOPAD
            .encode(&admin.sign(CLAIM_CONTEXT, &message))
            .to_lowercase();
        let body = json!({"key": joiner.key(), "invite": true, "by": admin.key(), "countersignature": signature});
        town.add(&invite, "member", &slot.to_string(), time, body);
    }
    let ruling = town.ruling();
    assert!(ruling.is_member(a.key()));
    assert!(!ruling.is_member(b.key()), "after its end");
    assert!(!ruling.is_member(c.key()), "no such slot");
}

#[test]
fn the_first_claim_wins_unless_an_administrator_confirmed_another() {
    let [admin, a, b] = signers();
    let mut town = Town::new("open", &[&admin]);
    town.sponsor(&admin, 0, &a).sponsor(&admin, 1, &b);
    town.claim(&a, "Photos", "vic", T + 5)
        .claim(&b, "photos", "vic", T + 4);
    let ruling = town.ruling();
    assert_eq!(ruling.host_label(b.key(), "photos", "vic"), "photos");
    assert_eq!(
        ruling.host_label(a.key(), "photos", "vic"),
        fallback_label(a.key())
    );
    town.confirm(&admin, "claim/dns/vic/photos", json!({"key": a.key()}));
    assert_eq!(town.ruling().host_label(a.key(), "photos", "vic"), "photos");
    town.add(
        &admin,
        "lapse",
        &a.key().to_string(),
        T,
        json!({"time": T + 5}),
    );
    assert_eq!(town.ruling().host_label(b.key(), "photos", "vic"), "photos");
}

#[test]
fn some_names_are_nobodys() {
    let [admin] = signers();
    for name in ["b-abc", "123", "wpad", "localhost", "-a", "a.b", "", "ñ"] {
        let mut town = Town::new("open", &[&admin]);
        town.claim(&admin, name, "", T);
        assert!(town.ruling().names.is_empty(), "{name:?}");
    }
}

#[test]
fn the_quota_counts_in_a_fixed_order_up_to_the_first_that_does_not_fit() {
    let [a] = signers();
    let mut records: Vec<Record> = (0..25)
        .map(|n| {
            a.record(
                [7; 32],
                "service",
                &format!("_http._tcp/{n:02}"),
                T,
                json!({"x": 1}),
            )
        })
        .collect();
    records.push(a.record([7; 32], "box", "box", T, json!({})));
    records.reverse();
    let all = counted(records.iter(), 1 << 20);
    assert_eq!(all.len(), 21, "one box, twenty of one type");
    let first = records[0].size as u64 + records[1].size as u64;
    let few = counted(records.iter(), first);
    assert_eq!(
        few.iter().map(|r| r.key.name.as_str()).collect::<Vec<_>>(),
        ["box", "_http._tcp/00"]
    );
}

#[test]
fn two_neighbours_or_the_box_itself_make_it_absent() {
    let [own, a, b, stranger] = signers();
    let neighbours = json!({"spine": {"neighbours": [a.key(), b.key()]}});
    let record = own.record([7; 32], "box", "box", T, neighbours);
    let says = |by: &Signer, version: u64| {
        let body = json!({"key": own.key(), "version": version});
        by.record([7; 32], "absent", &own.key().to_string(), T + 1, body)
    };
    let absent = |accusations: &[Record]| is_absent(&record, accusations.iter());
    assert!(!absent(&[says(&a, T)]));
    assert!(!absent(&[says(&a, T), says(&stranger, T)]));
    assert!(
        !absent(&[says(&a, T), says(&b, T - 1)]),
        "an older version is denied"
    );
    assert!(absent(&[says(&a, T), says(&b, T)]));
    assert!(absent(&[says(&own, T)]));
}
