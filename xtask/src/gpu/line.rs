//! A line of a table: what was measured on both sides, and what is asked for.

/// Values of a line, and how they are judged.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) what: String,
    pub(super) unit: &'static str,
    /// A value for each repeat.
    pub(super) ours: Vec<f64>,
    pub(super) peer: Vec<f64>,
    pub(super) asked: Option<Asked>,
    /// Why there is nothing to judge.
    outcome: Option<Outcome>,
    pub(super) note: String,
}

/// What is asked of a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Asked {
    pub(super) of: Of,
    pub(super) better: Better,
    pub(super) reach: f64,
    pub(super) moonshot: Option<f64>,
}

/// What is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// Our median over that of the peer.
    Ratio,
    /// Our median itself.
    Value,
}

/// Which direction is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Better {
    Higher,
    Lower,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Absent,
    Failed,
}

/// How a line came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// There is nothing to judge, or nothing to compare with.
    Absent,
    /// It could be measured, but not to its end.
    Failed,
    /// Nothing is asked, or not of these sizes.
    NotJudged,
    Missed,
    Met,
    Moonshot,
}

impl Verdict {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Failed => "failed",
            Self::NotJudged => "not judged",
            Self::Missed => "missed",
            Self::Met => "met",
            Self::Moonshot => "moonshot",
        }
    }

    /// Returns whether the command fails with it.
    pub(super) fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::Missed)
    }
}

impl Asked {
    /// A rate that is so many times that of the peer.
    pub(super) fn faster(reach: f64, moonshot: f64) -> Self {
        Self { of: Of::Ratio, better: Better::Higher, reach, moonshot: Some(moonshot) }
    }

    /// A share of what the peer takes.
    pub(super) fn share(reach: f64, moonshot: f64) -> Self {
        Self { of: Of::Ratio, better: Better::Lower, reach, moonshot: Some(moonshot) }
    }

    pub(super) fn at_most(reach: f64) -> Self {
        Self { of: Of::Value, better: Better::Lower, reach, moonshot: None }
    }

    pub(super) fn at_least(reach: f64, moonshot: f64) -> Self {
        Self { of: Of::Value, better: Better::Higher, reach, moonshot: Some(moonshot) }
    }

    fn is_met(self, value: f64, bound: f64) -> bool {
        match self.better {
            Better::Higher => value >= bound,
            Better::Lower => value <= bound,
        }
    }
}

impl Line {
    pub(super) fn new(name: impl Into<String>, what: impl Into<String>, unit: &'static str, ours: Vec<f64>, peer: Vec<f64>) -> Self {
        let (name, what) = (name.into(), what.into());
        Self { name, what, unit, ours, peer, asked: None, outcome: None, note: String::new() }
    }

    /// What could not be measured here.
    pub(super) fn absent(name: impl Into<String>, what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { outcome: Some(Outcome::Absent), note: reason.into(), ..Self::new(name, what, "", Vec::new(), Vec::new()) }
    }

    /// What went wrong.
    pub(super) fn failed(name: impl Into<String>, what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { outcome: Some(Outcome::Failed), note: reason.into(), ..Self::new(name, what, "", Vec::new(), Vec::new()) }
    }

    pub(super) fn asking(self, asked: Option<Asked>) -> Self {
        Self { asked, ..self }
    }

    pub(super) fn noting(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }

    /// Returns our median over that of the peer.
    pub(super) fn ratio(&self) -> Option<f64> {
        Some(median(&self.ours)? / median(&self.peer)?)
    }

    pub(super) fn verdict(&self) -> Verdict {
        match (&self.outcome, self.asked) {
            (Some(Outcome::Absent), _) => Verdict::Absent,
            (Some(Outcome::Failed), _) => Verdict::Failed,
            (None, None) => Verdict::NotJudged,
            (None, Some(asked)) => {
                let judged = if asked.of == Of::Ratio { self.ratio() } else { median(&self.ours) };
                match judged {
                    None => Verdict::Absent,
                    Some(value) if asked.moonshot.is_some_and(|moonshot| asked.is_met(value, moonshot)) => Verdict::Moonshot,
                    Some(value) if asked.is_met(value, asked.reach) => Verdict::Met,
                    Some(_) => Verdict::Missed,
                }
            }
        }
    }
}

/// Returns the middle value; of an even number, the mean of the two in the middle.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        length if length % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(ours: &[f64], peer: &[f64], asked: Asked) -> Verdict {
        Line::new("row", "work", "tok/s", ours.to_vec(), peer.to_vec()).asking(Some(asked)).verdict()
    }

    #[test]
    fn medians_are_those_of_sorted_values() {
        assert_eq!(median(&[9.0, 1.0, 5.0]), Some(5.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 9.0]), Some(3.0));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn rates_are_judged_by_their_ratio_and_memory_by_its_share() {
        let speed = |ours| line(&[ours], &[100.0], Asked::faster(0.7, 2.0));
        assert_eq!([69.0, 70.0, 200.0].map(speed), [Verdict::Missed, Verdict::Met, Verdict::Moonshot]);
        let memory = |ours| line(&[ours], &[100.0], Asked::share(0.8, 0.33));
        assert_eq!([81.0, 80.0, 33.0].map(memory), [Verdict::Missed, Verdict::Met, Verdict::Moonshot]);
    }

    #[test]
    fn a_value_needs_no_peer_and_a_ratio_does() {
        assert_eq!(line(&[1.0], &[], Asked::at_most(1.0)), Verdict::Met);
        assert_eq!(line(&[1.1], &[], Asked::at_most(1.0)), Verdict::Missed);
        assert_eq!(line(&[f64::INFINITY], &[], Asked::at_most(1.0)), Verdict::Missed);
        assert_eq!(line(&[f64::NAN], &[], Asked::at_most(1.0)), Verdict::Missed);
        assert_eq!(line(&[1.0], &[], Asked::faster(0.1, 0.2)), Verdict::Absent);
    }

    #[test]
    fn what_is_absent_never_passes_and_what_fails_fails() {
        assert_eq!(Line::absent("a", "b", "no device").asking(Some(Asked::at_most(1.0))).verdict(), Verdict::Absent);
        assert!(!Verdict::Absent.is_failure());
        assert!(Line::failed("a", "b", "a panic").verdict().is_failure());
        assert!(Verdict::Missed.is_failure());
    }
}
