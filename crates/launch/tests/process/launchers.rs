//! The other launchers.

use crate::bench::{Test, but, facts, instance, paused, running, start, stopped, until};
use forebay_control::fleet::{SeenPhase, WantedInstance, WantedPhase};
use forebay_launch::{CommandLauncher, Fleet, SimulatedLauncher};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub(crate) const TESTS: &[Test] = &[
    (
        "a_simulated_one_does_as_it_is_told",
        a_simulated_one_does_as_it_is_told,
    ),
    ("a_program_is_asked", a_program_is_asked),
    (
        "a_program_that_fails_or_hangs_is_told",
        a_program_that_fails_or_hangs_is_told,
    ),
];

fn is(fleet: &Fleet, wanted: &WantedInstance, run: u32, is: fn(&SeenPhase) -> bool) -> bool {
    until(|| {
        fleet
            .seen(&wanted.id)
            .is_some_and(|seen| seen.run == run && is(&seen.phase))
    })
}

/// Starts, pauses, resumes, stops, restarts and removes.
fn goes_through_all(fleet: &Fleet) {
    let wanted = instance("ami-1");
    for (run, phase, seen) in [
        (1, WantedPhase::Running, running as fn(&SeenPhase) -> bool),
        (1, WantedPhase::Paused, paused),
        (1, WantedPhase::Running, running),
        (1, WantedPhase::Stopped, stopped),
        (2, WantedPhase::Running, running),
    ] {
        fleet.want(vec![but(&wanted, run, phase)]);
        assert!(
            is(fleet, &wanted, run, seen),
            "{phase:?}, but seen {:?}",
            fleet.seen(&wanted.id)
        );
    }
    fleet.want(vec![but(&wanted, 2, WantedPhase::Gone)]);
    assert!(until(|| fleet.seen(&wanted.id).is_none()));
}

fn a_simulated_one_does_as_it_is_told() {
    goes_through_all(&start(Arc::new(SimulatedLauncher::new(Duration::from_millis(
        20,
    )))));
}

/// Keeps a file for each instance, and starts nothing.
fn script(dir: &Path, text: &str) -> PathBuf {
    let path = dir.join("launcher");
    fs::write(&path, format!("#!/bin/sh\ncd '{}'\n{text}", dir.display())).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

const KEEPS_FILES: &str = r#"
mkdir -p all
read -r input
id=$(printf '%s' "$input" | sed -n 's/.*"id":"\([^"]*\)".*/\1/p')
run=$(printf '%s' "$input" | sed -n 's/.*"run":\([0-9]*\).*/\1/p')
say() { printf '{"id":"%s","run":%s,"state":"%s"}' "$id" "$run" "$1" > all/.new; mv all/.new "all/$id"; }
case $1 in
start) echo "$input" > started; say running ;;
pause) say paused ;;
resume) say running ;;
stop) say stopped; sleep 30 & ;;
remove) rm -f "all/$id" ;;
list) printf '['; sep=; for f in all/*; do [ -e "$f" ] || continue; printf '%s' "$sep"; cat "$f"; sep=,; done; printf ']' ;;
esac
"#;

fn a_program_is_asked() {
    let scratch = tempfile::tempdir().unwrap();
    let program = script(scratch.path(), KEEPS_FILES);
    let launcher = || Arc::new(CommandLauncher::new(program.clone(), facts(), |_| 8000));
    let fleet = start(launcher());
    goes_through_all(&fleet);
    let started: serde_json::Value =
        serde_json::from_slice(&fs::read(scratch.path().join("started")).unwrap()).unwrap();
    assert_eq!(started["environment"]["PORT"], "8000");
    let wanted = instance("ami-1");
    fleet.want(vec![wanted.clone()]);
    assert!(is(&fleet, &wanted, 1, running));
    drop(fleet);
    fs::remove_file(scratch.path().join("started")).unwrap();
    let fleet = start(launcher());
    assert!(is(&fleet, &wanted, 1, running), "it is taken up");
    fleet.want(vec![wanted.clone()]);
    assert!(is(&fleet, &wanted, 1, running));
    assert!(!scratch.path().join("started").exists());
    fleet.want(Vec::new());
    assert!(until(|| !scratch.path().join("all").join(&wanted.id).exists()));
}

fn a_program_that_fails_or_hangs_is_told() {
    for (text, reason) in [
        (
            "[ $1 = list ] && { echo '[]'; exit; }; echo 'no such image' >&2; exit 4",
            "no such image",
        ),
        (
            "[ $1 = list ] && { echo '[]'; exit; }; sleep 1000",
            "did not end within",
        ),
    ] {
        let scratch = tempfile::tempdir().unwrap();
        let program = script(scratch.path(), text);
        let launcher =
            CommandLauncher::new(program, facts(), |_| 8000).with_limit(Duration::from_millis(300));
        let fleet = start(Arc::new(launcher));
        let wanted = instance("ami-1");
        fleet.want(vec![wanted.clone()]);
        let told = until(|| {
            let phase = fleet.seen(&wanted.id).map(|seen| seen.phase);
            matches!(phase, Some(SeenPhase::Failed { why }) if why.contains(reason))
        });
        assert!(told, "{:?}", fleet.seen(&wanted.id));
    }
}
