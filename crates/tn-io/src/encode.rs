//! From expression to a stream of cell records.

mod cell_table;
mod error;
mod file;
mod normalization;
mod normalized;
mod options;

use std::ops::Range;

use rayon::prelude::*;
use tn_sentence::{CellRecord, EncodeError, GeneRanking, Position, RankEncoder, TieBreak, Vocabulary};

pub use self::cell_table::CellTable;
pub use self::error::EncodeSectionError;
pub use self::file::{EncodeSummary, PANEL_KEY, encode_file};
pub use self::normalization::{Normalization, TARGET_SUM, ValueScale};
pub use self::normalized::NormalizedExpression;
pub use self::options::EncodeOptions;

use crate::section_reader::{SectionReader, SparseRows};

/// Blocks that are read and ranked at once. It does not depend on the number of threads.
const BLOCKS_AT_ONCE: usize = 8;
/// Cells of a block that one thread ranks.
const PART_CELLS: usize = 256;

/// The cells of an expression file as records, in file order.
///
/// Blocks of rows are read and ranked in parallel; the records are the same at any number of threads. Memory holds a few
/// blocks, and for every cell its name, place, section and metadata codes. Cells without any expression are left out and
/// counted.
///
/// # Examples
///
/// ```no_run
/// use tn_io::{AnnData, EncodeOptions, EncodedCells};
///
/// let section = AnnData::open("section.h5ad")?;
/// let options = EncodeOptions::new().with_columns(["class"]);
/// for cell in EncodedCells::new(&section, &options)? {
///     let cell = cell?;
///     println!("{} {:?} {}", cell.cell_name, cell.class(), cell.ranking.top(10));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct EncodedCells<'r, R: ?Sized> {
    reader: &'r R,
    table: CellTable,
    vocabulary: Vocabulary,
    scale: ValueScale,
    max_genes: usize,
    tie_break: TieBreak,
    seed: u64,
    next_row: usize,
    batch: std::vec::IntoIter<RankedCell>,
    skipped: usize,
    /// What came after the cells of the batch, which are the last.
    failure: Option<EncodeSectionError>,
}

/// A cell and its genes, highest first, as columns of the panel.
#[derive(Debug)]
struct RankedCell {
    cell: usize,
    position: Position,
    genes: Vec<u32>,
}

/// Consecutive cells, up to the first that cannot be ranked.
#[derive(Debug, Default)]
struct Part {
    cells: Vec<RankedCell>,
    skipped: usize,
    failure: Option<EncodeSectionError>,
}

impl<'r, R: SectionReader + ?Sized> EncodedCells<'r, R> {
    /// Reads everything but the expression, and looks at the first cells to decide how to normalize.
    ///
    /// # Errors
    ///
    /// Returns an error if there are no cells, a column is missing, gene symbols collide or cannot be used, the sum to scale to is not a
    /// positive number, or the values are neither counts nor logarithms and [`Normalization::Auto`] has to decide.
    pub fn new(reader: &'r R, options: &EncodeOptions) -> Result<Self, EncodeSectionError> {
        if reader.n_cells() == 0 {
            return Err(EncodeSectionError::NoCells { file: reader.file_name() });
        }
        let vocabulary = Vocabulary::with_aliases(reader.genes(), &options.gene_aliases)
            .map_err(|source| EncodeSectionError::Genes { file: reader.file_name(), source })?;
        let table = CellTable::read(reader, options)?;
        // The first negative value of z-scores is named with its cell and gene when its row is ranked.
        let scale = options.normalization.decide(reader)?.scale;
        Ok(Self {
            reader,
            table,
            vocabulary,
            scale,
            max_genes: options.max_genes.unwrap_or(usize::MAX),
            tie_break: options.tie_break,
            seed: options.seed(),
            next_row: 0,
            batch: Vec::new().into_iter(),
            skipped: 0,
            failure: None,
        })
    }

    /// Returns the gene panel.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// Returns what the values of the matrix look like.
    pub fn value_scale(&self) -> ValueScale {
        self.scale
    }

    /// Returns how many of the cells so far had no expression and were left out.
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    /// Returns the cells of the next blocks, or nothing after the last.
    fn next_blocks(&mut self) -> Result<Option<Vec<RankedCell>>, EncodeSectionError> {
        if self.next_row == self.reader.n_cells() {
            return Ok(None);
        }
        self.fill();
        match self.failure.take() {
            Some(failure) => Err(failure),
            None => Ok(Some(std::mem::take(&mut self.batch).collect())),
        }
    }

    fn fill(&mut self) {
        let end = self.reader.n_cells();
        let step = self.reader.rows_per_block().max(1);
        let blocks: Vec<Range<usize>> =
            (self.next_row..end).step_by(step).take(BLOCKS_AT_ONCE).map(|start| start..(start + step).min(end)).collect();
        self.next_row = blocks.last().map_or(end, |block| block.end);

        let encoder = RankEncoder::new(&self.vocabulary).with_max_genes(self.max_genes).with_tie_break(self.tie_break).with_seed(self.seed);
        let parts: Vec<Vec<Part>> = blocks.into_par_iter().map(|block| self.rank_block(&encoder, block)).collect();
        let mut batch = Vec::with_capacity(parts.iter().flatten().map(|part| part.cells.len()).sum());
        for part in parts.into_iter().flatten() {
            batch.extend(part.cells);
            self.skipped += part.skipped;
            if part.failure.is_some() {
                self.failure = part.failure;
                self.next_row = end;
                break;
            }
        }
        self.batch = batch.into_iter();
    }

    fn rank_block(&self, encoder: &RankEncoder<'_>, block: Range<usize>) -> Vec<Part> {
        let rows = match self.reader.rows(block.clone()) {
            Ok(rows) => rows,
            Err(error) => return vec![Part { failure: Some(error.into()), ..Part::default() }],
        };
        let starts: Vec<usize> = (0..rows.len()).step_by(PART_CELLS).collect();
        let rank = |start: usize| self.rank_part(encoder, &rows, start..(start + PART_CELLS).min(rows.len()), block.start);
        starts.into_par_iter().map(rank).collect()
    }

    fn rank_part(&self, encoder: &RankEncoder<'_>, rows: &SparseRows, part: Range<usize>, first_cell: usize) -> Part {
        let mut ranked = Part { cells: Vec::with_capacity(part.len()), ..Part::default() };
        for row in part {
            match self.rank_cell(encoder, rows.row(row), first_cell + row) {
                Ok(Some(cell)) => ranked.cells.push(cell),
                Ok(None) => ranked.skipped += 1,
                Err(error) => {
                    ranked.failure = Some(error);
                    break;
                }
            }
        }
        ranked
    }

    /// Returns the ranking of a cell, or nothing if it has no expression.
    fn rank_cell(
        &self,
        encoder: &RankEncoder<'_>,
        (genes, values): (&[u32], &[f32]),
        cell: usize,
    ) -> Result<Option<RankedCell>, EncodeSectionError> {
        let name = self.table.name(cell);
        let genes = encoder.rank_sparse(genes, values, name).map_err(|source| {
            let invalid = genes.iter().zip(values).find(|(_, value)| !value.is_finite() || **value < 0.0);
            let source = match (source, invalid) {
                // The gene as the file spells it.
                (EncodeError::InvalidValue { .. }, Some((&gene, &value))) => {
                    EncodeError::InvalidValue { gene: self.reader.genes()[gene as usize].clone(), value }
                }
                (source, _) => source,
            };
            EncodeSectionError::Expression { file: self.reader.file_name(), cell: name.to_owned(), source }
        })?;
        if genes.is_empty() {
            return Ok(None);
        }
        let position = self.table.position(cell)?;
        Ok(Some(RankedCell { cell, position, genes }))
    }

    fn record(&self, RankedCell { cell, position, genes }: RankedCell) -> CellRecord {
        let symbols = self.vocabulary.symbols();
        let ranking = GeneRanking::from_symbols(genes.iter().map(|&gene| symbols[gene as usize].clone()).collect())
            .expect("the columns of a panel are distinct genes, and a cell is ranked by distinct columns");
        self.table.record(cell, position, ranking)
    }
}

impl<R: SectionReader + ?Sized> Iterator for EncodedCells<'_, R> {
    type Item = Result<CellRecord, EncodeSectionError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(cell) = self.batch.next() {
                return Some(Ok(self.record(cell)));
            }
            if let Some(failure) = self.failure.take() {
                return Some(Err(failure));
            }
            if self.next_row == self.reader.n_cells() {
                return None;
            }
            self.fill();
        }
    }
}
