#![allow(clippy::unwrap_used)]
use super::*;

/// The names of what opens, and the fault if there is one.
fn walk(text: &[u8]) -> (Vec<String>, Option<Fault>) {
    let (mut xml, mut names) = (Xml::new(text), Vec::new());
    loop {
        match xml.step() {
            Ok(Step::Open) => names.push(xml.name().to_owned()),
            Ok(Step::Close) => {}
            Ok(Step::End) => return (names, None),
            Err(fault) => return (names, Some(fault)),
        }
    }
}

fn fault(text: &str) -> String {
    walk(text.as_bytes()).1.unwrap().to_string()
}

#[test]
fn what_is_sound_is_walked() {
    let text = "<?xml version=\"1.0\"?>\n<!-- x --><a t=\"1\"><b/>text &amp; &#233; <c>d</c></a>\n";
    let (names, fault) = walk(text.as_bytes());
    assert_eq!(
        (names.as_slice(), fault),
        (&["a", "b", "c"].map(String::from)[..], None)
    );
    let mut xml = Xml::new(&b"<a x='&lt;1&quot;' y=''/>"[..]);
    xml.step().unwrap();
    assert_eq!(
        (xml.get("x"), xml.get("y"), xml.get("z")),
        (Some("<1\""), None, None)
    );
}

#[test]
fn each_fault_has_its_line_and_column() {
    for (text, said) in [
        ("", "line 1, column 1: there is nothing in it"),
        ("hello", "line 1, column 1: this is not XML"),
        (
            "<!DOCTYPE html><html>",
            "line 1, column 1: this is a web page",
        ),
        (
            "<!DOCTYPE x [<!ENTITY a 'b'>]><a/>",
            "line 1, column 1: a document type is not allowed",
        ),
        (
            "<a>\n <b>\n</a>",
            "line 3, column 1: </a> where </b> should be",
        ),
        (
            "<a>\n <b>",
            "line 2, column 5: the file is cut short: it ends inside <b>",
        ),
        (
            "<a>\n <b x=\"1",
            "line 2, column 9: the file is cut short: it ends inside <a>",
        ),
        ("<a/><b/>", "line 1, column 5: there is more after the end"),
        ("<a/>more", "line 1, column 5: there is more after the end"),
        ("<a>&b;</a>", "line 1, column 4: there is no entity '&b;'"),
        (
            "<a>\n<b x=1/></a>",
            "line 2, column 6: the value of an attribute has no quotes",
        ),
        (
            "<a\n x='1'\n x='2'/>",
            "line 3, column 2: an attribute is there twice",
        ),
        ("<a x='&b;'/>", "line 1, column 4: attribute 'x': "),
        (
            "<?xml version=\"1.0\" encoding=\"latin1\"?><a/>",
            "line 1, column 1: the encoding 'latin1' is not UTF-8",
        ),
    ] {
        let found = fault(text);
        assert!(found.starts_with(said), "{text:?}: {found}");
    }
    let (_, found) = walk(b"<a>\n<b x='\xff'/></a>");
    assert_eq!(found.unwrap().to_string(), "line 2, column 1: not UTF-8");
}

#[test]
fn what_is_deep_long_or_many_is_refused() {
    assert!(fault(&"<a>".repeat(MAX_DEPTH + 1)).contains("within each other"));
    let long = "x".repeat(MAX_VALUE + 1);
    assert!(fault(&format!("<a x='{long}'/>")).contains("more than 4096 bytes"));
    let many: String = (0..100).map(|n| format!(" x{n}='1'")).collect();
    assert!(fault(&format!("<a{many}/>")).contains("more than 64 attributes"));
    let huge = "x".repeat(3 << 20);
    assert!(fault(&format!("<a>{huge}</a>")).contains("a tag or text of more than"));
    assert!(fault(&format!("<a {huge}/>")).contains("a tag or text of more than"));
}

#[test]
fn mutants_are_read_or_refused() {
    let samples = [
        include_str!("../../../../tests/fixtures/portal/detail.xml"),
        include_str!("../../../../tests/fixtures/portal/domains.xml"),
        "<a><!-- c --><![CDATA[x]]>&amp;<b c='d'/></a>",
    ];
    guifi_testing::fuzz::bytes("xml", &samples, |bytes| {
        walk(bytes);
    });
}
