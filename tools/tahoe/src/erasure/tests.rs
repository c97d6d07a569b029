//! The code against zfec's numbers, and every kernel against the plain one.
#![allow(clippy::unwrap_used)]

use guifi_testing::fuzz::Chance;

use super::*;

fn code(needed: u16, total: u16) -> Code {
    Code::new(Encoding::new(needed, total).unwrap())
}

fn noise(chance: &mut Chance, length: usize) -> Vec<u8> {
    (0..length).map(|_| chance.any().to_le_bytes()[0]).collect()
}

#[test]
fn the_rows_are_those_of_zfec() {
    assert_eq!(code(2, 4).rows, [[3, 2], [5, 4]]);
    assert_eq!(code(3, 4).rows, [[15, 8, 6]]);
    let expected = [
        [15, 8, 6],
        [45, 48, 28],
        [153, 224, 120],
        [11, 231, 237],
        [137, 59, 179],
        [70, 241, 182],
        [186, 217, 98],
    ];
    assert_eq!(code(3, 10).rows, expected);
}

#[test]
fn any_k_blocks_bring_back_the_data() {
    let mut chance = Chance::new(1);
    for (needed, total) in [
        (1, 1),
        (1, 3),
        (2, 4),
        (3, 10),
        (10, 10),
        (71, 255),
        (101, 256),
    ] {
        let code = code(needed, total);
        let block = 37;
        let data = noise(&mut chance, usize::from(needed) * block);
        let mut secondary = vec![0; usize::from(total - needed) * block];
        code.encode(&data, &mut secondary).unwrap();
        let all = [data.clone(), secondary].concat();
        let mut blocks: Vec<(u8, &[u8])> = (0..=255).zip(all.chunks(block)).collect();
        for _ in 0..20 {
            for i in (1..blocks.len()).rev() {
                blocks.swap(i, chance.index(i + 1));
            }
            let mut decoded = vec![0; data.len()];
            code.decode(&blocks[..usize::from(needed)], &mut decoded)
                .unwrap();
            assert!(decoded == data, "{needed} of {total}");
        }
    }
}

#[test]
fn too_few_or_unequal_blocks_are_refused() {
    let code = code(2, 4);
    let mut out = [0; 4];
    let twice: [(u8, &[u8]); 2] = [(1, &[0, 0]), (1, &[0, 0])];
    let few = code.decode(&twice, &mut out);
    assert_eq!(few, Err(Error::TooFew { have: 1, need: 2 }));
    let unequal: [(u8, &[u8]); 2] = [(1, &[0, 0]), (2, &[0])];
    assert_eq!(code.decode(&unequal, &mut out), Err(LENGTHS));
    let unknown: [(u8, &[u8]); 2] = [(1, &[0, 0]), (4, &[0, 0])];
    assert_eq!(code.decode(&unknown, &mut out), Err(LENGTHS));
    assert_eq!(code.encode(&[0; 3], &mut [0; 4]), Err(LENGTHS));
    assert_eq!(code.encode(&[0; 4], &mut [0; 5]), Err(LENGTHS));
    assert_eq!(code.encode(&[], &mut []), Ok(()));
}

#[cfg(target_arch = "x86_64")]
#[test]
fn every_kernel_does_what_the_plain_one_does() {
    let mut chance = Chance::new(2);
    for length in (0..300).chain([4096, 5000]) {
        let inputs: Vec<_> = (0..5).map(|_| noise(&mut chance, length + 4)).collect();
        for at in 0..3 {
            let inputs: Vec<&[u8]> = inputs.iter().map(|input| &input[at..]).collect();
            let row = noise(&mut chance, inputs.len());
            let mut expected = vec![1; length];
            combine::plain(&row, &inputs, at, &mut expected);
            for (name, kernel) in simd::kernels() {
                let mut sum = vec![2; length];
                kernel(&row, &inputs, at, &mut sum);
                assert!(sum == expected, "{name}, {length} bytes from {at}");
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn every_kernel_has_all_products() {
    let bytes: Vec<u8> = (0..=255).collect();
    for number in 0..=255 {
        for (name, kernel) in simd::kernels() {
            let mut products = vec![0; 256];
            kernel(&[number], &[&bytes], 0, &mut products);
            assert!(products == field::PRODUCTS[usize::from(number)], "{name}");
        }
    }
}
