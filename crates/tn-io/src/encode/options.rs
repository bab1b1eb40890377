//! How to make cell records of an expression file.

use tn_sentence::{GeneAliases, TieBreak};

use super::Normalization;
use crate::Provenance;

/// How to make cell records of an expression file.
///
/// # Examples
///
/// ```
/// use tn_io::EncodeOptions;
///
/// let options = EncodeOptions::new()
///     .with_layer("counts")
///     .with_coordinates("center_x", "center_y")
///     .with_section("slice_id")
///     .with_columns(["class", "split"])
///     .with_max_genes(100);
/// ```
#[derive(Clone, Debug, Default)]
pub struct EncodeOptions {
    pub(super) layer: Option<String>,
    pub(super) coordinates: Option<(String, String)>,
    pub(super) pixel_size: Option<f64>,
    pub(super) section: Option<String>,
    pub(super) columns: Vec<Column>,
    pub(super) gene_aliases: GeneAliases,
    pub(super) normalization: Normalization,
    pub(super) max_genes: Option<usize>,
    pub(super) tie_break: TieBreak,
    seed: Option<u64>,
}

/// A column that is copied, and its name in the metadata of the cells.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) column: String,
}

impl Column {
    /// Returns the column as the command line takes it.
    fn argument(&self) -> String {
        if self.name == self.column { self.column.clone() } else { format!("{}={}", self.name, self.column) }
    }
}

impl EncodeOptions {
    /// Returns the defaults: the matrix `X`, columns `x`, `y` (or `obsm/spatial`) and `section`, no other columns,
    /// [`Normalization::Auto`], all genes, ties broken by the seed 42.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a layer in place of `X`, or `raw/X`: see [`open_section`](crate::open_section).
    #[must_use]
    pub fn with_layer(mut self, layer: &str) -> Self {
        self.layer = Some(layer.to_owned());
        self
    }

    /// Takes the coordinates from these columns. Micrometers are expected where the format does not document the unit.
    #[must_use]
    pub fn with_coordinates(mut self, x: &str, y: &str) -> Self {
        self.coordinates = Some((x.to_owned(), y.to_owned()));
        self
    }

    /// Sets how many micrometers a pixel is wide, for coordinates in pixels. A format that documents pixels (CosMx) needs
    /// this; one that documents micrometers refuses it.
    #[must_use]
    pub fn with_pixel_size(mut self, micrometers: f64) -> Self {
        self.pixel_size = Some(micrometers);
        self
    }

    /// Takes the section from this column.
    #[must_use]
    pub fn with_section(mut self, column: &str) -> Self {
        self.section = Some(column.to_owned());
        self
    }

    /// Copies these columns into the metadata of the cells, lower-casing their names.
    #[must_use]
    pub fn with_columns<I>(mut self, columns: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.columns.extend(columns.into_iter().map(Into::into).map(|column| Column { name: column.clone(), column }));
        self
    }

    /// Copies a column into the metadata of the cells under another name: later steps look for `class`, `split` and
    /// `spatial_domain`.
    #[must_use]
    pub fn with_column_as(mut self, column: &str, name: &str) -> Self {
        self.columns.push(Column { name: name.to_owned(), column: column.to_owned() });
        self
    }

    /// Writes the current symbol of each gene that has one of these aliases. The provenance lists those genes.
    #[must_use]
    pub fn with_gene_aliases(mut self, aliases: GeneAliases) -> Self {
        self.gene_aliases = aliases;
        self
    }

    /// Sets what happens to expression before it is ranked.
    #[must_use]
    pub fn with_normalization(mut self, normalization: Normalization) -> Self {
        self.normalization = normalization;
        self
    }

    /// Keeps the highest genes of a cell only.
    #[must_use]
    pub fn with_max_genes(mut self, max_genes: usize) -> Self {
        self.max_genes = Some(max_genes);
        self
    }

    /// Sets how genes of equal expression are ordered.
    #[must_use]
    pub fn with_tie_break(mut self, tie_break: TieBreak) -> Self {
        self.tie_break = tie_break;
        self
    }

    /// Sets the seed that orders genes of equal expression.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    pub(super) fn seed(&self) -> u64 {
        self.seed.unwrap_or(42)
    }

    pub(super) fn provenance(&self) -> Provenance {
        let (x, y) = self.coordinates.clone().unzip();
        let tie_break = match self.tie_break {
            TieBreak::Seed => "seed",
            TieBreak::Symbol => "symbol",
        };
        Provenance::new("encode")
            .with_seed(self.seed())
            .with_option("layer", &self.layer)
            .with_option("x", x)
            .with_option("y", y)
            .with_option("pixel_size", self.pixel_size)
            .with_option("section", &self.section)
            .with_option("columns", self.columns.iter().map(Column::argument).collect::<Vec<_>>())
            .with_option("normalize", self.normalization.to_string())
            .with_option("max_genes", self.max_genes)
            .with_option("tie_break", tie_break)
    }
}
