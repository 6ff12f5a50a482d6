//! Keeps the state on disk: every acknowledged change survives a crash, completely.
//! It never decides anything, and never writes to a file that it has not read to the end first.
//!
//! The state: `format` (rows in redb), `inspect` (reading on a copy), `store_file` and `copy` (a store as bytes), `error`.
//! Messages of queues: `messages`. Datapoints: `points`, `archive` and `frame`.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod archive;
mod copy;
mod error;
mod format;
mod frame;
mod inspect;
pub mod messages;
pub mod points;
mod store_file;
#[cfg(test)]
mod tests;

use forebay_control::{Journal, JournalError, RowChange, State};
use redb::backends::FileBackend;
use redb::{Builder, Database, DatabaseError, Durability, StorageError};
use std::fs::{File, Metadata, Permissions};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

pub use error::StoreError;
pub use format::FORMAT;
pub use store_file::{StoreFile, StoreLock};

/// The mode of a store, which contains private keys.
const PRIVATE: u32 = 0o600;

/// Opens the file for good; tests replace it by a failing disk.
type Opener = Box<dyn Fn(&Path) -> Result<Database, DatabaseError> + Send>;

/// The state's rows in one file.
pub struct Store {
    path: PathBuf,
    opener: Opener,
    /// None after a failed write: the next one opens the file again.
    database: Option<Database>,
    /// What a failed write left behind is unknown, so the next one writes every row.
    rewrite: bool,
}

impl core::fmt::Debug for Store {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Store")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

fn open_file(path: &Path) -> Result<Database, DatabaseError> {
    Builder::new().open(path)
}

impl Store {
    /// Opens the store at `path` and returns its state; none if it has none yet. An older format is converted. A file that
    /// cannot be read is not touched.
    pub fn open(path: &Path) -> Result<(Store, Option<State>), StoreError> {
        Store::open_by(path, Box::new(open_file))
    }

    fn open_by(path: &Path, opener: Opener) -> Result<(Store, Option<State>), StoreError> {
        let unreadable = |cause| StoreError::Unreadable {
            path: path.to_owned(),
            cause,
        };
        let missing = match path.metadata() {
            // A new store is moved into place complete, so an empty file is a lost one: starting over it would make the
            // loss final.
            Ok(found) if found.is_file() && found.len() == 0 => {
                return Err(StoreError::Damaged {
                    path: path.to_owned(),
                    text: "the file is empty; replace it by a backup, or delete it to start without data"
                        .to_owned(),
                });
            }
            Ok(found) => {
                tighten(path, &found)?;
                false
            }
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => true,
            Err(cause) => return Err(unreadable(cause)),
        };
        let mut held = None;
        if missing {
            create(path).map_err(unreadable)?;
        } else {
            held = inspect::inspect(path)?;
        }
        let failed = |error: DatabaseError| match error {
            DatabaseError::DatabaseAlreadyOpen => StoreError::InUse {
                path: path.to_owned(),
            },
            other => StoreError::Damaged {
                path: path.to_owned(),
                text: other.to_string(),
            },
        };
        let database = opener(path).map_err(failed)?;
        if let Some(from) = held
            .as_ref()
            .map(|held: &inspect::Held| held.format)
            .filter(|&from| from < FORMAT)
        {
            let text = |error: redb::Error| StoreError::Damaged {
                path: path.to_owned(),
                text: error.to_string(),
            };
            format::migrate(&database, from).map_err(text)?;
            tracing::info!(path = %path.display(), from, to = FORMAT, "store converted to a newer format");
        }
        let state = held.and_then(|held| held.state);
        // A store without a state gets all rows with its first change.
        let store = Store {
            path: path.to_owned(),
            opener,
            database: Some(database),
            rewrite: state.is_none(),
        };
        Ok((store, state))
    }

    /// Makes `state` the whole content of the store.
    pub fn initialise(&mut self, state: &State) -> Result<(), JournalError> {
        self.rewrite = true;
        self.write(|| state.rows(), state)
    }

    /// The path of the store.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn write(&mut self, changes: impl FnOnce() -> Vec<RowChange>, new: &State) -> Result<(), JournalError> {
        let rows = if self.rewrite { new.rows() } else { changes() };
        let result = match self.database.take() {
            Some(database) => Ok(database),
            None => (self.opener)(&self.path).map_err(redb::Error::from),
        }
        .and_then(|database| {
            commit(&database, self.rewrite, &rows)?;
            Ok(database)
        });
        match result {
            Ok(database) => {
                self.database = Some(database);
                self.rewrite = false;
                Ok(())
            }
            Err(error) => {
                self.rewrite = true;
                Err(JournalError {
                    cause: Box::new(error),
                })
            }
        }
    }
}

impl Journal for Store {
    fn commit(&mut self, old: &State, new: &State) -> Result<(), JournalError> {
        self.write(|| State::rows_changed(old, new), new)
    }

    // Another process may write the file meanwhile, so the next write must contain every row.
    fn release(&mut self) {
        self.database = None;
        self.rewrite = true;
    }
}

/// Writes one transaction, synced before it returns.
fn commit(database: &Database, rewrite: bool, rows: &[RowChange]) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction
        .set_durability(Durability::Immediate)
        .map_err(StorageErrorText::from)?;
    if rewrite {
        format::clear(&transaction)?;
        // A newer Forebay that had the file for a moment may have converted it.
        format::set_format(&transaction, FORMAT)?;
    }
    format::put(&transaction, rows)?;
    transaction.commit()?;
    Ok(())
}

/// An error that redb's own error type has no variant for.
struct StorageErrorText(String);

impl<E: core::fmt::Display> From<E> for StorageErrorText {
    fn from(error: E) -> StorageErrorText {
        StorageErrorText(error.to_string())
    }
}

impl From<StorageErrorText> for redb::Error {
    fn from(error: StorageErrorText) -> redb::Error {
        StorageError::Io(std::io::Error::other(error.0)).into()
    }
}

/// Removes others' access to an existing store: an older version or a careless copy may have left it open.
fn tighten(path: &Path, found: &Metadata) -> Result<(), StoreError> {
    let mode = found.permissions().mode() & 0o7777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let private = Permissions::from_mode(mode & !0o077);
    std::fs::set_permissions(path, private).map_err(|cause| StoreError::Open {
        path: path.to_owned(),
        mode,
        cause,
    })?;
    tracing::warn!(
        "the store {} was open to others (mode {mode:04o}); their access was removed, but its private keys may be known",
        path.display()
    );
    Ok(())
}

/// Creates an empty store beside `path` and moves it there: a crash never leaves half a file under that name.
fn create(path: &Path) -> std::io::Result<()> {
    let beside = path.with_extension("new");
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let other = |error: redb::Error| std::io::Error::other(error.to_string());
    // It will hold private keys. redb would create it with the umask's mode, which usually lets everyone read.
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(PRIVATE)
        .open(&beside)?;
    let file = FileBackend::new(file).map_err(|error| other(error.into()))?;
    let database = Builder::new()
        .create_with_backend(file)
        .map_err(|error| other(error.into()))?;
    format::begin(&database).map_err(other)?;
    database.close().map_err(|error| other(error.into()))?;
    File::open(&beside)?.sync_all()?;
    std::fs::rename(&beside, path)?;
    // A rename survives a crash only once the directory is synced.
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => File::open(parent)?.sync_all(),
        None => File::open(".")?.sync_all(),
    }
}
