//! The tree of zones, as far as it is known. Extents and totals are those of the nodes: what
//! the portal says of them is often wrong.

use std::collections::{BTreeMap, HashSet};

use rusqlite::Connection;
use serde_json::{Value, json};

/// Name servers that a zone has, if those above it have enough.
const DNS_SERVERS: usize = 3;

/// Smallest and largest longitude and latitude.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Extent(Option<[f64; 4]>);

impl Extent {
    fn add(&mut self, other: Self) {
        self.0 = match (self.0, other.0) {
            (Some(a), Some(b)) => Some([
                a[0].min(b[0]),
                a[1].min(b[1]),
                a[2].max(b[2]),
                a[3].max(b[3]),
            ]),
            (a, b) => a.or(b),
        };
    }
}

#[derive(Debug, Default)]
struct Zone {
    parent: Option<i64>,
    title: String,
    time_zone: String,
    ntp_servers: String,
    dns_servers: String,
    graph_server: Option<i64>,
    created: Option<String>,
    updated: Option<String>,
    children: Vec<i64>,
    extent: Extent,
    /// Nodes, devices, services; of the zone and all below it.
    totals: [u64; 3],
}

/// All zones.
#[derive(Debug)]
pub(super) struct Tree {
    zones: BTreeMap<i64, Zone>,
    /// Parents before children, children by their titles.
    order: Vec<(i64, usize)>,
}

impl Tree {
    /// Reads the zones alone.
    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let mut zones = BTreeMap::new();
        let mut statement = connection.prepare_cached(
            "SELECT id, parent, title, time_zone, ntp_servers, dns_servers, graph_server, created,
             updated FROM live_zone",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let zone = Zone {
                parent: row.get(1)?,
                title: row.get(2)?,
                time_zone: row.get(3)?,
                ntp_servers: row.get(4)?,
                dns_servers: row.get(5)?,
                graph_server: row.get(6)?,
                created: row.get(7)?,
                updated: row.get(8)?,
                ..Zone::default()
            };
            zones.insert(row.get::<_, i64>(0)?, zone);
        }
        Ok(Self::build(zones))
    }

    fn build(mut zones: BTreeMap<i64, Zone>) -> Self {
        let mut tops = Vec::new();
        for id in zones.keys().copied().collect::<Vec<_>>() {
            match zones[&id]
                .parent
                .filter(|parent| zones.contains_key(parent))
            {
                Some(parent) => zones.entry(parent).or_default().children.push(id),
                None => tops.push(id),
            }
        }
        let name = |id: &i64| (zones[id].title.to_lowercase(), *id);
        let sorted: Vec<(i64, Vec<i64>)> = zones
            .iter()
            .map(|(id, zone)| {
                let mut children = zone.children.clone();
                children.sort_by_key(name);
                (*id, children)
            })
            .collect();
        tops.sort_by_key(name);
        for (id, children) in sorted {
            zones.entry(id).or_default().children = children;
        }
        let (mut order, mut seen) = (Vec::new(), HashSet::new());
        // What is not reached from a top is its own ancestor: each such circle is cut somewhere.
        let all: Vec<i64> = tops.iter().chain(zones.keys()).copied().collect();
        for top in all {
            let mut left = vec![(top, 0)];
            while let Some((id, depth)) = left.pop() {
                if seen.insert(id) {
                    order.push((id, depth));
                    left.extend(
                        zones[&id]
                            .children
                            .iter()
                            .rev()
                            .map(|child| (*child, depth + 1)),
                    );
                }
            }
        }
        Self { zones, order }
    }

    /// Counts what is in the zones, and how far they reach.
    pub(super) fn count(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let mut statement = connection.prepare_cached(
            "SELECT zone, count(*), min(longitude), min(latitude), max(longitude), max(latitude),
             sum((SELECT count(*) FROM device d WHERE d.node = n.id AND d.gen = n.gen)),
             sum((SELECT count(*) FROM device d JOIN service s ON s.device = d.id AND s.gen = d.gen
                  WHERE d.node = n.id AND d.gen = n.gen))
             FROM live_node n GROUP BY zone",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let Some(zone) = self.zones.get_mut(&row.get(0)?) else {
                continue;
            };
            for (total, column) in zone.totals.iter_mut().zip([1, 6, 7]) {
                *total = row.get::<_, i64>(column)?.unsigned_abs();
            }
            let side = |column| row.get::<_, Option<f64>>(column);
            if let (Some(a), Some(b), Some(c), Some(d)) = (side(2)?, side(3)?, side(4)?, side(5)?) {
                zone.extent = Extent(Some([a, b, c, d]));
            }
        }
        let position: BTreeMap<i64, usize> = self
            .order
            .iter()
            .enumerate()
            .map(|(n, (id, _))| (*id, n))
            .collect();
        for (at, (id, _)) in self.order.iter().enumerate().rev() {
            let zone = &self.zones[id];
            let (totals, extent, parent) = (zone.totals, zone.extent, zone.parent);
            // Not into what comes later: that would be a circle.
            let above = parent.filter(|parent| position.get(parent).is_some_and(|p| *p < at));
            if let Some(above) = above.and_then(|parent| self.zones.get_mut(&parent)) {
                above.extent.add(extent);
                for (sum, part) in above.totals.iter_mut().zip(totals) {
                    *sum += part;
                }
            }
        }
        Ok(())
    }

    /// Its title.
    pub(super) fn title(&self, id: i64) -> Option<&str> {
        self.zones.get(&id).map(|zone| zone.title.as_str())
    }

    /// Its zones from the top known down to itself.
    pub(super) fn path(&self, id: i64) -> Vec<i64> {
        let (mut path, mut at) = (Vec::new(), Some(id));
        while let Some(id) = at.filter(|id| self.zones.contains_key(id) && !path.contains(id)) {
            path.push(id);
            at = self.zones[&id].parent;
        }
        path.reverse();
        path
    }

    /// The graph server of a zone: its own, or that of the zone above.
    pub(super) fn graph_server(&self, id: i64) -> Option<i64> {
        let path = self.path(id);
        path.iter().rev().find_map(|id| self.zones[id].graph_server)
    }

    /// The name servers of a zone; fewer than three are completed from the zones above.
    fn dns_servers(&self, id: i64) -> Vec<&str> {
        let mut found: Vec<&str> = Vec::new();
        for zone in self.path(id).iter().rev().map(|id| &self.zones[id]) {
            let own = zone.dns_servers.split(',').filter(|word| !word.is_empty());
            if found.is_empty() {
                found.extend(own);
                continue;
            }
            for server in own {
                if found.len() < DNS_SERVERS && !found.contains(&server) {
                    found.push(server);
                }
            }
        }
        found
    }

    /// The zone and all below it; nothing if there is no such zone.
    pub(super) fn below(&self, id: i64) -> HashSet<i64> {
        let start = self.order.iter().position(|(zone, _)| *zone == id);
        let mut found = HashSet::new();
        if let Some(start) = start {
            let depth = self.order[start].1;
            found.insert(id);
            let rest = self.order[start + 1..].iter();
            found.extend(rest.take_while(|(_, d)| *d > depth).map(|(id, _)| *id));
        }
        found
    }

    /// One line a zone, parents first.
    pub(super) fn lines(&self) -> impl Iterator<Item = Value> {
        let list = |text: &str| -> Vec<String> {
            text.split(',')
                .filter(|word| !word.is_empty())
                .map(str::to_owned)
                .collect()
        };
        self.order.iter().map(move |(id, _)| {
            let zone = &self.zones[id];
            let own = self.graph_server(*id).filter(|server| *server > 0);
            json!({
                "id": id,
                "parent": zone.parent,
                "title": zone.title,
                "nodes": zone.totals[0],
                "devices": zone.totals[1],
                "services": zone.totals[2],
                "box": zone.extent.0,
                "time_zone": zone.time_zone,
                "ntp_servers": list(&zone.ntp_servers),
                "dns_servers": self.dns_servers(*id),
                "graph_server": own,
                "created": zone.created,
                "updated": zone.updated,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(zones: &[(i64, Option<i64>)]) -> Tree {
        let zone = |(id, parent): &(i64, Option<i64>)| {
            let zone = Zone {
                parent: *parent,
                title: format!("z{id}"),
                ..Zone::default()
            };
            (*id, zone)
        };
        Tree::build(zones.iter().map(zone).collect())
    }

    #[test]
    fn parents_come_first_and_an_unknown_parent_is_none() {
        let tree = tree(&[(1, Some(3)), (2, Some(1)), (3, Some(99)), (4, Some(3))]);
        let order: Vec<i64> = tree.order.iter().map(|(id, _)| *id).collect();
        assert_eq!(order, [3, 1, 2, 4]);
        assert_eq!(tree.path(2), [3, 1, 2]);
        assert_eq!(tree.below(1), HashSet::from([1, 2]));
        assert!(tree.below(99).is_empty());
    }

    #[test]
    fn fewer_than_three_name_servers_are_completed_from_above() {
        let mut tree = tree(&[(1, None), (2, Some(1)), (3, Some(2)), (4, Some(3))]);
        for (id, servers) in [
            (1, "10.0.0.9,10.0.0.8"),
            (2, "10.0.0.2,10.0.0.9"),
            (4, "10.0.0.1,10.0.0.2,10.0.0.3,10.0.0.4"),
        ] {
            if let Some(zone) = tree.zones.get_mut(&id) {
                zone.dns_servers = servers.into();
            }
        }
        assert_eq!(tree.dns_servers(3), ["10.0.0.2", "10.0.0.9", "10.0.0.8"]);
        assert_eq!(tree.dns_servers(1), ["10.0.0.9", "10.0.0.8"]);
        assert_eq!(tree.dns_servers(4).len(), 4, "its own are all kept");
    }

    #[test]
    fn zones_in_a_circle_are_shown_and_end() {
        let tree = tree(&[(1, Some(2)), (2, Some(1)), (3, Some(2))]);
        assert_eq!(tree.order.len(), 3);
        assert_eq!(tree.path(3), [1, 2, 3]);
        assert_eq!(tree.below(1).len(), 3);
    }
}
