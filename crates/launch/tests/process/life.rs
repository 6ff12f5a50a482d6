//! How instances start, go on and end.

use crate::bench::{self, Bench, Test, but, failed, instance, lives, paused, running, stopped, until, why};
use base64::Engine as _;
use forebay_control::fleet::{SeenPhase, WantedPhase};
use forebay_launch::{NewImage, Source};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

pub(crate) const TESTS: &[Test] = &[
    (
        "an_instance_starts_and_is_removed",
        an_instance_starts_and_is_removed,
    ),
    (
        "one_that_ends_at_once_has_failed",
        one_that_ends_at_once_has_failed,
    ),
    (
        "one_that_cannot_be_started_tells_why",
        one_that_cannot_be_started_tells_why,
    ),
    ("one_that_ends_later_has_stopped", one_that_ends_later_has_stopped),
    ("it_is_taken_up_after_a_restart", it_is_taken_up_after_a_restart),
    ("it_survives_a_killed_daemon", it_survives_a_killed_daemon),
    ("a_killed_shim_takes_all_with_it", a_killed_shim_takes_all_with_it),
    ("no_run_starts_twice", no_run_starts_twice),
    ("it_ends_in_peace", it_ends_in_peace),
    (
        "a_stubborn_one_is_killed_with_all_it_started",
        a_stubborn_one_is_killed_with_all_it_started,
    ),
    ("it_stands_still_and_goes_on", it_stands_still_and_goes_on),
    (
        "what_it_wrote_is_kept_while_it_is_stopped",
        what_it_wrote_is_kept_while_it_is_stopped,
    ),
    (
        "one_that_was_stopped_before_its_start_is_told_as_stopped",
        one_that_was_stopped_before_its_start_is_told_as_stopped,
    ),
    ("user_data_runs_first_and_once", user_data_runs_first_and_once),
    (
        "an_earlier_run_ends_before_the_next",
        an_earlier_run_ends_before_the_next,
    ),
    (
        "daemons_killed_at_random_start_nothing_twice",
        daemons_killed_at_random_start_nothing_twice,
    ),
];

fn kill(pid: i32) {
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

fn an_instance_starts_and_is_removed() {
    let bench = Bench::new();
    let mut wanted = instance(&bench.image("env > env; exec sleep 1000"));
    wanted.profile = Some("web".to_owned());
    bench.want(&[&wanted]);
    bench.until(&wanted, 1, running);
    let env = bench.work(&wanted, "env");
    for line in [
        format!("FOREBAY_ADDRESS={}", wanted.address),
        "PORT=8000".to_owned(),
        format!("INSTANCE_ID={}", wanted.id),
        "AWS_REGION=local-1".to_owned(),
        "AWS_ENDPOINT_URL=http://127.0.0.1:4566".to_owned(),
        "AWS_ACCESS_KEY_ID=AKIAweb".to_owned(),
    ] {
        assert!(env.lines().any(|found| found == line), "{line} is not in {env}");
    }
    assert!(
        !env.contains("CARGO"),
        "nothing of our own environment gets there: {env}"
    );
    let shim = bench.shim(&wanted);
    bench.want(&[]);
    bench.until_gone(&wanted);
    assert!(!lives(shim));
}

fn one_that_ends_at_once_has_failed() {
    let bench = Bench::new();
    let wanted = instance(&bench.image("echo first; echo 'address in use' >&2; exit 3"));
    bench.want(&[&wanted]);
    let why = why(bench.until(&wanted, 1, failed));
    assert_eq!(
        why,
        "it ended with status 3; its last words: first / address in use"
    );
    bench.want(&[]);
    bench.until_gone(&wanted);
}

fn one_that_cannot_be_started_tells_why() {
    let bench = Bench::new();
    let dir = bench.scratch.path().join("app");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("start"), "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(dir.join("start"), fs::Permissions::from_mode(0o755)).unwrap();
    let new = NewImage {
        name: "broken".to_owned(),
        description: String::new(),
        source: Source::Path(dir),
        command: None,
        port: 8000,
    };
    let broken = instance(&bench.options.images.add(&new).unwrap().id);
    let absent = instance("ami-00000000000000000");
    bench.want(&[&broken, &absent]);
    let told = why(bench.until(&broken, 1, failed));
    assert_eq!(
        told,
        "cannot start ./start: No such file or directory (os error 2)"
    );
    let told = why(bench.until(&absent, 1, failed));
    assert!(told.contains("there is no image ami-00000000000000000"), "{told}");
    bench.want(&[&broken, &but(&absent, 1, WantedPhase::Gone)]);
    bench.until_gone(&absent);
}

fn one_that_ends_later_has_stopped() {
    let bench = Bench::new();
    let wanted = instance(&bench.image("until [ -e go ]; do sleep 0.02; done; echo bye; exit 7"));
    bench.want(&[&wanted]);
    bench.until(&wanted, 1, running);
    fs::write(bench.dir(&wanted).join("work/go"), "").unwrap();
    let why = why(bench.until(&wanted, 1, stopped));
    assert_eq!(why, "it ended with status 7; its last words: bye");
}

fn it_is_taken_up_after_a_restart() {
    let mut bench = Bench::new();
    let wanted = instance(&bench.image("echo $$ >> pid; exec sleep 1000"));
    let removed = instance(&wanted.image_id);
    bench.want(&[&wanted, &removed]);
    bench.until(&wanted, 1, running);
    bench.until(&removed, 1, running);
    let shim = bench.shim(&wanted);
    bench.restart();
    assert_eq!(
        bench.seen(&wanted).unwrap().phase,
        SeenPhase::Running,
        "seen at once"
    );
    bench.want(&[&wanted]);
    bench.until_gone(&removed);
    bench.until(&wanted, 1, running);
    assert_eq!(bench.shim(&wanted), shim);
    assert_eq!(bench.work(&wanted, "pid").lines().count(), 1);
    // Its end is seen although it is no child of this process.
    kill(bench.work(&wanted, "pid").trim().parse().unwrap());
    assert!(why(bench.until(&wanted, 1, stopped)).contains("SIGKILL"));
}

fn it_survives_a_killed_daemon() {
    let mut bench = Bench::new();
    let wanted = instance(&bench.image("echo $$ >> pid; exec sleep 1000"));
    bench.fleet = None;
    let mut daemon = bench::spawn_daemon(bench.scratch.path(), &wanted);
    assert!(until(|| !bench.work(&wanted, "pid").is_empty()));
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    let pid = bench.work(&wanted, "pid").trim().parse().unwrap();
    assert!(lives(pid));
    bench.restart();
    bench.want(&[&wanted]);
    bench.until(&wanted, 1, running);
    assert!(lives(pid));
    assert_eq!(bench.work(&wanted, "pid").lines().count(), 1);
}

fn a_killed_shim_takes_all_with_it() {
    let bench = Bench::new();
    let wanted = instance(&bench.image("sleep 1000 & echo $! > child; echo $$ > pid; wait"));
    bench.want(&[&wanted]);
    bench.until(&wanted, 1, running);
    assert!(until(|| !bench.work(&wanted, "pid").is_empty()));
    kill(bench.shim(&wanted));
    let why = why(bench.until(&wanted, 1, stopped));
    assert!(why.contains("its shim was killed"), "{why}");
    for file in ["pid", "child"] {
        let pid = bench.work(&wanted, file).trim().parse().unwrap();
        assert!(until(|| !lives(pid)), "{file} {pid} lives");
    }
}

fn no_run_starts_twice() {
    let mut bench = Bench::new();
    let wanted = instance(&bench.image("echo started >> starts; exit 1"));
    bench.want(&[&wanted]);
    bench.until(&wanted, 1, failed);
    bench.restart();
    bench.want(&[&wanted]);
    bench.until(&wanted, 1, failed);
    let second = but(&wanted, 2, WantedPhase::Running);
    bench.want(&[&second]);
    bench.until(&wanted, 2, failed);
    // An old list comes late.
    bench.want(&[&wanted]);
    bench.restart();
    bench.want(&[&second]);
    bench.until(&wanted, 2, failed);
    assert_eq!(bench.work(&wanted, "starts").lines().count(), 2);
}

fn it_ends_in_peace() {
    let bench = Bench::new();
    let wanted = instance(&bench.image("trap 'echo bye; exit 0' TERM; sleep 1000 & wait"));
    bench.want(&[&wanted]);
    bench.until(&wanted, 1, running);
    bench.want(&[&but(&wanted, 1, WantedPhase::Stopped)]);
    let why = why(bench.until(&wanted, 1, stopped));
    assert_eq!(
        why,
        "it was told to stop, and ended with status 0; its last words: bye"
    );
}

fn a_stubborn_one_is_killed_with_all_it_started() {
    let bench = Bench::new();
    // One process is in a session of its own, which signals to the group do not reach.
    let command =
        "trap '' TERM; setsid sleep 1000 & echo $! > child; echo $$ > pid; while :; do sleep 1000; done";
    let wanted = instance(&bench.image(command));
    bench.want(&[&wanted]);
    bench.until(&wanted, 1, running);
    assert!(until(|| !bench.work(&wanted, "pid").is_empty()));
    let began = Instant::now();
    bench.want(&[&but(&wanted, 1, WantedPhase::Stopped)]);
    let why = why(bench.until(&wanted, 1, stopped));
    assert!(why.contains("and was killed"), "{why}");
    assert!(began.elapsed() >= bench.options.stop);
    for file in ["pid", "child"] {
        let pid = bench.work(&wanted, file).trim().parse().unwrap();
        assert!(!lives(pid), "{file} {pid} lives");
    }
}

fn it_stands_still_and_goes_on() {
    let bench = Bench::new();
    let wanted = instance(&bench.image("while :; do echo x >> beats; sleep 0.01; done"));
    let still = but(&wanted, 1, WantedPhase::Paused);
    bench.want(&[&still]);
    bench.until(&wanted, 1, paused);
    let beats = bench.work(&wanted, "beats").len();
    // Much longer than one interval: there is no condition to wait for.
    std::thread::sleep(Duration::from_millis(150));
    assert!(bench.work(&wanted, "beats").len() <= beats + 2, "it goes on");
    bench.want(&[&wanted]);
    bench.until(&wanted, 1, running);
    assert!(until(|| bench.work(&wanted, "beats").len() > beats + 10));
    bench.want(&[&still]);
    bench.until(&wanted, 1, paused);
    // A frozen instance ends, too.
    bench.want(&[]);
    bench.until_gone(&wanted);
}

fn what_it_wrote_is_kept_while_it_is_stopped() {
    let bench = Bench::new();
    let wanted = instance(&bench.image("echo run >> file; exec sleep 1000"));
    bench.want(&[&wanted]);
    bench.until(&wanted, 1, running);
    bench.want(&[&but(&wanted, 1, WantedPhase::Stopped)]);
    bench.until(&wanted, 1, stopped);
    bench.want(&[&but(&wanted, 2, WantedPhase::Running)]);
    bench.until(&wanted, 2, running);
    assert_eq!(bench.work(&wanted, "file"), "run\nrun\n");
}

fn one_that_was_stopped_before_its_start_is_told_as_stopped() {
    let bench = Bench::new();
    let wanted = instance(&bench.image("exec sleep 1000"));
    bench.want(&[&but(&wanted, 3, WantedPhase::Stopped)]);
    bench.until(&wanted, 3, stopped);
    assert!(!bench.dir(&wanted).exists());
    bench.want(&[&but(&wanted, 4, WantedPhase::Running)]);
    bench.until(&wanted, 4, running);
}

fn user_data_runs_first_and_once() {
    let bench = Bench::new();
    let mut wanted = instance(&bench.image("echo main >> order; exec sleep 1000"));
    let script = "#!/bin/sh\necho first >> order\nexit 5\n";
    wanted.user_data = Some(base64::engine::general_purpose::STANDARD.encode(script));
    bench.want(&[&wanted]);
    bench.until(&wanted, 1, running);
    assert!(until(|| bench.work(&wanted, "order") == "first\nmain\n"));
    assert!(
        bench
            .console(&wanted)
            .contains("the user data ended with status 5; going on")
    );
    bench.want(&[&but(&wanted, 2, WantedPhase::Running)]);
    bench.until(&wanted, 2, running);
    assert_eq!(bench.work(&wanted, "order"), "first\nmain\nmain\n");
}

fn an_earlier_run_ends_before_the_next() {
    let bench = Bench::new();
    let wanted =
        instance(&bench.image("trap 'echo end >> order; exit' TERM; echo start >> order; sleep 1000 & wait"));
    bench.want(&[&wanted]);
    bench.until(&wanted, 1, running);
    bench.want(&[&but(&wanted, 2, WantedPhase::Running)]);
    bench.until(&wanted, 2, running);
    assert_eq!(bench.work(&wanted, "order"), "start\nend\nstart\n");
}

/// Ten seconds of daemons and shims that are killed at random moments: every run is begun at most once, and no two of them
/// live at the same time, not even in part.
fn daemons_killed_at_random_start_nothing_twice() {
    let mut bench = Bench::new();
    // Everything that a run starts holds its lock, too.
    let command = "exec 9>>alive; flock -n 9 || echo overlap >> wrong; trap 'exit' TERM; \
                   echo start >> starts; while :; do sleep 0.01; done";
    let mut wanted = instance(&bench.image(command));
    bench.fleet = None;
    let began = Instant::now();
    let mut runs = 1;
    while began.elapsed() < Duration::from_secs(10) {
        let mut daemon = bench::spawn_daemon(bench.scratch.path(), &wanted);
        let nap = u64::from(getrandom::u32().unwrap() % 250);
        std::thread::sleep(Duration::from_millis(nap));
        daemon.kill().unwrap();
        daemon.wait().unwrap();
        let dice = getrandom::u32().unwrap() % 6;
        if dice < 2 {
            runs += 1;
            wanted.run = runs;
        }
        // Shims are killed, too, now and then.
        if dice == 2 && bench.dir(&wanted).join("run.json").exists() {
            let shim = bench.shim(&wanted);
            // It may have ended, and its process id been reused.
            let line = fs::read_to_string(format!("/proc/{shim}/cmdline")).unwrap_or_default();
            if line.contains(&wanted.id) {
                kill(shim);
            }
        }
    }
    bench.restart();
    // The last run may have been killed.
    let last = but(&wanted, runs + 1, WantedPhase::Running);
    bench.want(&[&last]);
    bench.until(&last, runs + 1, running);
    assert_eq!(bench.work(&wanted, "wrong"), "");
    let starts = bench.work(&wanted, "starts").lines().count();
    eprintln!("{starts} starts of {runs} runs");
    assert!(starts > 5, "a few of them came so far: {starts}");
    assert!(
        starts <= usize::try_from(runs + 1).unwrap(),
        "{starts} starts of {runs} runs"
    );
}
