//! Shares with a byte changed or an end cut off, and readers fed with anything.

use guifi_testing::fuzz;

use super::*;

/// Checks all of a share, as a verifier does.
fn audit(cap: &Chk, number: ShareNumber, bytes: &[u8]) -> Result<(), Error> {
    let mut decoder = Decoder::verifier(&cap.to_verifier());
    let mut share = Share::new(number, &read(bytes, &(0..HEAD)))?;
    for need in share.audit(&decoder)? {
        share.take(&mut decoder, &need, &read(bytes, &need.range))?;
    }
    let mut segment = 0;
    while decoder.parameters().is_some_and(|p| segment < p.segments()) {
        block(&mut decoder, &mut share, bytes, segment)?;
        segment += 1;
    }
    Ok(())
}

#[test]
fn a_changed_byte_is_noticed_wherever_it_is() {
    let file = small_file();
    let layout = Layout::parse(&file.shares[2]).unwrap();
    let unused = layout.header().len() + 334..layout.ciphertext_hashes(0..0).start as usize;
    audit(&file.cap, 2, &file.shares[2]).unwrap();
    for at in 0..file.shares[2].len() {
        for bit in [0x01, 0x80] {
            let mut share = file.shares[2].clone();
            share[at] ^= bit;
            let found = audit(&file.cap, 2, &share);
            // The tree that nobody uses is filled with zeros and not looked at.
            assert_eq!(found.is_ok(), unused.contains(&at), "byte {at}: {found:?}");
        }
    }
}

#[test]
fn a_share_that_ends_early_is_noticed() {
    let file = small_file();
    for length in 0..file.shares[2].len() {
        assert!(audit(&file.cap, 2, &file.shares[2][..length]).is_err());
    }
}

#[test]
fn a_share_under_another_number_or_of_another_file_is_noticed() {
    let file = small_file();
    let mut others = pattern(1000);
    others[500] = 0;
    let other = encode(parameters(3, 7, 1000, 100), &[7; 16], others);
    for number in [0, 1, 3, 7, 255] {
        assert!(audit(&file.cap, number, &file.shares[2]).is_err());
    }
    assert!(audit(&file.cap, 2, &other.shares[2]).is_err());
}

#[test]
fn what_is_wrong_in_one_share_does_not_spoil_the_others() {
    let file = small_file();
    for at in (0..file.shares[0].len()).step_by(7) {
        let mut wrong = file.shares[0].clone();
        wrong[at] ^= 0x10;
        let mut decoder = Decoder::new(&file.cap);
        if let Ok(mut share) = Share::new(0, &read(&wrong, &(0..HEAD))) {
            _ = block(&mut decoder, &mut share, &wrong, 3);
        }
        let mut blocks = Vec::new();
        for number in 1..4 {
            let bytes = &file.shares[usize::from(number)];
            let mut share = Share::new(number, bytes).unwrap();
            let block = block(&mut decoder, &mut share, bytes, 3).unwrap();
            blocks.push((number, block));
        }
        let blocks: Vec<(ShareNumber, &[u8])> = blocks.iter().map(|(n, b)| (*n, &b[..])).collect();
        let mut out = Segment::new();
        decoder.decode(3, &blocks, &mut out).unwrap();
        assert_eq!(out.contents(), &file.plaintext[306..408]);
    }
}

#[test]
fn nothing_makes_a_reader_panic() {
    let file = small_file();
    let layout = Layout::parse(&file.shares[0]).unwrap();
    let ueb = file.shares[0][layout.ueb().start as usize + 4..].to_vec();
    assert_eq!(Ueb::parse(&ueb).unwrap().encode(), ueb);
    fuzz::bytes("UEBs", &[&ueb], |bytes| {
        if let Ok(found) = Ueb::parse(bytes) {
            assert_eq!(Ueb::parse(&found.encode()), Ok(found));
        }
    });
    let wide = Layout::version2(&parameters(3, 7, 1000, 100)).header();
    fuzz::bytes("share headers", &[layout.header(), wide], |bytes| {
        if let Ok(found) = Layout::parse(bytes) {
            assert!(bytes.starts_with(&found.header()));
            _ = found.check(&parameters(3, 7, 1000, 100));
        }
    });
    fuzz::bytes("immutable shares", &file.shares, |bytes| {
        _ = audit(&file.cap, 0, bytes);
    });
}
