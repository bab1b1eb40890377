//! How strongly every gene is expressed, given class, domain, place and neighbors.

use rand::RngExt;
use rand::seq::{IndexedRandom, SliceRandom};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use crate::SimulationConfig;
use crate::negative_binomial::zero_probability;
use crate::panel::classes::{ClassTemplate, DOMAINS, KNOCKED_OUT_GENE, KNOCKOUT_TARGET, PROXIMITY_FOCAL};
use crate::seed::{Purpose, generator};

/// Genes that mark a class, known markers included.
const MARKERS_PER_CLASS: usize = 20;
/// What is left of the expression of a knocked-out gene.
const KNOCKOUT_REST: f32 = 0.01;
/// Standard normal quantiles at 10, 30, 50, 70 and 90 percent: library sizes to average over.
const SIZE_QUANTILES: [f64; 5] = [-1.2816, -0.5244, 0.0, 0.5244, 1.2816];

/// A gene and the logarithm, base 2, of its change.
pub(crate) type Change = (usize, f64);

/// Everything about a cell that decides its mean expression.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CellState {
    pub(crate) class: usize,
    pub(crate) domain: usize,
    /// Place along the gradient, -0.5 to 0.5.
    pub(crate) gradient: f64,
    pub(crate) proximal: bool,
    pub(crate) knockout_neighbor: bool,
    pub(crate) knocked_out: bool,
    /// Library size relative to a typical cell.
    pub(crate) size: f64,
}

/// The expression programs of all classes in all domains, and the changes planted on top.
#[derive(Clone, Debug)]
pub(crate) struct ExpressionProgram {
    genes: usize,
    /// Mean counts of a cell of typical size, by class, domain and gene.
    means: Vec<f32>,
    /// Negative binomial dispersion of every gene.
    pub(crate) dispersions: Vec<f64>,
    pub(crate) proximity: Vec<Change>,
    pub(crate) knockout: Vec<Change>,
    pub(crate) gradient: Vec<Change>,
    knocked_out_gene: Option<usize>,
}

impl ExpressionProgram {
    pub(crate) fn new(config: &SimulationConfig, classes: &[ClassTemplate], panel: &[String]) -> Self {
        let genes = panel.len();
        let mut rng = generator(config.seed, Purpose::Baseline, 0, 0);
        let baseline: Vec<f64> = (0..genes).map(|_| config.baseline_sd * normal(&mut rng)).collect();
        let dispersions: Vec<f64> = (0..genes).map(|_| config.dispersion * (0.3 * normal(&mut rng)).exp()).collect();

        let by_class = class_levels(config, classes, panel, &baseline);
        let mut levels = domain_levels(config, classes.len(), genes, &by_class);
        scale_to_detected_fraction(config, classes, genes, &mut levels, &dispersions);
        let means: Vec<f32> = levels.iter().map(|level| level.exp2() as f32).collect();

        let mut program = Self {
            genes,
            means,
            dispersions,
            proximity: Vec::new(),
            knockout: Vec::new(),
            gradient: Vec::new(),
            knocked_out_gene: panel.iter().position(|gene| gene == KNOCKED_OUT_GENE),
        };
        program.gradient = gradient(config, genes);
        program.proximity = program.response(
            classes,
            PROXIMITY_FOCAL,
            config.proximity_genes.min(genes / 4),
            &mut generator(config.seed, Purpose::Proximity, 0, 0),
        );
        program.knockout = program.response(
            classes,
            KNOCKOUT_TARGET,
            config.knockout_genes.min(genes / 4),
            &mut generator(config.seed, Purpose::Knockout, 0, 0),
        );
        program
    }

    /// Returns the expected count of every gene.
    pub(crate) fn means(&self, cell: &CellState) -> Vec<f32> {
        let start = (cell.class * DOMAINS.len() + cell.domain) * self.genes;
        let size = cell.size as f32;
        let mut means: Vec<f32> = self.means[start..start + self.genes].iter().map(|mean| mean * size).collect();
        let mut apply = |changes: &[Change], share: f64| {
            for &(gene, log2_fold_change) in changes {
                means[gene] *= (log2_fold_change * share).exp2() as f32;
            }
        };
        apply(&self.gradient, cell.gradient);
        if cell.proximal {
            apply(&self.proximity, 1.0);
        }
        if cell.knockout_neighbor {
            apply(&self.knockout, 1.0);
        }
        if let (true, Some(gene)) = (cell.knocked_out, self.knocked_out_gene) {
            means[gene] *= KNOCKOUT_REST;
        }
        means
    }

    /// Draws genes of a class that an effect changes, and by how much.
    ///
    /// Half of them fall and come from the genes that the class expresses most, half rise and come from the same genes
    /// and as many weaker ones, so that both show in the first ranks of a cell. Sizes are spread evenly over 0.5 to
    /// 2.5. Gradient genes are left out, so that each effect can be measured alone.
    fn response(&self, classes: &[ClassTemplate], class: &str, count: usize, rng: &mut ChaCha8Rng) -> Vec<Change> {
        let Some(class) = classes.iter().position(|template| template.name == class) else { return Vec::new() };
        let level = |gene: usize| -> f64 {
            (0..DOMAINS.len())
                .map(|domain| {
                    let mean = self.means[(class * DOMAINS.len() + domain) * self.genes + gene];
                    f64::from(mean) * classes[class].abundance[domain]
                })
                .sum()
        };
        let mut candidates: Vec<usize> = (0..self.genes).filter(|gene| self.gradient.iter().all(|(other, _)| other != gene)).collect();
        candidates.sort_by(|&a, &b| level(b).total_cmp(&level(a)).then(a.cmp(&b)));

        let falling_count = count / 2;
        let strongest = &candidates[..count.min(candidates.len())];
        let falling: Vec<usize> = strongest.sample(rng, falling_count).copied().collect();
        let wider: Vec<usize> =
            candidates[..(2 * count).min(candidates.len())].iter().copied().filter(|gene| !falling.contains(gene)).collect();
        let rising: Vec<usize> = wider.sample(rng, count - falling_count).copied().collect();

        let mut changes = spread(&rising, 1.0, rng);
        changes.extend(spread(&falling, -1.0, rng));
        sort_changes(&mut changes);
        changes
    }
}

/// Gives every gene a change of the given sign; sizes are spread evenly over 0.5 to 2.5 in random order.
fn spread(genes: &[usize], sign: f64, rng: &mut ChaCha8Rng) -> Vec<Change> {
    let steps = genes.len().saturating_sub(1).max(1) as f64;
    let mut sizes: Vec<f64> = (0..genes.len()).map(|i| sign * (0.5 + 2.0 * i as f64 / steps)).collect();
    sizes.shuffle(rng);
    genes.iter().copied().zip(sizes).collect()
}

/// Sorts changes, strongest increase first.
fn sort_changes(changes: &mut [Change]) {
    changes.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
}

/// Returns log2 levels by class and gene: baseline, marker programs and a little noise.
fn class_levels(config: &SimulationConfig, classes: &[ClassTemplate], panel: &[String], baseline: &[f64]) -> Vec<Vec<f64>> {
    let owner = |gene: &str| classes.iter().position(|class| class.markers.contains(&gene));
    let owners: Vec<Option<usize>> = panel.iter().map(|gene| owner(gene)).collect();
    let shared: Vec<usize> = (0..panel.len()).filter(|&gene| owners[gene].is_none()).collect();

    (0..classes.len())
        .map(|class| {
            let mut rng = generator(config.seed, Purpose::Markers, class as u64, 0);
            let mut levels: Vec<f64> = baseline
                .iter()
                .zip(&owners)
                .map(|(level, owner)| match owner {
                    // A known marker is low outside its class, whatever its baseline.
                    Some(owner) if *owner != class => level.min(0.0) - 2.5 + 0.7 * normal(&mut rng),
                    Some(_) => level.max(0.0) + 2.0 + 1.5 * rng.random::<f64>(),
                    None => level + 0.7 * normal(&mut rng),
                })
                .collect();
            let known = owners.iter().filter(|owner| **owner == Some(class)).count();
            let more = MARKERS_PER_CLASS.saturating_sub(known).min(shared.len() / 4);
            for &gene in shared.sample(&mut rng, more) {
                levels[gene] += 2.0 + 2.0 * rng.random::<f64>();
            }
            levels
        })
        .collect()
}

/// Returns log2 levels by class, domain and gene. A domain changes some genes in all classes and others in one class.
fn domain_levels(config: &SimulationConfig, classes: usize, genes: usize, by_class: &[Vec<f64>]) -> Vec<f64> {
    let shared: Vec<Vec<f64>> = (0..DOMAINS.len())
        .map(|domain| {
            let mut rng = generator(config.seed, Purpose::Domains, domain as u64, 0);
            domain_changes(config, config.domain_genes, genes, &mut rng)
        })
        .collect();
    let mut levels = Vec::with_capacity(classes * DOMAINS.len() * genes);
    for (class, class_levels) in by_class.iter().enumerate() {
        for (domain, shared) in shared.iter().enumerate() {
            let mut rng = generator(config.seed, Purpose::Domains, domain as u64, class as u64 + 1);
            let own = domain_changes(config, config.domain_genes / 2.0, genes, &mut rng);
            levels.extend((0..genes).map(|gene| class_levels[gene] + shared[gene] + own[gene]));
        }
    }
    levels
}

fn domain_changes(config: &SimulationConfig, share: f64, genes: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let mut changes = vec![0.0; genes];
    for change in &mut changes {
        let (is_changed, sign, size): (f64, bool, f64) = (rng.random(), rng.random(), rng.random_range(0.7..1.3));
        if is_changed < share {
            *change = if sign { 1.0 } else { -1.0 } * size * config.domain_log2_fold_change;
        }
    }
    changes
}

/// Draws the genes of the gradient; sizes are spread evenly over a quarter of the largest to the largest.
fn gradient(config: &SimulationConfig, genes: usize) -> Vec<Change> {
    let mut rng = generator(config.seed, Purpose::Gradient, 0, 0);
    let count = (config.gradient_genes * genes as f64).round() as usize;
    let all: Vec<usize> = (0..genes).collect();
    let chosen: Vec<usize> = all.sample(&mut rng, count).copied().collect();
    let steps = count.saturating_sub(1).max(1) as f64;
    let mut changes: Vec<Change> = chosen
        .into_iter()
        .enumerate()
        .map(|(i, gene)| {
            let size = config.gradient_log2_fold_change * (0.25 + 0.75 * i as f64 / steps);
            (gene, if i % 2 == 0 { size } else { -size })
        })
        .collect();
    sort_changes(&mut changes);
    changes
}

/// Shifts the levels of every class so that its average cell shows the wanted share of the panel.
fn scale_to_detected_fraction(config: &SimulationConfig, classes: &[ClassTemplate], genes: usize, levels: &mut [f64], dispersions: &[f64]) {
    for (class, template) in classes.iter().enumerate() {
        let start = class * DOMAINS.len() * genes;
        let own = &mut levels[start..start + DOMAINS.len() * genes];
        let total: f64 = template.abundance.iter().sum();
        let detected = |shift: f64| -> f64 {
            let mut sum = 0.0;
            for (domain, share) in template.abundance.iter().enumerate() {
                let rows = &own[domain * genes..(domain + 1) * genes];
                for quantile in SIZE_QUANTILES {
                    let shift = shift + config.library_size_sd * quantile * std::f64::consts::LOG2_E;
                    let seen: f64 = rows
                        .iter()
                        .zip(dispersions)
                        .map(|(level, &dispersion)| 1.0 - zero_probability((level + shift).exp2(), dispersion))
                        .sum();
                    sum += share / total * seen / SIZE_QUANTILES.len() as f64;
                }
            }
            sum / genes as f64
        };
        let (mut low, mut high) = (-30.0, 30.0);
        for _ in 0..40 {
            let middle = (low + high) / 2.0;
            if detected(middle) < config.detected_fraction { low = middle } else { high = middle }
        }
        own.iter_mut().for_each(|level| *level += low);
    }
}

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    rng.sample(StandardNormal)
}
