//! The daemon and the commands against their contract: interface, manuals, configuration.

use std::collections::HashMap;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::CommandFactory as _;
use guifi_bus::{DiscoveryAdminProxy, DiscoveryProxy};
use guifi_core::Root;
use guifi_discoveryd::{cli, config};
use guifi_testing::{bus, command_faults, interface, key_faults, member_faults, page};
use serde_json::Value;
use tempfile::TempDir;
use zbus::{OwnedVariant, Variant};

/// Long enough for anything that should happen at all.
const SOON: Duration = Duration::from_secs(30);

/// The daemon on a bus of its own, without Avahi, registry and peerd.
struct Place {
    bus: bus::Bus,
    _dir: TempDir,
    daemon: Child,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for sub in ["etc/guifi", "run/guifi", "var/lib/guifi/discoveryd"] {
            fs::create_dir_all(dir.path().join(sub)).unwrap();
        }
        let bus = bus::Bus::new();
        let daemon = Command::new(env!("CARGO_BIN_EXE_guifi-discoveryd"))
            .env("GUIFI_ROOT", dir.path())
            .env("DBUS_SYSTEM_BUS_ADDRESS", bus.address())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let place = Self {
            bus,
            _dir: dir,
            daemon,
        };
        let end = Instant::now() + SOON;
        while place.try_describe().is_none() {
            assert!(
                Instant::now() < end,
                "the daemon is not on the bus in {SOON:?}"
            );
            std::thread::park_timeout(Duration::from_millis(20));
        }
        place
    }

    async fn connect(&self) -> zbus::Connection {
        let address = self.bus.address();
        zbus::connection::Builder::address(address.as_str())
            .build()
            .await
            .unwrap()
    }

    fn try_describe(&self) -> Option<Value> {
        block_on(async {
            let connection = self.connect().await;
            let proxy = DiscoveryProxy::new(&connection).await.ok()?;
            serde_json::from_str(&proxy.describe().await.ok()?).ok()
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Fails only if it is dead already.
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

fn block_on<T>(task: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(async { tokio::time::timeout(SOON, task).await.unwrap() })
}

fn options(written: &[(&'static str, Variant<'_>)]) -> HashMap<&'static str, OwnedVariant> {
    written
        .iter()
        .map(|(key, value)| (*key, value.try_clone().unwrap().try_into().unwrap()))
        .collect()
}

#[test]
fn the_daemon_introspects_exactly_its_contract() {
    let place = Place::new();
    let seen = block_on(async {
        let connection = place.connect().await;
        let proxy = zbus::fdo::IntrospectableProxy::builder(&connection)
            .destination(guifi_bus::DISCOVERY.name)
            .path(guifi_bus::DISCOVERY.path)
            .build()
            .await
            .unwrap();
        proxy.introspect().await.unwrap()
    });
    assert_eq!(
        bus::contract(&seen),
        bus::contract(&interface("net.guifi.Discovery1"))
    );
}

#[test]
fn every_proxy_method_is_answered() {
    let place = Place::new();
    let (answer, described, found, count) = block_on(async {
        let connection = place.connect().await;
        let discovery = DiscoveryProxy::new(&connection).await.unwrap();
        let admin = DiscoveryAdminProxy::new(&connection).await.unwrap();
        let answer = admin
            .publish(
                "Fotos d'en Pere",
                "_http._tcp",
                8080,
                &["path=/album"],
                options(&[("check", Variant::from("none".to_owned()))]),
            )
            .await
            .unwrap();
        let described = discovery.describe().await.unwrap();
        let lines = discovery.browse("", "community", "").await.unwrap();
        let found: Vec<Value> = guifi_bus::read_lines(lines).unwrap();
        let count = admin.unpublish("Fotos d'en Pere", "").await.unwrap();
        (answer, described, found, count)
    });
    for key in ["seen_by", "shown_as", "healthy"] {
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert!(answer.get(key).is_some(), "{key} is not in {answer}");
    }
    let described: Value = serde_json::from_str(&described).unwrap();
    assert_eq!(described["services"][0]["name"], "Fotos d'en Pere");
    assert_eq!(described["services"][0]["source"], "command");
    // Not joined: nothing is published to a community.
    assert!(found.is_empty(), "{found:?}");
    assert_eq!(count, 1);
}

#[test]
fn what_may_not_be_published_is_refused_with_the_reason() {
    let place = Place::new();
    let long = format!("long={}", "x".repeat(255));
    for (kind, port, txt, given, why) in [
        ("_http", 80, "a=1", options(&[]), "_http"),
        ("_http._tcp", 0, "a=1", options(&[]), "port"),
        ("_http._tcp", 80, long.as_str(), options(&[]), "255"),
        (
            "_http._tcp",
            80,
            "a=1",
            options(&[("check", Variant::from("often".to_owned()))]),
            "often",
        ),
        (
            "_http._tcp",
            80,
            "a=1",
            options(&[("color", Variant::from("red".to_owned()))]),
            "color",
        ),
    ] {
        let error = block_on(async {
            let connection = place.connect().await;
            let admin = DiscoveryAdminProxy::new(&connection).await.unwrap();
            admin
                .publish("x", kind, port, &[txt], given)
                .await
                .unwrap_err()
                .to_string()
        });
        assert!(error.contains("net.guifi.Error.Invalid"), "{error}");
        assert!(error.contains(why), "{why}: {error}");
    }
    assert_eq!(place.try_describe().unwrap()["published"], 0);
    for (kind, scope, why) in [("_http", "all", "_http"), ("", "nowhere", "nowhere")] {
        let error = block_on(async {
            let connection = place.connect().await;
            let discovery = DiscoveryProxy::new(&connection).await.unwrap();
            let answer = discovery.browse(kind, scope, "").await;
            answer.unwrap_err().to_string()
        });
        assert!(error.contains("net.guifi.Error.Invalid"), "{error}");
        assert!(error.contains(why), "{why}: {error}");
    }
}

#[test]
fn the_manuals_name_every_option_key_and_member() {
    let mut faults = Vec::new();
    for (name, command) in [
        ("guifi-discoveryd.8", cli::Cli::command()),
        ("guifi-publish.1", cli::Publish::command()),
        ("guifi-unpublish.1", cli::Unpublish::command()),
        ("guifi-browse.1", cli::Browse::command()),
    ] {
        let found = command_faults(&page(name), &command);
        faults.extend(found.into_iter().map(|fault| format!("{name}: {fault}")));
    }
    faults.extend(key_faults(&page("guifi-discoveryd.toml.5"), config::KEYS));
    faults.extend(key_faults(
        &page("guifi-services.d.5"),
        [
            "name",
            "type",
            "port",
            "txt",
            "global",
            "check",
            "host.name",
            "host.addresses",
        ],
    ));
    let bus_page = page("net.guifi.Discovery1.5");
    faults.extend(member_faults(&bus_page, &interface("net.guifi.Discovery1")));
    assert!(faults.is_empty(), "{faults:#?}");
}

/// The names of all members of a document, however deep.
fn members(document: &Value, found: &mut Vec<String>) {
    match document {
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            found.push(key.clone());
            members(value, found);
        }),
        Value::Array(list) => list.iter().for_each(|value| members(value, found)),
        _ => {}
    }
}

#[test]
fn the_manual_shows_every_member_of_the_documents() {
    let place = Place::new();
    let answer = block_on(async {
        let connection = place.connect().await;
        let admin = DiscoveryAdminProxy::new(&connection).await.unwrap();
        let given = options(&[
            ("check", Variant::from("none".to_owned())),
            ("host", Variant::from("10.1.0.9".to_owned())),
        ]);
        admin
            .publish("Photos", "_http._tcp", 8080, &[], given)
            .await
            .unwrap()
    });
    let page = page("net.guifi.Discovery1.5");
    let mut found = Vec::new();
    members(&place.try_describe().unwrap(), &mut found);
    members(&serde_json::from_str(&answer).unwrap(), &mut found);
    for key in found {
        let named = page
            .split(|c: char| !(c.is_ascii_lowercase() || c == '_'))
            .any(|word| word == key);
        assert!(named, "{key} is not in the manual");
    }
}

#[test]
fn the_example_of_declared_services_is_sound() {
    let page = page("guifi-services.d.5");
    let (_, rest) = page.split_once(".Bd -literal -offset indent\n").unwrap();
    let (example, _) = rest.split_once(".Ed").unwrap();
    let written: toml::Table = toml::from_str(example).unwrap();
    let services = written["service"].as_array().unwrap();
    assert!(!services.is_empty());
    for service in services {
        let service: guifi_discoveryd::service::Service = service.clone().try_into().unwrap();
        service.validate().unwrap();
    }
}

#[test]
fn the_example_configuration_is_the_defaults() {
    let text = fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../systemd/etc/guifi/discoveryd.toml"
    ))
    .unwrap();
    let written: Vec<String> = text
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(key) if !key.starts_with(' ') => key.to_owned(),
            _ => line.to_owned(),
        })
        .collect();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("etc/guifi/discoveryd.toml");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, written.join("\n")).unwrap();
    let loaded = config::Settings::load(&Root::new(dir.path())).unwrap();
    assert_eq!(loaded, config::Settings::default());
    for key in config::KEYS {
        assert!(
            written
                .iter()
                .any(|line| line.starts_with(&format!("{key} = "))),
            "{key} is not shown"
        );
    }
}

#[test]
fn a_wrong_configuration_is_refused_before_anything_starts() {
    let service = "[[service]]\nname = 'x'\ntype = '_http._tcp'\n";
    for (file, text, why) in [
        ("discoveryd.toml", "check_seconds = 5\n", "check_seconds"),
        (
            "discoveryd.toml",
            "check_timeout_seconds = 0\n",
            "timeout_seconds",
        ),
        ("discoveryd.toml", "lifetime_days = 31\n", "lifetime_days"),
        ("discoveryd.toml", "import = ['_http']\n", "import: '_http'"),
        ("discoveryd.toml", "[bridge]\n", "line 1: unknown field"),
        ("discoveryd.toml", "check_seconds = \n", "line 1"),
        ("services.d/x.toml", service, "missing field `port`"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("etc/guifi/services.d")).unwrap();
        fs::write(dir.path().join("etc/guifi").join(file), text).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_guifi-discoveryd"))
            .arg("--check")
            .env("GUIFI_ROOT", dir.path())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(78), "{text}: {output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(why), "{said}");
    }
}
