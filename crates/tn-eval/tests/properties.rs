//! What holds for every input.

use proptest::prelude::*;
use tn_eval::{
    Estimate, ExpressionModel, auroc, average_ranks, benjamini_hochberg, ndcg, ndcg_at, ndcg_published_at, overlap_at, recall_at, spearman,
};
use tn_sentence::Vocabulary;

fn genes(max: usize) -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(0..30_u8, 0..max).prop_map(|genes| genes.iter().map(|gene| format!("G{gene}")).collect())
}

/// Few different values, so that ties are common.
fn values(n: usize) -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec((-8..8_i8).prop_map(|value| f64::from(value) / 2.0), n)
}

proptest! {
    #[test]
    fn ranking_metrics_stay_in_their_range(predicted in genes(40), truth in genes(40), k in 0..60_usize) {
        for metric in [
            overlap_at(&predicted, &truth, k),
            recall_at(&predicted, &truth, k),
            ndcg_at(&predicted, &truth, k),
            ndcg_published_at(&predicted, &truth, k),
        ] {
            prop_assert!((0.0..=1.0 + 1e-12).contains(&metric));
        }
    }

    #[test]
    fn the_standard_ndcg_never_exceeds_the_published_one(predicted in genes(40), truth in genes(40), k in 1..60_usize) {
        let mut distinct = predicted;
        let mut seen = std::collections::HashSet::new();
        distinct.retain(|gene| seen.insert(gene.clone()));
        prop_assert!(ndcg_at(&distinct, &truth, k) <= ndcg_published_at(&distinct, &truth, k) + 1e-12);
    }

    #[test]
    fn a_list_agrees_with_itself(list in genes(40)) {
        let expected = if list.is_empty() { 0.0 } else { 1.0 };
        let mut distinct = list;
        let mut seen = std::collections::HashSet::new();
        distinct.retain(|gene| seen.insert(gene.clone()));
        prop_assert!((ndcg(&distinct, &distinct) - expected).abs() < 1e-12);
        prop_assert_eq!(overlap_at(&distinct, &distinct, 50), expected);
    }

    #[test]
    fn ranks_add_up(values in values(20)) {
        let sum: f64 = average_ranks(&values).iter().sum();
        prop_assert_eq!(sum, 20.0 * 21.0 / 2.0);
    }

    #[test]
    fn spearman_does_not_see_monotone_changes(x in values(12), y in values(12)) {
        let stretched: Vec<f64> = x.iter().map(|value| value.exp()).collect();
        match (spearman(&x, &y), spearman(&stretched, &y)) {
            (Ok(a), Ok(b)) => prop_assert!((a.coefficient - b.coefficient).abs() < 1e-12 && (0.0..=1.0).contains(&a.p_value)),
            (a, b) => prop_assert_eq!(a, b),
        }
    }

    #[test]
    fn auroc_equals_counting_pairs(scores in values(15), labels in prop::collection::vec(any::<bool>(), 15)) {
        let of = |wanted: bool| {
            let pairs = scores.iter().zip(&labels);
            pairs.filter(move |(_, label)| **label == wanted).map(|(score, _)| *score).collect::<Vec<f64>>()
        };
        let (positive, negative) = (of(true), of(false));
        if let Ok(area) = auroc(&scores, &labels) {
            let wins: f64 = positive
                .iter()
                .flat_map(|p| negative.iter().map(move |n| if p > n { 1.0 } else if p == n { 0.5 } else { 0.0 }))
                .sum();
            prop_assert!((area - wins / (positive.len() * negative.len()) as f64).abs() < 1e-12);
        }
    }

    #[test]
    fn adjusted_p_values_keep_the_order_and_do_not_shrink(p in prop::collection::vec(0.0..=1.0_f64, 0..30)) {
        let q = benjamini_hochberg(&p);
        for i in 0..p.len() {
            prop_assert!(q[i] >= p[i] && q[i] <= 1.0);
            for j in 0..p.len() {
                prop_assert!(p[i] > p[j] || q[i] <= q[j]);
            }
        }
    }

    #[test]
    fn a_mean_lies_in_its_interval(values in values(7)) {
        let estimate = Estimate::from_values(values);
        prop_assert!(estimate.low.unwrap() <= estimate.mean && estimate.mean <= estimate.high.unwrap());
    }

    #[test]
    fn reconstruction_keeps_the_order_of_the_ranking(order in Just((0..20).collect::<Vec<usize>>()).prop_shuffle()) {
        let panel = Vocabulary::new((0..20).map(|gene| format!("G{gene}"))).unwrap();
        let ranked: Vec<&str> = order.iter().map(|&gene| panel.symbol(gene)).collect();
        let expression = ExpressionModel::new(2.0, -0.5).reconstruct(&ranked, &panel);
        for pair in order.windows(2) {
            prop_assert!(expression[pair[0]] > expression[pair[1]]);
        }
    }
}
