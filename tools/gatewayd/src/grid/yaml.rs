//! `servers.yaml`, as official clients keep it in `private/`.
//!
//! Source: `docs/configuration.rst`, "Static Server Definitions"; what an official client has
//! learnt of an introducer (`private/introducer_*_cache.yaml`) is read, too: a list of the same
//! announcements.

use std::collections::BTreeMap;

use guifi_core::Error;
use guifi_tahoe::announcement::MAX_NURLS;
use guifi_tahoe::{base32, placement};
use serde::Deserialize;

use super::{About, MAX_SERVERS};

/// The longest text that is read, in bytes.
pub(crate) const MAX_BYTES: usize = 1 << 20;
/// The longest name of a server, in bytes.
const MAX_NAME: usize = 256;

#[derive(Deserialize)]
#[serde(untagged)]
enum File {
    Servers { storage: BTreeMap<String, Entry> },
    Cache(Vec<Cached>),
}

#[derive(Deserialize)]
struct Entry {
    ann: Announced,
}

#[derive(Deserialize)]
struct Cached {
    key_s: String,
    ann: Announced,
}

#[derive(Deserialize)]
struct Announced {
    #[serde(default)]
    nickname: String,
    #[serde(rename = "anonymous-storage-FURL")]
    furl: String,
    #[serde(rename = "anonymous-storage-NURLs", default)]
    nurls: Vec<String>,
    #[serde(rename = "permutation-seed-base32")]
    seed: Option<String>,
}

/// The servers of a file.
///
/// # Errors
/// If it is no such file, or a server in it cannot be used; the message says which.
pub(crate) fn parse(text: &str) -> Result<Vec<About>, Error> {
    if text.len() > MAX_BYTES {
        return Err(Error::failed(format!("longer than {MAX_BYTES} bytes")));
    }
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 8,
            max_nodes: 40 * MAX_SERVERS,
            max_anchors: 0,
            max_aliases: 0,
            max_documents: 1,
        },
    };
    let file: File = serde_saphyr::from_str_with_options(text, options).map_err(|e| {
        let text = e.without_snippet().to_string();
        let line = text.lines().next().unwrap_or("not valid YAML");
        Error::failed(format!("not a list of storage servers: {line}"))
    })?;
    let entries: Vec<(String, Announced)> = match file {
        File::Servers { storage } => storage
            .into_iter()
            .map(|(id, entry)| (id, entry.ann))
            .collect(),
        File::Cache(list) => list.into_iter().map(|one| (one.key_s, one.ann)).collect(),
    };
    if entries.len() > MAX_SERVERS {
        return Err(Error::failed(format!("more than {MAX_SERVERS} servers")));
    }
    let named = |(id, announced): (String, Announced)| {
        about(&id, announced).map_err(|why| {
            let shown: String = id.chars().take(60).collect();
            Error::failed(format!("server '{}': {why}", shown.escape_debug()))
        })
    };
    entries.into_iter().map(named).collect()
}

fn about(id: &str, announced: Announced) -> Result<About, &'static str> {
    if id.is_empty() || id.len() > MAX_NAME || id.chars().any(char::is_control) {
        return Err("its name is empty, too long, or has control characters");
    }
    let nurls = announced.nurls.iter().filter_map(|text| text.parse().ok());
    let nurls: Vec<_> = nurls.take(MAX_NURLS).collect();
    if nurls.is_empty() {
        return Err(
            "no address that can be used (anonymous-storage-NURLs): it speaks Foolscap only",
        );
    }
    Ok(About {
        id: id.to_owned(),
        tubid: tubid(&announced.furl).ok_or("anonymous-storage-FURL is not pb://TUBID@…")?,
        seed: placement::seed(id, announced.seed.as_deref()),
        nickname: announced.nickname.chars().take(MAX_NAME).collect(),
        zone: String::new(),
        nurls,
        owner: None,
    })
}

fn tubid(furl: &str) -> Option<[u8; 20]> {
    let (tubid, _) = furl.strip_prefix("pb://")?.split_once('@')?;
    base32::decode_array(tubid)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use guifi_testing::fuzz;

    const SAMPLE: &str = "\
storage:
  v0-zj5doczsflmkadtnrjrdt4ymwjlgajw7ld5odwmkfod7dms4rpva:
    ann:
      nickname: storage00
      anonymous-storage-FURL: pb://flos4e2egknpya2sq5lbv3hhcumempmw@tcp:127.0.0.1:1/unused
      anonymous-storage-NURLs:
        - pb://e8SDaAUjgdJAzWO-rKMEDJKb-QYoGQzptgzyIW7gm0Q@127.0.0.1:37110/ogfshq62rfjgccmb52gpf7wl544wburj#v=1
      permutation-seed-base32: aaaa
      version: 0
    connections:
      tcp: tor
";

    #[test]
    fn the_official_form_is_read() {
        let read = parse(SAMPLE).unwrap();
        assert_eq!(read.len(), 1);
        let server = &read[0];
        assert_eq!(server.nickname, "storage00");
        assert_eq!(server.nurls[0].port, 37110);
        let tubid = base32::encode(&server.tubid);
        assert_eq!(tubid, "flos4e2egknpya2sq5lbv3hhcumempmw");
        assert_eq!(server.seed, [0, 0]);
        let unseeded = SAMPLE.replace("      permutation-seed-base32: aaaa\n", "");
        assert_eq!(parse(&unseeded).unwrap()[0].seed.len(), 32);
        assert!(parse("storage: {}").unwrap().is_empty());
    }

    #[test]
    fn what_a_client_learnt_of_an_introducer_is_read() {
        let cache = "- ann:\n    anonymous-storage-FURL: pb://flos4e2egknpya2sq5lbv3hhcumempmw@x/y\n    \
                     anonymous-storage-NURLs: ['pb://e8SDaAUjgdJAzWO-rKMEDJKb-QYoGQzptgzyIW7gm0Q@h:1/s#v=1']\n  key_s: v0-x\n";
        assert_eq!(parse(cache).unwrap()[0].id, "v0-x");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, why) in [
            ("", "storage servers"),
            ("storage: [", "storage servers"),
            ("storage: &a {x: *a}", "storage servers"),
            (&SAMPLE.replace("pb://flos4e2e", "pb://flos"), "FURL"),
            (
                &SAMPLE.replace("127.0.0.1:37110", "127.0.0.1"),
                "Foolscap only",
            ),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(why) && !error.contains('\n'), "{error}");
        }
        let deep = format!("storage: {}1{}", "[".repeat(500), "]".repeat(500));
        assert!(parse(&deep).is_err());
    }

    #[test]
    fn mutants_are_read_or_refused() {
        fuzz::texts("servers.yaml", &[SAMPLE.to_owned()], |text| {
            if let Ok(servers) = parse(text) {
                assert!(servers.iter().all(|server| !server.nurls.is_empty()));
            }
        });
    }
}
