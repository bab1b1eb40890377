//! Tables of ligand-receptor pairs, as the common databases lay them out.

use std::collections::HashMap;
use std::fmt;
use std::io::BufRead;

use thiserror::Error;

use super::{CoFactors, LigandReceptorPair, Molecule};

/// The layout of a table of pairs, told by its columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PairLayout {
    /// CellChatDB's `interaction` table: `interaction_name, pathway_name, ligand, receptor`, and where they are `agonist, antagonist,
    /// co_A_receptor, co_I_receptor, interaction_name_2`.
    CellChatDb,
    /// CellPhoneDB's `interaction_input`: `partner_a, partner_b`, proteins by UniProt or complexes by name, and where it is
    /// `classification` for the pathway.
    CellPhoneDb,
    /// LIANA's resources: `ligand, receptor`, subunits joined by `_`, and where it is `pathway` (or `pathway_name`).
    Liana,
    /// OmniPath's interactions: `source_genesymbol, target_genesymbol`, subunits joined by `_`.
    OmniPath,
}

impl PairLayout {
    fn of_columns(has: impl Fn(&str) -> bool) -> Option<Self> {
        let layouts: [(Self, &[&str]); 4] = [
            (Self::CellChatDb, &["interaction_name", "pathway_name", "ligand", "receptor"]),
            (Self::CellPhoneDb, &["partner_a", "partner_b"]),
            (Self::OmniPath, &["source_genesymbol", "target_genesymbol"]),
            (Self::Liana, &["ligand", "receptor"]),
        ];
        layouts.into_iter().find(|(_, columns)| columns.iter().all(|column| has(column))).map(|(layout, _)| layout)
    }
}

impl fmt::Display for PairLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CellChatDb => "CellChatDB",
            Self::CellPhoneDb => "CellPhoneDB",
            Self::Liana => "LIANA",
            Self::OmniPath => "OmniPath",
        })
    }
}

/// Why a table of pairs cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PairTableError {
    /// The text cannot be read as a table.
    #[error("the table cannot be read")]
    Csv(#[from] csv::Error),
    /// The columns are of no layout that is known.
    #[error(
        "columns {} are of no known layout; expected ligand, receptor (LIANA); source_genesymbol, target_genesymbol (OmniPath); partner_a, partner_b (CellPhoneDB); or interaction_name, pathway_name, ligand, receptor (CellChatDB)",
        found.join(", ")
    )]
    UnknownLayout {
        /// The columns.
        found: Vec<String>,
    },
    /// A table of names lacks a column.
    #[error("a table of {what} has columns {}; expected {expected}", found.join(", "))]
    UnknownNames {
        /// What the table should name.
        what: &'static str,
        /// The columns it should have.
        expected: &'static str,
        /// The columns it has.
        found: Vec<String>,
    },
    /// A pair lacks a partner.
    #[error("row {row} has no {column}")]
    MissingPartner {
        /// The row, counted from 1 after the header.
        row: usize,
        /// The column that is empty.
        column: &'static str,
    },
}

/// Reads pairs from the tables of databases, comma- or tab-separated.
///
/// Databases name complexes and proteins in tables of their own; add those first. A name that no table resolves is taken for a gene
/// symbol, or, joined by `_`, for symbols of subunits (`TGFBR1_TGFBR2`); CellChatDB's `interaction_name_2` (`TGFB1 - (TGFBR1+TGFBR2)`)
/// has the subunits, too. Symbols are left as they are spelled.
///
/// ```
/// use tn_eval::communication::{PairLayout, PairTable};
///
/// let table = "ligand,receptor\nCXCL12,CXCR4\nTGFB1,TGFBR1_TGFBR2\n";
/// let (layout, pairs) = PairTable::new().read(table.as_bytes())?;
/// assert_eq!(layout, PairLayout::Liana);
/// assert_eq!(pairs[1].receptor.subunits(), ["TGFBR1", "TGFBR2"]);
/// # Ok::<(), tn_eval::communication::PairTableError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct PairTable {
    /// Subunits of complexes, by name.
    complexes: HashMap<String, Vec<String>>,
    /// Symbols of genes, by protein.
    symbols: HashMap<String, String>,
    /// Genes of co-factors, by name.
    co_factors: HashMap<String, Vec<String>>,
}

impl PairTable {
    /// Reads without tables of names.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds complexes: a table of a name and `subunit_1, subunit_2, …` (CellChatDB) or `uniprot_1, uniprot_2, …` (CellPhoneDB).
    ///
    /// # Errors
    ///
    /// A text that is no table and one without such columns are errors.
    pub fn with_complexes(mut self, table: impl BufRead) -> Result<Self, PairTableError> {
        let expected = "a name and subunit_1, subunit_2, ... or uniprot_1, uniprot_2, ...";
        self.complexes = named_lists(table, &["subunit_", "uniprot_"], "complexes", expected)?;
        Ok(self)
    }

    /// Adds the symbols of proteins: a table with `uniprot` and `gene_name` or `hgnc_symbol` (CellPhoneDB's `gene_input`).
    ///
    /// # Errors
    ///
    /// A text that is no table and one without such columns are errors.
    pub fn with_proteins(mut self, table: impl BufRead) -> Result<Self, PairTableError> {
        let Rows { columns, rows } = Rows::read(table)?;
        let of_name = |names: &[&str]| names.iter().find_map(|name| columns.iter().position(|column| column == name));
        let (Some(protein), Some(symbol)) = (of_name(&["uniprot"]), of_name(&["gene_name", "hgnc_symbol"])) else {
            return Err(PairTableError::UnknownNames { what: "proteins", expected: "uniprot and gene_name", found: columns });
        };
        self.symbols = rows.into_iter().map(|row| (row[protein].clone(), row[symbol].clone())).collect();
        Ok(self)
    }

    /// Adds co-factors: a table of a name and `cofactor1, cofactor2, …` (CellChatDB).
    ///
    /// # Errors
    ///
    /// A text that is no table and one without such columns are errors.
    pub fn with_co_factors(mut self, table: impl BufRead) -> Result<Self, PairTableError> {
        self.co_factors = named_lists(table, &["cofactor"], "co-factors", "a name and cofactor1, cofactor2, ...")?;
        Ok(self)
    }

    /// Reads the pairs of a table, in its order, and says which layout it has. A pair that is there twice is read once.
    ///
    /// # Errors
    ///
    /// A text that is no table, columns of no known layout, and a row that lacks a partner are errors.
    pub fn read(&self, table: impl BufRead) -> Result<(PairLayout, Vec<LigandReceptorPair>), PairTableError> {
        let Rows { columns, rows } = Rows::read(table)?;
        let Some(layout) = PairLayout::of_columns(|name| columns.iter().any(|column| column == name)) else {
            return Err(PairTableError::UnknownLayout { found: columns });
        };
        let mut pairs: Vec<LigandReceptorPair> = Vec::new();
        let mut known = std::collections::HashSet::new();
        for (number, row) in rows.iter().enumerate() {
            let row = Row { columns: &columns, values: row, number: number + 1 };
            let pair = match layout {
                PairLayout::CellChatDb => self.cell_chat_pair(row)?,
                PairLayout::CellPhoneDb => self.pair(row, "partner_a", "partner_b", &["classification"])?,
                PairLayout::Liana => self.pair(row, "ligand", "receptor", &["pathway", "pathway_name"])?,
                PairLayout::OmniPath => self.pair(row, "source_genesymbol", "target_genesymbol", &["pathway"])?,
            };
            if known.insert((pair.ligand.clone(), pair.receptor.clone())) {
                pairs.push(pair);
            }
        }
        Ok((layout, pairs))
    }

    fn pair(
        &self,
        row: Row<'_>,
        ligand: &'static str,
        receptor: &'static str,
        pathway: &[&str],
    ) -> Result<LigandReceptorPair, PairTableError> {
        let pair = LigandReceptorPair::new(self.molecule(row.needed(ligand)?), self.molecule(row.needed(receptor)?));
        let pathway = pathway.iter().map(|column| row.value(column)).find(|value| !value.is_empty());
        Ok(pair.with_pathway(pathway.unwrap_or_default()))
    }

    fn cell_chat_pair(&self, row: Row<'_>) -> Result<LigandReceptorPair, PairTableError> {
        let mut pair = self.pair(row, "ligand", "receptor", &["pathway_name"])?;
        if let Some((ligand, receptor)) = row.value("interaction_name_2").split_once(" - ") {
            for (molecule, name, spelled) in [(&mut pair.ligand, "ligand", ligand), (&mut pair.receptor, "receptor", receptor)] {
                if !self.complexes.contains_key(row.value(name)) {
                    *molecule = Molecule::new(spelled.trim().trim_matches(['(', ')']).split('+').map(str::trim));
                }
            }
        }
        let genes = |column| {
            let name = row.value(column);
            self.co_factors.get(name).cloned().unwrap_or_default()
        };
        Ok(pair.with_co_factors(CoFactors {
            agonists: genes("agonist"),
            antagonists: genes("antagonist"),
            co_stimulators: genes("co_A_receptor"),
            co_inhibitors: genes("co_I_receptor"),
        }))
    }

    /// Resolves a name: of a complex, of a protein, of subunits joined by `_`, or the gene itself.
    fn molecule(&self, name: &str) -> Molecule {
        let name = ["COMPLEX:", "complex:"].iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name);
        let subunits = match self.complexes.get(name) {
            Some(subunits) => subunits.clone(),
            None if self.symbols.contains_key(name) => vec![name.to_string()],
            None => name.split('_').filter(|subunit| !subunit.is_empty()).map(str::to_string).collect(),
        };
        Molecule::new(subunits.into_iter().map(|subunit| self.symbols.get(&subunit).cloned().unwrap_or(subunit)))
    }
}

/// A table as text.
struct Rows {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Rows {
    /// Reads a table. It is separated by tabs if its header has one.
    fn read(mut table: impl BufRead) -> Result<Self, PairTableError> {
        let mut header = String::new();
        table.read_line(&mut header).map_err(csv::Error::from)?;
        let delimiter = if header.contains('\t') { b'\t' } else { b',' };
        let text = std::io::Cursor::new(header.into_bytes());
        let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).trim(csv::Trim::All).from_reader(std::io::Read::chain(text, table));
        // The column of row names that R writes has no name.
        let columns = reader.headers()?.iter().map(|column| column.trim_start_matches('\u{feff}').to_string()).collect();
        let rows = reader.records().map(|row| Ok(row?.iter().map(str::to_string).collect())).collect::<Result<_, csv::Error>>()?;
        Ok(Self { columns, rows })
    }
}

#[derive(Clone, Copy)]
struct Row<'r> {
    columns: &'r [String],
    values: &'r [String],
    number: usize,
}

impl<'r> Row<'r> {
    /// Returns a value, empty where it or its column is missing.
    fn value(self, column: &str) -> &'r str {
        match self.columns.iter().position(|other| other == column).map(|place| self.values[place].as_str()) {
            None | Some("NA") => "",
            Some(value) => value,
        }
    }

    fn needed(self, column: &'static str) -> Result<&'r str, PairTableError> {
        match self.value(column) {
            "" => Err(PairTableError::MissingPartner { row: self.number, column }),
            value => Ok(value),
        }
    }
}

/// Reads lists by name: the first column, and all columns whose names begin with one of the prefixes.
fn named_lists(
    table: impl BufRead,
    prefixes: &[&str],
    what: &'static str,
    expected: &'static str,
) -> Result<HashMap<String, Vec<String>>, PairTableError> {
    let Rows { columns, rows } = Rows::read(table)?;
    let is_item = |column: &String| prefixes.iter().any(|prefix| column.starts_with(prefix));
    let items: Vec<usize> = (1..columns.len()).filter(|&place| is_item(&columns[place])).collect();
    if items.is_empty() {
        return Err(PairTableError::UnknownNames { what, expected, found: columns });
    }
    let list = |row: &Vec<String>| items.iter().map(|&place| row[place].clone()).filter(|item| !item.is_empty() && item != "NA").collect();
    Ok(rows.iter().map(|row| (row[0].clone(), list(row))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn genes(molecule: &Molecule) -> String {
        molecule.to_string()
    }

    #[test]
    fn cell_chat_tables_are_read() {
        let complexes = ",subunit_1,subunit_2,subunit_3\nTGFbR1_R2,TGFBR1,TGFBR2,\n";
        let co_factors = ",cofactor1,cofactor2\nTGFb antagonist,DCN,\nTGFb inhibition receptor,BAMBI,SMAD6\n";
        let pairs = ",interaction_name,pathway_name,ligand,receptor,agonist,antagonist,co_A_receptor,co_I_receptor,interaction_name_2\n\
                     1,TGFB1_TGFBR1_TGFBR2,TGFb,TGFB1,TGFbR1_R2,,TGFb antagonist,,TGFb inhibition receptor,TGFB1  - (TGFBR1+TGFBR2)\n\
                     2,INHBA_ACVR,ACTIVIN,INHBA,ACVR1B_ACVR2A,,,,,INHBA - (ACVR1B+ACVR2A)\n";
        let table = PairTable::new().with_complexes(complexes.as_bytes()).unwrap().with_co_factors(co_factors.as_bytes()).unwrap();
        let (layout, pairs) = table.read(pairs.as_bytes()).unwrap();
        assert_eq!((layout, pairs.len()), (PairLayout::CellChatDb, 2));
        assert_eq!((genes(&pairs[0].ligand), genes(&pairs[0].receptor)), ("TGFB1".into(), "TGFBR1_TGFBR2".into()));
        assert_eq!((pairs[0].pathway.as_str(), genes(&pairs[1].receptor)), ("TGFb", "ACVR1B_ACVR2A".into()));
        assert_eq!(
            (&pairs[0].co_factors.antagonists[..], &pairs[0].co_factors.co_inhibitors[1]),
            (&["DCN".to_string()][..], &"SMAD6".to_string())
        );
    }

    #[test]
    fn cell_phone_tables_are_read() {
        let proteins = "gene_name,uniprot,hgnc_symbol\nTGFB1,P01137,TGFB1\nTGFBR1,P36897,TGFBR1\nTGFBR2,P37173,TGFBR2\n";
        let complexes = "complex_name,uniprot_1,uniprot_2,transmembrane\nTGFbeta_receptor1,P36897,P37173,True\n";
        let pairs = "id_cp_interaction\tpartner_a\tpartner_b\tclassification\nCPI-1\tP01137\tTGFbeta_receptor1\tSignaling by TGF\n";
        let table = PairTable::new().with_complexes(complexes.as_bytes()).unwrap().with_proteins(proteins.as_bytes()).unwrap();
        let (layout, pairs) = table.read(pairs.as_bytes()).unwrap();
        assert_eq!(layout, PairLayout::CellPhoneDb);
        assert_eq!(pairs[0].to_string(), "TGFB1 - TGFBR1_TGFBR2");
        assert_eq!(pairs[0].pathway, "Signaling by TGF");
    }

    #[test]
    fn omnipath_and_liana_tables_are_read_and_repeats_left_out() {
        let table = "source_genesymbol,target_genesymbol\nCXCL12,CXCR4\nIL12A,COMPLEX:IL12RB1_IL12RB2\nCXCL12,CXCR4\n";
        let (layout, pairs) = PairTable::new().read(table.as_bytes()).unwrap();
        assert_eq!((layout, pairs.len()), (PairLayout::OmniPath, 2));
        assert_eq!(pairs[1].to_string(), "IL12A - IL12RB1_IL12RB2");
    }

    #[test]
    fn bad_tables_are_errors_that_say_what_was_found() {
        let error = |table: &str| PairTable::new().read(table.as_bytes()).unwrap_err().to_string();
        assert!(error("a,b\n1,2\n").starts_with("columns a, b are of no known layout; expected ligand, receptor"));
        assert_eq!(error("ligand,receptor\nA,B\n,C\n"), "row 2 has no ligand");
        assert_eq!(error("ligand,receptor\nA\n"), "the table cannot be read");
        assert!(error("").starts_with("columns"));
        let error = PairTable::new().with_complexes("name,a\nX,b\n".as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("a table of complexes has columns name, a; expected a name and subunit_1"), "{error}");
        assert!(PairTable::new().with_proteins("uniprot\nX\n".as_bytes()).is_err());
    }
}
