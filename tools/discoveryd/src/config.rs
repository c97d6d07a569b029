//! Configuration of guifi-discoveryd, `/etc/guifi/discoveryd.toml`.

use guifi_core::{Error, Kind, Root};
use serde::Deserialize;

use crate::service::check_type;

/// The file as it is written; see guifi-discoveryd.toml(5).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Seconds between two checks of a published service.
    pub check_seconds: u32,
    /// Seconds that a check may take.
    pub check_timeout_seconds: u32,
    /// Days that a published service is remembered by others when this box is gone.
    pub lifetime_days: u32,
    /// Types of other links' services that are shown on the links of this box.
    pub import: Vec<String>,
}

/// Types that one box imports at most.
pub const MAX_IMPORTS: usize = 32;

/// Every key, for the manual.
pub const KEYS: [&str; 4] = [
    "check_seconds",
    "check_timeout_seconds",
    "lifetime_days",
    "import",
];

impl Default for Settings {
    fn default() -> Self {
        Self {
            check_seconds: 60,
            check_timeout_seconds: 5,
            lifetime_days: 7,
            import: Vec::new(),
        }
    }
}

impl Settings {
    /// Loads and checks the configuration.
    ///
    /// # Errors
    /// [`Kind::Config`] naming the key.
    pub fn load(root: &Root) -> Result<Self, Error> {
        let settings: Self = guifi_core::load(root, "discoveryd")?;
        let wrong = |what: &str| Err(Error::new(Kind::Config, format!("discoveryd.toml: {what}")));
        if !(10..=86_400).contains(&settings.check_seconds) {
            return wrong("check_seconds must be between 10 and 86400");
        }
        if !(1..=60).contains(&settings.check_timeout_seconds) {
            return wrong("check_timeout_seconds must be between 1 and 60");
        }
        if !(1..=30).contains(&settings.lifetime_days) {
            return wrong("lifetime_days must be between 1 and 30");
        }
        if settings.import.len() > MAX_IMPORTS {
            return wrong(&format!("import has over {MAX_IMPORTS} types"));
        }
        for kind in &settings.import {
            check_type(kind)
                .map_err(|e| Error::new(Kind::Config, format!("discoveryd.toml: import: {e}")))?;
        }
        Ok(settings)
    }

    /// Seconds that a record lives unless renewed.
    #[must_use]
    pub fn lifetime_seconds(&self) -> u32 {
        self.lifetime_days * 86_400
    }
}
