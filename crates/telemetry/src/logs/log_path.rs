//! The folder and name of a log file: ALB's scheme, with the bucket as the first folder.

use super::counters::Log;
use super::text::utc;
use forebay_model::LogPlace;
use jiff::Span;
use jiff::civil::Date;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Each node begins a new file this often (user guide for Application Load Balancers, "Access logs").
pub(super) const SLOT_SECONDS: i64 = 300;

/// Where the files of one node's log are. Equal ones share files.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LogPath {
    pub(super) log: Log,
    bucket: String,
    prefix: String,
    account: String,
    region: String,
    /// `app.NAME.ID`.
    balancer: String,
    node: IpAddr,
}

impl LogPath {
    pub(super) fn new(log: Log, place: &LogPlace, balancer_arn: &str, node: IpAddr) -> LogPath {
        let mut parts = balancer_arn.splitn(6, ':').skip(3);
        let mut part = || parts.next().unwrap_or("-");
        let (region, account, resource) = (part(), part(), part());
        let name = resource.strip_prefix("loadbalancer/").unwrap_or(resource);
        LogPath {
            log,
            bucket: place.bucket.clone(),
            prefix: place.prefix.clone(),
            account: account.to_owned(),
            region: region.to_owned(),
            balancer: name.replace('/', "."),
            node,
        }
    }

    /// The file of these five minutes, relative to the folder of all buckets. `random` distinguishes files of the same
    /// minutes.
    pub(super) fn path(&self, slot: i64, random: &str) -> PathBuf {
        let end = (slot + 1) * SLOT_SECONDS;
        let at = utc(end);
        let (year, month, day) = (
            format!("{:04}", at.year()),
            format!("{:02}", at.month()),
            format!("{:02}", at.day()),
        );
        let time = format!("{:02}{:02}", at.hour(), at.minute());
        let kind = begin(self.log);
        let LogPath {
            account,
            region,
            balancer,
            node,
            ..
        } = self;
        let name = format!(
            "{kind}{account}_elasticloadbalancing_{region}_{balancer}_{year}{month}{day}T{time}Z_{}_{random}.log.gz",
            // Some file systems do not allow a colon in a name.
            node.to_string().replace(':', ".")
        );
        let mut path = PathBuf::from(component(&self.bucket));
        path.extend(
            self.prefix
                .split('/')
                .filter(|part| !part.is_empty())
                .map(component),
        );
        path.extend(["AWSLogs", account, "elasticloadbalancing", region]);
        path.extend([&*year, &*month, &*day, &*name]);
        path
    }
}

/// The prefix of each kind of log file's name.
const fn begin(log: Log) -> &'static str {
    match log {
        Log::Access => "",
        Log::Connection => "conn_log_",
        Log::Health => "health_check_log_",
    }
}

/// A log file that this server wrote, recognized by its path below the folder of all buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LogFile {
    pub(super) log: Log,
}

impl LogFile {
    /// None unless folders and name have the form that [`LogPath::path`] gives them.
    pub(super) fn of(path: &Path) -> Option<LogFile> {
        let (folder, name) = (path.parent()?, path.file_name()?.to_str()?);
        let (year, month, day) = date(folder)?;
        let mut above = folder.ancestors().skip(3);
        let mut next = || above.next()?.file_name()?.to_str();
        let (region, service, account, logs) = (next()?, next()?, next()?, next()?);
        if service != "elasticloadbalancing" || logs != "AWSLogs" {
            return None;
        }
        let log = Log::ALL
            .into_iter()
            .rev()
            .find(|log| name.starts_with(begin(*log)))?;
        let rest = name.strip_prefix(begin(log))?;
        let rest = rest.strip_prefix(&format!("{account}_elasticloadbalancing_{region}_"))?;
        // Parsed from the end: a load balancer's name may contain any separator but `_`.
        let mut parts = rest.strip_suffix(".log.gz")?.rsplitn(4, '_');
        let (random, node, time, balancer) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_time = time
            .strip_prefix(&format!("{year:04}{month:02}{day:02}T"))
            .and_then(|time| time.strip_suffix('Z'))
            .is_some_and(|time| time.len() == 4 && time.bytes().all(|byte| byte.is_ascii_digit()));
        let is_random = random.len() == 8
            && random
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        (is_time && is_random && !node.is_empty() && !balancer.is_empty()).then_some(LogFile { log })
    }
}

/// The day that the last three folders of a path name.
fn date(folder: &Path) -> Option<(i16, i8, i8)> {
    let mut parts = folder.iter().rev();
    let mut number = |digits: usize| {
        let part = parts.next()?.to_str()?;
        (part.len() == digits).then(|| part.parse::<i16>().ok()).flatten()
    };
    let (day, month, year) = (number(2)?, number(2)?, number(4)?);
    let (month, day) = (i8::try_from(month).ok()?, i8::try_from(day).ok()?);
    Date::new(year, month, day).ok()?;
    Some((year, month, day))
}

/// Whether this is the folder of a day, month or year that ended yesterday or before: nothing is written there any more.
pub(super) fn is_past(folder: &Path, now: SystemTime) -> bool {
    let seconds = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let today = utc(i64::try_from(seconds).unwrap_or(i64::MAX)).date();
    let is_below = |folder: &Path| {
        folder.parent().and_then(Path::parent).and_then(Path::file_name)
            == Some("elasticloadbalancing".as_ref())
    };
    let depth = folder.ancestors().take(3).position(is_below);
    // The last day of the month or year.
    let last = match depth {
        Some(0) => date(&folder.join("12").join("31")),
        Some(1) => date(&folder.join("01")).and_then(|(year, month, _)| {
            let last = Date::new(year, month, 1).ok()?.last_of_month();
            Some((year, month, last.day()))
        }),
        Some(2) => date(folder),
        _ => None,
    };
    let last = last.and_then(|(year, month, day)| Date::new(year, month, day).ok());
    last.and_then(|last| last.checked_add(Span::new().days(1)).ok())
        .is_some_and(|after| after < today)
}

/// A folder's name made from text that a caller of the API chose. It can never lead out of the folder it is in.
fn component(text: &str) -> String {
    let kept: String = text
        .chars()
        .map(|letter| match letter {
            '/' | '\\' => '_',
            letter if letter.is_control() => '_',
            letter => letter,
        })
        .take(200)
        .collect();
    match kept.as_str() {
        "" | "." | ".." => "_".to_owned(),
        _ => kept,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_path(bucket: &str, prefix: &str) -> LogPath {
        let place = LogPlace {
            bucket: bucket.into(),
            prefix: prefix.into(),
        };
        LogPath::new(
            Log::Access,
            &place,
            "arn:aws:elasticloadbalancing:us-east-2:123456789012:loadbalancer/app/my-lb/1234567890abcdef",
            "172.160.1.192".parse().unwrap(),
        )
    }

    #[test]
    fn names_are_albs() {
        // The example of "Access logs": 23:35 to 23:40.
        let slot = 1_392_507_300 / SLOT_SECONDS;
        assert_eq!(
            log_path("amzn-s3-demo-logging-bucket", "logging-prefix")
                .path(slot, "20sg8hgm")
                .to_str()
                .unwrap(),
            "amzn-s3-demo-logging-bucket/logging-prefix/AWSLogs/123456789012/elasticloadbalancing/us-east-2/2014/02/15/123456789012_elasticloadbalancing_us-east-2_app.my-lb.1234567890abcdef_20140215T2340Z_172.160.1.192_20sg8hgm.log.gz"
        );
        let mut other = log_path("b", "");
        other.log = Log::Connection;
        assert!(
            other
                .path(slot, "x")
                .to_str()
                .unwrap()
                .contains("/15/conn_log_123456789012_elastic")
        );
        other.log = Log::Health;
        assert!(
            other
                .path(slot, "x")
                .to_str()
                .unwrap()
                .contains("/15/health_check_log_1234")
        );
    }

    #[test]
    fn no_name_leads_out() {
        for (bucket, prefix) in [
            ("..", "a/../../b"),
            ("/etc", "//x//"),
            ("a\0b", "\u{1}"),
            ("", ""),
        ] {
            let path = log_path(bucket, prefix).path(0, "r");
            assert!(path.is_relative(), "{path:?}");
            assert!(
                path.components()
                    .all(|part| matches!(part, std::path::Component::Normal(_))),
                "{path:?}"
            );
        }
    }
}
