//! Drawing a token from logits.

use rand::{Rng, RngExt};

use super::GenerateError;

/// How tokens are drawn: temperature, then the `top_k` most probable, then the smallest set that holds `top_p` of the mass, then those
/// with at least `min_p` times the largest probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Divides the logits; 0 takes the most probable token.
    pub temperature: f32,
    /// Number of candidates; 0 keeps all.
    pub top_k: usize,
    /// Mass of the candidates; 1 keeps all.
    pub top_p: f32,
    /// Least probability relative to the largest; 0 keeps all.
    pub min_p: f32,
}

impl Default for Sampling {
    /// The published settings: temperature 0.3, `top_k` 10, `top_p` 0.95, `min_p` 0.
    fn default() -> Self {
        Self { temperature: 0.3, top_k: 10, top_p: 0.95, min_p: 0.0 }
    }
}

impl Sampling {
    /// Takes the most probable token at every step; the lowest id among equals.
    pub const GREEDY: Self = Self { temperature: 0.0, top_k: 0, top_p: 1.0, min_p: 0.0 };

    /// Draws from the model's own distribution.
    pub const AS_TRAINED: Self = Self { temperature: 1.0, top_k: 0, top_p: 1.0, min_p: 0.0 };

    /// Checks the ranges.
    ///
    /// # Errors
    /// An error names the first option that lies outside its range or is not a number.
    pub fn validate(&self) -> Result<(), GenerateError> {
        let check = |name, value: f32, ok: bool, expected| match ok {
            true => Ok(()),
            false => Err(GenerateError::InvalidSampling { name, value: f64::from(value), expected }),
        };
        check("temperature", self.temperature, self.temperature >= 0.0 && self.temperature.is_finite(), "0 or more")?;
        check("top-p", self.top_p, self.top_p > 0.0 && self.top_p <= 1.0, "above 0 and at most 1")?;
        check("min-p", self.min_p, (0.0..=1.0).contains(&self.min_p), "between 0 and 1")
    }

    /// Draws a token; negative infinity marks tokens that are not allowed.
    ///
    /// Equal probabilities are ordered by id. When nothing is allowed, the first id is returned.
    pub(crate) fn draw(&self, logits: &[f32], rng: &mut impl Rng) -> u32 {
        if self.temperature == 0.0 {
            return argmax(logits) as u32;
        }
        let candidates = self.candidates(logits);
        let mut left = rng.random::<f32>() * candidates.iter().map(|&(_, p)| p).sum::<f32>();
        for &(id, p) in &candidates {
            left -= p;
            if left < 0.0 {
                return id as u32;
            }
        }
        candidates.last().map_or(0, |&(id, _)| id as u32)
    }

    /// Returns the tokens that may be drawn with their unnormalised probabilities, the most probable first where an option needs the order.
    fn candidates(&self, logits: &[f32]) -> Vec<(usize, f32)> {
        let largest = logits[argmax(logits)];
        let weigh = |&logit: &f32| ((logit - largest) / self.temperature).exp();
        let mut candidates: Vec<(usize, f32)> = logits.iter().map(weigh).enumerate().filter(|&(_, p)| p > 0.0).collect();
        if self.top_k == 0 && self.top_p >= 1.0 && self.min_p == 0.0 {
            return candidates;
        }
        candidates.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        if self.top_k > 0 {
            candidates.truncate(self.top_k);
        }
        if self.top_p < 1.0 {
            let bound = self.top_p * candidates.iter().map(|&(_, p)| p).sum::<f32>();
            let mut mass = 0.0;
            let kept = candidates.iter().take_while(|&&(_, p)| {
                let wanted = mass < bound;
                mass += p;
                wanted
            });
            let kept = kept.count();
            candidates.truncate(kept.max(1));
        }
        let least = self.min_p * candidates.first().map_or(0.0, |&(_, p)| p);
        candidates.retain(|&(_, p)| p >= least);
        candidates
    }
}

/// Returns the index of the largest value, the first among equals; NaN is passed over.
pub(crate) fn argmax(values: &[f32]) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] || values[best].is_nan() {
            best = index;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const LOGITS: [f32; 5] = [0.0, 2.0, 1.0, f32::NEG_INFINITY, 1.0];

    fn check_support(sampling: Sampling, expected: &[u32]) {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut seen: Vec<u32> = (0..2_000).map(|_| sampling.draw(&LOGITS, &mut rng)).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, expected, "{sampling:?}");
    }

    #[test]
    fn every_option_narrows_the_support() {
        check_support(Sampling::AS_TRAINED, &[0, 1, 2, 4]);
        check_support(Sampling::GREEDY, &[1]);
        check_support(Sampling { top_k: 2, ..Sampling::AS_TRAINED }, &[1, 2]);
        check_support(Sampling { top_p: 0.5, ..Sampling::AS_TRAINED }, &[1]);
        check_support(Sampling { top_p: 0.7, ..Sampling::AS_TRAINED }, &[1, 2]);
        check_support(Sampling { min_p: 0.3, ..Sampling::AS_TRAINED }, &[1, 2, 4]);
        check_support(Sampling { temperature: 0.01, ..Sampling::AS_TRAINED }, &[1]);
    }

    #[test]
    fn frequencies_follow_the_softmax() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let draws = 100_000;
        let mut counts = [0u32; 5];
        (0..draws).for_each(|_| counts[Sampling::AS_TRAINED.draw(&LOGITS, &mut rng) as usize] += 1);
        let total: f64 = LOGITS.iter().map(|&l| f64::from(l).exp()).sum();
        let chi_square: f64 = LOGITS
            .iter()
            .zip(counts)
            .filter(|(l, _)| l.is_finite())
            .map(|(&l, count)| {
                let expected = f64::from(draws) * f64::from(l).exp() / total;
                (f64::from(count) - expected).powi(2) / expected
            })
            .sum();
        assert!(chi_square < 16.3, "chi-square {chi_square} with 3 degrees of freedom (p = 0.001 at 16.3)");
    }

    #[test]
    fn options_outside_their_range_are_named() {
        let check = |sampling: Sampling, name: &str| {
            assert!(sampling.validate().unwrap_err().to_string().starts_with(name), "{sampling:?}");
        };
        check(Sampling { temperature: -1.0, ..Sampling::default() }, "temperature");
        check(Sampling { temperature: f32::NAN, ..Sampling::default() }, "temperature");
        check(Sampling { top_p: 0.0, ..Sampling::default() }, "top-p");
        check(Sampling { min_p: 1.5, ..Sampling::default() }, "min-p");
        assert!(Sampling::default().validate().is_ok());
    }
}
