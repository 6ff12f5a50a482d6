//! The archive of a backup: a gzipped tar file whose last member contains the digests of all others.

use super::manifest::{Kind, Manifest, Member};
use anyhow::{Context as _, bail};
use aws_lc_rs::digest::{Context, SHA256};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Component, Path, PathBuf};
use tar::{Archive, Builder, EntryType, Header};

/// Name of the last member.
const MANIFEST: &str = "manifest.json";
/// Longest manifest that is read; one with half a million members is a fifth of that.
const MANIFEST_BYTES: u64 = 512 << 20;
/// First path components of members that may be restored. Anything else in an archive is refused.
const TOPS: [&str; 7] = [
    "state.redb",
    "credentials",
    "notify-secret",
    "messages",
    "functions",
    "images",
    "datapoints",
];

/// Computes the digest of what is read.
struct Digesting<R> {
    inner: R,
    digest: Context,
    bytes: u64,
}

impl<R> Digesting<R> {
    fn new(inner: R) -> Digesting<R> {
        Digesting {
            inner,
            digest: Context::new(&SHA256),
            bytes: 0,
        }
    }

    fn member(self, path: &str, kind: Kind) -> Member {
        Member {
            path: path.to_owned(),
            kind,
            bytes: self.bytes,
            sha256: hexadecimal(self.digest.finish().as_ref()),
        }
    }
}

impl<R: Read> Read for Digesting<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(out)?;
        self.digest.update(&out[..count]);
        self.bytes += count as u64;
        Ok(count)
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// An archive that is being written.
pub(super) struct Packer<W: Write> {
    tar: Builder<GzEncoder<W>>,
    members: Vec<Member>,
    made: u64,
}

impl<W: Write> Packer<W> {
    /// Writes to `out`, with this time in seconds since 1970.
    pub(super) fn new(out: W, made: u64) -> Packer<W> {
        Packer {
            tar: Builder::new(GzEncoder::new(out, Compression::fast())),
            members: Vec::new(),
            made,
        }
    }

    fn header(&self, kind: EntryType, mode: u32, size: u64) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_mtime(self.made);
        header.set_size(size);
        header
    }

    /// Adds a file of `size` bytes. Fewer are an error; more are left out.
    pub(super) fn file(&mut self, path: &str, mode: u32, size: u64, content: impl Read) -> io::Result<()> {
        let mut header = self.header(EntryType::Regular, mode & 0o700, size);
        let mut content = Digesting::new(content.take(size));
        self.tar.append_data(&mut header, path, &mut content)?;
        if content.bytes != size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.members.push(content.member(path, Kind::File));
        Ok(())
    }

    pub(super) fn directory(&mut self, path: &str) -> io::Result<()> {
        let mut header = self.header(EntryType::Directory, 0o700, 0);
        self.tar.append_data(&mut header, path, io::empty())?;
        self.members
            .push(Digesting::new(io::empty()).member(path, Kind::Directory));
        Ok(())
    }

    pub(super) fn link(&mut self, path: &str, target: &Path) -> io::Result<()> {
        let mut header = self.header(EntryType::Symlink, 0o700, 0);
        self.tar.append_link(&mut header, path, target)?;
        self.members.push(of_link(path, target));
        Ok(())
    }

    /// Writes the manifest, which is `about` with all members, and ends.
    pub(super) fn finish(mut self, mut about: Manifest) -> anyhow::Result<(W, Manifest)> {
        about.members = core::mem::take(&mut self.members);
        let text = serde_json::to_vec_pretty(&about)?;
        let mut header = self.header(EntryType::Regular, 0o600, text.len() as u64);
        self.tar.append_data(&mut header, MANIFEST, &*text)?;
        let out = self.tar.into_inner()?.finish()?;
        Ok((out, about))
    }
}

fn of_link(path: &str, target: &Path) -> Member {
    let target = target.as_os_str().as_encoded_bytes();
    let mut digest = Digesting::new(target);
    let _ = io::copy(&mut digest, &mut io::sink());
    digest.member(path, Kind::Link)
}

/// A member that is being read: its path, its kind and its bytes.
pub(super) struct Unpacked<'a> {
    pub(super) path: &'a str,
    pub(super) kind: Kind,
    pub(super) mode: u32,
    pub(super) link: Option<PathBuf>,
    pub(super) content: &'a mut dyn Read,
}

/// Reads the whole archive and passes each member to `take`, which may leave its bytes unread. Everything is compared with
/// the manifest at the end: nothing that was passed may be used before this has returned.
pub(super) fn unpack(
    path: &Path,
    take: &mut dyn FnMut(Unpacked<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<Manifest> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let damaged = || {
        format!(
            "{} is not a backup of Forebay, or it is damaged or truncated: use another backup. Nothing was changed",
            path.display()
        )
    };
    let mut archive = Archive::new(GzDecoder::new(BufReader::new(file)));
    let (mut members, mut manifest) = (Vec::new(), None);
    for entry in archive.entries().with_context(damaged)? {
        let mut entry = entry.with_context(damaged)?;
        let name = entry.path().with_context(damaged)?.into_owned();
        let Some(name) = name.to_str().map(|name| name.trim_end_matches('/').to_owned()) else {
            bail!("{}", damaged());
        };
        if manifest.is_some() {
            bail!("{}", damaged());
        }
        if name == MANIFEST {
            let mut text = Vec::new();
            (&mut entry)
                .take(MANIFEST_BYTES)
                .read_to_end(&mut text)
                .with_context(damaged)?;
            manifest =
                Some(Manifest::parse(&text).with_context(|| format!("{} cannot be read", path.display()))?);
            continue;
        }
        let kind = match entry.header().entry_type() {
            EntryType::Regular => Kind::File,
            EntryType::Directory => Kind::Directory,
            EntryType::Symlink => Kind::Link,
            _ => bail!("{}", damaged()),
        };
        let mode = entry.header().mode().with_context(damaged)?;
        let link = entry
            .link_name()
            .with_context(damaged)?
            .map(|link| link.into_owned());
        let mut content = Digesting::new(&mut entry);
        take(Unpacked {
            path: &name,
            kind,
            mode,
            link: link.clone(),
            content: &mut content,
        })?;
        io::copy(&mut content, &mut io::sink()).with_context(damaged)?;
        members.push(match (kind, link) {
            (Kind::Link, Some(target)) => of_link(&name, &target),
            _ => content.member(&name, kind),
        });
    }
    // gzip's checksum is at the very end, so everything must be read.
    io::copy(&mut archive.into_inner(), &mut io::sink()).with_context(damaged)?;
    let manifest = manifest.with_context(damaged)?;
    if manifest.members != members || !are_ours(&members) {
        bail!("{}", damaged());
    }
    Ok(manifest)
}

/// Whether all members belong in a data directory, occur once, and are in directories that came before: none may lead out
/// of the directory, not even through a link.
fn are_ours(members: &[Member]) -> bool {
    let mut known: BTreeMap<&Path, Kind> = BTreeMap::new();
    members.iter().all(|member| {
        let path = Path::new(&member.path);
        let top = path.components().next();
        let is_ours = top.is_some_and(|top| TOPS.iter().any(|ours| top.as_os_str() == *ours));
        let is_plain = path.components().all(|part| matches!(part, Component::Normal(_)));
        let is_placed = match path.parent() {
            Some(parent) if parent != Path::new("") => known.get(parent) == Some(&Kind::Directory),
            _ => member.kind != Kind::Link,
        };
        is_ours && is_plain && is_placed && known.insert(path, member.kind).is_none()
    })
}
