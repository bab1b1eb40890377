//! From the words that a model wrote to a ranking.

use crate::{GeneRanking, GeneSymbol, Vocabulary};

/// Cleans up the words that a model wrote for a cell: the genes of the panel, each once, `top` at most.
///
/// 1. Words are upper-cased.
/// 2. A gene that occurs several times is kept once, at the integer part of the mean of its positions. Genes are
///    handled in the order of their first occurrence, and positions are those of the list as it stands then, with
///    words outside the panel still in place.
/// 3. Words outside the panel are dropped, and the first `top` genes stay.
///
/// No words give an empty ranking. [`compat::clean_generated_genes`](crate::compat::clean_generated_genes) has the
/// quirks of the published program.
///
/// # Examples
///
/// ```
/// use tn_sentence::{Vocabulary, clean_generated_genes};
///
/// let panel = Vocabulary::new(["AQP4", "GAD1", "GFAP"])?;
/// let words = ["AQP4", "gad1", "xyz", "GFAP", "AQP4", "AQP4"];
/// // AQP4 stood at 0, 4 and 5: it moves to place 3.
/// assert_eq!(clean_generated_genes(words, &panel, 100).to_string(), "GAD1 GFAP AQP4");
/// # Ok::<(), tn_sentence::VocabularyError>(())
/// ```
pub fn clean_generated_genes<I>(words: I, vocabulary: &Vocabulary, top: usize) -> GeneRanking
where
    I: IntoIterator,
    I::Item: AsRef<str>,
{
    let genes: Vec<GeneSymbol> =
        merged_positions(words, vocabulary).into_iter().flatten().take(top).map(|gene| vocabulary.symbols()[gene].clone()).collect();
    GeneRanking::from_distinct(genes)
}

/// Returns the columns of the words, `None` for a word outside the panel, with every gene merged at its mean position.
pub(crate) fn merged_positions<I>(words: I, vocabulary: &Vocabulary) -> Vec<Option<usize>>
where
    I: IntoIterator,
    I::Item: AsRef<str>,
{
    let mut columns: Vec<Option<usize>> = words.into_iter().map(|word| vocabulary.index_of(word.as_ref())).collect();
    for gene in repeated_genes(&columns, vocabulary.len()) {
        let positions: Vec<usize> = (0..columns.len()).filter(|&i| columns[i] == Some(gene)).collect();
        let mean = positions.iter().sum::<usize>() / positions.len();
        columns.retain(|&column| column != Some(gene));
        columns.insert(mean.min(columns.len()), Some(gene));
    }
    columns
}

/// Returns the genes that occur several times, in the order of their first occurrence.
fn repeated_genes(columns: &[Option<usize>], genes: usize) -> Vec<usize> {
    let mut counts = vec![0usize; genes];
    for &gene in columns.iter().flatten() {
        counts[gene] += 1;
    }
    let mut repeated = Vec::new();
    for &gene in columns.iter().flatten() {
        if std::mem::take(&mut counts[gene]) > 1 {
            repeated.push(gene);
        }
    }
    repeated
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &str, top: usize, expected: &str) {
        let panel = Vocabulary::new(["A", "B", "C"]).unwrap();
        let ranking = clean_generated_genes(words.split_whitespace(), &panel, top);
        assert_eq!(ranking.to_string(), expected);
    }

    #[test]
    fn words_outside_the_panel_are_dropped() {
        check("the a cell B", 100, "A B");
        check("nothing known", 100, "");
    }

    #[test]
    fn a_repeated_gene_moves_to_its_mean_position() {
        check("A B C A A", 100, "B C A");
        check("A A A", 100, "A");
    }

    #[test]
    fn only_the_top_genes_stay() {
        check("A B C", 2, "A B");
        check("A B C", 0, "");
    }

    #[test]
    fn no_words_give_an_empty_ranking() {
        check("", 5, "");
    }
}
