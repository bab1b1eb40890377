//! Cells to text and back.

use std::hint::black_box;

use benches::{GENES, METADATA, cell_records, panel, tissue};
use criterion::{Criterion, Throughput};
use tissuenarrator::prelude::*;

const CELLS: usize = 10_000;

fn main() {
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    encode(&mut criterion);
    parse(&mut criterion);
    criterion.final_summary();
}

fn encode(criterion: &mut Criterion) {
    let tissue = tissue(CELLS);
    let panel = panel(&tissue);
    let encoder = RankEncoder::new(&panel).with_seed(42);
    let rows: Vec<(String, Vec<u32>, Vec<f32>)> =
        tissue.cells().map(|cell| (cell.name.clone(), cell.counts.genes.clone(), cell.counts.to_f32())).collect();
    let genes: usize = rows.iter().map(|(_, genes, _)| genes.len()).sum();

    let mut group = criterion.benchmark_group("sentence");
    group.throughput(Throughput::Elements(CELLS as u64));
    group.bench_function("encode/10k_cells", |bencher| {
        bencher.iter(|| {
            let rankings = black_box(&rows).iter().map(|(name, genes, counts)| encoder.encode_sparse(genes, counts, name));
            let ranked: usize = rankings.map(|ranking| ranking.expect("counts are positive").len()).sum();
            assert_eq!(ranked, genes, "every gene that was seen is ranked once");
        });
    });
    group.finish();
}

fn parse(criterion: &mut Criterion) {
    let cells: Vec<CellSentence> = cell_records(&tissue(CELLS)).iter().map(|cell| cell.cell_sentence(&METADATA, GENES)).collect();
    let texts: Vec<String> = cells.iter().map(ToString::to_string).collect();

    let mut group = criterion.benchmark_group("sentence");
    group.throughput(Throughput::Bytes(texts.iter().map(|text| text.len() as u64).sum()));
    group.bench_function("parse/10k_cells", |bencher| {
        bencher.iter(|| {
            let parsed = black_box(&texts).iter().map(|text| text.parse::<CellSentence>().expect("printed cells parse"));
            assert!(parsed.eq(cells.iter().cloned()), "a printed cell parses to itself");
        });
    });
    group.finish();
}
