//! The CPU time that a load costs, measured only while no other machine takes the CPUs.

use anyhow::Context as _;

/// Most of the CPUs' time that a hypervisor may give to others during a measurement. With more, the caches are shared with
/// others, and the remaining time means nothing.
const STOLEN: f64 = 0.02;

/// Measures loads by the time for which CPU 0 is busy, and repeats measurements that a hypervisor disturbed.
pub(super) struct Meter {
    /// How many repetitions are left.
    patience: u32,
}

impl Meter {
    /// A meter that repeats at most `patience` measurements in all.
    pub(super) fn new(patience: u32) -> Meter {
        Meter { patience }
    }

    /// CPU microseconds for each request of this load, which returns its number of requests; and that number.
    pub(super) fn cost(&mut self, load: impl FnMut() -> anyhow::Result<f64>) -> anyhow::Result<(f64, f64)> {
        self.cost_by(load, Times::now)
    }

    fn cost_by(
        &mut self,
        mut load: impl FnMut() -> anyhow::Result<f64>,
        mut times: impl FnMut() -> anyhow::Result<Times>,
    ) -> anyhow::Result<(f64, f64)> {
        loop {
            let before = times()?;
            let count = load()?;
            let after = times()?;
            let stolen = (after.stolen - before.stolen) / (after.all - before.all).max(1.0);
            if stolen > STOLEN && self.patience > 0 {
                self.patience -= 1;
                println!(
                    "the hypervisor gave {:.0} % of the CPUs to others: measured again",
                    stolen * 100.0
                );
                continue;
            }
            return Ok(((after.busy - before.busy) / count, count));
        }
    }
}

/// Times since boot.
struct Times {
    /// CPU 0's busy time in microseconds: user, nice, system, irq and softirq.
    busy: f64,
    /// Times of all CPUs, in ticks: given to others while something here could have run, and in total.
    stolen: f64,
    all: f64,
}

impl Times {
    fn now() -> anyhow::Result<Times> {
        Times::parse(&std::fs::read_to_string("/proc/stat")?)
    }

    fn parse(stat: &str) -> anyhow::Result<Times> {
        let ticks = |name: &str| -> anyhow::Result<Vec<f64>> {
            let line = stat
                .lines()
                .find(|line| line.starts_with(name))
                .with_context(|| format!("/proc/stat has no {name}"))?;
            let fields = line.split_whitespace().skip(1);
            Ok(fields.filter_map(|field| field.parse().ok()).collect())
        };
        let (first, all) = (ticks("cpu0 ")?, ticks("cpu ")?);
        let busy: f64 = [0, 1, 2, 5, 6].iter().filter_map(|&field| first.get(field)).sum();
        Ok(Times {
            // USER_HZ is 100 on every Linux that Rust runs on.
            busy: busy * 10_000.0,
            stolen: all.get(7).copied().unwrap_or(0.0),
            // The guests' times that follow are already part of the users'.
            all: all.iter().take(8).sum(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_disturbed_is_measured_again_while_patience_lasts() {
        // Busy, stolen and total time at each look: an undisturbed load, a disturbed one, an undisturbed one, and three
        // disturbed ones.
        let looks = [
            (0, 0, 0),
            (50, 1, 100),
            (50, 1, 100),
            (150, 4, 200),
            (150, 4, 200),
            (190, 6, 300),
        ];
        let disturbed = [(0, 0, 0), (90, 90, 100)].repeat(3);
        let mut looks = looks.into_iter().chain(disturbed).map(|(busy, stolen, all)| {
            Ok(Times {
                busy: f64::from(busy),
                stolen: f64::from(stolen),
                all: f64::from(all),
            })
        });
        let mut meter = Meter::new(2);
        let mut loads = 0;
        let mut cost = || {
            let load = || {
                loads += 1;
                Ok(10.0)
            };
            (meter.cost_by(load, || looks.next().unwrap()).unwrap(), loads)
        };
        assert_eq!(cost(), ((5.0, 10.0), 1));
        assert_eq!(cost(), ((4.0, 10.0), 3));
        assert_eq!(cost(), ((9.0, 10.0), 5), "patience is over");
    }

    #[test]
    fn times_are_read() {
        let times = Times::parse("cpu  10 20 30 40 5 6 7 8 9 9\ncpu0 1 2 3 4 5 6 7 8 9 9\n").unwrap();
        assert_eq!((times.busy, times.stolen, times.all), (190_000.0, 8.0, 126.0));
        assert!(Times::parse("cpu 1\n").is_err());
    }
}
