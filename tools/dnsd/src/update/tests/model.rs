//! Random updates against a naive model of a zone, which is the text of RFC 2136 section 3 on a
//! list of lines.

use proptest::prelude::*;

use super::{ZONE, content, lines, make, record, rights, text, update};
use crate::hosted::rrset::from_wire;

/// Owner, type, time to live and data, in lower case.
type Line = (String, String, u32, String);

/// Class, owner, type, time to live and data of a record in an update.
#[derive(Clone, Debug)]
struct Word(&'static str, &'static str, &'static str, u32, &'static str);

impl Word {
    fn text(&self) -> String {
        let Self(class, owner, kind, ttl, data) = self;
        format!("{owner} {ttl} {class} {kind} {data}")
    }

    fn owner(&self) -> String {
        match self.1 {
            "@" => ZONE.into(),
            owner => format!("{owner}.{ZONE}").to_lowercase(),
        }
    }

    /// The data as the zone has it.
    fn data(&self) -> String {
        if self.4.is_empty() {
            return String::new();
        }
        let record = from_wire(&record(&self.text())).unwrap();
        let data = data_encoding::HEXLOWER.encode(&record.data);
        data.to_lowercase()
    }
}

fn serial(data: &str) -> u32 {
    let at = data.len() - 40;
    u32::from_str_radix(&data[at..at + 8], 16).unwrap()
}

#[derive(Clone, Debug)]
struct Model(Vec<Line>);

impl Model {
    fn at(&self, owner: &str) -> Vec<&Line> {
        self.0.iter().filter(|line| line.0 == owner).collect()
    }

    fn set(&self, owner: &str, kind: &str) -> Vec<&Line> {
        let of_kind = |line: &&Line| line.0 == owner && line.1 == kind;
        self.0.iter().filter(of_kind).collect()
    }

    fn check(&self, words: &[Word]) -> Option<&'static str> {
        for word in words {
            let Word(class, _, kind, _, _) = word;
            let owner = word.owner();
            let there = match *kind {
                "ANY" => !self.at(&owner).is_empty(),
                kind => !self.set(&owner, kind).is_empty(),
            };
            match (*class, *kind, there) {
                ("ANY", "ANY", false) => return Some("NXDOMAIN"),
                ("ANY", _, false) => return Some("NXRRSET"),
                ("NONE", "ANY", true) => return Some("YXDOMAIN"),
                ("NONE", _, true) => return Some("YXRRSET"),
                _ => {}
            }
        }
        for word in words.iter().filter(|word| word.0 == "IN") {
            let (owner, kind) = (word.owner(), word.2);
            let same = |other: &&Word| other.0 == "IN" && other.owner() == owner && other.2 == kind;
            let mut wanted: Vec<String> = words.iter().filter(same).map(Word::data).collect();
            let there = self.set(&owner, kind);
            let mut there: Vec<String> = there.iter().map(|line| line.3.clone()).collect();
            wanted.sort();
            wanted.dedup();
            there.sort();
            if wanted != there {
                return Some("NXRRSET");
            }
        }
        None
    }

    fn change(&mut self, word: &Word) {
        let (owner, kind, data) = (word.owner(), word.2.to_owned(), word.data());
        let apex = owner == ZONE;
        let kept = |line: &Line| apex && (line.1 == "SOA" || line.1 == "NS");
        match word.0 {
            "ANY" if kind == "ANY" => self.0.retain(|line| line.0 != owner || kept(line)),
            "ANY" => self
                .0
                .retain(|line| line.0 != owner || line.1 != kind || kept(line)),
            "NONE" => {
                let last = apex && kind == "NS" && self.set(&owner, "NS").len() == 1;
                if kind != "SOA" && !last {
                    self.0
                        .retain(|l| (&l.0, &l.1, &l.3) != (&owner, &kind, &data));
                }
            }
            _ => {
                let alias = !self.set(&owner, "CNAME").is_empty();
                let others = self.at(&owner).iter().any(|line| line.1 != "CNAME");
                let old = self.set(&owner, "SOA").first().map(|line| serial(&line.3));
                let passed_over = match kind.as_str() {
                    "CNAME" => others,
                    "SOA" => old.is_none_or(|old| serial(&data) <= old),
                    _ => alias,
                };
                if passed_over {
                    return;
                }
                let single = kind == "CNAME" || kind == "SOA";
                let goes = |l: &Line| l.0 == owner && l.1 == kind && (single || l.3 == data);
                self.0.retain(|line| !goes(line));
                for line in self.0.iter_mut().filter(|l| l.0 == owner && l.1 == kind) {
                    line.2 = word.3;
                }
                self.0.push((owner, kind, word.3, data));
            }
        }
    }
}

/// The zone as lines, sorted.
fn seen(content: &crate::hosted::content::Content) -> Vec<Line> {
    let mut seen: Vec<Line> = crate::hosted::blob::records(content)
        .iter()
        .map(|record| {
            let owner = record.owner.lower().to_string();
            let owner = owner.trim_end_matches('.').to_owned();
            let data = data_encoding::HEXLOWER.encode(&record.data);
            (owner, text(record.rtype), record.ttl, data)
        })
        .collect();
    seen.sort();
    seen
}

const OWNERS: [&str; 7] = ["@", "a", "A", "b", "a.b", "*", "ns"];
const DATA: [(&str, &str); 9] = [
    ("A", "10.0.0.1"),
    ("A", "10.0.0.2"),
    ("A", "10.0.0.3"),
    ("TXT", "x"),
    ("TXT", "y"),
    ("CNAME", "a"),
    ("CNAME", "b"),
    ("NS", "ns"),
    ("NS", "a"),
];

fn prerequisite() -> impl Strategy<Value = Word> {
    let owner = prop::sample::select(&OWNERS[..]);
    let data = prop::sample::select(&DATA[..]);
    (0..5, owner, data).prop_map(|(form, owner, (kind, data))| match form {
        0 => Word("ANY", owner, "ANY", 0, ""),
        1 => Word("NONE", owner, "ANY", 0, ""),
        2 => Word("ANY", owner, kind, 0, ""),
        3 => Word("NONE", owner, kind, 0, ""),
        _ => Word("IN", owner, kind, 0, data),
    })
}

fn change() -> impl Strategy<Value = Word> {
    let owner = prop::sample::select(&OWNERS[..]);
    let data = prop::sample::select(&DATA[..]);
    (0..9, owner, data, 1..4u32).prop_map(|(form, owner, (kind, data), ttl)| match form {
        0 => Word("ANY", owner, "ANY", 0, ""),
        1 => Word("ANY", owner, kind, 0, ""),
        2 | 3 => Word("NONE", owner, kind, 0, data),
        4 => Word("ANY", owner, "SOA", 0, ""),
        _ => Word("IN", owner, kind, ttl, data),
    })
}

proptest! {
    #[test]
    fn random_updates_do_what_the_model_does(
        updates in prop::collection::vec(
            (prop::collection::vec(prerequisite(), 0..3), prop::collection::vec(change(), 0..6)),
            1..12,
        )
    ) {
        let (mut content, rights) = (content(), rights(ZONE));
        let mut model = Model(seen(&content));
        for (prerequisites, changes) in updates {
            let texts = |words: &[Word]| words.iter().map(Word::text).collect::<Vec<_>>();
            let (first, second) = (texts(&prerequisites), texts(&changes));
            let first: Vec<&str> = first.iter().map(String::as_str).collect();
            let second: Vec<&str> = second.iter().map(String::as_str).collect();
            let before = lines(&content);
            let code = make(&mut content, &update(&first, &second), &rights);
            let expected = model.check(&prerequisites);
            let named = match code.low() {
                0 => None,
                3 => Some("NXDOMAIN"),
                6 => Some("YXDOMAIN"),
                7 => Some("YXRRSET"),
                8 => Some("NXRRSET"),
                _ => Some("other"),
            };
            prop_assert_eq!(named, expected, "{:?}", first);
            if expected.is_some() {
                prop_assert_eq!(lines(&content), before);
                continue;
            }
            for word in &changes {
                model.change(word);
            }
            // The serial apart, which has a test of its own.
            let plain = |lines: Vec<Line>| {
                let mut lines: Vec<Line> =
                    lines.into_iter().filter(|line| line.1 != "SOA").collect();
                lines.sort();
                lines
            };
            prop_assert_eq!(plain(seen(&content)), plain(model.0.clone()), "{:?}", second);
        }
    }
}
