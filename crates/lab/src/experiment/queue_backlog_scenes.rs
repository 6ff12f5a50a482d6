//! The scenes of `forebay experiment queue-backlog`, and the controllers in them.

use super::queue_backlog_args::QueueBacklogArgs;
use forebay_scaling::backlog::Settings;
use forebay_sim::{BacklogController, BacklogRun, BacklogScene, PlannedBacklog, Span, TrackedBacklog};
use std::time::Duration;

/// How long workers wait for a message, as the published one does.
const LONG_POLL: Duration = Duration::from_secs(5);
/// The visibility timeout, as a multiple of a message's duration.
const VISIBILITY: f64 = 6.0;
/// The share by which start-ups vary.
const START_UP_SPREAD: f64 = 0.05;
/// The time until which instances are counted.
const HORIZON: Duration = Duration::from_secs(1800);

/// A controller of the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    AwsMoving,
    AwsStatic,
    AwsMovingQuick,
    LawMoving,
    LawStatic,
    Forebay,
    ForebayTold25,
    ForebayBoot,
}

impl Who {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Who::AwsMoving => "aws-moving",
            Who::AwsStatic => "aws-static",
            Who::AwsMovingQuick => "aws-moving-quick",
            Who::LawMoving => "law-moving",
            Who::LawStatic => "law-static",
            Who::Forebay => "forebay",
            Who::ForebayTold25 => "forebay-told-25",
            Who::ForebayBoot => "forebay-boot-120",
        }
    }
}

/// A scene: messages that are all sent at once.
#[derive(Clone)]
pub(crate) struct Stage {
    pub(crate) name: &'static str,
    pub(crate) messages: u32,
    pub(crate) latency: Duration,
    /// Seconds that a message takes, and took before.
    pub(crate) processing: f64,
    before: f64,
    pub(crate) initial: u32,
    /// The controllers, with what was published of each.
    pub(crate) by: &'static [(Who, &'static str)],
}

pub(crate) const STAGES: [Stage; 4] = [
    Stage {
        name: "25s",
        messages: 50,
        latency: Duration::from_secs(300),
        processing: 25.0,
        before: 25.0,
        initial: 1,
        by: &[
            (Who::AwsMoving, "4 instances, about 9 min"),
            (Who::AwsMovingQuick, ""),
            (Who::Forebay, ""),
            (Who::ForebayBoot, ""),
        ],
    },
    Stage {
        name: "50s",
        messages: 50,
        latency: Duration::from_secs(300),
        processing: 50.0,
        before: 25.0,
        initial: 1,
        by: &[
            (Who::AwsMoving, "8 instances, about 10 min"),
            (Who::AwsStatic, "4 instances, about 20 min"),
            (Who::AwsMovingQuick, ""),
            (Who::Forebay, ""),
            (Who::ForebayTold25, ""),
            (Who::ForebayBoot, ""),
        ],
    },
    Stage {
        name: "images-1s",
        messages: 1000,
        latency: Duration::from_secs(100),
        processing: 1.0,
        before: 1.0,
        initial: 10,
        by: &[
            (Who::LawStatic, "10 instances, 100 s"),
            (Who::LawMoving, "10 instances, 100 s"),
            (Who::AwsMoving, ""),
            (Who::Forebay, ""),
            (Who::ForebayBoot, ""),
        ],
    },
    Stage {
        name: "images-2s",
        messages: 1000,
        latency: Duration::from_secs(100),
        processing: 2.0,
        before: 1.0,
        initial: 10,
        by: &[
            (Who::LawStatic, "10 instances, 200 s"),
            (Who::LawMoving, "100 s"),
            (Who::AwsMoving, ""),
            (Who::Forebay, ""),
            (Who::ForebayBoot, ""),
        ],
    },
];

impl Stage {
    /// The same scene with all times divided by this factor.
    pub(crate) fn scaled(&self, times: f64) -> Stage {
        Stage {
            latency: self.latency.div_f64(times),
            processing: self.processing / times,
            before: self.before / times,
            ..self.clone()
        }
    }

    /// The visibility timeout.
    pub(crate) fn visibility(&self) -> Duration {
        Duration::from_secs_f64((self.processing * VISIBILITY).max(30.0))
    }

    /// A description.
    pub(crate) fn title(&self, args: &QueueBacklogArgs) -> String {
        format!(
            "{}: {} messages of {} s (+-{} %) at once, to be done within {} s, {} there; start-ups of {} s, or {} s",
            self.name,
            self.messages,
            self.processing,
            args.spread,
            self.latency.as_secs(),
            match self.initial {
                1 => "one worker".to_owned(),
                initial => format!("{initial} workers"),
            },
            args.start_up,
            args.boot
        )
    }

    fn scene(&self, args: &QueueBacklogArgs, who: Who, seed: u64) -> BacklogScene {
        let start_up = match who {
            Who::AwsMoving | Who::AwsStatic | Who::ForebayBoot => args.boot,
            Who::LawMoving | Who::LawStatic => 0.0,
            Who::AwsMovingQuick | Who::Forebay | Who::ForebayTold25 => args.start_up,
        };
        BacklogScene {
            seed,
            sends: vec![(Duration::ZERO, self.messages)],
            processing: about(self.processing, f64::from(args.spread) / 100.0),
            says: self.processing,
            start_up: about(start_up, START_UP_SPREAD),
            visibility: self.visibility(),
            wait: LONG_POLL,
            initial: self.initial,
            minimum: self.initial,
            maximum: 100,
            until: HORIZON,
        }
    }

    /// Plays the scene once; returns why the latency could not be promised, if that was reported.
    pub(crate) fn play(&self, args: &QueueBacklogArgs, who: Who, seed: u64) -> (BacklogRun, Option<String>) {
        let scene = self.scene(args, who, seed);
        let (name, latency) = (who.name(), self.latency);
        let mut tracked = match who {
            Who::AwsMoving | Who::AwsMovingQuick => {
                TrackedBacklog::published(name, seed, latency, self.before, true)
            }
            Who::AwsStatic => TrackedBacklog::published(name, seed, latency, self.before, false),
            Who::LawMoving => TrackedBacklog::at_once(name, latency, self.before, true),
            Who::LawStatic => TrackedBacklog::at_once(name, latency, self.before, false),
            Who::Forebay | Who::ForebayTold25 | Who::ForebayBoot => {
                let mut planned = PlannedBacklog::new(name, self.settings(args, who));
                let run = scene.play(&mut planned);
                return (run, planned.shortfall().map(str::to_owned));
            }
        };
        (scene.play(&mut tracked as &mut dyn BacklogController), None)
    }

    /// Forebay's settings for the scene.
    pub(crate) fn settings(&self, args: &QueueBacklogArgs, who: Who) -> Settings {
        let is_image = self.initial > 1;
        let start_up = if who == Who::ForebayBoot {
            args.boot
        } else {
            args.start_up
        };
        Settings {
            latency: self.latency,
            // For images Forebay is told the former duration, and must learn that it has changed.
            processing: Some(if is_image || who == Who::ForebayTold25 {
                self.before
            } else {
                self.processing
            }),
            start_up: Duration::from_secs_f64(start_up * (1.0 + START_UP_SPREAD)),
            ..Settings::default()
        }
    }
}

/// Uniform within a share of this many seconds.
fn about(seconds: f64, share: f64) -> Span {
    Span::Uniform(
        Duration::from_secs_f64(seconds * (1.0 - share)),
        Duration::from_secs_f64(seconds * (1.0 + share)),
    )
}
