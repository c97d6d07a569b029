//! Orders and matchings.
#![allow(clippy::unwrap_used)]

use guifi_testing::fuzz::Chance;

use super::*;

#[test]
fn a_seed_is_announced_or_the_key_or_a_hash() {
    let id = "v0-zj5doczsflmkadtnrjrdt4ymwjlgajw7ld5odwmkfod7dms4rpva";
    let key = base32::decode(&id[3..]).unwrap();
    assert_eq!(seed(id, None), key);
    assert_eq!(seed(id, Some("74")), [0xff]);
    assert_eq!(seed(id, Some("not base 32")), key);
    assert_eq!(seed("v0-short", None), Sha256::digest("v0-short").to_vec());
}

#[test]
fn servers_are_asked_in_the_order_of_their_ranks() {
    let index = [7; 16];
    let mut servers: Vec<Vec<u8>> = (0..20).map(|i| vec![i; 32]).collect();
    permute(&index, &mut servers, |seed| seed);
    let ranks: Vec<_> = servers.iter().map(|seed| rank(&index, seed)).collect();
    assert!(ranks.is_sorted());
    let expected = Sha1::digest([&index[..], &servers[0]].concat());
    assert_eq!(ranks[0], *expected);
}

fn held(lists: &[&[u8]]) -> Vec<Shares> {
    lists
        .iter()
        .map(|list| list.iter().copied().collect())
        .collect()
}

#[test]
fn happiness_counts_servers_with_shares_of_their_own() {
    for (lists, expected) in [
        (&[][..], 0),
        (&[&[][..], &[]], 0),
        (&[&[0, 1, 2][..]], 1),
        (&[&[0][..], &[0], &[0]], 1),
        (&[&[0, 1][..], &[0]], 2),
        (&[&[0, 1][..], &[0, 1], &[1, 2], &[0, 2]], 3),
        (&[&[0][..], &[0, 1], &[1, 2], &[2, 3], &[3, 4]], 5),
    ] {
        assert_eq!(happiness(&held(lists)), expected, "{lists:?}");
    }
}

/// The greatest matching by trying all.
fn by_trying(held: &[Shares], used: &mut Shares) -> usize {
    let Some((first, rest)) = held.split_first() else {
        return 0;
    };
    let mut best = by_trying(rest, used);
    for &share in first {
        if used.insert(share) {
            best = best.max(1 + by_trying(rest, used));
            used.remove(&share);
        }
    }
    best
}

#[test]
fn no_matching_is_greater() {
    let mut chance = Chance::new(3);
    for _ in 0..500 {
        let servers = chance.index(6);
        let held: Vec<Shares> = (0..servers)
            .map(|_| (0..6).filter(|_| chance.below(3) == 0).collect())
            .collect();
        let matching = matching(&held);
        let shares: Vec<u8> = matching.iter().flatten().copied().collect();
        let distinct: Shares = shares.iter().copied().collect();
        assert_eq!(shares.len(), distinct.len());
        for (share, held) in matching.iter().zip(&held) {
            assert!(share.is_none_or(|share| held.contains(&share)));
        }
        assert_eq!(shares.len(), by_trying(&held, &mut Shares::new()));
    }
}
