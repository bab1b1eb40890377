//! The results as text for a terminal.

use std::fmt::Write;

use super::calibration::K;
use super::results::Results;
use super::scoring::Scored;

const METRICS: [&str; 6] = ["overlap@10", "overlap@30", "overlap@50", "recall@30", "ndcg@30", "ndcg_published@30"];

/// Renders scores and expectations as aligned tables.
pub(super) fn text(results: &Results) -> String {
    let mut text = String::new();
    let tissue = &results.tissue;
    line(&mut text, &format!("{} cells, {} genes, {} sections, {} classes", tissue.cells, tissue.genes, tissue.sections, tissue.classes));
    for (title, scores) in [("class given", &results.conditioned), ("class not given", &results.unconditioned)] {
        let cells = scores.first().map_or(0, |scored| scored.scores.rows);
        line(&mut text, &format!("\n{cells} held-out cells, {title} (mean ± half the 95% interval)"));
        text.push_str(&aligned(&score_lines(scores)));
    }
    let errors = results.calibration.each_ref().map(|c| c.expected_calibration_error.map_or("-".to_owned(), |error| format!("{error:.3}")));
    line(&mut text, &format!("\nprobabilities of the first {K} genes are off by {} (class given) and {} on average", errors[0], errors[1]));
    if let Some(proximity) = &results.proximity {
        let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.2}"));
        let [near, far] = proximity.observed_cells;
        line(
            &mut text,
            &format!(
                "\nplanted effect of {} on {}: Spearman {} over {} pairs; another class inserted {}; measured cells ({near} near, {far} far) {}",
                proximity.partner,
                proximity.focal,
                number(proximity.spearman),
                proximity.pairs,
                number(proximity.control_spearman),
                number(proximity.observed_spearman),
            ),
        );
    }
    line(&mut text, if results.plan.judged { "\nexpectations" } else { "\nexpectations (a smoke run: shown, not judged)" });
    let header = ["", "found", "expected", ""].map(str::to_owned).to_vec();
    let rows = results.expectations.iter().map(|expectation| {
        let found = expectation.value.map_or("-".to_owned(), |value| format!("{value:.3}"));
        vec![expectation.claim.clone(), found, expectation.expected.clone(), expectation.outcome.as_str().to_owned()]
    });
    text.push_str(&aligned(&std::iter::once(header).chain(rows).collect::<Vec<_>>()));
    text
}

fn line(text: &mut String, line: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{line}");
}

/// Returns a header and a line for each predictor.
pub(super) fn score_lines(scores: &[Scored]) -> Vec<Vec<String>> {
    let header = ["", "knows"].into_iter().chain(METRICS).map(str::to_owned).collect();
    let rows = scores.iter().map(|scored| {
        let cell = |metric: &str| match scored.scores.estimate(metric) {
            Some(estimate) => match estimate.high {
                Some(high) => format!("{:.3} ±{:.3}", estimate.mean, high - estimate.mean),
                None => format!("{:.3}", estimate.mean),
            },
            None => "-".to_owned(),
        };
        [scored.name.to_owned(), scored.knows.to_owned()].into_iter().chain(METRICS.map(cell)).collect()
    });
    std::iter::once(header).chain(rows).collect()
}

/// Aligns lines of cells: the first to the left, the others to the right.
fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for cells in lines {
        let mut row = format!("{:<width$}", cells[0], width = widths[0]);
        for (cell, width) in cells.iter().zip(&widths).skip(1) {
            row.push_str(&format!("  {cell:>width$}"));
        }
        line(&mut text, row.trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let lines = [["", "x"], ["longer", "10"], ["b", "1"]].map(|line| line.map(str::to_owned).to_vec());
        assert_eq!(aligned(&lines), "         x\nlonger  10\nb        1\n");
    }
}
