//! The program as a shell starts it: what it refuses, and what it prints where.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

fn forebay() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_forebay"));
    command.env_clear();
    command
}

/// What the program prints on standard error, and its exit code.
fn ended(command: &mut Command) -> (String, i32) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    (
        String::from_utf8(output.stderr).unwrap(),
        output.status.code().unwrap(),
    )
}

/// A regression: each of these flags was accepted, though it meant nothing, something else, or that nobody was served.
#[test]
fn what_means_nothing_is_refused_with_what_would() {
    for (flags, told) in [
        (vec!["--log", "bogus", "up"], "'bogus' is not a level"),
        (vec!["up", "--region", "US East"], "such as local-1"),
        (vec!["up", "--max-connections", "0"], "must be at least 1"),
        (vec!["up", "--api", "4566"], "such as 127.0.0.1:4566"),
        (
            vec!["up", "--live-log", "stdout", "--live-log", "access=unix:/tmp/a"],
            "twice for the access log",
        ),
        (vec!["sample-target", "--failure-rate", "2"], "from 0 to 1"),
        (
            vec!["experiment", "algorithms", "--plot", "/absent/plot.svg"],
            "cannot write /absent/plot.svg",
        ),
    ] {
        let (said, code) = ended(forebay().args(&flags));
        assert!(said.contains(told) && code > 0, "{flags:?}: {code} {said}");
    }
}

/// A regression: `println!` panicked with "failed printing to stdout" and status 101.
#[test]
fn full_standard_output_is_an_error_and_no_panic() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let mut create = forebay();
    create
        .args(["credentials", "create", "a", "--data-dir"])
        .arg(&data);
    let mut sample = forebay();
    sample.args(["sample-target", "--listen", "127.0.0.1:0"]);
    let mut up = forebay();
    up.args([
        "up",
        "--api",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--address-pool",
    ])
    .args(["127.186.0.0/16", "--data-dir"])
    .arg(place.path().join("up"));
    for mut command in [create, sample, up] {
        command.stdin(Stdio::null()).stdout(full());
        let output = command.stderr(Stdio::piped()).spawn().unwrap();
        let output = output.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("cannot write to standard output"), "{said}");
        assert_eq!(output.status.code(), Some(1), "{said}");
    }
}

/// A regression: `FOREBAY_NO_AUTH=1` was an error, as was every variable that was set to the empty string.
#[test]
fn the_environment_is_understood_as_shells_write_it() {
    let mut up = forebay();
    up.arg("up");
    for (name, value) in [
        ("FOREBAY_NO_AUTH", "1"),
        ("FOREBAY_API", "192.0.2.1:1"),
        ("FOREBAY_ADMIN", ""),
        ("FOREBAY_WORKERS", ""),
        ("FOREBAY_LOG", ""),
        ("FOREBAY_ENABLE_RESET", ""),
    ] {
        up.env(name, value);
    }
    let (said, _) = ended(&mut up);
    assert!(said.contains("--no-auth is for loopback only"), "{said}");
}

/// A regression: a server with damaged credentials started, let nobody in and logged nothing.
#[test]
fn damaged_credentials_are_said_at_start() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("credentials"), "[a]\nrubbish\n").unwrap();
    let flags = [
        "up",
        "--api",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--data-dir",
    ];
    let (said, code) = ended(forebay().args(flags).arg(place.path()));
    assert!(said.contains("is damaged: line 2"), "{said}");
    assert_eq!(code, 1);
}

/// A regression: lines in files had colour codes in them, and there was no other format.
#[test]
fn lines_are_plain_or_json() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    let warned = |format: &str, profile: &str| {
        std::fs::create_dir_all(&data).unwrap();
        std::fs::set_permissions(&data, Permissions::from_mode(0o755)).unwrap();
        let flags = [
            "--log-format",
            format,
            "credentials",
            "create",
            profile,
            "--data-dir",
        ];
        ended(forebay().args(flags).arg(&data)).0
    };
    let plain = warned("text", "a");
    let line = plain.lines().find(|line| line.contains("was open to others"));
    assert!(
        line.unwrap().contains(" WARN ") && !plain.contains('\x1b'),
        "{plain}"
    );
    let json = warned("json", "b");
    let line = json.lines().find(|line| line.contains("was open to others"));
    let line: serde_json::Value = serde_json::from_str(line.unwrap()).unwrap();
    assert_eq!(line["level"], "WARN", "{line}");
    let (said, _) = ended(
        forebay()
            .args([
                "--log-format",
                "json",
                "credentials",
                "delete",
                "none",
                "--data-dir",
            ])
            .arg(&data),
    );
    let line: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (&line["level"], &line["message"]),
        (&"ERROR".into(), &"forebay: there is no profile 'none'".into())
    );
}

/// Images are added, listed and removed without a running Forebay.
#[test]
fn images_are_kept_in_the_data_directory() {
    let place = tempfile::tempdir().unwrap();
    let image = |args: &[&str]| {
        let mut command = forebay();
        command.arg("image").args(args).arg("--data-dir");
        command.arg(place.path().join("data")).output().unwrap()
    };
    let added = image(&["add", "hello", "--command", "exec sleep 9", "--port", "8080"]);
    let id = String::from_utf8(added.stdout).unwrap().trim().to_owned();
    assert!(id.starts_with("ami-"), "{id}");
    let listed = String::from_utf8(image(&["list"]).stdout).unwrap();
    assert!(
        listed.contains(&id) && listed.contains("8080") && listed.contains("exec sleep 9"),
        "{listed}"
    );
    assert_eq!(
        image(&["add", "hello", "--command", "true"]).status.code(),
        Some(1)
    );
    assert!(image(&["remove", &id]).status.success());
    assert_eq!(image(&["remove", &id]).status.code(), Some(1));
}

/// The program checks whether it is a shim before anything else, and a shim without an instance ends.
#[test]
fn a_shim_of_nothing_ends() {
    let place = tempfile::tempdir().unwrap();
    let ended = forebay().arg("instance-shim").arg(place.path()).output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(said.contains("cannot open") && said.contains("lock"), "{said}");
}
