//! Queries of GetMetricData and of alarms on metric math: validation and evaluation.

use crate::api::errors::validation;
use crate::cloudwatch::metric::{is_period, series, with_others};
use crate::cloudwatch::records::{MetricQuery, MetricStat, period};
use crate::ports::{Datapoints, SeriesFilter};
use crate::state::Dialect;
use core::cell::RefCell;
use forebay_awswire::ApiError;
use forebay_signals::math::{Expression, Labelled, Scope, TimeSeries, Value};
use forebay_signals::search::{Found, Search};
use forebay_signals::{Statistic, Summary};
use forebay_units::Wall;
use std::collections::{BTreeMap, BTreeSet};

/// The most queries in one call.
pub(super) const QUERY_LIMIT: usize = 500;
/// The most series that one SEARCH finds.
const FOUND_LIMIT: usize = 500;
/// The prefix of messages about expressions.
const IN_EXPRESSION: &str = "Error in expression";

/// Checks queries. Each is checked by itself, without the values of others.
pub(crate) fn check(queries: &[MetricQuery]) -> Result<(), ApiError> {
    if queries.len() > QUERY_LIMIT {
        return Err(validation(format!(
            "The collection MetricDataQueries must not have a size greater than {QUERY_LIMIT}."
        )));
    }
    let mut ids = BTreeSet::new();
    for query in queries {
        check_id(&query.id)?;
        if !ids.insert(query.id.as_str()) {
            return Err(validation(format!(
                "The values for parameter id in MetricDataQueries are not unique: {}.",
                query.id
            )));
        }
    }
    for (number, query) in (1..).zip(queries) {
        match (&query.metric_stat, &query.expression) {
            (Some(stat), None) => check_stat(stat, &query.id)?,
            (None, Some(text)) => check_expression(text, query, &ids)?,
            (None, None) => {
                return Err(validation(format!(
                    "The parameter MetricDataQueries.member.{number}.MetricStat is required.\n"
                )));
            }
            (Some(_), Some(_)) => {
                return Err(validation(format!(
                    "Both MetricStat and Expression are specified for query '{}': they are mutually exclusive.",
                    query.id
                )));
            }
        }
    }
    Ok(())
}

fn check_id(id: &str) -> Result<(), ApiError> {
    let part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    if id.starts_with(|first: char| first.is_ascii_lowercase()) && id.chars().all(part) {
        return Ok(());
    }
    Err(validation(format!(
        "The value {id} is not matching the expected pattern ^[a-z][a-zA-Z0-9_]*$"
    )))
}

fn check_stat(stat: &MetricStat, id: &str) -> Result<(), ApiError> {
    if !is_period(stat.period) {
        return Err(validation(format!(
            "The period of query '{id}' must be 1, 5, 10, 20, 30 or a multiple of 60."
        )));
    }
    if stat.stat.parse::<Statistic>().is_err() {
        return Err(validation(format!(
            "The value {} for parameter Stat of query '{id}' is not supported.",
            stat.stat
        )));
    }
    Ok(())
}

fn check_expression(text: &str, query: &MetricQuery, ids: &BTreeSet<&str>) -> Result<(), ApiError> {
    let id = &query.id;
    let parsed =
        Expression::parse(text).map_err(|error| validation(format!("{IN_EXPRESSION} '{id}': {error}")))?;
    if let Some(missing) = parsed.ids().find(|other| !ids.contains(other) || other == id) {
        return Err(validation(format!(
            "{IN_EXPRESSION} '{id}': no other query has the id '{missing}'"
        )));
    }
    if query.period.is_some_and(|period| !is_period(period)) {
        return Err(validation(format!(
            "The period of query '{id}' must be 1, 5, 10, 20, 30 or a multiple of 60."
        )));
    }
    Ok(())
}

/// The evaluation of queries over a time range. Each query is evaluated once, however often others refer to it.
pub(crate) struct Evaluation<'a> {
    pub(crate) queries: &'a [MetricQuery],
    pub(crate) region: &'a str,
    pub(crate) datapoints: &'a dyn Datapoints,
    pub(crate) from: Wall,
    pub(crate) to: Wall,
    dialect: Dialect,
    known: RefCell<BTreeMap<String, Result<Value, String>>>,
}

impl<'a> Evaluation<'a> {
    pub(crate) fn new(
        queries: &'a [MetricQuery],
        region: &'a str,
        datapoints: &'a dyn Datapoints,
        from: Wall,
        to: Wall,
    ) -> Evaluation<'a> {
        Evaluation {
            queries,
            region,
            datapoints,
            from,
            to,
            dialect: Dialect::Aws,
            known: RefCell::default(),
        }
    }

    /// The same evaluation with another dialect's labels, and its handling of metrics without dimensions.
    pub(crate) fn like(mut self, dialect: Dialect) -> Evaluation<'a> {
        self.dialect = dialect;
        self
    }

    /// A query's label. moto adds the statistic.
    pub(crate) fn label(&self, query: &MetricQuery) -> String {
        match (&query.label, &query.metric_stat) {
            (Some(label), _) => label.clone(),
            (None, Some(stat)) if self.dialect == Dialect::Moto => {
                format!("{} {}", stat.metric.metric_name, stat.stat)
            }
            (None, Some(stat)) => stat.metric.metric_name.clone(),
            (None, None) => query.id.clone(),
        }
    }

    /// The value of the query with this id, or its error.
    pub(crate) fn value(&self, id: &str) -> Result<Value, String> {
        if let Some(known) = self.known.borrow().get(id) {
            return known.clone();
        }
        let Some(query) = self.queries.iter().find(|query| query.id == id) else {
            return Err(format!("no query has the id '{id}'"));
        };
        // A query that refers back to itself finds this entry while it is being evaluated.
        let circle = Err(format!("{IN_EXPRESSION} '{id}': it refers to itself"));
        self.known.borrow_mut().insert(id.to_owned(), circle);
        let value = match (&query.metric_stat, &query.expression) {
            (Some(stat), _) => self.statistic(stat).map(Value::Series),
            (None, Some(text)) => self.expression(query, text),
            (None, None) => Err(format!("query '{id}' has neither a metric nor an expression")),
        };
        self.known.borrow_mut().insert(id.to_owned(), value.clone());
        value
    }

    fn statistic(&self, stat: &MetricStat) -> Result<TimeSeries, String> {
        let statistic = stat
            .stat
            .parse::<Statistic>()
            .map_err(|error| error.to_string())?;
        let metric = &stat.metric;
        let all = if self.dialect == Dialect::Moto && metric.dimensions.is_empty() {
            with_others(metric, self.region, self.datapoints)
        } else {
            vec![series(metric, self.region)]
        };
        let mut read: BTreeMap<Wall, Summary> = BTreeMap::new();
        for series in &all {
            let unit = stat.unit.as_deref();
            for (at, summary) in self
                .datapoints
                .read(series, self.from, self.to, stat.period, unit)
            {
                read.entry(at)
                    .and_modify(|all| all.merge(&summary))
                    .or_insert(summary);
            }
        }
        let points = read
            .into_iter()
            .filter_map(|(at, summary)| Some((at.seconds(), statistic.of(&summary)?)));
        Ok(TimeSeries {
            period: stat.period,
            points: points.collect(),
        })
    }

    fn expression(&self, query: &MetricQuery, text: &str) -> Result<Value, String> {
        let told = |error: String| format!("{IN_EXPRESSION} '{}': {error}", query.id);
        let parsed = Expression::parse(text).map_err(|error| told(error.to_string()))?;
        // An error in a query that it refers to is also its own.
        for id in parsed.ids() {
            self.value(id)?;
        }
        let value = |id: &str| self.value(id).ok();
        let metrics = || self.metrics();
        let period = query.period.unwrap_or_else(|| period(self.queries));
        let search =
            |text: &str, stat: &str, asked: Option<u32>| self.search(text, stat, asked.unwrap_or(period));
        let scope = Scope {
            from: self.from.seconds(),
            to: self.to.seconds(),
            period,
            value: &value,
            metrics: &metrics,
            search: &search,
        };
        parsed.evaluate(&scope).map_err(|error| told(error.to_string()))
    }

    fn metrics(&self) -> Vec<(String, Labelled)> {
        let queries = self.queries.iter().filter(|query| query.metric_stat.is_some());
        queries
            .filter_map(|query| match self.value(&query.id) {
                Ok(Value::Series(series)) => {
                    let label = self.label(query);
                    Some((query.id.clone(), Labelled { label, series }))
                }
                _ => None,
            })
            .collect()
    }

    fn search(&self, text: &str, stat: &str, period: u32) -> Result<Vec<Labelled>, String> {
        let search = Search::parse(text).map_err(|error| error.to_string())?;
        let statistic = stat.parse::<Statistic>().map_err(|error| error.to_string())?;
        if !is_period(period) {
            return Err("a period is 1, 5, 10, 20, 30 or a multiple of 60".to_owned());
        }
        let filter = SeriesFilter {
            namespace: search.namespace().map(str::to_owned),
            ..SeriesFilter::default()
        };
        let all = self.datapoints.list(self.region, &filter);
        let found = all.into_iter().filter(|series| {
            search.finds(&Found {
                namespace: &series.namespace,
                name: &series.name,
                dimensions: &series.dimensions,
            })
        });
        let read = found.take(FOUND_LIMIT).map(|series| {
            let read = self.datapoints.read(&series, self.from, self.to, period, None);
            let points = read
                .into_iter()
                .filter_map(|(at, summary)| Some((at.seconds(), statistic.of(&summary)?)));
            let values = series.dimensions.iter().map(|(_, value)| value.as_str());
            let label = core::iter::once(series.name.as_str()).chain(values);
            Labelled {
                label: label.collect::<Vec<_>>().join(" "),
                series: TimeSeries {
                    period,
                    points: points.collect(),
                },
            }
        });
        Ok(read.filter(|one| !one.series.points.is_empty()).collect())
    }
}
