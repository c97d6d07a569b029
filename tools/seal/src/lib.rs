//! Files under a passphrase: how they are sealed and opened, and how the passphrase is asked
//! for. Backups and exported keys are such files.

mod passphrase;
mod seal;

pub use passphrase::passphrase;
pub use seal::{Fault, open, seal};
