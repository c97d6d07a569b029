//! The kinds of records: which expire, in which order they count against a quota, and what
//! the bodies of the registry's own kinds must hold. Fixed for all boxes alike, by
//! net.guifi.Registry1(5), "Kinds"; which local user may write a kind is `rights`.

/// Kinds by which membership and names are decided. They never expire.
pub const LASTING: [&str; 10] = [
    "founding", "admin", "member", "confirm", "ban", "rotate", "invite", "claim", "lapse", "trust",
];

/// Kinds whose change may change who is a member or which name is whose.
pub const RULING: [&str; 9] = [
    "founding", "admin", "member", "confirm", "ban", "rotate", "invite", "claim", "lapse",
];

/// Further kinds in the order in which they count against a quota, after [`LASTING`].
const RANKED: [&str; 17] = [
    "box", "absent", "vpn", "node", "host", "storage", "kv", "proxy", "service", "slice", "sliver",
    "template", "offer", "mirror", "live", "video", "entry",
];

/// Kinds that only the registry itself writes.
#[must_use]
pub fn is_spine(kind: &str) -> bool {
    RULING.contains(&kind) || kind == "absent"
}

/// Whether records of this kind end by themselves.
#[must_use]
pub fn expires(kind: &str) -> bool {
    !LASTING.contains(&kind)
}

/// The place of a kind in the quota's order; unknown kinds come last, by their name.
#[must_use]
pub fn rank(kind: &str) -> usize {
    LASTING
        .iter()
        .chain(&RANKED)
        .position(|k| *k == kind)
        .unwrap_or(LASTING.len() + RANKED.len())
}

/// Whether records of this kind stand for ever: a newer one cannot lift a ban, undo a
/// rotation or unmake a community.
#[must_use]
pub fn is_final(kind: &str) -> bool {
    matches!(kind, "founding" | "ban" | "rotate")
}
