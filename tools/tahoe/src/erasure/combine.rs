//! Sums of blocks, each multiplied by a number: the work of the erasure code.

use super::field::PRODUCTS;

/// How many bytes of each block are worked on at a time: a few blocks of this fit the first cache.
const STRIP: usize = 4096;

/// Writes bytes from `at` on of a sum: blocks by the numbers of a row.
pub(super) type Kernel = fn(row: &[u8], inputs: &[&[u8]], at: usize, output: &mut [u8]);

/// Each output is the sum of all inputs, each multiplied by its number in the output's row. All
/// blocks have one length.
pub(super) fn combine(rows: &[Vec<u8>], inputs: &[&[u8]], outputs: &mut [&mut [u8]]) {
    let kernel = best();
    let length = outputs.first().map_or(0, |output| output.len());
    for at in (0..length).step_by(STRIP) {
        let end = length.min(at + STRIP);
        for (row, output) in rows.iter().zip(outputs.iter_mut()) {
            if let Some(strip) = output.get_mut(at..end) {
                kernel(row, inputs, at, strip);
            }
        }
    }
}

/// The fastest that this processor has.
fn best() -> Kernel {
    #[cfg(target_arch = "x86_64")]
    if let Some(&(_, kernel)) = super::simd::kernels().first() {
        return kernel;
    }
    plain
}

/// By table, a byte at a time.
pub(super) fn plain(row: &[u8], inputs: &[&[u8]], at: usize, output: &mut [u8]) {
    output.fill(0);
    for (&number, input) in row.iter().zip(inputs) {
        let products = &PRODUCTS[usize::from(number)];
        let input = input.get(at..).unwrap_or_default();
        for (sum, byte) in output.iter_mut().zip(input) {
            *sum ^= products[usize::from(*byte)];
        }
    }
}
