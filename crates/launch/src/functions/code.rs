//! The store of functions' code: archives for good, and unpacked files as long as they are used.

use super::archive::{self, CodeError};
use crate::errors::Tried as _;
use crate::image;
use crate::processes::ProcessId;
use forebay_units::lock::lock;
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Prefix of entries whose creation or removal is not finished.
const SCRATCH: &str = ".new-";

/// Stored code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// SHA-256 of the archive, in lower-case hexadecimal digits.
    pub sha256_hex: String,
    /// Bytes of the archive.
    pub size: u64,
}

/// The code of all functions. Clones share the same store.
#[derive(Clone, Debug)]
pub struct CodeStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    archives: PathBuf,
    unpacked: PathBuf,
    scratch: AtomicU64,
    /// Code that environments run, which no sweep removes.
    held: Mutex<BTreeMap<String, usize>>,
}

/// Unpacked code, which stays as long as this value lives.
#[derive(Debug)]
pub(super) struct Held {
    store: CodeStore,
    sha: String,
    /// Its directory.
    pub(super) root: PathBuf,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = self.store.held();
        if let Some(count) = held.get_mut(&self.sha) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.sha);
            }
        }
    }
}

impl CodeStore {
    /// The store in this directory, which is created when something is stored.
    pub fn new(directory: &Path) -> CodeStore {
        CodeStore {
            inner: Arc::new(Inner {
                archives: directory.join("code"),
                unpacked: directory.join("unpacked"),
                scratch: AtomicU64::new(0),
                held: Mutex::default(),
            }),
        }
    }

    /// The name of an archive's code: its SHA-256.
    pub fn digest(zip: &[u8]) -> String {
        image::digest(zip)
    }

    /// Stores an archive for good, after it was unpacked successfully. Blocks meanwhile.
    pub fn keep(&self, zip: &[u8]) -> Result<Code, CodeError> {
        let code = Code {
            sha256_hex: CodeStore::digest(zip),
            size: zip.len() as u64,
        };
        let disk = |error: String| CodeError::Disk(error);
        let path = self.archive(&code.sha256_hex);
        if path.exists() {
            return Ok(code);
        }
        make(&self.inner.archives, 0o700).map_err(disk)?;
        self.unpack(zip, &code.sha256_hex)?;
        let scratch = self.scratch(&self.inner.archives);
        let kept = write(&scratch, zip, &path);
        let _ = fs::remove_file(&scratch);
        kept.map_err(disk)?;
        Ok(code)
    }

    /// Reads an archive.
    pub fn read(&self, sha: &str) -> Result<Vec<u8>, String> {
        check(sha)?;
        fs::read(self.archive(sha)).tried(|| format!("read the code {sha}"))
    }

    /// The directory of an archive's files. Functions may read them, but change them only if they run as Forebay's own
    /// user. Unpacks them if necessary, and blocks meanwhile.
    pub fn unpacked(&self, sha: &str) -> Result<PathBuf, String> {
        check(sha)?;
        let root = self.inner.unpacked.join(sha);
        if !root.exists() {
            let zip = self.read(sha)?;
            if image::digest(&zip) != sha {
                return Err(format!("the code {sha} is damaged"));
            }
            self.unpack(&zip, sha)
                .map_err(|error| error.cause().map_or_else(|| error.to_string(), str::to_owned))?;
        }
        Ok(root)
    }

    /// Like [`CodeStore::unpacked`], but no sweep removes it as long as the value lives.
    pub(super) fn hold(&self, sha: &str) -> Result<Held, String> {
        *self.held().entry(sha.to_owned()).or_default() += 1;
        let mut held = Held {
            store: self.clone(),
            sha: sha.to_owned(),
            root: PathBuf::new(),
        };
        held.root = self.unpacked(sha)?;
        Ok(held)
    }

    /// Removes all code except this, and except what environments still run. Not to be called while code is being stored
    /// that no function names yet.
    pub fn sweep(&self, in_use: &[&str]) {
        let held = self.held();
        let is_used = |name: &str| {
            let sha = name.strip_suffix(".zip").unwrap_or(name);
            in_use.contains(&sha) || held.contains_key(sha)
        };
        for dir in [&self.inner.archives, &self.inner.unpacked] {
            for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
                let name = entry.file_name();
                if !name
                    .to_str()
                    .is_some_and(|name| is_used(name) || name.starts_with(SCRATCH))
                {
                    discard(&entry.path());
                }
            }
        }
    }

    /// Removes what an earlier process left unfinished. Entries that a living process is making stay.
    pub(super) fn clear(&self) {
        for dir in [&self.inner.archives, &self.inner.unpacked] {
            for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
                let name = entry.file_name();
                let is_left = name
                    .to_string_lossy()
                    .strip_prefix(SCRATCH)
                    .is_some_and(|made| !is_being_made(made));
                if is_left {
                    discard(&entry.path());
                }
            }
        }
    }

    fn held(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, usize>> {
        lock(&self.inner.held)
    }

    fn archive(&self, sha: &str) -> PathBuf {
        self.inner.archives.join(format!("{sha}.zip"))
    }

    /// A name that no other call uses, in this process or an earlier one whose entries were removed.
    fn scratch(&self, dir: &Path) -> PathBuf {
        let number = self.inner.scratch.fetch_add(1, Ordering::Relaxed);
        let (own, started) = (std::process::id(), ProcessId::own().map_or(0, |own| own.started));
        let store = Arc::as_ptr(&self.inner);
        dir.join(format!("{SCRATCH}{own}-{started}-{store:p}-{number}"))
    }

    fn unpack(&self, zip: &[u8], sha: &str) -> Result<(), CodeError> {
        let root = self.inner.unpacked.join(sha);
        make(&self.inner.unpacked, 0o711).map_err(CodeError::Disk)?;
        let scratch = self.scratch(&self.inner.unpacked);
        let unpacked = fs::create_dir(&scratch)
            .map_err(|error| CodeError::Disk(error.to_string()))
            .and_then(|()| archive::unpack(zip, &scratch));
        if unpacked.is_ok() {
            // If another call unpacked the same code at the same time, it exists already.
            let renamed = fs::rename(&scratch, &root);
            if renamed.is_ok() || root.exists() {
                let _ = archive::remove(&scratch);
                return Ok(());
            }
            return renamed.map_err(|error| CodeError::Disk(error.to_string()));
        }
        let _ = archive::remove(&scratch);
        unpacked
    }
}

/// Whether the process that makes the entry with this name (without the prefix) is alive.
fn is_being_made(name: &str) -> bool {
    let mut parts = name.split('-');
    let pid = parts.next().and_then(|pid| pid.parse().ok());
    let started = parts.next().and_then(|started| started.parse().ok());
    pid.and_then(ProcessId::of)
        .is_some_and(|maker| Some(maker.started) == started)
}

/// Removes a file, or a directory in two steps: a half removed one is never found under its name.
fn discard(path: &Path) {
    let Ok(found) = fs::symlink_metadata(path) else {
        return;
    };
    if !found.is_dir() {
        let _ = fs::remove_file(path);
        return;
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let gone = path.with_file_name(format!("{SCRATCH}gone-{name}"));
    let gone = if fs::rename(path, &gone).is_ok() {
        gone
    } else {
        path.to_owned()
    };
    if let Err(error) = archive::remove(&gone) {
        tracing::warn!(%error, "cannot remove old files of a function");
    }
}

/// Refuses what is not a digest, and might be a path.
fn check(sha: &str) -> Result<(), String> {
    if sha.len() == 64 && sha.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(());
    }
    Err("the digest of the function's code is invalid".to_owned())
}

/// Makes a directory with this mode, whatever the umask, or sets the mode of an existing one.
pub(super) fn make(dir: &Path, mode: u32) -> Result<(), String> {
    let what = || format!("make {}", dir.display());
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .tried(what)?;
    fs::set_permissions(dir, Permissions::from_mode(mode)).tried(what)
}

fn write(scratch: &Path, zip: &[u8], path: &Path) -> Result<(), String> {
    let what = || format!("write {}", path.display());
    let mut file = File::create_new(scratch).tried(what)?;
    file.write_all(zip).tried(what)?;
    file.sync_all().tried(what)?;
    fs::rename(scratch, path).tried(what)?;
    let dir = path.parent().unwrap_or(path);
    File::open(dir).and_then(|dir| dir.sync_all()).tried(what)
}

#[cfg(test)]
#[path = "code/tests.rs"]
mod tests;
