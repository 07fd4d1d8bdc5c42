//! The container: every reader gets its parts and nothing else, whatever happens to the file.

use std::collections::BTreeMap;

use super::*;

fn secret(number: u64) -> Seed {
    Seed::new([7; 32]).derive(Context::Session, &number.to_be_bytes())
}

fn secrets(numbers: &[u64]) -> Vec<Seed> {
    numbers.iter().copied().map(secret).collect()
}

fn text(length: usize, like: u8) -> Vec<u8> {
    (0..length).map(|at| like ^ at.to_le_bytes()[0] ^ at.to_le_bytes()[1]).collect()
}

/// A file of these texts for these readers.
fn write(parts: &[(Vec<u8>, Vec<u64>)], seed: u8) -> Vec<u8> {
    let keys: Vec<Vec<Seed>> = parts.iter().map(|(_, readers)| secrets(readers)).collect();
    let lengths = parts.iter().map(|(text, _)| text.len() as u64);
    let grants: Vec<Grant<'_>> =
        lengths.zip(&keys).map(|(length, secrets)| Grant { length, secrets }).collect();
    let mut writer = Writer::new(&grants, &Seed::new([seed; 32])).unwrap();
    let (mut file, mut done) = (Vec::new(), vec![0; parts.len()]);
    loop {
        match writer.poll() {
            Next::End => break,
            Next::Bytes(bytes) => {
                assert!(bytes.len() <= CHUNK_BYTES, "memory is bounded");
                file.extend(bytes);
            }
            Next::Text { part, length } => {
                assert_eq!(writer.poll(), Next::Text { part, length }, "until it is given");
                let rest = &parts[part].0[done[part]..];
                file.extend(writer.seal(&rest[..length]).unwrap());
                done[part] += length;
            }
        }
    }
    assert_eq!(file.len() as u64, writer.size());
    assert!(parts.iter().zip(done).all(|((text, _), done)| text.len() == done));
    file
}

/// What was read of a part: who may, its text as far as it opened, and why no further.
type Read = (Vec<usize>, Vec<u8>, Option<PartFault>);

fn read(file: &[u8], readers: &[u64]) -> (Vec<Read>, Vec<usize>) {
    let Some(found) = find(file, &secrets(readers)) else { return Default::default() };
    let whole = |mut part: Part| {
        let (mut text, mut fault) = (Vec::new(), None);
        while let Some(Extent { offset, length }) = part.wanted() {
            let start = usize::try_from(offset).unwrap().min(file.len());
            match part.open(&file[start..(start + length).min(file.len())]) {
                Ok(more) => text.extend(more),
                Err(found) => fault = Some(found),
            }
        }
        (part.secrets().to_vec(), text, fault)
    };
    (found.parts.into_iter().map(whole).collect(), found.refused)
}

/// The one part that a reader has, and whether it came whole.
#[track_caller]
fn one(file: &[u8], reader: u64) -> Read {
    let (mut parts, refused) = read(file, &[reader]);
    assert_eq!((parts.len(), refused.len()), (1, 0));
    parts.remove(0)
}

#[test]
fn every_reader_gets_its_parts_and_nobody_anothers() {
    arbtest::arbtest(|u| {
        let mut free: Vec<u64> = (0..40).collect();
        let mut parts = Vec::new();
        for like in 0..u.int_in_range(0..=6)? {
            let chunks = u.int_in_range(0..=2)? * CHUNK_BYTES;
            let length = (chunks + u.int_in_range(0..=40)?).saturating_sub(20);
            let readers = free.split_off(free.len() - u.int_in_range(0..=5)?);
            parts.push((text(length, like), readers));
        }
        let file = write(&parts, u.arbitrary()?);
        assert!(is_size(file.len() as u64));
        for reader in 0..40 {
            let due = parts.iter().find(|(_, readers)| readers.contains(&reader));
            let due = due.map(|(text, _)| (vec![0], text.clone(), None));
            assert_eq!(read(&file, &[reader]), (due.into_iter().collect(), vec![]));
        }
        // Somebody who holds all secrets reads each part once.
        let all: Vec<u64> = (0..40).collect();
        let mut expected: BTreeMap<Vec<usize>, Vec<u8>> = BTreeMap::new();
        for (text, readers) in parts.iter().filter(|(_, readers)| !readers.is_empty()) {
            let mut readers: Vec<usize> =
                readers.iter().map(|reader| usize::try_from(*reader).unwrap()).collect();
            readers.sort_unstable();
            expected.insert(readers, text.clone());
        }
        let (found, refused) = read(&file, &all);
        assert!(refused.is_empty() && found.iter().all(|(_, _, fault)| fault.is_none()));
        assert_eq!(found.len(), expected.len());
        assert_eq!(
            found.into_iter().map(|(who, text, _)| (who, text)).collect::<BTreeMap<_, _>>(),
            expected
        );
        Ok(())
    })
    .budget_ms(1_000);
}

#[test]
fn parts_stand_apart_and_in_an_order_that_tells_nothing() {
    let parts: Vec<_> = (0..8).map(|n| (text(500, n), vec![u64::from(n)])).collect();
    let order = |seed| -> Vec<(usize, u64)> {
        let found = find(&write(&parts, seed), &secrets(&[0, 1, 2, 3, 4, 5, 6, 7])).unwrap();
        let places: Vec<_> =
            found.parts.iter().map(|part| (part.secrets[0], part.offset)).collect();
        for pair in found.parts.windows(2) {
            assert!(
                pair[0].offset + sealed_len(500).unwrap() <= pair[1].offset,
                "no two share bytes"
            );
        }
        places
    };
    let firsts: BTreeSet<usize> = (0..40).map(|seed| order(seed)[0].0).collect();
    assert!(firsts.len() >= 6, "any part may come first: {firsts:?}");
    let offsets: BTreeSet<u64> = (0..40).map(|seed| order(seed)[0].1).collect();
    assert!(offsets.len() >= 38, "and begins anywhere: {offsets:?}");
    assert_eq!(write(&parts, 3), write(&parts, 3), "one seed, one file");
    assert_ne!(write(&parts, 3)[..64], write(&parts, 4)[..64]);
}

#[test]
fn slots_stand_anywhere() {
    let slot = |seed| {
        let (file, secret) = (write(&[(vec![], vec![1])], seed), secret(1));
        let tag = tag(&secret, &file[..SALT_BYTES]);
        file[SALT_BYTES..HEAD_BYTES]
            .chunks(SLOT_BYTES)
            .position(|slot| slot.starts_with(&tag))
            .unwrap()
    };
    let slots: BTreeSet<usize> = (0..60).map(slot).collect();
    assert!(slots.len() > 50 && slots.iter().any(|slot| *slot > 400), "{slots:?}");
}

#[test]
fn sizes_are_few_and_cost_little() {
    let all: Vec<u64> = sizes().collect();
    assert_eq!((all[0], all[1], all[4], all.len()), (262_144, 327_680, 524_288, 89));
    assert_eq!(all.last(), Some(&BUNDLE_BYTES));
    assert!(all.windows(2).all(|pair| pair[0] < pair[1] && pair[1] * 4 <= pair[0] * 5));
    assert!(is_size(262_144) && !is_size(262_143) && !is_size(0) && !is_size(BUNDLE_BYTES * 2));
    let size = |lengths: &[u64]| {
        let grants: Vec<_> =
            lengths.iter().map(|length| Grant { length: *length, secrets: &[] }).collect();
        Writer::new(&grants, &secret(0)).map(|writer| writer.size())
    };
    // Nothing for nobody is as large as a little for many; a plan holds no text.
    assert_eq!([size(&[]), size(&[0]), size(&[200; 512])], [Ok(262_144); 3]);
    let full = room(262_144) - 4 * SEAL_BYTES as u64;
    assert_eq!((size(&[full]), size(&[full + 1])), (Ok(262_144), Ok(327_680)));
    assert_eq!(size(&[1 << 39]), Ok(5 << 37));
    for lengths in [&[1 << 40][..], &[u64::MAX], &[u64::MAX, 1], &[1 << 63, 1 << 63]] {
        assert_eq!(size(lengths), Err(PlanFault::TooLarge));
    }
    assert_eq!(
        (sealed_len(0), sealed_len(65_536), sealed_len(65_537)),
        (Some(16), Some(65_552), Some(65_569))
    );
}

#[test]
fn there_are_512_slots_and_one_for_each_secret() {
    let plan = |groups: &[&[Seed]]| {
        let grants: Vec<_> = groups.iter().map(|secrets| Grant { length: 9, secrets }).collect();
        Writer::new(&grants, &secret(0)).map(|_| ())
    };
    let many = secrets(&(0..513).collect::<Vec<_>>());
    assert_eq!(plan(&[&many[..256], &many[256..512]]), Ok(()));
    assert_eq!(plan(&[&many[..256], &many[256..]]), Err(PlanFault::TooMany { found: 513 }));
    assert_eq!(plan(&[&[secret(1), secret(1)]]), Err(PlanFault::Twice));
    assert_eq!(plan(&[&[secret(1)], &[secret(2), secret(1)]]), Err(PlanFault::Twice));
}

#[test]
fn a_part_that_changes_while_it_is_written_is_refused() {
    let mut writer = Writer::new(&[Grant { length: 70_000, secrets: &[] }], &secret(0)).unwrap();
    assert_eq!(writer.seal(&[]), Err(TextFault), "nothing was asked for yet");
    while !matches!(writer.poll(), Next::Text { .. }) {}
    assert_eq!(writer.poll(), Next::Text { part: 0, length: CHUNK_BYTES });
    assert_eq!(writer.seal(&vec![0; CHUNK_BYTES - 1]), Err(TextFault));
    assert_eq!(writer.seal(&vec![0; CHUNK_BYTES + 1]), Err(TextFault));
    assert!(writer.seal(&vec![0; CHUNK_BYTES]).is_ok());
    assert_eq!(writer.poll(), Next::Text { part: 0, length: 70_000 - CHUNK_BYTES });
}

/// A file of three parts for readers 1 to 3, of 0, 3 and 70,000 bytes.
fn small() -> (Vec<u8>, Vec<Vec<u8>>) {
    let texts = vec![text(0, 1), text(3, 2), text(70_000, 3)];
    let parts: Vec<_> =
        texts.iter().cloned().zip(1..).map(|(text, reader)| (text, vec![reader])).collect();
    (write(&parts, 5), texts)
}

/// Where the slot and the part of a reader stand.
fn whereabouts(file: &[u8], reader: u64) -> (usize, Extent) {
    let (secret, salt) = (secret(reader), &file[..SALT_BYTES]);
    let slots = file[SALT_BYTES..HEAD_BYTES].chunks(SLOT_BYTES);
    let slot = slots.into_iter().position(|slot| slot.starts_with(&tag(&secret, salt))).unwrap();
    let part = &find(file, &[secret]).unwrap().parts[0];
    let length = usize::try_from(sealed_len(part.length).unwrap()).unwrap();
    (SALT_BYTES + slot * SLOT_BYTES, Extent { offset: part.offset, length })
}

fn range(extent: Extent) -> std::ops::Range<usize> {
    let start = usize::try_from(extent.offset).unwrap();
    start..start + extent.length
}

#[test]
fn a_changed_byte_is_refused_or_touches_nobody() {
    let (good, texts) = small();
    let places: Vec<_> = (1..=3).map(|reader| whereabouts(&good, reader)).collect();
    let own: BTreeSet<usize> = places
        .iter()
        .flat_map(|(slot, part)| (*slot..slot + SLOT_BYTES).chain(range(*part)))
        .collect();
    // All bytes of the salt, of slots and of short parts, and some of everything else.
    let near = |at: &usize| {
        *at < SALT_BYTES || own.contains(at) && (*at < HEAD_BYTES || at.is_multiple_of(97))
    };
    let ends = places.iter().flat_map(|(_, part)| [range(*part).start, range(*part).end - 1]);
    let chosen: BTreeSet<usize> =
        (0..good.len()).filter(|at| near(at) || at.is_multiple_of(997)).chain(ends).collect();
    let mut file = good.clone();
    for at in chosen {
        file[at] ^= 1 << (at % 8);
        for (reader, text) in (1..).zip(&texts) {
            let (slot, part) = whereabouts(&good, reader);
            let (mut parts, refused) = read(&file, &[reader]);
            if at < SALT_BYTES || (slot..slot + TAG_BYTES).contains(&at) {
                assert!(parts.is_empty() && refused.is_empty(), "{at}: another's file");
            } else if (slot..slot + SLOT_BYTES).contains(&at) {
                assert!(parts.is_empty() && refused == [0], "{at}: the slot");
            } else {
                let (_, found, fault) = parts.remove(0);
                assert!(text.starts_with(&found), "{at}: nothing wrong was read");
                assert_eq!(fault.is_some(), range(part).contains(&at), "{at}");
                assert!(fault.is_some() || found == *text, "{at}");
                if let Some(fault) = fault {
                    let chunk = if at < range(part).start + 65_552 { 0 } else { 65_552 };
                    assert_eq!(fault, PartFault::Damaged { offset: part.offset + chunk });
                    assert_eq!(found.len(), usize::try_from(chunk).unwrap() / 65_552 * 65_536);
                }
            }
        }
        file[at] ^= 1 << (at % 8);
    }
    assert_eq!(file, good);
}

#[test]
fn a_torn_file_gives_the_parts_before() {
    let (good, texts) = small();
    let places: Vec<_> = (1..=3).map(|reader| range(whereabouts(&good, reader).1)).collect();
    let mut cuts: Vec<usize> = (0..good.len()).step_by(4_999).collect();
    for place in &places {
        for edge in [place.start, place.start + 65_552, place.end] {
            cuts.extend([edge - 1, edge, edge + 1]);
        }
    }
    cuts.extend([0, HEAD_BYTES - 1, HEAD_BYTES]);
    for cut in cuts {
        let torn = &good[..cut.min(good.len())];
        if cut < HEAD_BYTES {
            assert!(find(torn, &secrets(&[1, 2, 3])).is_none());
            continue;
        }
        for ((reader, text), place) in (1..).zip(&texts).zip(&places) {
            let (_, found, fault) = one(torn, reader);
            assert!(text.starts_with(&found));
            if torn.len() >= place.end {
                assert_eq!((found.len(), fault), (text.len(), None));
            } else {
                let whole = torn.len() >= place.start + 65_552;
                let offset = place.start as u64 + if whole { 65_552 } else { 0 };
                assert_eq!(fault, Some(PartFault::Torn { offset }), "cut at {cut}");
            }
        }
        let part = &find(torn, &secrets(&[1])).unwrap().parts[0];
        assert_eq!(part.file_size(), good.len() as u64, "whoever reads a part knows of the rest");
    }
}

#[test]
fn chunks_and_slots_hold_in_their_places_only() {
    let parts = [(text(3 * CHUNK_BYTES, 1), vec![1]), (text(CHUNK_BYTES, 2), vec![2])];
    let good = write(&parts, 6);
    let (slot, part) = whereabouts(&good, 1);
    let start = range(part).start;
    let chunk = |number: usize| start + number * 65_552..start + (number + 1) * 65_552;
    // Two chunks change places; one comes twice; one is another part's.
    let other = range(whereabouts(&good, 2).1);
    for (from, to) in
        [(chunk(1), chunk(0)), (chunk(0), chunk(1)), (chunk(2), chunk(1)), (other, chunk(0))]
    {
        let mut file = good.clone();
        file.copy_within(from, to.start);
        let (_, found, fault) = one(&file, 1);
        assert_eq!(found.len(), (to.start - start) / 65_552 * CHUNK_BYTES);
        assert_eq!(fault, Some(PartFault::Damaged { offset: to.start as u64 }));
    }
    // A slot in another place of the table, or of another file, opens nothing.
    let next = if slot + SLOT_BYTES < HEAD_BYTES { slot + SLOT_BYTES } else { slot - SLOT_BYTES };
    let mut file = good.clone();
    file.copy_within(slot..slot + SLOT_BYTES, next);
    file[slot..slot + SLOT_BYTES].fill(0);
    assert_eq!(read(&file, &[1]), (vec![], vec![0]));
    let mut foreign = write(&[], 7);
    foreign[slot..slot + SLOT_BYTES].copy_from_slice(&good[slot..slot + SLOT_BYTES]);
    assert_eq!(read(&foreign, &[1]), (vec![], vec![]));
    // Where somebody copied a slot, the one in its place is still found.
    let mut file = good.clone();
    file.copy_within(slot..slot + SLOT_BYTES, next);
    assert_eq!(one(&file, 1).1, parts[0].0);
}

#[test]
fn a_slot_that_points_out_of_the_body_is_refused() {
    let file = write(&[], 8);
    let (salt, size) = (file[..SALT_BYTES].to_vec(), file.len() as u64);
    let first = HEAD_BYTES as u64;
    for (offset, length, size, fits) in [
        (first, 0, size, true),
        (size - 16, 0, size, true),
        (first - 1, 0, size, false),
        (size - 15, 0, size, false),
        (first, size, size, false),
        (first, u64::MAX, size, false),
        (u64::MAX, 16, size, false),
        (first, 0, size + 1, false),
        (first, 1 << 39, u64::MAX, false),
    ] {
        let mut file = file.clone();
        let told = Told { key: secret(9), offset, length, size };
        file[SALT_BYTES..SALT_BYTES + SLOT_BYTES].copy_from_slice(&told.seal(&secret(1), &salt, 0));
        let found = find(&file, &secrets(&[1])).unwrap();
        assert_eq!(
            (found.parts.len(), found.refused.len()),
            (usize::from(fits), usize::from(!fits))
        );
    }
}

#[test]
fn arbitrary_bytes_give_nothing() {
    arbtest::arbtest(|u| {
        let mut file: Vec<u8> = u.arbitrary()?;
        assert_eq!(find(&file, &secrets(&[1, 2])).is_none(), file.len() < HEAD_BYTES);
        file.resize(HEAD_BYTES + 5, u.arbitrary()?);
        let found = find(&file, &secrets(&[1, 2])).unwrap();
        assert!(found.parts.is_empty() && found.refused.is_empty());
        Ok(())
    })
    .budget_ms(300);
}

#[test]
fn secrets_beyond_the_limit_are_left_out() {
    let file = write(&[(text(3, 1), vec![1])], 9);
    let limit = usize::try_from(BUNDLE_SECRETS).unwrap();
    for (place, found) in [(limit - 1, 1), (limit, 0)] {
        let mut readers = vec![5; limit + 1];
        readers[place] = 1;
        assert_eq!(read(&file, &readers).0.len(), found);
    }
}
