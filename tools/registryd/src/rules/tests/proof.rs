//! What a newcomer is shown is enough, and little.
use super::*;

impl Town {
    /// The proof of `keys`; a newcomer with the founding record sees from it that they are
    /// members.
    fn proof(&self, signers: &[&Signer]) -> Vec<Record> {
        let keys: Vec<Key> = signers.iter().map(|s| s.key()).collect();
        let ruling = self.ruling();
        let proof = ruling.proof(&self.id, self.records.iter(), &keys);
        let shown = std::iter::once(&self.records[0]).chain(proof.iter().copied());
        let seen = Ruling::of(&self.id, shown).unwrap();
        for key in keys {
            assert!(ruling.is_member(key) && seen.is_member(key), "{key}");
        }
        proof.into_iter().cloned().collect()
    }
}

/// Signers beyond those of the other tests; there may be more than a byte counts.
fn crowd(size: usize) -> Vec<Signer> {
    (0..size).map(|n| Signer::numbered(1000 + n)).collect()
}

#[test]
fn hundreds_of_administrators_who_confirm_make_it_no_longer() {
    let [admin, a, b] = signers();
    let mut town = Town::new("open", &[&admin]);
    let crowd = crowd(400);
    town.sponsor(&admin, 0, &a);
    for (slot, other) in crowd.iter().enumerate() {
        let body = json!({"key": other.key()});
        town.add(&admin, "admin", &slot.to_string(), T, body);
        town.confirm_member(other, &a).sponsor(other, 0, &a);
    }
    town.sponsor(&a, 0, &b);
    // The sponsorship of each, one confirmation and its signer's appointment.
    assert_eq!(town.proof(&[&a, &b]).len(), 4);
}

#[test]
fn the_shortest_chain_is_shown() {
    let [admin] = signers();
    let mut town = Town::new("open", &[&admin]);
    let crowd = crowd(60);
    town.sponsor(&admin, 0, &crowd[0]);
    for pair in crowd.windows(2) {
        town.confirm_member(&admin, &pair[0])
            .sponsor(&pair[0], 0, &pair[1]);
    }
    let last = &crowd[59];
    let long = town.proof(&[last]);
    assert_eq!(long.len(), 60 + 59);
    assert!(long.len() < 256, "what a joiner reads");
    town.sponsor(&crowd[3], 1, last);
    assert_eq!(town.proof(&[last]).len(), 5 + 4);
    town.sponsor(&admin, 7, last);
    assert_eq!(town.proof(&[last]).len(), 1);
}

#[test]
fn changes_of_key_appointments_and_invitations_are_shown() {
    let [admin, new, second, a, fresh, b, invite, guest] = signers();
    let mut town = Town::new("open", &[&admin]);
    town.rotate(&admin, &new, T)
        .add(&new, "admin", "3", T + 1, json!({"key": second.key()}))
        .add(&second, "member", "9", T + 2, json!({"key": a.key()}))
        .add(
            &second,
            "confirm",
            &format!("member/{}", a.key()),
            T,
            json!({}),
        )
        .rotate(&a, &fresh, T + 3)
        .add(&fresh, "member", "0", T + 4, json!({"key": b.key()}));
    assert_eq!(town.proof(&[&b, &fresh]).len(), 6);
    // Nobody signs in a slot that does not count.
    town.add(&fresh, "member", "300", T + 5, json!({"key": guest.key()}));
    assert!(!town.ruling().is_member(guest.key()));
    let body = json!({"key": invite.key(), "uses": 1, "expires": T + 100});
    town.add(&second, "invite", "0", T, body);
    let message = members::countersigned(&town.id, invite.key(), 0, guest.key(), T + 6);
    let signature = BASE32_NOPAD
        .encode(&fresh.sign(CLAIM_CONTEXT, &message))
        .to_lowercase();
    let body = json!({"key": guest.key(), "invite": true, "by": fresh.key(), "countersignature": signature});
    town.add(&invite, "member", "0", T + 6, body);
    assert_eq!(town.proof(&[&guest]).len(), 6);
}

#[test]
fn a_stranger_has_no_proof() {
    let [admin, stranger] = signers();
    let town = Town::new("open", &[&admin]);
    let ruling = town.ruling();
    assert!(
        ruling
            .proof(&town.id, town.records.iter(), &[stranger.key()])
            .is_empty()
    );
}
