//! The published evaluation of one generated cell, for comparing numbers.

use tn_sentence::{ParseError, SpatialSentence, gene_words};

use crate::ranking_metrics::{ndcg_published, ndcg_published_at, overlap_at};

/// What the published program reports for one generated cell.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockEvaluation {
    /// The words read from the generated text, as they are written: repeated words, any case, in or out of the panel.
    pub predicted: Vec<String>,
    /// The words read from the answer.
    pub truth: Vec<String>,
    /// [`ndcg_published`] over the full lists.
    pub ndcg: f64,
    /// The metrics at each `k`, in the order asked for.
    pub at: Vec<CutoffEvaluation>,
}

/// The part of a [`BlockEvaluation`] that looks at the first `k` genes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CutoffEvaluation {
    /// The number of genes.
    pub k: usize,
    /// [`overlap_at`].
    pub overlap: f64,
    /// [`ndcg_published_at`].
    pub ndcg: f64,
}

/// Evaluates a generated text against its answer as the published program does.
///
/// It differs from [`score_generated`](crate::score_generated) in reading: one malformed cell anywhere empties the whole
/// text; only the first cell counts; symbols are compared with their case; repeated words stay. Text without any cell is
/// an empty list, and an empty list scores 0. Nothing is an error.
///
/// ```
/// use tn_eval::evaluate_block;
///
/// let answer = "<pos> X: 1, Y: 2 <meta> class: Astro <cs> AQP4 MLC1 GFAP </cs>";
/// let good = evaluate_block("<pos> X: 1, Y: 2 <meta> class: Astro <cs> MLC1 AQP4", answer, &[10]);
/// assert_eq!((good.at[0].overlap, good.at[0].ndcg), (1.0, 1.0));
/// let without_position = evaluate_block("<cs> MLC1 AQP4 </cs>", answer, &[10]);
/// assert_eq!(without_position.predicted.len(), 0);
/// ```
#[must_use]
pub fn evaluate_block(generated: &str, answer: &str, ks: &[usize]) -> BlockEvaluation {
    let (predicted, truth) = (first_cell_words(generated), first_cell_words(answer));
    let at = ks
        .iter()
        .map(|&k| CutoffEvaluation { k, overlap: overlap_at(&predicted, &truth, k), ndcg: ndcg_published_at(&predicted, &truth, k) })
        .collect();
    BlockEvaluation { ndcg: ndcg_published(&predicted, &truth), predicted, truth, at }
}

/// The words of the first cell; none when any block holds no cell.
fn first_cell_words(text: &str) -> Vec<String> {
    let (sentence, skipped) = SpatialSentence::parse_lenient(text);
    // Stray text and odd words do not matter to the published parser; a block that is no cell does.
    let is_harmless = |reason: &ParseError| {
        matches!(
            reason,
            ParseError::UnexpectedText { .. }
                | ParseError::RepeatedGene { .. }
                | ParseError::InvalidGene { .. }
                | ParseError::InvalidMetadata { .. }
        )
    };
    if sentence.cells().is_empty() || !skipped.iter().all(|part| is_harmless(&part.reason)) {
        return Vec::new();
    }
    let first = text.to_ascii_lowercase().find("<pos>").unwrap_or(0);
    gene_words(&text[first..]).into_iter().map(str::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_malformed_cell_empties_the_text() {
        let good = "<pos> X: 1, Y: 2 <cs> A B </cs>";
        assert_eq!(first_cell_words(good), ["A", "B"]);
        assert!(first_cell_words(&format!("{good} <pos> X: ?, Y: 2 <cs> C </cs>")).is_empty());
    }

    #[test]
    fn words_are_read_as_they_are_written() {
        assert_eq!(first_cell_words("head <pos> X: 1, Y: 2 <cs> a A A <b </cs> tail"), ["a", "A", "A", "<b"]);
    }
}
