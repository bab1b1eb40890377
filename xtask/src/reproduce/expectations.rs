//! Each number beside what is expected of it.

use serde::Serialize;

use super::proximity::ProximityResult;
use super::scoring::{CLASS_MEAN, MAJORITY, MODEL, NEAREST, ORACLE, RANDOM, SAME_CLASS, Scored, mean_of};

/// The metric that is held against expectations.
pub(super) const METRIC: &str = "overlap@30";
/// Part of the distance from class mean to oracle that the conditioned model closes.
const GAP_CLOSED: f64 = 0.5;
/// Spearman's correlation of planted and generated changes.
const EFFECT: f64 = 0.6;

/// A claim, the number that speaks for or against it, and the verdict.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Expectation {
    pub(super) claim: String,
    pub(super) value: Option<f64>,
    pub(super) expected: String,
    pub(super) outcome: Outcome,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Outcome {
    Pass,
    Miss,
    /// There is nothing yet that could be held against it. This is no pass.
    NotRun,
}

impl Outcome {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Miss => "MISS",
            Self::NotRun => "not run",
        }
    }
}

impl Expectation {
    fn at_least(claim: impl Into<String>, value: Option<f64>, bound: f64) -> Self {
        Self::new(claim, value, format!("at least {bound:.2}"), |value| value >= bound)
    }

    /// A difference that has to be positive: the first mean above the second.
    fn above(claim: impl Into<String>, higher: Option<f64>, lower: Option<f64>) -> Self {
        let difference = higher.zip(lower).map(|(higher, lower)| higher - lower);
        Self::new(claim, difference, "above 0".to_owned(), |difference| difference > 0.0)
    }

    fn new(claim: impl Into<String>, value: Option<f64>, expected: String, holds: impl Fn(f64) -> bool) -> Self {
        // A number that could not be formed does not hold.
        let outcome = if value.is_some_and(holds) { Outcome::Pass } else { Outcome::Miss };
        Self { claim: claim.into(), value, expected, outcome }
    }
}

/// Holds the scores of simulated sections against what they have to be.
pub(super) fn of_simulation(conditioned: &[Scored], unconditioned: &[Scored], proximity: Option<&ProximityResult>) -> Vec<Expectation> {
    let given = |id| mean_of(conditioned, id, METRIC);
    let free = |id| mean_of(unconditioned, id, METRIC);
    let gap = given(ORACLE).zip(given(CLASS_MEAN)).map(|(oracle, class_mean)| oracle - class_mean);
    let closed = given(MODEL).zip(given(CLASS_MEAN)).zip(gap).map(|((model, class_mean), gap)| (model - class_mean) / gap);
    let mut expectations = vec![
        Expectation::at_least("conditioned: part of the way from class mean to oracle that the model closes", closed, GAP_CLOSED),
        Expectation::above("conditioned: class mean above nearest neighbor", given(CLASS_MEAN), given(NEAREST)),
        Expectation::above("conditioned: class mean above nearest of the class", given(CLASS_MEAN), given(SAME_CLASS)),
        Expectation::above("conditioned: nearest neighbor above random genes", given(NEAREST), given(RANDOM)),
        Expectation::above("unconditioned: model above class mean of neighbors", free(MODEL), free(CLASS_MEAN)),
        Expectation::above("unconditioned: model above nearest neighbor", free(MODEL), free(NEAREST)),
        Expectation::above("unconditioned: model above nearest of the majority", free(MODEL), free(MAJORITY)),
        Expectation::above("unconditioned: model above random genes", free(MODEL), free(RANDOM)),
    ];
    expectations.extend(effects(proximity));
    expectations
}

fn effects(proximity: Option<&ProximityResult>) -> Vec<Expectation> {
    let genes = proximity.map_or(0, |result| result.genes.len());
    let bound = chance_bound(genes);
    vec![
        Expectation::at_least(
            "proximity effect: Spearman of planted and generated changes",
            proximity.and_then(|result| result.spearman),
            EFFECT,
        ),
        Expectation::new(
            format!("proximity effect, another class inserted: absolute Spearman over {genes} genes"),
            proximity.and_then(|result| result.control_spearman).map(f64::abs),
            format!("at most {bound:.2}"),
            |value| value <= bound,
        ),
        Expectation {
            claim: "knock-out effect: Spearman of planted and generated changes".to_owned(),
            value: None,
            expected: "no scenario yet".to_owned(),
            outcome: Outcome::NotRun,
        },
    ]
}

/// Two standard errors of Spearman's coefficient between unrelated values: `2 / √(n - 1)`.
fn chance_bound(genes: usize) -> f64 {
    2.0 / (genes.max(2) as f64 - 1.0).sqrt()
}

/// Holds the scores of a real section against its baselines.
pub(super) fn of_real_section(conditioned: &[Scored], unconditioned: &[Scored]) -> Vec<Expectation> {
    let given = |id| mean_of(conditioned, id, METRIC);
    let free = |id| mean_of(unconditioned, id, METRIC);
    vec![
        Expectation::above("conditioned: model above class mean", given(MODEL), given(CLASS_MEAN)),
        Expectation::above("unconditioned: model above class mean of neighbors", free(MODEL), free(CLASS_MEAN)),
        Expectation::above("unconditioned: model above nearest neighbor", free(MODEL), free(NEAREST)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_could_not_be_formed_is_a_miss() {
        assert_eq!(Expectation::at_least("x", None, 0.5).outcome, Outcome::Miss);
        assert_eq!(Expectation::at_least("x", Some(f64::NAN), 0.5).outcome, Outcome::Miss);
        assert_eq!(Expectation::above("x", Some(1.0), None).outcome, Outcome::Miss);
    }

    #[test]
    fn equal_is_not_above() {
        assert_eq!(Expectation::above("x", Some(0.5), Some(0.5)).outcome, Outcome::Miss);
        assert_eq!(Expectation::above("x", Some(0.6), Some(0.5)).outcome, Outcome::Pass);
        assert_eq!(Expectation::at_least("x", Some(0.5), 0.5).outcome, Outcome::Pass);
    }

    #[test]
    fn an_effect_without_a_scenario_is_no_pass() {
        let expectations = of_simulation(&[], &[], None);
        assert!(expectations.iter().all(|expectation| expectation.outcome != Outcome::Pass));
        assert_eq!(expectations.last().map(|expectation| expectation.outcome), Some(Outcome::NotRun));
    }

    #[test]
    fn the_bound_of_chance_shrinks_with_the_number_of_genes() {
        assert!((chance_bound(40) - 0.32).abs() < 0.005);
        assert!(chance_bound(0).is_finite());
    }
}
