//! Restores a backup into a data directory.

use super::archive::{Unpacked, unpack};
use super::manifest::{Kind, Manifest};
use crate::data_dir::make_data_dir;
use crate::takeover;
use anyhow::{Context as _, bail};
use forebay_store::{StoreFile, StoreLock};
use jiff::Timestamp;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, lchown, symlink};
use std::path::{Path, PathBuf};

const STORE: &str = "state.redb";
/// Directory within the data directory in which everything is assembled.
const STAGE: &str = "restore.new";

/// The result of a restore.
#[derive(Debug)]
pub struct Restored {
    /// The contents of the backup.
    pub manifest: Manifest,
    /// What existed before, under its new names.
    pub aside: Vec<PathBuf>,
}

/// Reads a backup to the end and checks its digests and its whole state.
///
/// # Errors
/// If it is damaged, or newer than this program.
pub fn examine(file: &Path) -> anyhow::Result<Manifest> {
    let mut store = None;
    let manifest = unpack(file, &mut |member: Unpacked<'_>| {
        if member.path == STORE {
            let mut bytes = Vec::new();
            member
                .content
                .read_to_end(&mut bytes)
                .with_context(|| format!("{} is damaged or truncated: use another backup", file.display()))?;
            store = Some(bytes);
        }
        Ok(())
    })?;
    let bytes = store.with_context(|| {
        format!(
            "{} contains no state: it is not a backup of Forebay",
            file.display()
        )
    })?;
    let store_file = StoreFile::of_bytes(bytes, &file.join(STORE))?;
    if store_file.state.is_none() {
        bail!(
            "the store in {} contains no state: use another backup",
            file.display()
        );
    }
    Ok(manifest)
}

/// Restores a backup into a data directory that has none of its contents. With `force`, existing contents are moved aside.
///
/// # Errors
/// If the backup is incomplete, the directory is in use or not empty, or something cannot be written.
pub fn restore(file: &Path, data_dir: &Path, force: bool) -> anyhow::Result<Restored> {
    let manifest = examine(file)?;
    let _lock = unused(data_dir)?;
    let there: Vec<&str> = manifest
        .tops()
        .into_iter()
        .filter(|top| data_dir.join(top).symlink_metadata().is_ok())
        .collect();
    if !there.is_empty() && !force {
        bail!(
            "{} has {} already: use another --data-dir, or give --force, which keeps the existing files under other names",
            data_dir.display(),
            there.join(", ")
        );
    }
    make_data_dir(data_dir)?;
    let stage = data_dir.join(STAGE);
    let _ = fs::remove_dir_all(&stage);
    let placed = stage_all(file, &stage, data_dir).and_then(|again| {
        if again != manifest {
            bail!("{} was changed while it was read: try again", file.display());
        }
        place(&manifest, &stage, data_dir)
    });
    let _ = fs::remove_dir_all(&stage);
    Ok(Restored {
        aside: placed?,
        manifest,
    })
}

/// Ensures that no Forebay runs there, and that none can start meanwhile.
fn unused(data_dir: &Path) -> anyhow::Result<Option<StoreLock>> {
    let store = data_dir.join(STORE);
    if data_dir.exists()
        && let Some(running) = takeover::ask(data_dir)?
    {
        bail!(
            "process {} runs with {}: stop it, or use another --data-dir",
            running.process,
            data_dir.display()
        );
    }
    if !store.exists() {
        return Ok(None);
    }
    let lock =
        StoreLock::take(&store).context("stop the Forebay that runs there, or use another --data-dir")?;
    Ok(Some(lock))
}

/// Unpacks everything beside its destination, and syncs it to disk.
fn stage_all(file: &Path, stage: &Path, data_dir: &Path) -> anyhow::Result<Manifest> {
    DirBuilder::new()
        .mode(0o700)
        .create(stage)
        .with_context(|| format!("cannot make {}", stage.display()))?;
    // If root restores, the files belong to the directory's owner.
    let owner = data_dir.metadata()?;
    let owner = rustix::process::geteuid()
        .is_root()
        .then(|| (owner.uid(), owner.gid()));
    let mut directories = vec![stage.to_owned()];
    let manifest = unpack(file, &mut |member| {
        let path = stage.join(member.path);
        let written = match (member.kind, member.link) {
            (Kind::Directory, _) => {
                directories.push(path.clone());
                DirBuilder::new().mode(0o700).create(&path)
            }
            (Kind::Link, Some(target)) => symlink(target, &path),
            (Kind::Link, None) => Err(io::ErrorKind::InvalidData.into()),
            (Kind::File, _) => write(&path, member.mode, member.content),
        };
        let written = written
            .and_then(|()| owner.map_or(Ok(()), |(user, group)| lchown(&path, Some(user), Some(group))));
        written.with_context(|| format!("cannot write {}", path.display()))
    })?;
    for directory in directories {
        File::open(directory)?.sync_all()?;
    }
    Ok(manifest)
}

fn write(path: &Path, mode: u32, content: &mut dyn io::Read) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode & 0o700)
        .open(path)?;
    io::copy(content, &mut file)?;
    file.sync_all()
}

/// Moves existing files aside, and the staged ones into place. The store comes last, so that it never exists without its
/// keys.
fn place(manifest: &Manifest, stage: &Path, data_dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let time = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let mut tops = manifest.tops();
    tops.sort_by_key(|top| *top == STORE);
    let mut aside = Vec::new();
    for top in tops {
        let (staged, there) = (stage.join(top), data_dir.join(top));
        let kept = data_dir.join(format!("{top}.before-restore-{time}"));
        let moved = || -> io::Result<bool> {
            if there.symlink_metadata().is_err() {
                fs::rename(&staged, &there)?;
                return Ok(false);
            }
            if top == STORE {
                // In one step: a start that found no store would take this for a new directory.
                fs::hard_link(&there, &kept).or_else(|_| fs::copy(&there, &kept).map(drop))?;
            } else {
                fs::rename(&there, &kept)?;
            }
            fs::rename(&staged, &there)?;
            Ok(true)
        };
        if moved().with_context(|| format!("cannot put {} in place", there.display()))? {
            aside.push(kept);
        }
    }
    File::open(data_dir)?.sync_all()?;
    Ok(aside)
}
