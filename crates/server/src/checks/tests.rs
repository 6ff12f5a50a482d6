use super::*;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

fn args(dir: &std::path::Path, pool: &str) -> UpArgs {
    UpArgs::scratch(dir, pool.parse().unwrap())
}

fn worst(report: &Report, about: &str) -> Option<Level> {
    let of = report.findings.iter().filter(|finding| finding.about == about);
    of.map(|finding| finding.level).max()
}

#[test]
fn a_fresh_directory_is_good_and_stays_absent() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("data");
    let report = check(&args(&dir, "127.88.0.0/16"));
    assert!(report.worst() < Level::Error, "{report:?}");
    assert!(!dir.exists());
}

#[test]
fn each_thing_that_keeps_from_starting_is_an_error() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("data");
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let good = args(&dir, "127.89.0.0/16");
    let port = UpArgs {
        api: socket.local_addr().unwrap(),
        ..good.clone()
    };
    let interface = UpArgs {
        expose: vec![crate::Exposure::Interface("no-such0".into())],
        ..good.clone()
    };
    let shapes = UpArgs {
        shapes: Some(place.path().join("absent.json")),
        ..good.clone()
    };
    let successor = UpArgs {
        take_over: true,
        ..good.clone()
    };
    let dns = UpArgs {
        dns: Some("127.0.0.1:53".parse().unwrap()),
        ..good.clone()
    };
    for (about, wrong) in [
        ("ports", port),
        ("exposed addresses", interface),
        ("shapes", shapes),
        ("store", successor),
        ("flags", dns),
    ] {
        assert_eq!(worst(&check(&wrong), about), Some(Level::Error), "{about}");
    }
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("letters"), "").unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(worst(&check(&good), "data directory"), Some(Level::Error));
    fs::remove_file(dir.join("letters")).unwrap();
    assert_eq!(worst(&check(&good), "data directory"), Some(Level::Warning));
    fs::write(dir.join("state.redb"), "no store").unwrap();
    fs::write(dir.join("credentials"), "no keys").unwrap();
    let report = check(&good);
    assert_eq!(worst(&report, "store"), Some(Level::Error));
    assert_eq!(worst(&report, "credentials"), Some(Level::Error));
    assert_eq!(fs::read(dir.join("state.redb")).unwrap(), b"no store");
}

#[test]
fn functions_that_cannot_run_are_told() {
    let place = tempfile::tempdir().unwrap();
    let mut state = State::new("local-1", "127.90.0.0/16".parse().unwrap());
    let look = |args: &UpArgs, state: &State| {
        let mut report = Report::default();
        functions::look(args, state, &mut report);
        (report.worst(), format!("{report:?}"))
    };
    let mut args = args(place.path(), "127.90.0.0/16");
    args.functions.function_user = forebay_launch::RunAs::Own;
    assert_eq!(look(&args, &state).0, Level::Ok);
    let function = serde_json::json!({
        "name": "f", "arn": "arn:aws:lambda:local-1:123456789012:function:f", "runtime": "nodejs20.x", "role": "r", "handler": "h.h",
        "description": "", "timeout_s": 3, "memory_mib": 128, "environment": {}, "code_sha256": "00", "code_size": 1,
        "architecture": "x86_64", "ephemeral_mib": 512, "tracing": "PassThrough", "dead_letter": null, "logging": null,
        "revision": "r", "modified": 0, "events": 7, "reserved": null, "policy": [],
    });
    let function = serde_json::from_value(function).unwrap();
    state
        .region_mut("local-1")
        .functions
        .insert("f".to_owned(), std::sync::Arc::new(function));
    args.functions.function_node = "/no/such/program".to_owned();
    let (worst, told) = look(&args, &state);
    assert_eq!(worst, Level::Warning);
    assert!(
        told.contains("the code of f is not in") && told.contains("--function-node"),
        "{told}"
    );
    fs::create_dir_all(place.path().join("functions/code")).unwrap();
    fs::write(place.path().join("functions/code/00.zip"), "").unwrap();
    args.functions.function_node = "true".to_owned();
    assert_eq!(look(&args, &state).0, Level::Ok);
}
