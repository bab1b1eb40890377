//! Scores of a table of generated cells.

mod cells;
mod estimate;
mod matches;
mod metric;
mod paired;
mod table;

use std::collections::{BTreeMap, HashMap};

use rayon::prelude::*;
use thiserror::Error;
use tn_sentence::{GeneratedRecord, TaskRecord, UnreadCell};

pub use cells::{Bootstrap, CellScores, ScoredCell};
pub use estimate::Estimate;
pub use metric::Metric;
pub use paired::{PairedComparison, PairedComparisonError};
pub(crate) use table::aligned;
pub use table::{ClassScore, MetricScore, ScoreTable};

use self::matches::{Discounts, Matches};

/// An error of scoring generated cells.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ScoreError {
    /// There is no row to score.
    #[error("there are no generated cells to score")]
    Empty,
    /// A metric of the first zero genes is no metric.
    #[error("k is 0; a metric looks at the first k genes, k at least 1")]
    ZeroCutoff,
    /// The true cell of a row cannot be read.
    #[error("the answer of cell {cell_name} holds no readable cell sentence: {answer:?}")]
    UnreadableAnswer {
        /// The cell.
        cell_name: String,
        /// Its answer.
        answer: String,
    },
}

/// Scores generated cells against their answers: overlap, recall and both NDCGs for each `k`, and both NDCGs of the full
/// list.
///
/// A row is a cell. Where a cell was sampled several times, its samples are averaged first, so that the interval speaks of
/// cells and not of samples. Two rows belong to the same cell when section, name and scenario agree.
///
/// The prediction is what [`CellSentence::parse_lenient`](tn_sentence::CellSentence::parse_lenient) reads from `generated_block`: symbols in upper case, a repeated
/// gene once, at its first place; words that are not in the panel count as wrong genes. A block that cannot be read, such
/// as that of a failed request, scores 0 and is counted in [`ScoreTable::unreadable`]. The published evaluation, which
/// reads more strictly, is [`evaluate_block`](crate::evaluate_block).
///
/// # Errors
///
/// No rows, `k == 0`, and an answer that is not a cell sentence are errors.
///
/// ```
/// # use tn_sentence::{FinishReason, GeneratedRecord, TaskRecord};
/// # let task = TaskRecord {
/// #     cell_name: "cell-7".into(), prompt: String::new(),
/// #     answer: "<pos> X: 1, Y: 2 <meta> class: OEC <cs> FRZB NPY PLP1 </cs>".into(),
/// #     x: 1.0, y: 2.0, section: "bulb".into(), neighbor_cell_names: vec![], class: "OEC".into(),
/// #     split: "test".into(), scenario: None,
/// # };
/// # let generated = GeneratedRecord {
/// #     task, sample: 0, model_prompt: String::new(), generated_text: String::new(),
/// #     generated_block: "<pos> X: 1, Y: 2 <meta> class: OEC <cs> NPY FRZB APOD </cs>".into(),
/// #     finish_reason: FinishReason::Closed, n_tokens: 4, repairs: 0,
/// # };
/// // The answer ranks FRZB NPY PLP1, the model wrote NPY FRZB APOD.
/// let scores = tn_eval::score_generated(&[generated], &[2, 3])?;
/// assert_eq!(scores.mean("overlap@2"), Some(1.0));
/// assert_eq!(scores.mean("recall@3"), Some(2.0 / 3.0));
/// println!("{scores}");
/// # Ok::<(), tn_eval::ScoreError>(())
/// ```
pub fn score_generated(generated: &[GeneratedRecord], ks: &[usize]) -> Result<ScoreTable, ScoreError> {
    let metrics = Metric::all(ks)?;
    let (unreadable, cells) = score_cells_of(generated, &metrics)?;
    let mut classes: BTreeMap<&str, Vec<&CellScore>> = BTreeMap::new();
    for cell in &cells {
        classes.entry(&cell.task.class).or_default().push(cell);
    }
    let by_class = classes
        .into_par_iter()
        .map(|(class, cells)| ClassScore { class: class.to_string(), rows: cells.len(), metrics: summarize(&metrics, &cells) })
        .collect();
    Ok(ScoreTable {
        rows: cells.len(),
        samples: generated.len(),
        unreadable,
        metrics: summarize(&metrics, &cells.iter().collect::<Vec<_>>()),
        class_accuracy: class_accuracy(&cells),
        by_class,
    })
}

/// Scores every cell by itself: a row for each, with the metrics of [`score_generated`], in the order of the table.
///
/// # Errors
///
/// As [`score_generated`].
pub fn score_each(generated: &[GeneratedRecord], ks: &[usize]) -> Result<CellScores, ScoreError> {
    let metrics = Metric::all(ks)?;
    let (_, cells) = score_cells_of(generated, &metrics)?;
    Ok(CellScores::new(metrics, cells.into_iter().map(|cell| ScoredCell::new(cell.task, cell.values)).collect()))
}

/// Returns how many samples could not be read, and the scores of the cells.
fn score_cells_of<'g>(generated: &'g [GeneratedRecord], metrics: &[Metric]) -> Result<(usize, Vec<CellScore<'g>>), ScoreError> {
    if generated.is_empty() {
        return Err(ScoreError::Empty);
    }
    let discounts = Discounts::new();
    let score = |record| score_sample(record, metrics, &discounts);
    let samples: Vec<SampleScore> = generated.par_iter().map(score).collect::<Result<_, _>>()?;
    let unreadable = samples.iter().filter(|sample| !sample.readable).count();
    Ok((unreadable, average_samples(generated, samples)))
}

/// The scores of one sample, in the order of the metrics.
struct SampleScore {
    values: Vec<f64>,
    readable: bool,
    class_is_right: Option<f64>,
}

fn score_sample(record: &GeneratedRecord, metrics: &[Metric], discounts: &Discounts) -> Result<SampleScore, ScoreError> {
    let task = &record.task;
    let unreadable = || ScoreError::UnreadableAnswer { cell_name: task.cell_name.clone(), answer: task.answer.clone() };
    let truth = UnreadCell::all_of(&task.answer).next().ok_or_else(unreadable)?;
    let predicted = UnreadCell::all_of(&record.generated_block).next();
    let class_is_right = predicted.filter(|_| !task.class.trim().is_empty()).and_then(|predicted| {
        let metadata = predicted.metadata();
        Some(f64::from(u8::from(same_class(metadata.get("class")?, &task.class))))
    });
    let matches = Matches::of_cells(predicted, truth);
    let values = metrics.iter().map(|&metric| matches.evaluate(metric, discounts)).collect();
    Ok(SampleScore { values, readable: predicted.is_some(), class_is_right })
}

fn same_class(a: &str, b: &str) -> bool {
    a.trim().to_lowercase() == b.trim().to_lowercase()
}

/// The scores of one cell, averaged over its samples.
struct CellScore<'a> {
    task: &'a TaskRecord,
    values: Vec<f64>,
    class_is_right: Option<f64>,
}

fn average_samples(generated: &[GeneratedRecord], samples: Vec<SampleScore>) -> Vec<CellScore<'_>> {
    let mut position: HashMap<_, usize> = HashMap::new();
    let mut groups: Vec<(&TaskRecord, Vec<SampleScore>)> = Vec::new();
    for (record, sample) in generated.iter().zip(samples) {
        let task = &record.task;
        let scenario = task.scenario.as_ref();
        let key = (&task.section, &task.cell_name, scenario.map(|label| (&label.scenario, &label.condition, &label.pair_id)));
        let group = *position.entry(key).or_insert_with(|| {
            groups.push((task, Vec::new()));
            groups.len() - 1
        });
        groups[group].1.push(sample);
    }
    groups
        .into_iter()
        .map(|(task, samples)| {
            let n_metrics = samples[0].values.len();
            let mean_of = |metric| mean(samples.iter().map(|sample| sample.values[metric]));
            CellScore {
                task,
                values: (0..n_metrics).filter_map(mean_of).collect(),
                class_is_right: mean(samples.iter().filter_map(|sample| sample.class_is_right)),
            }
        })
        .collect()
}

fn summarize(metrics: &[Metric], cells: &[&CellScore]) -> Vec<MetricScore> {
    metrics
        .par_iter()
        .enumerate()
        .map(|(index, &metric)| MetricScore { metric, estimate: Estimate::from_values(cells.iter().map(|cell| cell.values[index])) })
        .collect()
}

fn class_accuracy(cells: &[CellScore]) -> Option<Estimate> {
    let right: Vec<f64> = cells.iter().filter_map(|cell| cell.class_is_right).collect();
    (!right.is_empty()).then(|| Estimate::from_values(right))
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, n) = values.fold((0.0, 0), |(sum, n), value| (sum + value, n + 1));
    (n > 0).then(|| sum / f64::from(n))
}

#[cfg(test)]
mod tests {
    use tn_sentence::FinishReason;

    use super::*;

    fn generated(cell_name: &str, class: &str, sample: u32, genes: &str) -> GeneratedRecord {
        GeneratedRecord {
            task: TaskRecord {
                cell_name: cell_name.to_string(),
                prompt: String::new(),
                answer: format!("<pos> X: 1, Y: 2 <meta> class: {class} <cs> A B C D </cs>"),
                x: 1.0,
                y: 2.0,
                section: "section".to_string(),
                neighbor_cell_names: Vec::new(),
                class: class.to_string(),
                split: "test".to_string(),
                scenario: None,
            },
            sample,
            model_prompt: String::new(),
            generated_text: String::new(),
            generated_block: format!("<pos> X: 1, Y: 2 <meta> class: oec <cs> {genes} </cs>"),
            finish_reason: FinishReason::Closed,
            n_tokens: 0,
            repairs: 0,
        }
    }

    #[test]
    fn samples_are_averaged_within_their_cell_first() {
        let table = score_generated(
            &[
                generated("one", "OEC", 0, "A B"),
                generated("one", "OEC", 1, "X Y"),
                generated("one", "OEC", 2, "X A"),
                generated("two", "Astro", 0, "A B"),
            ],
            &[2],
        )
        .unwrap();
        assert_eq!((table.rows, table.samples), (2, 4));
        assert_eq!(table.mean("overlap@2"), Some((0.5 + 1.0) / 2.0));
        let classes: Vec<(&str, usize)> = table.by_class.iter().map(|class| (class.class.as_str(), class.rows)).collect();
        assert_eq!(classes, [("Astro", 1), ("OEC", 1)]);
        assert_eq!(table.class_accuracy.unwrap().mean, 0.5);
    }

    #[test]
    fn an_unreadable_block_scores_zero_and_is_counted() {
        let mut failed = generated("one", "OEC", 0, "");
        failed.generated_block = "no cell".to_string();
        let table = score_generated(&[failed], &[2]).unwrap();
        assert_eq!(table.unreadable, 1);
        assert_eq!(table.mean("ndcg@2"), Some(0.0));
        assert_eq!(table.class_accuracy, None);
    }

    #[test]
    fn bad_input_is_an_error_with_its_values() {
        let record = generated("one", "OEC", 0, "A");
        assert_eq!(score_generated(&[], &[10]), Err(ScoreError::Empty));
        assert_eq!(score_generated(std::slice::from_ref(&record), &[10, 0]), Err(ScoreError::ZeroCutoff));
        let mut unreadable = record;
        unreadable.task.answer = "A B C".to_string();
        assert_eq!(
            score_generated(&[unreadable], &[10]),
            Err(ScoreError::UnreadableAnswer { cell_name: "one".to_string(), answer: "A B C".to_string() })
        );
    }

    #[test]
    fn the_order_of_rows_makes_no_difference() {
        let mut records =
            vec![generated("one", "OEC", 0, "A X B"), generated("two", "OEC", 0, "Y A"), generated("three", "Astro", 0, "D C B A")];
        let forwards = score_generated(&records, &[2, 3]).unwrap();
        records.reverse();
        let backwards = score_generated(&records, &[2, 3]).unwrap();
        for (a, b) in forwards.metrics.iter().zip(&backwards.metrics) {
            assert!((a.estimate.mean - b.estimate.mean).abs() < 1e-15);
        }
    }
}
