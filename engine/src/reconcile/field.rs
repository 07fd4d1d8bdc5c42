//! Arithmetic modulo p = 2^40 - 87 and on polynomials over it, with every multiplication counted.
//!
//! Short ids and sums of a sketch are numbers below p, five bytes each. Whoever sends a sketch
//! decides how hard it is to decode, so the decoder pays for each multiplication out of [`Work`]
//! and gives up when that is spent: a count, unlike a clock, is the same in every process.
#![expect(clippy::indexing_slicing, reason = "every index is below a length that is made here")]

/// The modulus, the largest prime below 2^40.
pub(super) const P: u64 = (1 << 40) - 87;
const MASK: u64 = (1 << 40) - 1;

/// Multiplications that may still be spent.
#[derive(Debug, Clone)]
pub(super) struct Work(pub(super) u64);

/// No more work may be spent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Exhausted;

impl Work {
    /// Pays for so many multiplications, before they are done.
    pub(super) fn pay(&mut self, count: usize) -> Result<(), Exhausted> {
        self.0 = self.0.checked_sub(count as u64).ok_or(Exhausted)?;
        Ok(())
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is masked, the high half short")]
pub(super) fn mul(a: u64, b: u64) -> u64 {
    let wide = u128::from(a) * u128::from(b);
    let once = (wide as u64 & MASK) + (wide >> 40) as u64 * 87;
    let twice = (once & MASK) + (once >> 40) * 87;
    if twice >= P { twice - P } else { twice }
}

pub(super) fn add(a: u64, b: u64) -> u64 {
    let sum = a + b;
    if sum >= P { sum - P } else { sum }
}

pub(super) fn sub(a: u64, b: u64) -> u64 {
    if a >= b { a - b } else { a + P - b }
}

pub(super) fn pow(mut base: u64, mut exponent: u64) -> u64 {
    let mut result = 1;
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = mul(result, base);
        }
        base = mul(base, base);
        exponent >>= 1;
    }
    result
}

/// The inverse; of zero it is zero.
fn inverse(a: u64) -> u64 {
    pow(a, P - 2)
}

/// Multiplications of an inversion.
const INVERSION: usize = 80;

/// The sums v·id^j for j from `from` to `to`, over all (id, v).
pub(super) fn power_sums(
    items: impl Iterator<Item = (u64, u64)>,
    from: usize,
    to: usize,
) -> Vec<u64> {
    let mut sums = vec![0u64; to.saturating_sub(from)];
    for (id, value) in items {
        let mut term = if from == 0 { value } else { mul(value, pow(id, from as u64)) };
        for sum in &mut sums {
            // A scope has fewer than 2^24 feeds, so that this cannot overflow.
            *sum += term;
            term = mul(term, id);
        }
    }
    sums.into_iter().map(|sum| sum % P).collect()
}

/// Finds the (id, value) whose power sums these are, `own` ids being tried first.
///
/// `Ok(None)`: more sums are needed, or it is no sketch at all.
pub(super) fn solve(
    sums: &[u64],
    own: impl Iterator<Item = u64>,
    seed: u64,
    work: &mut Work,
) -> Result<Option<Vec<(u64, u64)>>, Exhausted> {
    if sums.iter().all(|sum| *sum == 0) {
        return Ok(Some(Vec::new()));
    }
    work.pay(sums.len() * (sums.len() + INVERSION))?;
    let connection = berlekamp_massey(sums);
    let degree = connection.len() - 1;
    // At least one sum has to be left over, as a check.
    if 2 * degree + 1 > sums.len() || connection[degree] == 0 {
        return Ok(None);
    }
    let locator: Vec<u64> = connection.into_iter().rev().collect();
    let Some(ids) = all_roots(&locator, own, seed, work)? else {
        return Ok(None);
    };
    if ids.len() != degree || ids.contains(&0) {
        return Ok(None);
    }
    work.pay(degree * (4 * degree + INVERSION))?;
    Ok(ids.iter().map(|id| Some((*id, value_at(*id, &locator, sums)?))).collect())
}

/// The shortest recurrence of a sequence (Berlekamp and Massey): c with c[0] = 1 and
/// s[i] = -(c[1] s[i-1] + ... + c[l] s[i-l]).
fn berlekamp_massey(sums: &[u64]) -> Vec<u64> {
    let count = sums.len();
    let mut current = vec![0u64; count + 2];
    current[0] = 1;
    let mut earlier = current.clone();
    let (mut length, mut shift, mut earlier_gap) = (0, 1, 1);
    for at in 0..count {
        let gap = (1..=length).fold(sums[at], |gap, j| add(gap, mul(current[j], sums[at - j])));
        if gap == 0 {
            shift += 1;
            continue;
        }
        let factor = mul(gap, inverse(earlier_gap));
        let before = (2 * length <= at).then(|| current.clone());
        for j in 0..count + 2 - shift {
            if earlier[j] != 0 {
                current[j + shift] = sub(current[j + shift], mul(factor, earlier[j]));
            }
        }
        if let Some(before) = before {
            (length, earlier, earlier_gap, shift) = (at + 1 - length, before, gap, 1);
        } else {
            shift += 1;
        }
    }
    current.truncate(length + 1);
    current
}

/// The roots of a monic polynomial, low degree first, if it has as many as its degree.
fn all_roots(
    locator: &[u64],
    own: impl Iterator<Item = u64>,
    seed: u64,
    work: &mut Work,
) -> Result<Option<Vec<u64>>, Exhausted> {
    let mut rest = locator.to_vec();
    let mut ids = Vec::new();
    for id in own {
        if rest.len() == 1 {
            break;
        }
        work.pay(rest.len())?;
        if rest.iter().rev().fold(0, |y, k| add(mul(y, id), *k)) == 0 {
            ids.push(id);
            rest = deflate(&rest, id);
        }
    }
    let Some(others) = split(rest, seed, work)? else {
        return Ok(None);
    };
    ids.extend(others);
    Ok(Some(ids))
}

/// The quotient by (x - root).
fn deflate(polynomial: &[u64], root: u64) -> Vec<u64> {
    let degree = polynomial.len() - 1;
    let mut quotient = vec![0; degree];
    let mut carry = 0;
    for i in (0..degree).rev() {
        carry = add(polynomial[i + 1], mul(carry, root));
        quotient[i] = carry;
    }
    quotient
}

/// The value at one of the ids, from the locator's Vandermonde quotient.
fn value_at(id: u64, locator: &[u64], sums: &[u64]) -> Option<u64> {
    let quotient = deflate(locator, id);
    let below = quotient.iter().rev().fold(0, |y, k| add(mul(y, id), *k));
    let above = quotient.iter().zip(sums).fold(0, |y, (k, sum)| add(y, mul(*k, *sum)));
    let value = mul(above, inverse(below));
    (below != 0 && value != 0).then_some(value)
}

/// The roots of a monic polynomial that has distinct ones only (Cantor and Zassenhaus).
fn split(polynomial: Vec<u64>, seed: u64, work: &mut Work) -> Result<Option<Vec<u64>>, Exhausted> {
    let mut roots = Vec::new();
    let mut open = vec![polynomial];
    if open[0].len() > 2 {
        // x^p - x is the product of all x - a; whoever divides it splits.
        let mut power = power_of_shifted(0, P, &open[0], work)?;
        power.resize(power.len().max(2), 0);
        power[1] = sub(power[1], 1);
        if power.iter().any(|k| *k != 0) {
            return Ok(None);
        }
    }
    let mut random = seed;
    while let Some(factor) = open.pop() {
        match factor.len() {
            0 | 1 => continue,
            2 => {
                roots.push(sub(0, factor[0]));
                continue;
            }
            _ => {}
        }
        let shift = scramble(&mut random) % P;
        let mut power = power_of_shifted(shift, (P - 1) / 2, &factor, work)?;
        power.resize(power.len().max(1), 0);
        power[0] = sub(power[0], 1);
        trim(&mut power);
        let common = gcd(factor.clone(), power, work)?;
        if common.len() < 2 || common.len() == factor.len() {
            open.push(factor);
            continue;
        }
        work.pay(factor.len() * common.len())?;
        let (quotient, _) = divide(factor, &common);
        open.extend([common, quotient]);
    }
    Ok(Some(roots))
}

/// (x + shift)^exponent modulo a monic polynomial of degree 1 or more.
fn power_of_shifted(
    shift: u64,
    exponent: u64,
    modulus: &[u64],
    work: &mut Work,
) -> Result<Vec<u64>, Exhausted> {
    let mut power = vec![1];
    for bit in (0..u64::BITS - exponent.leading_zeros()).rev() {
        work.pay(2 * modulus.len() * modulus.len())?;
        power = divide(square(&power), modulus).1;
        if exponent >> bit & 1 == 1 {
            let mut next = vec![0; power.len() + 1];
            for (i, k) in power.iter().enumerate() {
                next[i] = add(next[i], mul(*k, shift));
                next[i + 1] = *k;
            }
            power = divide(next, modulus).1;
        }
    }
    Ok(power)
}

fn square(a: &[u64]) -> Vec<u64> {
    let mut result = vec![0; (2 * a.len()).saturating_sub(1)];
    for (i, x) in a.iter().enumerate() {
        result[2 * i] = add(result[2 * i], mul(*x, *x));
        let double = add(*x, *x);
        for (j, y) in a.iter().enumerate().skip(i + 1) {
            result[i + j] = add(result[i + j], mul(double, *y));
        }
    }
    result
}

/// Quotient and remainder by a monic polynomial.
fn divide(mut a: Vec<u64>, by: &[u64]) -> (Vec<u64>, Vec<u64>) {
    let degree = by.len() - 1;
    let mut quotient = vec![0; a.len().saturating_sub(degree)];
    for at in (0..quotient.len()).rev() {
        let lead = a.pop().unwrap_or(0);
        quotient[at] = lead;
        if lead != 0 {
            for (k, b) in a[at..].iter_mut().zip(by) {
                *k = sub(*k, mul(lead, *b));
            }
        }
    }
    trim(&mut a);
    (quotient, a)
}

fn gcd(mut a: Vec<u64>, mut b: Vec<u64>, work: &mut Work) -> Result<Vec<u64>, Exhausted> {
    while !b.is_empty() {
        work.pay(a.len() * b.len() + INVERSION)?;
        make_monic(&mut b);
        let (_, rest) = divide(a, &b);
        (a, b) = (b, rest);
    }
    Ok(a)
}

fn make_monic(a: &mut [u64]) {
    let factor = inverse(a.last().copied().unwrap_or(1));
    for k in a {
        *k = mul(*k, factor);
    }
}

fn trim(a: &mut Vec<u64>) {
    while a.last() == Some(&0) {
        a.pop();
    }
}

/// The next number of splitmix64.
fn scramble(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLENTY: u64 = 1 << 40;

    fn distinct(count: usize, seed: u64) -> Vec<(u64, u64)> {
        let mut state = seed;
        let mut next = || (scramble(&mut state) % (P - 1) + 1, scramble(&mut state) % (P - 1) + 1);
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn products_and_inverses_are_those_of_the_field() {
        let modulus = u128::from(P);
        for (a, b) in distinct(1_000, 1).into_iter().chain([(P - 1, P - 1), (1, P - 1), (0, 5)]) {
            let expected = u128::from(a) * u128::from(b) % modulus;
            assert_eq!(u128::from(mul(a, b)), expected);
            assert_eq!(a == 0, mul(a, inverse(a)) == 0);
            assert!(a == 0 || mul(a, inverse(a)) == 1);
            assert_eq!(sub(add(a, b), b), a);
        }
    }

    #[test]
    fn power_sums_give_back_what_they_were_made_of() {
        for count in 0..=64 {
            let mut items = distinct(count, 7);
            let sums = power_sums(items.iter().copied(), 0, 2 * count + 1);
            let known = items.iter().step_by(3).map(|(id, _)| *id);
            let mut found = solve(&sums, known, 5, &mut Work(PLENTY)).unwrap().unwrap();
            found.sort_unstable();
            items.sort_unstable();
            assert_eq!(found, items);
            if count > 0 {
                let few = solve(&sums[..2 * count - 1], [].into_iter(), 5, &mut Work(PLENTY));
                assert_eq!(few, Ok(None), "{count}");
            }
        }
    }

    #[test]
    fn sums_can_come_in_parts() {
        let items = distinct(9, 3);
        let whole = power_sums(items.iter().copied(), 0, 40);
        let parts = [(0, 7), (7, 19), (19, 40)];
        let parts = parts.map(|(from, to)| power_sums(items.iter().copied(), from, to));
        assert_eq!(whole, parts.concat());
    }

    #[test]
    fn a_polynomial_without_roots_is_given_up() {
        // x^2 - n for the first n that is no square.
        let n = (2..100).find(|n| pow(*n, (P - 1) / 2) != 1).unwrap();
        assert_eq!(split(vec![sub(0, n), 0, 1], 1, &mut Work(PLENTY)), Ok(None));
        // A double root.
        assert_eq!(split(vec![9, sub(0, 6), 1], 1, &mut Work(PLENTY)), Ok(None));
        assert_eq!(split(vec![1], 1, &mut Work(PLENTY)), Ok(Some(vec![])));
    }

    #[test]
    fn work_that_is_not_paid_for_is_not_done() {
        let sums = power_sums(distinct(40, 2).into_iter(), 0, 81);
        let mut plenty = Work(PLENTY);
        solve(&sums, [].into_iter(), 5, &mut plenty).unwrap().unwrap();
        let spent = PLENTY - plenty.0;
        assert!(spent < 2_000_000, "{spent}");
        assert!(solve(&sums, [].into_iter(), 5, &mut Work(spent)).is_ok());
        let short = solve(&sums, [].into_iter(), 5, &mut Work(spent - 1));
        assert_eq!(short, Err(Exhausted));
    }
}
