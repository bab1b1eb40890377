use std::collections::HashMap;

use super::EnrichmentError;
use crate::gene_sets::SymbolCase;

/// Genes from the highest score to the lowest.
pub(crate) struct RankedGenes {
    pub(crate) genes: Vec<String>,
    pub(crate) scores: Vec<f64>,
    places: HashMap<String, u32>,
    case: SymbolCase,
}

impl RankedGenes {
    /// Sorts genes by score. Equal scores keep their order.
    pub(crate) fn new<G: AsRef<str>>(scored: &[(G, f64)], case: SymbolCase) -> Result<Self, EnrichmentError> {
        let mut order: Vec<usize> = (0..scored.len()).collect();
        if let Some((gene, score)) = scored.iter().find(|(_, score)| !score.is_finite()) {
            return Err(EnrichmentError::NotFinite { gene: gene.as_ref().to_string(), score: *score });
        }
        if scored.len() < 2 {
            return Err(EnrichmentError::TooFewGenes { genes: scored.len(), needed: 2 });
        }
        if scored.iter().all(|(_, score)| *score == scored[0].1) {
            return Err(EnrichmentError::ConstantScores { genes: scored.len(), score: scored[0].1 });
        }
        order.sort_by(|&a, &b| scored[b].1.total_cmp(&scored[a].1));
        let mut first: HashMap<String, usize> = HashMap::with_capacity(scored.len());
        for (second, (gene, _)) in scored.iter().enumerate() {
            if let Some(first) = first.insert(case.key(gene.as_ref()), second) {
                return Err(EnrichmentError::RepeatedGene { gene: gene.as_ref().to_string(), first, second });
            }
        }
        let genes: Vec<String> = order.iter().map(|&index| scored[index].0.as_ref().to_string()).collect();
        let places = (0..).zip(&genes).map(|(place, gene)| (case.key(gene), place)).collect();
        Ok(Self { scores: order.iter().map(|&index| scored[index].1).collect(), genes, places, case })
    }

    /// Returns the places of the genes of a set, ascending.
    pub(crate) fn places(&self, set: &[String]) -> Vec<u32> {
        let mut places: Vec<u32> = set.iter().filter_map(|gene| self.places.get(&self.case.key(gene)).copied()).collect();
        places.sort_unstable();
        places.dedup();
        places
    }
}
