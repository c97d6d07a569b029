//! Guests of the link: machines that announce something and have nothing of ours.

use crate::common;

use common::community::Community;
use common::{Link, Place, until};
use serde_json::{Value, json};

/// The addresses in a service's record.
fn addresses(record: &Value) -> &Value {
    &record["host"]["addresses"]
}

fn publish(place: &Place, words: &[&str]) -> std::process::Output {
    let command = env!("CARGO_BIN_EXE_guifi-publish");
    place.run(&[&[command, "--json", "--global"], words].concat())
}

#[test]
fn a_guest_is_published_by_its_name_followed_and_withdrawn_when_it_leaves() {
    let test = "a_guest_is_published_by_its_name_followed_and_withdrawn_when_it_leaves";
    let Some(link) = Link::new(test) else { return };
    let community = Community::default();
    community.boxed(1, "192.0.2.1");
    let place = link.boxed(1, &community, "check_seconds = 10\n");
    let guest = link.machine(30);
    let announced = guest.announce("Front door", "_http._tcp", 8000);
    until("the guest is heard", || {
        !place.browse("_http._tcp").is_empty()
    });
    let output = publish(
        &place,
        &[
            "--check=none",
            "--host=machine-30.local",
            "Door",
            "_http._tcp",
        ],
    );
    assert!(output.status.success(), "{output:?}");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["heard"], "Front door", "{answer}");
    let record = community.service(1, "Door");
    assert_eq!(addresses(&record), &json!(["192.0.2.30"]), "{record}");
    assert_eq!(record["port"], 8000);
    assert_eq!(record["txt"], json!(["path=/guest"]));
    // The guest announces it itself: once is enough.
    assert_eq!(guest.names("_http._tcp"), ["Front door"]);

    let moved = "ip address add 192.0.2.31/24 dev guifi0; ip address del 192.0.2.30/24 dev guifi0; \
        ip address add 192.0.2.31/24 dev guifi0 2>/dev/null || true";
    assert!(guest.run(&["sh", "-c", moved]).status.success());
    until("the record follows", || {
        addresses(&community.service(1, "Door")) == &json!(["192.0.2.31"])
    });
    drop(announced);
    until("it is withdrawn", || community.service(1, "Door").is_null());
    let described = place.try_describe().unwrap();
    assert_eq!(described["services"][0]["absent"], true, "{described}");
    assert_eq!(described["unhealthy"], 0, "a guest may go");
    let _announced = guest.announce("Front door", "_http._tcp", 8001);
    until("it is published again", || {
        community.service(1, "Door")["port"] == 8001
    });
}

#[test]
fn what_is_not_heard_or_does_not_answer_is_said() {
    let test = "what_is_not_heard_or_does_not_answer_is_said";
    let Some(link) = Link::new(test) else { return };
    let community = Community::default();
    community.boxed(1, "192.0.2.1");
    community.boxed(9, "198.51.100.9");
    let place = link.boxed(1, &community, "import = ['_http._tcp']\n");
    let guest = link.machine(30);
    let _announced = guest.announce("Front door", "_http._tcp", 8000);
    community.services(&[(9, "Far", 80)]);
    until("both are on the link", || {
        guest.names("_http._tcp") == ["Far", "Front door"]
    });
    let far = guest.seen("_http._tcp");
    let far = far.iter().find(|s| s[0] == "Far").unwrap()[1].clone();
    for (words, why) in [
        (
            &["--host=scanner.local", "X", "_http._tcp"][..],
            "'machine-30.local'",
        ),
        (
            &["--host=machine-30", "X", "_ipp._tcp"],
            "nobody announces one",
        ),
        // Of another link, and only shown here.
        (
            &["--host", &far, "X", "_http._tcp"],
            "is heard on this link",
        ),
    ] {
        let output = publish(&place, words);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(why), "{said}");
    }
    let output = place.run(&[
        env!("CARGO_BIN_EXE_guifi-publish"),
        "--host=machine-30",
        "X",
        "_http._tcp",
    ]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("--global"), "{said}");
    // Nothing listens there.
    let output = publish(&place, &["--host=192.0.2.30", "Door", "_http._tcp"]);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["healthy"], false, "{answer}");
    assert_eq!(community.service(1, "Door")["healthy"], false);
}

#[test]
fn with_stand_in_registry_what_others_say_was_withdrawn_is_published_again() {
    let test = "with_stand_in_registry_what_others_say_was_withdrawn_is_published_again";
    let Some(link) = Link::new(test) else { return };
    let community = Community::default();
    community.boxed(1, "192.0.2.1");
    let place = link.boxed(1, &community, "");
    let output = publish(&place, &["--check=none", "Kept", "_http._tcp", "8000"]);
    assert!(output.status.success(), "{output:?}");
    until("it is published", || {
        community.service(1, "Kept")["port"] == 8000
    });
    // A box out of a backup: after the start others bring its own last word, that it is gone.
    community.services(&[(1, "Kept", 0)]);
    community.synced();
    until("it is published again", || {
        community.service(1, "Kept")["port"] == 8000
    });
}
