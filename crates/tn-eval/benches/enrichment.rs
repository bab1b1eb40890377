//! Pre-ranked enrichment: 5,000 genes, 500 sets of 15 to 214 genes, 1,000 permutations.

use std::hint::black_box;

use criterion::Criterion;
use tn_eval::{GeneSet, GeneSets, Prerank};
use tn_sentence::draw;

fn main() {
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    let scored: Vec<(String, f64)> = (0..5_000).map(|gene| (format!("G{gene}"), (draw(1, gene) % 1_000_000) as f64 / 1e5 - 5.0)).collect();
    let set = |set: u64| {
        let genes = (0..15 + draw(2, set) % 200).map(|gene| format!("G{}", draw(1_000 + set, gene) % 5_000));
        GeneSet { name: format!("S{set}"), description: String::new(), genes: genes.collect() }
    };
    let sets = GeneSets::new((0..500).map(set));
    let prerank = Prerank::new().with_sizes(5, 500);
    let run = || prerank.run(black_box(&scored), &sets).expect("the sets are of the ranking");
    assert_eq!(run().sets().len(), 500);
    criterion.bench_function("prerank/5k_genes_500_sets_1k_permutations", |bencher| bencher.iter(run));
    criterion.final_summary();
}
