//! What is shown here of other links: whose task it is, and keeping Avahi up to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use guifi_bus::RegistryProviderProxy;
use guifi_streams::Key;
use serde_json::{Value, json};
use tokio::time::sleep;
use zbus::Connection;

use super::{App, lock};
use crate::avahi;
use crate::community::Boxed;
use crate::import::{self, Duty, Id, Wanted};
use crate::importer::{Importer, group_news};
use crate::near::{self, Proofs};

/// How long changes are collected before the entries follow.
const COLLECT: Duration = Duration::from_millis(300);
/// Between two batches of entries: Avahi has probed for the names of the first by then.
const PAUSE: Duration = Duration::from_secs(1);
/// Before another attempt with a bus or an Avahi in trouble.
const RETRY: Duration = Duration::from_secs(5);

/// The state of imports, for `Describe` and the watch over other importers.
#[derive(Clone, Debug, Default)]
pub(super) struct Imports {
    /// The links that are this box's to fill.
    pub(super) duties: Vec<Duty>,
    /// The boxes that fill the others.
    pub(super) others: BTreeSet<Key>,
    shown: usize,
    left_out: usize,
}

impl App {
    /// Types that this box imports, in small letters and in order.
    fn import_types(&self) -> BTreeSet<String> {
        let types = self.settings().import.into_iter();
        types.map(|t| t.to_ascii_lowercase()).collect()
    }

    /// Tells the other boxes of the link what this one imports.
    pub(super) async fn tell_imports(&self) {
        let types: Vec<String> = self.import_types().into_iter().collect();
        if !lock(&self.state).joined || lock(&self.community).own_imports() == types {
            return;
        }
        let told = async {
            let registry = RegistryProviderProxy::new(&self.connection).await?;
            let part = json!({ "import": types }).to_string();
            registry.set_part("box", "box", "discovery", &part).await
        };
        if let Err(e) = told.await {
            let e = guifi_bus::error("cannot tell other boxes what this one imports", e);
            log::warn!("{e}; tried again when the registry returns");
        }
    }

    /// Finds out on which links this box imports what: where it has the lowest key of those
    /// that import the type.
    pub(super) async fn assign(&self, proofs: &mut Proofs<'_>, own: Key, boxes: &[Boxed]) {
        let types = self.import_types();
        let (mut duties, mut others) = (Vec::new(), BTreeSet::new());
        for link in near::interfaces() {
            let links = std::slice::from_ref(&link);
            let mut mine = BTreeSet::new();
            for kind in &types {
                let importing = boxes.iter().filter(|b| b.imports.contains(kind)).cloned();
                let importing: Vec<Boxed> = importing.collect();
                let keys = near::keys(&importing, own, |a| link.holds(a));
                match proofs.lowest(&keys, own, links).await {
                    Some(other) => drop(others.insert(other)),
                    None => drop(mine.insert(kind.clone())),
                }
            }
            if !mine.is_empty() {
                duties.push(Duty { link, types: mine });
            }
        }
        let mut imports = lock(&self.imports);
        if imports.duties != duties {
            log::info!("this box imports on {} links", duties.len());
        }
        (imports.duties, imports.others) = (duties, others);
        drop(imports);
        self.import_due.notify_one();
    }

    /// What is to be shown now.
    fn planned(&self) -> (BTreeMap<Id, Wanted>, usize) {
        let standing = lock(&self.state).clone();
        let duties = lock(&self.imports).duties.clone();
        if !standing.joined || duties.is_empty() {
            return Default::default();
        }
        let types: BTreeSet<&String> = duties.iter().flat_map(|d| &d.types).collect();
        let community = lock(&self.community);
        let mut services = Vec::new();
        for kind in types {
            community.services(kind, "", |service| services.push(service));
        }
        import::plan(&services, &duties)
    }

    pub(super) async fn watch_imports(self: Arc<Self>) {
        loop {
            self.import_due.notified().await;
            // A box that imports nothing needs no second connection.
            while !self.planned().0.is_empty() {
                if let Err(e) = self.import().await {
                    log::warn!("cannot show services of other links: {e}; trying again");
                }
                sleep(RETRY).await;
            }
        }
    }

    async fn import(&self) -> zbus::Result<()> {
        let connection = Connection::system().await?;
        let mut signals = avahi::signals(&connection).await?;
        let mut importer = Importer::new(connection);
        let mut avahi = lock(&self.state).avahi_starts;
        let mut more = self.fill(&mut importer, &mut avahi).await;
        loop {
            tokio::select! {
                () = self.import_due.notified() => {
                    sleep(COLLECT).await;
                    more = self.fill(&mut importer, &mut avahi).await;
                }
                () = sleep(PAUSE), if more => {
                    more = self.fill(&mut importer, &mut avahi).await;
                }
                signal = signals.next() => {
                    let Some(message) = signal else { return Ok(()) };
                    if let Some((path, state, error)) = group_news(&message?) {
                        importer.group_changed(&path, state, &error).await;
                    }
                }
            }
        }
    }

    /// Brings the entries nearer to the plan; says whether there is more to do.
    async fn fill(&self, importer: &mut Importer, avahi: &mut u64) -> bool {
        let standing = lock(&self.state).clone();
        if standing.avahi_starts != *avahi {
            *avahi = standing.avahi_starts;
            importer.clear();
        }
        let (planned, left_out) = self.planned();
        let more = standing.avahi && importer.approach(&planned).await;
        let mut imports = lock(&self.imports);
        if left_out > 0 && imports.left_out == 0 {
            log::warn!("{left_out} services of other links are not shown here: there are too many");
        }
        (imports.shown, imports.left_out) = (importer.count(), left_out);
        more
    }

    /// For `Describe`.
    pub(super) fn describe_imports(&self) -> Value {
        let imports = lock(&self.imports).clone();
        json!({
            "types": self.import_types(),
            "links": imports.duties.len(),
            "by": imports.others.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "shown": imports.shown,
            "left_out": imports.left_out,
        })
    }
}
