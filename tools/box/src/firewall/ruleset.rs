//! The document of `nft -j list ruleset` as chains with their rules and sets with their
//! elements. What is not understood is left out, never an error: see libnftables-json(5).

use std::collections::BTreeMap;

use serde_json::Value;

/// Family, table and name of a chain or a set.
pub(super) type Name<'a> = (&'a str, &'a str, &'a str);

/// All that filters.
#[derive(Debug, Default)]
pub(super) struct Ruleset<'a> {
    pub(super) chains: BTreeMap<Name<'a>, Chain<'a>>,
    /// Elements of sets and maps.
    sets: BTreeMap<Name<'a>, &'a [Value]>,
    /// Some packets are kept from connection tracking.
    pub(super) untracked: bool,
}

/// One chain.
#[derive(Debug, Default)]
pub(super) struct Chain<'a> {
    pub(super) handle: Option<u64>,
    /// Where packets enter it, if it is a base chain.
    pub(super) hook: Option<&'a str>,
    pub(super) priority: i64,
    /// What happens to those that come to its end.
    pub(super) drops: bool,
    pub(super) rules: Vec<Rule<'a>>,
}

/// One rule.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule<'a> {
    pub(super) handle: Option<u64>,
    pub(super) statements: &'a [Value],
}

impl<'a> Ruleset<'a> {
    pub(super) fn read(document: &'a Value) -> Self {
        let mut ruleset = Self::default();
        for entry in list(&document["nftables"]) {
            let Some((kind, object)) = only_member(entry) else {
                continue;
            };
            match kind {
                "chain" => ruleset.chain(object),
                "rule" => ruleset.rule(object),
                "set" | "map" => {
                    let name = name(object, "name");
                    ruleset.sets.insert(name, list(&object["elem"]));
                }
                _ => {}
            }
        }
        ruleset
    }

    fn chain(&mut self, object: &'a Value) {
        let chain = self.chains.entry(name(object, "name")).or_default();
        chain.handle = object["handle"].as_u64();
        chain.hook = object["hook"].as_str();
        chain.priority = object["prio"].as_i64().unwrap_or_default();
        chain.drops = object["policy"] == "drop";
    }

    fn rule(&mut self, object: &'a Value) {
        let statements = list(&object["expr"]);
        self.untracked |= statements.iter().any(|s| s.get("notrack").is_some());
        let chain = self.chains.entry(name(object, "chain")).or_default();
        chain.rules.push(Rule {
            handle: object["handle"].as_u64(),
            statements,
        });
    }

    /// The elements of the set that `reference`, an `@name`, means in the table of `chain`.
    pub(super) fn set(&self, chain: Name<'a>, reference: &'a str) -> Option<&'a [Value]> {
        let name = reference.strip_prefix('@')?;
        self.sets.get(&(chain.0, chain.1, name)).copied()
    }

    /// The base chains through which packets for this machine go, in their order.
    pub(super) fn way_in(&self) -> Vec<Name<'a>> {
        let mut found: Vec<_> = self
            .chains
            .iter()
            .filter_map(|(name, chain)| {
                let hook = ["prerouting", "input"]
                    .iter()
                    .position(|h| chain.hook == Some(h))?;
                Some((hook, chain.priority, *name))
            })
            .collect();
        found.sort_unstable();
        found.into_iter().map(|(.., name)| name).collect()
    }
}

/// The one member of an object like `{"accept": null}`.
pub(super) fn only_member(value: &Value) -> Option<(&str, &Value)> {
    let (name, value) = value.as_object()?.iter().next()?;
    Some((name, value))
}

/// The members of an array; none of anything else.
pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn name<'a>(object: &'a Value, member: &str) -> Name<'a> {
    let text = |member: &str| object[member].as_str().unwrap_or_default();
    (text("family"), text("table"), text(member))
}
