//! Gene panels: from files, from the metadata of tables, or from the genes that occur.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use tissuenarrator::io::{AnnData, AtomicFile, PANEL_KEY, SectionReader};
use tissuenarrator::model::SentenceTokenizer;
use tissuenarrator::model::generation::Grammar;
use tissuenarrator::sentence::{GeneRanking, SpatialSentence, Vocabulary};

use crate::error::CliError;

/// Name of the panel in a model or adapter folder.
pub(crate) const FILE_NAME: &str = "panel.txt";

/// Reads a panel: one symbol a line, or the genes of an `.h5ad` file.
pub(crate) fn read(path: &Path) -> Result<Vocabulary, CliError> {
    let not_empty = |panel: Vocabulary| match panel.is_empty() {
        true => Err(CliError::EmptyPanel { path: path.to_owned() }),
        false => Ok(panel),
    };
    let unusable = |source| CliError::Panel { path: path.to_owned(), source };
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("h5ad")) {
        return Vocabulary::new(AnnData::open(path)?.genes()).map_err(unusable).and_then(not_empty);
    }
    let text = std::fs::read_to_string(path).map_err(|source| CliError::Open { path: path.to_owned(), source })?;
    Vocabulary::new(text.lines().map(str::trim).filter(|line| !line.is_empty())).map_err(unusable).and_then(not_empty)
}

/// Returns whether a tokenizer can write every gene of a panel.
pub(crate) fn is_written_by(tokenizer: &SentenceTokenizer, panel: &Vocabulary) -> bool {
    Grammar::new(tokenizer, panel).is_ok()
}

/// Writes a panel, one symbol a line.
pub(crate) fn write(panel: &Vocabulary, path: &Path) -> Result<(), CliError> {
    let text: String = panel.iter().map(|symbol| format!("{symbol}\n")).collect();
    write_text(&text, path)
}

/// Writes a text file completely or not at all.
pub(crate) fn write_text(text: &str, path: &Path) -> Result<(), CliError> {
    write_bytes(text.as_bytes(), path)
}

/// Writes a file completely or not at all.
pub(crate) fn write_bytes(bytes: &[u8], path: &Path) -> Result<(), CliError> {
    let write = || {
        let mut file = AtomicFile::create(path)?;
        std::io::Write::write_all(&mut file, bytes)?;
        file.commit()
    };
    write().map_err(|source| CliError::Write { path: path.to_owned(), source })
}

/// Returns the panel that `tn encode` left in the metadata of a table and the later steps passed on.
pub(crate) fn of_metadata(metadata: &BTreeMap<String, String>) -> Option<Vocabulary> {
    let symbols: Vec<String> = serde_json::from_str(metadata.get(PANEL_KEY)?).ok()?;
    Vocabulary::new(symbols).ok()
}

/// Returns all genes of some rankings, by symbol.
pub(crate) fn of_rankings<'r>(rankings: impl Iterator<Item = &'r GeneRanking>) -> Option<Vocabulary> {
    let symbols: BTreeSet<&str> = rankings.flat_map(|ranking| ranking.genes().iter().map(AsRef::as_ref)).collect();
    Vocabulary::new(symbols).ok()
}

/// Returns all genes in the gene lists of some sentences, by symbol.
pub(crate) fn of_sentences<'s>(sentences: impl Iterator<Item = &'s str>) -> Option<Vocabulary> {
    let mut symbols: BTreeSet<String> = BTreeSet::new();
    for sentence in sentences {
        for cell in SpatialSentence::parse_lenient(sentence).0.cells() {
            for gene in cell.ranking().genes() {
                if !symbols.contains(gene.as_str()) {
                    symbols.insert(gene.to_string());
                }
            }
        }
    }
    Vocabulary::new(symbols).ok()
}
