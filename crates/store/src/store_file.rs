//! A store's file as bytes, apart from its place: the content of backups, and of checks that change nothing.

use crate::copy::Copy;
use crate::error::StoreError;
use crate::format::{self, FORMAT};
use crate::inspect::{inspect_bytes, lock, read};
use forebay_control::State;
use redb::Builder;
use std::fs::File;
use std::path::Path;

/// A store's file that was read to the end.
#[derive(Debug)]
pub struct StoreFile {
    /// The file's bytes. Written in a store's place, they are that store.
    pub bytes: Vec<u8>,
    /// Its format, which may be an older one.
    pub format: u64,
    /// The state; none if none was ever written.
    pub state: Option<State>,
}

impl StoreFile {
    /// The file of a store with this state, in the current format.
    ///
    /// # Errors
    /// If it cannot be made; the error names `path`.
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

    /// Reads the store at `path`. It is locked meanwhile, and not changed: an older format is not converted.
    ///
    /// # Errors
    /// If another process has it, or it is not a store that this version can read.
    pub fn read(path: &Path) -> Result<StoreFile, StoreError> {
        StoreFile::of_bytes(read(path)?, path)
    }

    /// Reads a store from these bytes; errors name `path`.
    ///
    /// # Errors
    /// If they are not a store that this version can read.
    pub fn of_bytes(bytes: Vec<u8>, path: &Path) -> Result<StoreFile, StoreError> {
        let held = inspect_bytes(path, bytes.clone())?;
        Ok(StoreFile {
            bytes,
            format: held.as_ref().map_or(FORMAT, |held| held.format),
            state: held.and_then(|held| held.state),
        })
    }
}

/// Keeps other processes from opening a store while it exists.
#[derive(Debug)]
pub struct StoreLock {
    _file: File,
}

impl StoreLock {
    /// Locks the store at `path`, which must exist.
    ///
    /// # Errors
    /// If another process has it, or it cannot be opened.
    pub fn take(path: &Path) -> Result<StoreLock, StoreError> {
        Ok(StoreLock { _file: lock(path)? })
    }
}
