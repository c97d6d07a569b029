//! What is written, and what is wrong with it.
#![allow(clippy::unwrap_used)]
use super::*;

fn check(text: &str) -> Result<Settings, Error> {
    Settings::check(toml::from_str(text).unwrap())
}

#[test]
fn the_example_shows_every_default() {
    let uncommented = guifi_testing::example("dnsd");
    let written: Written = toml::from_str(&uncommented).unwrap();
    assert_eq!(written, Written::default());
    let keys: toml::Table = toml::from_str(&uncommented).unwrap();
    assert_eq!(keys.len(), 13, "every key is shown: {keys:?}");
}

#[test]
fn wrong_values_name_their_key() {
    for (text, key) in [
        ("port = 0", "port"),
        ("workers = 65", "workers"),
        ("allow = ['10.0.0.0/33']", "allow"),
        ("allow = ['x']", "allow"),
        ("[upstream]\nservers = ['dns']", "upstream.servers"),
        ("[upstream.zones]\n'a..b' = ['10.0.0.1']", "upstream.zones"),
        ("[upstream]\nservers = ['tls://dns']", "upstream.servers"),
        (
            "[upstream]\nmode = 'recursive'\nservers = ['9.9.9.9']",
            "upstream.servers",
        ),
        ("[upstream]\nrecursor = '192.0.2.1'", "upstream.recursor"),
        ("[upstream]\nauthorities = 'x'", "upstream.authorities"),
        ("[zones.'a..b']\nfile = '/x'", "zones"),
        ("[zones.'.']\nfile = '/x'", "zones"),
        ("[zones.a]\nfile = 'x'", "zones"),
        ("[zones.a]", "zones"),
        ("[zones.a]\nfile = '/x'\nprimaries = ['10.0.0.1']", "zones"),
        ("[zones.a]\nprimaries = ['x']", "zones.primaries"),
        ("[secondary]\nrecords = 0", "secondary.records"),
        ("[zones.a]\nfile = '/x'\ntransfer = ['x']", "zones.transfer"),
        ("notify = ['x']", "notify"),
        ("notify = ['10.0.0.1 key']", "notify"),
        ("transfer = ['key a b']", "transfer"),
        ("transfer = ['key a..b']", "transfer"),
        ("[limit]\nper_answer = 10001", "limit.per_answer"),
        ("[limit]\nexcept = ['x']", "limit.except"),
    ] {
        let error = check(text).unwrap_err();
        assert_eq!(error.kind(), Kind::Config);
        assert!(error.to_string().contains(&format!("'{key}'")), "{error}");
    }
}

#[test]
fn keys_stand_beside_networks_and_servers() {
    let text =
        "transfer = ['10.0.0.0/8', 'key Backup.']\nnotify = ['10.0.0.1:54  key backup', '::1']";
    let settings = check(text).unwrap();
    let key = Name::parse("backup").unwrap();
    assert_eq!(settings.transfer.keys, std::slice::from_ref(&key));
    assert_eq!(settings.transfer.networks.len(), 1);
    let stranger = "192.0.2.1".parse().unwrap();
    assert!(settings.transfer.allows(stranger, Some(&key)));
    assert!(!settings.transfer.allows(stranger, None));
    assert_eq!(settings.notify[0].key, Some(key));
    assert_eq!(settings.notify[0].address.port(), 54);
    assert_eq!(settings.notify[1].key, None);
}

#[test]
fn networks_and_servers_are_read() {
    let text = "allow = ['10.0.0.0/8', 'fd00::1']\n[upstream]\nservers = ['9.9.9.9', '[::1]:54']\n\
                zones = { 'Corp.example' = ['10.0.0.1:5353'] }";
    let settings = check(text).unwrap();
    assert_eq!(settings.allow[0], ("10.0.0.0".parse().unwrap(), 8));
    assert_eq!(settings.allow[1].1, 128);
    assert_eq!(settings.servers[0].to_string(), "9.9.9.9:53");
    let zone = Name::parse("corp.example").unwrap();
    assert_eq!(
        settings.zones[&zone],
        [upstream::Server::parse("10.0.0.1:5353").unwrap()]
    );
}
