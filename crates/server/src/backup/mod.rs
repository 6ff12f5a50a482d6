//! Backups: copies of the parts of a data directory that cannot be made again, taken while Forebay runs or not, and
//! restored.
//!
//! In reading order: `manifest` and `archive` (the format, see docs/decisions/0038-backups.md), `save`, `restore`.

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
