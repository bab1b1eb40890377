//! Means and variances of a gene in every group.

use super::grouping::Grouping;

/// A gene in some cells: how many there are, and the first two moments.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Moments {
    pub(super) cells: usize,
    pub(super) detected: usize,
    sum: f64,
    /// The sum of squared distances from the mean.
    squares: f64,
}

impl Moments {
    pub(super) fn mean(self) -> f64 {
        self.sum / self.cells as f64
    }

    /// The variance of the mean: that of the values, with the divisor `n - 1`, over `n`.
    pub(super) fn variance_of_mean(self) -> f64 {
        self.squares / (self.cells as f64 - 1.0) / self.cells as f64
    }

    /// The moments of these cells and those together, without the cancellation that a difference of sums of squares has.
    /// Chan, Golub and LeVeque, American Statistician 37, 242 (1983).
    fn merged(self, other: Self) -> Self {
        if self.cells == 0 || other.cells == 0 {
            return if self.cells == 0 { other } else { self };
        }
        let (n, m) = (self.cells as f64, other.cells as f64);
        let between = (self.mean() - other.mean()).powi(2) * (n * m / (n + m));
        Self {
            cells: self.cells + other.cells,
            detected: self.detected + other.detected,
            sum: self.sum + other.sum,
            squares: self.squares + other.squares + between,
        }
    }
}

/// The moments of a gene in every group and, if that is the reference, outside of every group.
pub(super) struct GroupMoments {
    groups: Vec<Moments>,
    rests: Vec<Moments>,
    reference: Option<usize>,
}

impl GroupMoments {
    pub(super) fn new(grouping: &Grouping) -> Self {
        let group = |code| Moments { cells: grouping.size(code), ..Moments::default() };
        let groups: Vec<Moments> = (0..grouping.n_groups()).map(group).collect();
        let rests = vec![Moments::default(); if grouping.reference().is_none() { groups.len() } else { 0 }];
        Self { groups, rests, reference: grouping.reference() }
    }

    /// Takes means and detections from the values of a gene.
    pub(super) fn count(&mut self, grouping: &Grouping, cells: &[u32], values: &[f32]) {
        self.sum(grouping, cells, values);
        self.merge_rests();
    }

    /// Takes means, detections and variances from the values of a gene.
    pub(super) fn measure(&mut self, grouping: &Grouping, cells: &[u32], values: &[f32]) {
        self.sum(grouping, cells, values);
        let means: Vec<f64> = self.groups.iter().map(|group| group.mean()).collect();
        for (group, mean) in self.groups.iter_mut().zip(&means) {
            group.squares = (group.cells - group.detected) as f64 * mean * mean;
        }
        // A second pass: n equal values have a variance of exactly 0, since their sum in 64 bits is exact.
        for (code, value) in grouping.members(cells, values) {
            self.groups[code as usize].squares += (f64::from(value) - means[code as usize]).powi(2);
        }
        self.merge_rests();
    }

    fn sum(&mut self, grouping: &Grouping, cells: &[u32], values: &[f32]) {
        for group in &mut self.groups {
            *group = Moments { cells: group.cells, ..Moments::default() };
        }
        for (code, value) in grouping.members(cells, values) {
            let group = &mut self.groups[code as usize];
            group.detected += 1;
            group.sum += f64::from(value);
        }
    }

    /// Merges, for every group, all groups before it with all after it.
    fn merge_rests(&mut self) {
        let mut after = Moments::default();
        for (rest, &group) in self.rests.iter_mut().zip(&self.groups).rev() {
            *rest = after;
            after = after.merged(group);
        }
        let mut before = Moments::default();
        for (rest, &group) in self.rests.iter_mut().zip(&self.groups) {
            *rest = rest.merged(before);
            before = before.merged(group);
        }
    }

    pub(super) fn of(&self, code: usize) -> Moments {
        self.groups[code]
    }

    /// What a group is compared with.
    pub(super) fn against(&self, code: usize) -> Moments {
        match self.reference {
            Some(reference) => self.groups[reference],
            None => self.rests[code],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::differential_expression::Reference;

    #[test]
    fn the_rest_has_the_moments_of_its_values() {
        let labels = ["a", "b", "c", "a", "b", "c", "a"];
        let grouping = Grouping::new(7, &labels).unwrap().against(&Reference::Rest, &[0]).unwrap();
        let mut moments = GroupMoments::new(&grouping);
        moments.measure(&grouping, &[0, 1, 2, 4], &[9.0, 1.0, 3.0, -2.0]);
        // Groups b and c: 1, -2, 3, 0.
        let rest = moments.against(0);
        assert_eq!((rest.cells, rest.detected, rest.mean()), (4, 3, 0.5));
        assert_eq!(rest.variance_of_mean(), 13.0 / 3.0 / 4.0);
    }

    #[test]
    fn equal_values_have_no_variance() {
        let labels = vec!["a"; 1_000].into_iter().chain(vec!["b"; 777]).collect::<Vec<_>>();
        let grouping = Grouping::new(labels.len(), &labels).unwrap().against(&Reference::Rest, &[0]).unwrap();
        let mut moments = GroupMoments::new(&grouping);
        let cells: Vec<u32> = (0..1_777).collect();
        moments.measure(&grouping, &cells, &vec![0.3; 1_777]);
        assert_eq!(moments.of(0).variance_of_mean(), 0.0);
        assert_eq!(moments.of(0).mean(), moments.against(0).mean());
    }
}
