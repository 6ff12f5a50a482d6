//! Deletes log files at the end of their retention, in its own thread and a few at a time, so that writers do not notice.
//! Anything whose path is not that of a log file of this server stays, and so does whatever a link leads to.

use super::counters::{Log, LogCounters};
use super::log_path::{LogFile, is_past};
use std::fs::{self, ReadDir};
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, SystemTime};

/// Shortest retention. A file may get lines for a little over five minutes; a shorter retention could delete an open file.
const LEAST: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Time from the end of one look to the next.
const REST: Duration = Duration::from_secs(3600);
/// Directory entries that are looked at without a pause, and the pause after them.
const STEP: usize = 200;
const PAUSE: Duration = Duration::from_millis(20);
/// Most levels of directories that are entered; a bucket's prefix may have some.
const DEEPEST: usize = 64;

/// How long log files are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Retention {
    /// Files are never deleted.
    #[default]
    Forever,
    /// This long after the last line was written.
    For(Duration),
}

impl FromStr for Retention {
    type Err = String;

    /// Parses `off`, days such as `30` or `30d`, or hours such as `36h`.
    fn from_str(text: &str) -> Result<Retention, String> {
        let wrong = || {
            format!(
                "'{text}' is not a retention: give days, such as 30, or hours, such as 36h, or off to keep logs for ever"
            )
        };
        if text == "off" {
            return Ok(Retention::Forever);
        }
        let (digits, unit) = match text.strip_suffix('h') {
            Some(digits) => (digits, LEAST),
            None => (text.strip_suffix('d').unwrap_or(text), DAY),
        };
        let count: u32 = digits.parse().map_err(|_| wrong())?;
        // The limit is a thousand years.
        if count == 0 || count > 365_000 {
            return Err(wrong());
        }
        Ok(Retention::For(unit * count))
    }
}

/// What one look deleted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Deleted {
    pub(super) files: u64,
    pub(super) bytes: u64,
}

/// Looks for old files at intervals, until the sender of `told` is dropped.
pub(super) fn run(root: &Path, keep: Duration, counters: &Arc<LogCounters>, told: &Receiver<()>) {
    let pause = |time| matches!(told.recv_timeout(time), Err(RecvTimeoutError::Timeout));
    loop {
        let began = SystemTime::now();
        let Some(deleted) = look(root, keep, began, counters, &pause) else {
            return;
        };
        if deleted.files > 0 {
            tracing::info!(
                files = deleted.files,
                bytes = deleted.bytes,
                "log files were deleted at the end of their retention (--log-retention)"
            );
        }
        if !pause(REST) {
            return;
        }
    }
}

/// A directory that is being read.
struct Open {
    path: PathBuf,
    entries: ReadDir,
}

/// Looks at all files once; none if `pause` said to stop.
pub(super) fn look(
    root: &Path,
    keep: Duration,
    now: SystemTime,
    counters: &LogCounters,
    pause: &dyn Fn(Duration) -> bool,
) -> Option<Deleted> {
    let mut deleted = Deleted::default();
    let mut looked = 0;
    let mut stack: Vec<Open> = open(root.to_owned()).into_iter().collect();
    while let Some(here) = stack.last_mut() {
        looked += 1;
        if looked % STEP == 0 && !pause(PAUSE) {
            return None;
        }
        let Some(entry) = here.entries.next() else {
            let done = stack.pop()?;
            // Folders of today stay: a file may be about to be created there.
            let below = done.path.strip_prefix(root).unwrap_or(&done.path);
            if is_past(below, now) {
                // Fails if the folder is not empty, which keeps it.
                let _ = fs::remove_dir(&done.path);
            }
            continue;
        };
        let Ok(entry) = entry else { continue };
        let path = entry.path();
        // Metadata of a link itself, not of what it leads to.
        let Ok(found) = entry.metadata() else { continue };
        if found.is_dir() {
            if stack.len() < DEEPEST {
                stack.extend(open(path));
            }
            continue;
        }
        let below = path.strip_prefix(root).unwrap_or(&path);
        let age = found
            .modified()
            .ok()
            .and_then(|modified| now.duration_since(modified).ok());
        let (Some(file), Some(age)) = (LogFile::of(below), age) else {
            continue;
        };
        if found.is_file() && age > keep {
            delete(&path, file.log, found.len(), counters, &mut deleted);
        }
    }
    Some(deleted)
}

fn open(path: PathBuf) -> Option<Open> {
    let entries = fs::read_dir(&path).ok()?;
    Some(Open { path, entries })
}

fn delete(path: &Path, log: Log, bytes: u64, counters: &LogCounters, deleted: &mut Deleted) {
    match fs::remove_file(path) {
        Ok(()) => {
            deleted.files += 1;
            deleted.bytes += bytes;
            counters.deleted(log);
        }
        // Another process with the same log folder deleted it first.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            tracing::warn!(%error, path = %path.display(), "cannot delete a log file at the end of its retention")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::unix::fs::symlink;

    #[test]
    fn retentions_are_days_or_hours() {
        let hours = |count: u64| Ok(Retention::For(Duration::from_secs(count * 3600)));
        assert_eq!("off".parse(), Ok(Retention::Forever));
        assert_eq!("30".parse(), hours(30 * 24));
        assert_eq!("2d".parse(), hours(48));
        assert_eq!("36h".parse(), hours(36));
        for wrong in ["", "0", "0h", "-1", "1.5", "30 days", "never", "99999999", "h"] {
            assert!(
                wrong.parse::<Retention>().unwrap_err().contains("such as 30"),
                "{wrong}"
            );
        }
    }

    /// A file that was last written this many hours ago.
    fn file(root: &Path, path: &str, hours: u64) -> PathBuf {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "12345").unwrap();
        let time = SystemTime::now() - Duration::from_secs(hours * 3600);
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(time)
            .unwrap();
        path
    }

    #[test]
    fn what_is_old_goes_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("logs");
        let dir = "bucket/a/b/AWSLogs/123456789012/elasticloadbalancing/us-east-2/2014/02/15";
        let name = "123456789012_elasticloadbalancing_us-east-2_app.my-lb.1234567890abcdef_20140215T2340Z_172.160.1.192_20sg8hgm.log.gz";
        let day = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_secs() as i64;
        let today = crate::logs::text::utc(day);
        let recent = format!(
            "bucket/AWSLogs/123456789012/elasticloadbalancing/us-east-2/{:04}/{:02}/{:02}",
            today.year(),
            today.month(),
            today.day()
        );
        let of_today = name.replace(
            "20140215",
            &format!("{:04}{:02}{:02}", today.year(), today.month(), today.day()),
        );
        let gone = [
            file(&root, &format!("{dir}/{name}"), 49),
            file(&root, &format!("{dir}/conn_log_{name}"), 49),
            file(&root, &format!("{dir}/health_check_log_{name}"), 1000),
            file(&root, &format!("{recent}/{of_today}"), 49),
        ];
        let kept = [
            file(
                &root,
                &format!(
                    "other/AWSLogs/123456789012/elasticloadbalancing/us-east-2/2014/02/16/{}",
                    name.replace("0215", "0216")
                ),
                47,
            ),
            file(&root, &format!("{}16/{name}", dir.trim_end_matches("15")), 49),
            file(&root, &format!("x/{name}"), 49),
            file(
                &root,
                "y/AWSLogs/123456789012/elasticloadbalancing/us-east-2/2014/02/15/notes.txt",
                4900,
            ),
            file(
                &root,
                &format!("y/AWSLogs/123456789012/elasticloadbalancing/us-east-2/2014/02/15/{name}.bak"),
                4900,
            ),
            file(
                &root,
                &format!("y/AWSLogs/123456789012/elasticloadbalancing/eu-west-1/2014/02/15/{name}"),
                4900,
            ),
            file(place.path(), &format!("outside/2014/02/15/{name}"), 4900),
        ];
        symlink(
            place.path().join("outside"),
            root.join("bucket/AWSLogs/123456789012/elasticloadbalancing/eu"),
        )
        .unwrap();
        fs::create_dir_all(root.join("empty/of/mine")).unwrap();
        let counters = LogCounters::default();
        let keep = Duration::from_secs(48 * 3600);
        let deleted = look(&root, keep, SystemTime::now(), &counters, &|_| true).unwrap();
        assert_eq!(deleted, Deleted { files: 4, bytes: 20 });
        assert!(gone.iter().all(|path| !path.exists()), "{gone:?}");
        assert!(kept.iter().all(|path| path.exists()), "{kept:?}");
        // The day's folder is empty and past, and goes; its month has a file of another day, and today's folder stays.
        assert!(!root.join(dir).exists() && root.join(dir).parent().unwrap().exists());
        assert!(root.join(&recent).exists() && root.join("empty/of/mine").exists());
        let counts = counters.metrics().deleted;
        assert_eq!(counts, [(Log::Access, 2), (Log::Connection, 1), (Log::Health, 1)]);
        assert_eq!(
            look(&root, keep, SystemTime::now(), &counters, &|_| true),
            Some(Deleted::default())
        );
    }

    #[test]
    fn a_look_is_broken_off_when_the_process_ends() {
        let place = tempfile::tempdir().unwrap();
        for number in 0..2 * STEP {
            fs::write(place.path().join(number.to_string()), "").unwrap();
        }
        let counters = LogCounters::default();
        assert_eq!(
            look(place.path(), LEAST, SystemTime::now(), &counters, &|_| false),
            None
        );
    }
}
