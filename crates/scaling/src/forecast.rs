//! Forecasts loads by the hour: the mean of the same hour on earlier days, with more weight on later days.

use std::collections::BTreeMap;

const DAY: i64 = 24;
const WEEK: i64 = 7 * DAY;
/// Days that are used (as AWS does).
const DAYS: i64 = 14;
/// Weight of a day relative to the day after it.
const FADES: f64 = 0.7;
/// Weight of the same weekdays, if there are any.
const WEEKDAYS: f64 = 0.5;

/// The loads of the hours from `from` up to `to`, from those of earlier hours (hours are numbered). `None` with less
/// than a day of history. Hours without any earlier value get the mean of the whole history.
pub fn forecast(history: &BTreeMap<i64, f64>, from: i64, to: i64) -> Option<Vec<f64>> {
    let (first, last) = (*history.keys().next()?, *history.keys().next_back()?);
    if last - first + 1 < DAY {
        return None;
    }
    let average = history.values().sum::<f64>() / history.len() as f64;
    let hours = from..to;
    Some(
        hours
            .map(|hour| of_hour(history, last, hour).unwrap_or(average))
            .collect(),
    )
}

/// How far forecasts were from the actual loads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ForecastError {
    /// Hours that were forecast and have passed.
    pub hours: u32,
    /// The mean absolute percentage error. Hours without any load are left out; `None` if there are no others.
    pub percent: Option<f64>,
    /// By how many per cent the sum of the forecasts exceeded the sum of the loads (negative if it was below); `None`
    /// without any load.
    pub bias_percent: Option<f64>,
}

/// The error of [`forecast`] for the last 24 known hours, each forecast from the hours before it. `None` if no hour has
/// a day before it.
pub fn backtest(history: &BTreeMap<i64, f64>) -> Option<ForecastError> {
    let last = *history.keys().next_back()?;
    let (mut hours, mut told, mut came) = (0, 0.0, 0.0);
    let mut errors = Vec::new();
    for (&hour, &load) in history.range(last - DAY + 1..) {
        let before: BTreeMap<i64, f64> = history.range(..hour).map(|(hour, load)| (*hour, *load)).collect();
        let Some(forecast) = forecast(&before, hour, hour + 1) else {
            continue;
        };
        hours += 1;
        told += forecast[0];
        came += load;
        if load > 0.0 {
            errors.push(100.0 * (forecast[0] - load).abs() / load);
        }
    }
    (hours > 0).then(|| ForecastError {
        hours,
        percent: (!errors.is_empty()).then(|| errors.iter().sum::<f64>() / errors.len() as f64),
        bias_percent: (came > 0.0).then(|| 100.0 * (told - came) / came),
    })
}

/// The forecast of one hour; `None` if nothing is known of it.
fn of_hour(history: &BTreeMap<i64, f64>, last: i64, hour: i64) -> Option<f64> {
    let daily = seasons(history, last, hour, DAY, DAYS);
    let weekly = seasons(history, last, hour, WEEK, DAYS * DAY / WEEK);
    match (daily, weekly) {
        (Some(daily), Some(weekly)) => Some(daily * (1.0 - WEEKDAYS) + weekly * WEEKDAYS),
        (daily, weekly) => daily.or(weekly),
    }
}

/// The mean of the loads whole seasons before an hour, with more weight on later ones.
fn seasons(history: &BTreeMap<i64, f64>, last: i64, hour: i64, season: i64, count: i64) -> Option<f64> {
    // Seasons that have not been yet are skipped.
    let skipped = (hour - last).max(0).div_euclid(season);
    let (mut sum, mut weights, mut weight) = (0.0, 0.0, 1.0);
    for back in skipped.max(1)..=skipped + count {
        if let Some(value) = history.get(&(hour - back * season)) {
            sum += value * weight;
            weights += weight;
        }
        weight *= FADES;
    }
    (weights > 0.0).then(|| sum / weights)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn days(count: i64, load: impl Fn(i64) -> f64) -> BTreeMap<i64, f64> {
        (0..count * DAY).map(|hour| (hour, load(hour))).collect()
    }

    #[test]
    fn what_repeats_each_day_is_told_and_a_day_is_needed() {
        let history = days(3, |hour| (hour % DAY) as f64);
        let told = forecast(&history, 72, 72 + 48).unwrap();
        assert_eq!(told.len(), 48);
        for (hour, told) in (0..).zip(told) {
            assert!((told - f64::from(hour % 24)).abs() < 1e-9, "hour {hour}: {told}");
        }
        assert_eq!(forecast(&days(1, |_| 1.0), 24, 26), Some(vec![1.0, 1.0]));
        let short: BTreeMap<i64, f64> = (0..23).map(|hour| (hour, 1.0)).collect();
        assert_eq!(forecast(&short, 23, 24), None);
        assert_eq!(forecast(&BTreeMap::new(), 0, 1), None);
    }

    #[test]
    fn later_days_count_more_and_weekdays_count() {
        let grows = days(4, |hour| (hour / DAY) as f64);
        let told = forecast(&grows, 96, 97).unwrap()[0];
        assert!(told > 1.5 && told < 3.0, "{told}");
        // Two weeks with quiet weekends: hours 120 to 167 of each.
        let weekly = days(14, |hour| if hour % WEEK >= 120 { 0.0 } else { 100.0 });
        let told = forecast(&weekly, 336, 336 + WEEK).unwrap();
        assert!(told[0] > 60.0 && told[130] < 50.0, "{} {}", told[0], told[130]);
    }

    #[test]
    fn the_error_is_of_the_last_day_and_of_what_was_known_before() {
        let steady = days(3, |hour| (hour % DAY + 1) as f64);
        let error = backtest(&steady).unwrap();
        assert_eq!(error.hours, 24);
        assert!(error.percent.unwrap() < 1e-9 && error.bias_percent.unwrap().abs() < 1e-9);
        // All hours but the last day's have 100; those have 200, which nothing before announces, so forecasts are half
        // of it.
        let jumps = days(3, |hour| if hour < 48 { 100.0 } else { 200.0 });
        let error = backtest(&jumps).unwrap();
        assert_eq!(error.hours, 24);
        assert!((error.percent.unwrap() - 50.0).abs() < 1e-9, "{error:?}");
        assert!((error.bias_percent.unwrap() + 50.0).abs() < 1e-9, "{error:?}");
    }

    #[test]
    fn hours_without_load_have_no_percentage_and_a_day_must_come_first() {
        let error = backtest(&days(2, |_| 0.0)).unwrap();
        assert_eq!((error.hours, error.percent, error.bias_percent), (24, None, None));
        assert_eq!(backtest(&days(1, |_| 1.0)), None);
        let error = backtest(&(0..26).map(|hour| (hour, 1.0)).collect()).unwrap();
        assert_eq!(error.hours, 2, "two hours have a day before them");
        // Half of the hours have no load; the forecasts for the others are not too high.
        let error = backtest(&days(4, |hour| (hour % 2) as f64)).unwrap();
        assert!(error.percent.unwrap() < 1e-9, "{error:?}");
        assert_eq!(backtest(&BTreeMap::new()), None);
    }

    proptest! {
        /// A forecast never lies outside the range of the history.
        #[test]
        fn forecasts_lie_within_what_was(
            loads in prop::collection::vec(0.0..1e6_f64, 24..400), ahead in 0_i64..100,
        ) {
            let history: BTreeMap<i64, f64> = (0..).zip(loads.iter().copied()).collect();
            let from = loads.len() as i64 + ahead;
            let (low, high) = loads.iter().fold((f64::MAX, 0.0_f64), |(low, high), load| (low.min(*load), high.max(*load)));
            for told in forecast(&history, from, from + 48).unwrap() {
                prop_assert!(told >= low - 1e-6 && told <= high + 1e-6);
            }
        }
    }
}
