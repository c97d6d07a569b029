//! The same sums by vector instructions: vectors of 32 bytes by GFNI or AVX2, of 16 by SSSE3.
//!
//! Unsafe code stands here alone, for two reasons: a function that needs a processor feature may be
//! called only where it was detected, and vectors are read and written through pointers. Every
//! pointer is made from a slice of the vector's size.
#![allow(unsafe_code)]

use std::arch::x86_64::{
    __m128i, __m256i, _mm_and_si128, _mm_loadu_si128, _mm_set1_epi8, _mm_setzero_si128,
    _mm_shuffle_epi8, _mm_srli_epi64, _mm_storeu_si128, _mm_xor_si128, _mm256_and_si256,
    _mm256_broadcastsi128_si256, _mm256_gf2p8affine_epi64_epi8, _mm256_loadu_si256,
    _mm256_set1_epi8, _mm256_set1_epi64x, _mm256_setzero_si256, _mm256_shuffle_epi8,
    _mm256_srli_epi64, _mm256_storeu_si256, _mm256_xor_si256,
};

use super::combine::{Kernel, plain};

/// What this processor can do, the fastest first, by name.
pub(super) fn kernels() -> Vec<(&'static str, Kernel)> {
    let mut kernels: Vec<(&'static str, Kernel)> = Vec::new();
    let avx2 = is_x86_feature_detected!("avx2");
    if avx2 && is_x86_feature_detected!("gfni") {
        kernels.push(("GFNI", |row, inputs, at, output| {
            // SAFETY: both features were detected.
            unsafe { gfni(row, inputs, at, output) }
        }));
    }
    if avx2 {
        kernels.push(("AVX2", |row, inputs, at, output| {
            // SAFETY: the feature was detected.
            unsafe { avx2_nibbles(row, inputs, at, output) }
        }));
    }
    if is_x86_feature_detected!("ssse3") {
        kernels.push(("SSSE3", |row, inputs, at, output| {
            // SAFETY: the feature was detected.
            unsafe { ssse3_nibbles(row, inputs, at, output) }
        }));
    }
    kernels
}

/// Multiplication by a number as a matrix over bits, in the order of `gf2p8affineqb`.
static MATRICES: [u64; 256] = matrices();
/// Products of a number with 0 to 15, and with 16 times these.
static NIBBLES: [[[u8; 16]; 2]; 256] = nibbles();

const fn matrices() -> [u64; 256] {
    let mut matrices = [0; 256];
    let mut at = 0;
    while at < 256 * 64 {
        let (number, to, from) = (at / 64, at / 8 % 8, at % 8);
        if PRODUCTS_OF_BITS[number][from] >> to & 1 == 1 {
            matrices[number] |= 1 << (8 * (7 - to) + from);
        }
        at += 1;
    }
    matrices
}

/// Products of each number with 1, 2, 4, … 128.
const PRODUCTS_OF_BITS: [[u8; 8]; 256] = {
    let mut products = [[0; 8]; 256];
    let mut at = 0;
    while at < 256 * 8 {
        products[at / 8][at % 8] = super::field::multiply((at / 8) as u8, 1 << (at % 8));
        at += 1;
    }
    products
};

const fn nibbles() -> [[[u8; 16]; 2]; 256] {
    let mut nibbles = [[[0; 16]; 2]; 256];
    let mut at = 0;
    while at < 256 * 16 {
        let (number, low) = (at / 16, at % 16);
        nibbles[number][0][low] = super::field::multiply(number as u8, low as u8);
        nibbles[number][1][low] = super::field::multiply(number as u8, (low as u8) << 4);
        at += 1;
    }
    nibbles
}

/// Vectors that are worked on at once: each number's constants serve for all of them.
const TOGETHER: usize = 4;

/// Vectors of a block from a position on; zeros if it ends before.
fn part<const N: usize>(input: &[u8], at: usize) -> [&[u8; N]; TOGETHER] {
    let bytes = input.get(at..).unwrap_or_default();
    match bytes.as_chunks::<N>().0.first_chunk::<TOGETHER>() {
        Some([a, b, c, d]) => [a, b, c, d],
        None => [&[0; N]; TOGETHER],
    }
}

/// Runs `step` for all whole groups of vectors of the output, and the plain code for the rest.
#[inline(always)]
fn each_group<const N: usize>(
    row: &[u8],
    inputs: &[&[u8]],
    at: usize,
    output: &mut [u8],
    mut step: impl FnMut(usize, &mut [[u8; N]; TOGETHER]),
) {
    let (vectors, _) = output.as_chunks_mut::<N>();
    let (groups, _) = vectors.as_chunks_mut::<TOGETHER>();
    let mut whole = 0;
    for group in groups {
        step(at + whole, group);
        whole += N * TOGETHER;
    }
    plain(
        row,
        inputs,
        at + whole,
        output.get_mut(whole..).unwrap_or_default(),
    );
}

#[target_feature(enable = "avx2")]
fn load32(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: 32 bytes are read from an array of 32; no alignment is needed.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
fn store32(bytes: &mut [u8; 32], vector: __m256i) {
    // SAFETY: 32 bytes are written to an array of 32; no alignment is needed.
    unsafe { _mm256_storeu_si256(bytes.as_mut_ptr().cast(), vector) }
}

#[target_feature(enable = "ssse3")]
fn load16(bytes: &[u8; 16]) -> __m128i {
    // SAFETY: 16 bytes are read from an array of 16; no alignment is needed.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

#[target_feature(enable = "ssse3")]
fn store16(bytes: &mut [u8; 16], vector: __m128i) {
    // SAFETY: 16 bytes are written to an array of 16; no alignment is needed.
    unsafe { _mm_storeu_si128(bytes.as_mut_ptr().cast(), vector) }
}

#[target_feature(enable = "avx2,gfni")]
fn gfni(row: &[u8], inputs: &[&[u8]], at: usize, output: &mut [u8]) {
    each_group::<32>(row, inputs, at, output, |at, output| {
        let mut sums = [_mm256_setzero_si256(); TOGETHER];
        for (&number, input) in row.iter().zip(inputs) {
            let matrix = _mm256_set1_epi64x(MATRICES[usize::from(number)].cast_signed());
            for (sum, bytes) in sums.iter_mut().zip(part(input, at)) {
                let product = _mm256_gf2p8affine_epi64_epi8::<0>(load32(bytes), matrix);
                *sum = _mm256_xor_si256(*sum, product);
            }
        }
        for (bytes, sum) in output.iter_mut().zip(sums) {
            store32(bytes, sum);
        }
    });
}

#[target_feature(enable = "avx2")]
fn avx2_nibbles(row: &[u8], inputs: &[&[u8]], at: usize, output: &mut [u8]) {
    let mask = _mm256_set1_epi8(0x0f);
    each_group::<32>(row, inputs, at, output, |at, output| {
        let mut sums = [_mm256_setzero_si256(); TOGETHER];
        for (&number, input) in row.iter().zip(inputs) {
            let [low, high] = &NIBBLES[usize::from(number)];
            let low = _mm256_broadcastsi128_si256(load16(low));
            let high = _mm256_broadcastsi128_si256(load16(high));
            for (sum, bytes) in sums.iter_mut().zip(part(input, at)) {
                let bytes = load32(bytes);
                let upper = _mm256_and_si256(_mm256_srli_epi64::<4>(bytes), mask);
                let lower = _mm256_and_si256(bytes, mask);
                *sum = _mm256_xor_si256(*sum, _mm256_shuffle_epi8(low, lower));
                *sum = _mm256_xor_si256(*sum, _mm256_shuffle_epi8(high, upper));
            }
        }
        for (bytes, sum) in output.iter_mut().zip(sums) {
            store32(bytes, sum);
        }
    });
}

#[target_feature(enable = "ssse3")]
fn ssse3_nibbles(row: &[u8], inputs: &[&[u8]], at: usize, output: &mut [u8]) {
    let mask = _mm_set1_epi8(0x0f);
    each_group::<16>(row, inputs, at, output, |at, output| {
        let mut sums = [_mm_setzero_si128(); TOGETHER];
        for (&number, input) in row.iter().zip(inputs) {
            let [low, high] = &NIBBLES[usize::from(number)];
            let (low, high) = (load16(low), load16(high));
            for (sum, bytes) in sums.iter_mut().zip(part(input, at)) {
                let bytes = load16(bytes);
                let upper = _mm_and_si128(_mm_srli_epi64::<4>(bytes), mask);
                let lower = _mm_and_si128(bytes, mask);
                *sum = _mm_xor_si128(*sum, _mm_shuffle_epi8(low, lower));
                *sum = _mm_xor_si128(*sum, _mm_shuffle_epi8(high, upper));
            }
        }
        for (bytes, sum) in output.iter_mut().zip(sums) {
            store16(bytes, sum);
        }
    });
}
