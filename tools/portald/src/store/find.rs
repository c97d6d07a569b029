//! One thing that is asked for: a node with all that is in it, or where an address is.

use std::net::Ipv4Addr;

use jiff::Timestamp;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde_json::{Map, Value, json};

use super::graph;
use super::tree::Tree;

/// A row as an object, each column by its name. Columns called `…address` and `mask` are
/// numbers of the database and dotted quads for people, `clients_accepted` is a truth.
pub(super) fn object(row: &Row<'_>) -> rusqlite::Result<Map<String, Value>> {
    let names: Vec<String> = row.as_ref().column_names().map(str::to_owned).collect();
    let mut made = Map::new();
    for (at, name) in names.into_iter().enumerate() {
        let value = match (row.get_ref(at)?, name.as_str()) {
            (ValueRef::Integer(n), "address" | "mask") => {
                json!(Ipv4Addr::from(u32::try_from(n).unwrap_or_default()).to_string())
            }
            (ValueRef::Integer(n), "clients_accepted") => json!(n != 0),
            (ValueRef::Integer(n), _) => json!(n),
            (ValueRef::Real(n), _) => json!(n),
            (ValueRef::Text(text), _) => json!(String::from_utf8_lossy(text)),
            (ValueRef::Null | ValueRef::Blob(_), _) => Value::Null,
        };
        made.insert(name, value);
    }
    Ok(made)
}

fn objects(
    connection: &Connection,
    sql: &str,
    values: &[&dyn rusqlite::ToSql],
) -> rusqlite::Result<Vec<Map<String, Value>>> {
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_map(values, object)?.collect()
}

fn id_of(object: &Map<String, Value>) -> i64 {
    object.get("id").and_then(Value::as_i64).unwrap_or_default()
}

fn node_of_address(
    connection: &Connection,
    address: Ipv4Addr,
) -> rusqlite::Result<Option<(i64, i64)>> {
    // One that works before one that is planned; an interface before a mere main address.
    let mut statement = connection.prepare_cached(
        "SELECT node, device FROM (
           SELECT d.node AS node, d.id AS device, d.status AS status, d.gen AS gen, 0 AS rank
             FROM interface i JOIN device d ON d.id = i.device AND d.gen = i.gen
             WHERE i.address = ?1
           UNION ALL
           SELECT node, id, status, gen, 1 FROM device WHERE address = ?1)
         WHERE EXISTS (SELECT 1 FROM live_node n WHERE n.id = node AND n.gen = gen)
         ORDER BY status = 'Working' DESC, rank, device LIMIT 1",
    )?;
    statement
        .query_row([i64::from(u32::from(address))], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()
}

/// The zone of an address: the answer of `ZoneOf`.
///
/// # Errors
/// Those of the database.
pub fn zone_of(connection: &Connection, address: Ipv4Addr) -> rusqlite::Result<Option<Value>> {
    let Some((node, device)) = node_of_address(connection, address)? else {
        return Ok(None);
    };
    let zone: i64 = connection
        .prepare_cached("SELECT zone FROM live_node WHERE id = ?")?
        .query_row([node], |row| row.get(0))?;
    let tree = Tree::load(connection)?;
    Ok(Some(json!({
        "id": zone,
        "title": tree.title(zone),
        "path": tree.path(zone),
        "node": node,
        "device": device,
    })))
}

/// A node by number, address or name: the answer of `Node`.
///
/// # Errors
/// Those of the database.
pub fn node(connection: &Connection, which: &str) -> rusqlite::Result<Option<Value>> {
    let which = which.trim();
    let mut found = None;
    if let Ok(id) = which.parse::<i64>() {
        found = connection
            .prepare_cached("SELECT id FROM live_node WHERE id = ?")?
            .query_row([id], |row| row.get(0))
            .optional()?;
    } else if let Ok(address) = which.parse() {
        found = node_of_address(connection, address)?.map(|(node, _)| node);
    }
    if found.is_none() {
        found = connection
            .prepare_cached(
                "SELECT id FROM live_node WHERE title = ? COLLATE NOCASE ORDER BY id LIMIT 1",
            )?
            .query_row([which], |row| row.get(0))
            .optional()?;
    }
    found.map(|id| document(connection, id)).transpose()
}

fn document(connection: &Connection, id: i64) -> rusqlite::Result<Value> {
    let tree = Tree::load(connection)?;
    let (generation, zone): (i64, i64) = connection
        .prepare_cached("SELECT gen, zone FROM live_node WHERE id = ?")?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut node = connection
        .prepare_cached(
            "SELECT id, title, status, latitude, longitude, elevation AS elevation_metres, created,
             updated FROM node WHERE id = ? AND gen = ?",
        )?
        .query_row([id, generation], object)?;
    node.insert(
        "zone".into(),
        json!({"id": zone, "title": tree.title(zone), "path": tree.path(zone)}),
    );
    let server = graph::of_node(connection, &tree, id)?;
    node.insert("graph_server".into(), json!(server));
    let checked: i64 = connection
        .prepare_cached("SELECT checked FROM source WHERE gen = ?")?
        .query_row([generation], |row| row.get(0))?;
    let checked = Timestamp::from_microsecond(checked)
        .ok()
        .map(|time| time.to_string());
    node.insert("checked".into(), json!(checked));
    let mut devices = objects(
        connection,
        "SELECT id, title, kind AS type, status, address, firmware, model, snmp_index, created,
         updated FROM device WHERE node = ? AND gen = ? ORDER BY id",
        params![id, generation],
    )?;
    for device in &mut devices {
        fill(connection, &tree, generation, device)?;
    }
    node.insert("devices".into(), json!(devices));
    Ok(Value::Object(node))
}

fn fill(
    connection: &Connection,
    tree: &Tree,
    generation: i64,
    device: &mut Map<String, Value>,
) -> rusqlite::Result<()> {
    let id = id_of(device);
    let server = graph::of_device(connection, tree, id)?;
    device.insert("graph_server".into(), json!(server));
    let radios = objects(
        connection,
        "SELECT id, ssid, mode, protocol, channel, antenna_angle, antenna_gain, antenna_azimuth,
         clients_accepted, snmp_name, snmp_index FROM radio WHERE device = ? AND gen = ? ORDER BY id",
        params![id, generation],
    )?;
    device.insert("radios".into(), json!(radios));
    let mut interfaces = objects(
        connection,
        "SELECT id, kind AS type, radio, mac, address, mask FROM interface
         WHERE device = ? AND gen = ? ORDER BY id",
        params![id, generation],
    )?;
    for interface in &mut interfaces {
        let links = links(connection, id_of(interface), id, generation)?;
        interface.insert("links".into(), json!(links));
    }
    device.insert("interfaces".into(), json!(interfaces));
    let services = objects(
        connection,
        "SELECT id, title, kind AS type, status, created, updated FROM service
         WHERE device = ? AND gen = ? ORDER BY id",
        params![id, generation],
    )?;
    device.insert("services".into(), json!(services));
    Ok(())
}

/// Links of an interface, also those that only the other end knows of: what is at the far end.
fn links(
    connection: &Connection,
    interface: i64,
    device: i64,
    generation: i64,
) -> rusqlite::Result<Vec<Map<String, Value>>> {
    objects(
        connection,
        "SELECT l.id AS id, l.kind AS type, l.status AS status, l.far_node AS node,
           l.far_device AS device, l.far_interface AS interface,
           (SELECT title FROM live_node WHERE id = l.far_node) AS title
         FROM link l WHERE l.interface = ?1 AND l.gen = ?3
         UNION
         SELECT l.id, l.kind, l.status, l.node, l.device, l.interface,
           (SELECT title FROM live_node WHERE id = l.node)
         FROM link l JOIN live_node n ON n.id = l.node AND n.gen = l.gen
         WHERE l.far_interface = ?1 AND l.far_device = ?2
           AND NOT EXISTS (SELECT 1 FROM link o WHERE o.id = l.id AND o.interface = ?1 AND o.gen = ?3)
         ORDER BY 1, 6",
        params![interface, device, generation],
    )
}
