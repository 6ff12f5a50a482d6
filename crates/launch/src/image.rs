//! Images: what instances are started from, each in a directory named after its content.

use crate::errors::Tried as _;
use aws_lc_rs::digest::{Context, SHA256};
use flate2::read::MultiGzDecoder;
use forebay_control::fleet::Image;
use forebay_units::Wall;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read, Seek as _, SeekFrom};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Component, Path, PathBuf};

/// The file that starts an image without a command.
const START: &str = "start";
/// Largest image in bytes, unpacked.
const BYTES: u64 = 16 << 30;
/// Most files, directories and links of an image.
const ENTRIES: usize = 500_000;

/// The images of a data directory.
#[derive(Clone, Debug)]
pub struct Images {
    dir: PathBuf,
}

/// A stored image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredImage {
    /// `ami-` and 17 digits of its content's SHA-256.
    pub id: String,
    /// Its unique name.
    pub name: String,
    /// A description for people.
    pub description: String,
    /// The shell command that starts it; none if its file `start` does.
    pub command: Option<String>,
    /// The port on which it is told to listen.
    pub port: u16,
    /// When it was added, in milliseconds since 1970.
    pub created_ms: u64,
    /// The directory of its files.
    #[serde(skip)]
    root: PathBuf,
}

/// The source of a new image's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A directory, or an archive: tar, with or without gzip.
    Path(PathBuf),
    /// No files: the command finds everything on the machine.
    Nothing,
}

/// An image to be added.
#[derive(Clone, Debug)]
pub struct NewImage {
    /// Its name.
    pub name: String,
    /// A description for people.
    pub description: String,
    /// The source of its files.
    pub source: Source,
    /// The shell command that starts it, if its file `start` does not.
    pub command: Option<String>,
    /// The port on which it is told to listen.
    pub port: u16,
}

impl StoredImage {
    /// The program and its arguments, relative to the working directory.
    pub(crate) fn argv(&self) -> Vec<String> {
        match &self.command {
            Some(command) => ["/bin/sh", "-c", command].map(str::to_owned).into(),
            None => vec![format!("./{START}")],
        }
    }
}

impl Images {
    /// The images of this data directory.
    pub fn new(data_dir: &Path) -> Images {
        Images {
            dir: data_dir.join("images"),
        }
    }

    /// All images, by name. Unreadable ones are left out.
    pub fn list(&self) -> Vec<StoredImage> {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let ids = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mut images: Vec<_> = ids.filter_map(|id| self.find(&id)).collect();
        images.sort_by(|one, other| one.name.cmp(&other.name));
        images
    }

    /// An image, by its id.
    pub fn find(&self, id: &str) -> Option<StoredImage> {
        let digits = id.strip_prefix("ami-")?;
        if digits.len() != 17 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let dir = self.dir.join(id);
        let text = fs::read(dir.join("image.json")).ok()?;
        let mut image: StoredImage = serde_json::from_slice(&text).ok()?;
        image.root = dir.join("root");
        Some(image)
    }

    /// All images in the form that `control` reads.
    pub fn observed(&self) -> Vec<Image> {
        let images = self.list().into_iter();
        let image = |image: StoredImage| Image {
            id: image.id,
            name: image.name,
            description: image.description,
            created: Wall::from_seconds(i64::try_from(image.created_ms / 1000).unwrap_or(i64::MAX)),
        };
        images.map(image).collect()
    }

    /// Adds an image.
    pub fn add(&self, new: &NewImage) -> Result<StoredImage, String> {
        check_name(&new.name)?;
        if let Some(there) = self.list().iter().find(|image| image.name == new.name) {
            return Err(format!(
                "there is an image named {} already ({}): choose another name, or remove that one first",
                new.name, there.id
            ));
        }
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.dir);
        made.tried(|| format!("make {}", self.dir.display()))?;
        let scratch = self.dir.join(format!(".new-{}", std::process::id()));
        let _ = fs::remove_dir_all(&scratch);
        let added = self.add_in(new, &scratch);
        let _ = fs::remove_dir_all(&scratch);
        added
    }

    fn add_in(&self, new: &NewImage, scratch: &Path) -> Result<StoredImage, String> {
        let root = scratch.join("root");
        fs::create_dir_all(&root).tried(|| format!("make {}", root.display()))?;
        let nothing_to_start = match (&new.source, &new.command) {
            (Source::Nothing, None) => return Err("an image needs files, a command, or both".to_owned()),
            (Source::Nothing, Some(_)) => false,
            (Source::Path(path), command) => {
                take_in(path, &root)?;
                command.is_none() && !is_executable(&root.join(START))
            }
        };
        if nothing_to_start {
            return Err(format!(
                "there is no executable file `{START}` at the top: add one, or set --command"
            ));
        }
        let mut content = Context::new(&SHA256);
        let command = new.command.as_deref().unwrap_or_default();
        content.update(format!("{}\0{command}\0", new.port).as_bytes());
        let mut count = Count::default();
        digest_tree(&root, &root, &mut content, &mut count)?;
        let image = StoredImage {
            id: format!("ami-{}", &hex(content.finish().as_ref())[..17]),
            name: new.name.clone(),
            description: new.description.clone(),
            command: new.command.clone(),
            port: new.port,
            created_ms: crate::record::now_ms(),
            root: PathBuf::new(),
        };
        if let Some(there) = self.find(&image.id) {
            return Err(format!(
                "an image with the same content is here already: {} ({})",
                there.name, there.id
            ));
        }
        let text = serde_json::to_vec_pretty(&image).tried(|| "describe the image".to_owned())?;
        fs::write(scratch.join("image.json"), text).tried(|| "describe the image".to_owned())?;
        let kept = self.dir.join(&image.id);
        fs::rename(scratch, &kept).tried(|| format!("make {}", kept.display()))?;
        Ok(image)
    }

    /// Removes an image, by id or name. Instances started from it go on, but cannot be started again.
    pub fn remove(&self, which: &str) -> Result<StoredImage, String> {
        let image = self
            .list()
            .into_iter()
            .find(|image| image.id == which || image.name == which);
        let image = image.ok_or_else(|| format!("there is no image '{which}': see `forebay image list`"))?;
        let dir = self.dir.join(&image.id);
        // Renamed first, so that it is gone at once even if the removal is interrupted.
        let gone = self.dir.join(format!(".removed-{}", image.id));
        fs::rename(&dir, &gone).tried(|| format!("remove {}", dir.display()))?;
        fs::remove_dir_all(&gone).tried(|| format!("remove {}", gone.display()))?;
        Ok(image)
    }
}

/// The SHA-256 of some bytes, in hexadecimal.
pub(crate) fn digest(bytes: &[u8]) -> String {
    hex(aws_lc_rs::digest::digest(&SHA256, bytes).as_ref())
}

/// Fills a working directory from an image. If instances have a user of their own, they own its directories and share its
/// files, which they cannot write; otherwise each has copies.
pub(crate) fn fill(image: &StoredImage, work: &Path, user: Option<(u32, u32)>) -> Result<(), String> {
    let _ = fs::remove_dir_all(work);
    copy(&image.root, work, user).tried(|| format!("copy the image {} to {}", image.id, work.display()))
}

fn copy(from: &Path, to: &Path, user: Option<(u32, u32)>) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, there) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &there, user)?;
        } else if kind.is_symlink() {
            symlink(fs::read_link(entry.path())?, there)?;
        } else if user.is_none() || fs::hard_link(entry.path(), &there).is_err() {
            fs::copy(entry.path(), there)?;
        }
    }
    match user {
        Some((user, group)) => chown(to, Some(user), Some(group)),
        None => Ok(()),
    }
}

/// The number and size of files copied so far.
#[derive(Default)]
struct Count {
    entries: usize,
    bytes: u64,
}

impl Count {
    fn add(&mut self, bytes: u64) -> Result<(), String> {
        self.entries += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        if self.entries > ENTRIES || self.bytes > BYTES {
            return Err(format!(
                "an image has at most {ENTRIES} files and {} GiB",
                BYTES >> 30
            ));
        }
        Ok(())
    }
}

fn take_in(path: &Path, root: &Path) -> Result<(), String> {
    let found = fs::metadata(path).tried(|| format!("read {}", path.display()))?;
    let mut count = Count::default();
    if found.is_dir() {
        return take_in_directory(path, root, root, &mut count);
    }
    let mut file = File::open(path).tried(|| format!("read {}", path.display()))?;
    let mut magic = [0; 2];
    let read = file
        .read(&mut magic)
        .tried(|| format!("read {}", path.display()))?;
    file.seek(SeekFrom::Start(0))
        .tried(|| format!("read {}", path.display()))?;
    if magic[..read] == [0x1f, 0x8b] {
        take_in_archive(MultiGzDecoder::new(file), root, &mut count)
    } else {
        take_in_archive(file, root, &mut count)
    }
}

fn take_in_directory(from: &Path, to: &Path, root: &Path, count: &mut Count) -> Result<(), String> {
    let entries = fs::read_dir(from).tried(|| format!("read {}", from.display()))?;
    for entry in entries {
        let entry = entry.tried(|| format!("read {}", from.display()))?;
        let (path, there) = (entry.path(), to.join(entry.file_name()));
        let found = fs::symlink_metadata(&path).tried(|| format!("read {}", path.display()))?;
        count.add(found.len())?;
        if found.is_dir() {
            fs::create_dir(&there).tried(|| format!("make {}", there.display()))?;
            take_in_directory(&path, &there, root, count)?;
        } else if found.is_symlink() {
            let target = fs::read_link(&path).tried(|| format!("read {}", path.display()))?;
            check_link(&there, &target, root)?;
            symlink(target, &there).tried(|| format!("make {}", there.display()))?;
        } else if found.is_file() {
            fs::copy(&path, &there).tried(|| format!("copy {}", path.display()))?;
            set_mode(&there, found.mode())?;
        } else {
            return Err(format!(
                "{} is a device, a socket or a pipe, which images cannot contain",
                path.display()
            ));
        }
    }
    Ok(())
}

fn take_in_archive(archive: impl Read, root: &Path, count: &mut Count) -> Result<(), String> {
    let mut archive = tar::Archive::new(archive);
    let unreadable = || "read the archive: is it tar, or tar with gzip?".to_owned();
    for entry in archive.entries().tried(unreadable)? {
        let mut entry = entry.tried(unreadable)?;
        count.add(entry.size())?;
        let path = entry.path().tried(unreadable)?.into_owned();
        let there = within(root, &path)?;
        if there == root {
            continue;
        }
        if let Some(parent) = there.parent() {
            // Made one by one below: a directory that is a link would lead out of what was checked.
            make_parents(root, parent)?;
        }
        let kind = entry.header().entry_type();
        let mode = entry.header().mode().unwrap_or(0o644);
        let link = entry
            .link_name()
            .tried(unreadable)?
            .map(std::borrow::Cow::into_owned);
        match (kind, link) {
            (tar::EntryType::Directory, _) => {
                make_parents(root, &there)?;
            }
            (tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse, _) => {
                let _ = fs::remove_file(&there);
                let mut file = File::create_new(&there).tried(|| format!("make {}", there.display()))?;
                io::copy(&mut entry, &mut file).tried(|| format!("unpack {}", path.display()))?;
                set_mode(&there, mode)?;
            }
            (tar::EntryType::Symlink, Some(target)) => {
                check_link(&there, &target, root)?;
                let _ = fs::remove_file(&there);
                symlink(target, &there).tried(|| format!("make {}", there.display()))?;
            }
            (tar::EntryType::Link, Some(target)) => {
                let target = within(root, &target)?;
                make_parents(root, target.parent().unwrap_or(root))?;
                let is_file = fs::symlink_metadata(&target).is_ok_and(|found| found.is_file());
                if !is_file {
                    return Err(format!(
                        "{} is a link to something that is not a file of the archive",
                        path.display()
                    ));
                }
                fs::copy(&target, &there).tried(|| format!("copy {}", target.display()))?;
            }
            (tar::EntryType::XGlobalHeader, _) => {}
            _ => {
                return Err(format!(
                    "{} is neither a file nor a directory nor a link: images contain nothing else",
                    path.display()
                ));
            }
        }
    }
    Ok(())
}

/// The destination of an archive's path, below the image's root.
pub(crate) fn within(root: &Path, path: &Path) -> Result<PathBuf, String> {
    let mut there = root.to_owned();
    for part in path.components() {
        match part {
            Component::Normal(name) => there.push(name),
            Component::CurDir => {}
            _ => return Err(format!("{} leads out of the image", path.display())),
        }
    }
    Ok(there)
}

/// Makes directories one by one, and returns how many there were not before; refuses existing entries that are not
/// directories.
pub(crate) fn make_parents(root: &Path, dir: &Path) -> Result<usize, String> {
    let below = dir
        .strip_prefix(root)
        .tried(|| format!("make {}", dir.display()))?;
    let mut there = root.to_owned();
    let mut made = 0;
    for name in below {
        there.push(name);
        match fs::symlink_metadata(&there) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => {
                return Err(format!(
                    "{} is no directory, but the archive has entries below it",
                    there.display()
                ));
            }
            Err(_) => {
                fs::create_dir(&there).tried(|| format!("make {}", there.display()))?;
                made += 1;
            }
        }
    }
    Ok(made)
}

/// Refuses a link that leads out of the image.
fn check_link(link: &Path, target: &Path, root: &Path) -> Result<(), String> {
    let refused = || {
        Err(format!(
            "{} is a link that leads out of the image: {}",
            link.display(),
            target.display()
        ))
    };
    let mut depth = link
        .strip_prefix(root)
        .map_or(0, |below| below.components().count())
        .saturating_sub(1);
    // Only leading dots go up. After a name, which may be a link itself, it is unknown what is above.
    let mut has_name = false;
    for part in target.components() {
        match part {
            Component::Normal(_) => has_name = true,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 && !has_name => depth -= 1,
            _ => return refused(),
        }
    }
    Ok(())
}

/// Instances may read everything and write nothing; executable files stay executable.
fn set_mode(path: &Path, mode: u32) -> Result<(), String> {
    let mode = if mode & 0o111 == 0 { 0o644 } else { 0o755 };
    fs::set_permissions(path, Permissions::from_mode(mode)).tried(|| format!("change {}", path.display()))
}

pub(crate) fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.mode() & 0o111 != 0)
}

/// Adds all files below a directory to the digest, in the order of their names.
fn digest_tree(dir: &Path, root: &Path, content: &mut Context, count: &mut Count) -> Result<(), String> {
    let unreadable = || format!("read {}", dir.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).tried(unreadable)? {
        paths.push(entry.tried(unreadable)?.path());
    }
    paths.sort();
    for path in paths {
        let found = fs::symlink_metadata(&path).tried(unreadable)?;
        count.add(found.len())?;
        let name = path
            .strip_prefix(root)
            .unwrap_or(&path)
            .as_os_str()
            .as_encoded_bytes();
        let (kind, len) = match (found.is_dir(), found.is_symlink()) {
            (true, _) => ('d', 0),
            (_, true) => ('l', found.len()),
            _ if found.mode() & 0o111 != 0 => ('x', found.len()),
            _ => ('f', found.len()),
        };
        content.update(name);
        content.update(format!("\0{kind}{len}\0").as_bytes());
        match kind {
            'd' => digest_tree(&path, root, content, count)?,
            'l' => content.update(
                fs::read_link(&path)
                    .tried(unreadable)?
                    .as_os_str()
                    .as_encoded_bytes(),
            ),
            _ => {
                let mut file = File::open(&path).tried(unreadable)?;
                let mut buffer = vec![0; 64 << 10];
                loop {
                    match file.read(&mut buffer).tried(unreadable)? {
                        0 => break,
                        count => content.update(&buffer[..count]),
                    }
                }
            }
        }
    }
    Ok(())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn check_name(name: &str) -> Result<(), String> {
    // EC2's rule for names of images.
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || "()[] ./-'@_".contains(letter);
    if (3..=128).contains(&name.len()) && name.chars().all(is_allowed) {
        return Ok(());
    }
    Err(format!(
        "'{name}' is not a valid image name: use 3 to 128 letters, digits, spaces and ()[]./-'@_"
    ))
}

#[cfg(test)]
#[path = "image/tests.rs"]
mod tests;
