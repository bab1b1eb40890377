//! What could go wrong with a file.

use std::collections::{BTreeMap, HashSet};
use std::error::Error;
use std::fmt;

use serde::Serialize;
use tn_sentence::GeneSymbol;

use super::bins::FilledBins;
use super::cells::Cells;
use super::unit::{UnitGuess, guess_unit};
use crate::read_error::list;

/// Cells, or groups of symbols, that are named.
const SHOWN: usize = 5;

/// Something that a person should know before running anything on a file.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum InspectWarning {
    /// The file does not say where its cells are.
    NoCoordinates,
    /// Coordinates are in pixels, whose size the file does not say.
    UnknownPixelSize,
    /// Coordinates do not look like micrometers.
    Unit {
        /// What they look like.
        unit: UnitGuess,
        /// Typical distance between cells.
        spacing: f64,
    },
    /// Cells have coordinates that are missing or not finite.
    UnusableCoordinates {
        /// How many.
        cells: usize,
        /// The first of them.
        examples: Vec<String>,
    },
    /// No column says which section a cell is of.
    NoSectionColumn,
    /// All cells are of one section.
    OneSection {
        /// The section.
        section: String,
    },
    /// No bin has enough cells for a sentence.
    NoFullBin,
    /// Gene symbols are the same in upper case.
    CollidingSymbols {
        /// Groups of symbols that are the same.
        groups: usize,
        /// The first of them, as the file spells them.
        examples: Vec<Vec<String>>,
    },
    /// A gene symbol cannot be written in a sentence.
    UnusableSymbol {
        /// The symbol.
        symbol: String,
        /// Why.
        reason: String,
    },
    /// Cells have the name of another cell.
    RepeatedNames {
        /// Cells whose name an earlier cell has.
        cells: usize,
        /// Names that occur more than once.
        names: usize,
        /// The first of them.
        examples: Vec<String>,
    },
    /// Tokens could not be counted, because cells cannot be written.
    NotEncodable {
        /// Why.
        reason: String,
    },
}

impl InspectWarning {
    /// Says why cells cannot be written, down to the first cause.
    pub(crate) fn not_encodable(error: &dyn Error) -> Self {
        let (mut reason, mut cause) = (error.to_string(), error.source());
        while let Some(error) = cause {
            reason = format!("{reason}: {error}");
            cause = error.source();
        }
        Self::NotEncodable { reason }
    }
}

impl fmt::Display for InspectWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCoordinates => write!(f, "no columns of coordinates: name them with --x and --y"),
            Self::UnknownPixelSize => write!(f, "coordinates are in pixels of unknown size: give it in micrometers with --pixel-size"),
            Self::Unit { unit, spacing } => {
                write!(f, "coordinates are in {unit} (a cell every {spacing} units): give the micrometers of a unit with --pixel-size")
            }
            Self::UnusableCoordinates { cells, examples } => {
                write!(f, "{cells} cells have coordinates that are missing or not finite: {}", some(examples, *cells))
            }
            Self::NoSectionColumn => write!(f, "no column says which section a cell is of: name one with --section"),
            Self::OneSection { section } => write!(f, "all cells are of one section ({section}): there is no other one to test on"),
            Self::NoFullBin => write!(f, "no bin of 200 micrometers has 5 cells: give `tn patch` a wider --bin-width"),
            Self::CollidingSymbols { groups, examples } => {
                let examples: Vec<String> = examples.iter().map(|symbols| symbols.join(" and ")).collect();
                write!(f, "gene symbols that are the same in upper case: {}", some(&examples, *groups))
            }
            Self::UnusableSymbol { symbol, reason } => write!(f, "the gene symbol {symbol:?} cannot be written: {reason}"),
            Self::RepeatedNames { cells, names, examples } => {
                write!(f, "{cells} cells have the name of an earlier cell: {}", some(examples, *names))
            }
            Self::NotEncodable { reason } => write!(f, "tokens cannot be counted: {reason}"),
        }
    }
}

/// Lists examples of so many things, and says that there are others.
fn some(examples: &[String], all: usize) -> String {
    if examples.len() < all { format!("{}, …", list(examples)) } else { list(examples) }
}

/// Finds what could go wrong with cells. `unit_is_documented` where the format says what the unit is, so that nothing is guessed.
pub(super) fn warn_of_cells(cells: &Cells, bins: &FilledBins<'_>, unit_is_documented: bool) -> Vec<InspectWarning> {
    let unit = guess_unit(cells).filter(|(unit, _)| !unit_is_documented && *unit != UnitGuess::Micrometers);
    let unit = match cells.micrometers_per_unit {
        None if cells.places.is_some() => Some(InspectWarning::UnknownPixelSize),
        _ => unit.map(|(unit, spacing)| InspectWarning::Unit { unit, spacing }),
    };
    [
        cells.places.is_none().then_some(InspectWarning::NoCoordinates),
        unit,
        unusable_coordinates(cells),
        sections(cells),
        (!bins.is_empty() && bins.usable().is_empty()).then_some(InspectWarning::NoFullBin),
        repeated_names(&cells.names),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Finds what could go wrong with gene symbols.
pub(super) fn warn_of_genes(genes: &[String]) -> Vec<InspectWarning> {
    let mut spellings: BTreeMap<GeneSymbol, Vec<&String>> = BTreeMap::new();
    let mut warnings = Vec::new();
    for gene in genes {
        match GeneSymbol::new(gene) {
            Ok(symbol) => spellings.entry(symbol).or_default().push(gene),
            // One is enough to refuse the file.
            Err(error) if warnings.is_empty() => {
                warnings.push(InspectWarning::UnusableSymbol { symbol: gene.clone(), reason: error.to_string() });
            }
            Err(_) => {}
        }
    }
    let groups: Vec<Vec<String>> =
        spellings.into_values().filter(|group| group.len() > 1).map(|group| group.into_iter().cloned().collect()).collect();
    if !groups.is_empty() {
        warnings.push(InspectWarning::CollidingSymbols { groups: groups.len(), examples: groups.into_iter().take(SHOWN).collect() });
    }
    warnings
}

fn unusable_coordinates(cells: &Cells) -> Option<InspectWarning> {
    let places = cells.places.iter().flatten().enumerate();
    let lost: Vec<usize> =
        places.filter(|(_, place)| !place.iter().all(|coordinate| coordinate.is_finite())).map(|(cell, _)| cell).collect();
    let examples = lost.iter().take(SHOWN).map(|&cell| cells.name(cell)).collect();
    (!lost.is_empty()).then_some(InspectWarning::UnusableCoordinates { cells: lost.len(), examples })
}

fn sections(cells: &Cells) -> Option<InspectWarning> {
    if cells.sections.is_none() {
        return Some(InspectWarning::NoSectionColumn);
    }
    let mut sections = cells.count_sections().into_keys();
    match (sections.next(), sections.next()) {
        (Some(section), None) => Some(InspectWarning::OneSection { section }),
        _ => None,
    }
}

fn repeated_names(names: &[String]) -> Option<InspectWarning> {
    let (mut seen, mut repeated, mut examples, mut cells) = (HashSet::new(), HashSet::new(), Vec::new(), 0);
    for name in names.iter().filter(|name| !seen.insert(name.as_str())) {
        cells += 1;
        if repeated.insert(name.as_str()) && examples.len() < SHOWN {
            examples.push(name.clone());
        }
    }
    (cells > 0).then_some(InspectWarning::RepeatedNames { cells, names: repeated.len(), examples })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::section_reader::TextColumn;

    fn texts(values: &[&str]) -> Vec<String> {
        values.iter().map(|value| (*value).to_owned()).collect()
    }

    /// A hundred cells on a grid, in two sections.
    fn cells(spacing: f64) -> Cells {
        Cells {
            names: (0..100).map(|cell| format!("c{cell}")).collect(),
            places: Some((0..100).map(|cell| [f64::from(cell / 2 % 10) * spacing, f64::from(cell / 20) * spacing]).collect()),
            micrometers_per_unit: Some(1.0),
            sections: Some(TextColumn::from_values((0..100).map(|cell| Some((cell % 2).to_string())))),
        }
    }

    fn check(cells: &Cells, expected: &[&str]) {
        let found: Vec<String> = warn_of_cells(cells, &FilledBins::of(cells), false).iter().map(ToString::to_string).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_usual_section_gives_no_warning() {
        check(&cells(20.0), &[]);
    }

    #[test]
    fn what_is_missing_is_named_with_the_option_that_helps() {
        check(&Cells { places: None, ..cells(20.0) }, &["no columns of coordinates: name them with --x and --y"]);
        let no_column = "no column says which section a cell is of: name one with --section";
        check(&Cells { sections: None, ..cells(20.0) }, &[no_column]);
        let one = TextColumn::from_values(vec![Some("s1".to_owned()); 100]);
        check(&Cells { sections: Some(one), ..cells(20.0) }, &["all cells are of one section (s1): there is no other one to test on"]);
        let pixels = "coordinates are in pixels of unknown size: give it in micrometers with --pixel-size";
        check(&Cells { micrometers_per_unit: None, ..cells(20.0) }, &[pixels]);
    }

    #[test]
    fn units_that_are_no_micrometers_are_told_unless_they_are_documented() {
        let nanometers = cells(20_000.0);
        let found = warn_of_cells(&nanometers, &FilledBins::of(&nanometers), false);
        assert!(
            matches!(found[..], [InspectWarning::Unit { unit: UnitGuess::PixelsOrNanometers, .. }, InspectWarning::NoFullBin]),
            "{found:?}"
        );
        assert!(found[0].to_string().contains("pixels or nanometers") && found[0].to_string().contains("--pixel-size"), "{}", found[0]);
        let found = warn_of_cells(&nanometers, &FilledBins::of(&nanometers), true);
        assert_eq!(found, [InspectWarning::NoFullBin]);
    }

    #[test]
    fn lost_and_repeated_cells_are_named() {
        let mut cells = cells(20.0);
        cells.names[7] = "c3".to_owned();
        cells.names[8] = "c3".to_owned();
        for place in &mut cells.places.as_mut().unwrap()[40..47] {
            place[1] = f64::NAN;
        }
        check(
            &cells,
            &[
                "7 cells have coordinates that are missing or not finite: c40, c41, c42, c43, c44, …",
                "2 cells have the name of an earlier cell: c3",
            ],
        );
        cells.names.clear();
        cells.places.as_mut().unwrap()[1][0] = f64::INFINITY;
        check(&cells, &["8 cells have coordinates that are missing or not finite: row 1, row 40, row 41, row 42, row 43, …"]);
    }

    #[test]
    fn symbols_that_collide_or_cannot_be_written_are_named() {
        assert_eq!(warn_of_genes(&texts(&["Gfap", "Aqp4"])), []);
        let found: Vec<String> =
            warn_of_genes(&texts(&["Nfe2", "A B", "Gfap", "", "NFE2", "gfap", "GFAP"])).iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("the gene symbol \"A B\" cannot be written: "), "{found:?}");
        assert_eq!(found[1], "gene symbols that are the same in upper case: Gfap and gfap and GFAP, Nfe2 and NFE2");
    }
}
