//! Enrichment beside GSEApy and SciPy.

use serde_json::Value;
use tn_eval::{EnrichedSet, GeneSet, GeneSets, OverRepresentation, Prerank};

macro_rules! golden {
    ($name:literal) => {
        serde_json::from_str::<Value>(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../data-fixtures/golden/", $name)))
            .expect("golden files are JSON")
    };
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_string()).collect()
}

#[track_caller]
fn check(actual: f64, expected: &Value, tolerance: f64, what: &str) {
    let expected = expected.as_f64().unwrap();
    assert!((actual - expected).abs() <= tolerance, "{what}: {actual}, expected {expected}");
}

fn sets_of(case: &Value) -> GeneSets {
    let set = |(name, genes): (&String, &Value)| GeneSet { name: name.clone(), description: String::new(), genes: strings(genes) };
    GeneSets::new(case["sets"].as_object().unwrap().iter().map(set))
}

/// The permutations of GSEApy are others: what they give is compared within the noise of its two seeds.
#[test]
fn a_ranking_is_enriched_as_gseapy_says() {
    let golden = golden!("prerank.json");
    for case in golden["cases"].as_array().unwrap() {
        let scored: Vec<(String, f64)> = case["ranking"]
            .as_array()
            .unwrap()
            .iter()
            .map(|pair| (pair[0].as_str().unwrap().to_string(), pair[1].as_f64().unwrap()))
            .collect();
        let size = |name: &str| case[name].as_u64().unwrap() as usize;
        let prerank = Prerank::new().with_sizes(size("min_size"), size("max_size"));
        let table = prerank.clone().with_permutations(20_000).run(&scored, &sets_of(case)).unwrap();
        let unweighted = prerank.with_permutations(0).with_weight(0.0).run(&scored, &sets_of(case)).unwrap();
        let expected = case["expected"].as_object().unwrap();
        assert_eq!(table.sets().len(), expected.len());
        for (name, expected) in expected {
            let of = |sets: &[EnrichedSet]| sets.iter().find(|set| set.name == *name).unwrap().clone();
            let set = of(table.sets());
            check(set.enrichment_score, &expected["es"], 1e-9, name);
            let score = of(unweighted.sets()).enrichment_score;
            match expected.get("es_weight0_sign_is_a_tie") {
                Some(_) => check(score.abs(), &Value::from(expected["es_weight0"].as_f64().unwrap().abs()), 1e-9, name),
                None => check(score, &expected["es_weight0"], 1e-9, name),
            }
            assert_eq!(format!("{}/{}", set.leading_edge.len(), set.size), expected["tag"].as_str().unwrap(), "{name}");
            assert_eq!(format!("{:.2}%", 100.0 * set.gene_share), expected["gene_pct"].as_str().unwrap(), "{name}");
            assert_eq!(set.leading_edge, strings(&expected["lead_genes"]), "{name}");
            for seed in 0..2 {
                check(set.normalized_score, &expected["nes"][seed], 0.03, name);
                check(set.p_value, &expected["p"][seed], 0.02, name);
                check(set.false_discovery_rate, &expected["fdr"][seed], 0.03, name);
                check(set.family_wise_error_rate, &expected["fwer"][seed], 0.03, name);
            }
        }
    }
}

#[test]
fn overlaps_are_as_probable_as_scipy_says() {
    let golden = golden!("enrichment.json");
    for case in golden["cases"].as_array().unwrap() {
        let [all, of_set, drawn, hits] = ["all", "of_set", "drawn", "hits"].map(|name| case[name].as_u64().unwrap() as usize);
        let genes: Vec<String> = (0..all).map(|gene| format!("G{gene}")).collect();
        let list: Vec<&String> = genes[..hits].iter().chain(&genes[of_set..of_set + drawn - hits]).collect();
        let sets = GeneSets::new([GeneSet { name: "S".into(), description: String::new(), genes: genes[..of_set].to_vec() }]);
        let found = OverRepresentation::in_background(&genes).test(&list, &sets).unwrap().remove(0);
        let expected = case["expected"].as_f64().unwrap();
        assert!((found.p_value - expected).abs() <= 1e-9 * expected.max(1e-300), "{}, expected {case}", found.p_value);
        assert_eq!(found.genes.len(), hits);
    }
}
