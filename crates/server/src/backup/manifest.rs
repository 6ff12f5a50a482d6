//! The manifest of a backup. Its format is described in docs/decisions/0038-backups.md.

use anyhow::{Context as _, bail};
use forebay_control::State;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The format in which archives are written.
pub const BACKUP_FORMAT: u64 = 1;

/// The kind of a member of the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    File,
    Directory,
    Link,
}

/// A member of the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Member {
    /// Path below the data directory.
    pub(super) path: String,
    pub(super) kind: Kind,
    pub(super) bytes: u64,
    /// Digest of its bytes, or of a link's target, in hexadecimal.
    pub(super) sha256: String,
}

/// The last member of the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Format of the archive.
    pub format: u64,
    /// Version of the program that made it.
    pub program: String,
    /// Time at which it was made, in RFC 3339 form.
    pub made: String,
    /// The running process that gave the state; none if none was running.
    pub process: Option<u32>,
    /// Format of the store in it.
    pub store_format: u64,
    /// Address pools of the state.
    pub pool: String,
    /// Domain of its load balancers' names.
    pub domain: String,
    /// Number of rows in the state, by table.
    pub rows: BTreeMap<String, u64>,
    /// Number of access keys.
    pub keys: u64,
    /// Number of images; none if they were left out.
    pub images: Option<u64>,
    /// Whether messages of queues are included, if there were any.
    #[serde(default)]
    pub messages: bool,
    /// Whether datapoints of metrics are included.
    pub datapoints: bool,
    pub(super) members: Vec<Member>,
}

/// The words for rows: for one, for many, and the tables.
const WORDS: [(&str, &str, &[&str]); 10] = [
    ("load balancer", "load balancers", &["elbv2.load-balancer"]),
    ("listener", "listeners", &["elbv2.listener"]),
    ("rule", "rules", &["elbv2.rule"]),
    ("target group", "target groups", &["elbv2.target-group"]),
    ("target", "targets", &["elbv2.target"]),
    (
        "certificate",
        "certificates",
        &["acm.certificate", "iam.server-certificate"],
    ),
    (
        "Auto Scaling group",
        "Auto Scaling groups",
        &["autoscaling.group"],
    ),
    ("instance", "instances", &["ec2.instance"]),
    ("alarm", "alarms", &["cloudwatch.alarm"]),
    ("queue", "queues", &["sqs.queue"]),
];

impl Manifest {
    /// Reads the last member. A newer format is reported differently from damage.
    pub(super) fn parse(text: &[u8]) -> anyhow::Result<Manifest> {
        #[derive(Deserialize)]
        struct About {
            format: u64,
            program: String,
        }
        let about: About =
            serde_json::from_slice(text).context("its manifest is damaged: use another backup")?;
        if about.format > BACKUP_FORMAT {
            bail!(
                "it has format {} and was made by Forebay {}; this version reads formats 1 to {BACKUP_FORMAT}: use that version, or a newer one",
                about.format,
                about.program
            );
        }
        serde_json::from_slice(text).context("its manifest is damaged: use another backup")
    }

    /// Bytes of all members.
    pub fn bytes(&self) -> u64 {
        self.members.iter().map(|member| member.bytes).sum()
    }

    /// Number of members.
    pub fn count(&self) -> usize {
        self.members.len()
    }

    /// The names in the data directory for which it has content.
    pub(super) fn tops(&self) -> Vec<&str> {
        let mut tops: Vec<&str> = self
            .members
            .iter()
            .filter_map(|member| member.path.split('/').next())
            .collect();
        tops.sort_unstable();
        tops.dedup();
        tops
    }
}

/// Number of rows in the state, by table.
pub(super) fn rows(state: &State) -> BTreeMap<String, u64> {
    let mut rows = BTreeMap::new();
    for row in state.rows() {
        *rows.entry(row.table.to_owned()).or_insert(0) += 1;
    }
    rows
}

/// `3 load balancers`.
fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

impl fmt::Display for Manifest {
    /// Writes one line about the contents, without secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |tables: &[&str]| -> u64 { tables.iter().filter_map(|table| self.rows.get(*table)).sum() };
        let mut parts: Vec<String> = WORDS
            .iter()
            .map(|(one, many, tables)| counted(of(tables), one, many))
            .collect();
        parts.push(counted(self.keys, "access key", "access keys"));
        parts.push(match self.images {
            Some(images) => counted(images, "image", "images"),
            None => "no images".to_owned(),
        });
        if !self.messages {
            parts.push("no messages".to_owned());
        }
        if self.datapoints {
            parts.push("datapoints".to_owned());
        }
        f.write_str(&parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_formats_are_told_from_damage() {
        let newer = Manifest::parse(br#"{"format": 2, "program": "9.0.0", "new": []}"#).unwrap_err();
        assert!(newer.to_string().contains("made by Forebay 9.0.0"), "{newer}");
        for damaged in [&b"{"[..], br#"{"format": 1, "program": "0.1.0"}"#, b""] {
            let error = Manifest::parse(damaged).unwrap_err();
            assert!(error.to_string().contains("damaged"), "{error}");
        }
    }
}
