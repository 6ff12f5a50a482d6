//! A plan in words, for `forebay why` and for activities.

use super::{FlowPlan, Plan, Verdict};
use core::fmt;

/// The formula, as `forebay why` prints it.
const FORMULA: &str = "\
needed slots = max(load ahead + max(headroom, backlog), deadline), and capacity = needed slots / slots of one, rounded up
  load         arrivals a second x service time
  load ahead   (arrivals a second + slope x lead) x service time + growth x lead
  headroom     headroom factor x square root of the load ahead
  backlog      waiting x service time / the time that requests may wait
  deadline     slots without which a request would wait longer than three quarters of its limit";

impl Verdict {
    /// The decision in words.
    pub fn text(self) -> &'static str {
        match self {
            Verdict::Order => "more is ordered",
            Verdict::Keep => "the capacity is right",
            Verdict::Hold => "there is more than enough, but not for long enough to scale in",
            Verdict::Release => "some capacity is released",
            Verdict::AtMaximum => "more is needed than the group's maximum allows",
            Verdict::NoSlots => {
                "the number of requests that an instance may have at a time is unknown: use agents, the target group's tag \
                 forebay:concurrency, or the group's tag forebay:planner-in-flight"
            }
        }
    }
}

impl Plan {
    /// The reason in a sentence, for an activity.
    pub fn cause(&self) -> String {
        let Some(flow) = self.flows.first() else {
            return "the planner sees no target group".to_owned();
        };
        let time = flow.service_time.map_or_else(
            || "requests of yet unknown duration".to_owned(),
            |time| format!("requests that take {time:.3} s"),
        );
        format!(
            "the planner saw {:.1} {time} a second come to {}, {} waiting, {} in flight, and needs {:.0} slots within {:.1} s",
            flow.rate.per_second,
            flow.name,
            flow.waiting,
            flow.in_flight,
            flow.needed_slots.ceil(),
            self.lead.as_secs_f64(),
        )
    }

    /// The whole plan, in lines.
    pub fn explain(&self) -> String {
        let fleet = &self.fleet;
        let mut lines = vec![
            fleet.explain(),
            format!(
                "lead          {:.1} s from a change of the load to slots for it ({})",
                self.lead.as_secs_f64(),
                match fleet.start_up {
                    Some(_) => "the 99th percentile of the start-ups seen, and a look",
                    None => "no start-up has been measured: an assumption",
                }
            ),
            format!(
                "needed        {}{}",
                self.needed,
                match self.spare {
                    0 => String::new(),
                    spare => format!(", including {spare} spare"),
                }
            ),
            format!(
                "order         {} -> {}: {}",
                fleet.desired,
                self.desired,
                self.verdict.text()
            ),
            format!(
                "scale-in      {} in the last {:.0} s",
                self.greatest.map_or(
                    "the greatest need is not known yet".to_owned(),
                    |greatest| format!("at most {greatest:.2} were needed")
                ),
                self.hold.as_secs_f64()
            ),
        ];
        for flow in &self.flows {
            lines.push(String::new());
            lines.push(flow.to_string());
        }
        lines.push(String::new());
        lines.push(FORMULA.to_owned());
        lines.join("\n")
    }
}

impl fmt::Display for FlowPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slots = |slots: f64| format!("{slots:.1} slots");
        writeln!(f, "target group  {}", self.name)?;
        writeln!(
            f,
            "  arrivals      {:.2} a second, counted over {:.1} s",
            self.rate.per_second, self.rate.window
        )?;
        writeln!(f, "  slope         {:+.2} a second each second", self.rate.slope)?;
        match self.service_time {
            Some(time) => writeln!(f, "  service time  {time:.3} s")?,
            None => writeln!(
                f,
                "  service time  not known yet: each request that waits or is in flight counts as a slot"
            )?,
        }
        writeln!(
            f,
            "  now           {} in flight, {} waiting, {} refused so far",
            self.in_flight, self.waiting, self.refused
        )?;
        writeln!(
            f,
            "  load          {}; {} when capacity ordered now can serve",
            slots(self.load),
            slots(self.load_ahead)
        )?;
        writeln!(f, "  headroom      {}", slots(self.headroom))?;
        writeln!(f, "  backlog       {}", slots(self.backlog))?;
        writeln!(f, "  deadline      {}", slots(self.deadline))?;
        match self.slots {
            Some(each) => writeln!(
                f,
                "  needed        {} = {:.2} instances of {each:.1} slots",
                slots(self.needed_slots),
                self.units
            )?,
            None => writeln!(f, "  needed        {}", slots(self.needed_slots))?,
        }
        writeln!(f, "  longest wait  {:.2} s predicted", self.longest_wait)?;
        match (self.margins.wait, self.margins.queue) {
            (Some(wait), Some(queue)) => writeln!(
                f,
                "  to a refusal  {wait:.2} s of waiting, {queue:.0} places in the queue, {:.1} slots until the maximum",
                self.margins.slots
            )?,
            _ => writeln!(
                f,
                "  to a refusal  requests cannot wait here (forebay:queue-length), so one that finds no slot is refused; {:.1} slots until the maximum",
                self.margins.slots
            )?,
        }
        match self.forecast_error {
            Some(error) => write!(f, "  forecast      wrong by {:.1} % on average", error * 100.0),
            None => write!(f, "  forecast      not compared with the load yet"),
        }
    }
}
