//! Lists that are asked for: JSON objects, one a line.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::{Value, json};

use super::find::object;
use super::number;
use super::tree::Tree;

/// An answer of lines; `None` if there is no such zone or service.
pub type Lines = rusqlite::Result<Option<Vec<u8>>>;

fn add(lines: &mut Vec<u8>, line: &Value) {
    lines.extend_from_slice(line.to_string().as_bytes());
    lines.push(b'\n');
}

/// The zones that count for a question; `None` is all.
fn wanted(connection: &Connection, zone: u64) -> rusqlite::Result<Option<Option<HashSet<i64>>>> {
    if zone == 0 {
        return Ok(Some(None));
    }
    let mut below = Tree::load(connection)?.below(number(zone));
    if below.is_empty() {
        // Proxies may be known of a zone that is not described.
        let mut statement =
            connection.prepare_cached("SELECT 1 FROM source WHERE kind = 'proxies' AND id = ?")?;
        if !statement.exists([number(zone)])? {
            return Ok(None);
        }
        below.insert(number(zone));
    }
    Ok(Some(Some(below)))
}

fn is_in(zones: Option<&HashSet<i64>>, zone: i64) -> bool {
    zones.is_none_or(|zones| zones.contains(&zone))
}

/// All zones, parents first.
///
/// # Errors
/// Those of the database.
pub fn zones(connection: &Connection) -> Lines {
    let mut tree = Tree::load(connection)?;
    tree.count(connection)?;
    let mut lines = Vec::new();
    tree.lines().for_each(|line| add(&mut lines, &line));
    Ok(Some(lines))
}

/// Services of a kind, in any case of letters, or of all; by their numbers.
///
/// # Errors
/// Those of the database.
pub fn services(connection: &Connection, kind: &str, zone: u64) -> Lines {
    let Some(zones) = wanted(connection, zone)? else {
        return Ok(None);
    };
    let mut statement = connection.prepare_cached(
        "SELECT s.id AS id, s.title AS title, s.kind AS type, s.status AS status, n.zone AS zone,
           n.id AS node, d.id AS device, d.address AS address, s.created AS created,
           s.updated AS updated
         FROM service s JOIN device d ON d.id = s.device AND d.gen = s.gen
         JOIN live_node n ON n.id = d.node AND n.gen = d.gen
         WHERE ?1 = '' OR s.kind = ?1 COLLATE NOCASE ORDER BY s.id",
    )?;
    let (mut rows, mut lines) = (statement.query([kind])?, Vec::new());
    while let Some(row) = rows.next()? {
        if is_in(zones.as_ref(), row.get("zone")?) {
            add(&mut lines, &Value::Object(object(row)?));
        }
    }
    Ok(Some(lines))
}

/// A link while its ends are gathered.
#[derive(Default)]
struct Link {
    id: i64,
    kind: String,
    status: String,
    /// By device and interface: node, and whether this end itself has the link.
    ends: BTreeMap<(i64, i64), (i64, bool)>,
}

/// Links with an end in the zone, by their numbers, both ends in one line. An end that only the
/// other one tells of is not `listed`; one whose node is not known has no zone, and the link
/// dangles.
///
/// # Errors
/// Those of the database.
pub fn links(connection: &Connection, zone: u64) -> Lines {
    let Some(zones) = wanted(connection, zone)? else {
        return Ok(None);
    };
    let mut statement = connection.prepare_cached(
        "SELECT l.id, l.kind, l.status, l.node, l.device, l.interface, l.far_node, l.far_device,
           l.far_interface
         FROM link l JOIN live_node n ON n.id = l.node AND n.gen = l.gen ORDER BY l.id, l.interface",
    )?;
    let mut rows = statement.query([])?;
    let (mut link, mut lines) = (Link::default(), Vec::new());
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        if id != link.id {
            finish(
                connection,
                std::mem::take(&mut link),
                zones.as_ref(),
                &mut lines,
            )?;
            link.id = id;
            link.kind = row.get(1)?;
            link.status = row.get(2)?;
        }
        let near = (row.get(4)?, row.get(5)?);
        link.ends.insert(near, (row.get(3)?, true));
        let far = (row.get(7)?, row.get(8)?);
        if far != (0, 0) {
            link.ends.entry(far).or_insert((row.get(6)?, false));
        }
    }
    finish(connection, link, zones.as_ref(), &mut lines)?;
    Ok(Some(lines))
}

fn finish(
    connection: &Connection,
    link: Link,
    zones: Option<&HashSet<i64>>,
    lines: &mut Vec<u8>,
) -> rusqlite::Result<()> {
    if link.ends.is_empty() {
        return Ok(());
    }
    let mut statement = connection.prepare_cached("SELECT zone FROM live_node WHERE id = ?")?;
    let (mut ends, mut within, mut dangling) = (Vec::new(), false, link.ends.len() < 2);
    for ((device, interface), (node, listed)) in link.ends {
        let zone: Option<i64> = statement.query_row([node], |row| row.get(0)).optional()?;
        within |= zone.is_some_and(|zone| is_in(zones, zone));
        dangling |= zone.is_none();
        ends.push(json!({"node": node, "device": device, "interface": interface, "zone": zone, "listed": listed}));
    }
    if within {
        let line = json!({"id": link.id, "type": link.kind, "status": link.status, "dangling": dangling, "ends": ends});
        add(lines, &line);
    }
    Ok(())
}

/// Proxies of all lists, each once. Its zone is that of the service with the same name; one
/// without such a service counts for the zone whose list it stands in.
///
/// # Errors
/// Those of the database.
pub fn proxies(connection: &Connection, zone: u64) -> Lines {
    let Some(zones) = wanted(connection, zone)? else {
        return Ok(None);
    };
    let mut places: HashMap<String, i64> = HashMap::new();
    let mut statement = connection.prepare_cached(
        "SELECT s.title, n.zone FROM service s JOIN device d ON d.id = s.device AND d.gen = s.gen
         JOIN live_node n ON n.id = d.node AND n.gen = d.gen
         WHERE s.kind = 'Proxy' COLLATE NOCASE ORDER BY s.id",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let nick: String = row.get(0)?;
        places.entry(nick.to_lowercase()).or_insert(row.get(1)?);
    }
    let mut statement = connection.prepare_cached(
        "SELECT s.id, p.nick, p.host, p.port FROM proxy p JOIN source s ON s.gen = p.gen
         ORDER BY s.id, p.position",
    )?;
    let (mut rows, mut lines, mut seen) = (statement.query([])?, Vec::new(), HashSet::new());
    while let Some(row) = rows.next()? {
        let proxy: (String, String, u16) = (row.get(1)?, row.get(2)?, row.get(3)?);
        let place = places.get(&proxy.0.to_lowercase()).copied();
        let counts_for = place.unwrap_or(row.get(0)?);
        if is_in(zones.as_ref(), counts_for) && seen.insert(proxy.clone()) {
            let (nick, host, port) = proxy;
            add(
                &mut lines,
                &json!({"nick": nick, "host": host, "port": port, "zone": place}),
            );
        }
    }
    Ok(Some(lines))
}

/// What the portal says of federation to the proxy of this number, itself first. It admits its
/// own users; one that is `in` also those of others that are `out`.
///
/// # Errors
/// Those of the database.
pub fn federation(connection: &Connection, service: u64) -> Lines {
    let Some((generation, _)) = source(connection, "federation", service)? else {
        return Ok(None);
    };
    let mut statement = connection
        .prepare_cached("SELECT proxy, mode FROM member WHERE gen = ? ORDER BY position")?;
    let (mut rows, mut lines) = (statement.query([generation])?, Vec::new());
    let (mut own, is_in) = (true, |mode: &str| ["in", "inout"].contains(&mode));
    let mut open = false;
    while let Some(row) = rows.next()? {
        let mode: String = row.get(1)?;
        open = if own { is_in(&mode) } else { open };
        let admitted = own || (open && ["out", "inout"].contains(&mode.as_str()));
        own = false;
        let proxy: i64 = row.get(0)?;
        add(
            &mut lines,
            &json!({"proxy": proxy, "mode": mode, "admitted": admitted}),
        );
    }
    Ok(Some(lines))
}

/// The domains of a DNS service, as one object.
///
/// # Errors
/// Those of the database.
pub fn domains(connection: &Connection, service: u64) -> Lines {
    let Some((generation, fetched)) = source(connection, "domains", service)? else {
        return Ok(None);
    };
    let text: String = connection
        .prepare_cached("SELECT document FROM domains WHERE gen = ?")?
        .query_row([generation], |row| row.get(0))?;
    let mut document: Value = serde_json::from_str(&text).unwrap_or_default();
    document["service"] = json!(service);
    document["fetched"] = json!(
        Timestamp::from_microsecond(fetched)
            .ok()
            .map(|t| t.to_string())
    );
    let mut lines = Vec::new();
    add(&mut lines, &document);
    Ok(Some(lines))
}

/// All addresses, in their order.
///
/// # Errors
/// Those of the database.
pub fn addresses(connection: &Connection) -> Lines {
    let mut statement = connection
        .prepare_cached("SELECT address, device, nick FROM address ORDER BY address, device")?;
    let (mut rows, mut lines) = (statement.query([])?, Vec::new());
    while let Some(row) = rows.next()? {
        add(&mut lines, &Value::Object(object(row)?));
    }
    Ok(Some(lines))
}

fn source(connection: &Connection, kind: &str, id: u64) -> rusqlite::Result<Option<(i64, i64)>> {
    connection
        .prepare_cached("SELECT gen, fetched FROM source WHERE kind = ? AND id = ?")?
        .query_row(params![kind, number(id)], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()
}
