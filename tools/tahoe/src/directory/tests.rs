//! Directories there and back, the official vectors, and what is none.
#![allow(clippy::unwrap_used)]

use data_encoding::HEXLOWER;
use guifi_testing::fuzz;

use super::*;

const SHORT: &str = "lyzcdiuucnnwptc7v35g4gk45u";
const LONG: &str = "7jkiyp2vqairjfzhi5m7pya7cft27usbzvyhpk3ylysklwdgmsca";

fn key() -> Key {
    std::array::from_fn(|i| u8::try_from(i).unwrap())
}

fn cap(text: &str) -> Cap {
    text.parse().unwrap()
}

fn entry(text: &str) -> Entry {
    Entry::new(cap(text), "{\"a\": 1}".to_owned()).unwrap()
}

fn entries() -> Entries {
    Entries::from([
        (
            "file".to_owned(),
            entry(&format!("URI:CHK:{SHORT}:{LONG}:3:10:56")),
        ),
        (
            "folder".to_owned(),
            entry(&format!("URI:DIR2:{SHORT}:{LONG}")),
        ),
        ("future".to_owned(), entry("ro.lafs://x")),
        ("past".to_owned(), entry("imm.lafs://y")),
        (
            "seen".to_owned(),
            entry(&format!("URI:SSK-RO:{SHORT}:{LONG}")),
        ),
        ("small".to_owned(), entry("URI:LIT:aa")),
        ("ç".to_owned(), entry(&format!("URI:MDMF:{SHORT}:{LONG}"))),
    ])
}

#[test]
fn the_official_vectors() {
    assert_eq!(
        HEXLOWER.encode(&slot::encrypt(&key(), None)),
        "d05f738a043b8404b7495ccb5d5501866971af5bc2acc121f3a8c3c9e4c67eaa\
         2cf628b320d73bc02284aa976c0018c7"
    );
    assert_eq!(
        HEXLOWER.encode(&slot::encrypt(&key(), Some(&cap("URI:x")))),
        "11181ba2337b6e6e669f500d6f19e5ff4bc3ec0de2b0dfe4312271de2636c98a\
         ace38fde27b5a65522fd9408aeae7c6f0e327a2ce4"
    );
}

#[test]
fn what_was_packed_is_unpacked() {
    let packed = pack(&entries(), Access::Write(&key())).unwrap();
    assert_eq!(unpack(&packed, Access::Write(&key())).unwrap(), entries());
    let mut readonly = entries();
    for entry in readonly.values_mut() {
        entry.write = None;
    }
    assert_eq!(unpack(&packed, Access::Read).unwrap(), readonly);
    assert!(pack(&readonly, Access::Read).is_err());
    assert!(unpack(b"", Access::Read).unwrap().is_empty());
}

#[test]
fn an_immutable_directory_has_immutable_children_only() {
    assert!(pack(&entries(), Access::Immutable).is_err());
    let mut fixed = entries();
    fixed.retain(|name, _| ["file", "past", "small"].contains(&name.as_str()));
    let packed = pack(&fixed, Access::Immutable).unwrap();
    assert_eq!(unpack(&packed, Access::Immutable).unwrap(), fixed);
    // One that says to be immutable and names what changes: that is left out.
    let text = format!("URI:SSK-RO:{SHORT}:{LONG}");
    let mut child = Vec::new();
    for field in ["n", &text, "", "{}"] {
        netstring::put(&mut child, field.as_bytes());
    }
    let mut contents = Vec::new();
    netstring::put(&mut contents, &child);
    assert!(unpack(&contents, Access::Immutable).unwrap().is_empty());
    assert!(unpack(&contents, Access::Read).unwrap().len() == 1);
    let writable = pack(&entries(), Access::Write(&key())).unwrap();
    assert!(unpack(&writable, Access::Immutable).is_err());
}

#[test]
fn marks_are_in_texts_and_not_in_directories() {
    let packed = pack(&entries(), Access::Write(&key())).unwrap();
    let packed = String::from_utf8_lossy(&packed);
    assert!(packed.contains(",8:lafs://x,") && packed.contains(",12:imm.lafs://y,"));
    let fixed = Entries::from([("a".to_owned(), entry("imm.lafs://y"))]);
    let packed = pack(&fixed, Access::Immutable).unwrap();
    assert!(String::from_utf8_lossy(&packed).contains(",8:lafs://y,"));
    assert!(Entry::new(cap("lafs://z"), "{}".to_owned()).is_err());
}

#[test]
fn what_is_no_cap_and_spaces_behind_one_do_no_harm() {
    let mut child = Vec::new();
    let write = slot::encrypt(&key(), Some(&Cap::Unknown("URI:SSK:broken  ".to_owned())));
    for field in [&b"n"[..], b"URI:LIT:aa   ", &write, b"{}"] {
        netstring::put(&mut child, field);
    }
    let mut contents = Vec::new();
    netstring::put(&mut contents, &child);
    let entries = unpack(&contents, Access::Write(&key())).unwrap();
    let broken = Cap::Unknown("URI:SSK:broken".to_owned());
    assert_eq!(entries["n"].write, Some(broken));
    assert_eq!(entries["n"].read, Some(cap("URI:LIT:aa")));
    // A place for reading that holds the right to write gives it to nobody.
    let strong = format!("URI:SSK:{SHORT}:{LONG}");
    let read = slot::read(&strong, false).unwrap();
    assert_eq!(Some(read), cap(&strong).to_readonly());
}

#[test]
fn names_are_normalized() {
    assert_eq!(normalize("cafe\u{301}"), "caf\u{e9}");
    let given = Entries::from([("cafe\u{301}".to_owned(), entry("URI:LIT:aa"))]);
    let packed = pack(&given, Access::Write(&key())).unwrap();
    let found = unpack(&packed, Access::Read).unwrap();
    assert!(found.contains_key("caf\u{e9}"));
}

#[test]
fn what_is_too_long_or_no_object_is_refused() {
    let with = |name: &str, metadata: String| {
        let mut entry = entry("URI:LIT:aa");
        entry.metadata = metadata;
        pack(
            &Entries::from([(name.to_owned(), entry)]),
            Access::Immutable,
        )
    };
    assert!(with("n", "{}".to_owned()).is_ok());
    assert!(with(&"n".repeat(MAX_NAME + 1), "{}".to_owned()).is_err());
    assert!(with("n", format!("{{{}}}", " ".repeat(MAX_METADATA))).is_err());
    assert!(with("n", "[]".to_owned()).is_err());
}

#[test]
fn a_directory_of_10000_entries() {
    let folder = entry(&format!("URI:DIR2:{SHORT}:{LONG}"));
    let names = (0..10_000).map(|i| format!("entry {i}"));
    let many: Entries = names.map(|name| (name, folder.clone())).collect();
    let packed = pack(&many, Access::Write(&key())).unwrap();
    assert_eq!(unpack(&packed, Access::Write(&key())).unwrap(), many);
}

#[test]
fn nothing_makes_a_reader_panic() {
    let mut fixed = entries();
    fixed.retain(|name, _| ["file", "past", "small"].contains(&name.as_str()));
    let samples = [
        pack(&entries(), Access::Write(&key())).unwrap(),
        pack(&fixed, Access::Immutable).unwrap(),
    ];
    fuzz::bytes("directories", &samples, |bytes| {
        _ = unpack(bytes, Access::Read);
        _ = unpack(bytes, Access::Immutable);
        if let Ok(mut found) = unpack(bytes, Access::Write(&key())) {
            found.retain(|_, entry| {
                entry.metadata.starts_with('{') && entry.metadata.ends_with('}')
            });
            let again = pack(&found, Access::Write(&key())).unwrap();
            unpack(&again, Access::Write(&key())).unwrap();
        }
    });
}
