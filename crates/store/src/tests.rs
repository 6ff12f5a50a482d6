use super::*;
use forebay_awswire::Service;
use forebay_control::{Ports, Request, operate};
use forebay_units::{Rng, Wall};
use redb::{StorageBackend, TableDefinition};
use serde_json::{Value, json};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tempfile::TempDir;

fn fresh() -> State {
    State::new("local-1", "127.64.0.0/10".parse().unwrap())
}

/// The state with one more target group.
fn with_group(state: &State, name: &str) -> State {
    let vpc = state.region("local-1").vpcs.keys().next().unwrap().clone();
    let request = Request {
        service: Service::Elbv2,
        operation: "CreateTargetGroup",
        region: "local-1",
        account: "000000000000",
        input: json!({"Name": name, "Protocol": "HTTP", "Port": 80, "VpcId": vpc}),
        now: Wall::from_seconds(1),
        endpoint: "",
        instance: None,
        is_proven: false,
        request_id: "",
        caller: "AKID",
    };
    let mut rng = Rng::named(state.generation(), name);
    operate(state, &request, &Ports::NOTHING, &mut rng)
        .unwrap()
        .next
        .unwrap()
}

fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.redb");
    (directory, path)
}

/// A store with `count` groups, closed.
fn filled(path: &Path, count: usize) -> State {
    let (mut store, held) = Store::open(path).unwrap();
    assert!(held.is_none());
    let mut state = fresh();
    store.initialise(&state).unwrap();
    for n in 0..count {
        let next = with_group(&state, &format!("g{n}"));
        store.commit(&state, &next).unwrap();
        state = next;
    }
    state
}

#[test]
fn what_was_committed_is_there_again() {
    let (_directory, path) = place();
    let state = filled(&path, 20);
    let (mut store, held) = Store::open(&path).unwrap();
    assert_eq!(held.as_ref(), Some(&state));
    let reset = state.reset();
    store.commit(&state, &reset).unwrap();
    drop(store);
    assert_eq!(Store::open(&path).unwrap().1, Some(reset));
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

/// It was once created with mode 0644, with the private keys of certificates in it.
#[test]
fn store_is_its_owners_alone() {
    let (_directory, path) = place();
    let state = filled(&path, 1);
    assert_eq!(mode(&path), 0o600);
    // As an older version created it.
    std::fs::set_permissions(&path, Permissions::from_mode(0o664)).unwrap();
    assert_eq!(Store::open(&path).unwrap().1, Some(state));
    assert_eq!(mode(&path), 0o600);
}

#[test]
fn first_change_takes_the_whole_state_along() {
    let (_directory, path) = place();
    let (mut store, _) = Store::open(&path).unwrap();
    let (old, new) = (fresh(), with_group(&fresh(), "first"));
    store.commit(&old, &new).unwrap();
    drop(store);
    assert_eq!(Store::open(&path).unwrap().1, Some(new));
}

#[test]
fn store_made_but_never_initialised_is_empty() {
    let (_directory, path) = place();
    drop(Store::open(&path).unwrap());
    assert!(Store::open(&path).unwrap().1.is_none());
}

/// Opens, expects an error, and checks that nothing changed.
fn refused(path: &Path) -> StoreError {
    let before = std::fs::read(path).unwrap();
    let modified = std::fs::metadata(path).unwrap().modified().unwrap();
    let error = Store::open(path).expect_err("must be refused");
    assert!(
        std::fs::read(path).unwrap() == before,
        "the file was changed: {error}"
    );
    assert_eq!(
        std::fs::metadata(path).unwrap().modified().unwrap(),
        modified,
        "the file was written to: {error}"
    );
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    let files = std::fs::read_dir(path.parent().unwrap()).unwrap().count();
    assert_eq!(files, 1, "something was left beside the file");
    error
}

#[test]
fn empty_file_is_refused_and_not_touched() {
    let (_directory, path) = place();
    std::fs::write(&path, b"").unwrap();
    assert!(matches!(refused(&path), StoreError::Damaged { .. }));
}

#[test]
fn file_that_is_something_else_is_refused_and_not_touched() {
    let (_directory, path) = place();
    std::fs::write(&path, b"# my notes\n").unwrap();
    assert!(matches!(refused(&path), StoreError::Damaged { .. }));
    // A database of another program.
    std::fs::remove_file(&path).unwrap();
    let database = Database::create(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction
        .open_table(TableDefinition::<&str, u64>::new("theirs"))
        .unwrap()
        .insert("a", 1)
        .unwrap();
    transaction.commit().unwrap();
    drop(database);
    assert!(refused(&path).to_string().contains("not a Forebay store"));
}

#[test]
fn newer_format_is_refused_and_not_touched() {
    let (_directory, path) = place();
    filled(&path, 1);
    let database = Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    format::set_format(&transaction, FORMAT + 1).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = refused(&path);
    assert!(
        matches!(error, StoreError::Newer { found, .. } if found == FORMAT + 1),
        "{error}"
    );
    assert!(matches!(StoreFile::read(&path), Err(StoreError::Newer { .. })));
}

#[test]
fn row_that_cannot_be_read_is_named() {
    let (_directory, path) = place();
    filled(&path, 1);
    let database = Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    let table = TableDefinition::<&str, &[u8]>::new("rows.ec2.vpc");
    transaction
        .open_table(table)
        .unwrap()
        .insert("local-1/vpc-x", &b"{}"[..])
        .unwrap();
    transaction.commit().unwrap();
    drop(database);
    let text = refused(&path).to_string();
    assert!(text.contains("row 'vpc-x' of table 'ec2.vpc'"), "{text}");
}

#[test]
fn store_in_use_is_refused() {
    let (_directory, path) = place();
    filled(&path, 1);
    let (_store, _) = Store::open(&path).unwrap();
    assert!(matches!(refused(&path), StoreError::InUse { .. }));
}

#[test]
fn damage_anywhere_is_refused_untouched_or_harmless() {
    let (_directory, path) = place();
    let state = filled(&path, 12);
    let whole = std::fs::read(&path).unwrap();
    let mut rng = Rng::named(7, "damage");
    let mut refusals = 0;
    for _ in 0..60 {
        let mut bytes = whole.clone();
        match rng.below(3) {
            0 => bytes.truncate(rng.below(bytes.len() as u64) as usize + 1),
            1 => {
                let at = rng.below(bytes.len() as u64) as usize;
                bytes[at] ^= 1 << rng.below(8);
            }
            _ => {
                let at = rng.below(bytes.len() as u64) as usize;
                let end = (at + 4096).min(bytes.len());
                bytes[at..end].fill(0xff);
            }
        }
        std::fs::write(&path, &bytes).unwrap();
        match Store::open(&path) {
            // Only bytes without meaning may differ.
            Ok((_, held)) => assert_eq!(held.as_ref(), Some(&state)),
            Err(_) => {
                refusals += 1;
                assert!(
                    std::fs::read(&path).unwrap() == bytes,
                    "a refused file was changed"
                );
            }
        }
    }
    assert!(refusals > 10, "{refusals}");
}

#[test]
fn format_1_becomes_the_current_format() {
    let (_directory, path) = place();
    let state = with_group(&fresh(), "old");
    write_format_1(&path, &state);
    let (mut store, held) = Store::open(&path).unwrap();
    assert_eq!(held.as_ref(), Some(&state));
    let next = with_group(&state, "new");
    store.commit(&state, &next).unwrap();
    drop(store);
    let database = Database::open(&path).unwrap();
    assert_eq!(format::format_of(&database).unwrap(), Some(FORMAT));
    drop(database);
    assert_eq!(Store::open(&path).unwrap().1, Some(next));
}

#[test]
fn format_1_that_cannot_be_migrated_is_not_touched() {
    let (_directory, path) = place();
    write_format_1(&path, &fresh());
    let database = Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction
        .open_table(format::ROWS_1)
        .unwrap()
        .insert(("ec2.subnet", "local-1/s"), &b"{}"[..])
        .unwrap();
    transaction.commit().unwrap();
    drop(database);
    assert!(refused(&path).to_string().contains("has no slice"));
}

/// A store in the first format: one table of rows, one slice for each subnet.
fn write_format_1(path: &Path, state: &State) {
    let database = Database::create(path).unwrap();
    let transaction = database.begin_write().unwrap();
    format::set_format(&transaction, 1).unwrap();
    {
        let mut table = transaction.open_table(format::ROWS_1).unwrap();
        for row in state.rows() {
            let mut value: Value = serde_json::from_slice(&row.value.unwrap()).unwrap();
            if row.table == "ec2.subnet" {
                let slices = value.as_object_mut().unwrap().remove("slices").unwrap();
                value["slice"] = slices[0].clone();
            }
            table
                .insert((row.table, row.key.as_str()), value.to_string().as_bytes())
                .unwrap();
        }
    }
    transaction.commit().unwrap();
}

/// A disk that is full after so many more writes; a crash is a disk that stays full.
#[derive(Debug)]
struct Disk {
    file: FileBackend,
    left: Arc<AtomicU64>,
}

impl Disk {
    fn use_up(&self) -> io::Result<()> {
        let left = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        left.map(|_| ())
            .map_err(|_| io::Error::from(io::ErrorKind::StorageFull))
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.use_up()?;
        self.file.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.use_up()?;
        self.file.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        // A failing write may have written its first half.
        if let Err(error) = self.use_up() {
            self.file.write(offset, &data[..data.len() / 2])?;
            return Err(error);
        }
        self.file.write(offset, data)
    }
    fn close(&self) -> io::Result<()> {
        self.file.close()
    }
}

fn on_disk(path: &Path, left: &Arc<AtomicU64>) -> (Store, Option<State>) {
    let left = Arc::clone(left);
    let opener = move |path: &Path| {
        let file = File::options().read(true).write(true).open(path)?;
        Builder::new().create_with_backend(Disk {
            file: FileBackend::new(file)?,
            left: Arc::clone(&left),
        })
    };
    Store::open_by(path, Box::new(opener)).unwrap()
}

#[test]
fn full_disk_is_an_error_and_the_store_goes_on_when_there_is_room() {
    let (_directory, path) = place();
    let mut state = filled(&path, 3);
    let left = Arc::new(AtomicU64::new(u64::MAX));
    let (mut store, _) = on_disk(&path, &left);
    for (round, room) in (0..40).enumerate() {
        left.store(room, Ordering::SeqCst);
        let lost = with_group(&state, &format!("lost{round}"));
        let failed = store.commit(&state, &lost).is_err();
        if !failed {
            state = lost;
        }
        left.store(u64::MAX, Ordering::SeqCst);
        let next = with_group(&state, &format!("kept{round}"));
        store.commit(&state, &next).unwrap();
        state = next;
    }
    drop(store);
    assert_eq!(Store::open(&path).unwrap().1, Some(state));
}

#[test]
fn crash_at_any_write_leaves_what_was_acknowledged_whole() {
    let (_directory, path) = place();
    let mut acknowledged = filled(&path, 2);
    let mut rng = Rng::named(3, "crashes");
    for round in 0..60 {
        let left = Arc::new(AtomicU64::new(u64::MAX));
        let (mut store, held) = on_disk(&path, &left);
        assert_eq!(held.as_ref(), Some(&acknowledged), "round {round}");
        left.store(rng.below(40), Ordering::SeqCst);
        let mut pending = None;
        for n in 0..20 {
            let next = with_group(&acknowledged, &format!("r{round}n{n}"));
            match store.commit(&acknowledged, &next) {
                Ok(()) => acknowledged = next,
                Err(_) => {
                    pending = Some(next);
                    break;
                }
            }
        }
        drop(store);
        // The write that was not acknowledged may exist or not, but never in part.
        let (store, held) = Store::open(&path).unwrap();
        let held = held.unwrap();
        if Some(&held) == pending.as_ref() {
            acknowledged = held;
        } else {
            assert_eq!(held, acknowledged, "round {round}");
        }
        drop(store);
    }
}

/// A backup's store, made in memory, can be opened; reading a store changes nothing.
#[test]
fn store_files_are_stores() {
    let (_directory, path) = place();
    let state = filled(&path, 5);
    let before = std::fs::read(&path).unwrap();
    let read = StoreFile::read(&path).unwrap();
    assert_eq!((read.format, read.state.as_ref()), (FORMAT, Some(&state)));
    assert!(std::fs::read(&path).unwrap() == before);
    let made = StoreFile::of(&state, &path).unwrap();
    for bytes in [made, read.bytes] {
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(Store::open(&path).unwrap().1.as_ref(), Some(&state));
    }
    let lock = StoreLock::take(&path).unwrap();
    assert!(matches!(Store::open(&path), Err(StoreError::InUse { .. })));
    drop(lock);
    let (_store, _) = Store::open(&path).unwrap();
    assert!(matches!(StoreFile::read(&path), Err(StoreError::InUse { .. })));
}

#[test]
fn store_files_of_older_formats_stay_as_they_are() {
    let (_directory, path) = place();
    let state = with_group(&fresh(), "old");
    write_format_1(&path, &state);
    let before = std::fs::read(&path).unwrap();
    let read = StoreFile::read(&path).unwrap();
    assert_eq!((read.format, read.state), (1, Some(state)));
    assert!(read.bytes == before && std::fs::read(&path).unwrap() == before);
}
