//! Goal: to tell whether bytes could be random. Method: seven tests after NIST SP 800-22 (each by its
//! section there), which say how likely a run of random bits looks at least as odd; and one of its own,
//! whether a place has the same bits in many files. The unit tests hold the examples of that paper.
//!
//! Nothing of a sealed bundle needs this: it is how one that was found is looked at, in tests and by
//! whoever asks what a finder sees.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "numbers of bits are far below 2^52"
)]
#![expect(clippy::many_single_char_names, reason = "the letters are those of the paper")]
#![expect(clippy::indexing_slicing, reason = "places are counted from the lengths just above")]

/// Bytes below which the tests say nothing.
pub const LEAST_BYTES: usize = 4_096;

/// What the tests say of some bytes: name and likelihood.
pub type Likelihoods = Vec<(&'static str, f64)>;

/// All tests of one file; none of one below [`LEAST_BYTES`].
pub fn likelihoods(bytes: &[u8]) -> Likelihoods {
    if bytes.len() < LEAST_BYTES {
        return Vec::new();
    }
    let bits: Vec<u8> =
        bytes.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)).collect();
    let counts = pattern_counts(&bits, 10);
    let (first, second) = serial(&counts);
    vec![
        ("monobit", monobit(&bits)),
        ("block frequency", block_frequency(&bits, bits.len() / 64)),
        ("runs", runs(&bits)),
        ("longest run", longest_run(&bits)),
        ("serial 1", first),
        ("serial 2", second),
        ("approximate entropy", approximate_entropy(&counts)),
        ("cumulative sums", cumulative_sums(bits.iter().copied())),
        ("cumulative sums back", cumulative_sums(bits.iter().rev().copied())),
    ]
}

/// 2.1: as many ones as zeros.
fn monobit(bits: &[u8]) -> f64 {
    let sum: f64 = bits.iter().map(|bit| f64::from(*bit) * 2.0 - 1.0).sum();
    erfc(sum.abs() / (2.0 * count(bits.len())).sqrt())
}

/// 2.2: so in every block.
fn block_frequency(bits: &[u8], block: usize) -> f64 {
    let odd = |block: &[u8]| (ones(block) / count(block.len()) - 0.5).powi(2);
    let sum: f64 = bits.chunks_exact(block).map(odd).sum();
    igamc(count(bits.len() / block) / 2.0, 2.0 * count(block) * sum)
}

/// 2.3: as many changes as random bits have.
fn runs(bits: &[u8]) -> f64 {
    let (n, share) = (count(bits.len()), ones(bits) / count(bits.len()));
    if (share - 0.5).abs() >= 2.0 / n.sqrt() {
        return 0.0;
    }
    let changes = count(bits.windows(2).filter(|pair| pair[0] != pair[1]).count() + 1);
    let even = 2.0 * share * (1.0 - share);
    erfc((changes - n * even).abs() / (2.0f64.sqrt() * n.sqrt() * even))
}

/// 2.4: the longest run of ones in blocks of 10,000 (of 128 where there are few bits).
fn longest_run(bits: &[u8]) -> f64 {
    const LONG: &[f64] = &[0.0882, 0.2092, 0.2483, 0.1933, 0.1208, 0.0675, 0.0727];
    const SHORT: &[f64] = &[0.1174, 0.2430, 0.2493, 0.1752, 0.1027, 0.1124];
    let (block, least, shares) =
        if bits.len() >= 750_000 { (10_000, 10, LONG) } else { (128, 4, SHORT) };
    let mut found = vec![0.0; shares.len()];
    for block in bits.chunks_exact(block) {
        let (mut longest, mut run) = (0, 0);
        for bit in block {
            run = if *bit == 1 { run + 1 } else { 0 };
            longest = longest.max(run);
        }
        found[longest.clamp(least, least + shares.len() - 1) - least] += 1.0;
    }
    chi_square(&found, shares)
}

/// 2.11: each pattern of m bits as often as any other; from counts of patterns.
fn serial(counts: &[f64]) -> (f64, f64) {
    let total: f64 = counts.iter().sum();
    let psi = |counts: &[f64]| {
        counts.iter().map(|found| found * found).sum::<f64>() * count(counts.len()) / total - total
    };
    let (shorter, shortest) = (halved(counts), halved(&halved(counts)));
    let (longest, shorter_psi) = (psi(counts), psi(&shorter));
    let first = longest - shorter_psi;
    let second = longest - 2.0 * shorter_psi + psi(&shortest);
    let patterns = count(counts.len());
    (igamc(patterns / 4.0, first / 2.0), igamc(patterns / 8.0, second / 2.0))
}

/// 2.12: as much entropy in patterns of m and m + 1 bits as random bits have.
fn approximate_entropy(counts: &[f64]) -> f64 {
    let total: f64 = counts.iter().sum();
    let phi = |counts: &[f64]| -> f64 {
        counts.iter().filter(|found| **found > 0.0).map(|n| n / total * (n / total).ln()).sum()
    };
    let entropy = phi(&halved(counts)) - phi(counts);
    igamc(count(counts.len()) / 4.0, total * (2.0f64.ln() - entropy))
}

/// 2.13: the walk of +1 and -1 does not go too far.
fn cumulative_sums(bits: impl ExactSizeIterator<Item = u8>) -> f64 {
    let n = count(bits.len());
    let (mut at, mut far) = (0.0f64, 0.0f64);
    for bit in bits {
        at += f64::from(bit) * 2.0 - 1.0;
        far = far.max(at.abs());
    }
    let normal = |steps: f64| erfc(-steps * far / (2.0 * n).sqrt()) / 2.0;
    // As NIST's own program does, towards zero; the paper leaves it open.
    let within = |from: f64, to: f64| (from.trunc() as i64..=to.trunc() as i64).map(|k| k as f64);
    let reach = n / far;
    let first: f64 = within((-reach + 1.0) / 4.0, (reach - 1.0) / 4.0)
        .map(|k| normal(4.0 * k + 1.0) - normal(4.0 * k - 1.0))
        .sum();
    let second: f64 = within((-reach - 3.0) / 4.0, (reach - 1.0) / 4.0)
        .map(|k| normal(4.0 * k + 3.0) - normal(4.0 * k + 1.0))
        .sum();
    1.0 - first + second
}

/// Over many files, how far the number of ones at a place is from half, in standard deviations: the
/// most of all places. Random bits give about 5 for a million places.
#[derive(Debug, Clone, Default)]
pub struct Places {
    files: u32,
    ones: Vec<u32>,
}

impl Places {
    /// Counts another file, of which places beyond the shortest are left out.
    pub fn add(&mut self, bytes: &[u8]) {
        let bits = bytes.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1));
        if self.files == 0 {
            self.ones = vec![0; bytes.len() * 8];
        }
        self.files += 1;
        self.ones.iter_mut().zip(bits).for_each(|(ones, bit)| *ones += u32::from(bit));
    }

    /// The oddest place: which bit, and by how many standard deviations.
    pub fn oddest(&self) -> (usize, f64) {
        let (half, deviation) = (f64::from(self.files) / 2.0, f64::from(self.files).sqrt() / 2.0);
        let odd = |ones: &u32| (f64::from(*ones) - half).abs() / deviation;
        let odds = self.ones.iter().map(odd).enumerate();
        odds.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or_default()
    }
}

/// How likely so many files are to have as odd likelihoods in one test: the share that is below 0.01
/// in standard deviations (at most 3 or so), and how even they are spread over ten bins (4.2.2).
pub fn spread(likelihoods: &[f64]) -> (f64, f64) {
    let files = count(likelihoods.len());
    let below = count(likelihoods.iter().filter(|p| **p < 0.01).count());
    let deviations = (below - files * 0.01) / (files * 0.01 * 0.99).sqrt();
    let mut bins = [0.0; 10];
    for p in likelihoods {
        bins[((p * 10.0) as usize).min(9)] += 1.0;
    }
    (deviations, chi_square(&bins, &[0.1; 10]))
}

/// How often each pattern of `length` bits comes, the beginning following the end.
fn pattern_counts(bits: &[u8], length: usize) -> Vec<f64> {
    let (mut counts, mut pattern) = (vec![0.0; 1 << length], 0);
    for (at, bit) in bits.iter().chain(&bits[..length - 1]).enumerate() {
        pattern = (pattern << 1 | usize::from(*bit)) & ((1 << length) - 1);
        if at + 1 >= length {
            counts[pattern] += 1.0;
        }
    }
    counts
}

/// The counts of patterns that are one bit shorter.
fn halved(counts: &[f64]) -> Vec<f64> {
    counts.chunks_exact(2).map(|pair| pair[0] + pair[1]).collect()
}

fn chi_square(found: &[f64], shares: &[f64]) -> f64 {
    let total: f64 = found.iter().sum();
    let odd = |(found, share): (&f64, &f64)| (found - total * share).powi(2) / (total * share);
    let sum: f64 = found.iter().zip(shares).map(odd).sum();
    igamc(count(found.len() - 1) / 2.0, sum / 2.0)
}

fn ones(bits: &[u8]) -> f64 {
    bits.iter().copied().map(f64::from).sum()
}

fn count(number: usize) -> f64 {
    number as f64
}

/// The complementary error function.
fn erfc(x: f64) -> f64 {
    if x < 0.0 { 2.0 - erfc(-x) } else { igamc(0.5, x * x) }
}

/// The complemented incomplete gamma function Q(a, x): by its series below a + 1, else by its
/// continued fraction.
fn igamc(a: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 1.0;
    }
    let scale = (a * x.ln() - x - ln_gamma(a)).exp();
    if x < a + 1.0 {
        let (mut term, mut sum, mut n) = (1.0 / a, 1.0 / a, a);
        while term > sum * 1e-15 {
            n += 1.0;
            term *= x / n;
            sum += term;
        }
        return 1.0 - scale * sum;
    }
    let mut b = x + 1.0 - a;
    let (mut c, mut d) = (1e300, 1.0 / b);
    let mut fraction = d;
    for step in 1..10_000 {
        let an = -f64::from(step) * (f64::from(step) - a);
        b += 2.0;
        d = 1.0 / (an * d + b);
        c = b + an / c;
        fraction *= c * d;
        if (c * d - 1.0).abs() < 1e-15 {
            break;
        }
    }
    scale * fraction
}

/// Stirling's series, from 10 on; below that, one step down from above.
fn ln_gamma(a: f64) -> f64 {
    if a < 10.0 {
        return ln_gamma(a + 1.0) - a.ln();
    }
    let inverse = 1.0 / a;
    let series = inverse / 12.0 - inverse.powi(3) / 360.0 + inverse.powi(5) / 1260.0;
    (a - 0.5) * a.ln() - a + (2.0 * std::f64::consts::PI).ln() / 2.0 + series
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of SP 800-22, and its first 100 binary digits of pi.
    #[test]
    fn the_examples_of_the_paper_come_out() {
        let bits = |text: &str| -> Vec<u8> { text.bytes().map(|byte| byte - b'0').collect() };
        let pi = bits(
            "1100100100001111110110101010001000100001011010001100001000110100110001001100011001100010100010111000",
        );
        let near =
            |found: f64, due: f64| assert!((found - due).abs() < 1e-6, "{found} is not {due}");
        near(monobit(&bits("1011010101")), 0.527_089);
        near(monobit(&pi), 0.109_599);
        near(block_frequency(&bits("0110011010"), 3), 0.801_252);
        near(block_frequency(&pi, 10), 0.706_438);
        near(runs(&bits("1001101011")), 0.147_232);
        near(runs(&pi), 0.500_798);
        let (first, second) = serial(&pattern_counts(&bits("0011011101"), 3));
        near(first, 0.808_792);
        near(second, 0.670_320);
        near(approximate_entropy(&pattern_counts(&bits("0100110101"), 4)), 0.261_961);
        near(approximate_entropy(&pattern_counts(&pi, 3)), 0.235_301);
        near(cumulative_sums(bits("1011010111").into_iter()), 0.411_658_8);
        near(cumulative_sums(pi.iter().copied()), 0.219_194);
        near(cumulative_sums(pi.iter().rev().copied()), 0.114_866);
        // Known values of the functions themselves.
        near(erfc(1.0), 0.157_299_2);
        near(igamc(3.0, 2.0), 0.676_676_4);
        near(igamc(512.0, 500.0), 0.698_388_0);
    }

    #[test]
    fn little_is_too_little_to_say_anything_of() {
        assert!(likelihoods(&[0; LEAST_BYTES - 1]).is_empty());
        assert!(likelihoods(&[0; LEAST_BYTES]).iter().any(|test| test.1 < 1e-9));
    }
}
