//! A file's bytes in memory, so that writing to them does not change the file.

use forebay_units::lock::lock;
use redb::StorageBackend;
use std::io;
use std::sync::{Arc, Mutex};

/// The bytes, shared by clones. A database opened on them may repair itself.
#[derive(Clone)]
pub(crate) struct Copy(Arc<Mutex<Vec<u8>>>);

impl Copy {
    pub(crate) fn new(bytes: Vec<u8>) -> Copy {
        Copy(Arc::new(Mutex::new(bytes)))
    }

    /// Takes the bytes; clones are empty from now on.
    pub(crate) fn take(&self) -> Vec<u8> {
        core::mem::take(&mut *self.bytes())
    }

    fn bytes(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        lock(&self.0)
    }
}

impl core::fmt::Debug for Copy {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Copy({} bytes)", self.bytes().len())
    }
}

fn range(offset: u64, length: usize, held: usize) -> io::Result<core::ops::Range<usize>> {
    let outside = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let start = usize::try_from(offset).map_err(|_| outside())?;
    let end = start
        .checked_add(length)
        .filter(|&end| end <= held)
        .ok_or_else(outside)?;
    Ok(start..end)
}

impl StorageBackend for Copy {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let bytes = self.bytes();
        out.copy_from_slice(&bytes[range(offset, out.len(), bytes.len())?]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(io::Error::other)?;
        let mut bytes = self.bytes();
        // A damaged header may ask for any length; a repair never needs much more than there is.
        if len > bytes.len().saturating_mul(4).max(64 << 20) {
            return Err(io::Error::from(io::ErrorKind::OutOfMemory));
        }
        bytes.resize(len, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut bytes = self.bytes();
        let range = range(offset, data.len(), bytes.len())?;
        bytes[range].copy_from_slice(data);
        Ok(())
    }
}
