//! Drawing a token from logits.

use rand::{Rng, RngExt};

use super::GenerateError;

/// How tokens are drawn: temperature, then the `top_k` most probable, then the smallest set that holds `top_p` of the mass, then those
/// with at least `min_p` times the largest probability. Order and rules are those of `generate` in transformers.
///
/// Of equal probabilities at the edge, `top_k` keeps all, as transformers does, and `top_p` those with the lowest ids, as many as it takes. Of those,
/// transformers keeps as many, but which depends on how its sort leaves equal values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Divides the logits; 0 takes the most probable token.
    pub temperature: f32,
    /// Number of candidates, more where others are as probable as the last of them; 0 keeps all.
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
    #[cfg(test)]
    fn draw(&self, logits: &[f32], rng: &mut impl Rng) -> u32 {
        self.choose_among_all(logits, self.uniform(rng))
    }

    /// Draws one of the allowed tokens, given in ascending order, as if there were no others; the logits of the others are not looked at.
    ///
    /// Equal probabilities are ordered by id. When all logits are negative infinity or NaN, the first allowed token is returned.
    ///
    /// # Panics
    /// Panics when no token is allowed or an allowed one has no logit.
    pub fn draw_among(&self, allowed: &[u32], logits: &[f32], rng: &mut impl Rng) -> u32 {
        assert!(!allowed.is_empty(), "something has to be allowed");
        self.choose_among(allowed, logits, self.uniform(rng))
    }

    /// Returns the random number of a draw; the most probable token takes none.
    pub(crate) fn uniform(&self, rng: &mut impl Rng) -> f32 {
        if self.temperature == 0.0 { 0.0 } else { rng.random() }
    }

    /// Makes the draw that belongs to a random number among all tokens.
    pub(crate) fn choose_among_all(&self, logits: &[f32], uniform: f32) -> u32 {
        self.choose((0..).zip(logits.iter().copied()), uniform)
    }

    /// Makes the draw that belongs to a random number among the allowed tokens.
    pub(crate) fn choose_among(&self, allowed: &[u32], logits: &[f32], uniform: f32) -> u32 {
        self.choose(allowed.iter().map(|&id| (id, logits[id as usize])), uniform)
    }

    /// Returns the most probable token of all, the first among equals; NaN is passed over.
    #[must_use]
    pub fn most_probable(logits: &[f32]) -> u32 {
        most_probable((0..).zip(logits.iter().copied())).0
    }

    fn choose(&self, logits: impl Iterator<Item = (u32, f32)> + Clone, uniform: f32) -> u32 {
        let (best, largest) = most_probable(logits.clone());
        if self.temperature == 0.0 {
            return best;
        }
        let candidates = self.candidates(logits, largest);
        let mut left = uniform * candidates.iter().map(|&(_, p)| p).sum::<f32>();
        for &(id, p) in &candidates {
            left -= p;
            if left < 0.0 {
                return id;
            }
        }
        candidates.last().map_or(best, |&(id, _)| id)
    }

    /// Returns the tokens that may be drawn with their unnormalised probabilities, the most probable first where an option needs the order.
    fn candidates(&self, logits: impl Iterator<Item = (u32, f32)>, largest: f32) -> Vec<(u32, f32)> {
        let weigh = |(id, logit): (u32, f32)| (id, ((logit - largest) / self.temperature).exp());
        let mut candidates: Vec<(u32, f32)> = logits.map(weigh).filter(|&(_, p)| p > 0.0).collect();
        if self.top_k == 0 && self.top_p >= 1.0 && self.min_p == 0.0 {
            return candidates;
        }
        let falling = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        if self.top_k > 0 && self.top_k < candidates.len() {
            // Only those that stay need an order.
            let least = candidates.select_nth_unstable_by(self.top_k - 1, falling).1.1;
            candidates.retain(|&(_, p)| p >= least);
        }
        candidates.sort_unstable_by(falling);
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

/// Returns the token with the largest logit, the first among equals, and that logit; NaN is passed over. Token 0 when there is none.
fn most_probable(logits: impl Iterator<Item = (u32, f32)>) -> (u32, f32) {
    let larger = |best: (u32, f32), next: (u32, f32)| if next.1 > best.1 || (best.1.is_nan() && !next.1.is_nan()) { next } else { best };
    logits.reduce(larger).unwrap_or((0, f32::NEG_INFINITY))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// The probabilities of the tokens that may be drawn, by id.
    fn probabilities(sampling: &Sampling, logits: &[f32]) -> Vec<(u32, f32)> {
        let logits = (0..).zip(logits.iter().copied());
        let mut kept = sampling.candidates(logits.clone(), most_probable(logits).1);
        let total: f32 = kept.iter().map(|&(_, p)| p).sum();
        kept.iter_mut().for_each(|(_, p)| *p /= total);
        kept.sort_unstable_by_key(|&(id, _)| id);
        kept
    }

    #[test]
    fn what_may_be_drawn_is_what_transformers_keeps() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data-fixtures/checkpoints/sampling/expected.json");
        let file: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let number = |value: &serde_json::Value| value.as_f64().unwrap() as f32;
        for case in file["cases"].as_array().unwrap() {
            let row = case["logits"].as_str().unwrap();
            let logits: Vec<f32> = file["logits"][row]
                .as_array()
                .unwrap()
                .iter()
                .map(|logit| logit.as_f64().map_or(f32::NEG_INFINITY, |l| l as f32))
                .collect();
            let top_k = case["top_k"].as_u64().unwrap() as usize;
            let sampling =
                Sampling { temperature: number(&case["temperature"]), top_k, top_p: number(&case["top_p"]), min_p: number(&case["min_p"]) };
            let kept = probabilities(&sampling, &logits);
            let mut found: Vec<f32> = kept.iter().map(|&(_, p)| p).collect();
            let mut wanted: Vec<f32> = case["probabilities"].as_array().unwrap().iter().map(number).collect();
            let has_ties = matches!(row, "tied" | "all equal");
            if has_ties && sampling.top_p < 1.0 {
                // As many of each probability; which of them is left to the order of equal values.
                found.sort_by(f32::total_cmp);
                wanted.sort_by(f32::total_cmp);
            } else {
                let ids: Vec<u64> = kept.iter().map(|&(id, _)| u64::from(id)).collect();
                assert_eq!(serde_json::json!(ids), case["kept"], "{row}, {sampling:?}");
            }
            assert_eq!(found.len(), wanted.len(), "{row}, {sampling:?}");
            for (found, wanted) in found.iter().zip(&wanted) {
                assert!((found - wanted).abs() < 1e-6, "{row}, {sampling:?}: {found}, expected {wanted}");
            }
        }
        assert_eq!(file["cases"].as_array().unwrap().len(), 50);
    }

    #[test]
    fn of_equal_logits_at_the_edge_top_k_keeps_all_and_top_p_the_lowest_ids() {
        let logits = [1.0, 3.0, 1.0, 1.0, 0.0, 1.0];
        let kept = |sampling: Sampling| probabilities(&sampling, &logits).iter().map(|&(id, _)| id).collect::<Vec<_>>();
        assert_eq!(kept(Sampling { top_k: 1, ..Sampling::AS_TRAINED }), [1]);
        assert_eq!(kept(Sampling { top_k: 2, ..Sampling::AS_TRAINED }), [0, 1, 2, 3, 5]);
        assert_eq!(kept(Sampling { top_p: 0.75, ..Sampling::AS_TRAINED }), [0, 1, 2]);
    }

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
        check_support(Sampling { top_k: 1, ..Sampling::AS_TRAINED }, &[1]);
        check_support(Sampling { top_k: 2, ..Sampling::AS_TRAINED }, &[1, 2, 4]);
        check_support(Sampling { top_p: 0.5, ..Sampling::AS_TRAINED }, &[1]);
        check_support(Sampling { top_p: 0.7, ..Sampling::AS_TRAINED }, &[1, 2]);
        check_support(Sampling { min_p: 0.3, ..Sampling::AS_TRAINED }, &[1, 2, 4]);
        check_support(Sampling { temperature: 0.01, ..Sampling::AS_TRAINED }, &[1]);
    }

    #[test]
    fn a_draw_among_some_is_a_draw_with_the_others_forbidden() {
        let mut source = ChaCha8Rng::seed_from_u64(5);
        for round in 0..200u64 {
            let logits: Vec<f32> = (0..300).map(|_| source.random_range(-4.0f32..4.0).round() / 2.0).collect();
            let allowed: Vec<u32> = (0..300).filter(|_| source.random_bool(0.2)).collect();
            let mut restricted = vec![f32::NEG_INFINITY; logits.len()];
            allowed.iter().for_each(|&id| restricted[id as usize] = logits[id as usize]);
            for sampling in [
                Sampling::GREEDY,
                Sampling::AS_TRAINED,
                Sampling::default(),
                Sampling { top_k: 7, ..Sampling::AS_TRAINED },
                Sampling { top_p: 0.6, ..Sampling::AS_TRAINED },
                Sampling { min_p: 0.4, temperature: 2.0, ..Sampling::AS_TRAINED },
            ] {
                let (mut a, mut b) = (ChaCha8Rng::seed_from_u64(round), ChaCha8Rng::seed_from_u64(round));
                assert_eq!(sampling.draw_among(&allowed, &logits, &mut a), sampling.draw(&restricted, &mut b), "{sampling:?}");
            }
        }
    }

    #[test]
    fn a_draw_among_hopeless_tokens_stays_among_them() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for hopeless in [f32::NEG_INFINITY, f32::NAN] {
            for sampling in [Sampling::GREEDY, Sampling::AS_TRAINED, Sampling::default()] {
                assert_eq!(sampling.draw_among(&[2, 4], &[1.0, 1.0, hopeless, 1.0, hopeless], &mut rng), 2);
            }
        }
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
