//! A few buffers for bytes on the move. A stream holds one only while it moves bytes, so quiet
//! streams cost almost nothing.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

/// Size of a buffer: writing smaller pieces costs twice the work.
const SIZE: usize = 64 << 10;
/// How many idle buffers are kept.
const KEPT: usize = 8;

static IDLE: Mutex<Vec<Box<[u8]>>> = Mutex::new(Vec::new());

/// A buffer that returns to the pool when dropped.
#[derive(Debug)]
pub(crate) struct Buffer(Box<[u8]>);

/// Takes a buffer.
pub(crate) fn take() -> Buffer {
    let idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner).pop();
    Buffer(idle.unwrap_or_else(|| vec![0; SIZE].into_boxed_slice()))
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT {
            idle.push(std::mem::take(&mut self.0));
        }
    }
}
