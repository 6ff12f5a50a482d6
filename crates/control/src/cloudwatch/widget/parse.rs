//! Parses a widget's JSON into values that can be drawn.

use super::times::{moment, offset};
use crate::api::errors::validation;
use crate::cloudwatch::queries::check;
use crate::cloudwatch::records::{Dimension, Metric, MetricQuery, MetricStat};
use forebay_awswire::ApiError;
use forebay_units::Wall;
use plotters::style::RGBColor;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The most metrics and expressions of one widget (AWS's quota).
const METRIC_LIMIT: usize = 100;
/// The most pixels of an edge (AWS's quota).
const EDGE_LIMIT: u64 = 2000;
/// The most annotations; more would not be readable.
const ANNOTATION_LIMIT: usize = 50;
/// The most points of all metrics together: as many as one call of GetMetricData returns.
const POINT_LIMIT: i64 = 100_800;
/// The most letters of a text that are drawn.
const TEXT_LIMIT: usize = 200;
/// The default colours of lines, those of CloudWatch's console.
const COLOURS: [RGBColor; 10] = [
    RGBColor(0x1f, 0x77, 0xb4),
    RGBColor(0xff, 0x7f, 0x0e),
    RGBColor(0x2c, 0xa0, 0x2c),
    RGBColor(0xd6, 0x27, 0x28),
    RGBColor(0x94, 0x67, 0xbd),
    RGBColor(0x8c, 0x56, 0x4b),
    RGBColor(0xe3, 0x77, 0xc2),
    RGBColor(0x7f, 0x7f, 0x7f),
    RGBColor(0xbc, 0xbd, 0x22),
    RGBColor(0x17, 0xbe, 0xcf),
];

/// A vertical axis.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Axis {
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
    pub(super) label: Option<String>,
}

/// A line across the graph.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Annotation {
    pub(super) value: f64,
    pub(super) label: Option<String>,
    pub(super) colour: RGBColor,
    pub(super) right: bool,
}

/// Where the names of lines are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Legend {
    Bottom,
    Right,
    Hidden,
}

/// How a query is drawn.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Style {
    pub(super) id: String,
    pub(super) colour: Option<RGBColor>,
    pub(super) right: bool,
}

/// A widget.
#[derive(Clone, Debug)]
pub(super) struct Widget {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) title: String,
    pub(super) stacked: bool,
    pub(super) from: i64,
    pub(super) to: i64,
    /// The offset from UTC in seconds, positive to the east.
    pub(super) offset: i32,
    pub(super) left: Axis,
    pub(super) right: Axis,
    pub(super) legend: Legend,
    pub(super) annotations: Vec<Annotation>,
    pub(super) queries: Vec<MetricQuery>,
    /// The style of each query.
    pub(super) styles: Vec<Style>,
}

/// The default colour of the line with this number.
pub(super) fn colour(number: usize) -> RGBColor {
    COLOURS[number % COLOURS.len()]
}

/// The error for the member at this path.
fn refused(path: &str, text: &str) -> ApiError {
    validation(format!("The parameter MetricWidget is invalid: {path}: {text}"))
}

/// Reads a widget at this time, in this region.
pub(super) fn widget(text: &str, now: Wall, region: &str) -> Result<Widget, ApiError> {
    let body: Value = serde_json::from_str(text)
        .map_err(|error| refused("/", &format!("Should be valid JSON ({error})")))?;
    let Some(members) = body.as_object() else {
        return Err(refused("/", "Should be an object"));
    };
    let given = Given { members, path: "" };
    match given.text("view")?.as_deref() {
        None | Some("timeSeries") => {}
        Some(other) => {
            let text = format!("Should be timeSeries: '{other}' is not drawn");
            return Err(refused("/view", &text));
        }
    }
    let (from, to) = range(&given, now.seconds())?;
    let mut widget = Widget {
        width: given.edge("width", 600)?,
        height: given.edge("height", 400)?,
        title: given.text("title")?.unwrap_or_default(),
        stacked: given.flag("stacked")?.unwrap_or(false),
        from,
        to,
        offset: match given.text("timezone")? {
            None => 0,
            Some(text) => {
                offset(&text).ok_or_else(|| refused("/timezone", "Should be an offset such as +0130"))?
            }
        },
        left: axis(members, "left")?,
        right: axis(members, "right")?,
        legend: legend(members)?,
        annotations: annotations(members)?,
        queries: Vec::new(),
        styles: Vec::new(),
    };
    metrics(&given, region, &mut widget)?;
    check(&widget.queries)?;
    bounded(&widget)?;
    Ok(widget)
}

/// The members of an object, and its path.
struct Given<'a> {
    members: &'a Map<String, Value>,
    path: &'a str,
}

impl Given<'_> {
    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.path)
    }

    /// Reads a text. It is cut if it is too long, and control characters are removed: they could steer terminals and
    /// printers.
    fn text(&self, name: &str) -> Result<Option<String>, ApiError> {
        match self.members.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(
                text.chars()
                    .filter(|letter| !letter.is_control())
                    .take(TEXT_LIMIT)
                    .collect(),
            )),
            Some(_) => Err(refused(&self.path(name), "Should be a string")),
        }
    }

    fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.members.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => Err(refused(&self.path(name), "Should be a boolean")),
        }
    }

    fn number(&self, name: &str) -> Result<Option<f64>, ApiError> {
        match self.members.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(number) => match number.as_f64() {
                Some(number) => Ok(Some(number)),
                None => Err(refused(&self.path(name), "Should be a number")),
            },
        }
    }

    fn edge(&self, name: &str, default: u32) -> Result<u32, ApiError> {
        let Some(number) = self.members.get(name) else {
            return Ok(default);
        };
        let fits = number.as_u64().filter(|edge| (1..=EDGE_LIMIT).contains(edge));
        fits.and_then(|edge| u32::try_from(edge).ok()).ok_or_else(|| {
            refused(
                &self.path(name),
                &format!("Should be an integer from 1 to {EDGE_LIMIT}"),
            )
        })
    }

    fn period(&self) -> Result<Option<u32>, ApiError> {
        match self.members.get("period") {
            None | Some(Value::Null) => Ok(None),
            Some(number) => match number.as_u64().and_then(|period| u32::try_from(period).ok()) {
                Some(period) => Ok(Some(period)),
                None => Err(refused(&self.path("period"), "Should be an integer")),
            },
        }
    }

    fn colour(&self) -> Result<Option<RGBColor>, ApiError> {
        let Some(text) = self.text("color")? else {
            return Ok(None);
        };
        let wrong = || refused(&self.path("color"), "Should be a colour such as #1f77b4");
        let digits: Option<Vec<u8>> = text.strip_prefix('#').map(|digits| {
            digits
                .chars()
                .map_while(|digit| Some(digit.to_digit(16)? as u8))
                .collect()
        });
        match digits.filter(|digits| digits.len() + 1 == text.len()).as_deref() {
            Some([a, b, c]) => Ok(Some(RGBColor(a * 17, b * 17, c * 17))),
            Some([a, b, c, d, e, f]) => Ok(Some(RGBColor(a * 16 + b, c * 16 + d, e * 16 + f))),
            _ => Err(wrong()),
        }
    }

    fn right(&self) -> Result<bool, ApiError> {
        match self.text("yAxis")?.as_deref() {
            None | Some("left") => Ok(false),
            Some("right") => Ok(true),
            Some(_) => Err(refused(&self.path("yAxis"), "Should be left or right")),
        }
    }
}

fn range(given: &Given<'_>, now: i64) -> Result<(i64, i64), ApiError> {
    let read = |name: &str, default: i64| match given.text(name)? {
        None => Ok(default),
        Some(text) => moment(&text, now).ok_or_else(|| {
            let text = "Should be a time such as 2030-01-31T08:00:00Z or -PT3H";
            refused(&given.path(name), text)
        }),
    };
    let (from, to) = (read("start", now - 3 * 3600)?, read("end", now)?);
    // There is no data years ahead or back, and bounds keep the arithmetic of graphs small.
    const FAR: i64 = 10 * 365 * 86_400;
    if (from - now).checked_abs().is_none_or(|far| far > FAR)
        || (to - now).checked_abs().is_none_or(|far| far > FAR)
    {
        return Err(refused(
            "/start",
            "Should be within ten years of now, and so should end",
        ));
    }
    if from >= to {
        return Err(refused("/start", "Should be before end"));
    }
    Ok((from, to))
}

fn object<'a>(value: Option<&'a Value>, path: &str) -> Result<Option<&'a Map<String, Value>>, ApiError> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(members)) => Ok(Some(members)),
        Some(_) => Err(refused(path, "Should be an object")),
    }
}

fn axis(members: &Map<String, Value>, side: &str) -> Result<Axis, ApiError> {
    let path = format!("/yAxis/{side}");
    let Some(axes) = object(members.get("yAxis"), "/yAxis")? else {
        return Ok(Axis::default());
    };
    let Some(members) = object(axes.get(side), &path)? else {
        return Ok(Axis::default());
    };
    let given = Given { members, path: &path };
    let axis = Axis {
        min: given.number("min")?,
        max: given.number("max")?,
        label: given.text("label")?,
    };
    match (axis.min, axis.max) {
        (Some(min), Some(max)) if min >= max => {
            Err(refused(&path, "Should have a min that is less than its max"))
        }
        _ => Ok(axis),
    }
}

fn legend(members: &Map<String, Value>) -> Result<Legend, ApiError> {
    let Some(members) = object(members.get("legend"), "/legend")? else {
        return Ok(Legend::Bottom);
    };
    let given = Given {
        members,
        path: "/legend",
    };
    match given.text("position")?.as_deref() {
        None | Some("bottom") => Ok(Legend::Bottom),
        Some("right") => Ok(Legend::Right),
        Some("hidden") => Ok(Legend::Hidden),
        Some(_) => Err(refused("/legend/position", "Should be bottom, right or hidden")),
    }
}

fn annotations(members: &Map<String, Value>) -> Result<Vec<Annotation>, ApiError> {
    let Some(members) = object(members.get("annotations"), "/annotations")? else {
        return Ok(Vec::new());
    };
    let all = match members.get("horizontal") {
        None => return Ok(Vec::new()),
        Some(Value::Array(all)) if all.len() <= ANNOTATION_LIMIT => all,
        Some(_) => {
            let text = format!("Should be an array of at most {ANNOTATION_LIMIT} items");
            return Err(refused("/annotations/horizontal", &text));
        }
    };
    let read = all.iter().enumerate().map(|(number, one)| {
        let path = format!("/annotations/horizontal/{number}");
        let Some(members) = one.as_object() else {
            return Err(refused(
                &path,
                "Should be an object with a value: bands are not drawn",
            ));
        };
        let given = Given { members, path: &path };
        Ok(Annotation {
            value: given
                .number("value")?
                .ok_or_else(|| refused(&path, "Should have required property 'value'"))?,
            label: given.text("label")?,
            colour: given.colour()?.unwrap_or(RGBColor(0xd6, 0x27, 0x28)),
            right: given.right()?,
        })
    });
    read.collect()
}

/// Reads the metrics into queries and their styles.
fn metrics(given: &Given<'_>, region: &str, widget: &mut Widget) -> Result<(), ApiError> {
    let all = match given.members.get("metrics") {
        Some(Value::Array(all)) if (1..=METRIC_LIMIT).contains(&all.len()) => all,
        Some(Value::Array(_)) => {
            return Err(refused(
                "/metrics",
                &format!("Should have 1 to {METRIC_LIMIT} items"),
            ));
        }
        Some(_) => return Err(refused("/metrics", "Should be an array")),
        None => return Err(refused("/", "Should have required property 'metrics'")),
    };
    let period = given.period()?.unwrap_or(300);
    let stat = given.text("stat")?.unwrap_or_else(|| "Average".to_owned());
    let mut previous: Vec<String> = Vec::new();
    let taken = given_ids(all);
    let mut number = 0;
    for (place, one) in all.iter().enumerate() {
        let path = format!("/metrics/{place}");
        let Some(items) = one.as_array() else {
            return Err(refused(&path, "Should be an array"));
        };
        let none = Map::new();
        let (items, members) = match items.split_last() {
            Some((Value::Object(members), items)) => (items, members),
            _ => (items.as_slice(), &none),
        };
        let given = Given { members, path: &path };
        if let Some(other) = given.text("region")?.filter(|other| other != region) {
            return Err(refused(
                &path,
                &format!("Should be of this region: {other} is not read"),
            ));
        }
        let id = given.text("id")?.unwrap_or_else(|| free_id(&taken, &mut number));
        let mut query = MetricQuery {
            id: id.clone(),
            metric_stat: None,
            expression: given
                .members
                .get("expression")
                .and_then(Value::as_str)
                .map(str::to_owned),
            label: given.text("label")?,
            return_data: given.flag("visible")?,
            period: given.period()?,
        };
        if query.expression.is_none() {
            let names = names(items, &previous, &path)?;
            query.metric_stat = Some(MetricStat {
                metric: metric(&names),
                period: query.period.take().unwrap_or(period),
                stat: given.text("stat")?.unwrap_or_else(|| stat.clone()),
                unit: None,
            });
            previous = names;
        } else {
            if !items.is_empty() {
                return Err(refused(&path, "Should have either a metric or an expression"));
            }
            query.period = query.period.or(Some(period));
        }
        widget.queries.push(query);
        widget.styles.push(Style {
            id,
            colour: given.colour()?,
            right: given.right()?,
        });
    }
    Ok(())
}

/// The ids that the widget gives to queries.
fn given_ids(all: &[Value]) -> BTreeSet<&str> {
    let last = all.iter().filter_map(|one| one.as_array()?.last());
    last.filter_map(|options| options.get("id")?.as_str()).collect()
}

/// An id that no query has.
fn free_id(taken: &BTreeSet<&str>, number: &mut usize) -> String {
    loop {
        *number += 1;
        let id = format!("q{number}");
        if !taken.contains(id.as_str()) {
            return id;
        }
    }
}

/// A metric's namespace, name, and dimensions. `.` stands for the item at this place in the previous metric; `...`
/// stands for all items before those that follow it.
fn names(items: &[Value], previous: &[String], path: &str) -> Result<Vec<String>, ApiError> {
    let texts: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
    let texts = texts.ok_or_else(|| refused(path, "Should hold strings, and options last"))?;
    let texts = match texts.split_first() {
        Some((&"...", rest)) => {
            let Some(kept) = previous
                .len()
                .checked_sub(rest.len())
                .filter(|_| !previous.is_empty())
            else {
                return Err(refused(path, "'...' stands for more than the metric before has"));
            };
            let kept = previous[..kept].iter().map(String::as_str);
            kept.chain(rest.iter().copied()).collect()
        }
        _ => texts,
    };
    let filled = texts.iter().enumerate().map(|(place, text)| match *text {
        "." => previous
            .get(place)
            .cloned()
            .ok_or_else(|| refused(path, "'.' has no counterpart in the previous metric")),
        other => Ok(other.to_owned()),
    });
    let names = filled.collect::<Result<Vec<String>, ApiError>>()?;
    if names.len() < 2 || names.len() % 2 != 0 || names.len() > 62 {
        return Err(refused(
            path,
            "Should have a namespace, a metric's name, and a name and a value for each of at most 30 dimensions",
        ));
    }
    Ok(names)
}

fn metric(names: &[String]) -> Metric {
    let pairs = names.chunks_exact(2).skip(1);
    Metric {
        namespace: names[0].clone(),
        metric_name: names[1].clone(),
        dimensions: pairs
            .map(|pair| Dimension {
                name: pair[0].clone(),
                value: pair[1].clone(),
            })
            .collect(),
    }
}

/// Checks that all metrics together have few enough points for a graph.
fn bounded(widget: &Widget) -> Result<(), ApiError> {
    let length = widget.to - widget.from;
    let periods = widget.queries.iter().map(|query| match &query.metric_stat {
        Some(stat) => stat.period,
        None => query.period.unwrap_or(300),
    });
    let points: i64 = periods.map(|period| length / i64::from(period.max(1)) + 1).sum();
    if points <= POINT_LIMIT {
        return Ok(());
    }
    Err(validation(format!(
        "The widget asks for up to {points} datapoints, which exceeds the limit of {POINT_LIMIT}. You may reduce the datapoints \
         by increasing period, or decreasing the time range."
    )))
}
