//! Gene set enrichment analysis of a ranking.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tn_sentence::draw;

use super::{EnrichmentError, Peak, RankedGenes, RunningSum};
use crate::gene_sets::{GeneMatch, GeneSets, SymbolCase};
use crate::number_or_nan::number_or_nan;

/// Gene set enrichment analysis of genes with scores: are the genes of a set rather at the top, or at the bottom, than anywhere?
///
/// **Enrichment score** (ES): going down the ranking, a running sum rises by `|score|^weight / Σ |score|^weight` at a gene of the set
/// and falls by `1 / (n - k)` at any other, `k` genes of the set among `n`; ES is where it is farthest from 0, above or below, of two
/// equal distances above. Up to the peak, or from it on where ES is negative, the genes of the set are its **leading edge**.
///
/// **Permutations** give the genes other places, all sets at once, so that sets that share genes share their luck. NES is ES over the
/// mean of the permuted ES of its sign; the nominal p-value is the share of these that are at least as far from 0. The false discovery
/// rate of a set is the share of all permuted NES of its sign, over all sets, that are at least as far, over the share of the observed
/// ones; the family-wise error rate the share of permutations in which any set is. A p-value of 0 is less than one in as many
/// permutations as had the sign. Where none had it, NES and rates are NaN.
///
/// As GSEA's pre-ranked mode and GSEApy's `prerank`. Subramanian et al., Proceedings of the National Academy of Sciences 102, 15545
/// (2005).
///
/// ```
/// use tn_eval::{GeneSets, Prerank};
///
/// // Log fold changes: the interferon response is up.
/// let genes = ["IFIT1", "ISG15", "MX1", "ACTB", "GAPDH", "TUBB", "RPL3", "EEF2", "MYC", "CCND1"];
/// let scored: Vec<(&str, f64)> = genes.into_iter().zip([3.0, 2.5, 2.2, 0.4, 0.2, 0.1, -0.1, -0.3, -0.9, -1.2]).collect();
/// let sets = GeneSets::from_gmt("INTERFERON\tna\tIFIT1\tISG15\tMX1\nPROLIFERATION\tna\tMYC\tCCND1\n".as_bytes())?;
///
/// let table = Prerank::new().with_sizes(2, 500).with_permutations(500).with_seed(7).run(&scored, &sets)?;
/// let interferon = &table.sets()[0];
/// assert!(interferon.name == "INTERFERON" && interferon.enrichment_score > 0.999);
/// assert!(interferon.p_value < 0.05 && interferon.leading_edge == ["IFIT1", "ISG15", "MX1"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Cost
///
/// A permutation takes the time to shuffle `n` places and, for each set, to mark its `k` and read the marks: a few `k + n / 64` steps.
/// Memory holds eight bytes for each set and permutation. Permutations run in parallel, each with a random stream of its own: the same
/// seed gives the same table for any number of threads.
#[derive(Clone, Debug, PartialEq)]
pub struct Prerank {
    weight: f64,
    min_size: usize,
    max_size: usize,
    permutations: usize,
    seed: u64,
    case: SymbolCase,
}

/// What a ranking says about a set of genes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnrichedSet {
    /// The set.
    pub name: String,
    /// ES, in -1 to 1.
    pub enrichment_score: f64,
    /// NES.
    #[serde(deserialize_with = "number_or_nan")]
    pub normalized_score: f64,
    /// The nominal p-value.
    #[serde(deserialize_with = "number_or_nan")]
    pub p_value: f64,
    /// The false discovery rate, at most 1.
    #[serde(deserialize_with = "number_or_nan")]
    pub false_discovery_rate: f64,
    /// The family-wise error rate.
    #[serde(deserialize_with = "number_or_nan")]
    pub family_wise_error_rate: f64,
    /// Genes of the set that are in the ranking.
    pub size: usize,
    /// The leading edge, from the end of the ranking that it is at.
    pub leading_edge: Vec<String>,
    /// Share of the ranking up to the place where the sum is farthest from 0, or from there on where ES is negative: `Gene %`.
    pub gene_share: f64,
}

/// The sets of a ranking, the farthest NES first; of equal ones, in their order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PrerankTable {
    sets: Vec<EnrichedSet>,
    left_out: usize,
    matches: GeneMatch,
}

impl PrerankTable {
    /// Returns the sets that have the right size.
    #[must_use]
    pub fn sets(&self) -> &[EnrichedSet] {
        &self.sets
    }

    /// Returns how many sets have too few or too many genes of the ranking.
    #[must_use]
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// Says how the genes of the ranking and those of the sets fit together.
    #[must_use]
    pub fn matches(&self) -> GeneMatch {
        self.matches
    }
}

impl Default for Prerank {
    fn default() -> Self {
        Self::new()
    }
}

/// A set by the places of its genes.
struct Placed {
    set: usize,
    places: Vec<u32>,
    peak: Peak,
}

impl Prerank {
    /// Asks for the weight 1, sets of 15 to 500 genes, 1,000 permutations, the seed 42, and symbols as they are spelled.
    #[must_use]
    pub fn new() -> Self {
        Self { weight: 1.0, min_size: 15, max_size: 500, permutations: 1_000, seed: 42, case: SymbolCase::Exact }
    }

    /// Sets the power of scores in the running sum; 0 counts all genes of a set alike.
    #[must_use]
    pub fn with_weight(mut self, weight: f64) -> Self {
        self.weight = weight;
        self
    }

    /// Sets how many genes of the ranking a set has, at least and at most.
    #[must_use]
    pub fn with_sizes(mut self, min: usize, max: usize) -> Self {
        (self.min_size, self.max_size) = (min, max);
        self
    }

    /// Sets the number of permutations.
    #[must_use]
    pub fn with_permutations(mut self, permutations: usize) -> Self {
        self.permutations = permutations;
        self
    }

    /// Sets the seed of the permutations.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets whether symbols that differ in case are the same gene.
    #[must_use]
    pub fn with_symbol_case(mut self, case: SymbolCase) -> Self {
        self.case = case;
        self
    }

    /// Analyzes genes with their scores, in any order; genes of equal scores keep theirs.
    ///
    /// # Errors
    ///
    /// NaN and infinite scores, a gene given twice, fewer than two genes, scores that are all the same, no set of the right size, and a
    /// weight below 0 are errors.
    pub fn run<G: AsRef<str>>(&self, scored: &[(G, f64)], sets: &GeneSets) -> Result<PrerankTable, EnrichmentError> {
        if !(self.weight.is_finite() && self.weight >= 0.0) {
            return Err(EnrichmentError::InvalidWeight(self.weight));
        }
        let ranked = RankedGenes::new(scored, self.case)?;
        let weights: Vec<f64> = ranked.scores.iter().map(|score| score.abs().powf(self.weight)).collect();
        let sum = RunningSum::new(&weights);
        let placed: Vec<Placed> = sets
            .sets()
            .iter()
            .enumerate()
            .map(|(set, genes)| (set, ranked.places(&genes.genes)))
            .filter(|(_, places)| (self.min_size.max(1)..=self.max_size).contains(&places.len()))
            .map(|(set, places)| {
                let total = places.iter().map(|&place| weights[place as usize]).sum();
                let peak = sum.peak(places.iter().map(|&place| place as usize), places.len(), total);
                Placed { set, places, peak }
            })
            .collect();
        let matches = sets.matches(&ranked.genes);
        if placed.is_empty() {
            return Err(EnrichmentError::NoSets { sets: sets.len(), min: self.min_size, max: self.max_size, matches });
        }
        let nulls = Nulls::new(&self.permuted(&weights, &placed), placed.len());
        let observed: Vec<f64> = placed.iter().enumerate().map(|(index, set)| nulls.normalized(index, set.peak.score)).collect();
        let rates = nulls.rates(&observed);
        let mut rows: Vec<EnrichedSet> = (0..placed.len())
            .map(|index| {
                let Placed { set, places, peak } = &placed[index];
                let (leading_edge, gene_share) = leading_edge(&ranked, places, *peak);
                EnrichedSet {
                    name: sets.sets()[*set].name.clone(),
                    enrichment_score: peak.score,
                    normalized_score: observed[index],
                    p_value: nulls.p_value(index, peak.score),
                    false_discovery_rate: rates[index].0,
                    family_wise_error_rate: rates[index].1,
                    size: places.len(),
                    leading_edge,
                    gene_share,
                }
            })
            .collect();
        rows.sort_by(|a, b| {
            let size = |row: &EnrichedSet| if row.normalized_score.is_nan() { 0.0 } else { row.normalized_score.abs() };
            size(b).total_cmp(&size(a))
        });
        Ok(PrerankTable { sets: rows, left_out: sets.len() - placed.len(), matches })
    }

    /// Returns the ES of all sets in each permutation.
    fn permuted(&self, weights: &[f64], placed: &[Placed]) -> Vec<Vec<f64>> {
        let new_work = || (Vec::new(), vec![0_u64; weights.len().div_ceil(64)]);
        let permute = |(places, marks): &mut (Vec<u32>, Vec<u64>), permutation: usize| {
            places.clear();
            places.extend(0..weights.len() as u32);
            places.shuffle(&mut ChaCha8Rng::seed_from_u64(draw(self.seed, permutation as u64)));
            placed.iter().map(|set| permuted_score(weights, &set.places, places, marks)).collect()
        };
        (0..self.permutations).into_par_iter().map_init(new_work, permute).collect()
    }
}

/// Returns the ES of a set whose genes have other places. `marks` is a bit for each place, and is left empty.
fn permuted_score(weights: &[f64], set: &[u32], places: &[u32], marks: &mut [u64]) -> f64 {
    let mut total = 0.0;
    for &gene in set {
        let place = places[gene as usize] as usize;
        marks[place / 64] |= 1 << (place % 64);
        total += weights[place];
    }
    let marked = Marked { marks, word: 0, bits: 0 };
    RunningSum::new(weights).peak(marked, set.len(), total).score
}

/// The places that are marked, ascending. Marks are taken away.
struct Marked<'m> {
    marks: &'m mut [u64],
    /// The next word to be looked at.
    word: usize,
    bits: u64,
}

impl Iterator for Marked<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        while self.bits == 0 {
            self.bits = std::mem::take(self.marks.get_mut(self.word)?);
            self.word += 1;
        }
        let bit = self.bits.trailing_zeros() as usize;
        self.bits &= self.bits - 1;
        Some((self.word - 1) * 64 + bit)
    }
}

/// The permuted ES.
struct Nulls {
    /// `[set][permutation]`.
    scores: Vec<Vec<f64>>,
    /// For each set, the mean of those above or at 0, and the mean distance of those below; NaN of none.
    means: Vec<[f64; 2]>,
}

impl Nulls {
    fn new(permuted: &[Vec<f64>], sets: usize) -> Self {
        let scores: Vec<Vec<f64>> = (0..sets).into_par_iter().map(|set| permuted.iter().map(|scores| scores[set]).collect()).collect();
        let mean = |scores: &Vec<f64>, negative: bool| {
            let of_sign = scores.iter().filter(|score| (**score < 0.0) == negative);
            of_sign.clone().map(|score| score.abs()).sum::<f64>() / of_sign.count() as f64
        };
        let means = scores.iter().map(|scores| [mean(scores, false), mean(scores, true)]).collect();
        Self { scores, means }
    }

    fn normalized(&self, set: usize, score: f64) -> f64 {
        score / self.means[set][usize::from(score < 0.0)]
    }

    /// Returns the share of the permuted ES of the same sign that are at least as far from 0.
    fn p_value(&self, set: usize, score: f64) -> f64 {
        let of_sign = self.scores[set].iter().filter(|null| (**null < 0.0) == (score < 0.0));
        of_sign.clone().filter(|null| null.abs() >= score.abs()).count() as f64 / of_sign.count() as f64
    }

    /// Returns the false discovery rate and the family-wise error rate of every observed NES.
    fn rates(&self, observed: &[f64]) -> Vec<(f64, f64)> {
        let sides: Vec<Side> = [false, true].into_par_iter().map(|negative| self.side(observed, negative)).collect();
        observed
            .iter()
            .map(|&score| if score.is_nan() { (f64::NAN, f64::NAN) } else { sides[usize::from(score < 0.0)].rates(score) })
            .collect()
    }

    fn side(&self, observed: &[f64], negative: bool) -> Side {
        let permutations = self.scores.first().map_or(0, Vec::len);
        let mut farthest = vec![0.0_f64; permutations];
        let mut nulls = Vec::new();
        for (set, scores) in self.scores.iter().enumerate() {
            for (permutation, &score) in scores.iter().enumerate().filter(|(_, score)| (**score < 0.0) == negative) {
                let distance = self.normalized(set, score).abs();
                nulls.push(distance);
                farthest[permutation] = farthest[permutation].max(distance);
            }
        }
        let of_sign = observed.iter().filter(|score| !score.is_nan() && (**score < 0.0) == negative);
        let mut observed: Vec<f64> = of_sign.map(|score| score.abs()).collect();
        for distances in [&mut nulls, &mut farthest, &mut observed] {
            distances.sort_unstable_by(f64::total_cmp);
        }
        Side { nulls, farthest, observed }
    }
}

/// The NES of one sign by their distance from 0, ascending.
struct Side {
    /// Of all sets and permutations.
    nulls: Vec<f64>,
    /// The farthest of each permutation.
    farthest: Vec<f64>,
    /// Of all sets as observed.
    observed: Vec<f64>,
}

impl Side {
    fn rates(&self, score: f64) -> (f64, f64) {
        let share =
            |sorted: &[f64]| (sorted.len() - sorted.partition_point(|&distance| distance < score.abs())) as f64 / sorted.len() as f64;
        ((share(&self.nulls) / share(&self.observed)).min(1.0), share(&self.farthest))
    }
}

/// Returns the leading edge and the share of the ranking that it takes up.
fn leading_edge(ranked: &RankedGenes, places: &[u32], peak: Peak) -> (Vec<String>, f64) {
    let n = ranked.genes.len() as f64;
    let names = |places: &mut dyn Iterator<Item = &u32>| places.map(|&place| ranked.genes[place as usize].clone()).collect();
    if peak.score < 0.0 {
        let edge = &places[peak.hit..];
        // The sum is lowest at the place before the edge.
        (names(&mut edge.iter().rev()), ((n - f64::from(edge[0])) + 1.0).min(n) / n)
    } else {
        let edge = &places[..=peak.hit];
        (names(&mut edge.iter()), (f64::from(edge[peak.hit]) + 1.0) / n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GeneSet;

    fn scored() -> Vec<(String, f64)> {
        (0..200_u64).map(|gene| (format!("G{gene}"), (draw(3, gene) % 2_000) as f64 / 100.0 - 8.0 + gene as f64 * 1e-6)).collect()
    }

    fn sets() -> GeneSets {
        let genes = |set: u64| (0..20 + set).map(move |gene| format!("G{}", draw(set, gene) % 200)).collect();
        GeneSets::new((0..30).map(|set| GeneSet { name: format!("S{set}"), description: String::new(), genes: genes(set) }))
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| Prerank::new().with_permutations(60).run(&scored(), &sets()).unwrap())
        };
        let one = run(1);
        assert_eq!(one, run(2));
        assert_eq!(one, run(8));
        assert_ne!(one, Prerank::new().with_permutations(60).with_seed(1).run(&scored(), &sets()).unwrap());
    }

    #[test]
    fn a_ranking_upside_down_has_the_opposite_scores() {
        let reversed: Vec<(String, f64)> = scored().into_iter().map(|(gene, score)| (gene, -score)).collect();
        let run = |scored: &[(String, f64)]| Prerank::new().with_permutations(10).run(scored, &sets()).unwrap();
        let (up, down) = (run(&scored()), run(&reversed));
        for set in up.sets() {
            let opposite = down.sets().iter().find(|other| other.name == set.name).unwrap();
            assert!((set.enrichment_score + opposite.enrichment_score).abs() < 1e-12, "{set:?} {opposite:?}");
            assert!((-1.0..=1.0).contains(&set.enrichment_score));
        }
    }

    #[test]
    fn marked_places_come_ascending_and_leave_no_mark() {
        let mut marks = vec![0_u64; 3];
        for place in [130, 0, 63, 64, 5] {
            marks[place / 64] |= 1 << (place % 64);
        }
        assert_eq!(Marked { marks: &mut marks, word: 0, bits: 0 }.collect::<Vec<_>>(), [0, 5, 63, 64, 130]);
        assert_eq!(marks, [0; 3]);
    }

    #[test]
    fn case_is_ignored_only_when_asked() {
        let lower: Vec<(String, f64)> = scored().into_iter().map(|(gene, score)| (gene.to_lowercase(), score)).collect();
        let prerank = Prerank::new().with_permutations(5);
        let error = prerank.run(&lower, &sets()).unwrap_err().to_string();
        assert!(
            error.starts_with("none of 30 sets has 15 to 500 of the genes: 0 of 200 genes are in the sets as they are spelled"),
            "{error}"
        );
        let table = prerank.with_symbol_case(SymbolCase::Insensitive).run(&lower, &sets()).unwrap();
        assert_eq!((table.sets().len(), table.left_out()), (30, 0));
    }

    #[test]
    fn without_permutations_there_is_only_a_score() {
        let table = Prerank::new().with_permutations(0).run(&scored(), &sets()).unwrap();
        assert!(table.sets().iter().all(|set| set.normalized_score.is_nan() && set.p_value.is_nan() && set.false_discovery_rate.is_nan()));
    }

    #[test]
    fn bad_input_is_an_error_with_its_values() {
        let error = |scored: &[(&str, f64)]| Prerank::new().run(scored, &sets()).unwrap_err().to_string();
        assert_eq!(error(&[("G1", f64::NAN), ("G2", 1.0)]), "the score of G1 is NaN; a ranking takes finite numbers");
        assert!(error(&[("G1", 1.0), ("G2", 0.0), ("G1", 2.0)]).starts_with("gene G1 is given twice, at 0 and 2"));
        assert_eq!(error(&[("G1", 1.0), ("G2", 1.0)]), "all 2 scores are 1: they rank nothing");
        assert_eq!(error(&[("G1", 1.0)]), "1 genes are too few; at least 2 are needed");
        let error = Prerank::new().with_weight(-1.0).run(&scored(), &sets()).unwrap_err();
        assert_eq!(error, EnrichmentError::InvalidWeight(-1.0));
    }
}
