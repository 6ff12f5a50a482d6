//! A plan in words, for `forebay why` and for activities.

use super::{Known, Plan, ScaleIn, Verdict};

/// The formula, as `forebay why` prints it.
const FORMULA: &str = "\
capacity = (visible + in flight) / (rounds x concurrency), rounded up, or what the guard says if that is more
  rounds       (latency - lead - spread) / processing, rounded down, and at least 1
  lead         from a change of the queue to an instance that works: a start-up, and a look
  processing   from a receive to the delete; spread: two standard deviations of that
  guard        the capacity with which each message is done before it is as old as the latency, where that is still possible";

impl Verdict {
    /// The decision in words.
    pub fn text(self) -> &'static str {
        match self {
            Verdict::Order => "more is ordered",
            Verdict::Keep => "the capacity is right",
            Verdict::Hold => "there is more than enough, but not for long enough to scale in",
            Verdict::AtWork => {
                "there is more than enough, but messages are in flight and it is unknown which instances work on them: have workers protect \
                 themselves from scale-in while they work, or give the group a lifecycle hook for terminations, or wait until nothing is in flight"
            }
            Verdict::Idle => "there is nothing to do, but not for long enough for the last instance to go",
            Verdict::Release => "some capacity is released",
            Verdict::AtMaximum => "more is needed than the group's maximum allows",
        }
    }
}

impl Plan {
    /// The reason in a sentence without its full stop, for an activity.
    pub fn cause(&self) -> String {
        let work = self.work;
        if self.known == Known::Nothing {
            return format!(
                "the backlog had {} visible messages and {} in flight, and how long they take is not known yet: {} finds out",
                work.visible, work.in_flight, self.by_backlog
            );
        }
        let mut text = format!(
            "the backlog had {} visible messages and {} in flight, which take {:.3} s each",
            work.visible, work.in_flight, self.processing
        );
        text.push_str(&format!(
            "; an instance can do {} of them within {:.1} s, of which {:.1} s are its start-up, so {} are needed",
            u64::from(self.rounds) * u64::from(self.settings.concurrency),
            self.settings.latency.as_secs_f64(),
            self.lead.as_secs_f64(),
            self.by_backlog,
        ));
        if let (Some(left), true) = (self.guard.left, self.guard.needed > self.by_backlog) {
            text.push_str(&format!(
                ", and {} for messages that have {left:.1} s left",
                self.guard.needed
            ));
        }
        text
    }

    /// Why the latency cannot be promised, and what could be; `None` if it can.
    pub fn shortfall(&self) -> Option<String> {
        let (lead, latency) = (self.lead.as_secs_f64(), self.settings.latency.as_secs_f64());
        if !self.is_too_short {
            return None;
        }
        let start_up = latency - self.processing - self.spread;
        let quicker = if start_up > 0.0 {
            format!(
                ", or have instances that work within {start_up:.1} s of their order (a warm pool, a smaller image), or a minimum that \
                 waits for messages"
            )
        } else {
            format!(
                ", which a message alone takes longer than: no number of instances mends that at {:.3} s a message",
                self.processing
            )
        };
        Some(format!(
            "a latency of {latency:.1} s can't be met: an instance works {lead:.1} s after its order, and a message takes {:.3} s. \
             Allow {:.1} s at least{quicker}. Until then each message gets a slot of its own, if what there is would not be done with it sooner",
            self.processing,
            lead + self.processing + self.spread
        ))
    }

    fn processing_text(&self) -> String {
        let seconds = self.processing;
        match self.known {
            Known::Learnt(count) => format!("{seconds:.3} s a message, learned from {count}; spread {:.3} s", self.spread),
            Known::Metric => format!("{seconds:.3} s a message, by its metric"),
            Known::Told => format!("{seconds:.3} s a message, as told: none has been done yet"),
            Known::InFlight => {
                format!("{seconds:.3} s a message at least: those in flight have already taken that long")
            }
            Known::Nothing => {
                "not known: no message has been done yet, so one instance finds out (set forebay:backlog-processing-seconds \
                 to avoid that)"
                    .to_owned()
            }
        }
    }

    /// The whole plan, in lines.
    pub fn explain(&self) -> String {
        let (fleet, work, settings) = (&self.workers.fleet, &self.work, &self.settings);
        let mut lines = vec![
            fleet.explain(),
            format!(
                "backlog       {} visible, {} in flight, {} delayed{}",
                work.visible,
                work.in_flight,
                work.delayed,
                work.oldest.map_or_else(String::new, |age| {
                    format!("; the oldest came {:.1} s ago", age.as_secs_f64())
                })
            ),
            format!("processing    {}", self.processing_text()),
            format!(
                "lead          {:.1} s from a change of the queue to an instance that works ({})",
                self.lead.as_secs_f64(),
                match fleet.start_up {
                    Some(_) => "the 99th percentile of the start-ups seen, and a look",
                    None =>
                        "no start-up has been measured to a first receive: as it was told, or an assumption",
                }
            ),
            format!(
                "rounds        {} within the latency of {:.1} s, of {} at a time",
                self.rounds,
                settings.latency.as_secs_f64(),
                settings.concurrency
            ),
        ];
        lines.extend(self.shortfall().map(|text| format!("too short     {text}")));
        lines.extend([
            format!(
                "needed        {} by the backlog, {}",
                self.by_backlog,
                self.guard_text()
            ),
            format!(
                "order         {} -> {}: {}",
                fleet.desired,
                self.desired,
                self.verdict.text()
            ),
            format!(
                "scale-in      {} in the last {:.0} s; {}",
                self.greatest.map_or(
                    "the greatest need is not known yet".to_owned(),
                    |greatest| format!("at most {greatest} were needed")
                ),
                self.hold.as_secs_f64(),
                self.scale_in_text()
            ),
            String::new(),
            FORMULA.to_owned(),
        ]);
        lines.join("\n")
    }

    fn guard_text(&self) -> String {
        let mut text = match self.guard.left {
            Some(left) => format!(
                "{} by the guard: the existing capacity would not do some messages in the {left:.1} s they have left",
                self.guard.needed
            ),
            None if self.known == Known::Nothing => "to find out how long a message takes".to_owned(),
            None => "and the existing capacity does all in time".to_owned(),
        };
        if self.guard.late > 0 {
            let be = if self.guard.left.is_some() {
                "; "
            } else {
                ", but for "
            };
            text = format!(
                "{text}{be}{} messages that will be late whatever is ordered",
                self.guard.late
            );
        }
        text
    }

    fn scale_in_text(&self) -> &'static str {
        if self.workers.may_finish {
            "terminating instances may finish (a lifecycle hook)"
        } else if self.settings.scale_in == ScaleIn::Any {
            "instances are terminated whether they work or not"
        } else if self.workers.protected > 0 {
            "working instances are protected"
        } else {
            "instances are terminated when nothing is in flight"
        }
    }
}
