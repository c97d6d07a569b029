//! What a service is, and what may be published: RFC 6763 and RFC 6335.

use std::net::IpAddr;

use guifi_core::Error;
use serde::{Deserialize, Serialize};

/// Octets of an instance name (RFC 6763 section 4.1.1).
const MAX_NAME: usize = 63;
/// Octets of one TXT string (RFC 6763 section 6.1).
pub(crate) const MAX_STRING: usize = 255;
/// Octets of all TXT strings with their lengths (RFC 6763 section 6.2).
pub(crate) const MAX_TXT: usize = 1300;
/// Characters of a service name (RFC 6335 section 5.1).
const MAX_TYPE: usize = 15;

/// The TXT key by which a service of another link is known for what it is: whoever hears one
/// neither counts it as of this link nor publishes it. Its value is the key of the box.
pub const ORIGIN: &str = "guifi-origin";

/// Whether one of these TXT strings has that key.
#[must_use]
pub fn is_imported<T: AsRef<str>>(txt: impl IntoIterator<Item = T>) -> bool {
    let key_of = |pair: &str| pair.split('=').next().map(str::to_ascii_lowercase);
    txt.into_iter()
        .any(|pair| key_of(pair.as_ref()).as_deref() == Some(ORIGIN))
}

/// How it is found out whether a service answers.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum Check {
    /// By connecting.
    #[default]
    Tcp,
    /// By asking a web server for this path.
    Http(String),
    /// Not at all.
    None,
}

impl TryFrom<String> for Check {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "tcp" => Ok(Self::Tcp),
            "none" => Ok(Self::None),
            _ => match text.strip_prefix("http:") {
                Some(path)
                    if path.starts_with('/')
                        && path.len() <= 255
                        && path.bytes().all(|b| b.is_ascii_graphic()) =>
                {
                    Ok(Self::Http(path.to_owned()))
                }
                _ => Err(format!("'{text}' is not a check: tcp, http:/PATH or none")),
            },
        }
    }
}

impl From<Check> for String {
    fn from(check: Check) -> Self {
        match check {
            Check::Tcp => "tcp".to_owned(),
            Check::Http(path) => format!("http:{path}"),
            Check::None => "none".to_owned(),
        }
    }
}

/// Another machine on which a service runs.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// Its label below the name of the box that publishes it.
    pub name: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

/// A service that this box publishes.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Instance name, for people.
    pub name: String,
    /// Type, `_http._tcp`.
    pub r#type: String,
    /// Port.
    pub port: u16,
    /// TXT strings `key=value`.
    #[serde(default)]
    pub txt: Vec<String>,
    /// Seen by the whole community, not only on the link.
    #[serde(default)]
    pub global: bool,
    /// How it is found out whether it answers.
    #[serde(default)]
    pub check: Check,
    /// The machine it runs on, if that is not this box.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Host>,
    /// The name by which that machine announces it on the link, if it is followed there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard: Option<String>,
}

impl Service {
    /// What tells services of one box apart.
    #[must_use]
    pub fn key(&self) -> (String, String) {
        (
            self.r#type.to_ascii_lowercase(),
            self.name.to_ascii_lowercase(),
        )
    }

    /// Name of its record.
    #[must_use]
    pub fn record_name(&self) -> String {
        format!("{}/{}", self.r#type, self.name)
    }

    /// Checks that it may be published.
    ///
    /// # Errors
    /// [`guifi_core::Kind::Usage`] saying what is wrong and how to mend it.
    pub fn validate(&self) -> Result<(), Error> {
        check_name(&self.name)?;
        check_type(&self.r#type)?;
        if self.port == 0 {
            return Err(Error::usage("0 is not a port: 1 to 65535"));
        }
        check_txt(&self.txt)?;
        if self.r#type.ends_with("._udp") && self.check != Check::None {
            return Err(
                Error::usage(format!("{} cannot be checked over TCP", self.r#type))
                    .hint("--check none"),
            );
        }
        let Some(host) = &self.host else {
            return Ok(());
        };
        if !is_label(&host.name) {
            return Err(Error::usage(format!("'{}' is not a host label", host.name)));
        }
        if host.addresses.is_empty() {
            return Err(Error::usage(format!("{} has no address", host.name)));
        }
        match host
            .addresses
            .iter()
            .find(|a| self.global && !guifi_core::is_routed(a))
        {
            Some(address) => Err(Error::usage(format!(
                "{address} cannot be reached from other links: it is not published to the community"
            ))),
            None => Ok(()),
        }
    }
}

fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label.len() <= MAX_NAME
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn check_name(name: &str) -> Result<(), Error> {
    if name.is_empty() {
        return Err(Error::usage("the name of the service is empty"));
    }
    if name.len() > MAX_NAME {
        let shorter = &name[..name.floor_char_boundary(MAX_NAME)];
        return Err(Error::usage(format!(
            "the name has {} bytes, at most {MAX_NAME} are allowed",
            name.len()
        ))
        .hint(format!("shorten it, for example to '{shorter}'")));
    }
    if name.chars().any(char::is_control) {
        return Err(Error::usage("the name has control characters"));
    }
    Ok(())
}

/// Checks a service type.
///
/// # Errors
/// [`guifi_core::Kind::Usage`] saying what is wrong.
pub fn check_type(kind: &str) -> Result<(), Error> {
    let wrong = |why: &str| {
        Err(
            Error::usage(format!("'{kind}' is not a service type: {why}"))
                .hint("such as _http._tcp"),
        )
    };
    let Some((name, protocol)) = kind.split_once('.') else {
        return wrong("it has no protocol");
    };
    if !matches!(protocol, "_tcp" | "_udp") {
        return wrong("the protocol is _tcp or _udp");
    }
    let Some(name) = name.strip_prefix('_') else {
        return wrong("it begins with an underscore");
    };
    if name.is_empty() || name.len() > MAX_TYPE {
        return wrong("the name has 1 to 15 characters");
    }
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return wrong("the name is made of letters, digits and hyphens");
    }
    if !name.bytes().any(|b| b.is_ascii_alphabetic()) {
        return wrong("the name has at least one letter");
    }
    if name.starts_with('-') || name.ends_with('-') || name.contains("--") {
        return wrong("hyphens stand alone, between letters or digits");
    }
    Ok(())
}

fn check_txt(txt: &[String]) -> Result<(), Error> {
    if is_imported(txt) {
        return Err(Error::usage(format!(
            "{ORIGIN}=… marks what is shown here for another link: it is not published again"
        )));
    }
    for pair in txt {
        let key = pair.split('=').next().unwrap_or_default();
        if key.is_empty() || !key.bytes().all(|b| (0x20..0x7f).contains(&b)) {
            return Err(Error::usage(format!(
                "'{pair}' is not KEY=VALUE: the key is printable ASCII and not empty"
            )));
        }
        if pair.len() > MAX_STRING {
            return Err(Error::usage(format!(
                "{key}=… has {} bytes, at most {MAX_STRING} are allowed",
                pair.len()
            )));
        }
    }
    let total: usize = txt.iter().map(|t| t.len() + 1).sum();
    if total > MAX_TXT {
        return Err(Error::usage(format!(
            "all KEY=VALUE together have {total} bytes, at most {MAX_TXT} are allowed"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
