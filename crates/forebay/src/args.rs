//! The command line. Each flag can be given in the environment too, as `FOREBAY_` and its name.

use crate::ask::HealthArgs;
use crate::backup::BackupArgs;
use crate::check::CheckArgs;
use crate::env::EnvArgs;
use crate::function::FunctionArgs;
use crate::image::ImageArgs;
use crate::keys::CredentialsArgs;
use crate::metrics::MetricsArgs;
use crate::restore::RestoreArgs;
use crate::schedules::SchedulesArgs;
use crate::shell::{CompletionsArgs, ManArgs};
use crate::top::TopArgs;
use crate::why::WhyArgs;
use clap::{Parser, Subcommand};
use forebay_agent::AgentArgs;
use forebay_lab::demo::DemoArgs;
use forebay_lab::experiment::Experiment;
use forebay_lab::sample::SampleArgs;
use forebay_lab::sample_worker::WorkerArgs;
use forebay_process::log::LogFormat;
use forebay_process::values;
use forebay_server::UpArgs;

/// An elastic application load balancer with AWS's APIs, that you run yourself.
#[derive(Parser, Debug)]
#[command(
    name = "forebay",
    version = forebay_process::VERSION,
    after_help = "\
Two minutes:
  forebay demo                      a load balancer, three targets and some load, to look at
  forebay up                        serve the AWS APIs and the load balancers made with them
  eval \"$(forebay env)\"             have AWS's tools talk to it, in this shell
  aws elbv2 describe-load-balancers"
)]
pub(crate) struct Cli {
    /// Log filter, `level` or `crate=level,...` [default: warn; for an agent RUST_LOG, or info]. A level alone applies to
    /// Forebay's own lines; libraries log only where they are named, as in `warn,h2=debug`
    #[arg(long, env = "FOREBAY_LOG", global = true, value_name = "FILTER", value_parser = values::filter)]
    pub(crate) log: Option<String>,
    /// Format of log lines
    #[arg(long, env = "FOREBAY_LOG_FORMAT", global = true, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// The log filter.
    pub(crate) fn filter(&self) -> String {
        let default = match self.command {
            Command::Agent(_) => forebay_agent::default_filter(),
            _ => "warn".to_owned(),
        };
        self.log.clone().unwrap_or(default)
    }
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Serve: the AWS APIs, and the load balancers made with them
    Up(Box<UpArgs>),
    /// Report what `up` would do with these flags, and change nothing: exits with 0 or 1
    Check(Box<CheckArgs>),
    /// Copy state, keys and images into one file, whether Forebay runs or not
    Backup(BackupArgs),
    /// Put a backup into a data directory, or list its contents
    Restore(RestoreArgs),
    /// Run beside an application and hold it to a number of concurrent requests
    Agent(Box<AgentArgs>),
    /// Demonstrate it: a load balancer, three targets, ten seconds of load, and a table
    Demo(DemoArgs),
    /// Run an application to balance load to, which misbehaves on demand
    SampleTarget(SampleArgs),
    /// Run a worker of a queue, which works on each message for the time that the message names
    SampleWorker(WorkerArgs),
    /// Check published claims on this machine, with real sockets
    Experiment {
        /// The experiment to run
        #[command(subcommand)]
        experiment: Experiment,
    },
    /// Watch groups, targets, slots and queues of a running Forebay
    Top(TopArgs),
    /// Explain why a planned Auto Scaling group has the capacity that it has
    Why(WhyArgs),
    /// Show which schedules and scheduled rules run next, which ran, and their results
    Schedules(SchedulesArgs),
    /// List, plot and export the metrics of a running Forebay
    Metrics(MetricsArgs),
    /// Check whether a running Forebay serves, for probes: exits with 0 or 1
    Health(HealthArgs),
    /// Print the shell variables that point AWS's tools at this Forebay: eval "$(forebay env)"
    Env(EnvArgs),
    /// Create, list and delete the keys that API calls are signed with
    Credentials(CredentialsArgs),
    /// Print the completions of this command line for a shell
    Completions(CompletionsArgs),
    /// Print the manual, or write its pages
    Man(ManArgs),
    /// Add, list and remove the images that instances are started from
    Image(ImageArgs),
    /// Add, invoke, list and remove functions, and read their logs
    Function(FunctionArgs),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell;
    use clap::CommandFactory as _;
    use clap_complete::Shell;

    #[test]
    fn each_shell_knows_each_command_and_each_command_has_a_page() {
        for shell in [
            Shell::Bash,
            Shell::Zsh,
            Shell::Fish,
            Shell::PowerShell,
            Shell::Elvish,
        ] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "forebay", &mut script);
            let script = String::from_utf8(script).unwrap();
            for word in ["sample-target", "sample-worker", "expose", "why"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
        let scratch = tempfile::tempdir().unwrap();
        let args = ManArgs {
            dir: Some(scratch.path().to_owned()),
        };
        shell::man(&args, Cli::command()).unwrap();
        let page = std::fs::read_to_string(scratch.path().join("forebay-up.1")).unwrap();
        assert!(page.contains("expose") && page.contains("0.0.0.0"), "{page}");
    }
}
