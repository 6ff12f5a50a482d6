//! Where a log file stands and what it is called: ALB's scheme, with the bucket as the first folder.

use super::counters::Log;
use super::text::utc;
use forebay_model::LogPlace;
use std::net::IpAddr;
use std::path::PathBuf;

/// Each node begins a new file this often (ALB's access log page).
pub(super) const SLOT_SECONDS: i64 = 300;

/// Where one node's files of one log stand. Two that are equal share files.
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

    /// The file of these five minutes, below the folder of all buckets. `random` tells files of the same minutes apart.
    pub(super) fn path(&self, slot: i64, random: &str) -> PathBuf {
        let end = (slot + 1) * SLOT_SECONDS;
        let at = utc(end);
        let (year, month, day) = (
            format!("{:04}", at.year()),
            format!("{:02}", at.month()),
            format!("{:02}", at.day()),
        );
        let time = format!("{:02}{:02}", at.hour(), at.minute());
        let kind = match self.log {
            Log::Access => "",
            Log::Connection => "conn_log_",
            Log::Health => "health_check_log_",
        };
        let LogPath {
            account,
            region,
            balancer,
            node,
            ..
        } = self;
        let name = format!(
            "{kind}{account}_elasticloadbalancing_{region}_{balancer}_{year}{month}{day}T{time}Z_{}_{random}.log.gz",
            // A colon is no letter for a file's name everywhere.
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

/// A folder's name made of what a caller of the API chose: never a way out of the folder it is in.
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
        // The access log page's example: 23:35 to 23:40.
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
