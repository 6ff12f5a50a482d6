//! Clients' counts in each step of a scale-in, as a table, a picture and figures.

use super::scale_in_args::{Turn, Wanted};
use super::timeline::{self, Line, Words};
use anyhow::Context as _;
use forebay_process::out;
use serde_json::{Value, json};
use std::path::Path;

/// Answers that came in a step, by status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Statuses {
    pub(crate) good: u32,
    pub(crate) bad_gateway: u32,
    pub(crate) timeout: u32,
    /// Other statuses, and requests without an answer.
    pub(crate) other: u32,
}

impl Statuses {
    pub(crate) fn count(&mut self, status: Option<u16>) {
        match status {
            Some(200..=299) => self.good += 1,
            Some(502) => self.bad_gateway += 1,
            Some(504) => self.timeout += 1,
            _ => self.other += 1,
        }
    }

    pub(crate) fn failed(&self) -> u32 {
        self.bad_gateway + self.timeout + self.other
    }
}

/// A turn, and the counts of its steps.
pub(crate) struct Played {
    pub(crate) turn: Turn,
    pub(crate) steps: Vec<(Wanted, Statuses)>,
}

impl Played {
    pub(crate) fn new(turn: Turn, steps: &[Wanted]) -> Played {
        let steps = steps.iter().map(|&wanted| (wanted, Statuses::default()));
        Played {
            turn,
            steps: steps.collect(),
        }
    }

    pub(crate) fn count(&mut self, step: usize, status: Option<u16>) {
        if let Some((_, statuses)) = self.steps.get_mut(step) {
            statuses.count(status);
        }
    }

    fn sum(&self) -> Statuses {
        let mut sum = Statuses::default();
        for (_, statuses) in &self.steps {
            sum.good += statuses.good;
            sum.bad_gateway += statuses.bad_gateway;
            sum.timeout += statuses.timeout;
            sum.other += statuses.other;
        }
        sum
    }

    /// The number of steps in which a request failed.
    fn failing_steps(&self) -> usize {
        self.steps.iter().filter(|step| step.1.failed() > 0).count()
    }

    pub(crate) fn print(&self) -> anyhow::Result<()> {
        out::line(format_args!("\n{}", self.turn.word()))?;
        out::line(format_args!(
            "  {:>5} {:>8} {:>8} {:>7} {:>6} {:>6} {:>7}",
            "step", "servers", "clients", "2xx", "502", "504", "others"
        ))?;
        for (step, (wanted, counted)) in self.steps.iter().enumerate() {
            out::line(format_args!(
                "  {:>5} {:>8} {:>8} {:>7} {:>6} {:>6} {:>7}",
                step + 1,
                wanted.servers,
                wanted.clients,
                counted.good,
                counted.bad_gateway,
                counted.timeout,
                counted.other
            ))?;
        }
        let sum = self.sum();
        out::line(format_args!(
            "  {:<23} {:>7} {:>6} {:>6} {:>7}   failures in {} of {} steps",
            "  all",
            sum.good,
            sum.bad_gateway,
            sum.timeout,
            sum.other,
            self.failing_steps(),
            self.steps.len()
        ))?;
        Ok(())
    }

    fn figures(&self) -> Value {
        let statuses = |counted: &Statuses| {
            json!({
                "2xx": counted.good, "502": counted.bad_gateway, "504": counted.timeout, "others": counted.other,
            })
        };
        let steps = self.steps.iter().map(|(wanted, counted)| {
            let mut step = statuses(counted);
            step["servers"] = wanted.servers.into();
            step["clients"] = wanted.clients.into();
            step
        });
        json!({
            "turn": match self.turn { Turn::Before => "before", Turn::After => "after" },
            "all": statuses(&self.sum()), "failing_steps": self.failing_steps(), "steps": steps.collect::<Vec<_>>(),
        })
    }
}

/// Draws failures of each turn, and servers.
pub(crate) fn draw(file: &Path, title: &str, turns: &[Played]) -> anyhow::Result<()> {
    let line = |played: &Played, name: &str, is_right, value: fn(&(Wanted, Statuses)) -> f64| {
        let values = played.steps.iter().enumerate();
        let values = values.map(|(at, step)| (at as f64, value(step)));
        Line {
            name: name.to_owned(),
            points: timeline::steps(values, played.steps.len() as f64),
            is_right,
        }
    };
    let mut lines: Vec<Line> = turns
        .iter()
        .map(|played| {
            let failed = |step: &(Wanted, Statuses)| f64::from(step.1.failed());
            line(played, &format!("failed, {}", played.turn.word()), false, failed)
        })
        .collect();
    if let Some(played) = turns.first() {
        let servers = |step: &(Wanted, Statuses)| f64::from(step.0.servers);
        lines.push(line(played, "servers", true, servers));
    }
    let words = Words {
        title,
        below: "step",
        left: "failed requests in a step",
        right: "servers",
    };
    timeline::draw(file, &words, &lines)?;
    out::line(format_args!("Drawn: {}", file.display()))?;
    Ok(())
}

/// Writes all figures.
pub(crate) fn write(file: &Path, title: &str, turns: &[Played]) -> anyhow::Result<()> {
    let turns: Vec<Value> = turns.iter().map(Played::figures).collect();
    let figures = json!({"title": title, "turns": turns});
    std::fs::write(file, serde_json::to_vec_pretty(&figures)?)
        .with_context(|| format!("cannot write {}", file.display()))
}
