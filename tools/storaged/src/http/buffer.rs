//! Buffers for the bytes of shares, used again and again: a transfer of any size takes two.

use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of one.
pub(crate) const SIZE: usize = 128 << 10;
/// How many are kept while nobody uses them.
const KEPT: usize = 8;

/// Those that are free.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pool(Arc<Mutex<Vec<Vec<u8>>>>);

/// A buffer; it goes back when dropped.
#[derive(Debug)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    /// How much of it counts.
    pub(crate) length: usize,
    pool: Pool,
}

impl Pool {
    /// Takes one, or makes it.
    pub(crate) fn take(&self) -> Buffer {
        let free = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Buffer {
            bytes: free.unwrap_or_else(|| vec![0; SIZE]),
            length: 0,
            pool: self.clone(),
        }
    }
}

impl Buffer {
    /// All of it, to read into.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Adds as many bytes as fit; returns how many did.
    pub(crate) fn add(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(SIZE - self.length);
        if let (Some(to), Some(from)) = (
            self.bytes.get_mut(self.length..self.length + count),
            bytes.get(..count),
        ) {
            to.copy_from_slice(from);
            self.length += count;
        }
        count
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut free = self.pool.0.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < KEPT {
            free.push(std::mem::take(&mut self.bytes));
        }
    }
}
