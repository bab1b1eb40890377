//! Scores of 10,000 generated cells of 50 genes, against answers of 110, at all cutoffs.

use std::hint::black_box;

use criterion::Criterion;
use tn_eval::score_generated;
use tn_sentence::{FinishReason, GeneratedRecord, TaskRecord, draw};

fn main() {
    let mut criterion = Criterion::default().sample_size(20).configure_from_args();
    let generated: Vec<GeneratedRecord> = (0..10_000).map(record).collect();
    let score = || score_generated(black_box(&generated), &[10, 30, 50]).expect("every answer can be read");
    let scores = score();
    assert_eq!((scores.rows, scores.unreadable), (10_000, 0));
    assert!((0.05..0.5).contains(&scores.mean("overlap@50").expect("it is a metric")));
    criterion.bench_function("score/10k_rows_50_of_1122_genes", |bencher| bencher.iter(score));
    criterion.final_summary();
}

fn record(cell: u64) -> GeneratedRecord {
    // Genes of a cell and its prediction: the same distribution, skewed towards the first of the panel.
    let block = |stream: u64, genes: usize| {
        let mut chosen: Vec<u64> = Vec::with_capacity(genes);
        for index in 0.. {
            let gene = draw(stream, index) % (1 + draw(stream ^ 77, index) % 1_122);
            if !chosen.contains(&gene) {
                chosen.push(gene);
            }
            if chosen.len() == genes {
                break;
            }
        }
        let genes: Vec<String> = chosen.into_iter().map(symbol).collect();
        format!("<pos> X: {cell}, Y: 7 <meta> class: C{} <cs> {} </cs>", cell % 30, genes.join(" "))
    };
    let task = TaskRecord {
        cell_name: format!("cell-{cell}"),
        answer: block(2 * cell, 110),
        class: format!("C{}", cell % 30),
        ..TaskRecord::default()
    };
    GeneratedRecord {
        task,
        sample: 0,
        model_prompt: String::new(),
        generated_text: String::new(),
        generated_block: block(2 * cell + 1, 50),
        finish_reason: FinishReason::Closed,
        n_tokens: 60,
        repairs: 0,
    }
}

/// A symbol of three letters and a digit or two, as most are.
fn symbol(gene: u64) -> String {
    let letter = |place: u32| char::from(b'A' + (gene / 26_u64.pow(place) % 26) as u8);
    format!("{}{}{}{}", letter(0), letter(1), letter(2), gene % 17)
}
