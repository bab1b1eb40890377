//! Which cells train a model, which validate it, and which test it.

use std::{borrow::Borrow, collections::BTreeMap, fmt, str::FromStr};

use thiserror::Error;
use tn_sentence::{CellRecord, Position, request_seed};

use crate::{Bin, BinGrid};

/// Orders of which the one whose splits come closest to the ratio is taken.
const DRAWS: u32 = 64;

/// What a cell is for.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Split {
    /// A model learns from it.
    Train,
    /// It tells how well a model learns, while it does.
    Val,
    /// It is held out until the end.
    Test,
}

impl Split {
    /// All splits, in the order of a ratio.
    pub const ALL: [Self; 3] = [Self::Train, Self::Val, Self::Test];

    /// Returns the name of the split, as in the column `split`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How many cells train, validate and test, in proportion: 8 : 1 : 1 by default, as published.
///
/// # Examples
///
/// ```
/// use tn_spatial::SplitRatio;
///
/// let ratio: SplitRatio = "8:1:1".parse()?;
/// assert_eq!(ratio, SplitRatio::default());
/// assert_eq!(ratio, SplitRatio::new(80.0, 10.0, 10.0)?);
/// // A split of share 0 stays empty.
/// assert_eq!("9:0:1".parse::<SplitRatio>()?.shares(), [0.9, 0.0, 0.1]);
/// assert!("8:2".parse::<SplitRatio>().is_err());
/// # Ok::<(), tn_spatial::InvalidSplitRatio>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SplitRatio([f64; 3]);

impl SplitRatio {
    /// Builds a ratio of three shares in any unit.
    ///
    /// # Errors
    ///
    /// Returns an error for a share that is negative or not finite, and where all are 0.
    pub fn new(train: f64, val: f64, test: f64) -> Result<Self, InvalidSplitRatio> {
        let shares = [train, val, test];
        let sum: f64 = shares.iter().sum();
        if shares.iter().all(|share| *share >= 0.0) && sum.is_finite() && sum > 0.0 {
            return Ok(Self(shares.map(|share| share / sum)));
        }
        Err(InvalidSplitRatio { found: format!("{train}:{val}:{test}") })
    }

    /// Returns the shares of train, val and test, which sum to 1.
    pub fn shares(&self) -> [f64; 3] {
        self.0
    }
}

impl Default for SplitRatio {
    fn default() -> Self {
        Self([0.8, 0.1, 0.1])
    }
}

impl FromStr for SplitRatio {
    type Err = InvalidSplitRatio;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidSplitRatio { found: text.to_owned() };
        let shares = text.split(':').map(|share| share.trim().parse()).collect::<Result<Vec<f64>, _>>().map_err(|_| invalid())?;
        let [train, val, test] = shares[..] else { return Err(invalid()) };
        Self::new(train, val, test).map_err(|_| invalid())
    }
}

/// Shares that are no ratio of train, val and test.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("ratio {found:?}, expected three numbers of 0 or more, not all 0, such as 8:1:1")]
pub struct InvalidSplitRatio {
    /// The ratio as given.
    pub found: String,
}

/// Divides cells into train, val and test by whole sections, or by square blocks of them where sections are few.
///
/// Cells of a block stay together, so that a held-out cell usually has held-out neighbors; only those at its border have
/// others. Sections and blocks are taken in the order of a hash of the seed and their name, and each goes to the split that
/// lacks the most cells; of 64 such orders, the one whose splits come closest to the ratio counts (the sum of the
/// differences in cells; of equal ones the first). No split therefore has more cells than its share and one section or
/// block, and every split with a share has at least one.
///
/// The result depends on the seed, the names of sections and the number of cells in each section or block, not on the order
/// of rows or the number of threads.
///
/// | Option | Default |
/// |---|---|
/// | ratio | 8 : 1 : 1 |
/// | cells that have a split | refused |
/// | seed | 42 |
///
/// # Examples
///
/// ```
/// use tn_sentence::{CellRecord, GeneRanking, Metadata, Position};
/// use tn_spatial::{BinGrid, Split, Splitter};
///
/// // One section of 100 cells, 20 micrometers apart: too few sections, but 20 blocks of 5 cells.
/// let mut cells: Vec<CellRecord> = (0..100)
///     .map(|i| {
///         Ok(CellRecord {
///             cell_name: format!("cell-{i}"),
///             ranking: GeneRanking::default(),
///             position: Position::new(20.0 * f64::from(i), 0.0)?,
///             section: "S1".to_owned(),
///             metadata: Metadata::new(),
///         })
///     })
///     .collect::<Result<_, Box<dyn std::error::Error>>>()?;
/// assert!(Splitter::by_section().split(&mut cells).is_err());
///
/// let plan = Splitter::by_block(BinGrid::new(100.0)?).with_seed(7).split(&mut cells)?;
/// assert_eq!(Split::ALL.map(|split| plan.cells(split)), [80, 10, 10]);
/// // Cells of one block are of one split.
/// assert_eq!(cells[0].split(), cells[4].split());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Splitter {
    grid: Option<BinGrid>,
    ratio: SplitRatio,
    existing: ExistingSplits,
    seed: u64,
}

/// What happens to the splits that cells already have.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ExistingSplits {
    /// They are an error: what was held out would no longer be.
    #[default]
    Refuse,
    /// All of them are replaced.
    Replace,
}

impl Splitter {
    /// Divides cells by whole sections.
    pub fn by_section() -> Self {
        Self { grid: None, ratio: SplitRatio::default(), existing: ExistingSplits::default(), seed: 42 }
    }

    /// Divides cells by the bins of a grid in each section.
    pub fn by_block(grid: BinGrid) -> Self {
        Self { grid: Some(grid), ..Self::by_section() }
    }

    /// Replaces the ratio.
    pub fn with_ratio(mut self, ratio: SplitRatio) -> Self {
        self.ratio = ratio;
        self
    }

    /// Replaces what happens to the splits that cells already have.
    pub fn with_existing(mut self, existing: ExistingSplits) -> Self {
        self.existing = existing;
        self
    }

    /// Replaces the seed of the order of sections or blocks.
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Gives each cell its split, as the metadata `split`.
    ///
    /// # Errors
    ///
    /// Returns an error, and changes no cell, for a cell that has a split (unless they are replaced) and where there are
    /// fewer sections or blocks than splits with a share, as in an empty table.
    pub fn split(&self, cells: &mut [CellRecord]) -> Result<SplitPlan, SplitError> {
        let plan = self.plan(cells.iter())?;
        for cell in cells {
            plan.assign(cell)?;
        }
        Ok(plan)
    }

    /// Decides to which split each section or block belongs, without a change to any cell: the first of two passes over a
    /// table that is never whole in memory. The second one calls [`SplitPlan::assign`].
    ///
    /// # Errors
    ///
    /// As [`Splitter::split`].
    pub fn plan<C: Borrow<CellRecord>>(&self, cells: impl IntoIterator<Item = C>) -> Result<SplitPlan, SplitError> {
        let units = self.count(cells)?;
        let needed = self.ratio.0.iter().filter(|share| **share > 0.0).count();
        if units.len() < needed {
            return Err(SplitError::TooFew { found: units.len(), needed, block_width: self.grid.map(|grid| grid.width()) });
        }
        let total: usize = units.iter().map(|unit| unit.cells).sum();
        let wanted = self.ratio.0.map(|share| share * total as f64);
        let draws = (0..DRAWS).map(|draw| Drawn::new(&units, wanted, |unit| request_seed(self.seed, &unit.name, draw)));
        // Of equal ones `min_by` takes the first; there is always one.
        let best = draws.min_by(|a, b| a.distance(wanted).total_cmp(&b.distance(wanted))).unwrap_or_default();
        Ok(SplitPlan::new(self.grid, units, best))
    }

    /// Returns the sections or blocks, by section and then by bin, with their cells.
    fn count<C: Borrow<CellRecord>>(&self, cells: impl IntoIterator<Item = C>) -> Result<Vec<Unit>, SplitError> {
        let mut sections: BTreeMap<String, BTreeMap<Option<Bin>, usize>> = BTreeMap::new();
        for cell in cells {
            let cell: &CellRecord = cell.borrow();
            self.check(cell)?;
            if !sections.contains_key(&cell.section) {
                sections.insert(cell.section.clone(), BTreeMap::new());
            }
            if let Some(bins) = sections.get_mut(&cell.section) {
                *bins.entry(bin_of(self.grid, &cell.position)).or_default() += 1;
            }
        }
        let units = sections.into_iter().flat_map(|(section, bins)| {
            bins.into_iter().map(move |(bin, cells)| {
                let name = bin.map_or_else(|| section.clone(), |bin| format!("{section}__{bin}"));
                Unit { section: section.clone(), bin, name, cells }
            })
        });
        Ok(units.collect())
    }

    fn check(&self, cell: &CellRecord) -> Result<(), SplitError> {
        match cell.split().filter(|split| !split.is_empty()) {
            Some(split) if self.existing == ExistingSplits::Refuse => {
                Err(SplitError::AlreadySplit { cell_name: cell.cell_name.clone(), split: split.to_owned() })
            }
            _ => Ok(()),
        }
    }
}

fn bin_of(grid: Option<BinGrid>, position: &Position) -> Option<Bin> {
    grid.map(|grid| grid.bin_of(position))
}

/// What stays together: a section, or a block of one.
struct Unit {
    section: String,
    bin: Option<Bin>,
    /// The section, or the name of its bin.
    name: String,
    cells: usize,
}

/// The splits of all units as one order gives them.
#[derive(Default)]
struct Drawn {
    splits: Vec<Split>,
    units: [usize; 3],
    cells: [usize; 3],
}

impl Drawn {
    fn new(units: &[Unit], wanted: [f64; 3], ticket: impl Fn(&Unit) -> u64) -> Self {
        let mut order: Vec<(u64, usize)> = units.iter().zip(0..).map(|(unit, index)| (ticket(unit), index)).collect();
        // Units come by name, so that equal hashes are in the order of names.
        order.sort_unstable();
        let mut drawn = Self { splits: vec![Split::Train; units.len()], ..Self::default() };
        for (place, (_, index)) in order.into_iter().enumerate() {
            let split = drawn.next_split(wanted, units.len() - place);
            drawn.splits[index] = split;
            drawn.units[split as usize] += 1;
            drawn.cells[split as usize] += units[index].cells;
        }
        drawn
    }

    /// Returns the split that lacks the most cells, of equal ones the first; the last units go to splits that have none.
    fn next_split(&self, wanted: [f64; 3], units_left: usize) -> Split {
        let is_empty = |split: &Split| wanted[*split as usize] > 0.0 && self.units[*split as usize] == 0;
        let must_fill = Split::ALL.iter().filter(|split| is_empty(split)).count() >= units_left;
        let lacks = |split: &Split| wanted[*split as usize] - self.cells[*split as usize] as f64;
        let candidates = Split::ALL.into_iter().filter(|split| !must_fill || is_empty(split));
        // `max_by` takes the last of equal ones.
        candidates.rev().max_by(|a, b| lacks(a).total_cmp(&lacks(b))).unwrap_or(Split::Train)
    }

    /// Returns by how many cells the splits differ from the ratio, all together.
    fn distance(&self, wanted: [f64; 3]) -> f64 {
        wanted.iter().zip(self.cells).map(|(wanted, found)| (wanted - found as f64).abs()).sum()
    }
}

/// To which split each section or block belongs.
#[derive(Clone, Debug, PartialEq)]
pub struct SplitPlan {
    grid: Option<BinGrid>,
    sections: BTreeMap<String, BTreeMap<Option<Bin>, Split>>,
    units: [usize; 3],
    cells: [usize; 3],
}

impl SplitPlan {
    fn new(grid: Option<BinGrid>, units: Vec<Unit>, drawn: Drawn) -> Self {
        let mut sections: BTreeMap<String, BTreeMap<Option<Bin>, Split>> = BTreeMap::new();
        for (unit, split) in units.into_iter().zip(drawn.splits) {
            sections.entry(unit.section).or_default().insert(unit.bin, split);
        }
        Self { grid, sections, units: drawn.units, cells: drawn.cells }
    }

    /// Returns the split of a place, or nothing if no cell that was counted lies in its section or block.
    pub fn split_of(&self, section: &str, position: &Position) -> Option<Split> {
        self.sections.get(section)?.get(&bin_of(self.grid, position)).copied()
    }

    /// Returns the number of cells of a split, among those that were counted.
    pub fn cells(&self, split: Split) -> usize {
        self.cells[split as usize]
    }

    /// Returns the number of sections or blocks of a split.
    pub fn units(&self, split: Split) -> usize {
        self.units[split as usize]
    }

    /// Gives a cell its split, as the metadata `split`, and returns it.
    ///
    /// # Errors
    ///
    /// Returns an error for a cell in a section or block without any cell that was counted.
    pub fn assign(&self, cell: &mut CellRecord) -> Result<Split, SplitError> {
        let split = self.split_of(&cell.section, &cell.position);
        let split = split.ok_or_else(|| SplitError::NotCounted { cell_name: cell.cell_name.clone(), section: cell.section.clone() })?;
        // The key is one that can be written.
        let _ = cell.metadata.insert("split", split.name());
        Ok(split)
    }
}

/// Cells that cannot be divided.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum SplitError {
    /// A cell has a split already: see [`Splitter::with_existing`].
    #[error("cell {cell_name:?} is of split {split:?} already")]
    AlreadySplit {
        /// The name of the cell.
        cell_name: String,
        /// Its split.
        split: String,
    },
    /// There are fewer sections or blocks than splits: see [`Splitter::by_block`], or take smaller blocks.
    #[error("cells lie in {found} {}, expected at least {needed}, one for each split", unit_name(*block_width))]
    TooFew {
        /// Sections or blocks with cells.
        found: usize,
        /// Splits with a share.
        needed: usize,
        /// The width of a block in micrometers, nothing where whole sections were divided.
        block_width: Option<f64>,
    },
    /// A cell lies where no cell was counted.
    #[error("cell {cell_name:?} of section {section:?} lies where no cell was counted")]
    NotCounted {
        /// The name of the cell.
        cell_name: String,
        /// Its section.
        section: String,
    },
}

fn unit_name(block_width: Option<f64>) -> String {
    block_width.map_or_else(|| "sections".to_owned(), |width| format!("blocks of {width} micrometers"))
}

#[cfg(test)]
mod tests {
    use tn_sentence::{GeneRanking, Metadata};

    use super::*;

    /// Returns cells of sections of the given sizes, in rows of 10 cells, 10 micrometers apart.
    fn tissue(sizes: &[usize]) -> Vec<CellRecord> {
        let place = |i: usize| Position::new((i % 10) as f64 * 10.0, (i / 10) as f64 * 10.0).unwrap();
        let cell = |section: usize, i: usize| CellRecord {
            cell_name: format!("{section}-{i}"),
            ranking: GeneRanking::default(),
            position: place(i),
            section: format!("S{section}"),
            metadata: Metadata::new(),
        };
        sizes.iter().enumerate().flat_map(|(section, &size)| (0..size).map(move |i| cell(section, i))).collect()
    }

    fn sizes(plan: &SplitPlan) -> [usize; 3] {
        Split::ALL.map(|split| plan.cells(split))
    }

    fn ratio(text: &str) -> SplitRatio {
        text.parse().unwrap()
    }

    #[test]
    fn ten_equal_sections_are_divided_8_to_1_to_1() {
        let mut cells = tissue(&[50; 10]);
        let plan = Splitter::by_section().split(&mut cells).unwrap();
        assert_eq!(sizes(&plan), [400, 50, 50]);
        assert_eq!(Split::ALL.map(|split| plan.units(split)), [8, 1, 1]);
        for split in Split::ALL {
            assert_eq!(cells.iter().filter(|cell| cell.split() == Some(split.name())).count(), plan.cells(split));
        }
    }

    #[test]
    fn three_sections_have_one_split_each_and_the_largest_trains() {
        for seed in 0..20 {
            let plan = Splitter::by_section().with_seed(seed).split(&mut tissue(&[10, 90, 20])).unwrap();
            assert_eq!(plan.units, [1; 3]);
            assert_eq!(plan.cells(Split::Train), 90);
        }
    }

    #[test]
    fn the_seed_decides_what_is_held_out() {
        let held_out = |seed| {
            let plan = Splitter::by_section().with_seed(seed).split(&mut tissue(&[10; 10])).unwrap();
            (0..10).find(|section| plan.split_of(&format!("S{section}"), &Position::default()) == Some(Split::Test))
        };
        let drawn: std::collections::BTreeSet<_> = (0..200).map(held_out).collect();
        assert_eq!(drawn.len(), 10);
        assert_eq!(held_out(3), held_out(3));
    }

    #[test]
    fn a_share_of_none_stays_empty() {
        let plan = |text, sections| Splitter::by_section().with_ratio(ratio(text)).split(&mut tissue(sections));
        assert_eq!(sizes(&plan("1:0:1", &[10; 6]).unwrap()), [30, 0, 30]);
        assert_eq!(sizes(&plan("0:0:3", &[10]).unwrap()), [0, 0, 10]);
        assert_eq!(sizes(&plan("1e9:1:1", &[10; 3]).unwrap()), [10; 3]);
    }

    #[test]
    fn cells_of_a_block_stay_together() {
        let mut cells = tissue(&[100, 100]);
        let grid = BinGrid::new(20.0).unwrap();
        let plan = Splitter::by_block(grid).split(&mut cells).unwrap();
        assert_eq!(sizes(&plan), [160, 20, 20]);
        let mut blocks: BTreeMap<(&str, Bin), &str> = BTreeMap::new();
        for cell in &cells {
            let split = cell.split().unwrap();
            assert_eq!(*blocks.entry((cell.section.as_str(), grid.bin_of(&cell.position))).or_insert(split), split);
        }
        assert_eq!(blocks.len(), 50);
    }

    #[test]
    fn fewer_units_than_splits_are_an_error() {
        let too_few = |found, needed, block_width| Err(SplitError::TooFew { found, needed, block_width });
        let mut cells = tissue(&[50, 50]);
        assert_eq!(Splitter::by_section().split(&mut cells), too_few(2, 3, None));
        assert_eq!(Splitter::by_block(BinGrid::new(1e4).unwrap()).split(&mut cells), too_few(2, 3, Some(1e4)));
        assert_eq!(Splitter::by_section().with_ratio(ratio("1:0:1")).split(&mut []), too_few(0, 2, None));
        assert!(cells.iter().all(|cell| cell.split().is_none()));
    }

    #[test]
    fn splits_are_replaced_only_on_request() {
        let mut cells = tissue(&[10; 4]);
        cells[7].metadata.insert("split", "test").unwrap();
        let before = cells.clone();
        let refused = Err(SplitError::AlreadySplit { cell_name: "0-7".into(), split: "test".into() });
        assert_eq!(Splitter::by_section().split(&mut cells), refused);
        assert_eq!(cells, before);
        Splitter::by_section().with_existing(ExistingSplits::Replace).split(&mut cells).unwrap();
        assert_eq!(cells[7].split(), cells[0].split());
    }

    #[test]
    fn an_empty_split_is_none() {
        let mut cells = tissue(&[10; 4]);
        cells[7].metadata.insert("split", "").unwrap();
        assert!(Splitter::by_section().split(&mut cells).is_ok());
    }

    #[test]
    fn a_cell_that_was_not_counted_has_no_split() {
        let plan = Splitter::by_section().plan(tissue(&[10; 3])).unwrap();
        let mut other = tissue(&[0, 0, 0, 1]).remove(0);
        assert_eq!(plan.assign(&mut other), Err(SplitError::NotCounted { cell_name: "3-0".into(), section: "S3".into() }));
        assert_eq!(other.split(), None);
    }

    #[test]
    fn what_is_no_ratio_is_refused() {
        for text in ["", "8", "8:1", "8:1:1:1", "8:-1:1", "0:0:0", "a:1:1", "nan:1:1", "inf:1:1", "1e308:1e308:1"] {
            assert_eq!(text.parse::<SplitRatio>(), Err(InvalidSplitRatio { found: text.into() }), "{text}");
        }
        assert_eq!(SplitRatio::new(1.0, -1.0, 0.5), Err(InvalidSplitRatio { found: "1:-1:0.5".into() }));
    }
}
