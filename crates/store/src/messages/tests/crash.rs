//! What a crash leaves: the log truncated at every byte of its last frames, and each of their bytes damaged.

use super::{DEAD, ORDERED, WORK, ask, at, counts, open, receive, send};
use std::fs;
use std::path::{Path, PathBuf};

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

type Seen = [(usize, usize, usize); 3];

fn seen(directory: &Path) -> Seen {
    let (mut engine, _) = open(directory, 1 << 20, at(5000));
    [WORK, ORDERED, DEAD].map(|queue| counts(&mut engine, at(5000), queue))
}

/// A log of some frames, with its length after each commit and the messages at that time.
fn written(directory: &Path) -> Vec<(u64, Seen)> {
    let (mut engine, _) = open(directory, 1 << 20, at(0));
    let mut after = Vec::new();
    for step in 0..8_u8 {
        match step {
            0 | 4 => {
                for id in 0..5 {
                    let id = u128::from(step) * 10 + id;
                    send(&mut engine, at(step.into()), WORK, id, &[step; 30]);
                    send(&mut engine, at(step.into()), ORDERED, id, &[step; 20]);
                }
            }
            1 | 5 => {
                for queue in [WORK, ORDERED] {
                    let given = engine.receive(at(step.into()), queue, &ask(3)).unwrap();
                    let first = given.messages[0].receipt;
                    engine.delete(at(step.into()), queue, first).unwrap();
                }
            }
            2 => {
                let _ = send(&mut engine, at(2), DEAD, 99, b"");
            }
            3 => {
                let _ = engine.start_task(at(3), DEAD, Some(WORK), None).unwrap();
            }
            6 => {
                let _ = engine.purge(at(6), ORDERED).unwrap();
            }
            _ => {
                let _ = send(&mut engine, at(7), ORDERED, 500, b"last");
            }
        }
        engine.wake(at(step.into()));
        engine.commit(at(0)).unwrap();
        let length = fs::metadata(&files(directory)[0]).unwrap().len();
        let found = [WORK, ORDERED, DEAD].map(|queue| counts(&mut engine, at(5000), queue));
        after.push((length, found));
    }
    after
}

#[test]
fn a_log_that_was_cut_anywhere_has_what_was_committed_before() {
    let place = tempfile::tempdir().unwrap();
    let after = written(place.path());
    let whole = fs::read(&files(place.path())[0]).unwrap();
    assert_eq!(whole.len() as u64, after[7].0);
    // Every byte of the last frames, and some of the earlier ones.
    let lengths = (0..=whole.len()).filter(|length| *length as u64 > after[4].0 || length % 8 == 0);
    for length in lengths {
        let other = tempfile::tempdir().unwrap();
        fs::write(other.path().join("0000000001.messages"), &whole[..length]).unwrap();
        let wanted = after
            .iter()
            .rev()
            .find(|(bytes, _)| *bytes <= length as u64)
            .map_or([(0, 0, 0); 3], |(_, seen)| *seen);
        assert_eq!(seen(other.path()), wanted, "cut at {length}");
        if length % 64 > 0 {
            continue;
        }
        // What is written next is not lost behind the truncated frame.
        let (mut engine, _) = open(other.path(), 1 << 20, at(5000));
        send(&mut engine, at(5000), DEAD, 7, b"after");
        engine.commit(at(0)).unwrap();
        drop(engine);
        assert_eq!(
            seen(other.path())[2].0,
            wanted[2].0 + 1,
            "after a cut at {length}"
        );
    }
}

#[test]
fn a_spoilt_frame_ends_its_file() {
    let place = tempfile::tempdir().unwrap();
    let after = written(place.path());
    let path = files(place.path()).remove(0);
    let whole = fs::read(&path).unwrap();
    let (last, before) = (after[6].0 as usize, after[6].1);
    for at in last..whole.len() {
        let mut spoilt = whole.clone();
        spoilt[at] ^= 1;
        fs::write(&path, &spoilt).unwrap();
        assert_eq!(seen(place.path()), before, "spoilt at {at}");
    }
    // Zeros at the end do not count.
    let mut longer = whole.clone();
    longer.extend([0; 64]);
    fs::write(&path, &longer).unwrap();
    assert_eq!(seen(place.path()), after[7].1);
}

#[test]
fn a_failed_commit_leaves_what_was_written_before() {
    let place = tempfile::tempdir().unwrap();
    let (mut engine, _) = open(place.path(), 1 << 20, at(0));
    send(&mut engine, at(0), WORK, 1, b"one");
    send(&mut engine, at(0), WORK, 2, b"two");
    engine.commit(at(0)).unwrap();
    send(&mut engine, at(1), WORK, 3, b"three");
    let given = engine.receive(at(1), WORK, &ask(1)).unwrap().messages;
    engine.delete(at(1), WORK, given[0].receipt).unwrap();
    engine.failed = Some(std::io::ErrorKind::StorageFull.into());
    assert!(engine.commit(at(0)).is_err());
    let found = engine.reload(at(2)).unwrap();
    assert_eq!((found.messages, found.left_out), (2, 0));
    assert_eq!(counts(&mut engine, at(2), WORK), (2, 0, 0));
    send(&mut engine, at(3), WORK, 4, b"four");
    engine.commit(at(0)).unwrap();
    drop(engine);
    let (mut engine, _) = open(place.path(), 1 << 20, at(4));
    let found: Vec<u128> = receive(&mut engine, at(4), WORK, 10)
        .into_iter()
        .map(|(id, _)| id)
        .collect();
    assert_eq!(found, [1, 2, 4]);
}

/// A complete frame with unknown content is from another version of Forebay: it must not be skipped.
#[test]
fn what_another_forebay_wrote_is_not_left_out() {
    let place = tempfile::tempdir().unwrap();
    let mut payload = Vec::new();
    payload.extend([0, 0, 0, 0, 3, 0, 0, 0, 250, 250, 250]);
    let mut bytes = super::super::record::head(&payload).unwrap().to_vec();
    bytes.extend(&payload);
    fs::write(place.path().join("0000000001.messages"), &bytes).unwrap();
    let opened = super::Engine::open(at(0), place.path(), super::Bounds::default(), &super::queues(), 7);
    assert!(opened.is_err());
    assert_eq!(fs::read(place.path().join("0000000001.messages")).unwrap(), bytes);
}
