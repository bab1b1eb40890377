/// The running sum of an enrichment score: up by a gene's weight where it is in the set, down a step where it is not.
///
/// Between two genes of a set the sum only falls, so that its largest value is right after one of them and its smallest right before.
pub(crate) struct RunningSum<'w> {
    /// What each place of the ranking counts, were it of the set.
    weights: &'w [f64],
}

/// Where the running sum is farthest from 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Peak {
    /// The sum there: the enrichment score.
    pub(crate) score: f64,
    /// Which gene of the set it is at, counted from 0: the last of the leading edge above 0, the first below.
    pub(crate) hit: usize,
}

impl<'w> RunningSum<'w> {
    pub(crate) fn new(weights: &'w [f64]) -> Self {
        Self { weights }
    }

    /// Returns the peak for the genes of a set at these places, ascending, and the sum of their weights.
    ///
    /// The larger of the two extremes counts, of equal ones the positive. Where all weights of the set are 0, its genes count alike.
    pub(crate) fn peak(&self, places: impl Iterator<Item = usize>, n_places: usize, total: f64) -> Peak {
        let (equal, total) = if total > 0.0 { (0.0, total) } else { (1.0, n_places as f64) };
        let (gain, step) = (1.0 / total, 1.0 / (self.weights.len() - n_places).max(1) as f64);
        let mut sum = 0.0;
        let (mut high, mut low) = (Peak { score: f64::NEG_INFINITY, hit: 0 }, Peak { score: f64::INFINITY, hit: 0 });
        for (hit, place) in places.enumerate() {
            let down = (place - hit) as f64 * step;
            let before = sum * gain - down;
            if before < low.score {
                low = Peak { score: before, hit };
            }
            sum += self.weights[place] + equal;
            let after = sum * gain - down;
            if after > high.score {
                high = Peak { score: after, hit };
            }
        }
        if high.score >= -low.score { high } else { low }
    }
}

#[cfg(test)]
mod tests {
    use tn_sentence::draw;

    use super::*;

    /// The textbook: the sum at every place.
    fn slow(weights: &[f64], is_hit: &[bool]) -> f64 {
        let hits = is_hit.iter().filter(|hit| **hit).count();
        let total: f64 = weights.iter().zip(is_hit).filter(|(_, hit)| **hit).map(|(weight, _)| weight).sum();
        let (mut sum, mut high, mut low) = (0.0, f64::NEG_INFINITY, f64::INFINITY);
        for (weight, hit) in weights.iter().zip(is_hit) {
            sum += if *hit { weight / total } else { -1.0 / (weights.len() - hits) as f64 };
            high = f64::max(high, sum);
            low = f64::min(low, sum);
        }
        if high >= -low - 1e-12 { high } else { low }
    }

    #[test]
    fn peaks_are_those_of_the_whole_sum() {
        for case in 0..300 {
            let n = 4 + (draw(case, 0) % 60) as usize;
            let weights: Vec<f64> = (0..n).map(|place| (1 + draw(case, 1 + place as u64) % 97) as f64).collect();
            let is_hit: Vec<bool> =
                (0..n).map(|place| place == case as usize % n || draw(case, 1_000 + place as u64).is_multiple_of(4)).collect();
            let places: Vec<usize> = (0..n).filter(|&place| is_hit[place]).collect();
            if places.len() == n {
                continue;
            }
            let total = places.iter().map(|&place| weights[place]).sum();
            let fast = RunningSum::new(&weights).peak(places.iter().copied(), places.len(), total).score;
            let slow = slow(&weights, &is_hit);
            assert!((fast - slow).abs() < 1e-12, "case {case}: {fast}, expected {slow}");
        }
    }

    #[test]
    fn a_set_of_all_genes_or_without_weight_has_a_score() {
        let all = RunningSum::new(&[2.0, 1.0]).peak(0..2, 2, 3.0);
        assert_eq!(all, Peak { score: 1.0, hit: 1 });
        let weightless = RunningSum::new(&[1.0, 0.0, 0.0, 1.0]).peak([1, 2].into_iter(), 2, 0.0);
        assert_eq!(weightless.score, 0.5);
    }
}
