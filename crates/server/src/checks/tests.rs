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
