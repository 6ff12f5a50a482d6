use super::*;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use forebay_control::{Journal as _, State};
use forebay_store::Store;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const ALL: BackupOptions = BackupOptions {
    images: true,
    messages: true,
    datapoints: true,
};

/// A data directory with some content of every kind.
fn filled() -> (TempDir, PathBuf, State) {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("data");
    crate::make_data_dir(&dir).unwrap();
    let (mut store, _) = Store::open(&dir.join("state.redb")).unwrap();
    let state = State::new("local-1", "127.88.0.0/15".parse().unwrap());
    store.commit(&state, &state).unwrap();
    store.initialise(&state).unwrap();
    drop(store);
    forebay_gateway::credentials::create(&dir.join("credentials"), "default").unwrap();
    fs::write(dir.join("notify-secret"), "whsec_x").unwrap();
    let root = dir.join("images/ami-0123456789abcdef0/root");
    fs::create_dir_all(root.join("empty")).unwrap();
    fs::create_dir_all(dir.join("images/.new-7")).unwrap();
    fs::write(root.join("start"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(root.join("start"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("start", root.join("again")).unwrap();
    fs::create_dir_all(dir.join("datapoints/seconds")).unwrap();
    fs::write(dir.join("datapoints/1.points"), [7; 3000]).unwrap();
    fs::create_dir_all(dir.join("functions/code")).unwrap();
    for name in ["00.zip", ".new-1"] {
        fs::write(dir.join("functions/code").join(name), "zip").unwrap();
    }
    fs::create_dir_all(dir.join("functions/environments/1")).unwrap();
    fs::create_dir_all(dir.join("logs")).unwrap();
    fs::write(dir.join("logs/a.log.gz"), "x").unwrap();
    (place, dir, state)
}

fn saved(dir: &Path, to: &Path, options: BackupOptions) -> Manifest {
    let (_, manifest) = save(dir, options, fs::File::create(to).unwrap(), &mut |_| {}).unwrap();
    manifest
}

#[test]
fn what_was_backed_up_is_restored() {
    let (place, dir, state) = filled();
    let file = place.path().join("a.backup");
    let manifest = saved(&dir, &file, ALL);
    assert_eq!(
        (manifest.keys, manifest.datapoints, manifest.process),
        (1, true, None)
    );
    assert!(
        manifest
            .to_string()
            .ends_with("1 access key, 0 images, datapoints"),
        "{manifest}"
    );
    assert_eq!(examine(&file).unwrap(), manifest);
    let other = place.path().join("other");
    let restored = restore(&file, &other, false).unwrap();
    assert_eq!((restored.manifest, restored.aside), (manifest, Vec::new()));
    assert_eq!(Store::open(&other.join("state.redb")).unwrap().1, Some(state));
    for name in [
        "credentials",
        "notify-secret",
        "datapoints/1.points",
        "functions/code/00.zip",
    ] {
        assert_eq!(
            fs::read(dir.join(name)).unwrap(),
            fs::read(other.join(name)).unwrap()
        );
    }
    let root = other.join("images/ami-0123456789abcdef0/root");
    assert_eq!(fs::read_link(root.join("again")).unwrap(), Path::new("start"));
    let mode = |path: &Path| path.symlink_metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode(&root.join("start")), mode(&other.join("credentials"))),
        (0o700, 0o600)
    );
    assert_eq!((mode(&other), mode(&root.join("empty"))), (0o700, 0o700));
    for absent in [
        "logs",
        "images/.new-7",
        "functions/code/.new-1",
        "functions/environments",
        "restore.new",
    ] {
        assert!(!other.join(absent).exists(), "{absent}");
    }
    let small = place.path().join("b.backup");
    let manifest = saved(
        &dir,
        &small,
        BackupOptions {
            images: false,
            messages: false,
            datapoints: false,
        },
    );
    // Three files, and the functions' code in two directories.
    assert_eq!(manifest.count(), 6);
    assert_eq!(manifest.images, None);
}

#[test]
fn what_is_there_is_kept_or_moved_aside() {
    let (place, dir, state) = filled();
    let file = place.path().join("a.backup");
    saved(&dir, &file, ALL);
    let before = fs::read(dir.join("state.redb")).unwrap();
    let refused = restore(&file, &dir, false).unwrap_err().to_string();
    assert!(
        refused.contains("credentials") && refused.contains("--force"),
        "{refused}"
    );
    assert_eq!(fs::read(dir.join("state.redb")).unwrap(), before);
    let restored = restore(&file, &dir, true).unwrap();
    assert_eq!(restored.aside.len(), 6);
    let aside = restored
        .aside
        .iter()
        .find(|path| path.to_string_lossy().contains("state.redb.before-restore-"));
    assert_eq!(fs::read(aside.unwrap()).unwrap(), before);
    let (store, held) = Store::open(&dir.join("state.redb")).unwrap();
    assert_eq!(held, Some(state));
    let refused = format!("{:#}", restore(&file, &dir, true).unwrap_err());
    assert!(refused.contains("in use by another process"), "{refused}");
    drop(store);
    // All of that belongs to Forebay.
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    crate::make_data_dir(&dir).unwrap();
}

/// A wrong byte is never restored: it is found, or it is in a place without meaning.
#[test]
fn damage_is_refused_and_nothing_written() {
    let (place, dir, state) = filled();
    let file = place.path().join("a.backup");
    saved(&dir, &file, ALL);
    let whole = fs::read(&file).unwrap();
    let target = place.path().join("target");
    let mut refusals = 0;
    for number in 0..60 {
        let mut bytes = whole.clone();
        let at = number * bytes.len() / 60;
        if number % 3 == 0 {
            bytes.truncate(at);
        } else {
            bytes[at] ^= 1 << (number % 8);
        }
        fs::write(&file, &bytes).unwrap();
        match restore(&file, &target, false) {
            Err(_) => {
                refusals += 1;
                assert!(!target.exists(), "{number}");
            }
            Ok(_) => {
                assert_eq!(
                    Store::open(&target.join("state.redb")).unwrap().1.as_ref(),
                    Some(&state)
                );
                fs::remove_dir_all(&target).unwrap();
            }
        }
    }
    // In a run of zeros, a reference to another part of the run gives the same result.
    assert!(refusals > 40, "{refusals}");
}

/// Adds members to an archive.
type Pack<'a> = &'a dyn Fn(&mut archive::Packer<fs::File>);

/// An archive with these members, and a manifest that matches.
fn archive(file: &Path, pack: impl FnOnce(&mut archive::Packer<fs::File>)) {
    let mut packer = archive::Packer::new(fs::File::create(file).unwrap(), 0);
    pack(&mut packer);
    let about = serde_json::json!({"format": 1, "program": "0", "made": "", "process": null, "store_format": 2, "pool": "",
        "domain": "", "rows": {}, "keys": 0, "images": null, "datapoints": false, "members": []});
    packer.finish(serde_json::from_value(about).unwrap()).unwrap();
}

#[test]
fn archives_lead_nowhere_else() {
    let (place, dir, _) = filled();
    let file = place.path().join("a.backup");
    let store = fs::read(dir.join("state.redb")).unwrap();
    let target = place.path().join("target");
    let outside = place.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let put =
        |packer: &mut archive::Packer<fs::File>, name: &str| packer.file(name, 0o600, 1, &b"x"[..]).unwrap();
    let wrong: [Pack<'_>; 6] = [
        &|packer| put(packer, "letters"),
        &|packer| put(packer, "images/a"),
        &|packer| packer.link("images", &outside).unwrap(),
        &|packer| {
            packer.directory("images").unwrap();
            packer.link("images/a", &outside).unwrap();
            put(packer, "images/a/b");
        },
        &|packer| {
            put(packer, "credentials");
            put(packer, "credentials");
        },
        &|packer| put(packer, "images/./b"),
    ];
    for (number, wrong) in wrong.iter().enumerate() {
        archive(&file, |packer| {
            packer
                .file("state.redb", 0o600, store.len() as u64, &*store)
                .unwrap();
            wrong(packer);
        });
        let refused = restore(&file, &target, false).unwrap_err().to_string();
        assert!(refused.contains("damaged"), "{number}: {refused}");
        assert!(!target.exists());
    }
    archive(&file, |packer| put(packer, "credentials"));
    let refused = restore(&file, &target, false).unwrap_err().to_string();
    assert!(refused.contains("contains no state"), "{refused}");
    assert_eq!(fs::read_dir(outside).unwrap().count(), 0);
}

#[test]
fn newer_archives_are_refused_with_what_to_do() {
    let (place, dir, _) = filled();
    let file = place.path().join("a.backup");
    saved(&dir, &file, ALL);
    let mut bytes = Vec::new();
    let mut old = GzDecoder::new(fs::File::open(&file).unwrap());
    std::io::copy(&mut old, &mut bytes).unwrap();
    // Of the same length, so that the tar header still fits.
    let (from, to) = (b"\"format\": 1,", b"\"format\": 9,");
    let at = bytes
        .windows(from.len())
        .position(|window| window == from)
        .unwrap();
    bytes[at..at + to.len()].copy_from_slice(to);
    let mut new = GzEncoder::new(fs::File::create(&file).unwrap(), flate2::Compression::fast());
    new.write_all(&bytes).unwrap();
    new.finish().unwrap();
    let refused = format!(
        "{:#}",
        restore(&file, &place.path().join("b"), false).unwrap_err()
    );
    assert!(
        refused.contains("format 9") && refused.contains("use that version"),
        "{refused}"
    );
}

#[test]
fn a_directory_without_state_has_no_backup() {
    let place = tempfile::tempdir().unwrap();
    let error = save(place.path(), ALL, Vec::new(), &mut |_| {})
        .unwrap_err()
        .to_string();
    assert!(error.contains("there is no state"), "{error}");
}
