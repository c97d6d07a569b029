//! Mutants of service files: none makes the reader panic, and none gets past the rules.

use guifi_discoveryd::service::Service;
use guifi_testing::fuzz;
use serde::Deserialize;

/// As in a file of services.d.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    service: Vec<Service>,
}

const SAMPLES: [&str; 2] = [
    r#"[[service]]
name = "Photos"
type = "_http._tcp"
port = 8080
txt = ["path=/album", "flag"]
global = true
check = "http:/album"
"#,
    r#"[[service]]
name = "Printer, first floor"
type = "_ipp._tcp"
port = 631
host = { name = "printer", addresses = ["10.1.0.9", "fd00::9"] }

[[service]]
name = "Fotos d'en Pere"
type = "_http._tcp"
port = 80
check = "none"
"#,
];

#[test]
fn mutants_of_service_files() {
    fuzz::texts("service file", &SAMPLES, |text| {
        let Ok(file) = toml::from_str::<File>(text) else {
            return;
        };
        for service in file.service {
            if service.validate().is_ok() {
                assert!((1..=63).contains(&service.name.len()), "{service:?}");
                assert!(service.port != 0 && service.key().1.len() == service.name.len());
                let again = toml::from_str(&toml::to_string(&service).unwrap());
                assert_eq!(again, Ok(service));
            }
        }
    });
}
