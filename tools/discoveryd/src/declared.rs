//! Services declared in files, by packages and administrators:
//! `/etc/guifi/services.d/*.toml`, `/run/guifi/services.d/*.toml` and
//! `/usr/lib/guifi/services.d/*.toml`; of files with one name the strongest counts.

use std::collections::BTreeMap;
use std::fs;

use guifi_core::Root;
use serde::Deserialize;

use crate::service::Service;

const LAYERS: [&str; 3] = [
    "/usr/lib/guifi/services.d",
    "/run/guifi/services.d",
    "/etc/guifi/services.d",
];
const MAX_FILE_BYTES: u64 = 256 << 10;
/// Services of one file.
const MAX_SERVICES: usize = 200;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    service: Vec<Service>,
}

/// All sound declarations, and a sentence for each file that is not sound.
pub(crate) fn load(root: &Root) -> (Vec<Service>, Vec<String>) {
    let mut files = BTreeMap::new();
    for layer in LAYERS {
        let Ok(entries) = fs::read_dir(root.join(layer)) else {
            continue;
        };
        for entry in entries.filter_map(Result::ok) {
            if entry.path().extension().is_some_and(|x| x == "toml") {
                files.insert(entry.file_name(), entry.path());
            }
        }
    }
    let (mut services, mut faults) = (Vec::new(), Vec::new());
    for path in files.into_values() {
        let read = || -> Result<Vec<Service>, String> {
            if fs::metadata(&path).map_err(|e| e.to_string())?.len() > MAX_FILE_BYTES {
                return Err("too large".to_owned());
            }
            parse(&fs::read_to_string(&path).map_err(|e| e.to_string())?)
        };
        match read() {
            Ok(found) => services.extend(found),
            Err(why) => faults.push(format!("cannot use {}: {why}", path.display())),
        }
    }
    (services, faults)
}

fn parse(text: &str) -> Result<Vec<Service>, String> {
    let file: File = toml::from_str(text).map_err(|e| {
        let line = e.span().map_or(1, |s| {
            text[..s.start.min(text.len())].matches('\n').count() + 1
        });
        format!(
            "line {line}: {}",
            e.message().lines().next().unwrap_or_default()
        )
    })?;
    if file.service.len() > MAX_SERVICES {
        return Err(format!("over {MAX_SERVICES} services"));
    }
    for service in &file.service {
        if service.heard.is_some() {
            return Err(format!("'{}': heard is not a key", service.name));
        }
        service
            .validate()
            .map_err(|e| format!("'{}': {e}", service.name))?;
    }
    Ok(file.service)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_broken_file_does_not_hide_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        let put = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put(
            "usr/lib/guifi/services.d/a.toml",
            "[[service]]\nname='A'\ntype='_http._tcp'\nport=80\n",
        );
        put(
            "usr/lib/guifi/services.d/b.toml",
            "[[service]]\nname='B'\ntype='_http._tcp'\nport=80\n",
        );
        put(
            "etc/guifi/services.d/b.toml",
            "[[service]]\nname='C'\ntype='_http._tcp'\nport=81\nglobal=true\n",
        );
        put(
            "etc/guifi/services.d/x.toml",
            "[[service]]\nname='X'\nprot=1\n",
        );
        let (services, faults) = load(&root);
        let names: Vec<&str> = services.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["A", "C"]);
        assert!(
            faults.len() == 1 && faults[0].contains("x.toml: line "),
            "{faults:?}"
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,300}") {
            let _ = parse(&text);
            let _ = parse(&format!("[[service]]\n{text}"));
        }
    }
}
