//! Rules broken on purpose, so that the simulation's checker is seen to notice.

#[cfg(test)]
use std::cell::Cell;

/// One way to get the rules wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    /// Whoever was known first keeps a name.
    ClaimsByArrival,
    /// A removal is forgotten as soon as it has done its work.
    RemovalForgets,
    /// A new version is larger than all versions ever seen.
    VersionsMerged,
    /// What was known first counts first.
    QuotaByArrival,
    /// Whatever a banned key signs after its ban lifts the ban.
    BanLifted,
}

#[cfg(test)]
thread_local! {
    static BROKEN: Cell<Option<Fault>> = const { Cell::new(None) };
}

/// Breaks the rules on this thread.
#[cfg(test)]
pub(crate) fn break_rules(how: Option<Fault>) {
    BROKEN.set(how);
}

/// Whether the rules are broken in this way: outside tests, never.
pub(crate) fn is_broken(how: Fault) -> bool {
    #[cfg(test)]
    return BROKEN.get() == Some(how);
    #[cfg(not(test))]
    {
        let _ = how;
        false
    }
}
