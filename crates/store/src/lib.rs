//! Keeps the state on disk: every acknowledged change is there after a crash, whole.
//! Never decides anything, and never writes to a file that it could not read to the end first.
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

/// The mode of a store: whoever can read it has the private keys in it.
const PRIVATE: u32 = 0o600;

/// How the file is opened for good; tests put a failing disk in its place.
type Opener = Box<dyn Fn(&Path) -> Result<Database, DatabaseError> + Send>;

/// The state's rows in one file.
pub struct Store {
    path: PathBuf,
    opener: Opener,
    /// None after a write has failed: the file is opened anew by the next one.
    database: Option<Database>,
    /// What a failed write left behind is unknown: the next one writes every row.
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
    /// Opens the store at `path` and gives the state it holds; none if there was none.
    /// An older format is brought up to date. A file that cannot be read is not touched.
    pub fn open(path: &Path) -> Result<(Store, Option<State>), StoreError> {
        Store::open_by(path, Box::new(open_file))
    }

    fn open_by(path: &Path, opener: Opener) -> Result<(Store, Option<State>), StoreError> {
        let unreadable = |cause| StoreError::Unreadable {
            path: path.to_owned(),
            cause,
        };
        let missing = match path.metadata() {
            // A new store is moved into place whole, so an empty file is what is left of one: starting afresh over it
            // would make the loss final.
            Ok(found) if found.is_file() && found.len() == 0 => {
                return Err(StoreError::Damaged {
                    path: path.to_owned(),
                    text: "the file is empty; put a copy in its place, or delete it to begin anew".to_owned(),
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
            tracing::info!(path = %path.display(), from, to = FORMAT, "store brought up to date");
        }
        let state = held.and_then(|held| held.state);
        // A store that holds no state yet gets all rows with its first change.
        let store = Store {
            path: path.to_owned(),
            opener,
            database: Some(database),
            rewrite: state.is_none(),
        };
        Ok((store, state))
    }

    /// Makes `state` all that the store holds.
    pub fn initialise(&mut self, state: &State) -> Result<(), JournalError> {
        self.rewrite = true;
        self.write(|| state.rows(), state)
    }

    /// Where the store is.
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

    fn release(&mut self) {
        self.database = None;
        self.rewrite = true;
    }
}

/// One transaction, synced before it returns.
fn commit(database: &Database, rewrite: bool, rows: &[RowChange]) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction
        .set_durability(Durability::Immediate)
        .map_err(StorageErrorText::from)?;
    if rewrite {
        format::clear(&transaction)?;
        // A newer Forebay that had it for a moment may have brought it up to its own.
        format::set_format(&transaction, FORMAT)?;
    }
    format::put(&transaction, rows)?;
    transaction.commit()?;
    Ok(())
}

/// An error that redb's own sum of errors has no place for.
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

/// Takes from others what they may do with a store that is there: an older version made it so, or a careless copy.
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
        "the store {} was open to others (mode {mode:04o}); it is not any more, but its private keys may be known",
        path.display()
    );
    Ok(())
}

/// Makes an empty store beside `path` and moves it there: a crash never leaves half a file under the name.
fn create(path: &Path) -> std::io::Result<()> {
    let beside = path.with_extension("new");
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let other = |error: redb::Error| std::io::Error::other(error.to_string());
    // Private keys will be in it. redb would make it with what the umask leaves: readable by everyone, mostly.
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
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => File::open(parent)?.sync_all(),
        None => File::open(".")?.sync_all(),
    }
}
