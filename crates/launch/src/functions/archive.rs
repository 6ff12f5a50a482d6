//! Zip archives of functions: unpacked within bounds, and packed so that the same files give the same bytes.

use crate::errors::Tried as _;
use crate::image::{is_executable, make_parents, within};
use std::fs::{self, File, Permissions};
use std::io::{self, Cursor, Read as _, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Component, Path, PathBuf};
use zip::read::ZipFile;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

/// Most bytes of a function's files, unpacked: Lambda's quota of 250 MB.
pub(super) const UNPACKED_BYTES: u64 = 250 << 20;
/// Most files, directories and links of a function.
const ENTRIES: usize = 50_000;
/// Longest target of a link in bytes.
const LINK_BYTES: u64 = 4096;
/// The program of a function that brings its own runtime.
pub(super) const BOOTSTRAP: &str = "bootstrap";

/// Why a function's code is refused.
#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    /// It is not a zip archive, or a damaged one.
    #[error("Could not unzip uploaded file. Please check your file, then try to upload again.")]
    NoZip(String),
    /// It is too large when unpacked.
    #[error("Unzipped size must be smaller than {UNPACKED_BYTES} bytes")]
    TooLarge,
    /// It contains too many entries.
    #[error("The archive has more than {ENTRIES} files, directories and links.")]
    TooMany,
    /// A name or a link leads out of its directory, or an entry is neither file, directory nor link.
    #[error("The archive may not be unpacked: {0}")]
    Unsafe(String),
    /// The disk failed.
    #[error("the code could not be kept")]
    Disk(String),
}

impl CodeError {
    /// AWS's error code.
    pub fn code(&self) -> &'static str {
        match self {
            CodeError::Disk(_) => "ServiceException",
            _ => "InvalidParameterValueException",
        }
    }

    /// Details for the operator, which callers are not told.
    pub fn cause(&self) -> Option<&str> {
        match self {
            CodeError::NoZip(cause) | CodeError::Disk(cause) => Some(cause),
            _ => None,
        }
    }
}

fn no_zip(error: impl std::fmt::Display) -> CodeError {
    CodeError::NoZip(error.to_string())
}

fn disk(error: impl std::fmt::Display) -> CodeError {
    CodeError::Disk(error.to_string())
}

/// Unpacks an archive into an existing empty directory. All users can read the files, and only the owner can change them.
pub(super) fn unpack(zip: &[u8], root: &Path) -> Result<(), CodeError> {
    // The archive's directory alone can take several times the memory of its size.
    if zip.len() as u64 > UNPACKED_BYTES {
        return Err(CodeError::TooLarge);
    }
    let mut archive = ZipArchive::new(Cursor::new(zip)).map_err(no_zip)?;
    if archive.len() > ENTRIES {
        return Err(CodeError::TooMany);
    }
    let mut left = Left {
        bytes: UNPACKED_BYTES,
        entries: ENTRIES,
    };
    for place in 0..archive.len() {
        let mut entry = archive.by_index(place).map_err(no_zip)?;
        unpack_entry(&mut entry, root, &mut left)?;
    }
    show(root).map_err(disk)
}

/// What the rest of an archive may become.
struct Left {
    bytes: u64,
    entries: usize,
}

impl Left {
    /// Takes so many files, directories and links.
    fn take(&mut self, entries: usize) -> Result<(), CodeError> {
        self.entries = self.entries.checked_sub(entries).ok_or(CodeError::TooMany)?;
        Ok(())
    }
}

fn unpack_entry(
    entry: &mut ZipFile<'_, Cursor<&[u8]>>,
    root: &Path,
    left: &mut Left,
) -> Result<(), CodeError> {
    let name = entry.name().map_err(no_zip)?.into_owned();
    if name.contains(['\0', '\\']) {
        return Err(CodeError::Unsafe(format!("{name:?} is no name of a file")));
    }
    let there = within(root, Path::new(&name)).map_err(|_| leads_out(&name))?;
    if there == root {
        return Ok(());
    }
    let is_taken = |why: String| CodeError::Unsafe(why.replace(&*root.to_string_lossy(), ""));
    if entry.is_dir() {
        return left.take(make_parents(root, &there).map_err(is_taken)?);
    }
    // Directories may only be implied by the names of files: a few bytes of an archive could make thousands.
    let made = make_parents(root, there.parent().unwrap_or(root)).map_err(is_taken)?;
    left.take(made + 1)?;
    if fs::symlink_metadata(&there).is_ok() {
        return Err(CodeError::Unsafe(format!("{name} is there twice")));
    }
    if entry.is_symlink() {
        let mut target = Vec::new();
        let read = entry
            .take(LINK_BYTES + 1)
            .read_to_end(&mut target)
            .map_err(no_zip)?;
        let target = String::from_utf8(target).map_err(no_zip)?;
        if read as u64 > LINK_BYTES || !stays_within(Path::new(&name), Path::new(&target)) {
            return Err(leads_out(&name));
        }
        return symlink(target, &there).map_err(disk);
    }
    // Other tools may store no mode, and then no file is executable.
    let mode = entry.unix_mode().unwrap_or(0o644);
    if !matches!(mode & 0o170_000, 0 | 0o100_000) {
        return Err(CodeError::Unsafe(format!(
            "{name} is neither a file nor a directory nor a link"
        )));
    }
    let mut file = File::create_new(&there).map_err(disk)?;
    copy(entry, &mut file, &mut left.bytes)?;
    let mode = if mode & 0o111 == 0 { 0o444 } else { 0o555 };
    file.set_permissions(Permissions::from_mode(mode)).map_err(disk)
}

fn leads_out(name: &str) -> CodeError {
    CodeError::Unsafe(format!("{name} leads out of it"))
}

/// Copies the actual bytes, whatever headers say about the size; a wrong checksum is noticed at the end.
fn copy(entry: &mut impl io::Read, file: &mut File, left: &mut u64) -> Result<(), CodeError> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = entry.read(&mut buffer).map_err(no_zip)?;
        if read == 0 {
            return Ok(());
        }
        *left = left.checked_sub(read as u64).ok_or(CodeError::TooLarge)?;
        file.write_all(&buffer[..read]).map_err(disk)?;
    }
}

/// Whether a link stays within the archive. Only leading dots go up: after a name, which may be a link itself, it is
/// unknown where they lead.
fn stays_within(link: &Path, target: &Path) -> bool {
    let is_name = |part: &Component<'_>| matches!(part, Component::Normal(_));
    let above = link.components().filter(is_name).count().saturating_sub(1);
    let mut ups = 0;
    let mut has_name = false;
    for part in target.components() {
        match part {
            Component::Normal(_) => has_name = true,
            Component::CurDir => {}
            Component::ParentDir if !has_name => ups += 1,
            _ => return false,
        }
    }
    ups <= above && target.components().next().is_some()
}

/// Lets all users read, whatever the umask was. The owner may write, so that Forebay can remove it by ordinary means.
fn show(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            show(&entry.path())?;
        }
    }
    fs::set_permissions(dir, Permissions::from_mode(0o755))
}

/// Removes a directory that a function may have closed.
pub(super) fn remove(dir: &Path) -> io::Result<()> {
    fs::set_permissions(dir, Permissions::from_mode(0o755))?;
    let mut below = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            // Later: a directory that is open at each depth could exceed the limit on open files.
            below.push(entry.path());
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    below.iter().try_for_each(|dir| remove(dir))?;
    fs::remove_dir(dir)
}

/// Makes a zip archive of a directory, or reads one from a file. With a command, adds a file `bootstrap` with which a shell
/// runs it, in place of an existing one. The same files make the same archive.
pub fn pack(path: &Path, command: Option<&str>) -> Result<Vec<u8>, String> {
    let bootstrap = command.map(|command| format!("#!/bin/sh\nexec {command}\n"));
    let found = fs::metadata(path).tried(|| format!("read {}", path.display()))?;
    if found.is_dir() {
        return pack_directory(path, bootstrap.as_deref());
    }
    let zip = fs::read(path).tried(|| format!("read {}", path.display()))?;
    let Some(bootstrap) = bootstrap else {
        return Ok(zip);
    };
    let what = || format!("read {}: is it a zip archive?", path.display());
    let mut archive = ZipArchive::new(Cursor::new(&zip)).tried(what)?;
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for place in 0..archive.len() {
        let entry = archive.by_index_raw(place).tried(what)?;
        if entry.name_raw() != BOOTSTRAP.as_bytes() {
            writer.raw_copy_file(entry).tried(what)?;
        }
    }
    finish(writer, Some(&bootstrap))
}

fn pack_directory(dir: &Path, bootstrap: Option<&str>) -> Result<Vec<u8>, String> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let mut paths = Vec::new();
    list(dir, &mut paths)?;
    paths.sort();
    for path in paths {
        let below = path.strip_prefix(dir).unwrap_or(&path);
        let name = below.to_str().ok_or_else(|| {
            format!(
                "{} cannot be a file in a zip archive: its name is not UTF-8",
                path.display()
            )
        })?;
        if bootstrap.is_some() && name == BOOTSTRAP {
            continue;
        }
        let what = || format!("pack {}", path.display());
        let found = fs::symlink_metadata(&path).tried(what)?;
        if found.is_symlink() {
            let target = fs::read_link(&path).tried(what)?;
            writer
                .add_symlink(name, target.to_string_lossy(), options(0o777))
                .tried(what)?;
        } else if found.is_dir() {
            writer.add_directory(name, options(0o755)).tried(what)?;
        } else if found.is_file() {
            let mode = if is_executable(&path) { 0o755 } else { 0o644 };
            writer.start_file(name, options(mode)).tried(what)?;
            let mut file = File::open(&path).tried(what)?;
            io::copy(&mut file, &mut writer).tried(what)?;
        } else {
            return Err(format!(
                "{} is a device, a socket or a pipe, which archives cannot contain",
                path.display()
            ));
        }
    }
    finish(writer, bootstrap)
}

fn finish(mut writer: ZipWriter<Cursor<Vec<u8>>>, bootstrap: Option<&str>) -> Result<Vec<u8>, String> {
    let what = || "make the archive".to_owned();
    if let Some(bootstrap) = bootstrap {
        writer.start_file(BOOTSTRAP, options(0o755)).tried(what)?;
        writer.write_all(bootstrap.as_bytes()).tried(what)?;
    }
    Ok(writer.finish().tried(what)?.into_inner())
}

/// The same whenever and wherever the archive is made.
fn options(mode: u32) -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default())
        .unix_permissions(mode)
}

fn list(dir: &Path, paths: &mut Vec<PathBuf>) -> Result<(), String> {
    for entry in fs::read_dir(dir).tried(|| format!("read {}", dir.display()))? {
        let path = entry.tried(|| format!("read {}", dir.display()))?.path();
        let found = fs::symlink_metadata(&path).tried(|| format!("read {}", path.display()))?;
        if paths.len() >= ENTRIES {
            return Err(format!("there are more than {ENTRIES} files"));
        }
        paths.push(path.clone());
        if found.is_dir() {
            list(&path, paths)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_that_names_imply_count() {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        // Fewer entries than are allowed, each of which implies a hundred directories.
        let below = "d/".repeat(99);
        for place in 0..=ENTRIES / 100 {
            writer
                .start_file(format!("{place}/{below}f"), options(0o644))
                .unwrap();
        }
        let zip = finish(writer, None).unwrap();
        let root = tempfile::tempdir().unwrap();
        let unpacked = unpack(&zip, root.path());
        assert!(matches!(unpacked, Err(CodeError::TooMany)), "{unpacked:?}");
    }
}
