//! The packet that opens a connection from another box, of which some facts are known and
//! most are not: whether it matches is therefore yes, no or maybe.

use serde_json::Value;

use super::ruleset::{Name, Ruleset, list, only_member};

/// Whether something matches.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Truth {
    No,
    Maybe,
    Yes,
}

impl Truth {
    fn not(self) -> Self {
        match self {
            Self::No => Self::Yes,
            Self::Maybe => Self::Maybe,
            Self::Yes => Self::No,
        }
    }
}

impl From<bool> for Truth {
    fn from(known: bool) -> Self {
        if known { Self::Yes } else { Self::No }
    }
}

/// A transport protocol.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// As nftables writes it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// The first packet of a connection that comes from another machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet {
    pub(super) protocol: Protocol,
    pub(super) port: u16,
    pub(super) v6: bool,
}

/// What is known of one property of the packet.
#[derive(Clone, Copy)]
enum Fact {
    /// The packet has no such header: no comparison with it is true.
    Absent,
    Unknown,
    Number(u64),
    /// A value with a name and a number.
    Called(&'static str, u64),
    /// Any but loopback.
    Interface,
    /// There is one: without a way back to the sender nothing else would help either.
    Present,
    /// A new connection has none of these.
    NoneOf(&'static [&'static str]),
}

impl Packet {
    /// Whether a match statement of a rule in `chain` is true; `diverted`: its destination may
    /// have been rewritten before.
    pub(super) fn matches<'a>(
        self,
        statement: &'a Value,
        ruleset: &Ruleset<'a>,
        chain: Name<'a>,
        diverted: bool,
    ) -> Truth {
        let (left, right) = (&statement["left"], &statement["right"]);
        if let Some(truth) = self.flags(left, right) {
            return match statement["op"].as_str() {
                Some("==") => truth,
                Some("!=") if self.protocol == Protocol::Tcp => truth.not(),
                _ => Truth::Maybe.min(truth),
            };
        }
        let fact = self.fact(left, ruleset.untracked, diverted);
        if matches!(fact, Fact::Absent) {
            return Truth::No;
        }
        let ordered = |compare: fn(&u64, &u64) -> bool| match (fact, right.as_u64()) {
            (Fact::Number(own), Some(other)) => compare(&own, &other).into(),
            _ => Truth::Maybe,
        };
        match statement["op"].as_str() {
            Some("==" | "in") => equals(fact, right, &|name| ruleset.set(chain, name)),
            Some("!=") => equals(fact, right, &|name| ruleset.set(chain, name)).not(),
            Some("<") => ordered(u64::lt),
            Some(">") => ordered(u64::gt),
            Some("<=") => ordered(u64::le),
            Some(">=") => ordered(u64::ge),
            _ => Truth::Maybe,
        }
    }

    /// Whether the key of a verdict map is `element`.
    pub(super) fn selects(self, key: &Value, element: &Value, untracked: bool) -> Truth {
        match self.fact(key, untracked, true) {
            Fact::Absent => Truth::No,
            fact => equals(fact, element, &|_| None),
        }
    }

    fn fact(self, left: &Value, untracked: bool, diverted: bool) -> Fact {
        let Some((kind, detail)) = only_member(left) else {
            return Fact::Unknown;
        };
        let key = detail["key"].as_str().unwrap_or_default();
        match (kind, key) {
            ("meta", "l4proto") => self.transport(),
            ("meta", "nfproto") if self.v6 => Fact::Called("ipv6", 10),
            ("meta", "nfproto") => Fact::Called("ipv4", 2),
            ("meta", "protocol") if self.v6 => Fact::Called("ip6", 0x86dd),
            ("meta", "protocol") => Fact::Called("ip", 0x0800),
            ("meta", "iif" | "iifname") => Fact::Interface,
            ("ct", "state") if !untracked => Fact::Called("new", 8),
            ("ct", "status") if !diverted => {
                Fact::NoneOf(&["dnat", "snat", "assured", "seen-reply"])
            }
            ("fib", _) if detail["result"] == "type" && is_only(&detail["flags"], "daddr") => {
                Fact::Called("local", 2)
            }
            ("fib", _) if detail["result"] == "oif" => Fact::Present,
            ("payload", _) => self.header(detail),
            _ => Fact::Unknown,
        }
    }

    fn transport(self) -> Fact {
        match self.protocol {
            Protocol::Tcp => Fact::Called("tcp", 6),
            Protocol::Udp => Fact::Called("udp", 17),
        }
    }

    fn header(self, payload: &Value) -> Fact {
        let field = payload["field"].as_str().unwrap_or_default();
        let raw = payload["base"] == "th" && payload["offset"] == 16 && payload["len"] == 16;
        match payload["protocol"].as_str() {
            Some(own) if own == "th" || own == self.protocol.word() => match field {
                "dport" => Fact::Number(self.port.into()),
                _ => Fact::Unknown,
            },
            None if raw => Fact::Number(self.port.into()),
            Some("ip") if self.v6 => Fact::Absent,
            Some("ip6") if !self.v6 => Fact::Absent,
            Some("ip") if field == "protocol" => self.transport(),
            Some("ip6") if field == "nexthdr" => self.transport(),
            Some(
                "tcp" | "udp" | "icmp" | "icmpv6" | "igmp" | "sctp" | "dccp" | "udplite" | "esp"
                | "ah" | "comp" | "arp",
            ) => Fact::Absent,
            _ => Fact::Unknown,
        }
    }

    /// A comparison with masked TCP flags, of which SYN alone is set; none if it is another.
    fn flags(self, left: &Value, right: &Value) -> Option<Truth> {
        let [header, mask] = list(&left["&"]) else {
            return None;
        };
        if header["payload"]["protocol"] != "tcp" || header["payload"]["field"] != "flags" {
            return None;
        }
        if self.protocol == Protocol::Udp {
            return Some(Truth::No);
        }
        let named = |flags: &Value| flags.is_string() || flags.is_array();
        if !named(mask) || !named(right) {
            return Some(Truth::Maybe);
        }
        let masked = mask == "syn" || list(mask).iter().any(|f| f == "syn");
        Some((masked && is_only(right, "syn")).into())
    }
}

/// Whether a list of words, or the one word, is `word` alone.
fn is_only(words: &Value, word: &str) -> bool {
    words == word || matches!(list(words), [one] if one == word)
}

/// Whether the fact is `right` or one of its members; `set` gives those of a named set.
fn equals<'a>(fact: Fact, right: &'a Value, set: &dyn Fn(&'a str) -> Option<&'a [Value]>) -> Truth {
    if matches!(fact, Fact::Unknown) {
        return Truth::Maybe;
    }
    match right {
        Value::Array(members) => any(fact, members, set),
        // Sets have no sets in them.
        Value::String(text) if text.starts_with('@') => {
            set(text).map_or(Truth::Maybe, |members| any(fact, members, &|_| None))
        }
        Value::Object(_) => match only_member(right) {
            Some(("set", members)) => any(fact, list(members), set),
            Some(("elem", element)) if !element["val"].is_object() => {
                equals(fact, &element["val"], set)
            }
            Some(("range", ends)) => within(fact, ends),
            _ => Truth::Maybe,
        },
        Value::String(text) => match fact {
            Fact::Called(own, _) => (own == text).into(),
            Fact::NoneOf(words) if words.contains(&text.as_str()) => Truth::No,
            Fact::Interface if text == "lo" => Truth::No,
            _ => Truth::Maybe,
        },
        Value::Bool(there) if matches!(fact, Fact::Present) => (*there).into(),
        Value::Number(number) => match (fact, number.as_u64()) {
            (Fact::Number(own) | Fact::Called(_, own), Some(other)) => (own == other).into(),
            _ => Truth::Maybe,
        },
        _ => Truth::Maybe,
    }
}

fn any<'a>(
    fact: Fact,
    members: &'a [Value],
    set: &dyn Fn(&'a str) -> Option<&'a [Value]>,
) -> Truth {
    let each = members.iter().map(|member| equals(fact, member, set));
    each.max().unwrap_or(Truth::No)
}

fn within(fact: Fact, ends: &Value) -> Truth {
    match (fact, list(ends)) {
        (Fact::Number(own), [from, to]) => match (from.as_u64(), to.as_u64()) {
            (Some(from), Some(to)) => (from..=to).contains(&own).into(),
            _ => Truth::Maybe,
        },
        _ => Truth::Maybe,
    }
}
