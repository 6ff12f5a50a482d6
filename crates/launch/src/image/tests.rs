use super::*;

fn scratch() -> (tempfile::TempDir, Images) {
    let scratch = tempfile::tempdir().unwrap();
    let images = Images::new(scratch.path());
    (scratch, images)
}

fn new(source: Source, command: Option<&str>) -> NewImage {
    NewImage {
        name: "web".to_owned(),
        description: String::new(),
        source,
        command: command.map(str::to_owned),
        port: 8000,
    }
}

fn directory(scratch: &Path) -> PathBuf {
    let dir = scratch.join("app");
    fs::create_dir_all(dir.join("sub")).unwrap();
    fs::write(dir.join("start"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(dir.join("start"), Permissions::from_mode(0o700)).unwrap();
    fs::write(dir.join("sub/data"), "data").unwrap();
    symlink("sub/data", dir.join("link")).unwrap();
    dir
}

fn archive(scratch: &Path, fill: impl FnOnce(&mut tar::Builder<File>)) -> Source {
    let path = scratch.join("app.tar");
    let mut builder = tar::Builder::new(File::create(&path).unwrap());
    fill(&mut builder);
    builder.into_inner().unwrap();
    Source::Path(path)
}

fn header(kind: tar::EntryType, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o755);
    header
}

/// A header with a name that tar's own builder refuses.
fn raw(kind: tar::EntryType, name: &str) -> tar::Header {
    let mut header = header(kind, 0);
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.set_cksum();
    header
}

#[test]
fn the_same_content_has_the_same_id_whatever_it_comes_in() {
    let (scratch, images) = scratch();
    let dir = directory(scratch.path());
    let image = images.add(&new(Source::Path(dir.clone()), None)).unwrap();
    assert_eq!(image.id.len(), "ami-".len() + 17);
    assert_eq!(images.find(&image.id).unwrap().name, "web");
    assert_eq!(images.remove("web").unwrap().id, image.id);
    assert_eq!(images.list(), []);
    let source = archive(scratch.path(), |builder| {
        builder.follow_symlinks(false);
        builder.append_dir_all(".", &dir).unwrap();
    });
    assert_eq!(images.add(&new(source, None)).unwrap().id, image.id);
}

#[test]
fn names_and_contents_are_unique() {
    let (_scratch, images) = scratch();
    images.add(&new(Source::Nothing, Some("true"))).unwrap();
    let again = images.add(&new(Source::Nothing, Some("false"))).unwrap_err();
    assert!(again.contains("named web already"), "{again}");
    let other = NewImage {
        name: "other".to_owned(),
        ..new(Source::Nothing, Some("true"))
    };
    assert!(images.add(&other).unwrap_err().contains("here already"));
}

#[test]
fn something_must_be_there_to_start() {
    let (scratch, images) = scratch();
    assert!(
        images
            .add(&new(Source::Nothing, None))
            .unwrap_err()
            .contains("needs files")
    );
    let dir = directory(scratch.path());
    fs::set_permissions(dir.join("start"), Permissions::from_mode(0o600)).unwrap();
    let refused = images.add(&new(Source::Path(dir), None)).unwrap_err();
    assert!(refused.contains("--command"), "{refused}");
}

#[test]
fn archives_stay_within_the_image() {
    let (scratch, images) = scratch();
    let refused = |fill: &dyn Fn(&mut tar::Builder<File>)| {
        let source = archive(scratch.path(), fill);
        images.add(&new(source, Some("true"))).unwrap_err()
    };
    for name in ["/etc/x", "../x", "a/../../x"] {
        let why = refused(&|builder| {
            builder
                .append(&raw(tar::EntryType::Regular, name), io::empty())
                .unwrap()
        });
        assert!(why.contains("leads out"), "{why}");
    }
    for target in ["/etc/passwd", "..", "a/../../b", "a/../b"] {
        let why = refused(&|builder| {
            builder
                .append_link(&mut header(tar::EntryType::Symlink, 0), "link", target)
                .unwrap();
        });
        assert!(why.contains("leads out"), "{why}");
    }
    let why = refused(&|builder| {
        builder
            .append(&raw(tar::EntryType::Char, "device"), io::empty())
            .unwrap()
    });
    assert!(why.contains("nothing else"), "{why}");
    // Through a link that is harmless in itself.
    let why = refused(&|builder| {
        builder
            .append_link(&mut header(tar::EntryType::Symlink, 0), "dir", ".")
            .unwrap();
        builder
            .append_data(&mut header(tar::EntryType::Regular, 1), "dir/x", &b"x"[..])
            .unwrap();
    });
    assert!(why.contains("no directory"), "{why}");
}

#[test]
fn a_working_directory_shares_files_and_owns_directories() {
    let (scratch, images) = scratch();
    let image = images
        .add(&new(Source::Path(directory(scratch.path())), None))
        .unwrap();
    let image = images.find(&image.id).unwrap();
    let own = scratch.path().join("own");
    fill(&image, &own, None).unwrap();
    assert_eq!(fs::read(own.join("link")).unwrap(), b"data");
    assert_eq!(fs::metadata(own.join("sub/data")).unwrap().nlink(), 1);
    if rustix::process::geteuid().is_root() {
        let shared = scratch.path().join("shared");
        fill(&image, &shared, Some((65534, 65534))).unwrap();
        assert_eq!(fs::metadata(shared.join("sub")).unwrap().uid(), 65534);
        let file = fs::metadata(shared.join("sub/data")).unwrap();
        assert_eq!((file.uid(), file.nlink(), file.mode() & 0o777), (0, 2, 0o644));
    }
}

#[test]
fn ids_that_are_paths_find_nothing() {
    let (_scratch, images) = scratch();
    for id in ["ami-../../../../../x", "ami-", "", "../images"] {
        assert_eq!(images.find(id), None);
    }
}
