//! Trees against the official vectors, and every node of them changed.
#![allow(clippy::unwrap_used)]

use data_encoding::HEXLOWER;

use super::*;

fn leaves(count: u8) -> Vec<Hash> {
    (0..count).map(|leaf| [leaf; 32]).collect()
}

#[test]
fn the_official_vectors() {
    assert_eq!(
        HEXLOWER.encode(&empty_leaf(3)),
        "9ed59076b6bee6b75864630c3c20cff6934efe03a60a7fd28b69542fb13a68a3"
    );
    assert_eq!(
        HEXLOWER.encode(&Tree::new(&leaves(5)).root()),
        "5dfbcda66b808ad0d5e99be596af7220676d23d47d9f86a89513dbc8ee1e4fb5"
    );
    let mut stored = needed(5, 4);
    stored.push(leaf_node(5, 4));
    stored.sort_unstable();
    assert_eq!(stored, [1, 6, 11, 12]);
}

#[test]
fn a_tree_may_have_one_leaf_or_none() {
    assert_eq!(Tree::new(&[]).nodes(), [empty_leaf(0)]);
    assert_eq!(Tree::new(&leaves(1)).nodes(), [[0; 32]]);
    assert!(needed(1, 0).is_empty());
    let partial = Partial::new(1, [7; 32]);
    assert_eq!(partial.leaf(0), Some(&[7; 32]));
}

#[test]
fn a_leaf_is_taken_with_what_it_needs_and_no_less() {
    for count in 1..20 {
        let tree = Tree::new(&leaves(count));
        let count = usize::from(count);
        for leaf in 0..count {
            let mut nodes: Vec<_> = needed(count, leaf);
            nodes.push(leaf_node(count, leaf));
            let nodes: Vec<_> = nodes.iter().map(|&i| (i, tree.nodes()[i])).collect();
            let mut partial = Partial::new(count, tree.root());
            partial.add(&nodes).unwrap();
            assert_eq!(
                partial.leaf(leaf),
                Some(&tree.nodes()[leaf_node(count, leaf)])
            );
            for left_out in (0..nodes.len()).filter(|_| nodes.len() > 1) {
                let mut fewer = nodes.clone();
                fewer.remove(left_out);
                let mut partial = Partial::new(count, tree.root());
                assert!(partial.add(&fewer).is_err());
            }
            for changed in 0..nodes.len() {
                let mut other = nodes.clone();
                other[changed].1[9] ^= 1;
                let mut partial = Partial::new(count, tree.root());
                assert!(partial.add(&other).is_err());
                assert_eq!(partial.leaf(leaf).is_some(), count == 1);
            }
        }
    }
}

#[test]
fn what_is_known_serves_for_what_comes_later() {
    let tree = Tree::new(&leaves(8));
    let nodes = |list: &[usize]| -> Vec<_> { list.iter().map(|&i| (i, tree.nodes()[i])).collect() };
    let mut partial = Partial::new(8, tree.root());
    partial.add(&nodes(&[1, 2])).unwrap();
    partial.add(&nodes(&[3, 4])).unwrap();
    partial.add(&nodes(&[7, 8, 9, 10])).unwrap();
    assert_eq!(partial.leaf(3), Some(&[3; 32]));
    assert_eq!(partial.leaf(4), None);
    assert!(partial.add(&nodes(&[11, 12])).is_err()); // their parent is not known
    assert!(partial.add(&[(15, [0; 32])]).is_err()); // there is no such node
    partial.add(&nodes(&(0..15).collect::<Vec<_>>())).unwrap();
    assert_eq!(partial.leaf(7), Some(&[7; 32]));
}
