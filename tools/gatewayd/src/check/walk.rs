//! Everything that can be reached from a directory, each once.

use std::collections::HashSet;

use guifi_tahoe::cap::Cap;
use tokio::sync::mpsc;

use crate::directory;
use crate::engine::Engine;
use crate::problem::Problem;

/// Things that are visited at most.
const MOST: usize = 10_000_000;

/// Something on the way.
pub(crate) struct Visit {
    /// Names from the beginning to it.
    pub(crate) path: Vec<String>,
    pub(crate) cap: Cap,
    /// How many entries a directory has.
    pub(crate) entries: usize,
}

/// Visits a directory and what is in it, the nearest first; ends when nobody listens.
///
/// # Errors
/// If a directory cannot be read: the walk ends there.
pub(crate) async fn walk(
    engine: &Engine,
    root: Cap,
    visits: mpsc::Sender<Visit>,
) -> Result<(), Problem> {
    let mut seen: HashSet<Vec<u8>> = HashSet::new();
    let mut waiting = vec![(Vec::new(), root)];
    while let Some((path, cap)) = waiting.pop() {
        let name = cap
            .storage_index()
            .map_or_else(|| cap.to_string().into_bytes(), |i| i.to_vec());
        if !seen.insert(name) || seen.len() > MOST {
            continue;
        }
        let mut count = 0;
        if let Cap::Directory(_) = &cap {
            let entries = directory::list(engine, &cap).await?;
            count = entries.len();
            for (name, entry) in entries.into_iter().rev() {
                let Some(child) = directory::cap(&entry) else {
                    continue;
                };
                let mut below = path.clone();
                below.push(name);
                waiting.push((below, child.clone()));
            }
        }
        let visit = Visit {
            path,
            cap,
            entries: count,
        };
        if visits.send(visit).await.is_err() {
            break;
        }
    }
    Ok(())
}
