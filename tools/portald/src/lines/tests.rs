#![allow(clippy::unwrap_used)]
use super::*;

const CSV: &str = include_str!("../../../../tests/fixtures/portal/csvproxy.csv");
const FEDERATION: &str = include_str!("../../../../tests/fixtures/portal/federation.txt");

fn listed(text: &str) -> (Vec<String>, Vec<String>) {
    let (found, faults) = proxies(text.as_bytes()).unwrap();
    let found = found
        .iter()
        .map(|p| format!("{} {} {}", p.nick, p.host, p.port))
        .collect();
    (found, faults.list.iter().map(ToString::to_string).collect())
}

#[test]
fn the_list_of_the_example_has_its_one_proxy() {
    assert_eq!(
        listed(CSV),
        (vec!["prxAltaTorre 10.90.1.10 3128".into()], vec![])
    );
    assert_eq!(listed(""), (vec![], vec![]));
}

#[test]
fn hosts_and_ports_are_checked_and_one_bad_line_costs_only_itself() {
    let (found, faults) = listed(
        "a;10.1.2.3;3128\nb;http://x/;80\nc;proxy.Example.;8080\nd;10.1.2;80\ne;10.1.2.3;0\nf;10.1.2.3;65536\ng;x\n;10.1.2.3;80\nh;a b;1\n",
    );
    assert_eq!(found, ["a 10.1.2.3 3128", "c proxy.example 8080"]);
    assert_eq!(faults.len(), 7, "{faults:?}");
    assert_eq!(faults[0], "line 2, column 1: 'http://x/' is not a host");
}

#[test]
fn the_static_list_may_have_commas_a_header_and_further_columns() {
    let (found, faults) =
        listed("\u{feff}Name,Host,Port,Zone\r\n\"a\",10.1.2.3,3128,Osona\r\nb,p.example,80,,x\r\n");
    assert_eq!(found, ["a 10.1.2.3 3128", "b p.example 80"]);
    assert!(faults.is_empty());
}

#[test]
fn what_is_no_list_is_refused() {
    for text in [
        "<html>",
        "\n <!DOCTYPE html>",
        "Access denied",
        "a;b\nc;d\n",
    ] {
        assert!(proxies(text.as_bytes()).is_err(), "{text}");
    }
    assert!(proxies("x".repeat(5000).as_bytes()).is_err());
}

#[test]
fn federation_begins_with_the_one_who_asks() {
    let (found, _) = federation(FEDERATION.as_bytes()).unwrap();
    assert_eq!(
        found[0],
        Member {
            proxy: 9502,
            mode: "inout".into()
        }
    );
    assert_eq!(found.len(), 2);
    let unknown = federation(&b"0000-private\n9505-out\n"[..]).unwrap_err();
    assert!(unknown.to_string().contains("does not know"));
    for wrong in [
        "",
        "Federated\nuser:hash\n",
        "<html>",
        "1-maybe",
        "-in",
        "1",
        "99999999999999999999-in",
    ] {
        assert!(federation(wrong.as_bytes()).is_err(), "{wrong}");
    }
    let (found, faults) = federation(&b"1-in\nnonsense\n2-out\n1-out\n"[..]).unwrap();
    assert_eq!((found.len(), faults.count), (2, 2));
}

#[test]
fn tokens_are_numbers_with_or_without_a_line() {
    assert_eq!(token(&b"1706662800"[..]).unwrap(), "1706662800");
    assert_eq!(token(&b" 1706662800\r\n"[..]).unwrap(), "1706662800");
    for wrong in [
        "",
        "x",
        "<html>",
        "-1",
        "17 06",
        "123456789012345678901",
        "1.5",
    ] {
        assert!(token(wrong.as_bytes()).is_err(), "{wrong}");
    }
    assert!(token(&[0xff; 10][..]).is_err());
}

#[test]
fn mutants_are_read_or_refused() {
    guifi_testing::fuzz::bytes("lines", &[CSV, FEDERATION, "1706662800\n"], |bytes| {
        if let Ok((found, _)) = proxies(bytes) {
            assert!(found.iter().all(|p| p.port != 0 && !p.host.is_empty()));
        }
        let _ = federation(bytes);
        let _ = token(bytes);
    });
}
