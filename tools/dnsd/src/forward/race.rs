//! One question at several servers: the likeliest first, the next when that takes too long,
//! and the first good answer counts.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use hickory_proto::op::{Message, ResponseCode};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{Instant as Moment, sleep, sleep_until, timeout};

use crate::config::Settings;
use crate::dot::Dot;
use crate::exchange;
use crate::health::Health;
use crate::upstream::Server;

/// How long one server has to answer before it counts as silent.
const ATTEMPT: Duration = Duration::from_millis(3000);
/// The same for the recursor of this box, which has others to wait for.
const RECURSION: Duration = Duration::from_millis(4500);
/// Sockets for questions, so that descriptors are left for everything else.
const SOCKETS: usize = 512;

/// Who asks, and knows how servers are.
pub(super) struct Racer {
    pub(super) health: Health,
    dot: Dot,
    sockets: Semaphore,
    recursor: Mutex<Option<SocketAddr>>,
}

/// Whether a server has said something about the name.
pub(super) fn good(message: &Message) -> bool {
    matches!(
        message.metadata.response_code,
        ResponseCode::NoError | ResponseCode::NXDomain
    )
}

impl Racer {
    /// A racer that knows nothing of any server yet.
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            health: Health::default(),
            dot: Dot::new(&settings.authorities),
            sockets: Semaphore::new(SOCKETS),
            recursor: Mutex::new(settings.recursor),
        }
    }

    /// Takes a new configuration.
    pub(super) fn reconfigure(&self, settings: &Settings) {
        self.dot.reconfigure(&settings.authorities);
        *self.recursor.lock().unwrap_or_else(PoisonError::into_inner) = settings.recursor;
    }

    fn is_recursor(&self, server: &Server) -> bool {
        let recursor = self.recursor.lock();
        *recursor.unwrap_or_else(PoisonError::into_inner) == Some(server.address)
    }

    /// The first good answer of these servers, or the last of the others.
    pub(super) async fn ask(
        self: &Arc<Self>,
        servers: &[Server],
        plain: &Arc<[u8]>,
    ) -> Option<Message> {
        let plan = self.health.plan(servers, Instant::now());
        for server in plan.probe {
            self.start(server, plain);
        }
        let mut end = std::pin::pin!(sleep(plan.patience));
        let mut waiting = plan.order.into_iter();
        let mut running = FuturesUnordered::new();
        let (mut last, mut newest, mut next) = (None, None, Moment::now());
        loop {
            if let Some((server, wait)) = waiting.next() {
                running.push(self.start(server.clone(), plain));
                next = Moment::now() + wait;
                newest = Some(server);
            }
            tokio::select! {
                () = &mut end => return last,
                done = running.next() => match done {
                    None => return last,
                    Some(done) => match done.ok().flatten() {
                        Some(answer) if good(&answer) => return Some(answer),
                        answer => last = answer.or(last),
                    },
                },
                () = sleep_until(next), if waiting.len() > 0 => {
                    newest.iter().for_each(|server| self.health.late(server));
                }
            }
        }
    }

    /// Asks one server, in a task of its own: what becomes of it is worth knowing when another
    /// one was faster.
    fn start(self: &Arc<Self>, server: Server, plain: &Arc<[u8]>) -> JoinHandle<Option<Message>> {
        let (own, plain) = (self.clone(), plain.clone());
        tokio::spawn(async move {
            let _socket = own.sockets.try_acquire().ok()?;
            let recursor = own.is_recursor(&server);
            let patience = if recursor { RECURSION } else { ATTEMPT };
            let started = Instant::now();
            let asked = timeout(patience, exchange::ask(&server, &plain, &own.dot)).await;
            let now = Instant::now();
            match asked {
                Ok(Ok(message)) => {
                    own.health.answered(&server, started.elapsed(), now);
                    return Some(message);
                }
                Ok(Err(e)) => log::debug!("{server}: {e}"),
                Err(_) => log::debug!("{server}: no answer"),
            }
            // The recursor is silent when those that it asks are.
            if !recursor {
                own.health.failed(&server, now);
            }
            None
        })
    }
}
