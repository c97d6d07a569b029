//! Taking a file in: all of it, or nothing.

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use serde_json::{Value, json};

use super::{Store, TABLES, number, put};
use crate::cnml::read::Stop;
use crate::cnml::{self, Class};
use crate::fault::{Fault, Faults, quote};
use crate::input::Input;
use crate::kind::{Kind, recognise};
use crate::{addresses, domains, lines};

/// What came with a file.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Meta {
    /// For the next conditional request.
    pub etag: Option<String>,
    /// The same.
    pub modified: Option<String>,
    /// The refresh token that announced it; kept only once the data are in.
    pub token: Option<String>,
}

/// What was taken in.
#[derive(Clone, Debug)]
pub struct Taken {
    /// What it was taken for.
    pub kind: Kind,
    /// Zone or service; 0 for addresses.
    pub id: u64,
    /// What it held.
    pub held: Value,
    /// What was left out.
    pub faults: Faults,
}

/// Why a file was not taken in. What was there before still is.
#[derive(Debug)]
pub enum Refusal {
    /// It is not sound.
    Fault(Fault),
    /// It is sound, but empty where there was something.
    Empty(Kind, u64),
    /// It could not be read.
    Input(std::io::Error),
    /// It could not be written.
    Database(rusqlite::Error),
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fault(fault) => fault.fmt(f),
            Self::Empty(kind, id) => write!(
                f,
                "it is empty and what is kept is not (hint: if that is right: guifi-portal fetch --confirm {}/{id})",
                kind.word()
            ),
            Self::Input(e) => e.fmt(f),
            Self::Database(e) => write!(f, "cannot keep it: {e}"),
        }
    }
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl From<Stop<Self>> for Refusal {
    fn from(stop: Stop<Self>) -> Self {
        match stop {
            Stop::Fault(_, fault) => Self::Fault(fault),
            Stop::Taker(refusal) => refusal,
        }
    }
}

/// What was found in a file before it counts.
struct Found {
    id: u64,
    entries: u64,
    generated: String,
    held: Value,
    faults: Faults,
}

impl Store {
    /// Takes a file in, as what was asked for or as what it turns out to be. `confirmed` says
    /// whether one of a kind and number may be empty.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn take(
        &mut self,
        input: &Input,
        asked: Option<(Kind, u64)>,
        meta: &Meta,
        confirmed: impl Fn(Kind, u64) -> bool,
        now: Timestamp,
    ) -> Result<Taken, Refusal> {
        let kind = match asked {
            Some((kind, _)) => kind,
            None => recognise(input.reader().map_err(Refusal::Input)?).map_err(Refusal::Fault)?,
        };
        let asked = asked.map(|(_, id)| id);
        let behavior = TransactionBehavior::Immediate;
        let change = self.connection.transaction_with_behavior(behavior)?;
        let generation: i64 =
            change.query_row("SELECT coalesce(max(gen), 0) + 1 FROM source", [], |row| {
                row.get(0)
            })?;
        let found = match kind {
            Kind::Cnml => network(&change, generation, input, asked)?,
            Kind::Domains => names(&change, generation, input, asked)?,
            Kind::Proxies => proxies(&change, generation, input, asked)?,
            Kind::Federation => federation(&change, generation, input, asked)?,
            Kind::Addresses => numbers(&change, generation, input)?,
        };
        let old = held(&change, kind, found.id)?;
        let filled = old.is_some_and(|(_, entries)| entries > 0);
        if found.entries == 0 && filled && !confirmed(kind, found.id) {
            return Err(Refusal::Empty(kind, found.id));
        }
        if let Some((old, _)) = old {
            for table in TABLES {
                change.execute(&format!("DELETE FROM {table} WHERE gen = ?"), [old])?;
            }
        }
        change.execute(
            "INSERT OR REPLACE INTO source VALUES (?,?,?,?,?,?,?,?,?,?,?)",
            params![
                kind.word(),
                number(found.id),
                generation,
                now.as_microsecond(),
                now.as_microsecond(),
                found.generated,
                meta.etag,
                meta.modified,
                meta.token,
                number(found.entries),
                number(found.faults.count)
            ],
        )?;
        change.commit()?;
        // The log of a large change is large; a reader may keep it for a while.
        let _ = self
            .connection
            .execute_batch("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA shrink_memory;");
        Ok(Taken {
            kind,
            id: found.id,
            held: found.held,
            faults: found.faults,
        })
    }
}

fn held(connection: &Connection, kind: Kind, id: u64) -> rusqlite::Result<Option<(i64, i64)>> {
    let mut statement =
        connection.prepare_cached("SELECT gen, entries FROM source WHERE kind = ? AND id = ?")?;
    let mut rows = statement.query(params![kind.word(), number(id)])?;
    rows.next()?
        .map(|row| Ok((row.get(0)?, row.get(1)?)))
        .transpose()
}

fn refuse<T>(text: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Fault(Fault::fatal(None, text)))
}

fn network(
    change: &Transaction<'_>,
    generation: i64,
    input: &Input,
    asked: Option<u64>,
) -> Result<Found, Refusal> {
    let reader = input.reader().map_err(Refusal::Input)?;
    let mut twice = 0;
    let report = cnml::read(reader, |item| {
        let new = put::item(change, generation, item)?;
        twice += u64::from(!new);
        Ok::<_, Refusal>(())
    })?;
    if report.head.class != Class::Detail {
        return refuse(format!(
            "it describes {} in place of all details",
            quote(report.head.class.word())
        ));
    }
    let id = match (asked, report.roots.as_slice()) {
        // The portal's answer for a zone without anything.
        (Some(id), []) => id,
        (Some(id), roots) if roots.contains(&id) => id,
        (Some(id), roots) => return refuse(format!("it is of zone {} in place of {id}", roots[0])),
        (None, [id]) => *id,
        (None, []) => return refuse("there is no zone in it"),
        (None, _) => return refuse("there are several zones at its top"),
    };
    let mut faults = report.faults;
    if twice > 0 {
        faults.add(
            None,
            format!("{twice} things are there twice, with one number"),
        );
    }
    Ok(Found {
        id,
        entries: report.counts.nodes,
        generated: report.head.generated,
        held: report.counts.document(),
        faults,
    })
}

fn names(
    change: &Transaction<'_>,
    generation: i64,
    input: &Input,
    asked: Option<u64>,
) -> Result<Found, Refusal> {
    let reader = input.reader().map_err(Refusal::Input)?;
    let read = domains::read(reader).map_err(Refusal::Fault)?;
    let id = match (asked, read.service) {
        (Some(asked), Some(found)) if asked != found => {
            return refuse(format!("it is of service {found} in place of {asked}"));
        }
        (Some(id), _) | (None, Some(id)) => id,
        (None, None) => return refuse("it does not say of which service it is"),
    };
    let sides = [&read.domains.internal, &read.domains.external];
    let count =
        |of: fn(&domains::View) -> usize| sides.iter().map(|side| of(side) as u64).sum::<u64>();
    let (masters, slaves) = (count(|v| v.masters.len()), count(|v| v.slaves.len()));
    let forwards = count(|v| v.forwards.len());
    let document = json!({
        "generated": read.generated,
        "faults": read.faults.list.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "internal": read.domains.internal,
        "external": read.domains.external,
    });
    change.execute(
        "INSERT INTO domains VALUES (?, ?)",
        params![generation, document.to_string()],
    )?;
    Ok(Found {
        id,
        entries: masters + slaves + forwards,
        generated: read.generated,
        held: json!({"masters": masters, "slaves": slaves, "forwards": forwards}),
        faults: read.faults,
    })
}

fn proxies(
    change: &Transaction<'_>,
    generation: i64,
    input: &Input,
    asked: Option<u64>,
) -> Result<Found, Refusal> {
    let reader = input.reader().map_err(Refusal::Input)?;
    let (found, faults) = lines::proxies(reader).map_err(Refusal::Fault)?;
    let mut statement = change.prepare_cached("INSERT INTO proxy VALUES (?, ?, ?, ?, ?)")?;
    for (position, proxy) in (0i64..).zip(&found) {
        statement.execute(params![
            generation, position, proxy.nick, proxy.host, proxy.port
        ])?;
    }
    Ok(Found {
        // A list from elsewhere does not say of which zone it is.
        id: asked.unwrap_or(0),
        entries: found.len() as u64,
        generated: String::new(),
        held: json!({"proxies": found.len()}),
        faults,
    })
}

fn federation(
    change: &Transaction<'_>,
    generation: i64,
    input: &Input,
    asked: Option<u64>,
) -> Result<Found, Refusal> {
    let reader = input.reader().map_err(Refusal::Input)?;
    let (found, faults) = lines::federation(reader).map_err(Refusal::Fault)?;
    let own = found.first().map_or(0, |first| first.proxy);
    if let Some(asked) = asked.filter(|asked| *asked != own) {
        return refuse(format!("it is of proxy {own} in place of {asked}"));
    }
    let mut statement = change.prepare_cached("INSERT INTO member VALUES (?, ?, ?, ?)")?;
    for (position, member) in (0i64..).zip(&found) {
        statement.execute(params![
            generation,
            position,
            number(member.proxy),
            member.mode
        ])?;
    }
    Ok(Found {
        id: own,
        entries: found.len() as u64,
        generated: String::new(),
        held: json!({"proxies": found.len()}),
        faults,
    })
}

fn numbers(change: &Transaction<'_>, generation: i64, input: &Input) -> Result<Found, Refusal> {
    let reader = input.reader().map_err(Refusal::Input)?;
    let mut statement =
        change.prepare_cached("INSERT OR IGNORE INTO address VALUES (?, ?, ?, ?)")?;
    let mut count = 0;
    let faults = addresses::read(reader, |entry| {
        let values = params![
            generation,
            put::quad(Some(entry.address)),
            number(entry.device),
            entry.nick
        ];
        count += statement.execute(values)? as u64;
        Ok::<_, Refusal>(())
    })?;
    Ok(Found {
        id: 0,
        entries: count,
        generated: String::new(),
        held: json!({"addresses": count}),
        faults,
    })
}
