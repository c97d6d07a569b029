//! Master files (RFC 1035 section 5, `$TTL` of RFC 2308 section 4, `\#` of RFC 3597): read into
//! records. Escapes are decimal, as the RFC has them; hickory's own reader takes them as octal
//! and refuses instance names, so it only reads the data of rare types.

use std::fs;
use std::path::{Path, PathBuf};

use super::lex::{Entry, Lexer, Token};
use super::rdata::{self, Origin};
use super::rrset::{Record, Soa};
use crate::encode::rtype;
use crate::name::Name;

/// Octets of a master file at most.
const MAX_FILE: u64 = 256 << 20;
/// Files that include one another.
const MAX_DEPTH: usize = 8;
/// RFC 2181 section 8.
pub const MAX_TTL: u32 = 0x7fff_ffff;

/// What is wrong, and where.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    /// The file, if it is not the one asked for.
    pub file: Option<PathBuf>,
    /// Number of the line, from 1.
    pub line: usize,
    /// What is wrong.
    pub text: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}: ", file.display())?;
        }
        write!(f, "line {}: {}", self.line, self.text)
    }
}

/// Reads the text of a master file whose names are relative to `origin`. Files that it includes
/// are beside `path`; without a path it may include none.
///
/// # Errors
/// The first fault.
pub fn read(text: &str, path: Option<&Path>, origin: &Name) -> Result<Vec<Record>, Fault> {
    let mut reader = Reader {
        origin: origin.clone(),
        owner: None,
        default_ttl: None,
        last_ttl: None,
        records: Vec::new(),
    };
    reader.file(text, path, 0)?;
    Ok(reader.records)
}

struct Reader {
    origin: Name,
    owner: Option<Name>,
    default_ttl: Option<u32>,
    last_ttl: Option<u32>,
    records: Vec<Record>,
}

impl Reader {
    fn file(&mut self, text: &str, path: Option<&Path>, depth: usize) -> Result<(), Fault> {
        let mut lexer = Lexer::new(text);
        loop {
            let line = lexer.line();
            let fault = |text| Fault {
                file: None,
                line,
                text,
            };
            let Some(entry) = lexer.entry().map_err(|(line, text)| Fault {
                file: None,
                line,
                text,
            })?
            else {
                return Ok(());
            };
            let words: Vec<&str> = entry.tokens.iter().map(Token::as_str).collect();
            match &words[..] {
                ["$INCLUDE", file, rest @ ..] if entry.owner => {
                    self.include(file, rest, path, depth)
                        .map_err(|inner| match inner {
                            Ok(inner) => inner,
                            Err(text) => fault(text),
                        })?;
                }
                _ => self.entry(&entry, &words).map_err(fault)?,
            }
        }
    }

    /// Reads a file in between. The origin and the owner afterwards are those of before.
    fn include(
        &mut self,
        file: &str,
        rest: &[&str],
        path: Option<&Path>,
        depth: usize,
    ) -> Result<(), Result<Fault, String>> {
        let Some(directory) = path.and_then(Path::parent) else {
            return Err(Err("a file cannot be included here".into()));
        };
        if depth >= MAX_DEPTH {
            return Err(Err(format!("over {MAX_DEPTH} files include one another")));
        }
        let path = directory.join(file);
        let text = load(&path).map_err(Err)?;
        let before = (self.origin.clone(), self.owner.clone());
        if let [origin, ..] = rest {
            self.origin = self.name(origin).map_err(Err)?;
        }
        let read = self.file(&text, Some(&path), depth + 1);
        (self.origin, self.owner) = before;
        read.map_err(|fault| {
            Ok(Fault {
                file: Some(fault.file.unwrap_or(path)),
                ..fault
            })
        })
    }

    fn entry(&mut self, entry: &Entry<'_>, words: &[&str]) -> Result<(), String> {
        match words {
            ["$ORIGIN", name] if entry.owner => {
                self.origin = self.name(name)?;
                return Ok(());
            }
            ["$TTL", ttl] if entry.owner => {
                let ttl = time(ttl).ok_or_else(|| format!("'{ttl}' is no time to live"))?;
                self.default_ttl = Some(ttl);
                return Ok(());
            }
            [word, ..] if entry.owner && word.starts_with('$') => {
                return Err(format!(
                    "'{word}' is not known, or has the wrong number of words"
                ));
            }
            _ => {}
        }
        let mut rest = 0;
        if entry.owner {
            self.owner = Some(self.name(words[0])?);
            rest = 1;
        }
        let owner = self.owner.clone().ok_or("the first record has no owner")?;
        // Time to live and class, in either order.
        let mut ttl = None;
        while let Some(word) = words.get(rest) {
            if word.eq_ignore_ascii_case("IN") {
            } else if matches!(word.to_ascii_uppercase().as_str(), "CH" | "HS" | "CS") {
                return Err(format!("class {word} is not served"));
            } else if ttl.is_none() && word.starts_with(|c: char| c.is_ascii_digit()) {
                ttl = Some(time(word).ok_or_else(|| format!("'{word}' is no time to live"))?);
            } else {
                break;
            }
            rest += 1;
        }
        let word = words.get(rest).ok_or("the type is missing")?;
        let rtype = rdata::rtype(word).ok_or_else(|| format!("'{word}' is no type"))?;
        let origin = Origin(&self.origin);
        let data = rdata::read(
            rtype,
            entry.tokens.get(rest + 1..).unwrap_or_default(),
            origin,
        )?;
        let minimum = (rtype == rtype::SOA)
            .then(|| Soa::read(&data).map(|soa| soa.minimum))
            .flatten();
        if ttl.is_some() {
            self.last_ttl = ttl;
        }
        let ttl = ttl.or(self.default_ttl).or(self.last_ttl).or(minimum);
        let ttl = ttl.ok_or("there is no time to live, and no $TTL above")?;
        self.last_ttl.get_or_insert(ttl);
        self.records.push(Record {
            owner,
            rtype,
            ttl: ttl.min(MAX_TTL),
            data,
        });
        Ok(())
    }

    fn name(&self, text: &str) -> Result<Name, String> {
        Origin(&self.origin).name(text)
    }
}

/// The text of a master file.
///
/// # Errors
/// Why it cannot be read.
pub fn load(path: &Path) -> Result<String, String> {
    let failed = |e: std::io::Error| format!("cannot read {}: {e}", path.display());
    let size = fs::metadata(path).map_err(failed)?.len();
    if size > MAX_FILE {
        return Err(format!(
            "{} has over {} MiB",
            path.display(),
            MAX_FILE >> 20
        ));
    }
    fs::read_to_string(path).map_err(failed)
}

/// Seconds, or a time with units such as `1h30m`.
pub fn time(text: &str) -> Option<u32> {
    let (mut sum, mut number) = (0u32, None::<u32>);
    for octet in text.bytes() {
        if octet.is_ascii_digit() {
            let digit = u32::from(octet - b'0');
            number = Some(number.unwrap_or(0).checked_mul(10)?.checked_add(digit)?);
            continue;
        }
        let unit = match octet.to_ascii_lowercase() {
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => 86_400,
            b'w' => 604_800,
            _ => return None,
        };
        sum = sum.checked_add(number.take()?.checked_mul(unit)?)?;
    }
    let end = match number {
        Some(number) => number,
        None if sum > 0 || text.len() > 1 => 0,
        None => return None,
    };
    sum.checked_add(end)
}
