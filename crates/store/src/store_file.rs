//! A store's file as bytes, apart from where it stands: what backups hold, and what is looked at without a change.

use crate::copy::Copy;
use crate::error::StoreError;
use crate::format::{self, FORMAT};
use crate::inspect::{inspect_bytes, lock, read};
use forebay_control::State;
use redb::Builder;
use std::fs::File;
use std::path::Path;

/// A store's file, read to the end.
#[derive(Debug)]
pub struct StoreFile {
    /// The file. Whoever puts it in a store's place has that store.
    pub bytes: Vec<u8>,
    /// The format it is written in, which may be an older one.
    pub format: u64,
    /// The state; none if none was ever written.
    pub state: Option<State>,
}

impl StoreFile {
    /// The file of a store that holds this state, in the current format.
    ///
    /// # Errors
    /// If it cannot be made; `path` is what the error calls it.
    pub fn of(state: &State, path: &Path) -> Result<Vec<u8>, StoreError> {
        let failed = |error: redb::Error| StoreError::Unreadable {
            path: path.to_owned(),
            cause: std::io::Error::other(error.to_string()),
        };
        let file = Copy::new(Vec::new());
        let make = || -> Result<(), redb::Error> {
            let database = Builder::new().create_with_backend(file.clone())?;
            let transaction = database.begin_write()?;
            format::set_format(&transaction, FORMAT)?;
            format::put(&transaction, &state.rows())?;
            transaction.commit()?;
            Ok(database.close()?)
        };
        make().map_err(failed)?;
        Ok(file.take())
    }

    /// What the store at `path` holds. It is locked for as long as it is read, and not changed: an older format stays one.
    ///
    /// # Errors
    /// If another process has it, or it is no store that this version reads.
    pub fn read(path: &Path) -> Result<StoreFile, StoreError> {
        StoreFile::of_bytes(read(path)?, path)
    }

    /// What these bytes hold; errors name `path`.
    ///
    /// # Errors
    /// If they are no store that this version reads.
    pub fn of_bytes(bytes: Vec<u8>, path: &Path) -> Result<StoreFile, StoreError> {
        let held = inspect_bytes(path, bytes.clone())?;
        Ok(StoreFile {
            bytes,
            format: held.as_ref().map_or(FORMAT, |held| held.format),
            state: held.and_then(|held| held.state),
        })
    }
}

/// A store that no process opens while this is there.
#[derive(Debug)]
pub struct StoreLock {
    _file: File,
}

impl StoreLock {
    /// Locks the store at `path`, which must be there.
    ///
    /// # Errors
    /// If another process has it, or it cannot be opened.
    pub fn take(path: &Path) -> Result<StoreLock, StoreError> {
        Ok(StoreLock { _file: lock(path)? })
    }
}
