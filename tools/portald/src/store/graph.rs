//! Which graph server draws a thing, as the portal computes it: a device's own; else, if its
//! node has an access point, the node's; else that of the device at the far end of its link as a
//! client; else the node's. A node falls back to its zone, a zone to the one around it.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::tree::Tree;

/// Clients of clients of clients.
const MAX_HOPS: u8 = 4;

/// The server of a node; `None` for nobody as for unknown.
pub(super) fn of_node(
    connection: &Connection,
    tree: &Tree,
    node: i64,
) -> rusqlite::Result<Option<i64>> {
    Ok(node_value(connection, tree, node)?.filter(|server| *server > 0))
}

/// The server of a device.
pub(super) fn of_device(
    connection: &Connection,
    tree: &Tree,
    device: i64,
) -> rusqlite::Result<Option<i64>> {
    Ok(device_value(connection, tree, device, MAX_HOPS)?.filter(|server| *server > 0))
}

fn node_value(connection: &Connection, tree: &Tree, node: i64) -> rusqlite::Result<Option<i64>> {
    let mut statement =
        connection.prepare_cached("SELECT graph_server, zone FROM live_node WHERE id = ?")?;
    let found: Option<(Option<i64>, i64)> = statement
        .query_row([node], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(found.and_then(|(own, zone)| own.or_else(|| tree.graph_server(zone))))
}

fn device_value(
    connection: &Connection,
    tree: &Tree,
    device: i64,
    hops: u8,
) -> rusqlite::Result<Option<i64>> {
    let mut statement = connection.prepare_cached(
        "SELECT d.graph_server, d.node, d.gen,
         EXISTS (SELECT 1 FROM device o JOIN radio r ON r.device = o.id AND r.gen = o.gen
                 WHERE o.node = d.node AND o.gen = d.gen AND r.mode = 'ap')
         FROM device d JOIN live_node n ON n.id = d.node AND n.gen = d.gen WHERE d.id = ?",
    )?;
    let found: Option<(Option<i64>, i64, i64, bool)> = statement
        .query_row([device], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .optional()?;
    let Some((own, node, generation, has_ap)) = found else {
        return Ok(None);
    };
    if own.is_some() {
        return Ok(own);
    }
    if !has_ap && hops > 0 {
        let mut statement = connection.prepare_cached(
            "SELECT far_device FROM link WHERE device = ?1 AND gen = ?2 AND kind = 'ap/client'
             AND interface IN (SELECT id FROM interface WHERE device = ?1 AND gen = ?2)
             ORDER BY id LIMIT 1",
        )?;
        let far: Option<i64> = statement
            .query_row(params![device, generation], |row| row.get(0))
            .optional()?;
        if let Some(far) = far {
            let value = device_value(connection, tree, far, hops - 1)?;
            if value.is_some() {
                return Ok(value);
            }
        }
    }
    node_value(connection, tree, node)
}
