//! Which rule of this machine's nftables keeps other boxes out, from the document of
//! `nft -j list ruleset`: an evaluation with doubts. A rule is accused only if no packet can
//! get past it; where that depends on what is not known it is called possible.

mod nft;
mod packet;
mod ruleset;
mod walk;

use std::fmt;

use serde_json::Value;

pub(crate) use nft::look;
use packet::Packet;
pub(crate) use packet::Protocol;
use ruleset::{Name, Ruleset};
use walk::Verdict;

/// What the packages say to those who filter.
const FRAGMENTS: &str = "/usr/share/guifi/nftables";

/// What is known of this machine's own firewall.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) enum Firewall {
    /// Nobody has looked, or there is no nftables here.
    #[default]
    NotSeen,
    /// Only root may look.
    Hidden,
    /// What `nft -j list ruleset` prints.
    Rules(Value),
}

/// Where a packet is stopped.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Place {
    family: String,
    table: String,
    chain: String,
    /// The rule; none: the policy of the chain.
    rule: Option<u64>,
    /// Handle of the chain, if it is its policy.
    policy: Option<u64>,
}

impl Place {
    fn new(chain: Name<'_>, rule: Option<u64>, policy: Option<u64>) -> Self {
        Self {
            family: chain.0.to_owned(),
            table: chain.1.to_owned(),
            chain: chain.2.to_owned(),
            rule,
            policy,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let handle = |handle: Option<u64>| handle.map(|h| format!(" (handle {h})"));
        match self.rule {
            Some(_) => write!(f, "the rule{} of", handle(self.rule).unwrap_or_default())?,
            None => f.write_str("the policy of")?,
        }
        write!(f, " chain {}", self.chain)?;
        if self.rule.is_none() {
            f.write_str(&handle(self.policy).unwrap_or_default())?;
        }
        write!(f, ", table {} {},", self.family, self.table)
    }
}

/// What is in the way of new connections to `port` with each of `protocols`, and what to do
/// about it.
pub(crate) fn hint(firewall: &Firewall, protocols: &[Protocol], port: u16) -> String {
    let said = protocols.iter().map(|p| p.word().to_uppercase());
    let ports = format!("{} port {port}", said.collect::<Vec<_>>().join(" and "));
    let open = format!("let {ports} in through router and firewall");
    let relay = "or have a box of the community relay";
    match firewall {
        Firewall::NotSeen => format!("{open}; {relay}"),
        Firewall::Hidden => format!(
            "{open}; {relay}; 'sudo guifi-status' says whether a rule of this machine is in the way"
        ),
        Firewall::Rules(document) => {
            let found = findings(document, protocols, port);
            if found.is_empty() {
                return format!("nftables of this machine lets it in: {open}; {relay}");
            }
            let rules: Vec<_> = protocols
                .iter()
                .map(|p| format!("'{} dport {port} accept'", p.word()))
                .collect();
            format!(
                "{}; put {} before that, or include {FRAGMENTS}/peerd.nft, see guifi-community-distro(7)",
                found.join("; "),
                rules.join(" and ")
            )
        }
    }
}

/// A sentence for each place.
fn findings(document: &Value, protocols: &[Protocol], port: u16) -> Vec<String> {
    let ruleset = Ruleset::read(document);
    let mut found: Vec<(Verdict, Vec<Packet>)> = Vec::new();
    for v6 in [false, true] {
        for protocol in protocols.iter().copied() {
            let packet = Packet { protocol, port, v6 };
            let verdict = walk::verdict(packet, &ruleset);
            match found.iter_mut().find(|(known, _)| *known == verdict) {
                Some((_, packets)) => packets.push(packet),
                None => found.push((verdict, vec![packet])),
            }
        }
    }
    let sentence = |(verdict, packets): &(Verdict, Vec<Packet>)| {
        let what = packets_in_words(packets, port);
        Some(match verdict {
            Verdict::Passes => return None,
            Verdict::Stopped(place) => format!("{place} stops {what}"),
            Verdict::Perhaps(place) => format!("{place} may stop {what}"),
            Verdict::Unknown => format!("there is a firewall that may stop {what}"),
        })
    };
    found.iter().filter_map(sentence).collect()
}

fn packets_in_words(packets: &[Packet], port: u16) -> String {
    let mut protocols: Vec<_> = packets
        .iter()
        .map(|p| p.protocol.word().to_uppercase())
        .collect();
    protocols.dedup();
    protocols.truncate(2);
    let mut words = format!("{} port {port}", protocols.join(" and "));
    if packets.iter().all(|p| p.v6) {
        words.push_str(" of IPv6");
    } else if !packets.iter().any(|p| p.v6) {
        words.push_str(" of IPv4");
    }
    words
}

#[cfg(test)]
mod tests;
