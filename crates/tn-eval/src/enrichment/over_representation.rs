//! Whether a list of genes has more of a set than chance would give it.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use statrs::function::factorial::ln_binomial;

use super::EnrichmentError;
use crate::benjamini_hochberg;
use crate::gene_sets::{GeneSets, SymbolCase};

/// Genes of the list that an error names.
const SHOWN_GENES: usize = 5;

/// Over-representation: does a list of genes hold more genes of a set than a random list of its length from the background would?
///
/// With `N` genes of the background, `K` of them in the set, and `x` of the `n` genes of the list in it, the p-value is the upper tail
/// of the hypergeometric distribution, `P(X >= x)`: Fisher's exact test, one-sided. **The background is what could have been on the list**:
/// the panel, not the genome, or every set that the panel favors is over-represented.
///
/// ```
/// use tn_eval::{GeneSets, OverRepresentation};
///
/// let panel = ["GFAP", "AQP4", "MLC1", "GAD1", "GAD2", "SLC32A1", "PLP1", "MBP", "MOG", "CX3CR1"];
/// let sets = GeneSets::from_gmt("ASTROCYTE\tna\tGFAP\tAQP4\tMLC1\nNEURON\tna\tGAD1\tGAD2\n".as_bytes())?;
/// let found = OverRepresentation::in_background(&panel).test(&["GFAP", "AQP4", "MLC1", "PLP1"], &sets)?;
/// assert_eq!((found[0].name.as_str(), &found[0].genes[..]), ("ASTROCYTE", &["GFAP".to_string(), "AQP4".into(), "MLC1".into()][..]));
/// assert!((found[0].p_value - 1.0 / 30.0).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct OverRepresentation {
    background: HashSet<String>,
    min_size: usize,
    max_size: usize,
    case: SymbolCase,
    spelled: Vec<String>,
}

/// What a list of genes and a set have in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SetOverlap {
    /// The set.
    pub name: String,
    /// Genes of the set that are in the background.
    pub size: usize,
    /// The genes in common, in the order of the list.
    pub genes: Vec<String>,
    /// How many times as many as expected: `(x / n) / (K / N)`.
    pub fold_enrichment: f64,
    /// The chance of as many or more.
    pub p_value: f64,
    /// The false discovery rate by Benjamini and Hochberg over the sets tested.
    pub false_discovery_rate: f64,
}

impl OverRepresentation {
    /// Takes these genes for all that could have been on the list: sets of one gene or more, symbols as they are spelled.
    #[must_use]
    pub fn in_background<G: AsRef<str>>(genes: &[G]) -> Self {
        let spelled: Vec<String> = genes.iter().map(|gene| gene.as_ref().to_string()).collect();
        Self { background: spelled.iter().cloned().collect(), min_size: 1, max_size: usize::MAX, case: SymbolCase::Exact, spelled }
    }

    /// Sets how many genes of the background a set has, at least and at most.
    #[must_use]
    pub fn with_sizes(mut self, min: usize, max: usize) -> Self {
        (self.min_size, self.max_size) = (min, max);
        self
    }

    /// Sets whether symbols that differ in case are the same gene.
    #[must_use]
    pub fn with_symbol_case(mut self, case: SymbolCase) -> Self {
        self.case = case;
        self.background = self.spelled.iter().map(|gene| case.key(gene)).collect();
        self
    }

    /// Tests every set, the smallest p-value first; of equal ones, in their order. A gene that is on the list twice counts once.
    ///
    /// # Errors
    ///
    /// An empty list, genes that are not in the background, and no set of the right size are errors.
    pub fn test<G: AsRef<str>>(&self, list: &[G], sets: &GeneSets) -> Result<Vec<SetOverlap>, EnrichmentError> {
        let mut listed: HashMap<String, usize> = HashMap::new();
        for (index, gene) in list.iter().enumerate() {
            listed.entry(self.case.key(gene.as_ref())).or_insert(index);
        }
        if listed.is_empty() {
            return Err(EnrichmentError::TooFewGenes { genes: 0, needed: 1 });
        }
        let mut outside: Vec<usize> = listed.iter().filter(|(key, _)| !self.background.contains(*key)).map(|(_, &index)| index).collect();
        if !outside.is_empty() {
            outside.sort_unstable();
            let examples = outside.iter().take(SHOWN_GENES).map(|&index| list[index].as_ref().to_string()).collect();
            return Err(EnrichmentError::OutsideBackground { missing: outside.len(), genes: listed.len(), examples });
        }
        let (all, drawn) = (self.background.len(), listed.len());
        let mut rows: Vec<SetOverlap> = Vec::new();
        for set in sets.sets() {
            let keys: HashSet<String> =
                set.genes.iter().map(|gene| self.case.key(gene)).filter(|key| self.background.contains(key)).collect();
            if !(self.min_size.max(1)..=self.max_size).contains(&keys.len()) {
                continue;
            }
            let mut common: Vec<usize> = keys.iter().filter_map(|key| listed.get(key).copied()).collect();
            common.sort_unstable();
            let expected = keys.len() as f64 / all as f64;
            rows.push(SetOverlap {
                name: set.name.clone(),
                size: keys.len(),
                fold_enrichment: common.len() as f64 / drawn as f64 / expected,
                p_value: upper_tail(all, keys.len(), drawn, common.len()),
                false_discovery_rate: f64::NAN,
                genes: common.into_iter().map(|index| list[index].as_ref().to_string()).collect(),
            });
        }
        if rows.is_empty() {
            let matches = sets.matches(&self.spelled);
            return Err(EnrichmentError::NoSets { sets: sets.len(), min: self.min_size, max: self.max_size, matches });
        }
        let adjusted = benjamini_hochberg(&rows.iter().map(|row| row.p_value).collect::<Vec<_>>());
        rows.iter_mut().zip(adjusted).for_each(|(row, rate)| row.false_discovery_rate = rate);
        rows.sort_by(|a, b| a.p_value.total_cmp(&b.p_value));
        Ok(rows)
    }
}

/// Returns the chance of at least `hits` genes of a set of `of_set` among `drawn` of `all`.
fn upper_tail(all: usize, of_set: usize, drawn: usize, hits: usize) -> f64 {
    let ln_chance = |x: usize| {
        ln_binomial(of_set as u64, x as u64) + ln_binomial((all - of_set) as u64, (drawn - x) as u64)
            - ln_binomial(all as u64, drawn as u64)
    };
    let least = (of_set + drawn).saturating_sub(all);
    if hits <= least {
        return 1.0;
    }
    // From the smallest terms on.
    (hits..=of_set.min(drawn)).rev().map(|x| ln_chance(x).exp()).sum::<f64>().min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel() -> Vec<String> {
        (0..40).map(|gene| format!("G{gene}")).collect()
    }

    fn sets() -> GeneSets {
        GeneSets::from_gmt("A\tx\tG0\tG1\tG2\tGONE\nB\tx\tG30\tG31\nC\tx\tNOWHERE\n".as_bytes()).unwrap()
    }

    #[test]
    fn only_the_background_counts() {
        let rows = OverRepresentation::in_background(&panel()).test(&["G1", "G0", "G5", "G1"], &sets()).unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[0].size, &rows[0].genes[..]), (3, &["G1".to_string(), "G0".to_string()][..]));
        assert_eq!((rows[1].p_value, rows[1].fold_enrichment), (1.0, 0.0));
        assert!((rows[0].fold_enrichment - 2.0 / 3.0 / (3.0 / 40.0)).abs() < 1e-12);
    }

    #[test]
    fn bad_input_is_an_error_with_its_values() {
        let test = OverRepresentation::in_background(&panel());
        let error = |list: &[&str]| test.test(list, &sets()).unwrap_err().to_string();
        assert_eq!(error(&[]), "0 genes are too few; at least 1 are needed");
        assert_eq!(error(&["G1", "X", "g2"]), "2 of 3 genes are not in the background, for example X, g2");
        let error = test.clone().with_sizes(10, 20).test(&["G1"], &sets()).unwrap_err().to_string();
        assert!(
            error.starts_with("none of 3 sets has 10 to 20 of the genes: 5 of 40 genes are in the sets as they are spelled"),
            "{error}"
        );
        let lenient = test.with_symbol_case(SymbolCase::Insensitive);
        assert_eq!(lenient.test(&["g1"], &sets()).unwrap()[0].genes, ["g1"]);
    }
}
