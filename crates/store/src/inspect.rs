//! Reads a store to the end, on a copy in memory, before anything is written to its file.

use crate::copy::Copy;
use crate::error::StoreError;
use crate::format::{self, FORMAT};
use forebay_control::State;
use redb::{Builder, Database};
use std::fs::{File, TryLockError};
use std::io::{Read, Seek};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// The first bytes of every store (redb's magic number).
const MAGIC: &[u8] = b"redb\x1a\x0a\xa9\x0d\x0a";

/// The contents of a store.
pub(crate) struct Held {
    /// Its format.
    pub(crate) format: u64,
    /// The state; none if none was ever written.
    pub(crate) state: Option<State>,
}

pub(crate) fn inspect(path: &Path) -> Result<Option<Held>, StoreError> {
    inspect_bytes(path, read(path)?)
}

/// Like [`inspect`], for a file's bytes; errors name `path`.
pub(crate) fn inspect_bytes(path: &Path, bytes: Vec<u8>) -> Result<Option<Held>, StoreError> {
    let damaged = |text: String| StoreError::Damaged {
        path: path.to_owned(),
        text,
    };
    if !bytes.starts_with(MAGIC) {
        return Err(damaged("it does not begin like a database".to_owned()));
    }
    // redb asserts on some damage; such a panic must become an error of ours, too.
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let mut builder = Builder::new();
        builder.set_check_integrity_on_open(true);
        let database = builder
            .create_with_backend(Copy::new(bytes))
            .map_err(|error| error.to_string())?;
        examine(&database)
    }));
    match opened {
        Ok(Ok(Found::Held(held))) => Ok(Some(held)),
        Ok(Ok(Found::Newer(found))) => Err(StoreError::Newer {
            path: path.to_owned(),
            found,
        }),
        Ok(Err(text)) => Err(damaged(text)),
        Err(_) => Err(damaged("its pages contradict each other".to_owned())),
    }
}

/// The file's bytes, read while no other process has it open.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, StoreError> {
    let unreadable = |cause| StoreError::Unreadable {
        path: path.to_owned(),
        cause,
    };
    let mut file = lock(path)?;
    let mut bytes = Vec::new();
    file.rewind().map_err(unreadable)?;
    file.read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

/// The opened file, which no other process can open as a store until this is dropped.
pub(crate) fn lock(path: &Path) -> Result<File, StoreError> {
    let unreadable = |cause| StoreError::Unreadable {
        path: path.to_owned(),
        cause,
    };
    let file = File::options()
        .read(true)
        .write(true)
        .open(path)
        .map_err(unreadable)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(StoreError::InUse {
                path: path.to_owned(),
            });
        }
        Err(TryLockError::Error(cause)) => return Err(unreadable(cause)),
    }
    Ok(file)
}

enum Found {
    Held(Held),
    Newer(u64),
}

fn examine(database: &Database) -> Result<Found, String> {
    let Some(found) = format::format_of(database).map_err(|error| error.to_string())? else {
        return Err("it is a database, but not a Forebay store".to_owned());
    };
    match found {
        1..=FORMAT => {}
        0 => return Err("its format is 0, which does not exist".to_owned()),
        newer => return Ok(Found::Newer(newer)),
    }
    // The conversion is tried on the copy, too: its result must be a valid state.
    if found < FORMAT {
        format::migrate(database, found).map_err(|error| error.to_string())?;
    }
    let rows = format::rows(database).map_err(|error| error.to_string())?;
    if rows.is_empty() {
        return Ok(Found::Held(Held {
            format: found,
            state: None,
        }));
    }
    let state = State::from_rows(rows).map_err(|error| match std::error::Error::source(&error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    })?;
    Ok(Found::Held(Held {
        format: found,
        state: Some(state),
    }))
}
