//! A row of the table: what was measured on both sides, and what is asked for.

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// This workspace.
    Ours,
    /// What it is compared with.
    Peer,
}

/// What a variant of one side cost, a value for each repeat.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Measured {
    /// Number format or variant.
    pub(crate) name: String,
    pub(crate) side: Side,
    pub(crate) values: Vec<f64>,
}

impl Measured {
    /// Returns the middle value; of an even number, the mean of the two in the middle.
    pub(crate) fn median(&self) -> f64 {
        median(&self.values)
    }

    /// Returns the smallest and the largest value.
    pub(crate) fn range(&self) -> (f64, f64) {
        self.values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &value| (low.min(value), high.max(value)))
    }
}

/// How a cost is shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Unit {
    /// Seconds for so many tokens, shown as tokens per second.
    Tokens(usize),
    /// Seconds.
    Seconds,
    /// Seconds, shown as milliseconds.
    Milliseconds,
    /// Memory in MiB.
    Mebibytes,
}

/// What a ratio is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Goal {
    /// So many times as fast as the peer, at least: the floor, and what one would wish for.
    Speed { reach: f64, moonshot: f64 },
    /// So much of the cost of the peer, at most.
    Cost { reach: f64, moonshot: f64 },
}

/// Which sizes were measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SizesOf {
    Published,
    Quick,
}

/// How a row came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// There is nothing to compare with.
    Absent,
    /// The shapes are not those that something is asked of.
    NotJudged,
    Below,
    Reached,
    Moonshot,
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    /// Short name, for `--only`.
    pub(crate) name: String,
    /// What was done.
    pub(crate) what: String,
    pub(crate) unit: Unit,
    pub(crate) goal: Goal,
    pub(crate) measured: Vec<Measured>,
    /// How it was seen that both sides did the same.
    pub(crate) checks: Vec<String>,
}

impl Row {
    /// Returns the variant of a side with the lowest median.
    pub(crate) fn best(&self, side: Side) -> Option<&Measured> {
        let of_side = self.measured.iter().filter(|measured| measured.side == side);
        of_side.min_by(|a, b| a.median().total_cmp(&b.median()))
    }

    /// Returns the ratio of the best of both sides, in the direction of the goal.
    pub(crate) fn ratio(&self) -> Option<f64> {
        self.ratio_of(self.best(Side::Ours)?)
    }

    /// Returns the ratio of one of our variants and the best of the peer.
    pub(crate) fn ratio_of(&self, ours: &Measured) -> Option<f64> {
        let peer = self.best(Side::Peer)?;
        Some(self.goal.ratio(ours.median(), peer.median()))
    }

    /// Returns the lowest and the highest ratio of the best of both sides within one repeat.
    pub(crate) fn ratio_range(&self) -> Option<(f64, f64)> {
        let (ours, peer) = (self.best(Side::Ours)?, self.best(Side::Peer)?);
        let ratios = ours.values.iter().zip(&peer.values).map(|(&ours, &peer)| self.goal.ratio(ours, peer)).collect();
        Some(Measured { name: String::new(), side: Side::Ours, values: ratios }.range())
    }

    /// Returns how the ratio compares with what is asked for, at the sizes that it is asked for.
    pub(crate) fn verdict(&self, sizes: SizesOf) -> Verdict {
        let Some(ratio) = self.ratio() else { return Verdict::Absent };
        if sizes == SizesOf::Quick {
            return Verdict::NotJudged;
        }
        let (reached, moonshot) = match self.goal {
            Goal::Speed { reach, moonshot } => (ratio >= reach, ratio >= moonshot),
            Goal::Cost { reach, moonshot } => (ratio <= reach, ratio <= moonshot),
        };
        match (reached, moonshot) {
            (_, true) => Verdict::Moonshot,
            (true, false) => Verdict::Reached,
            (false, false) => Verdict::Below,
        }
    }
}

impl Goal {
    fn ratio(self, ours: f64, peer: f64) -> f64 {
        match self {
            Self::Speed { .. } => peer / ours,
            Self::Cost { .. } => ours / peer,
        }
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.len() / 2, sorted.len() % 2) {
        (_, _) if sorted.is_empty() => f64::NAN,
        (middle, 1) => sorted[middle],
        (middle, _) => (sorted[middle - 1] + sorted[middle]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(goal: Goal, ours: &[&[f64]], peer: &[&[f64]]) -> Row {
        let side = |side, variants: &[&[f64]]| {
            let measured = |values: &&[f64]| Measured { name: String::new(), side, values: values.to_vec() };
            variants.iter().map(measured).collect::<Vec<_>>()
        };
        let measured = [side(Side::Ours, ours), side(Side::Peer, peer)].concat();
        Row { name: String::new(), what: String::new(), unit: Unit::Seconds, goal, measured, checks: Vec::new() }
    }

    #[test]
    fn medians_are_those_of_sorted_values() {
        assert_eq!(median(&[9.0, 1.0, 5.0]), 5.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 9.0]), 3.0);
    }

    #[test]
    fn the_best_variant_of_each_side_counts() {
        let speed = row(Goal::Speed { reach: 1.5, moonshot: 5.0 }, &[&[4.0, 4.0, 4.0], &[1.0, 2.0, 3.0]], &[&[6.0, 5.0, 4.0], &[9.0; 3]]);
        assert_eq!(speed.ratio(), Some(2.5));
        assert_eq!(speed.ratio_of(&speed.measured[0]), Some(1.25));
        assert_eq!(speed.ratio_range(), Some((4.0 / 3.0, 6.0)));
        assert_eq!(speed.verdict(SizesOf::Published), Verdict::Reached);
        assert_eq!(speed.verdict(SizesOf::Quick), Verdict::NotJudged);
    }

    #[test]
    fn a_cost_is_good_when_it_is_low() {
        let verdict = |ours: f64| row(Goal::Cost { reach: 0.7, moonshot: 0.33 }, &[&[ours]], &[&[100.0]]).verdict(SizesOf::Published);
        let expected = [Verdict::Moonshot, Verdict::Moonshot, Verdict::Reached, Verdict::Below];
        assert_eq!([20.0, 33.0, 70.0, 71.0].map(verdict), expected);
    }

    #[test]
    fn without_a_peer_there_is_no_verdict() {
        assert_eq!(row(Goal::Speed { reach: 0.0, moonshot: 0.0 }, &[&[1.0]], &[]).verdict(SizesOf::Published), Verdict::Absent);
    }
}
