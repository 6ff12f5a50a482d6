//! Flags of functions and schedules.

use clap::{Args, ValueEnum};
use forebay_control::schedules::Looking;
use forebay_launch::RunAs;
use forebay_schedules::CatchUp;
use std::time::Duration;

/// How runs of schedules are treated that were missed while Forebay did not run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum MissedRuns {
    /// The latest run of each schedule happens at once
    #[default]
    Latest,
    /// None happens
    Skip,
}

/// Options of functions and schedules.
#[derive(Args, Debug, Clone, PartialEq, Eq)]
pub struct FunctionArgs {
    /// User that functions run as: `nobody`, a user's name, or `own`, which is Forebay's own user and can read its keys.
    /// All but `own` need root
    #[arg(
        long,
        env = "FOREBAY_FUNCTION_USER",
        default_value = "nobody",
        value_name = "nobody|own|NAME"
    )]
    pub function_user: RunAs,
    /// Python for functions of the runtimes python3.x; needs the package awslambdaric
    #[arg(
        long,
        env = "FOREBAY_FUNCTION_PYTHON",
        default_value = "python3",
        value_name = "PROGRAM"
    )]
    pub function_python: String,
    /// Node for functions of the runtimes nodejs
    #[arg(
        long,
        env = "FOREBAY_FUNCTION_NODE",
        default_value = "node",
        value_name = "PROGRAM"
    )]
    pub function_node: String,
    /// Most processes of all functions at once; further invocations are refused with TooManyRequestsException
    #[arg(
        long,
        env = "FOREBAY_MAX_FUNCTION_PROCESSES",
        default_value_t = 100,
        value_name = "N"
    )]
    pub max_function_processes: usize,
    /// Seconds that a function's process is kept without an invocation
    #[arg(
        long,
        env = "FOREBAY_FUNCTION_IDLE_SECONDS",
        default_value_t = 300,
        value_name = "SECONDS"
    )]
    pub function_idle_seconds: u64,
    /// What to do with runs of schedules that are more than a minute late because Forebay did not run
    #[arg(
        long,
        env = "FOREBAY_MISSED_RUNS",
        value_enum,
        default_value_t,
        value_name = "latest|skip"
    )]
    pub missed_runs: MissedRuns,
}

impl Default for FunctionArgs {
    fn default() -> FunctionArgs {
        FunctionArgs {
            function_user: RunAs::default(),
            function_python: "python3".to_owned(),
            function_node: "node".to_owned(),
            max_function_processes: 100,
            function_idle_seconds: 300,
            missed_runs: MissedRuns::default(),
        }
    }
}

impl FunctionArgs {
    /// The options of looks at schedules.
    pub(crate) fn looking(&self) -> Looking {
        Looking {
            catch_up: match self.missed_runs {
                MissedRuns::Latest => CatchUp::RunLatest,
                MissedRuns::Skip => CatchUp::Skip,
            },
            ..Looking::default()
        }
    }

    /// How long a process is kept without an invocation.
    pub(crate) fn idle(&self) -> Duration {
        Duration::from_secs(self.function_idle_seconds)
    }
}
