//! Backups: a copy of what a data directory holds that cannot be made again, taken while Forebay runs or not, and put back.
//! The format is record 38's.

mod archive;
mod manifest;
mod restore;
mod save;
#[cfg(test)]
mod tests;

pub use manifest::{BACKUP_FORMAT, Manifest};
pub use restore::{Restored, examine, restore};
pub use save::{BackupOptions, save};
pub(crate) use save::{RunningProcess, find_store_within};
