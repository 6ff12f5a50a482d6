//! The keys of API callers, in AWS's shared credentials file format.
//!
//! A profile holds one key. The file is read again whenever it changes, so a new key is valid from the next call on.

use forebay_units::lock::lock;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// The largest file that is read; it has room for thousands of keys.
const FILE_LIMIT: u64 = 1 << 20;
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A new key. This is the only time that the secret is shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// The profile that holds it.
    pub profile: String,
    /// The access key id: `AKIA` and 16 letters or digits.
    pub access_key: String,
    /// The secret access key: 40 characters.
    pub secret: String,
}

/// A key without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The profile that holds it.
    pub profile: String,
    /// The access key id.
    pub access_key: String,
}

/// Why the file was not read or changed.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// An error of the file system.
    #[error("{verb} {}", path.display())]
    Io {
        /// The operation that failed.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        cause: io::Error,
    },
    /// Others may read the file, and that cannot be changed.
    #[error(
        "{} holds secret keys and is open to others (mode {mode:04o}), which cannot be changed; \
         give it to the user that runs this, with mode 0600",
        path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// The system's error.
        #[source]
        cause: io::Error,
    },
    /// A line in the file is not in the format.
    #[error("{} is damaged: line {line} {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The profile exists already.
    #[error("profile '{0}' exists already")]
    Exists(String),
    /// There is no such profile.
    #[error("there is no profile '{0}'")]
    Absent(String),
    /// The name is not valid for a profile.
    #[error("'{0}' is not a valid profile name: use 1 to 64 letters, digits, '-', '_' or '.'")]
    Name(String),
    /// The system's random number generator failed.
    #[error("the system's random number generator failed")]
    Random,
}

/// The keys of a file, kept in memory and read again when the file changes.
pub struct Credentials {
    path: PathBuf,
    cache: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
    /// How the file looked when it was read: inode, length, time of change.
    mark: Option<(u64, u64, i64, i64)>,
    secrets: BTreeMap<String, String>,
}

impl Credentials {
    /// The keys in the file at `path`, which need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Credentials {
        Credentials {
            path: path.into(),
            cache: Mutex::new(Cache::default()),
        }
    }

    /// Makes the next call read the file again.
    pub(crate) fn forget(&self) {
        lock(&self.cache).mark = None;
    }

    /// The secret of an access key id. If the file is missing or cannot be read, nobody is admitted.
    pub fn secret(&self, access_key: &str) -> Option<String> {
        let mark = fs::metadata(&self.path)
            .ok()
            .map(|file| (file.ino(), file.len(), file.mtime(), file.mtime_nsec()));
        let mut cache = lock(&self.cache);
        if mark.is_none() || cache.mark != mark {
            cache.secrets = match tighten(&self.path).and_then(|()| read(&self.path)) {
                Ok(text) => {
                    // Complete profiles count, whatever else is in the file: a typing error must not lock everyone out.
                    if let Err(error) = checked(&self.path, &text) {
                        tracing::warn!(%error, "some credentials may be ignored");
                    }
                    secrets(&text)
                }
                Err(error) => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(%error, cause, "credentials cannot be read: all calls are refused");
                    BTreeMap::new()
                }
            };
            cache.mark = mark;
        }
        cache.secrets.get(access_key).cloned()
    }
}

/// Creates a key for a new profile and adds it to the file, which is created with mode 0600 if necessary.
pub fn create(path: &Path, profile: &str) -> Result<Key, CredentialsError> {
    if !is_profile(profile) {
        return Err(CredentialsError::Name(profile.to_owned()));
    }
    let _lock = lock_file(path)?;
    let mut text = read(path)?;
    if profiles(&text).iter().any(|(name, _)| name == profile) {
        return Err(CredentialsError::Exists(profile.to_owned()));
    }
    let key = Key {
        profile: profile.to_owned(),
        access_key: format!("AKIA{}", draw(BASE32, 16)?),
        secret: draw(BASE64, 40)?,
    };
    if !text.is_empty() {
        text.push_str(if text.ends_with('\n') { "\n" } else { "\n\n" });
    }
    text.push_str(&format!(
        "[{profile}]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
        key.access_key, key.secret
    ));
    replace(path, &text)?;
    Ok(key)
}

/// Removes others' access to the file, and logs it if they had any. A missing file is fine.
pub fn tighten(path: &Path) -> Result<(), CredentialsError> {
    let Ok(found) = fs::metadata(path) else {
        // The reader reports why it cannot be read.
        return Ok(());
    };
    let mode = found.permissions().mode() & 0o7777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(mode & !0o077)).map_err(|cause| {
        CredentialsError::Open {
            path: path.to_owned(),
            mode,
            cause,
        }
    })?;
    tracing::warn!(
        "{} was open to others (mode {mode:04o}); their access was removed, but its keys may be known",
        path.display()
    );
    Ok(())
}

/// Whether the file can be read and each line is valid; the error names the first that is not.
pub fn check(path: &Path) -> Result<(), CredentialsError> {
    checked(path, &read(path)?)
}

/// All keys in the file, in its order, without secrets. A missing file has none.
pub fn list(path: &Path) -> Result<Vec<Listed>, CredentialsError> {
    let text = read(path)?;
    checked(path, &text)?;
    let keyed = profiles(&text).into_iter().filter_map(|(profile, facts)| {
        let access_key = facts.get("aws_access_key_id")?.clone();
        Some(Listed { profile, access_key })
    });
    Ok(keyed.collect())
}

/// A profile's key; none if there is no such profile, or it has none.
pub fn find(path: &Path, profile: &str) -> Result<Option<Key>, CredentialsError> {
    let text = read(path)?;
    checked(path, &text)?;
    let found = profiles(&text).into_iter().find(|(name, _)| name == profile);
    Ok(found.and_then(|(profile, mut facts)| {
        Some(Key {
            profile,
            access_key: facts.remove("aws_access_key_id")?,
            secret: facts.remove("aws_secret_access_key")?,
        })
    }))
}

/// Removes a profile from the file; everything else stays as it is.
pub fn delete(path: &Path, profile: &str) -> Result<(), CredentialsError> {
    let _lock = lock_file(path)?;
    let text = read(path)?;
    if !profiles(&text).iter().any(|(name, _)| name == profile) {
        return Err(CredentialsError::Absent(profile.to_owned()));
    }
    let (mut kept, mut inside) = (String::with_capacity(text.len()), false);
    for line in text.split_inclusive('\n') {
        if let Some(name) = header(line) {
            inside = name == profile;
        }
        if !inside {
            kept.push_str(line);
        }
    }
    replace(path, &kept)
}

fn is_profile(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// The profile that a `[profile]` line begins.
fn header(line: &str) -> Option<&str> {
    line.trim().strip_prefix('[')?.strip_suffix(']').map(str::trim)
}

/// Every profile with its settings.
fn profiles(text: &str) -> Vec<(String, BTreeMap<String, String>)> {
    let mut profiles: Vec<(String, BTreeMap<String, String>)> = Vec::new();
    for line in text.lines() {
        if let Some(name) = header(line) {
            profiles.push((name.to_owned(), BTreeMap::new()));
        } else if !line.trim_start().starts_with(['#', ';'])
            && let (Some((key, value)), Some((_, facts))) = (line.split_once('='), profiles.last_mut())
        {
            facts.insert(key.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    profiles
}

/// Refuses what no reader of the format understands, and keys without secrets.
fn checked(path: &Path, text: &str) -> Result<(), CredentialsError> {
    let damaged = |line: usize, what| {
        Err(CredentialsError::Damaged {
            path: path.to_owned(),
            line: line + 1,
            what,
        })
    };
    let mut inside = None;
    for (number, line) in text.lines().enumerate() {
        let bare = line.trim();
        if bare.is_empty() || bare.starts_with(['#', ';']) {
        } else if header(line).is_some_and(|name| !name.is_empty()) {
            inside = Some(number);
        } else if bare.starts_with('[') {
            return damaged(number, "opens a profile without naming it: write [NAME]");
        } else if !bare.contains('=') {
            return damaged(number, "is neither [PROFILE] nor NAME = VALUE");
        } else if inside.is_none() {
            return damaged(number, "stands before any [PROFILE]");
        }
    }
    let headers = text
        .lines()
        .enumerate()
        .filter(|(_, line)| header(line).is_some());
    for ((number, _), (_, facts)) in headers.zip(profiles(text)) {
        let held = |name: &str| facts.get(name).is_some_and(|value| !value.is_empty());
        match (held("aws_access_key_id"), held("aws_secret_access_key")) {
            (true, false) => return damaged(number, "begins a profile with a key id but no secret"),
            (false, true) => return damaged(number, "begins a profile with a secret but no key id"),
            _ => {}
        }
    }
    Ok(())
}

fn secrets(text: &str) -> BTreeMap<String, String> {
    let pairs = profiles(text).into_iter().filter_map(|(_, mut facts)| {
        let access_key = facts.remove("aws_access_key_id").filter(|key| !key.is_empty())?;
        // An empty secret would admit anyone who can guess the key id.
        let secret = facts
            .remove("aws_secret_access_key")
            .filter(|secret| !secret.is_empty())?;
        Some((access_key, secret))
    });
    pairs.collect()
}

fn read(path: &Path) -> Result<String, CredentialsError> {
    let failed = |cause| CredentialsError::Io {
        verb: "reading",
        path: path.to_owned(),
        cause,
    };
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        Ok(file) if file.len() > FILE_LIMIT => {
            return Err(failed(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "larger than 1 MiB",
            )));
        }
        _ => {}
    }
    fs::read_to_string(path).map_err(failed)
}

/// Keeps other processes from changing the file until the lock is dropped.
fn lock_file(path: &Path) -> Result<File, CredentialsError> {
    let path = sibling(path, "lock");
    let failed = |cause| CredentialsError::Io {
        verb: "locking",
        path: path.clone(),
        cause,
    };
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(&path)
        .map_err(failed)?;
    file.lock().map_err(failed)?;
    Ok(file)
}

/// Replaces the whole file: a reader sees the old text or the new one, and the new one survives a crash.
fn replace(path: &Path, text: &str) -> Result<(), CredentialsError> {
    let failed = |cause| CredentialsError::Io {
        verb: "writing",
        path: path.to_owned(),
        cause,
    };
    let fresh = sibling(path, "new");
    let write = || -> io::Result<()> {
        let _ = fs::remove_file(&fresh);
        let mut file = OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, path)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    };
    write().map_err(failed)
}

fn sibling(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    PathBuf::from(name)
}

/// Draws `length` letters from an alphabet whose size is a power of two, so that all letters are equally likely.
fn draw(alphabet: &[u8], length: usize) -> Result<String, CredentialsError> {
    let mut bytes = vec![0_u8; length];
    getrandom::fill(&mut bytes).map_err(|_| CredentialsError::Random)?;
    Ok(bytes
        .iter()
        .map(|byte| char::from(alphabet[usize::from(*byte) & (alphabet.len() - 1)]))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("forebay-credentials-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn keys_come_and_go_at_once() {
        let path = folder("keys").join("credentials");
        let keys = Credentials::new(&path);
        assert_eq!(keys.secret("AKIA"), None);
        let first = create(&path, "default").unwrap();
        assert_eq!((first.access_key.len(), first.secret.len()), (20, 40));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(keys.secret(&first.access_key), Some(first.secret.clone()));
        let second = create(&path, "second").unwrap();
        assert_eq!(keys.secret(&second.access_key), Some(second.secret.clone()));
        assert!(matches!(
            create(&path, "second"),
            Err(CredentialsError::Exists(_))
        ));
        assert!(matches!(create(&path, "a]\nb"), Err(CredentialsError::Name(_))));
        assert!(find(&path, "default").unwrap() == Some(first.clone()));
        assert!(find(&path, "third").unwrap().is_none());
        let listed: Vec<String> = list(&path).unwrap().into_iter().map(|key| key.profile).collect();
        assert_eq!(listed, ["default", "second"]);
        delete(&path, "default").unwrap();
        assert_eq!(keys.secret(&first.access_key), None);
        assert_eq!(keys.secret(&second.access_key), Some(second.secret));
        assert!(matches!(
            delete(&path, "default"),
            Err(CredentialsError::Absent(_))
        ));
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    #[test]
    fn foreign_lines_stay() {
        let path = folder("foreign").join("credentials");
        fs::write(
            &path,
            "# mine\n[a]\naws_access_key_id=K\naws_secret_access_key = S\nregion = x\n[b]\n",
        )
        .unwrap();
        create(&path, "c").unwrap();
        delete(&path, "b").unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with("# mine\n[a]\naws_access_key_id=K\naws_secret_access_key = S\nregion = x\n"),
            "{text}"
        );
        assert_eq!(Credentials::new(&path).secret("K").as_deref(), Some("S"));
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    /// A file that everyone could read was once used as it was.
    #[test]
    fn loose_files_are_tightened() {
        let path = folder("loose").join("credentials");
        fs::write(&path, "[a]\naws_access_key_id = K\naws_secret_access_key = S\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(Credentials::new(&path).secret("K").as_deref(), Some("S"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    /// A damaged file once listed no keys with exit code 0, and a server started with it without a word.
    #[test]
    fn damage_is_said_with_its_line() {
        let path = folder("damaged").join("credentials");
        let key = "aws_access_key_id = K\n";
        for (text, line) in [
            ("rubbish\n".to_owned(), 1),
            (format!("# mine\n{key}"), 2),
            (format!("[a\n{key}"), 1),
            (format!("[a]\nregion = x\n\n[b]\n{key}"), 4),
            ("[a]\naws_secret_access_key = S\n".to_owned(), 1),
        ] {
            fs::write(&path, &text).unwrap();
            match check(&path) {
                Err(CredentialsError::Damaged { line: told, .. }) => assert_eq!(told, line, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
            assert!(list(&path).is_err(), "{text}");
        }
        fs::write(&path, [0x80, 0xff]).unwrap();
        assert!(matches!(check(&path), Err(CredentialsError::Io { .. })));
        fs::write(&path, "; note\n[a]\nregion = x\n").unwrap();
        check(&path).unwrap();
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }
}
