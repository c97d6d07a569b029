//! How the servers outside answer: which is asked first, when the next one joins, and which
//! are left alone for a while because they were silent.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::upstream::Server;

/// Latency of a server that is not known yet: it is asked in its place, and not waited for long.
const UNKNOWN: Duration = Duration::from_millis(200);
/// How long a server has at least and at most before the next one is asked as well.
const HASTE: Duration = Duration::from_millis(100);
const REST: Duration = Duration::from_millis(1000);
/// How long all attempts at one question may take; clients give up after five seconds.
const PATIENCE: Duration = Duration::from_millis(4500);
/// The same when all servers have been silent of late.
const SHORT: Duration = Duration::from_millis(1500);
/// How long a silent server is left alone, doubled each time up to the longest.
const PAUSE: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(64);
/// How old a latency may be before it is measured anew, if there are questions.
const OLD: Duration = Duration::from_secs(60);
/// Servers that are known at once; each community has a few.
const SERVERS: usize = 256;
/// Servers that are asked for one question.
const ASKED: usize = 4;

#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    latency: Option<Duration>,
    /// Times it was silent since it last answered.
    silent: u32,
    /// When it was silent last.
    since: Option<Instant>,
    measured: Option<Instant>,
    answers: u64,
    failures: u64,
}

impl Standing {
    fn down(&self, now: Instant) -> bool {
        let pause = PAUSE.saturating_mul(1 << self.silent.saturating_sub(1).min(16));
        self.silent > 0
            && self
                .since
                .is_some_and(|since| now.duration_since(since) < pause.min(LONGEST))
    }

    fn latency(&self) -> Duration {
        self.latency.unwrap_or(UNKNOWN)
    }
}

/// What is known about all servers.
#[derive(Default)]
pub struct Health(Mutex<HashMap<Server, Standing>>);

/// How a question is asked.
#[derive(Debug)]
pub struct Plan {
    /// Servers in their order, each with the time until the next one is asked as well.
    pub order: Vec<(Server, Duration)>,
    /// Servers that are asked beside, to know how they are.
    pub probe: Vec<Server>,
    /// How long an answer is waited for.
    pub patience: Duration,
}

/// For people.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The server, as the configuration writes it.
    pub server: String,
    /// `up`, `down` or `unknown`.
    pub state: &'static str,
    /// Milliseconds until it answers, smoothed.
    pub latency_ms: Option<f64>,
    /// Answers since the start.
    pub answers: u64,
    /// Questions that it did not answer.
    pub failures: u64,
}

impl Health {
    fn with<T>(&self, look: impl FnOnce(&mut HashMap<Server, Standing>) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How a question for these servers is asked at `now`.
    pub fn plan(&self, servers: &[Server], now: Instant) -> Plan {
        self.with(|known| {
            let mut order: Vec<_> = servers
                .iter()
                .map(|server| {
                    (
                        server.clone(),
                        known.get(server).copied().unwrap_or_default(),
                    )
                })
                .collect();
            // Stable: those that are alike stay as they were written.
            order.sort_by_key(|(_, standing)| (standing.down(now), standing.latency()));
            let all_down = order.iter().all(|(_, standing)| standing.down(now));
            let old = |standing: &Standing| {
                !standing.down(now)
                    && standing
                        .measured
                        .is_none_or(|then| now.duration_since(then) > OLD)
            };
            let mut probe = Vec::new();
            for (server, standing) in order.iter().skip(1).filter(|(_, standing)| old(standing)) {
                probe.push(server.clone());
                let measured = Some(now); // so that nobody else does
                known.insert(
                    server.clone(),
                    Standing {
                        measured,
                        ..*standing
                    },
                );
            }
            order.truncate(ASKED);
            let wait = |standing: Standing| (standing.latency() * 2).clamp(HASTE, REST);
            Plan {
                order: order
                    .into_iter()
                    .map(|(server, standing)| (server, wait(standing)))
                    .collect(),
                probe,
                patience: if all_down { SHORT } else { PATIENCE },
            }
        })
    }

    /// Whether all of these servers were silent of late.
    pub fn all_down(&self, servers: &[Server], now: Instant) -> bool {
        self.with(|known| {
            servers
                .iter()
                .all(|server| known.get(server).is_some_and(|s| s.down(now)))
        })
    }

    /// A server has answered.
    pub fn answered(&self, server: &Server, took: Duration, now: Instant) {
        self.change(server, |standing| {
            // Smoothed as TCP does (RFC 6298).
            standing.latency = Some(match standing.latency {
                Some(latency) if standing.silent == 0 => (latency * 7 + took) / 8,
                _ => took,
            });
            standing.silent = 0;
            standing.measured = Some(now);
            standing.answers += 1;
        });
    }

    /// A server takes longer than it should: others go first until it is known better.
    pub fn late(&self, server: &Server) {
        self.change(server, |standing| {
            standing.latency = Some((standing.latency() * 2).min(REST * 2));
        });
    }

    /// A server has not answered.
    pub fn failed(&self, server: &Server, now: Instant) {
        self.change(server, |standing| {
            // Many questions at once are one silence.
            if !standing.down(now) {
                standing.silent = standing.silent.saturating_add(1);
                standing.since = Some(now);
            }
            standing.failures += 1;
        });
    }

    fn change(&self, server: &Server, change: impl FnOnce(&mut Standing)) {
        self.with(|known| {
            if known.len() >= SERVERS && !known.contains_key(server) {
                known.clear(); // learnt again soon
            }
            change(known.entry(server.clone()).or_default());
        });
    }

    /// How these servers are.
    pub fn report(&self, servers: &[Server], now: Instant) -> Vec<Report> {
        self.with(|known| {
            let one = |server: &Server| {
                let standing = known.get(server).copied().unwrap_or_default();
                Report {
                    server: server.to_string(),
                    state: match standing {
                        _ if standing.down(now) => "down",
                        Standing { answers: 0, .. } => "unknown",
                        _ => "up",
                    },
                    latency_ms: standing.latency.map(|l| l.as_micros() as f64 / 1000.0),
                    answers: standing.answers,
                    failures: standing.failures,
                }
            };
            servers.iter().map(one).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn servers() -> Vec<Server> {
        let texts = ["192.0.2.1", "192.0.2.2", "192.0.2.3"];
        texts
            .iter()
            .map(|text| Server::parse(text).unwrap())
            .collect()
    }

    fn first(health: &Health, now: Instant) -> String {
        health.plan(&servers(), now).order[0].0.to_string()
    }

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_order_is_that_of_the_configuration_and_then_of_the_latency() {
        let (health, now, all) = (Health::default(), Instant::now(), servers());
        let plan = health.plan(&all, now);
        let order: Vec<_> = plan
            .order
            .iter()
            .map(|(server, _)| server.clone())
            .collect();
        assert_eq!((order, plan.probe), (all.clone(), all[1..].to_vec()));
        assert!(health.plan(&all, now).probe.is_empty(), "probed once");
        health.answered(&all[0], 90 * MS, now);
        health.answered(&all[1], 20 * MS, now);
        assert_eq!(first(&health, now), "192.0.2.2:53");
        let later = now + 61 * 1000 * MS;
        assert_eq!(health.plan(&all, later).probe.len(), 2, "measured anew");
        for _ in 0..20 {
            health.answered(&all[1], 300 * MS, later);
        }
        assert_eq!(first(&health, later), "192.0.2.1:53");
    }

    #[test]
    fn a_silent_server_comes_last_and_is_tried_again_later_and_later() {
        let (health, mut now, all) = (Health::default(), Instant::now(), servers());
        health.answered(&all[0], MS, now);
        health.failed(&all[0], now);
        health.failed(&all[0], now); // two questions at once are one silence
        let plan = health.plan(&all, now);
        assert_eq!(plan.order[2].0, all[0]);
        assert_eq!(plan.patience, PATIENCE);
        for pause in [2, 4, 8, 16, 32, 64, 64, 64] {
            let pause = Duration::from_secs(pause);
            assert_eq!(
                health.plan(&all, now + pause - MS).order[2].0,
                all[0],
                "{pause:?}"
            );
            now += pause;
            assert_eq!(first(&health, now), "192.0.2.1:53", "{pause:?}");
            health.failed(&all[0], now);
        }
        health.answered(&all[0], 5 * MS, now);
        assert_eq!(first(&health, now), "192.0.2.1:53");
        assert_eq!(health.report(&all, now)[0].failures, 10);
    }

    #[test]
    fn one_that_is_late_gives_way_at_once() {
        let (health, now, all) = (Health::default(), Instant::now(), servers());
        health.late(&all[0]);
        assert_eq!(first(&health, now), "192.0.2.2:53");
    }

    #[test]
    fn when_all_are_silent_nobody_waits_long() {
        let (health, now, all) = (Health::default(), Instant::now(), servers());
        assert!(!health.all_down(&all, now));
        all.iter().for_each(|server| health.failed(server, now));
        assert!(health.all_down(&all, now));
        assert_eq!(health.plan(&all, now).patience, SHORT);
        assert!(!health.all_down(&all, now + PAUSE));
    }

    #[test]
    fn memory_is_bounded() {
        let (health, now) = (Health::default(), Instant::now());
        for n in 0..2000u32 {
            let server = Server::from(std::net::SocketAddr::from((n.to_be_bytes(), 53)));
            health.failed(&server, now);
        }
        assert!(health.with(|known| known.len()) <= SERVERS);
    }
}
