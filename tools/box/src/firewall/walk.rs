//! A packet's way through the chains. What is only maybe so is followed as well, and makes
//! what comes after it uncertain: a verdict is given only where nothing else can be.

use serde_json::Value;

use super::Place;
use super::packet::{Packet, Truth};
use super::ruleset::{Name, Rule, Ruleset, list, only_member};

/// How many rules are looked at, and how deep chains may call chains (nftables: 16).
const STEPS: u32 = 100_000;
const DEPTH: u32 = 16;

/// What becomes of the packet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// Nothing keeps it out.
    Passes,
    /// This does, for certain.
    Stopped(Place),
    /// This may.
    Perhaps(Place),
    /// The rules are too many or too strange.
    Unknown,
}

/// What a rule did to the packet.
enum Flow {
    Next,
    /// Back to the calling chain,
    Return,
    /// or maybe.
    MaybeReturn,
    /// The base chain is decided.
    End,
}

struct Walk<'r, 'a> {
    packet: Packet,
    ruleset: &'r Ruleset<'a>,
    steps: u32,
    /// The destination may have been rewritten.
    diverted: bool,
    /// The first that may have stopped it.
    suspect: Option<Place>,
    /// In this base chain: it may have been accepted, it was stopped for certain.
    let_in: bool,
    stopped: Option<Place>,
    lost: bool,
}

/// The packet's way through all base chains.
pub(super) fn verdict(packet: Packet, ruleset: &Ruleset<'_>) -> Verdict {
    let mut walk = Walk {
        packet,
        ruleset,
        steps: STEPS,
        diverted: false,
        suspect: None,
        let_in: false,
        stopped: None,
        lost: false,
    };
    let family = if packet.v6 { "ip6" } else { "ip" };
    for name in ruleset.way_in() {
        if name.0 != family && name.0 != "inet" {
            continue;
        }
        walk.base(name);
        if let Some(place) = walk.stopped {
            return Verdict::Stopped(place);
        }
    }
    match walk.suspect {
        Some(place) => Verdict::Perhaps(place),
        None if walk.lost => Verdict::Unknown,
        None => Verdict::Passes,
    }
}

impl<'a> Walk<'_, 'a> {
    fn base(&mut self, name: Name<'a>) {
        self.let_in = false;
        if matches!(self.chain(name, true, 0), Flow::End) {
            return;
        }
        let Some(chain) = self.ruleset.chains.get(&name) else {
            return;
        };
        if chain.drops {
            self.stop(Place::new(name, None, chain.handle), true);
        }
    }

    fn chain(&mut self, name: Name<'a>, sure: bool, depth: u32) -> Flow {
        let Some(chain) = self.ruleset.chains.get(&name).filter(|_| depth <= DEPTH) else {
            return self.opaque();
        };
        let mut here = sure;
        for rule in &chain.rules {
            let Some(left) = self.steps.checked_sub(1) else {
                return self.opaque();
            };
            self.steps = left;
            match self.rule(name, *rule, here, depth) {
                Flow::Next => {}
                Flow::End => return Flow::End,
                Flow::Return => break,
                // What follows is for those that did not return.
                Flow::MaybeReturn => here = false,
            }
        }
        Flow::Next
    }

    fn rule(&mut self, chain: Name<'a>, rule: Rule<'a>, mut sure: bool, depth: u32) -> Flow {
        for statement in rule.statements {
            let Some((kind, detail)) = only_member(statement) else {
                return self.opaque();
            };
            match kind {
                "match" => match self
                    .packet
                    .matches(detail, self.ruleset, chain, self.diverted)
                {
                    Truth::No => return Flow::Next,
                    Truth::Maybe => sure = false,
                    Truth::Yes => {}
                },
                "vmap" => return self.map(chain, rule, detail, sure, depth),
                "mangle" if detail["key"].get("payload").is_none() => {}
                "counter" | "log" | "ct helper" | "notrack" | "flow" | "dup" => {}
                "xt" if is_harmless(detail) => {}
                "limit" | "quota" | "ct count" | "set" | "map" | "last" => sure = false,
                _ => return self.decide(chain, rule, (kind, detail), sure, depth),
            }
        }
        Flow::Next
    }

    /// A verdict statement, of a rule or of an element of a verdict map.
    fn decide(
        &mut self,
        chain: Name<'a>,
        rule: Rule<'a>,
        (kind, detail): (&'a str, &'a Value),
        sure: bool,
        depth: u32,
    ) -> Flow {
        match kind {
            "accept" | "snat" | "masquerade" => self.accept(sure),
            "drop" | "reject" => self.stop(Place::new(chain, rule.handle, None), sure),
            "xt" if detail["name"] == "REJECT" => {
                self.stop(Place::new(chain, rule.handle, None), sure)
            }
            "dnat" | "redirect" | "tproxy" => {
                self.diverted = true;
                self.accept(sure)
            }
            "continue" => Flow::Next,
            "return" if sure => Flow::Return,
            "return" => Flow::MaybeReturn,
            "jump" | "goto" => {
                let target = detail["target"].as_str().unwrap_or_default();
                let flow = self.chain((chain.0, chain.1, target), sure, depth + 1);
                match (kind, flow) {
                    ("goto", Flow::Next) if sure => Flow::Return,
                    ("goto", Flow::Next) => Flow::MaybeReturn,
                    (_, flow) => flow,
                }
            }
            _ => {
                self.doubt(Place::new(chain, rule.handle, None));
                self.opaque()
            }
        }
    }

    fn map(
        &mut self,
        chain: Name<'a>,
        rule: Rule<'a>,
        vmap: &'a Value,
        sure: bool,
        depth: u32,
    ) -> Flow {
        let elements = match vmap["data"].as_str() {
            Some(reference) => self.ruleset.set(chain, reference),
            None => vmap["data"]["set"].as_array().map(Vec::as_slice),
        };
        let Some(elements) = elements else {
            self.doubt(Place::new(chain, rule.handle, None));
            return self.opaque();
        };
        let mut returned = false;
        let mut chosen = Vec::new();
        for element in elements {
            let [key, verdict] = list(element) else {
                return self.opaque();
            };
            let truth = self
                .packet
                .selects(&vmap["key"], key, self.ruleset.untracked);
            match (truth, only_member(verdict)) {
                (Truth::No, _) => {}
                (_, None) => return self.opaque(),
                (Truth::Yes, Some(verdict)) => {
                    return self.decide(chain, rule, verdict, sure, depth);
                }
                (Truth::Maybe, Some(verdict)) => chosen.push(verdict),
            }
        }
        for verdict in chosen {
            let flow = self.decide(chain, rule, verdict, false, depth);
            returned |= matches!(flow, Flow::MaybeReturn);
        }
        if returned {
            Flow::MaybeReturn
        } else {
            Flow::Next
        }
    }

    fn accept(&mut self, sure: bool) -> Flow {
        self.let_in |= !sure;
        if sure { Flow::End } else { Flow::Next }
    }

    fn stop(&mut self, place: Place, sure: bool) -> Flow {
        if !sure {
            self.doubt(place);
            return Flow::Next;
        }
        if self.let_in || self.diverted {
            self.doubt(place);
        } else {
            self.stopped = Some(place);
        }
        Flow::End
    }

    fn doubt(&mut self, place: Place) {
        self.suspect.get_or_insert(place);
    }

    /// Anything may have happened here.
    fn opaque(&mut self) -> Flow {
        (self.let_in, self.lost) = (true, true);
        Flow::Next
    }
}

/// A target of iptables that lets the packet go on.
fn is_harmless(xt: &Value) -> bool {
    ["LOG", "NFLOG", "CT", "MARK", "CONNMARK", "NOTRACK"]
        .iter()
        .any(|name| xt["name"] == *name)
}
