//! The layout of rows in the file, in each format that ever existed, and the conversion of each to the next.
//!
//! | format | layout |
//! |---|---|
//! | 1 | one table `rows`, keys `TABLE` and `KEY`; a subnet has one slice of the address pool: `slice` |
//! | 2 | a table for each kind of row; a subnet has a list of slices: `slices` |

use forebay_control::{RowChange, State};
use redb::{
    Database, Durability, ReadableDatabase, ReadableTable, StorageError, TableDefinition, TableHandle,
    WriteTransaction,
};
use serde_json::Value;

/// The format that is written.
pub const FORMAT: u64 = 2;

/// The table of facts about the file.
const ABOUT: TableDefinition<'_, &str, u64> = TableDefinition::new("forebay");
const FORMAT_KEY: &str = "format";
/// Format 1's only table of rows.
pub(crate) const ROWS_1: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("rows");
/// Prefix of the names of tables of rows.
const PREFIX: &str = "rows.";

/// A row: table, key, JSON.
pub(crate) type Row = (String, String, Vec<u8>);

/// The file's format; none if it is not a store.
pub(crate) fn format_of(database: &Database) -> Result<Option<u64>, redb::Error> {
    let transaction = database.begin_read()?;
    let about = match transaction.open_table(ABOUT) {
        Ok(about) => about,
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    Ok(about.get(FORMAT_KEY)?.map(|format| format.value()))
}

/// Marks a new file.
pub(crate) fn begin(database: &Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    set_format(&transaction, FORMAT)?;
    transaction.commit()?;
    Ok(())
}

pub(crate) fn set_format(transaction: &WriteTransaction, format: u64) -> Result<(), redb::Error> {
    transaction.open_table(ABOUT)?.insert(FORMAT_KEY, format)?;
    Ok(())
}

/// All rows of the current format.
pub(crate) fn rows(database: &Database) -> Result<Vec<Row>, redb::Error> {
    let transaction = database.begin_read()?;
    let mut rows = Vec::new();
    for handle in transaction.list_tables()? {
        let Some(kind) = handle.name().strip_prefix(PREFIX) else {
            continue;
        };
        let table = transaction.open_table(TableDefinition::<&str, &[u8]>::new(handle.name()))?;
        for row in table.iter()? {
            let (key, value) = row?;
            rows.push((kind.to_owned(), key.value().to_owned(), value.value().to_vec()));
        }
    }
    Ok(rows)
}

/// Removes all rows.
pub(crate) fn clear(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    let handles: Vec<_> = transaction
        .list_tables()?
        .filter(|handle| handle.name().starts_with(PREFIX))
        .collect();
    for handle in handles {
        transaction.delete_table(handle)?;
    }
    Ok(())
}

/// Writes changed rows and removes deleted ones.
pub(crate) fn put(transaction: &WriteTransaction, rows: &[RowChange]) -> Result<(), redb::Error> {
    for kind in State::tables() {
        let mut of_kind = rows.iter().filter(|row| row.table == kind).peekable();
        if of_kind.peek().is_none() {
            continue;
        }
        let name = format!("{PREFIX}{kind}");
        let mut table = transaction.open_table(TableDefinition::<&str, &[u8]>::new(&name))?;
        for row in of_kind {
            match &row.value {
                Some(value) => table.insert(row.key.as_str(), value.as_slice())?,
                None => table.remove(row.key.as_str())?,
            };
        }
    }
    Ok(())
}

/// Converts a file from an older format to the current one, in one transaction.
pub(crate) fn migrate(database: &Database, from: u64) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    let text = |error: redb::SetDurabilityError| StorageError::Io(std::io::Error::other(error.to_string()));
    transaction.set_durability(Durability::Immediate).map_err(text)?;
    for format in from..FORMAT {
        match format {
            1 => one_to_two(&transaction)?,
            other => return Err(StorageError::Corrupted(format!("no migration from format {other}")).into()),
        }
        set_format(&transaction, format + 1)?;
    }
    transaction.commit()?;
    Ok(())
}

fn one_to_two(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    let mut rows: Vec<Row> = Vec::new();
    {
        let table = transaction.open_table(ROWS_1)?;
        for row in table.iter()? {
            let (key, value) = row?;
            let (kind, key) = key.value();
            rows.push((kind.to_owned(), key.to_owned(), value.value().to_vec()));
        }
    }
    transaction.delete_table(ROWS_1)?;
    for (kind, key, value) in rows {
        let value = if kind == "ec2.subnet" {
            subnet_one_to_two(&key, &value)?
        } else {
            value
        };
        let name = format!("{PREFIX}{kind}");
        let mut table = transaction.open_table(TableDefinition::<&str, &[u8]>::new(&name))?;
        table.insert(key.as_str(), value.as_slice())?;
    }
    Ok(())
}

fn subnet_one_to_two(key: &str, value: &[u8]) -> Result<Vec<u8>, redb::Error> {
    let wrong = || StorageError::Corrupted(format!("row '{key}' of table 'ec2.subnet' has no slice"));
    let mut subnet: Value = serde_json::from_slice(value).map_err(|_| wrong())?;
    let members = subnet.as_object_mut().ok_or_else(wrong)?;
    let slice = members.remove("slice").ok_or_else(wrong)?;
    members.insert("slices".to_owned(), Value::Array(vec![slice]));
    Ok(subnet.to_string().into_bytes())
}
