//! The average expression of a gene in each group.

use serde::{Deserialize, Serialize};

/// How the expression of a gene in the cells of a group becomes one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Average {
    /// Tukey's trimean, `(Q1 + 2 Q2 + Q3) / 4`: 0 for a gene that fewer than a quarter of the cells show. CellChat's default.
    ///
    /// Quantiles are interpolated between the values around place `(n - 1) q`, counted from 0, as R (type 7) and NumPy do.
    #[default]
    Trimean,
    /// The mean without this share of the cells at either end, in `0.0..0.5`: `floor(n share)` cells each, as R's `mean(trim=)`.
    Truncated(f64),
    /// The mean.
    Mean,
}

impl Average {
    /// Returns the average of a gene for each group.
    ///
    /// `ascending` holds the cells that show the gene and their values, sorted by value; `groups` the group of every cell, `NONE`
    /// for one without; `sizes` the cells of each group.
    pub(super) fn of_groups(self, ascending: &[(u32, f32)], groups: &[u32], sizes: &[usize], work: &mut Work) -> Vec<f64> {
        work.expressed.clear();
        work.expressed.resize(sizes.len(), 0);
        for &(cell, _) in ascending {
            if let Some(count) = work.expressed.get_mut(groups[cell as usize] as usize) {
                *count += 1;
            }
        }
        work.wanted.clear();
        work.wanted.extend(sizes.iter().zip(&work.expressed).map(|(&size, &expressed)| self.weights(size, size - expressed)));
        let mut averages = vec![0.0; sizes.len()];
        if work.wanted.iter().all(Weights::is_of_zeros) {
            return averages;
        }
        // Zeros come first: a group's counter starts behind them.
        work.place.clear();
        work.place.extend(sizes.iter().zip(&work.expressed).map(|(size, expressed)| size - expressed));
        for &(cell, value) in ascending {
            let group = groups[cell as usize] as usize;
            let Some(place) = work.place.get_mut(group) else { continue };
            averages[group] += work.wanted[group].of(*place) * f64::from(value);
            *place += 1;
        }
        averages
    }

    /// Says with what weight each place of a group's sorted values counts; `zeros` of them, the first, are 0.
    fn weights(self, size: usize, zeros: usize) -> Weights {
        let weights = match self {
            Self::Trimean => {
                let mut points = [(0, 0.0); 6];
                for (quantile, (q, weight)) in [(0.25, 0.25), (0.5, 0.5), (0.75, 0.25)].into_iter().enumerate() {
                    let position = size.saturating_sub(1) as f64 * q;
                    let (below, share) = (position.floor(), position.fract());
                    points[2 * quantile] = (below as usize, weight * (1.0 - share));
                    points[2 * quantile + 1] = (below as usize + 1, weight * share);
                }
                Weights::Points(points)
            }
            Self::Truncated(share) => {
                let cut = (size as f64 * share).floor() as usize;
                Weights::Range { from: cut, to: size - cut, weight: 1.0 / (size - 2 * cut) as f64 }
            }
            Self::Mean => Weights::Range { from: 0, to: size, weight: 1.0 / size as f64 },
        };
        match weights {
            Weights::Points(points) if points.iter().all(|&(place, weight)| place < zeros || weight == 0.0) => Weights::Nothing,
            Weights::Range { to, .. } if to <= zeros => Weights::Nothing,
            weights => weights,
        }
    }
}

/// The weights of the places of sorted values in an average.
#[derive(Clone, Copy, Debug)]
enum Weights {
    /// All that counts is 0.
    Nothing,
    Points([(usize, f64); 6]),
    Range {
        from: usize,
        to: usize,
        weight: f64,
    },
}

impl Weights {
    fn is_of_zeros(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    fn of(&self, place: usize) -> f64 {
        match self {
            Self::Nothing => 0.0,
            Self::Points(points) => points.iter().filter(|(point, _)| *point == place).map(|(_, weight)| weight).sum(),
            Self::Range { from, to, weight } => {
                if (*from..*to).contains(&place) {
                    *weight
                } else {
                    0.0
                }
            }
        }
    }
}

/// Memory that is used again.
#[derive(Debug, Default)]
pub(super) struct Work {
    expressed: Vec<usize>,
    wanted: Vec<Weights>,
    place: Vec<usize>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The textbook: sort all values of a group, zeros included.
    fn slow(average: Average, mut values: Vec<f64>) -> f64 {
        values.sort_by(f64::total_cmp);
        let n = values.len();
        let quantile = |q: f64| {
            let position = (n - 1) as f64 * q;
            let below = position.floor() as usize;
            let above = (below + 1).min(n - 1);
            values[below] + (values[above] - values[below]) * position.fract()
        };
        match average {
            Average::Trimean => (quantile(0.25) + 2.0 * quantile(0.5) + quantile(0.75)) / 4.0,
            Average::Truncated(share) => {
                let cut = (n as f64 * share).floor() as usize;
                values[cut..n - cut].iter().sum::<f64>() / (n - 2 * cut) as f64
            }
            Average::Mean => values.iter().sum::<f64>() / n as f64,
        }
    }

    #[test]
    fn averages_are_those_of_all_values() {
        let averages = [Average::Trimean, Average::Truncated(0.1), Average::Truncated(0.25), Average::Mean];
        for cells in [3_usize, 4, 7, 50, 101] {
            for share in [0.1, 0.3, 0.6, 1.0] {
                let value = |cell: usize| {
                    let draw = (tn_sentence::draw(9, cell as u64 + 1000 * cells as u64) >> 11) as f64 / (1_u64 << 53) as f64;
                    if draw < share { (draw * 17.0).ceil() as f32 } else { 0.0 }
                };
                let groups: Vec<u32> = (0..cells).map(|cell| [0, 1, u32::MAX][cell % 3]).collect();
                let sizes: Vec<usize> = (0..2).map(|group| groups.iter().filter(|&&other| other == group).count()).collect();
                let mut ascending: Vec<(u32, f32)> =
                    (0..cells).map(|cell| (cell as u32, value(cell))).filter(|(_, value)| *value != 0.0).collect();
                ascending.sort_by(|a, b| a.1.total_cmp(&b.1));
                for average in averages {
                    let fast = average.of_groups(&ascending, &groups, &sizes, &mut Work::default());
                    for group in 0..2 {
                        let values = (0..cells).filter(|&cell| groups[cell] == group).map(|cell| f64::from(value(cell))).collect();
                        let slow = slow(average, values);
                        assert!((fast[group as usize] - slow).abs() < 1e-12, "{average:?} of {cells}: {} for {slow}", fast[group as usize]);
                    }
                }
            }
        }
    }

    #[test]
    fn a_gene_of_few_cells_has_no_trimean() {
        let groups = [0; 10];
        let average = |ascending: &[(u32, f32)]| Average::Trimean.of_groups(ascending, &groups, &[10], &mut Work::default())[0];
        assert_eq!(average(&[(3, 5.0), (8, 9.0)]), 0.0);
        assert!(average(&[(1, 1.0), (3, 5.0), (8, 9.0), (9, 9.0)]) > 0.0);
    }
}
