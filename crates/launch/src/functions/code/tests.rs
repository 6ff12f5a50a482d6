use super::*;
use crate::functions::archive::pack;
use std::io::Cursor;
use std::os::unix::fs::symlink;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// An archive with these entries: a name with its content, or a link's target after `->`.
fn zip(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        let options = SimpleFileOptions::default().unix_permissions(0o644);
        if let Some(target) = content.strip_prefix("->") {
            writer.add_symlink(*name, target, options).unwrap();
        } else {
            writer.start_file(*name, options).unwrap();
            writer.write_all(content.as_bytes()).unwrap();
        }
    }
    writer.finish().unwrap().into_inner()
}

fn store() -> (tempfile::TempDir, CodeStore) {
    let scratch = tempfile::tempdir().unwrap();
    let store = CodeStore::new(scratch.path());
    (scratch, store)
}

#[test]
fn code_is_kept_once_and_found_again() {
    let (scratch, store) = store();
    let archive = zip(&[("index.py", "x"), ("lib/a.py", "y"), ("lib/b.py", "->a.py")]);
    let code = store.keep(&archive).unwrap();
    assert_eq!(store.keep(&archive).unwrap(), code);
    assert_eq!(code.size, archive.len() as u64);
    assert_eq!(store.read(&code.sha256_hex).unwrap(), archive);
    let root = store.unpacked(&code.sha256_hex).unwrap();
    assert_eq!(fs::read_to_string(root.join("lib/b.py")).unwrap(), "y");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(&root), mode(&root.join("index.py"))), (0o755, 0o444));
    let held = store.hold(&code.sha256_hex).unwrap();
    store.sweep(&[]);
    assert!(root.exists());
    drop(held);
    store.sweep(&[&code.sha256_hex]);
    assert!(root.exists());
    // Unpacked again from the archive alone.
    archive::remove(&root).unwrap();
    assert_eq!(store.unpacked(&code.sha256_hex).unwrap(), root);
    store.sweep(&[]);
    for dir in ["code", "unpacked"] {
        assert_eq!(fs::read_dir(scratch.path().join(dir)).unwrap().count(), 0);
    }
    assert!(store.unpacked("../../etc").is_err());
}

#[test]
fn only_what_nobody_makes_any_more_is_cleared() {
    let (scratch, store) = store();
    store.keep(&zip(&[("index.py", "x")])).unwrap();
    let dir = scratch.path().join("unpacked");
    let own = store.scratch(&dir);
    let left = [".new-4000000-1-0x1-0", ".new-gone-x", ".new-x"].map(|name| dir.join(name));
    for made in left.iter().chain([&own]) {
        fs::create_dir(made).unwrap();
    }
    store.clear();
    assert!(own.exists());
    assert_eq!(left.iter().filter(|made| made.exists()).count(), 0);
}

#[test]
fn what_is_no_zip_is_refused_in_awss_words() {
    let (scratch, store) = store();
    let good = zip(&[("index.py", "some text, some text, some text")]);
    let mut damaged = good.clone();
    damaged[40] ^= 0xff;
    let short = &good[..good.len() - 30];
    for bad in [b"".as_slice(), b"PK", b"\x1f\x8b\x08 no", short, &damaged] {
        let error = store.keep(bad).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Could not unzip uploaded file. Please check your file, then try to upload again."
        );
        assert_eq!(error.code(), "InvalidParameterValueException");
    }
    for dir in ["code", "unpacked"] {
        assert_eq!(fs::read_dir(scratch.path().join(dir)).unwrap().count(), 0);
    }
}

#[test]
fn nothing_leads_out() {
    let (_scratch, store) = store();
    for bad in [
        &[("../x", "")][..],
        &[("a/../../x", "")],
        &[("/x", "")],
        &[("a\\..\\..\\x", "")],
        &[("x", "->/etc/passwd")],
        &[("x", "->../x")],
        &[("a/x", "->../../x")],
        // Through a link to itself, dots would seem to go up less than they do.
        &[("a/l", "->."), ("a/x", "->l/l/l/../../../..")],
        &[("l", "->a"), ("l/x", "")],
        &[("x", "a"), ("x/y", "b")],
    ] {
        let error = store.keep(&zip_lenient(bad)).unwrap_err();
        assert!(
            matches!(error, CodeError::Unsafe(_) | CodeError::NoZip(_)),
            "{bad:?}: {error:?}"
        );
    }
    store.keep(&zip(&[("a/b/x", "->../../y"), ("y", "")])).unwrap();
}

/// Entries that the writer refuses: names are replaced afterwards, by others of the same length.
fn zip_lenient(entries: &[(&str, &str)]) -> Vec<u8> {
    let stand_in = |place: usize, name: &str| format!("{place}{}", &"_________________"[..name.len() - 1]);
    let renamed: Vec<(String, &str)> = entries
        .iter()
        .enumerate()
        .map(|(place, (name, content))| (stand_in(place, name), *content))
        .collect();
    let borrowed: Vec<(&str, &str)> = renamed
        .iter()
        .map(|(name, content)| (&**name, *content))
        .collect();
    let mut bytes = zip(&borrowed);
    for ((name, _), (instead, _)) in entries.iter().zip(&renamed) {
        let places: Vec<usize> = (0..bytes.len() - name.len())
            .filter(|&at| bytes[at..].starts_with(instead.as_bytes()))
            .filter(|&at| {
                at >= 46
                    && (bytes[at - 30..].starts_with(b"PK\x03\x04")
                        || bytes[at - 46..].starts_with(b"PK\x01\x02"))
                    || at == 30
            })
            .collect();
        for at in places {
            bytes[at..at + name.len()].copy_from_slice(name.as_bytes());
        }
    }
    bytes
}

#[test]
fn real_bytes_count_not_headers() {
    let (_scratch, store) = store();
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let zeros = vec![0; 1 << 20];
    writer.start_file("zeros", SimpleFileOptions::default()).unwrap();
    for _ in 0..251 {
        writer.write_all(&zeros).unwrap();
    }
    let mut bytes = writer.finish().unwrap().into_inner();
    assert!(matches!(store.keep(&bytes), Err(CodeError::TooLarge)));
    // The same with headers that claim one byte.
    let central = bytes.windows(4).rposition(|four| four == b"PK\x01\x02").unwrap();
    bytes[central + 24..central + 28].copy_from_slice(&1u32.to_le_bytes());
    bytes[22..26].copy_from_slice(&1u32.to_le_bytes());
    assert!(store.keep(&bytes).is_err());
}

#[test]
fn the_same_files_make_the_same_archive() {
    let (_scratch, store) = store();
    let make = || {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("bin")).unwrap();
        fs::write(dir.path().join("bin/tool"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(dir.path().join("bin/tool"), Permissions::from_mode(0o700)).unwrap();
        fs::write(dir.path().join("a.txt"), "a").unwrap();
        symlink("bin/tool", dir.path().join("link")).unwrap();
        dir
    };
    let (one, other) = (make(), make());
    let packed = pack(one.path(), Some("python3 a.py")).unwrap();
    assert_eq!(packed, pack(other.path(), Some("python3 a.py")).unwrap());
    let code = store.keep(&packed).unwrap();
    let root = store.unpacked(&code.sha256_hex).unwrap();
    let text = fs::read_to_string(root.join("bootstrap")).unwrap();
    assert_eq!(text, "#!/bin/sh\nexec python3 a.py\n");
    let mode = |name: &str| fs::metadata(root.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode("bootstrap"), mode("link"), mode("a.txt")),
        (0o555, 0o555, 0o444)
    );
    // An archive is taken as it is, or gets another bootstrap.
    let file = one.path().join("a.zip");
    fs::write(&file, &packed).unwrap();
    assert_eq!(pack(&file, None).unwrap(), packed);
    let again = store.keep(&pack(&file, Some("true")).unwrap()).unwrap();
    let root = store.unpacked(&again.sha256_hex).unwrap();
    assert_eq!(
        fs::read_to_string(root.join("bootstrap")).unwrap(),
        "#!/bin/sh\nexec true\n"
    );
    assert!(root.join("link").exists());
}
