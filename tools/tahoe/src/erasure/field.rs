//! GF(2^8) with polynomial 0x11d.

/// α^i for i from 0, twice, so that a sum of two logarithms needs no modulo.
const POWERS: [u8; 510] = powers();
/// i for which α^i is a number; of no meaning for 0.
const LOGARITHMS: [u8; 256] = logarithms();
/// All products.
pub(super) static PRODUCTS: [[u8; 256]; 256] = products();

/// The point at which a share has the polynomial's values.
pub(super) fn point(share: u8) -> u8 {
    match share.checked_sub(1) {
        None => 0,
        Some(power) => POWERS[power as usize],
    }
}

pub(super) const fn multiply(a: u8, b: u8) -> u8 {
    if a == 0 || b == 0 {
        return 0;
    }
    POWERS[LOGARITHMS[a as usize] as usize + LOGARITHMS[b as usize] as usize]
}

/// `a` / `b`; `b` is not 0.
pub(super) const fn divide(a: u8, b: u8) -> u8 {
    if a == 0 {
        return 0;
    }
    POWERS[LOGARITHMS[a as usize] as usize + 255 - LOGARITHMS[b as usize] as usize]
}

const fn powers() -> [u8; 510] {
    let mut powers = [0; 510];
    let mut power = 1_u8;
    let mut i = 0;
    while i < powers.len() {
        powers[i] = power;
        let carry = if power & 0x80 == 0 { 0 } else { 0x1d };
        power = (power << 1) ^ carry;
        i += 1;
    }
    powers
}

const fn logarithms() -> [u8; 256] {
    let mut logarithms = [0; 256];
    let mut i = 0;
    while i < 255_u8 {
        logarithms[POWERS[i as usize] as usize] = i;
        i += 1;
    }
    logarithms
}

const fn products() -> [[u8; 256]; 256] {
    let mut products = [[0; 256]; 256];
    let mut at = 0_usize;
    while at < 1 << 16 {
        let (a, b) = (at >> 8, at & 0xff);
        products[a][b] = multiply(a as u8, b as u8);
        at += 1;
    }
    products
}
