//! Makes a backup.

use super::archive::Packer;
use super::manifest::{BACKUP_FORMAT, Manifest, rows};
use crate::places;
use crate::takeover;
use anyhow::{Context as _, bail};
use forebay_gateway::credentials;
use forebay_launch::Images;
use forebay_store::messages::{OpenFile, open_files};
use forebay_store::{StoreError, StoreFile};
use jiff::Timestamp;
use std::fs::{self, File, FileType};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long to wait for a process that starts, ends or gives way: it holds the store and does not answer.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);
/// Directory of the messages of queues.
const MESSAGES: &str = "messages";
/// Directory of the archives of functions.
const FUNCTION_CODE: &str = "functions/code";

/// Optional contents of a backup.
#[derive(Clone, Copy, Debug)]
pub struct BackupOptions {
    /// The images of instances.
    pub images: bool,
    /// Messages of queues.
    pub messages: bool,
    /// Values of metrics.
    pub datapoints: bool,
}

/// The state of a data directory, from the process that has it, or from its store.
#[derive(Debug)]
pub(crate) struct FoundStore {
    /// The process that runs with it.
    pub(crate) running: Option<RunningProcess>,
    /// The store file.
    pub(crate) store: StoreFile,
}

/// A running Forebay.
#[derive(Clone, Debug)]
pub(crate) struct RunningProcess {
    /// Its process id.
    pub(crate) process: u32,
    /// Its version.
    pub(crate) program: String,
    /// Address of its APIs.
    pub(crate) api: std::net::SocketAddr,
    /// Address of its metrics and health.
    pub(crate) admin: std::net::SocketAddr,
}

/// The state, from the Forebay that runs with this data directory, or from the store if none does.
///
/// # Errors
/// If there is none, it cannot be read, or the process that has it does not answer.
fn find_store(data_dir: &Path) -> anyhow::Result<FoundStore> {
    find_store_within(data_dir, PATIENCE)
}

/// Like [`find_store`], but waits at most this long for the holder of the store.
pub(crate) fn find_store_within(data_dir: &Path, patience: Duration) -> anyhow::Result<FoundStore> {
    let path = data_dir.join("state.redb");
    let began = Instant::now();
    loop {
        if data_dir.exists()
            && let Some(running) = takeover::ask(data_dir)?
        {
            return Ok(FoundStore {
                running: Some(RunningProcess {
                    process: running.process,
                    program: running.program,
                    api: running.api,
                    admin: running.admin,
                }),
                store: StoreFile::of_bytes(running.bytes, Path::new("of the running Forebay"))?,
            });
        }
        if !path.exists() {
            bail!(
                "there is no state in {}: use another --data-dir",
                data_dir.display()
            );
        }
        match StoreFile::read(&path) {
            Ok(store) => {
                return Ok(FoundStore { running: None, store });
            }
            Err(StoreError::InUse { .. }) if began.elapsed() < patience => std::thread::sleep(PAUSE),
            Err(error @ StoreError::InUse { .. }) => {
                return Err(error).context(
                    "the process that has it does not send its state: its version has no backups, or it hangs. Stop it, or wait",
                );
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Writes a backup to `out`, and returns that with the manifest. `told` receives progress messages.
///
/// # Errors
/// If there is no state, or something cannot be read or written.
pub fn save<W: Write>(
    data_dir: &Path,
    options: BackupOptions,
    out: W,
    told: &mut dyn FnMut(&str),
) -> anyhow::Result<(W, Manifest)> {
    let found = find_store(data_dir)?;
    told(&match &found.running {
        Some(running) => format!("the state of the running process {}", running.process),
        None => "the state of the store; no Forebay is running".to_owned(),
    });
    let Some(state) = &found.store.state else {
        bail!(
            "{} contains no state yet: there is nothing to back up",
            data_dir.display()
        );
    };
    let now = Timestamp::now();
    let mut packer = Packer::new(out, u64::try_from(now.as_second()).unwrap_or_default());
    let bytes = &found.store.bytes;
    packer.file("state.redb", 0o600, bytes.len() as u64, &**bytes)?;
    let mut content = Content {
        data_dir,
        packer: &mut packer,
    };
    for name in ["credentials", "notify-secret"] {
        content.add(Path::new(name))?;
    }
    // The functions themselves are part of the state; only their archives are files.
    if data_dir.join(FUNCTION_CODE).exists() {
        content.packer.directory("functions")?;
        content.add(Path::new(FUNCTION_CODE))?;
    }
    if options.messages {
        told("messages");
        content.add_messages()?;
    }
    if options.images {
        told("images");
        content.add(Path::new("images"))?;
    }
    if options.datapoints {
        told("datapoints");
        content.add(Path::new("datapoints"))?;
    }
    let keys = data_dir.join("credentials");
    let pools: Vec<String> = places::pools(state).iter().map(ToString::to_string).collect();
    let about = Manifest {
        format: BACKUP_FORMAT,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        made: now.to_string(),
        process: found.running.map(|running| running.process),
        store_format: found.store.format,
        pool: pools.join(" and "),
        domain: state.settings().domain.clone(),
        rows: rows(state),
        keys: if keys.exists() {
            credentials::list(&keys)?.len() as u64
        } else {
            0
        },
        images: options.images.then(|| Images::new(data_dir).list().len() as u64),
        messages: options.messages,
        datapoints: options.datapoints,
        members: Vec::new(),
    };
    packer.finish(about)
}

/// Adds the contents of the data directory.
struct Content<'a, W: Write> {
    data_dir: &'a Path,
    packer: &'a mut Packer<W>,
}

impl<W: Write> Content<'_, W> {
    /// Adds a file, a link, or a directory with all its contents. What does not exist, or disappears meanwhile, is left
    /// out.
    fn add(&mut self, path: &Path) -> anyhow::Result<()> {
        let mut left = vec![path.to_owned()];
        while let Some(path) = left.pop() {
            let added = self.add_one(&path);
            match added {
                Ok(mut below) => {
                    below.sort_unstable_by(|one, other| other.cmp(one));
                    left.append(&mut below);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(error)
                        .with_context(|| format!("cannot back up {}", self.data_dir.join(&path).display()));
                }
            }
        }
        Ok(())
    }

    /// Adds the log of messages as it is at this moment.
    fn add_messages(&mut self) -> anyhow::Result<()> {
        let directory = self.data_dir.join(MESSAGES);
        let mut add = || -> io::Result<()> {
            let files = open_files(&directory)?;
            if !files.is_empty() {
                self.packer.directory(MESSAGES)?;
            }
            for OpenFile { name, file, length } in files {
                self.packer
                    .file(&format!("{MESSAGES}/{name}"), 0o600, length, file)?;
            }
            Ok(())
        };
        add().with_context(|| format!("cannot back up {}", directory.display()))
    }

    /// Adds one path; returns the entries of a directory.
    fn add_one(&mut self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let full = self.data_dir.join(path);
        // An entry of the data directory itself may be a link to its real place.
        let found = match path.components().count() {
            1 => fs::metadata(&full)?,
            _ => fs::symlink_metadata(&full)?,
        };
        let Some(name) = path.to_str() else {
            return Err(io::Error::other("its name is not valid UTF-8"));
        };
        let kind: FileType = found.file_type();
        if kind.is_symlink() {
            self.packer.link(name, &fs::read_link(&full)?)?;
        } else if kind.is_file() {
            let file = File::open(&full)?;
            // It may grow; what exists now is complete.
            let size = file.metadata()?.len();
            self.packer.file(name, found.permissions().mode(), size, file)?;
        } else if kind.is_dir() {
            self.packer.directory(name)?;
            let below = fs::read_dir(&full)?.map(|entry| Ok(path.join(entry?.file_name())));
            let below: io::Result<Vec<PathBuf>> = below.collect();
            // An image that is being added has a name with a dot, and is not one yet.
            return Ok(below?.into_iter().filter(|path| !is_unfinished(path)).collect());
        }
        Ok(Vec::new())
    }
}

fn is_unfinished(path: &Path) -> bool {
    let is_top = path.components().count() == 2;
    let hidden = path
        .file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    hidden && (is_top || path.starts_with(FUNCTION_CODE))
        || path
            .extension()
            .is_some_and(|extension| extension == "unfinished")
            && path.starts_with("datapoints")
}
