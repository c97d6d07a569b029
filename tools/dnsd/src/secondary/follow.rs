//! One task for each zone that is followed: it sleeps until the zone is due or its bell rings,
//! asks the primaries one after the other, and hands over what they have.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use super::fetch::{self, Primary, Trouble};
use super::stream::Fetched;
use super::{Event, Followed, Plan, Register, Reply, Told};
use crate::board::Board;
use crate::config::Settings;
use crate::hosted::View;
use crate::hosted::holder::Order;
use crate::hosted::rrset::newer;
use crate::name::Name;

/// Questions for serials, and transfers, that are under way at once.
const QUESTIONS: usize = 32;
const TRANSFERS: usize = 4;
/// Between two checks of one zone, however often its bell rings.
const PACE: Duration = Duration::from_secs(1);

/// What all zones share.
#[derive(Clone)]
pub struct Follower {
    orders: Sender<Order>,
    settings: watch::Receiver<Settings>,
    board: Arc<Board>,
    questions: Arc<Semaphore>,
    transfers: Arc<Semaphore>,
}

impl Follower {
    /// Nothing is followed yet. `orders` lead to the holder of the zones, `board` has the keys.
    pub fn new(
        orders: Sender<Order>,
        settings: watch::Receiver<Settings>,
        board: Arc<Board>,
    ) -> Self {
        Self {
            orders,
            settings,
            board,
            questions: Arc::new(Semaphore::new(QUESTIONS)),
            transfers: Arc::new(Semaphore::new(TRANSFERS)),
        }
    }

    /// Follows the zones of the register, for ever.
    pub async fn run(self, mut register: watch::Receiver<Arc<Register>>) {
        let mut running: BTreeMap<(Name, View), (Arc<Followed>, AbortHandle)> = BTreeMap::new();
        loop {
            let wanted = register.borrow_and_update().clone();
            let mut before = std::mem::take(&mut running);
            for zone in wanted.iter() {
                let key = (zone.zone.clone(), zone.view);
                let same = before.remove(&key).filter(|(old, task)| {
                    let same = Arc::ptr_eq(old, zone);
                    if !same {
                        task.abort();
                    }
                    same
                });
                let start = || {
                    let task = tokio::spawn(self.clone().follow(zone.clone()));
                    (zone.clone(), task.abort_handle())
                };
                running.insert(key, same.unwrap_or_else(start));
            }
            for (_, task) in before.into_values() {
                task.abort();
            }
            if register.changed().await.is_err() {
                return;
            }
        }
    }

    async fn follow(self, zone: Arc<Followed>) {
        let Some(Reply::Plan(mut plan)) = self.tell(&zone, Event::Begun).await else {
            return; // it is followed no more
        };
        loop {
            let due = plan
                .expire
                .map_or(plan.check, |expire| expire.min(plan.check));
            let told = tokio::select! {
                () = sleep_until(due) => match due < plan.check {
                    true => self.tell(&zone, Event::Due).await,
                    false => self.check(&zone, plan).await,
                },
                () = zone.bell.notified() => self.check(&zone, plan).await,
            };
            match told {
                Some(Reply::Plan(next)) => plan = next,
                _ => return,
            }
        }
    }

    /// Hands over an event; `None` if the zone is followed no more.
    async fn tell(&self, zone: &Arc<Followed>, event: Event) -> Option<Reply> {
        let (reply, answer) = oneshot::channel();
        let told = Told {
            zone: zone.clone(),
            event,
            reply,
        };
        self.orders.send(Order::Copy(told)).ok()?;
        answer.await.ok()
    }

    /// Asks the primaries, beginning with the one that was of use last.
    async fn check(&self, zone: &Arc<Followed>, plan: Plan) -> Option<Reply> {
        let began = Instant::now();
        let whole = zone.whole.swap(false, Ordering::Relaxed);
        let (last, others): (Vec<_>, Vec<_>) =
            (zone.primaries.iter()).partition(|primary| Some(primary.address) == plan.last);
        let mut troubles = Vec::new();
        for primary in last.into_iter().chain(others) {
            let name = primary.key.as_ref();
            let key = name.map(|name| self.board.get().keys.key(name).ok_or(name));
            let key = match key.transpose() {
                Ok(key) => key,
                Err(name) => {
                    troubles.push(format!("{primary}: there is no key {name}"));
                    continue;
                }
            };
            let address = primary.address;
            // Boxed, so that zones that sleep take little memory.
            let asked =
                Box::pin(self.ask(zone, &Primary { address, key }, plan.serial, whole)).await;
            match asked {
                Ok(reply) => {
                    sleep_until(began + PACE).await;
                    return reply;
                }
                Err(trouble) => troubles.push(format!("{primary}: {trouble}")),
            }
        }
        let reply = self.tell(zone, Event::Failed(troubles.join("; "))).await;
        sleep_until(began + PACE).await;
        reply
    }

    async fn ask(
        &self,
        zone: &Arc<Followed>,
        server: &Primary,
        ours: Option<u32>,
        whole: bool,
    ) -> Result<Option<Reply>, Trouble> {
        let limits = self.settings.borrow().secondary;
        let address = server.address;
        let ours = ours.filter(|_| !whole);
        // Also where all of it is wanted: one that does not answer takes no place among transfers.
        let theirs = {
            let _place = self.questions.acquire().await;
            fetch::serial(&zone.zone, server, limits.idle).await?
        };
        match ours {
            Some(ours) if theirs == ours => {
                return Ok(self.tell(zone, Event::Confirmed(address)).await);
            }
            Some(ours) if !newer(theirs, ours) => return Err(Trouble::Older(theirs, ours)),
            _ => {}
        }
        let _place = self.transfers.acquire().await;
        if let Some(ours) = ours {
            let event = match fetch::transfer(&zone.zone, server, Some(ours), limits).await {
                Ok(Fetched::Same) => Event::Confirmed(address),
                Ok(Fetched::Changes(changes)) => Event::Changes(address, changes),
                Ok(Fetched::Whole(records)) => Event::Whole(address, records, false),
                Err(trouble @ Trouble::Slow(_)) => return Err(trouble),
                Err(trouble) => {
                    log::info!(
                        "{address} has no changes of {}: {trouble}; all of it then",
                        zone.zone
                    );
                    return self.whole(zone, server, false).await;
                }
            };
            let reply = self.tell(zone, event).await;
            if reply != Some(Reply::Misfit) {
                return Ok(reply);
            }
        }
        self.whole(zone, server, whole).await
    }

    async fn whole(
        &self,
        zone: &Arc<Followed>,
        server: &Primary,
        force: bool,
    ) -> Result<Option<Reply>, Trouble> {
        let limits = self.settings.borrow().secondary;
        let address = server.address;
        let event = match fetch::transfer(&zone.zone, server, None, limits).await? {
            Fetched::Whole(records) => Event::Whole(address, records, force),
            // Not without a serial.
            Fetched::Same | Fetched::Changes(_) => Event::Confirmed(address),
        };
        Ok(self.tell(zone, event).await)
    }
}
