//! The simulated tissue and the stream of its cells.

use std::cmp::Ordering;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use rayon::prelude::*;

use crate::layout::{Placed, SectionLayout, has_neighbor};
use crate::negative_binomial::quantile;
use crate::panel::classes::{
    CLASSES, ClassTemplate, DOMAINS, KNOCKED_OUT_GENE, KNOCKOUT_SOURCE, KNOCKOUT_TARGET, PROXIMITY_FOCAL, PROXIMITY_PARTNER,
};
use crate::panel::gene_panel;
use crate::program::{CellState, Change, ExpressionProgram};
use crate::seed::{Purpose, generator};
use crate::{ConfigError, GeneEffect, PlantedEffect, SimulatedCell, SimulationConfig, SparseCounts, TissueTruth};

/// Tiles that are filled at once, a few thousand cells.
const TILES_PER_BATCH: usize = 64;

/// A simulated tissue: gene programs, anatomy and planted effects, ready to yield cells.
///
/// Building one costs milliseconds and a few megabytes, whatever the number of cells: cells are made tile by tile
/// when they are asked for. Every tile and every cell has a seed of its own, so the same configuration gives the same
/// cells in the same order at any thread count.
#[derive(Clone, Debug)]
pub struct SimulatedTissue {
    config: SimulationConfig,
    classes: &'static [ClassTemplate],
    panel: Vec<String>,
    program: ExpressionProgram,
    sections: Vec<SectionLayout>,
}

impl SimulatedTissue {
    /// Plans a tissue.
    ///
    /// # Errors
    ///
    /// Returns an error if a value of `config` is outside its range.
    pub fn new(config: SimulationConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let classes = &CLASSES[..config.classes];
        let panel = gene_panel(classes, config.genes);
        Ok(Self {
            program: ExpressionProgram::new(&config, classes, &panel),
            sections: (0..config.sections).map(|section| SectionLayout::new(&config, classes, section)).collect(),
            config,
            classes,
            panel,
        })
    }

    /// Returns the configuration.
    pub fn config(&self) -> &SimulationConfig {
        &self.config
    }

    /// Returns the symbols of the gene panel.
    pub fn panel(&self) -> &[String] {
        &self.panel
    }

    /// Returns the names of the cell classes.
    pub fn classes(&self) -> Vec<&'static str> {
        self.classes.iter().map(|class| class.name).collect()
    }

    /// Returns what was planted.
    pub fn truth(&self) -> TissueTruth {
        let genes = |changes: &[Change]| -> Vec<GeneEffect> {
            changes.iter().map(|&(gene, log2_fold_change)| GeneEffect { gene: self.panel[gene].clone(), log2_fold_change }).collect()
        };
        let radius_um = self.config.effect_radius_um;
        TissueTruth {
            seed: self.config.seed,
            config: self.config.clone(),
            effects: vec![
                PlantedEffect::Proximity {
                    focal: PROXIMITY_FOCAL.to_owned(),
                    partner: PROXIMITY_PARTNER.to_owned(),
                    radius_um,
                    genes: genes(&self.program.proximity),
                },
                PlantedEffect::Knockout {
                    gene: KNOCKED_OUT_GENE.to_owned(),
                    source: KNOCKOUT_SOURCE.to_owned(),
                    fraction: self.config.knockout_fraction,
                    target: KNOCKOUT_TARGET.to_owned(),
                    radius_um,
                    genes: genes(&self.program.knockout),
                },
                PlantedEffect::Gradient { axis: "x".to_owned(), genes: genes(&self.program.gradient) },
            ],
        }
    }

    /// Returns the cells, section by section, within a section tile by tile.
    pub fn cells(&self) -> Cells<'_> {
        Cells { tissue: self, section: 0, tile: 0, batch: Vec::new().into_iter() }
    }

    /// Returns the expected count of every gene of the panel, given the cell's class, place, neighbors and library
    /// size.
    pub fn true_mean(&self, cell: &SimulatedCell) -> Vec<f32> {
        self.program.means(&cell.state)
    }

    /// Returns up to `max_genes` genes by descending true mean: the ranking that no predictor beats on average.
    ///
    /// Equal means are ordered by place in the panel.
    pub fn true_ranking(&self, cell: &SimulatedCell, max_genes: usize) -> Vec<String> {
        self.rank(&self.true_mean(cell), max_genes).into_iter().map(|gene| self.panel[gene].clone()).collect()
    }

    /// Returns a second, independent draw of the counts of the same cell.
    pub fn replicate(&self, cell: &SimulatedCell) -> SparseCounts {
        let rng = generator(self.config.seed, Purpose::Replicate, cell.section_index as u64, cell.index as u64);
        self.draw(&self.true_mean(cell), rng)
    }

    fn rank(&self, means: &[f32], max_genes: usize) -> Vec<usize> {
        let descending = |a: &usize, b: &usize| -> Ordering { means[*b].total_cmp(&means[*a]).then(a.cmp(b)) };
        let mut order: Vec<usize> = (0..means.len()).collect();
        if max_genes < order.len() {
            order.select_nth_unstable_by(max_genes, descending);
            order.truncate(max_genes);
        }
        order.sort_by(descending);
        order
    }

    fn draw(&self, means: &[f32], mut rng: ChaCha8Rng) -> SparseCounts {
        let mut drawn = SparseCounts::default();
        for (gene, (&mean, &dispersion)) in (0..).zip(means.iter().zip(&self.program.dispersions)) {
            let count = quantile(rng.random(), f64::from(mean), dispersion);
            if count > 0 {
                drawn.genes.push(gene);
                drawn.counts.push(count);
            }
        }
        drawn
    }

    fn fill_tile(&self, section: usize, tile: usize) -> Vec<SimulatedCell> {
        let layout = &self.sections[section];
        let around = layout.place_around(tile);
        layout.place(tile).into_iter().map(|placed| self.fill_cell(section, &placed, &around)).collect()
    }

    fn fill_cell(&self, section: usize, placed: &Placed, around: &[Placed]) -> SimulatedCell {
        let layout = &self.sections[section];
        let radius = self.config.effect_radius_um;
        let class = self.classes[placed.class].name;
        let has_neighbor = |is_cause: &dyn Fn(&Placed) -> bool| has_neighbor(placed, around, radius, is_cause);
        let is_partner = |other: &Placed| self.classes[other.class].name == PROXIMITY_PARTNER;

        let mut rng = generator(self.config.seed, Purpose::Counts, section as u64, placed.index as u64);
        let size: f64 = rng.sample(StandardNormal);
        let state = CellState {
            class: placed.class,
            domain: placed.domain,
            gradient: layout.gradient_coordinate(placed.x),
            proximal: class == PROXIMITY_FOCAL && has_neighbor(&is_partner),
            knockout_neighbor: class == KNOCKOUT_TARGET && has_neighbor(&|other| other.knocked_out),
            knocked_out: placed.knocked_out,
            size: (self.config.library_size_sd * size).exp(),
        };
        SimulatedCell {
            name: format!("s{:02}_c{:06}", section + 1, placed.index + 1),
            x: placed.x,
            y: placed.y,
            section: format!("section_{:02}", section + 1),
            class,
            spatial_domain: DOMAINS[placed.domain],
            split: layout.split(placed.x, placed.y),
            perturbation: placed.knocked_out.then_some(KNOCKED_OUT_GENE),
            proximal: state.proximal,
            knockout_neighbor: state.knockout_neighbor,
            counts: self.draw(&self.program.means(&state), rng),
            section_index: section,
            index: placed.index,
            state,
        }
    }
}

/// The stream of the cells of a [`SimulatedTissue`].
///
/// It holds a few thousand cells at a time, which are made in parallel.
#[derive(Debug)]
pub struct Cells<'t> {
    tissue: &'t SimulatedTissue,
    section: usize,
    tile: usize,
    batch: std::vec::IntoIter<SimulatedCell>,
}

impl Iterator for Cells<'_> {
    type Item = SimulatedCell;

    fn next(&mut self) -> Option<SimulatedCell> {
        loop {
            if let Some(cell) = self.batch.next() {
                return Some(cell);
            }
            let tiles = self.tissue.sections.get(self.section)?.tiles();
            let end = (self.tile + TILES_PER_BATCH).min(tiles);
            let filled: Vec<Vec<SimulatedCell>> =
                (self.tile..end).into_par_iter().map(|tile| self.tissue.fill_tile(self.section, tile)).collect();
            self.batch = filled.into_iter().flatten().collect::<Vec<_>>().into_iter();
            self.tile = end;
            if end == tiles {
                self.section += 1;
                self.tile = 0;
            }
        }
    }
}
