//! How the hosted zones are, for people.

use serde::Serialize;

use super::super::View;
use super::super::content::Content;
use super::super::spec::{Server, Source};
use super::Held;
use super::copy::{self, Copy};
use crate::name::Name;

/// One zone for people; see net.guifi.Dns1(5).
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Its name.
    pub domain: String,
    /// `internal`, `external` or `all`.
    pub view: &'static str,
    /// The file, or the portal with the number of the service.
    pub source: String,
    /// Its serial; none if it never was loaded.
    pub serial: Option<u32>,
    /// Number of records.
    pub records: usize,
    /// Updates since it was last taken from its source.
    pub updates: u32,
    /// Why it is not as its source has it.
    pub fault: Option<String>,
    /// What is probably a mistake.
    pub doubts: Vec<String>,
    /// How it stands with the primaries, if it is a copy.
    pub secondary: Option<copy::Report>,
}

/// How a zone is.
pub(super) fn report(name: &Name, held: &Held) -> Report {
    Report {
        domain: name.to_string(),
        view: match held.spec.views[..] {
            [View::Internal] => "internal",
            [View::External] => "external",
            _ => "all",
        },
        source: match &held.spec.source {
            Source::File(path) => path.display().to_string(),
            Source::Primaries(primaries) => listed(primaries),
            Source::Portal(service) => format!("portal, service {service}"),
            Source::PortalPrimaries(service, primaries) => {
                format!("{}, by the portal, service {service}", listed(primaries))
            }
        },
        serial: held.published.as_ref().map(|zone| zone.serial),
        records: held.content.as_ref().map_or(0, Content::records),
        updates: held.updates,
        fault: held
            .fault
            .clone()
            .or_else(|| held.unkept.as_ref().map(|unkept| unkept.why.clone())),
        doubts: held.doubts.clone(),
        secondary: held.copy.as_ref().map(Copy::report),
    }
}

fn listed(servers: &[Server]) -> String {
    let texts: Vec<_> = servers.iter().map(ToString::to_string).collect();
    texts.join(" ")
}
