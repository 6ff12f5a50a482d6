//! The shapes that instances can have, from a file that is read again when it changes.

use crate::errors::Tried as _;
use forebay_control::fleet::Shape;
use forebay_units::lock::lock;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The largest file that is read.
const FILE_LIMIT: u64 = 4 << 20;
/// Interval between checks for changes.
const LOOK: Duration = Duration::from_secs(1);

/// A file of shapes. If it becomes invalid, that is logged, and the last valid shapes stay.
#[derive(Debug)]
pub struct ShapeFile {
    path: Option<PathBuf>,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    shapes: Arc<Vec<Shape>>,
    mark: Option<Mark>,
    looked: Instant,
}

/// How the file looked: inode, length, time of change.
type Mark = (u64, u64, i64, i64);

/// A shape as declared in the file.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Declared {
    name: String,
    vcpus: u32,
    memory_mib: u32,
    #[serde(default = "own_architecture")]
    architecture: String,
    #[serde(default)]
    on_demand_price: f64,
    #[serde(default)]
    spot_price: Option<f64>,
    #[serde(default)]
    on_demand_capacity: BTreeMap<String, u32>,
    #[serde(default)]
    spot_capacity: BTreeMap<String, u32>,
    #[serde(default)]
    interruption_rate: f64,
}

impl ShapeFile {
    /// Without any shapes.
    pub fn none() -> ShapeFile {
        ShapeFile::with(None, Vec::new(), None)
    }

    /// The shapes of the file at `path`, which must be valid now.
    pub fn open(path: &Path) -> Result<ShapeFile, String> {
        let mark = mark(path);
        Ok(ShapeFile::with(Some(path.to_owned()), read(path)?, mark))
    }

    fn with(path: Option<PathBuf>, shapes: Vec<Shape>, mark: Option<Mark>) -> ShapeFile {
        ShapeFile {
            path,
            kept: Mutex::new(Kept {
                shapes: Arc::new(shapes),
                mark,
                looked: Instant::now(),
            }),
        }
    }

    /// The current shapes.
    pub fn shapes(&self) -> Arc<Vec<Shape>> {
        self.look(LOOK)
    }

    /// Reads the file again now, if it changed.
    pub fn look_again(&self) {
        self.look(Duration::ZERO);
    }

    fn look(&self, interval: Duration) -> Arc<Vec<Shape>> {
        let mut kept = lock(&self.kept);
        if let Some(path) = &self.path
            && kept.looked.elapsed() >= interval
        {
            kept.looked = Instant::now();
            let mark = mark(path);
            if mark != kept.mark {
                // Whatever the result, the same file is not read twice.
                kept.mark = mark;
                match read(path) {
                    Ok(shapes) => kept.shapes = Arc::new(shapes),
                    Err(error) => {
                        tracing::warn!(error, "the file of shapes is invalid; the previous shapes stay")
                    }
                }
            }
        }
        Arc::clone(&kept.shapes)
    }
}

fn mark(path: &Path) -> Option<Mark> {
    let file = fs::metadata(path).ok()?;
    Some((file.ino(), file.len(), file.mtime(), file.mtime_nsec()))
}

fn read(path: &Path) -> Result<Vec<Shape>, String> {
    let shown = path.display();
    let len = fs::metadata(path).tried(|| format!("read {shown}"))?.len();
    if len > FILE_LIMIT {
        return Err(format!("{shown} is not a list of shapes: it has {len} bytes"));
    }
    let text = fs::read(path).tried(|| format!("read {shown}"))?;
    parse(&text).map_err(|why| format!("{shown}: {why}"))
}

fn parse(text: &[u8]) -> Result<Vec<Shape>, String> {
    let declared: Vec<Declared> = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let mut names = BTreeSet::new();
    declared
        .into_iter()
        .map(|declared| {
            let name = declared.name.clone();
            let wrong = |what: &str| Err(format!("shape '{name}' {what}"));
            if name.is_empty() || name.len() > 64 || !name.bytes().all(is_allowed) {
                return wrong("has an invalid name: use letters, digits, '.' and '-', such as c6i.large");
            }
            if !names.insert(name.clone()) {
                return wrong("is declared twice");
            }
            if declared.vcpus == 0 || declared.memory_mib == 0 {
                return wrong("has no processors or no memory: vcpus and memoryMib must be at least 1");
            }
            if !["x86_64", "arm64"].contains(&&*declared.architecture) {
                return wrong("has an unknown architecture: use x86_64 or arm64");
            }
            let prices = [Some(declared.on_demand_price), declared.spot_price];
            if prices
                .into_iter()
                .flatten()
                .any(|price| !price.is_finite() || price < 0.0)
            {
                return wrong("has a negative price");
            }
            if !(0.0..=1.0).contains(&declared.interruption_rate) {
                return wrong("has an interruptionRate that is not between 0 and 1");
            }
            Ok(declared.into())
        })
        .collect()
}

impl From<Declared> for Shape {
    fn from(declared: Declared) -> Shape {
        Shape {
            name: declared.name,
            vcpus: declared.vcpus,
            memory_mib: declared.memory_mib,
            architecture: declared.architecture,
            on_demand_price: declared.on_demand_price,
            spot_price: declared.spot_price,
            on_demand_capacity: declared.on_demand_capacity,
            spot_capacity: declared.spot_capacity,
            interruption_rate: declared.interruption_rate,
        }
    }
}

fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-'
}

fn own_architecture() -> String {
    match std::env::consts::ARCH {
        "aarch64" => "arm64".to_owned(),
        _ => "x86_64".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = r#"[{"name": "c6i.large", "vcpus": 2, "memoryMib": 4096, "onDemandPrice": 0.085,
        "spotPrice": 0.03, "onDemandCapacity": {"local-1a": 10}, "interruptionRate": 0.05}]"#;

    #[test]
    fn a_file_is_read_again_and_the_last_good_one_stays() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("shapes.json");
        fs::write(&path, ONE).unwrap();
        let file = ShapeFile::open(&path).unwrap();
        assert_eq!(file.shapes()[0].on_demand_capacity["local-1a"], 10);
        fs::write(&path, "[{").unwrap();
        file.look_again();
        assert_eq!(file.shapes().len(), 1);
        fs::write(&path, "[]").unwrap();
        file.look_again();
        assert_eq!(file.shapes().len(), 0);
    }

    #[test]
    fn errors_name_what_is_wrong() {
        let wrong = |from: &str, to: &str| parse(ONE.replace(from, to).as_bytes()).unwrap_err();
        assert!(wrong("\"vcpus\": 2", "\"vcpus\": 0").contains("'c6i.large'"));
        assert!(wrong("memoryMib", "memory").contains("unknown field `memory`"));
        assert!(wrong("0.05", "1.5").contains("interruptionRate"));
        assert!(wrong("0.085", "-1").contains("price"));
    }
}
