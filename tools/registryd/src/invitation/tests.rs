#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;
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

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(guifi[0-9])?[a-z2-7A-Z \n]{0,400}|\\PC{0,80}") {
        let _ = Invitation::read(&text);
    }

    #[test]
    fn no_content_makes_it_panic(content in prop::collection::vec(any::<u8>(), 0..200)) {
        let bytes = [content.as_slice(), &check(&content)].concat();
        let text = format!("{PREFIX}{}", BASE32_NOPAD.encode(&bytes));
        if let Ok(read) = Invitation::read(&text) {
            prop_assert_eq!(read.text(), text.to_lowercase());
        }
    }

    #[test]
    fn a_changed_byte_of_the_content_does_not_make_it_panic(at in 0usize..200, byte in any::<u8>()) {
        let mut content = sample().content();
        let at = at % content.len();
        content[at] = byte;
        let bytes = [content.as_slice(), &check(&content)].concat();
        let _ = Invitation::read(&format!("{PREFIX}{}", BASE32_NOPAD.encode(&bytes)));
    }
}
