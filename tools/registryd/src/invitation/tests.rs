#![allow(clippy::unwrap_used)]
use super::*;
use guifi_testing::fuzz;
use serde_json::{Value, json};

fn sample() -> Invitation {
    Invitation::new(
        [7; 32],
        [9; 32],
        1_795_000_000_000,
        vec![
            (Key([1; 32]), vec!["10.1.0.2:7656".parse().unwrap()]),
            (
                Key([2; 32]),
                vec![
                    "10.1.0.3:7656".parse().unwrap(),
                    "[fd00::3]:7656".parse().unwrap(),
                ],
            ),
        ],
    )
}

#[test]
fn the_test_vector_holds() {
    let text = include_str!("../../../../tests/fixtures/invitation.json");
    let vector: Value = serde_json::from_str(text).unwrap();
    let made = sample();
    assert_eq!(
        vector,
        json!({
            "text": made.text(),
            "community": Key(made.community),
            "key": made.key(),
            "end": made.end,
            "seeds": made.seeds.iter().map(|(key, addresses)| json!({"key": key, "addresses": addresses})).collect::<Vec<_>>(),
        })
    );
    assert_eq!(Invitation::read(vector["text"].as_str().unwrap()), Ok(made));
}

#[test]
fn spaces_line_breaks_and_capitals_make_no_difference() {
    let text = sample().text().to_uppercase();
    let broken = format!(" {}\r\n  {}\n", &text[..50], &text[50..]);
    assert_eq!(Invitation::read(&broken), Ok(sample()));
}

#[test]
fn a_typo_a_cut_and_a_later_version_are_told() {
    let text = sample().text();
    for at in PREFIX.len()..text.len() {
        let mut wrong = text.clone().into_bytes();
        wrong[at] = if wrong[at] == b'a' { b'b' } else { b'a' };
        let wrong = String::from_utf8(wrong).unwrap();
        assert_eq!(Invitation::read(&wrong), Err(Unreadable::Mistyped), "{at}");
        assert_eq!(
            Invitation::read(&text[..at]),
            Err(Unreadable::Mistyped),
            "{at}"
        );
    }
    assert_eq!(
        Invitation::read(&text.replacen("guifi1", "guifi2", 1)),
        Err(Unreadable::Version)
    );
    assert_eq!(Invitation::read("osona"), Err(Unreadable::Other));
    assert_eq!(
        Invitation::read(&"guifi1a".repeat(1000)),
        Err(Unreadable::Long)
    );
}

#[test]
fn what_makes_no_sense_is_refused_though_its_check_holds() {
    let signed = |content: &[u8]| {
        let bytes = [content, &check(content)].concat();
        format!("{PREFIX}{}", BASE32_NOPAD.encode(&bytes).to_lowercase())
    };
    let mut none = sample();
    none.seeds.clear();
    let mut many = sample();
    many.seeds = vec![many.seeds[0].clone(); MAX_SEEDS + 1];
    let mut spread = sample();
    spread.seeds[0].1 = vec!["10.0.0.1:1".parse().unwrap(); MAX_ADDRESSES + 1];
    let longer = [sample().content(), vec![0]].concat();
    for content in [
        none.content(),
        many.content(),
        spread.content(),
        longer,
        Vec::new(),
    ] {
        assert_eq!(Invitation::read(&signed(&content)), Err(Unreadable::Broken));
    }
}

#[test]
fn the_right_is_not_logged() {
    let shown = format!("{:?}", sample());
    assert!(!shown.contains("9, 9"), "{shown}");
}

#[test]
fn mutants_of_invitations() {
    fuzz::texts("invitation", &[sample().text()], |text| {
        let _ = Invitation::read(text);
    });
    // With a sum that holds, so that what is behind it is reached.
    fuzz::bytes(
        "content of an invitation",
        &[sample().content()],
        |content| {
            let bytes = [content, &check(content)].concat();
            let text = format!("{PREFIX}{}", BASE32_NOPAD.encode(&bytes).to_lowercase());
            if let Ok(read) = Invitation::read(&text) {
                assert_eq!(read.text(), text, "one invitation, one text");
            }
        },
    );
}
