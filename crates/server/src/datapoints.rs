//! Where datapoints are kept: in memory within bounds, and on disk beside the state, at most five seconds later.

use forebay_control::{Datapoint, Datapoints, PutError, Series, SeriesFilter};
use forebay_signals::Summary;
use forebay_signals::series::{self, Limits, Point, Resolution, Store, TIERS};
use forebay_store::points::{Frame, PointFiles};
use forebay_units::Wall;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Time between two batches for the disk: what a crash costs at most, and as long again for writing it.
const BATCH: Duration = Duration::from_secs(5);
/// Time between two looks at what has its age.
const COMPACT: Duration = Duration::from_secs(60);
/// Metrics at most, and memory for all points.
const LIMITS: Limits = Limits {
    series: 200_000,
    bytes: 256 << 20,
};
/// Room on disk for all points.
const DISK: u64 = 4 << 30;
/// Points that wait for a disk that takes none. More are lost to it, not to memory.
const WAITING: usize = 1_000_000;

/// A metric's points of one unit. Shared by all who name it: points of a flood would repeat long names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Key(Arc<Named>);

/// The unit is last: those of a metric are neighbours.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Named {
    region: String,
    namespace: String,
    name: String,
    dimensions: Vec<(String, String)>,
    unit: Option<String>,
}

impl Key {
    fn of(series: &Series, unit: Option<String>) -> Key {
        Key(Arc::new(Named {
            region: series.region.clone(),
            namespace: series.namespace.clone(),
            name: series.name.clone(),
            dimensions: series.dimensions.clone(),
            unit,
        }))
    }

    fn is_of(&self, series: &Series) -> bool {
        let key = &*self.0;
        (&key.region, &key.namespace, &key.name) == (&series.region, &series.namespace, &series.name)
            && key.dimensions == series.dimensions
    }

    fn unit(&self) -> &str {
        self.0.unit.as_deref().unwrap_or("None")
    }

    fn series(&self) -> Series {
        let key = &*self.0;
        Series {
            region: key.region.clone(),
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            dimensions: key.dimensions.clone(),
        }
    }
}

impl series::Key for Key {
    fn bytes(&self) -> usize {
        let key = &*self.0;
        let names = [&key.region, &key.namespace, &key.name];
        let pairs = key.dimensions.iter().flat_map(|(name, value)| [name, value]);
        let texts = names.into_iter().chain(pairs).chain(&key.unit);
        size_of::<Named>() + texts.map(|text| size_of::<String>() + text.len()).sum::<usize>()
    }
}

struct Inner {
    store: Store<Key>,
    /// What the disk has yet to take, in the order in which it came.
    fresh: Vec<Point<Key>>,
    /// What came while as many waited as may.
    lost: u64,
    /// What the disk has is to go.
    cleared: bool,
}

/// All datapoints.
pub(crate) struct KeptDatapoints(Mutex<Inner>);

/// Puts them on disk; on a thread of its own.
struct Keeper {
    kept: Arc<KeptDatapoints>,
    files: PointFiles,
    compacted: Instant,
    /// A failure is told once, until it is over.
    failing: bool,
}

impl KeptDatapoints {
    /// Reads what is in this directory, and keeps what comes from now on. `now` reads the clock; `go_on` waits for as long as it is told
    /// and says whether there is more to do.
    ///
    /// # Errors
    /// If the directory cannot be read or the thread not started.
    pub(crate) fn start(
        directory: &Path,
        now: impl Fn() -> Wall + Send + 'static,
        mut go_on: impl FnMut(Duration) -> bool + Send + 'static,
    ) -> io::Result<(Arc<KeptDatapoints>, std::thread::JoinHandle<()>)> {
        let files = PointFiles::open(directory, DISK)?;
        let mut store = Store::new(LIMITS);
        let damaged = files.read(|tier, frame: Frame<Key>| restore(&mut store, tier, frame))?;
        for path in damaged {
            tracing::warn!(path = %path.display(), "a file of datapoints is cut off: what stood at its end is lost");
        }
        let kept = Arc::new(KeptDatapoints(Mutex::new(Inner {
            store,
            fresh: Vec::new(),
            lost: 0,
            cleared: false,
        })));
        let mut keeper = Keeper {
            kept: Arc::clone(&kept),
            files,
            compacted: Instant::now(),
            failing: false,
        };
        let thread = std::thread::Builder::new()
            .name("datapoints".to_owned())
            .spawn(move || {
                while go_on(BATCH) {
                    keeper.write(now().seconds());
                }
                keeper.write(now().seconds());
            })?;
        Ok((kept, thread))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn restore(store: &mut Store<Key>, tier: usize, frame: Frame<Key>) {
    if let Some(second) = frame.widened
        && let Some(below) = tier.checked_sub(1)
    {
        store.set_widened(below, second);
    }
    for (place, second, summary) in frame.points {
        let Some(key) = frame.series.get(place as usize) else {
            continue;
        };
        // There were no more when they were written; a lower bound since then costs the newest.
        let _ = store.restore(&Point {
            key: key.clone(),
            tier,
            second,
            summary,
        });
    }
}

impl Keeper {
    fn write(&mut self, now: i64) {
        let (fresh, cleared) = {
            let mut inner = self.kept.inner();
            (
                core::mem::take(&mut inner.fresh),
                core::mem::take(&mut inner.cleared),
            )
        };
        if cleared && let Err(error) = self.files.clear() {
            tracing::error!(%error, "datapoints that were forgotten cannot be deleted");
        }
        if let Err((error, mut left)) = self.append(now, fresh) {
            if !self.failing {
                tracing::error!(%error, "datapoints cannot be written: a restart would lose them");
            }
            self.failing = true;
            let mut inner = self.kept.inner();
            left.append(&mut inner.fresh);
            left.drain(..left.len().saturating_sub(WAITING));
            inner.fresh = left;
            return;
        }
        if core::mem::take(&mut self.failing) {
            tracing::info!("datapoints are written again");
        }
        if self.compacted.elapsed() >= COMPACT {
            self.compacted = Instant::now();
            self.compact(now);
        }
    }

    fn append(&mut self, now: i64, points: Vec<Point<Key>>) -> Result<(), (io::Error, Vec<Point<Key>>)> {
        let mut tiers: [Vec<Point<Key>>; TIERS.len()] = Default::default();
        for point in points {
            tiers[point.tier].push(point);
        }
        for tier in 0..TIERS.len() {
            if tiers[tier].is_empty() {
                continue;
            }
            let frame = Frame::of(&tiers[tier], None);
            if let Err(error) = self.files.append(now, tier, &frame) {
                return Err((error, tiers[tier..].concat()));
            }
        }
        Ok(())
    }

    /// Makes wider points of old ones, and writes these. Points that could not be written are narrow again after a restart, no worse.
    fn compact(&mut self, now: i64) {
        let mut tiers: [Vec<Point<Key>>; TIERS.len()] = Default::default();
        let widened = {
            let mut inner = self.kept.inner();
            inner.store.compact(now, |point| tiers[point.tier].push(point));
            [0, 1, 2].map(|tier| inner.store.widened(tier))
        };
        // The widest first: what narrower points became is there before they are said to have become it.
        for tier in (1..TIERS.len()).rev() {
            if tiers[tier].is_empty() {
                continue;
            }
            let frame = Frame::of(&tiers[tier], Some(widened[tier - 1]));
            if let Err(error) = self.files.append(now, tier, &frame) {
                tracing::error!(%error, "datapoints cannot be written: a restart would lose them");
                return;
            }
        }
        if let Err(error) = self.files.expire(now) {
            tracing::error!(%error, "old datapoints cannot be deleted");
        }
    }
}

impl Datapoints for KeptDatapoints {
    fn put(&self, points: Vec<Datapoint>) -> Result<(), PutError> {
        let mut inner = self.inner();
        for point in points {
            let resolution = if point.high_resolution {
                Resolution::High
            } else {
                Resolution::Standard
            };
            let key = Key::of(&point.series, point.unit);
            let put = inner
                .store
                .put(&key, point.at.seconds(), resolution, point.summary);
            let point = put.map_err(|error| PutError { cause: error.into() })?;
            if inner.fresh.len() < WAITING {
                inner.fresh.push(point);
            } else {
                inner.lost += 1;
            }
        }
        Ok(())
    }

    fn read(
        &self,
        series: &Series,
        from: Wall,
        to: Wall,
        period_seconds: u32,
        unit: Option<&str>,
    ) -> Vec<(Wall, Summary)> {
        let inner = self.inner();
        let range = from.seconds()..to.seconds();
        let mut all: BTreeMap<i64, Summary> = BTreeMap::new();
        let keys = inner.store.keys(Key::of(series, None)..);
        for key in keys.take_while(|key| key.is_of(series)) {
            if unit.is_some_and(|unit| unit != key.unit()) {
                continue;
            }
            for (second, summary) in inner.store.read(key, range.clone(), i64::from(period_seconds)) {
                all.entry(second)
                    .and_modify(|all| all.merge(&summary))
                    .or_insert(summary);
            }
        }
        all.into_iter()
            .map(|(second, summary)| (Wall::from_seconds(second), summary))
            .collect()
    }

    fn units(&self, series: &Series) -> Vec<String> {
        let inner = self.inner();
        let keys = inner.store.keys(Key::of(series, None)..);
        let keys = keys.take_while(|key| key.is_of(series));
        keys.map(|key| key.unit().to_owned()).collect()
    }

    fn list(&self, region: &str, filter: &SeriesFilter) -> Vec<Series> {
        let inner = self.inner();
        let since = filter.active_since.map(Wall::seconds);
        let mut found: Vec<Series> = inner
            .store
            .series()
            .filter(|(key, newest)| key.0.region == region && since.is_none_or(|since| *newest >= since))
            .map(|(key, _)| key.series())
            .filter(|series| filter.fits(series))
            .collect();
        found.dedup();
        found
    }

    fn clear(&self) {
        let mut inner = self.inner();
        inner.store = Store::new(LIMITS);
        inner.fresh.clear();
        inner.cleared = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    fn series(name: &str) -> Series {
        Series {
            region: "local-1".to_owned(),
            namespace: "N".to_owned(),
            name: name.to_owned(),
            dimensions: vec![("D".to_owned(), "1".to_owned())],
        }
    }

    fn point(name: &str, second: i64, unit: Option<&str>, value: f64) -> Datapoint {
        Datapoint {
            series: series(name),
            at: Wall::from_seconds(second),
            unit: unit.map(str::to_owned),
            summary: Summary::of(value, 1.0),
            high_resolution: true,
        }
    }

    /// Kept datapoints whose thread writes when it is told to, and ends with the sender.
    fn open(directory: &Path) -> (Arc<KeptDatapoints>, mpsc::Sender<()>, std::thread::JoinHandle<()>) {
        let (go, told) = mpsc::channel();
        let (kept, thread) = KeptDatapoints::start(
            directory,
            || Wall::from_seconds(1_000),
            move |_| told.recv().is_ok(),
        )
        .unwrap();
        (kept, go, thread)
    }

    fn sums(kept: &KeptDatapoints, name: &str, unit: Option<&str>) -> Vec<(i64, f64)> {
        let read = kept.read(
            &series(name),
            Wall::from_seconds(0),
            Wall::from_seconds(2_000),
            1,
            unit,
        );
        read.iter()
            .map(|(at, summary)| (at.seconds(), summary.sum))
            .collect()
    }

    #[test]
    fn what_was_put_is_there_in_the_next_run() {
        let place = tempfile::tempdir().unwrap();
        let (kept, go, thread) = open(place.path());
        let points = [
            point("a", 990, None, 1.0),
            point("a", 990, Some("Count"), 2.0),
            point("b", 991, None, 4.0),
        ];
        kept.put(points.to_vec()).unwrap();
        drop(go);
        thread.join().unwrap();
        let (again, go, thread) = open(place.path());
        for kept in [&kept, &again] {
            assert_eq!(sums(kept, "a", None), [(990, 3.0)]);
            assert_eq!(sums(kept, "a", Some("Count")), [(990, 2.0)]);
            assert_eq!(sums(kept, "a", Some("None")), [(990, 1.0)]);
            assert_eq!(kept.units(&series("a")), ["None", "Count"]);
            let named = |name: &str| SeriesFilter {
                name: Some(name.to_owned()),
                ..SeriesFilter::default()
            };
            assert_eq!(
                kept.list("local-1", &SeriesFilter::default()),
                [series("a"), series("b")]
            );
            assert_eq!(kept.list("local-1", &named("b")), [series("b")]);
            assert_eq!(kept.list("local-2", &named("b")), []);
        }
        drop(go);
        thread.join().unwrap();
    }
}
