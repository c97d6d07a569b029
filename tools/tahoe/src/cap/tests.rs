//! Capabilities of every kind, and what is none.
#![allow(clippy::unwrap_used)]

use guifi_testing::fuzz;

use super::*;

const SHORT: &str = "lyzcdiuucnnwptc7v35g4gk45u";
const LONG: &str = "7jkiyp2vqairjfzhi5m7pya7cft27usbzvyhpk3ylysklwdgmsca";

/// One of each kind.
fn samples() -> Vec<String> {
    let mut samples = vec!["URI:LIT:".to_owned(), "URI:LIT:aa".to_owned()];
    samples.push("URI:DIR2-LIT:aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypsa".to_owned());
    for kind in ["CHK", "CHK-Verifier", "DIR2-CHK", "DIR2-CHK-Verifier"] {
        samples.push(format!("URI:{kind}:{SHORT}:{LONG}:3:10:56"));
    }
    for kind in ["SSK", "DIR2", "MDMF", "DIR2-MDMF"] {
        for right in ["", "-RO", "-Verifier"] {
            samples.push(format!("URI:{kind}{right}:{SHORT}:{LONG}"));
        }
    }
    samples
}

#[test]
fn what_is_printed_is_what_was_parsed() {
    for text in samples() {
        let cap: Cap = text.parse().unwrap();
        assert_eq!(cap.to_string(), text);
        assert!(!matches!(cap, Cap::Unknown(_)), "{text}");
        let directory = text.starts_with("URI:DIR2");
        assert_eq!(matches!(cap, Cap::Directory(_)), directory, "{text}");
    }
}

#[test]
fn rights_are_given_up_but_not_gained() {
    for text in samples() {
        let cap: Cap = text.parse().unwrap();
        let readonly = cap.to_readonly().unwrap();
        assert!(!readonly.object().unwrap().may_write());
        assert_eq!(readonly.to_readonly().unwrap(), readonly);
        assert_eq!(readonly.to_verifier(), cap.to_verifier());
        assert_eq!(readonly.storage_index(), cap.storage_index());
        let Some(verifier) = cap.to_verifier() else {
            assert!(text.contains("LIT"));
            continue;
        };
        assert!(verifier.to_string().contains("-Verifier:"), "{verifier}");
        assert!(!verifier.object().unwrap().may_read());
        assert_eq!(verifier.storage_index(), cap.storage_index());
    }
}

#[test]
fn the_official_derivations() {
    let text = format!("URI:SSK:aaaqeayeaudaocajbifqydiob4:{LONG}");
    let cap: Cap = text.parse().unwrap();
    let readonly = cap.to_readonly().unwrap().to_string();
    let readkey = crate::base32::encode(&[
        0xca, 0xda, 0xf6, 0xf3, 0x4b, 0xa7, 0xee, 0x41, 0xb9, 0xb4, 0xbf, 0x76, 0xa8, 0xf3, 0x47,
        0x93,
    ]);
    assert_eq!(readonly, format!("URI:SSK-RO:{readkey}:{LONG}"));
    let index = data_encoding::HEXLOWER.encode(&cap.storage_index().unwrap());
    assert_eq!(index, "05d82de538db1406e16fc5ff4d6690a3");

    let text = "URI:CHK:hatjeewcgvqc5aqvpfpnrglkuu:\
                hlz7ttvanwbwnghysdtxjigygocyyczzml5xq6cxu5x5y2gavotq:3:10:1000";
    let cap: Cap = text.parse().unwrap();
    let index = crate::base32::encode(&cap.storage_index().unwrap());
    assert_eq!(index, "a7u7nte5ywgm6puqf6ozv2vvme");
}

#[test]
fn marks_and_hints_are_checked_and_dropped() {
    let parsed = |text: String| text.parse::<Cap>().map(|cap| cap.to_string());
    let chk = format!("URI:CHK:{SHORT}:{LONG}:3:10:56");
    let read = format!("URI:SSK-RO:{SHORT}:{LONG}");
    let write = format!("URI:DIR2:{SHORT}:{LONG}");
    assert_eq!(parsed(format!("imm.{chk}")), Ok(chk.clone()));
    assert_eq!(parsed(format!("ro.{chk}")), Ok(chk));
    assert_eq!(parsed(format!("ro.{read}")), Ok(read.clone()));
    assert!(parsed(format!("imm.{read}")).is_err());
    assert!(parsed(format!("ro.{write}")).is_err());
    let hinted = format!("URI:MDMF:{SHORT}:{LONG}");
    assert_eq!(parsed(format!("{hinted}:3:131073")), Ok(hinted));
    assert!(parsed(format!("{read}:3")).is_err());
}

#[test]
fn what_is_not_known_is_carried_along() {
    for text in [
        "lafs://from_the_future",
        "imm.URI:NEW:x",
        "URI:",
        "ro.x",
        "é",
    ] {
        let cap: Cap = text.parse().unwrap();
        assert_eq!(cap, Cap::Unknown(text.to_owned()));
        assert_eq!(cap.to_string(), text);
        assert_eq!(cap.to_readonly(), None);
    }
    for text in ["", "x\ny", &"x".repeat(MAX_LENGTH + 1)] {
        assert!(text.parse::<Cap>().is_err(), "{text}");
    }
}

#[test]
fn a_wrong_character_is_seen_where_the_form_has_it() {
    for text in [
        format!("URI:CHK:{SHORT}:{LONG}:3:10"),
        format!("URI:CHK:{SHORT}:{LONG}:3:10:56:1"),
        format!("URI:CHK:{SHORT}:{LONG}:03:10:56"),
        format!("URI:CHK:{SHORT}:{LONG}:3:10:+56"),
        format!("URI:CHK:{SHORT}:{LONG}:11:10:56"),
        format!("URI:CHK:{SHORT}:{LONG}:0:10:56"),
        format!("URI:CHK:{SHORT}:{LONG}:3:257:56"),
        format!("URI:CHK:{SHORT}:{LONG}:3:10:99999999999999999999"),
        format!("URI:CHK:{SHORT}:{LONG}:3:10:"),
        format!("URI:CHK:{LONG}:{LONG}:3:10:56"),
        format!("URI:SSK:{SHORT}:{}", LONG.to_uppercase()),
        format!("URI:SSK:{SHORT}1:{LONG}"),
        "URI:SSK::".to_owned(),
        "URI:LIT:a".to_owned(),
        "URI:LIT:ab".to_owned(),
    ] {
        assert!(text.parse::<Cap>().is_err(), "{text}");
    }
    // A change in the last character leaves bits that no text of this length has.
    for last in "bdefghijklmnoprstuvwxyz234567".chars() {
        let text = format!("URI:SSK:{}{last}:{LONG}", &SHORT[..25]);
        let allowed = "aeimquy4".contains(last);
        assert_eq!(text.parse::<Cap>().is_ok(), allowed, "{text}");
    }
}

#[test]
fn no_text_makes_the_parser_panic() {
    fuzz::texts("capabilities", &samples(), |text| {
        if let Ok(cap) = text.parse::<Cap>() {
            assert_eq!(cap.to_string().parse::<Cap>().unwrap(), cap);
            _ = cap.to_verifier();
        }
    });
}

#[test]
fn a_log_does_not_show_keys() {
    for text in samples().iter().filter(|text| !text.contains("-Verifier")) {
        let cap: Cap = text.parse().unwrap();
        let shown = format!("{cap:?}");
        let key: [u8; 16] = crate::base32::decode_array(SHORT).unwrap();
        let numbers = format!("{key:?}");
        assert!(!shown.contains(&numbers[1..20]), "{shown}");
        let verifier = cap.to_verifier().is_none_or(|verifier| {
            let verifier = format!("{:?}", verifier.object().unwrap());
            shown.contains(&verifier)
        });
        assert!(verifier, "{shown}");
    }
    assert_eq!(
        format!("{:?}", "lafs://x".parse::<Cap>().unwrap()),
        "Unknown(8 bytes)"
    );
}
