//! Which server is asked to take which share: pure arithmetic.
//!
//! Source of what is wanted: `docs/specifications/servers-of-happiness.rst`.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use guifi_tahoe::ShareNumber;
use guifi_tahoe::gbs::Shares;
use guifi_tahoe::placement::matching;

use crate::server::Server;

/// What a server has, and whether it may be asked to take more.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    pub(super) has: Shares,
    pub(super) open: bool,
}

/// The next requests, by server: every share that no server counts for goes to one that has
/// nothing to count for; when there are no such servers any more, shares that nobody has go to
/// those with the fewest.
pub(super) fn assign(views: &[View], total: usize) -> BTreeMap<usize, Shares> {
    let has: Vec<Shares> = views.iter().map(|view| view.has.clone()).collect();
    let matched = matching(&has);
    let counted: BTreeSet<ShareNumber> = matched.iter().flatten().copied().collect();
    let all = (0..total).filter_map(|share| ShareNumber::try_from(share).ok());
    let mut left: VecDeque<ShareNumber> = all.filter(|share| !counted.contains(share)).collect();
    let mut asked: BTreeMap<usize, Shares> = BTreeMap::new();
    let idle = |(number, view): (usize, &View)| {
        (view.open && matched.get(number).is_none_or(Option::is_none)).then_some(number)
    };
    for server in views.iter().enumerate().filter_map(idle) {
        // What nobody has comes first.
        let homeless = left.iter().position(|share| is_homeless(&has, *share));
        let Some(share) = left.remove(homeless.unwrap_or(0)) else {
            break;
        };
        asked.entry(server).or_default().insert(share);
    }
    for share in left {
        if !is_homeless(&has, share) {
            continue;
        }
        let load = |server: usize| has[server].len() + asked.get(&server).map_or(0, Shares::len);
        let open = (0..views.len()).filter(|server| views[*server].open);
        if let Some(server) = open.min_by_key(|server| load(*server)) {
            asked.entry(server).or_default().insert(share);
        }
    }
    asked
}

fn is_homeless(has: &[Shares], share: ShareNumber) -> bool {
    !has.iter().any(|shares| shares.contains(&share))
}

/// Shares that were given to a server although another holds them, and that nobody counts for.
pub(super) fn superfluous(held: &[Shares], given: &[Shares]) -> Vec<(usize, ShareNumber)> {
    let mut has: Vec<Shares> = held.to_vec();
    for (server, shares) in given.iter().enumerate() {
        has[server].extend(shares);
    }
    let wanted = matching(&has).iter().flatten().count();
    let mut out = Vec::new();
    for (server, shares) in given.iter().enumerate() {
        for share in shares {
            if is_homeless(held, *share) {
                continue;
            }
            has[server].remove(share);
            if matching(&has).iter().flatten().count() < wanted {
                has[server].insert(*share);
            } else {
                out.push((server, *share));
            }
        }
    }
    out
}

/// The same servers, so that those next to each other are of different zones where possible. A
/// server whose zone is not known has one of its own.
pub(crate) fn spread(servers: Vec<Arc<Server>>) -> Vec<Arc<Server>> {
    let mut zones: Vec<VecDeque<Arc<Server>>> = Vec::new();
    let mut of_name: HashMap<String, usize> = HashMap::new();
    for server in servers {
        let zone = &server.about.zone;
        let place = match of_name.get(zone).filter(|_| !zone.is_empty()) {
            Some(place) => *place,
            None => {
                of_name.insert(zone.clone(), zones.len());
                zones.push(VecDeque::new());
                zones.len() - 1
            }
        };
        zones[place].push_back(server);
    }
    let mut out = Vec::new();
    while !zones.is_empty() {
        out.extend(zones.iter_mut().filter_map(VecDeque::pop_front));
        zones.retain(|zone| !zone.is_empty());
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use guifi_tahoe::placement::happiness;
    use proptest::prelude::*;

    fn view(has: &[ShareNumber], open: bool) -> View {
        View {
            has: has.iter().copied().collect(),
            open,
        }
    }

    fn asked(views: &[View], total: usize) -> Vec<(usize, Vec<ShareNumber>)> {
        assign(views, total)
            .into_iter()
            .map(|(server, shares)| (server, shares.into_iter().collect()))
            .collect()
    }

    #[test]
    fn each_empty_server_gets_one_and_few_servers_get_several() {
        let empty = view(&[], true);
        assert_eq!(
            asked(&vec![empty.clone(); 3], 3),
            [(0, vec![0]), (1, vec![1]), (2, vec![2])]
        );
        assert_eq!(
            asked(&vec![empty.clone(); 2], 3),
            [(0, vec![0, 2]), (1, vec![1])]
        );
        assert_eq!(asked(&[empty, view(&[], false)], 2), [(0, vec![0, 1])]);
    }

    #[test]
    fn shares_that_are_there_are_used_and_spread() {
        assert!(asked(&[view(&[0], true), view(&[1], true)], 2).is_empty());
        // One server has all: the others get copies.
        let crowded = [view(&[0, 1, 2], true), view(&[], true), view(&[], true)];
        assert_eq!(asked(&crowded, 3).len(), 2);
        assert_eq!(
            superfluous(
                &[Shares::from([0]), Shares::new()],
                &[Shares::new(), Shares::from([0])]
            ),
            [(1, 0)]
        );
    }

    proptest! {
        #[test]
        fn asking_until_nothing_is_left_is_as_happy_as_can_be(
            has in prop::collection::vec(prop::collection::btree_set(0u8..6, 0..4), 1..8),
            total in 1usize..6,
        ) {
            let mut views: Vec<View> = has
                .into_iter()
                .map(|has| View { has: has.into_iter().filter(|s| usize::from(*s) < total).collect(), open: true })
                .collect();
            for round in 0.. {
                let asked = assign(&views, total);
                if asked.is_empty() {
                    break;
                }
                prop_assert!(round < 10);
                for (server, shares) in asked {
                    views[server].has.extend(shares);
                }
            }
            let has: Vec<Shares> = views.into_iter().map(|view| view.has).collect();
            prop_assert_eq!(happiness(&has), total.min(has.len()));
            let all: Shares = has.into_iter().flatten().collect();
            prop_assert_eq!(all.len(), total);
        }
    }
}
