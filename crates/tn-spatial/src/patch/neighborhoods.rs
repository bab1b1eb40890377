//! Sentences of each cell and its neighbors.

use std::ops::Range;

use rayon::prelude::*;
use tn_sentence::{CellRecord, PromptOrder, SentenceRecord, request_seed};

use super::{CellTexts, PatchOptions, join_cells};
use crate::{KdTree, NeighborIndex, Section};

/// Which cells make up the neighborhood of a cell, and how they are read.
///
/// By default the 30 nearest cells, however far, far to near by weight with tau 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighborhood {
    max_cells: usize,
    radius: f64,
    tau: f64,
}

impl Default for Neighborhood {
    fn default() -> Self {
        Self { max_cells: 30, radius: f64::INFINITY, tau: 1.0 }
    }
}

impl Neighborhood {
    /// Takes the nearest `max_cells` neighbors at most.
    pub fn with_max_cells(mut self, max_cells: usize) -> Self {
        self.max_cells = max_cells;
        self
    }

    /// Takes only neighbors at this distance or less, in micrometers.
    pub fn with_radius(mut self, radius: f64) -> Self {
        self.radius = radius;
        self
    }

    /// Replaces how strongly distance counts in the order: see [`PromptOrder::FarToNearWeighted`].
    pub fn with_tau(mut self, tau: f64) -> Self {
        self.tau = tau;
        self
    }
}

/// Writes each cell with its neighbors as a spatial sentence: the neighbors far to near by weight, then the cell itself.
///
/// This holds all sentences at once; [`Neighborhoods`] writes them in chunks.
pub fn patch_neighborhoods(cells: &[CellRecord], neighborhood: Neighborhood, options: &PatchOptions) -> Vec<SentenceRecord> {
    let neighborhoods = Neighborhoods::new(cells, neighborhood, options);
    neighborhoods.write(0..neighborhoods.len())
}

/// The neighborhoods of all cells of a table, written when they are asked for.
///
/// A sentence is named `{section}__{cell_name}` and belongs to the split of its cell; neighbors are of the same section
/// and split. They are read in the order in which a prompt shows them, and the cell comes last, so that a model learns
/// to write it from its neighbors. Cells whose sentence would have fewer than `min_cells` cells are left out. The order
/// comes from a hash of the seed, the cell, the repeat and each neighbor.
///
/// # Examples
///
/// ```
/// use tn_sentence::{CellRecord, GeneRanking, Metadata, Position};
/// use tn_spatial::{Neighborhood, Neighborhoods, PatchOptions};
///
/// let cells: Vec<CellRecord> = (0..100)
///     .map(|i| {
///         Ok(CellRecord {
///             cell_name: format!("cell-{i}"),
///             ranking: GeneRanking::parse("GFAP")?,
///             position: Position::new(10.0 * f64::from(i), 0.0)?,
///             section: "S1".to_owned(),
///             metadata: Metadata::new(),
///         })
///     })
///     .collect::<Result<_, Box<dyn std::error::Error>>>()?;
///
/// let options = PatchOptions::default().with_repeats(1).with_min_cells(1);
/// let neighborhoods = Neighborhoods::new(&cells, Neighborhood::default().with_radius(10.0), &options);
/// for chunk in neighborhoods.chunks(32) {
///     assert!(chunk.iter().all(|record| record.n_cells <= 3));
///     assert!(chunk.iter().all(|record| record.spatial_bin_id.ends_with(record.cell_names.last().unwrap())));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Neighborhoods<'a> {
    cells: &'a [CellRecord],
    neighborhood: Neighborhood,
    options: PatchOptions,
    texts: CellTexts,
    sections: Vec<(Section<'a>, KdTree)>,
    /// Of each cell: its section, and its index there.
    places: Vec<(usize, usize)>,
}

impl<'a> Neighborhoods<'a> {
    /// Prepares the neighborhoods of all cells.
    pub fn new(cells: &'a [CellRecord], neighborhood: Neighborhood, options: &PatchOptions) -> Self {
        let sections: Vec<(Section<'a>, KdTree)> = Section::of_table_by_split(cells)
            .into_par_iter()
            .map(|section| {
                let index = section.index();
                (section, index)
            })
            .collect();
        let mut places = vec![(0, 0); cells.len()];
        for (number, (section, _)) in sections.iter().enumerate() {
            for (index, &row) in section.rows().iter().enumerate() {
                places[row] = (number, index);
            }
        }
        Self { cells, neighborhood, options: options.clone(), texts: CellTexts::write(cells, options), sections, places }
    }

    /// Returns the number of neighborhoods: that of the cells.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Returns whether there is no neighborhood.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Writes the neighborhoods of a range of cells, in their order.
    ///
    /// # Panics
    ///
    /// Panics when the range does not lie within `0..len()`.
    pub fn write(&self, rows: Range<usize>) -> Vec<SentenceRecord> {
        assert!(rows.end <= self.len(), "rows {rows:?} are outside the table of {} cells", self.len());
        rows.into_par_iter().flat_map_iter(|row| self.write_cell(row)).collect()
    }

    /// Writes all neighborhoods, those of `size` cells at a time.
    pub fn chunks(&self, size: usize) -> impl Iterator<Item = Vec<SentenceRecord>> + '_ {
        let size = size.max(1);
        (0..self.len()).step_by(size).map(move |start| self.write(start..(start + size).min(self.len())))
    }

    fn write_cell(&self, row: usize) -> Vec<SentenceRecord> {
        let (number, own_index) = self.places[row];
        let (section, tree) = &self.sections[number];
        let cell = &self.cells[row];
        let mut neighbors = tree.k_nearest_where(&cell.position, self.neighborhood.max_cells, &|index| index != own_index);
        neighbors.retain(|neighbor| neighbor.distance <= self.neighborhood.radius);
        if neighbors.len() + 1 < self.options.min_cells {
            return Vec::new();
        }
        let distances: Vec<f64> = neighbors.iter().map(|neighbor| neighbor.distance).collect();
        let order = PromptOrder::FarToNearWeighted { tau: self.neighborhood.tau };
        let write = |repeat| {
            let seed = request_seed(self.options.seed, &cell.cell_name, repeat);
            let draws: Vec<u64> = neighbors.iter().map(|neighbor| request_seed(seed, &section.cell(neighbor.index).cell_name, 0)).collect();
            let mut rows: Vec<usize> =
                order.order(&distances, &draws).into_iter().map(|place| section.rows()[neighbors[place].index]).collect();
            rows.push(row);
            SentenceRecord {
                spatial_bin_id: format!("{}__{}", cell.section, cell.cell_name),
                section: cell.section.clone(),
                traversal: "far-to-near-weighted".to_owned(),
                repeat_idx: repeat,
                split: cell.split().unwrap_or_default().to_owned(),
                ..join_cells(self.cells, &self.texts, &rows, &self.options)
            }
        };
        (0..self.options.repeats).map(write).collect()
    }
}
