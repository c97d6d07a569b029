//! The one thread that owns the node: it is handed work, does it in order, and carries out
//! what the node wants done.

mod handle;
mod succession;

pub(crate) use handle::Handle;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use guifi_core::{Error, Kind, Root};
use guifi_streams::{Client, Configuration, Key};
use tokio::sync::mpsc;

use handle::Work;

use crate::frame::Frame;
use crate::home::{Membership, database};
use crate::join;
use crate::net;
use crate::node::{Effect, Favour, Home, Node, Now, Protocol, Reach, Sign, Tuning};
use crate::record::Record;
use crate::rights::Rights;
use crate::store::Store;
use crate::time::own_clock_ms;

/// Frames that wait for one slow peer before its stream is given up.
const MAX_WRITER_QUEUE: usize = 512;
/// Between two looks at the own addresses.
const ADDRESSES: Duration = Duration::from_secs(30);
/// After so many of them peerd is asked where the box is, too.
const QUESTION: u32 = 10;

/// What the engine tells the bus.
#[derive(Debug)]
pub enum Notice {
    /// Visible records of these kinds changed; epoch and sequence after it.
    Changed(String, u64, Vec<String>),
    /// The book has been reconciled.
    Synced,
    /// Please ask peerd on which port it listens and what it relays with.
    AskPeer,
}

/// Signs through peerd, once there is one.
#[derive(Clone, Default)]
struct PeerSigner(Arc<Mutex<Option<Client>>>);

impl Sign for PeerSigner {
    fn sign(&self, context: &str, message: &[u8]) -> Result<[u8; 64], String> {
        let client = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone();
        let client = client.ok_or("guifi-peerd, which holds the key, does not answer")?;
        client
            .sign(context, message)
            .map_err(|e| format!("guifi-peerd does not sign: {e}"))
    }
}

/// The engine.
pub struct Engine {
    root: Root,
    handle: Handle,
    tuning: Tuning,
    rights: Rights,
    notices: mpsc::UnboundedSender<Notice>,
    node: Option<Node>,
    client: Option<Client>,
    own: Option<Key>,
    signer: PeerSigner,
    reach: Reach,
    next_addresses: Instant,
    looks: u32,
    writers: HashMap<(Key, u64), SyncSender<Frame>>,
    hints: BTreeMap<Key, Vec<SocketAddr>>,
    delayed: Vec<(Instant, Work)>,
    set_aside: Option<String>,
    /// This box has joined, whether its node runs yet or not.
    joined: bool,
    stopped: bool,
}

impl Engine {
    /// An engine and the queue that [`Engine::run`] works on.
    #[must_use]
    pub fn new(
        root: Root,
        tuning: Tuning,
        rights: Rights,
        notices: mpsc::UnboundedSender<Notice>,
    ) -> (Self, Handle, Receiver<Work>) {
        let (handle, queue) = handle::queue();
        let engine = Self {
            // A file that cannot be read is reported when the node is to start.
            joined: !matches!(Membership::load(&root), Ok(None)),
            root,
            handle: handle.clone(),
            tuning,
            rights,
            notices,
            node: None,
            client: None,
            own: None,
            signer: PeerSigner::default(),
            reach: Reach::default(),
            next_addresses: Instant::now(),
            looks: 0,
            writers: HashMap::new(),
            hints: BTreeMap::new(),
            delayed: Vec::new(),
            set_aside: None,
            stopped: false,
        };
        (engine, handle, queue)
    }

    /// Works until it is stopped.
    pub fn run(mut self, queue: &Receiver<Work>) {
        while !self.stopped {
            match queue.recv_timeout(self.patience()) {
                Ok(work) => self.work(work),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            // Whatever has come meanwhile, so that its effects go out together.
            for _ in 0..64 {
                let Ok(work) = queue.try_recv() else { break };
                self.work(work);
            }
            self.housekeeping();
        }
    }

    fn work(&mut self, mut work: Work) {
        if let Some(later) = work(self) {
            self.delayed.push((Instant::now() + later, work));
        }
    }

    fn patience(&self) -> Duration {
        let next = self
            .delayed
            .iter()
            .map(|(at, _)| *at)
            .chain(self.node.as_ref().map(Node::next_tick))
            .chain(self.node.as_ref().map(|_| self.next_addresses))
            .min();
        // Not joined and nothing to do: sleep until somebody calls.
        let longest = Duration::from_secs(24 * 3600);
        next.map_or(longest, |at| at.saturating_duration_since(Instant::now()))
    }

    fn housekeeping(&mut self) {
        let now = now();
        let (due, delayed) = std::mem::take(&mut self.delayed)
            .into_iter()
            .partition(|(at, _)| *at <= now.at);
        self.delayed = delayed;
        let due: Vec<(Instant, Work)> = due;
        due.into_iter().for_each(|(_, work)| self.work(work));
        if self.node.is_some() && self.next_addresses <= now.at {
            self.next_addresses = now.at + ADDRESSES;
            self.reach.addresses = net::own_addresses();
            self.looks = self.looks.wrapping_add(1);
            if self.looks.is_multiple_of(QUESTION) {
                drop(self.notices.send(Notice::AskPeer));
            }
        }
        if let Some(node) = &mut self.node {
            node.set_reach(self.reach.clone(), now);
            if node.next_tick() <= now.at {
                node.tick(now);
            }
        }
        self.carry_out();
    }

    fn carry_out(&mut self) {
        let Some(node) = &mut self.node else { return };
        let at = node.book().view().at();
        let (epoch, sequence) = (at.0.to_owned(), at.1);
        let mut changed: Vec<String> = Vec::new();
        for effect in node.effects() {
            match effect {
                Effect::Changed(kinds) => {
                    changed.extend(kinds);
                }
                // The bus thread ends after the engine.
                Effect::Synced => drop(self.notices.send(Notice::Synced)),
                Effect::Configure(configuration) => self.configure(&configuration),
                Effect::Dial(peer, protocol) => self.dial(peer, protocol),
                Effect::Ask(peer, favour) => self.ask(peer, favour),
                Effect::Send(peer, frame) => self.send_frame(peer, &frame),
                Effect::Close(peer) => self.writers.retain(|(key, _), _| *key != peer),
            }
        }
        if !changed.is_empty() {
            changed.sort();
            changed.dedup();
            drop(self.notices.send(Notice::Changed(epoch, sequence, changed)));
        }
    }

    fn dial(&mut self, peer: Key, protocol: Protocol) {
        let hints = self.hints.get(&peer).cloned().unwrap_or_default();
        if let Some(client) = &self.client {
            net::dial(client.clone(), self.handle.clone(), peer, protocol, hints);
            return;
        }
        // Not through the handle: its queue may be full, and only this thread empties it.
        let failed = move |engine: &mut Self| {
            if let Some(node) = &mut engine.node {
                node.dial_failed(peer, protocol, now());
            }
            None
        };
        self.delayed.push((Instant::now(), Box::new(failed)));
    }

    fn ask(&self, peer: Key, favour: Favour) {
        // Without peerd nobody is reached; the node asks again in its own time.
        if let (Some(client), Some(node)) = (&self.client, &self.node) {
            let home = node.home().clone();
            join::ask(client.clone(), self.handle.clone(), home, peer, favour);
        }
    }

    fn send_frame(&mut self, peer: Key, frame: &Frame) {
        // Of several streams the newest: the far end of an older one may be gone.
        let newest = self
            .writers
            .keys()
            .filter(|(key, _)| *key == peer)
            .max()
            .copied();
        let Some(newest) = newest else { return };
        if self
            .writers
            .get(&newest)
            .is_some_and(|w| w.try_send(frame.clone()).is_err())
        {
            // Full or ended: its reader reports the end.
            self.writers.remove(&newest);
        }
    }

    fn configure(&self, configuration: &Configuration) {
        let Some(client) = &self.client else { return };
        if let Err(e) = client.configure(configuration) {
            log::warn!(
                "guifi-peerd does not take the list of members: {e}; trying again when it returns"
            );
        }
        drop(self.notices.send(Notice::AskPeer));
    }

    /// Tells peerd who the members are without waiting for more changes.
    pub(crate) fn configure_now(&mut self) -> Result<(), Error> {
        self.node()?.configure(now());
        self.carry_out();
        Ok(())
    }

    /// peerd is there: its key is ours.
    pub(crate) fn peer_up(&mut self, client: Client) {
        let own = client.own_key();
        self.set_client(Some(client));
        if self.own.is_some_and(|known| known != own) {
            log::warn!("the key of this box has changed: starting over with the new one");
            self.node = None;
        }
        self.own = Some(own);
        if let Some(node) = &mut self.node {
            node.transport_up(now());
            let members = node.members();
            self.configure(&members);
            return;
        }
        match Membership::load(&self.root) {
            Ok(None) => self.offline(),
            Ok(Some(membership)) => {
                if let Err(e) = self.start(&membership, Vec::new()) {
                    log::error!("cannot take up the membership: {e}");
                }
            }
            Err(e) => log::error!("cannot take up the membership: {e}"),
        }
    }

    /// Tells peerd that this box has not joined: no endpoint, no traffic.
    pub(crate) fn offline(&mut self) {
        self.configure(&Configuration {
            community: None,
            name: String::new(),
            members: Vec::new(),
            banned: Vec::new(),
        });
    }

    /// peerd is gone.
    pub(crate) fn peer_down(&mut self) {
        self.set_client(None);
    }

    fn set_client(&mut self, client: Option<Client>) {
        self.client.clone_from(&client);
        *self
            .signer
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = client;
    }

    /// Starts the node of a membership.
    fn start(&mut self, membership: &Membership, proof: Vec<Record>) -> Result<(), Error> {
        let own = self.own.ok_or_else(no_peer)?;
        let founding = membership.founding().map_err(Error::failed)?;
        let path = database(&self.root);
        let opened = Store::open(&path)
            .map_err(|e| Error::failed(e).hint("is there room on the disk? df /var/lib/guifi"))?;
        if let Some(aside) = &opened.set_aside {
            let aside = aside.display().to_string();
            log::error!(
                "the database was damaged: set aside as {aside}, its records come back from the peers"
            );
            self.set_aside = Some(aside);
        }
        let seed = net::random();
        let mut node = Node::new(
            founding,
            own,
            opened,
            membership.home.clone(),
            self.tuning,
            seed,
            Box::new(self.signer.clone()),
            now(),
        )
        .map_err(Error::failed)?;
        self.reach.addresses = net::own_addresses();
        if self.reach.port == 0 {
            self.reach.port = 7656;
        }
        node.set_reach(self.reach.clone(), now());
        node.merge(proof, now());
        if let Some((key, addresses)) = &membership.seed {
            self.hints.insert(*key, addresses.clone());
            node.meet(*key, now());
        }
        self.configure(&node.members());
        let successors = node.successors();
        self.node = Some(node);
        // A change of key that was cut off by a crash goes on; a thief's is none of peerd's.
        if !successors.is_empty() && !successors.iter().any(|key| self.succeed(*key).is_ok()) {
            log::warn!("the key of this box was given up, and not by this box");
        }
        Ok(())
    }

    /// Becomes a member for good: on disk, then running.
    pub(crate) fn adopt(
        &mut self,
        membership: &Membership,
        proof: Vec<Record>,
    ) -> Result<(), Error> {
        membership.save(&self.root)?;
        self.joined = true;
        self.start(membership, proof).inspect_err(|_| {
            self.joined = false;
            // The membership that could not start must not come back at the next boot.
            if let Err(e) = Membership::forget(&self.root) {
                log::error!("{e}");
            }
        })
    }

    /// Changes what this box calls itself.
    pub(crate) fn move_home(&mut self, home: Home) -> Result<bool, Error> {
        let node = self.node.as_mut().ok_or_else(not_joined)?;
        if *node.home() == home {
            return Ok(false);
        }
        if let Some(mut membership) = Membership::load(&self.root)? {
            membership.home = home.clone();
            membership.save(&self.root)?;
        }
        node.set_home(home, now());
        Ok(true)
    }

    /// Says good-bye; [`Engine::forget`] comes a moment later.
    pub(crate) fn say_goodbye(&mut self) {
        if let Some(node) = &mut self.node {
            node.say_goodbye(now());
        }
        self.carry_out();
    }

    /// Leaves the community.
    pub(crate) fn forget(&mut self) -> Result<(), Error> {
        self.node = None;
        self.joined = false;
        self.writers.clear();
        self.hints.clear();
        Membership::forget(&self.root)?;
        self.offline();
        drop(
            self.notices
                .send(Notice::Changed("none".to_owned(), 0, Vec::new())),
        );
        Ok(())
    }

    /// Ends [`Engine::run`].
    pub(crate) fn stop(&mut self) {
        self.stopped = true;
    }

    /// Takes a new configuration.
    pub(crate) fn reconfigure(&mut self, tuning: Tuning, rights: Rights) {
        self.tuning = tuning;
        self.rights = rights;
        if let Some(node) = &mut self.node {
            node.tune(tuning);
        }
    }

    /// What peerd said of itself.
    pub(crate) fn peer_described(&mut self, reach: Reach) {
        self.reach = Reach {
            addresses: std::mem::take(&mut self.reach.addresses),
            ..reach
        };
    }

    /// A gossip stream is open; frames for it go to `writer`.
    pub(crate) fn link_up(&mut self, peer: Key, id: u64, writer: SyncSender<Frame>) {
        if let Some(node) = &mut self.node {
            self.writers.insert((peer, id), writer);
            node.link_up(peer, id, now());
        }
    }

    /// A gossip stream has ended.
    pub(crate) fn link_down(&mut self, peer: Key, id: u64) {
        self.writers.remove(&(peer, id));
        if let Some(node) = &mut self.node {
            node.link_down(peer, id, now());
        }
    }

    /// A queue for the writer of one stream.
    pub(crate) fn writer_queue() -> (SyncSender<Frame>, Receiver<Frame>) {
        sync_channel(MAX_WRITER_QUEUE)
    }

    /// The node.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] if this box has not joined.
    pub(crate) fn node(&mut self) -> Result<&mut Node, Error> {
        if self.node.is_none() && self.client.is_none() {
            return Err(no_peer());
        }
        self.node.as_mut().ok_or_else(not_joined)
    }

    /// Whether this box has joined but its node does not run yet: readers must not take that
    /// for an empty book.
    pub(crate) fn starting(&self) -> bool {
        self.joined && self.node.is_none()
    }

    /// peerd.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] if it does not answer.
    pub(crate) fn client(&self) -> Result<Client, Error> {
        self.client.clone().ok_or_else(no_peer)
    }

    /// Who may write what.
    pub(crate) fn rights(&self) -> &Rights {
        &self.rights
    }

    /// The key of this box, once it is known.
    pub(crate) fn own(&self) -> Option<Key> {
        self.own
    }

    /// Where a damaged database was set aside since the start.
    pub(crate) fn damaged(&self) -> Option<&str> {
        self.set_aside.as_deref()
    }
}

/// Both clocks.
#[must_use]
pub fn now() -> Now {
    Now {
        at: Instant::now(),
        clock_ms: own_clock_ms(),
    }
}

fn no_peer() -> Error {
    Error::new(
        Kind::Unavailable,
        "guifi-peerd, which holds the key of this box, does not answer",
    )
    .hint("systemctl status guifi-peerd")
}

pub(crate) fn not_joined() -> Error {
    Error::new(Kind::Unavailable, "this box has not joined a community").hint("guifi-join")
}
