//! Named sets of genes, such as pathways.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io::BufRead;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A named set of genes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GeneSet {
    /// The name, such as `REACTOME_CELL_CYCLE`.
    pub name: String,
    /// What the file says about it, often an address.
    pub description: String,
    /// The genes, each once, in the order of the file and as it spells them.
    pub genes: Vec<String>,
}

/// Why gene sets cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GeneSetError {
    /// The text cannot be read.
    #[error("the gene sets cannot be read")]
    Read(#[from] std::io::Error),
    /// A line is not a set.
    #[error("line {line} has {fields} fields separated by tabs; a set has a name, a description and its genes")]
    Malformed {
        /// The line, counted from 1.
        line: usize,
        /// Its fields.
        fields: usize,
    },
    /// A set has no genes.
    #[error("set {name:?} in line {line} has no genes")]
    Empty {
        /// The set.
        name: String,
        /// The line, counted from 1.
        line: usize,
    },
    /// Two sets have one name.
    #[error("set {name:?} is in line {first} and again in line {second}")]
    Repeated {
        /// The name.
        name: String,
        /// Its first line, counted from 1.
        first: usize,
        /// Its second line.
        second: usize,
    },
}

/// Gene sets in their order.
///
/// ```
/// use tn_eval::GeneSets;
///
/// let gmt = "CHOLESTEROL\thttp://example.org\tHMGCS1\tHMGCR\tSQLE\nGLIA\tna\tGFAP\tAQP4\n";
/// let sets = GeneSets::from_gmt(gmt.as_bytes())?;
/// assert_eq!((sets.len(), sets.sets()[1].genes.len()), (2, 2));
/// # Ok::<(), tn_eval::GeneSetError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GeneSets {
    sets: Vec<GeneSet>,
}

impl GeneSets {
    /// Collects sets that are at hand. Genes that a set names twice count once.
    pub fn new(sets: impl IntoIterator<Item = GeneSet>) -> Self {
        let distinct = |mut set: GeneSet| {
            let mut known = HashSet::new();
            set.genes.retain(|gene| known.insert(gene.clone()));
            set
        };
        Self { sets: sets.into_iter().map(distinct).collect() }
    }

    /// Reads sets in the format GMT: a line for each, with name, description and genes separated by tabs.
    ///
    /// Empty lines and empty fields between tabs are skipped, a gene that a set names twice counts once.
    ///
    /// # Errors
    ///
    /// Lines without a description or without genes, names that occur twice, and text that cannot be read are errors that say where.
    pub fn from_gmt(reader: impl BufRead) -> Result<Self, GeneSetError> {
        let mut sets = Vec::new();
        let mut lines: HashMap<String, usize> = HashMap::new();
        for (number, line) in (1..).zip(reader.lines()) {
            let line = line?;
            if line.trim().is_empty() {
                continue;
            }
            let mut fields = line.trim_end_matches('\r').split('\t').map(str::trim);
            let (Some(name), Some(description)) = (fields.next(), fields.next()) else {
                return Err(GeneSetError::Malformed { line: number, fields: line.split('\t').count() });
            };
            let genes: Vec<String> = fields.filter(|gene| !gene.is_empty()).map(str::to_string).collect();
            if genes.is_empty() {
                return Err(GeneSetError::Empty { name: name.to_string(), line: number });
            }
            if let Some(first) = lines.insert(name.to_string(), number) {
                return Err(GeneSetError::Repeated { name: name.to_string(), first, second: number });
            }
            sets.push(GeneSet { name: name.to_string(), description: description.to_string(), genes });
        }
        Ok(Self::new(sets))
    }

    /// Returns the sets.
    #[must_use]
    pub fn sets(&self) -> &[GeneSet] {
        &self.sets
    }

    /// Returns the number of sets.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sets.len()
    }

    /// Returns whether there are no sets.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    /// Says how many of some genes are in any of the sets, as they are spelled and when case is ignored.
    #[must_use]
    pub fn matches<G: AsRef<str>>(&self, genes: &[G]) -> GeneMatch {
        let of_sets = || self.sets.iter().flat_map(|set| &set.genes);
        let exact: HashSet<&str> = of_sets().map(String::as_str).collect();
        let upper: HashSet<String> = of_sets().map(|gene| gene.to_uppercase()).collect();
        let genes = genes.iter().map(AsRef::as_ref);
        GeneMatch {
            genes: genes.len(),
            exact: genes.clone().filter(|gene| exact.contains(gene)).count(),
            ignoring_case: genes.clone().filter(|gene| upper.contains(&gene.to_uppercase())).count(),
            genes_like: Spelling::of(genes),
            sets_like: Spelling::of(of_sets().map(String::as_str)),
        }
    }
}

/// Whether symbols that differ in case are the same gene.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SymbolCase {
    /// They are not: `Gfap` is a mouse's, `GFAP` a human's.
    #[default]
    Exact,
    /// They are: sets of one species are used for another whose symbols are alike.
    Insensitive,
}

impl SymbolCase {
    /// Returns the form of a symbol that is compared.
    pub(crate) fn key(self, symbol: &str) -> String {
        match self {
            Self::Exact => symbol.to_string(),
            Self::Insensitive => symbol.to_uppercase(),
        }
    }
}

/// How symbols are spelled, and by whom usually.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Spelling {
    /// `GFAP`, as human genes.
    Upper,
    /// `Gfap`, as mouse and rat genes.
    Capitalized,
    /// Neither for most.
    Other,
}

impl Spelling {
    fn of<'g>(genes: impl Iterator<Item = &'g str>) -> Self {
        let (mut upper, mut capitalized, mut all) = (0, 0, 0);
        for gene in genes.filter(|gene| gene.chars().filter(|c| c.is_alphabetic()).count() > 1) {
            all += 1;
            let has_lower = gene.chars().any(char::is_lowercase);
            upper += usize::from(!has_lower);
            capitalized += usize::from(has_lower && gene.chars().next().is_some_and(char::is_uppercase));
        }
        match (2 * upper > all, 2 * capitalized > all) {
            (true, _) => Self::Upper,
            (_, true) => Self::Capitalized,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for Spelling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Upper => "in upper case, as human genes",
            Self::Capitalized => "capitalized, as mouse and rat genes",
            Self::Other => "in no usual way",
        })
    }
}

/// How well some genes and some sets fit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GeneMatch {
    /// The genes.
    pub genes: usize,
    /// Those that are in a set as they are spelled.
    pub exact: usize,
    /// Those that are in a set when case is ignored.
    pub ignoring_case: usize,
    /// How most of the genes are spelled.
    pub genes_like: Spelling,
    /// How most of the genes of the sets are spelled.
    pub sets_like: Spelling,
}

/// Says it in a sentence.
impl fmt::Display for GeneMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} genes are in the sets as they are spelled, {} when case is ignored",
            self.exact, self.genes, self.ignoring_case
        )?;
        match self.genes_like == self.sets_like {
            true => Ok(()),
            false => write!(f, "; the genes are {}, those of the sets {}", self.genes_like, self.sets_like),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gmt_is_read_with_its_oddities() {
        let sets = GeneSets::from_gmt("A\tx\tG1\tG2\t\tG1\r\n\nB\t\tG3\t\n".as_bytes()).unwrap();
        assert_eq!(sets.sets()[0].genes, ["G1", "G2"]);
        assert_eq!((sets.sets()[1].name.as_str(), sets.sets()[1].description.as_str()), ("B", ""));
        assert!(GeneSets::from_gmt("".as_bytes()).unwrap().is_empty());
    }

    #[test]
    fn bad_lines_are_named() {
        let error = |gmt: &str| GeneSets::from_gmt(gmt.as_bytes()).unwrap_err().to_string();
        assert_eq!(error("A\tx\tG\nB"), "line 2 has 1 fields separated by tabs; a set has a name, a description and its genes");
        assert_eq!(error("A\tx\t"), "set \"A\" in line 1 has no genes");
        assert_eq!(error("A\tx\tG\n\nA\ty\tH"), "set \"A\" is in line 1 and again in line 3");
        assert_eq!(GeneSets::from_gmt(&[b'A', 0xff][..]).unwrap_err().to_string(), "the gene sets cannot be read");
    }

    #[test]
    fn species_are_told_by_their_spelling() {
        let sets = GeneSets::from_gmt("A\tx\tGFAP\tAQP4\tC1orf43\n".as_bytes()).unwrap();
        let of_mouse = sets.matches(&["Gfap", "Aqp4", "Plp1"]);
        assert_eq!((of_mouse.exact, of_mouse.ignoring_case), (0, 2));
        let expected = "0 of 3 genes are in the sets as they are spelled, 2 when case is ignored; the genes are capitalized, as mouse and \
                        rat genes, those of the sets in upper case, as human genes";
        assert_eq!(of_mouse.to_string(), expected);
        assert_eq!(sets.matches(&["GFAP", "X"]).to_string(), "1 of 2 genes are in the sets as they are spelled, 1 when case is ignored");
    }
}
