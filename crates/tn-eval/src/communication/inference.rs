//! Communication probabilities of one labeling of the cells.

use std::collections::{BTreeMap, HashMap};

use tn_spatial::RadiusGraph;

use super::average::Work;
use super::{Communication, CommunicationError, CommunicationTable, GroupSize, Interaction, Molecule};
use crate::ExpressionMatrix;

/// The group of a cell without one.
pub(super) const NO_GROUP: u32 = u32::MAX;

/// All that does not depend on which cell is in which group.
pub(super) struct Inference<'a> {
    settings: &'a Communication,
    names: Vec<String>,
    sizes: Vec<usize>,
    left_out: Vec<GroupSize>,
    groups: Vec<u32>,
    /// For each gene that pairs have: the cells that show it and their values, ascending by value.
    genes: Vec<Vec<(u32, f32)>>,
    /// The pairs that can be measured.
    pairs: Vec<PairGenes>,
    unmeasured: Vec<String>,
    contacts: Option<Contacts<'a>>,
}

/// A pair as places among the genes.
struct PairGenes {
    pair: usize,
    ligand: Vec<usize>,
    receptor: Vec<usize>,
    agonists: Vec<usize>,
    antagonists: Vec<usize>,
    co_stimulators: Vec<usize>,
    co_inhibitors: Vec<usize>,
}

/// Who is near whom, and the contacts that carry a pair.
struct Contacts<'a> {
    graph: &'a RadiusGraph,
    /// For each pair: sender, receiver, and the product of ligand and receptor.
    carrying: Vec<Vec<(u32, u32, f64)>>,
}

impl<'a> Inference<'a> {
    pub(super) fn new<L: AsRef<str>>(
        settings: &'a Communication,
        cells: &ExpressionMatrix,
        labels: &[L],
        contacts: Option<&'a RadiusGraph>,
    ) -> Result<Self, CommunicationError> {
        check_settings(settings)?;
        for found in [labels.len(), contacts.map_or(labels.len(), RadiusGraph::len)] {
            if found != cells.n_cells() {
                return Err(CommunicationError::LengthMismatch { cells: cells.n_cells(), labels: found });
            }
        }
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        labels.iter().map(AsRef::as_ref).filter(|label| !label.is_empty()).for_each(|label| *counts.entry(label).or_default() += 1);
        let (kept, small): (Vec<_>, Vec<_>) = counts.into_iter().partition(|&(_, cells)| cells >= settings.min_cells.max(1));
        let named = |groups: &[(&str, usize)]| groups.iter().map(|&(group, cells)| (group.to_string(), cells)).collect::<Vec<_>>();
        if kept.is_empty() {
            return Err(CommunicationError::NoGroups { needed: settings.min_cells.max(1), groups: named(&small) });
        }
        let codes: HashMap<&str, u32> = kept.iter().zip(0..).map(|(&(group, _), code)| (group, code)).collect();
        let groups = labels.iter().map(|label| codes.get(label.as_ref()).copied().unwrap_or(NO_GROUP)).collect();

        let mut selection = Selection::new(cells);
        let pairs: Vec<PairGenes> = settings.pairs.iter().enumerate().filter_map(|(pair, _)| selection.pair(settings, pair)).collect();
        if pairs.is_empty() {
            return Err(CommunicationError::NoPairs {
                pairs: settings.pairs.len(),
                genes: cells.n_genes(),
                example: settings.pairs.first().map(ToString::to_string).unwrap_or_default(),
            });
        }
        let genes = selection.expression(cells)?;
        let contacts = contacts.map(|graph| Contacts::new(graph, &pairs, &genes, cells.n_cells()));
        let measured: Vec<usize> = pairs.iter().map(|pair| pair.pair).collect();
        let unmeasured = (0..settings.pairs.len()).filter(|pair| measured.binary_search(pair).is_err());
        Ok(Self {
            settings,
            sizes: kept.iter().map(|&(_, cells)| cells).collect(),
            names: kept.iter().map(|(group, _)| group.to_string()).collect(),
            left_out: named(&small).into_iter().map(|(group, cells)| GroupSize { group, cells }).collect(),
            groups,
            genes,
            pairs,
            unmeasured: unmeasured.map(|pair| settings.pairs[pair].to_string()).collect(),
            contacts,
        })
    }

    pub(super) fn groups(&self) -> &[u32] {
        &self.groups
    }

    /// Returns the probability of every pair from every group to every other: `[pair][source][target]`.
    pub(super) fn probabilities(&self, groups: &[u32]) -> Vec<f64> {
        let n = self.names.len();
        let mut work = Work::default();
        let averages: Vec<Vec<f64>> =
            self.genes.iter().map(|gene| self.settings.average.of_groups(gene, groups, &self.sizes, &mut work)).collect();
        let n_contacts = self.contacts.as_ref().map(|contacts| contacts.count(groups, n));
        let cells: usize = self.sizes.iter().sum();
        let mut probabilities = Vec::with_capacity(self.pairs.len() * n * n);
        for (index, pair) in self.pairs.iter().enumerate() {
            let products = match (&self.contacts, &n_contacts) {
                (Some(contacts), Some(n_contacts)) => contacts.mean_products(index, groups, n_contacts, n),
                _ => products(&geometric_means(&pair.ligand, &averages, n), &geometric_means(&pair.receptor, &averages, n)),
            };
            for source in 0..n {
                for target in 0..n {
                    let product = products[source * n + target] * self.co_receptors(pair, &averages, target);
                    let mut probability = self.hill(product) * self.co_factors(pair, &averages, source, target);
                    if self.settings.weigh_sizes {
                        probability *= self.sizes[source] as f64 * self.sizes[target] as f64 / (cells as f64 * cells as f64);
                    }
                    probabilities.push(probability);
                }
            }
        }
        probabilities
    }

    /// Returns `x^n / (K^n + x^n)`, in a form that neither a large `n` nor an `x` of 0 makes undefined.
    fn hill(&self, x: f64) -> f64 {
        1.0 / (1.0 + (self.settings.half_saturation / x).powf(self.settings.hill))
    }

    fn co_receptors(&self, pair: &PairGenes, averages: &[Vec<f64>], target: usize) -> f64 {
        let factor = |genes: &[usize]| genes.iter().map(|&gene| 1.0 + averages[gene][target]).product::<f64>();
        factor(&pair.co_stimulators) / factor(&pair.co_inhibitors)
    }

    fn co_factors(&self, pair: &PairGenes, averages: &[Vec<f64>], source: usize, target: usize) -> f64 {
        let of_group = |group: usize| {
            let helped: f64 = pair.agonists.iter().map(|&gene| 1.0 + self.hill(averages[gene][group])).product();
            let hindered: f64 = pair.antagonists.iter().map(|&gene| 1.0 - self.hill(averages[gene][group])).product();
            helped * hindered
        };
        of_group(source) * of_group(target)
    }

    /// Makes the table of all that is above 0, the strongest first.
    pub(super) fn table(&self, observed: &[f64], at_least: &[u32], permutations: usize) -> CommunicationTable {
        let n = self.names.len();
        let n_contacts = self.contacts.as_ref().map(|contacts| contacts.count(&self.groups, n));
        let mut interactions = Vec::new();
        for (place, &probability) in observed.iter().enumerate().filter(|(_, probability)| **probability > 0.0) {
            let (index, source, target) = (place / (n * n), place / n % n, place % n);
            let pair = &self.settings.pairs[self.pairs[index].pair];
            interactions.push(Interaction {
                source: self.names[source].clone(),
                target: self.names[target].clone(),
                ligand: pair.ligand.to_string(),
                receptor: pair.receptor.to_string(),
                pathway: pair.pathway.clone(),
                probability,
                p_value: (1.0 + f64::from(at_least[place])) / (1.0 + permutations as f64),
                contacts: n_contacts.as_ref().map(|counts| counts[source * n + target]),
            });
        }
        interactions.sort_by(|a, b| b.probability.total_cmp(&a.probability));
        let groups = self.names.iter().zip(&self.sizes).map(|(group, &cells)| GroupSize { group: group.clone(), cells }).collect();
        CommunicationTable::new(interactions, groups, self.left_out.clone(), self.unmeasured.clone())
    }
}

fn check_settings(settings: &Communication) -> Result<(), CommunicationError> {
    for (setting, value) in [("the half saturation", settings.half_saturation), ("hill's coefficient", settings.hill)] {
        if !(value.is_finite() && value > 0.0) {
            return Err(CommunicationError::InvalidSetting { setting, value, expected: "a number above 0" });
        }
    }
    match settings.average {
        super::Average::Truncated(value) if !(0.0..0.5).contains(&value) => {
            Err(CommunicationError::InvalidSetting { setting: "the truncated share", value, expected: "from 0 to below 0.5" })
        }
        _ => Ok(()),
    }
}

/// The genes of a matrix that occur in pairs, each once.
struct Selection<'m> {
    columns: HashMap<&'m str, usize>,
    chosen: Vec<usize>,
    places: HashMap<usize, usize>,
}

impl<'m> Selection<'m> {
    fn new(cells: &'m ExpressionMatrix) -> Self {
        let columns = cells.genes().iter().enumerate().map(|(column, gene)| (gene.as_str(), column)).collect();
        Self { columns, chosen: Vec::new(), places: HashMap::new() }
    }

    /// Returns a pair, or nothing if a subunit is not measured. Co-factors that are not measured count as absent.
    fn pair(&mut self, settings: &Communication, index: usize) -> Option<PairGenes> {
        let pair = &settings.pairs[index];
        let is_measured = |molecule: &Molecule| {
            !molecule.subunits().is_empty() && molecule.subunits().iter().all(|gene| self.columns.contains_key(gene.as_str()))
        };
        if !is_measured(&pair.ligand) || !is_measured(&pair.receptor) {
            return None;
        }
        Some(PairGenes {
            pair: index,
            ligand: self.places(pair.ligand.subunits()),
            receptor: self.places(pair.receptor.subunits()),
            agonists: self.places(&pair.co_factors.agonists),
            antagonists: self.places(&pair.co_factors.antagonists),
            co_stimulators: self.places(&pair.co_factors.co_stimulators),
            co_inhibitors: self.places(&pair.co_factors.co_inhibitors),
        })
    }

    fn places(&mut self, genes: &[String]) -> Vec<usize> {
        let columns = genes.iter().filter_map(|gene| self.columns.get(gene.as_str()).copied());
        columns
            .map(|column| {
                *self.places.entry(column).or_insert_with(|| {
                    self.chosen.push(column);
                    self.chosen.len() - 1
                })
            })
            .collect()
    }

    /// Returns the expression of the chosen genes as shares of the largest value of the matrix, ascending.
    fn expression(&self, cells: &ExpressionMatrix) -> Result<Vec<Vec<(u32, f32)>>, CommunicationError> {
        let columns = cells.by_gene();
        let largest = (0..columns.n_genes()).flat_map(|gene| columns.gene(gene).1).copied().fold(0.0_f32, f32::max);
        self.chosen
            .iter()
            .map(|&column| {
                let (rows, values) = columns.gene(column);
                let mut ascending = Vec::with_capacity(rows.len());
                for (&cell, &value) in rows.iter().zip(values) {
                    if value < 0.0 {
                        return Err(CommunicationError::Negative { gene: cells.genes()[column].clone(), cell: cell as usize, value });
                    }
                    ascending.push((cell, value / largest));
                }
                ascending.sort_by(|a, b| a.1.total_cmp(&b.1));
                Ok(ascending)
            })
            .collect()
    }
}

/// Returns the geometric mean of some genes in each group.
fn geometric_means(genes: &[usize], averages: &[Vec<f64>], groups: usize) -> Vec<f64> {
    (0..groups).map(|group| geometric_mean(genes.iter().map(|&gene| averages[gene][group]))).collect()
}

fn geometric_mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len() as f64;
    let product: f64 = values.product();
    if n == 1.0 { product } else { product.powf(1.0 / n) }
}

fn products(ligand: &[f64], receptor: &[f64]) -> Vec<f64> {
    ligand.iter().flat_map(|l| receptor.iter().map(move |r| l * r)).collect()
}

impl<'a> Contacts<'a> {
    fn new(graph: &'a RadiusGraph, pairs: &[PairGenes], genes: &[Vec<(u32, f32)>], n_cells: usize) -> Self {
        let carrying = pairs
            .iter()
            .map(|pair| {
                let (ligand, receptor) = (in_cells(&pair.ligand, genes, n_cells), in_cells(&pair.receptor, genes, n_cells));
                let mut contacts = Vec::new();
                for (sender, &l) in ligand.iter().enumerate().filter(|(_, l)| **l > 0.0) {
                    let heard = graph.neighbors(sender).iter().map(|&receiver| (receiver, receptor[receiver as usize]));
                    contacts.extend(heard.filter(|(_, r)| *r > 0.0).map(|(receiver, r)| (sender as u32, receiver, l * r)));
                }
                contacts
            })
            .collect();
        Self { graph, carrying }
    }

    /// Returns the number of contacts from the cells of each group to those of each other.
    fn count(&self, groups: &[u32], n: usize) -> Vec<u64> {
        let mut counts = vec![0; n * n];
        for (cell, &group) in groups.iter().enumerate().filter(|(_, group)| **group != NO_GROUP) {
            for &other in self.graph.neighbors(cell) {
                if groups[other as usize] != NO_GROUP {
                    counts[group as usize * n + groups[other as usize] as usize] += 1;
                }
            }
        }
        counts
    }

    /// Returns the mean product of ligand and receptor over the contacts between groups; 0 where there are none.
    fn mean_products(&self, pair: usize, groups: &[u32], counts: &[u64], n: usize) -> Vec<f64> {
        let mut sums = vec![0.0; n * n];
        for &(sender, receiver, product) in &self.carrying[pair] {
            let (source, target) = (groups[sender as usize], groups[receiver as usize]);
            if source != NO_GROUP && target != NO_GROUP {
                sums[source as usize * n + target as usize] += product;
            }
        }
        sums.iter_mut().zip(counts).filter(|(_, count)| **count > 0).for_each(|(sum, &count)| *sum /= count as f64);
        sums
    }
}

/// Returns the geometric mean of some genes in every cell.
fn in_cells(genes: &[usize], expression: &[Vec<(u32, f32)>], n_cells: usize) -> Vec<f64> {
    let mut values = vec![1.0; n_cells];
    for &gene in genes {
        let mut of_gene = vec![0.0; n_cells];
        expression[gene].iter().for_each(|&(cell, value)| of_gene[cell as usize] = f64::from(value));
        values.iter_mut().zip(of_gene).for_each(|(product, value)| *product *= value);
    }
    if genes.len() > 1 {
        values.iter_mut().for_each(|product| *product = product.powf(1.0 / genes.len() as f64));
    }
    values
}
