//! A disk that forgets: what is written is remembered apart from what is durable, so that the
//! power can be cut between any two operations.
//!
//! The promises are the weakest that SQLite still documents as enough for it ("How To Corrupt
//! An SQLite Database File", "Atomic Commit In SQLite"): a file keeps what it had at its last
//! sync; a name is made, changed or removed for good only by a sync of its directory, whatever
//! was synced of the file (ext4 promises more); what was written since may have reached the
//! disk sector by sector, in any order, older versions of a sector included; a file may have
//! grown with nonsense in it. A sector of 512 bytes is written whole or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::sync::{Arc, Mutex, MutexGuard};

use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};

pub(crate) const ROOT: u64 = 1;
const SECTOR: usize = 512;

/// What a cut leaves of that which was not synced.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Loss {
    /// Nothing.
    All,
    /// Any part of it, chosen by this seed.
    Some(u64),
}

#[derive(Clone, Default)]
pub(crate) struct File {
    /// Shared memory: the kernel writes it whenever it likes, no cut waits for that.
    pub(crate) shared: bool,
    pub(crate) written: Vec<u8>,
    synced: Vec<u8>,
    /// All versions of each sector since the last sync.
    dirty: BTreeMap<usize, Vec<Vec<u8>>>,
}

impl File {
    pub(crate) fn new(shared: bool) -> Self {
        Self {
            shared,
            ..Self::default()
        }
    }

    pub(crate) fn write(&mut self, offset: usize, data: &[u8]) {
        let end = offset + data.len();
        let before = self.written.len();
        if end > before {
            self.written.resize(end, 0);
        }
        self.written[offset..end].copy_from_slice(data);
        // A hole before the data is written too.
        self.touch(offset.min(before), end);
    }

    pub(crate) fn resize(&mut self, size: usize) {
        let before = self.written.len();
        self.written.resize(size, 0);
        self.dirty.retain(|sector, _| sector * SECTOR < size);
        self.touch(before.min(size), size);
    }

    fn touch(&mut self, from: usize, to: usize) {
        for sector in from / SECTOR..to.div_ceil(SECTOR) {
            let end = self.written.len().min((sector + 1) * SECTOR);
            let now = self.written[sector * SECTOR..end].to_vec();
            self.dirty.entry(sector).or_default().push(now);
        }
    }

    fn sync(&mut self) {
        self.synced.resize(self.written.len(), 0);
        for sector in std::mem::take(&mut self.dirty).into_keys() {
            let range = sector * SECTOR..self.written.len().min((sector + 1) * SECTOR);
            self.synced[range.clone()].copy_from_slice(&self.written[range]);
        }
    }

    /// The file after a cut.
    fn after(&self, luck: Option<&mut StdRng>) -> Self {
        let mut left = self.synced.clone();
        if let Some(luck) = luck {
            let size = if luck.random() {
                self.written.len()
            } else {
                left.len()
            };
            let before = left.len();
            left.resize(size, 0);
            if size > before && luck.random() {
                luck.fill_bytes(&mut left[before..]);
            }
            for (sector, versions) in &self.dirty {
                // The one before the first is what the disk has.
                let Some(version) = luck.random_range(0..=versions.len()).checked_sub(1) else {
                    continue;
                };
                let start = sector * SECTOR;
                let fits = versions[version].len().min(size.saturating_sub(start));
                if fits > 0 {
                    left[start..start + fits].copy_from_slice(&versions[version][..fits]);
                }
            }
        }
        Self {
            shared: self.shared,
            written: left.clone(),
            synced: left,
            dirty: BTreeMap::new(),
        }
    }
}

type Entries = BTreeMap<OsString, u64>;
/// Names that change together, with what they mean from then on.
type Turn = Vec<(OsString, Option<u64>)>;

#[derive(Clone, Default)]
pub(crate) struct Directory {
    pub(crate) entries: Entries,
    synced: Entries,
    /// What was done since the last sync, in order.
    pending: Vec<Turn>,
}

fn turn(entries: &mut Entries, changes: &Turn) {
    for (name, target) in changes {
        match target {
            Some(node) => entries.insert(name.clone(), *node),
            None => entries.remove(name),
        };
    }
}

impl Directory {
    fn after(&self, luck: Option<&mut StdRng>) -> Self {
        let mut left = self.synced.clone();
        // Metadata is written in order: any beginning of it may be there.
        let done = luck.map_or(0, |luck| luck.random_range(0..=self.pending.len()));
        for changes in &self.pending[..done] {
            turn(&mut left, changes);
        }
        Self {
            entries: left.clone(),
            synced: left,
            pending: Vec::new(),
        }
    }
}

#[derive(Clone)]
pub(crate) enum Node {
    File(File),
    Directory(Directory),
}

#[derive(Clone)]
struct Volume {
    nodes: BTreeMap<u64, (u32, Node)>,
    next: u64,
}

impl Volume {
    fn after(&self, loss: Loss) -> Self {
        let mut luck = match loss {
            Loss::All => None,
            Loss::Some(seed) => Some(StdRng::seed_from_u64(seed)),
        };
        let mut left = Self {
            nodes: BTreeMap::new(),
            next: self.next,
        };
        let mut reached = BTreeSet::from([ROOT]);
        while let Some(number) = reached.pop_first() {
            let (mode, node) = &self.nodes[&number];
            let node = match node {
                Node::File(file) => Node::File(file.after(luck.as_mut())),
                Node::Directory(directory) => {
                    let directory = directory.after(luck.as_mut());
                    reached.extend(directory.entries.values());
                    Node::Directory(directory)
                }
            };
            left.nodes.insert(number, (*mode, node));
        }
        left
    }
}

struct State {
    volume: Volume,
    /// Operations until the power is cut, and what that leaves.
    armed: Option<(u32, Loss)>,
    /// What the disk holds after the cut. The programs that still write are ghosts: their
    /// writes go on working, so that they need not be stopped in time, but reach nothing.
    left: Option<Volume>,
    lying: bool,
}

/// The disk; all clones are one disk.
#[derive(Clone)]
pub(crate) struct Disk(Arc<Mutex<State>>);

impl Disk {
    /// An empty one.
    pub(crate) fn new() -> Self {
        let root = (0o755, Node::Directory(Directory::default()));
        Self::of(Volume {
            nodes: BTreeMap::from([(ROOT, root)]),
            next: ROOT + 1,
        })
    }

    fn of(volume: Volume) -> Self {
        Self(Arc::new(Mutex::new(State {
            volume,
            armed: None,
            left: None,
            lying: false,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Cuts the power before the operation after the next `operations` ones.
    pub(crate) fn arm(&self, operations: u32, loss: Loss) {
        self.state().armed = Some((operations, loss));
    }

    /// Cuts the power now, unless it is cut already.
    pub(crate) fn cut(&self, loss: Loss) {
        let mut state = self.state();
        if state.left.is_none() {
            state.left = Some(state.volume.after(loss));
        }
    }

    pub(crate) fn is_off(&self) -> bool {
        self.state().left.is_some()
    }

    /// The disk as it is found when the power is back.
    pub(crate) fn power_on(&self) -> Self {
        let state = self.state();
        let found = Self::of(state.left.clone().expect("the power is on"));
        found.state().lying = state.lying;
        found
    }

    /// From now on syncs do nothing, as on a disk that lies.
    pub(crate) fn lie(&self) {
        self.state().lying = true;
    }

    /// Looks at a node: its mode and itself.
    pub(crate) fn look<T>(&self, number: u64, look: impl FnOnce(u32, &Node) -> T) -> Option<T> {
        let state = self.state();
        let (mode, node) = state.volume.nodes.get(&number)?;
        Some(look(*mode, node))
    }

    pub(crate) fn find(&self, directory: u64, name: &OsStr) -> Option<u64> {
        self.look(directory, |_, node| match node {
            Node::Directory(directory) => directory.entries.get(name).copied(),
            Node::File(_) => None,
        })?
    }

    pub(crate) fn set_mode(&self, number: u64, mode: u32) {
        if let Some((old, _)) = self.state().volume.nodes.get_mut(&number) {
            *old = mode;
        }
    }

    /// Makes a node with a name.
    pub(crate) fn make(&self, directory: u64, name: &OsStr, mode: u32, node: Node) -> u64 {
        let number = {
            let mut state = self.state();
            let number = state.volume.next;
            state.volume.next += 1;
            state.volume.nodes.insert(number, (mode, node));
            number
        };
        self.rename(directory, vec![(name.to_owned(), Some(number))]);
        number
    }

    /// Changes names of a directory, all or none.
    pub(crate) fn rename(&self, directory: u64, changes: Turn) {
        let mut state = self.state();
        state.step();
        if let Some((_, Node::Directory(directory))) = state.volume.nodes.get_mut(&directory) {
            turn(&mut directory.entries, &changes);
            directory.pending.push(changes);
        }
    }

    /// Changes a file.
    pub(crate) fn change(&self, number: u64, change: impl FnOnce(&mut File)) {
        let mut state = self.state();
        if !matches!(&state.volume.nodes[&number].1, Node::File(file) if file.shared) {
            state.step();
        }
        if let Some((_, Node::File(file))) = state.volume.nodes.get_mut(&number) {
            change(file);
        }
    }

    /// Makes a file or a directory durable.
    pub(crate) fn sync(&self, number: u64) {
        let mut state = self.state();
        state.step();
        if state.lying {
            return;
        }
        match state.volume.nodes.get_mut(&number) {
            Some((_, Node::File(file))) => file.sync(),
            Some((_, Node::Directory(directory))) => {
                directory.synced = directory.entries.clone();
                directory.pending.clear();
            }
            None => {}
        }
    }
}

impl State {
    fn step(&mut self) {
        if self.left.is_some() {
            return;
        }
        match &mut self.armed {
            Some((0, loss)) => self.left = Some(self.volume.after(*loss)),
            Some((operations, _)) => *operations -= 1,
            None => {}
        }
    }
}
