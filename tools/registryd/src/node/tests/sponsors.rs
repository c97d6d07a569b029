//! Up to three sponsors.
use super::*;

const HOUR: Duration = Duration::from_secs(3600);

impl Town {
    /// Box `to` does what `from` asks for.
    pub(super) fn grant(&mut self, from: usize, to: usize, favour: Favour) {
        if self.nodes[to].is_none() || self.cut.contains(&(from, to)) {
            return;
        }
        let (key, now) = (self.signers[from].key(), self.now(to));
        match favour {
            Favour::Sponsor => {
                let admission = self.node(to).sponsor_further(key, None, now);
                assert!(matches!(admission, Admission::Member(_)), "{admission:?}");
            }
            Favour::Witness => self.meet(from, to),
            Favour::Rotation => {
                let records = self.node(from).own_rotations();
                let records = records.iter().map(|r| Record::clone(r)).collect();
                // Who is not known is not let in; that is all.
                let _ = self.node(to).hear_rotations(records, key, now);
            }
        }
    }

    /// The administrator's box writes this.
    pub(super) fn decree(&mut self, kind: &str, name: &str) {
        let now = self.now(0);
        self.node(0)
            .write(kind, name, Some(Map::new()), 0, now)
            .unwrap();
        self.run(SECOND * 5);
    }

    fn confirm(&mut self, n: usize) {
        let name = format!("member/{}", self.signers[n].key());
        self.decree("confirm", &name);
    }

    pub(super) fn ban(&mut self, n: usize) {
        let name = self.signers[n].key().to_string();
        self.decree("ban", &name);
    }

    fn sponsors(&mut self, of: usize) -> BTreeSet<usize> {
        let key = self.signers[of].key();
        let member = self.node(0).book().ruling().members.get(&key);
        let sponsors = member.map(|m| m.sponsors.clone()).unwrap_or_default();
        sponsors.into_iter().map(|k| self.index(k)).collect()
    }
}

#[test]
fn a_member_with_further_sponsors_stays_when_its_first_one_is_banned() {
    let mut town = Town::with(5, 4);
    town.run(SECOND * 60);
    town.confirm(1);
    town.confirm(2);
    town.admit(4, 1);
    town.run(HOUR * 3);
    assert_eq!(town.sponsors(4), BTreeSet::from([0, 1, 2]));
    assert_eq!(town.sponsors(3), BTreeSet::from([0, 1, 2]));
    assert!(town.sponsors(0).is_empty(), "an administrator needs none");
    let asked = town.asked;
    town.run(HOUR * 3);
    assert_eq!(town.asked, asked, "three are enough");
    town.ban(1);
    for n in [0, 2, 3, 4] {
        let key = town.signers[4].key();
        assert!(town.node(n).book().ruling().is_member(key), "{n}");
    }
    // A sponsor is missing again, and there is nobody else.
    town.run(HOUR * 3);
    assert_eq!(town.sponsors(4), BTreeSet::from([0, 2]));
}

#[test]
fn a_member_whose_only_sponsor_is_banned_is_none_any_more() {
    let mut town = Town::with(5, 4);
    town.run(SECOND * 60);
    town.confirm(1);
    town.admit(4, 1);
    town.ban(1);
    let key = town.signers[4].key();
    assert!(!town.node(0).book().ruling().is_member(key));
}

#[test]
fn nobody_is_asked_where_nobody_else_may_sponsor() {
    let mut town = Town::new(4);
    town.run(HOUR * 3);
    assert_eq!(town.asked, 0);
}

#[test]
fn whoever_hangs_on_a_member_is_no_support_for_it() {
    let mut town = Town::with(4, 2);
    town.run(SECOND * 60);
    town.confirm(1);
    town.admit(2, 1);
    town.confirm(2);
    town.admit(3, 2);
    town.run(HOUR * 3);
    // 2 hung on 1 until 0 sponsored it as well: from then on it is a support.
    assert_eq!(town.sponsors(2), BTreeSet::from([0, 1]));
    assert_eq!(town.sponsors(1), BTreeSet::from([0, 2]));
    town.confirm(3);
    town.run(HOUR * 3);
    town.ban(1);
    for n in [2, 3] {
        let key = town.signers[n].key();
        assert!(town.node(0).book().ruling().is_member(key), "{n}");
    }
}

#[test]
fn further_sponsors_come_at_a_pace_and_only_to_members() {
    let mut town = Town::with(5, 4);
    town.run(SECOND * 60);
    town.confirm(1);
    town.node(1).tuning.sponsor.per_day = 1;
    let (now, keys): (_, Vec<Key>) = (town.now(1), town.signers.iter().map(Signer::key).collect());
    let stranger = town.node(1).sponsor_further(keys[4], None, now);
    assert!(matches!(stranger, Admission::Refused(_)));
    let first = town.node(1).sponsor_further(keys[2], None, now);
    assert!(matches!(first, Admission::Member(_)));
    let again = town.node(1).sponsor_further(keys[2], None, now);
    assert!(matches!(again, Admission::Member(_)), "it does already");
    let second = town.node(1).sponsor_further(keys[3], None, now);
    assert!(matches!(second, Admission::Later(_)));
    let now = town.now(2);
    let unable = town.node(2).sponsor_further(keys[3], None, now);
    assert!(matches!(unable, Admission::Refused(_)));
}
