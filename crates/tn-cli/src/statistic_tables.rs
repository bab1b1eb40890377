//! The rows of tables of statistics.

use tissuenarrator::eval::communication::Interaction;
use tissuenarrator::eval::{DifferentialGene, EnrichedSet};
use tissuenarrator::io::{ColumnKind, ColumnSpec, RowReader, RowWriter, TableError, TableRecord};
use tissuenarrator::sentence::CellRecord;

/// A cell and the group that it is in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GroupRow {
    pub(crate) cell_name: String,
    pub(crate) section: String,
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) class: String,
    pub(crate) group: String,
}

impl GroupRow {
    pub(crate) fn new(cell: &CellRecord, group: &str) -> Self {
        Self {
            cell_name: cell.cell_name.clone(),
            section: cell.section.clone(),
            x: cell.position.x(),
            y: cell.position.y(),
            class: cell.class().unwrap_or_default().to_owned(),
            group: group.to_owned(),
        }
    }
}

/// Columns `cell_name, section, x, y, class, group`; only the first and the last are needed.
impl TableRecord for GroupRow {
    fn columns() -> Vec<ColumnSpec> {
        vec![
            ColumnSpec::required("cell_name", ColumnKind::Text),
            ColumnSpec::optional("section", ColumnKind::Text),
            ColumnSpec::optional("x", ColumnKind::Number),
            ColumnSpec::optional("y", ColumnKind::Number),
            ColumnSpec::optional("class", ColumnKind::Text),
            ColumnSpec::required("group", ColumnKind::Text),
        ]
    }

    fn write(&self, row: &mut RowWriter<'_>) {
        row.text("cell_name", &self.cell_name);
        row.text("section", &self.section);
        row.number("x", self.x);
        row.number("y", self.y);
        row.text("class", &self.class);
        row.text("group", &self.group);
    }

    fn read(row: &RowReader<'_>) -> Result<Self, TableError> {
        let text = |column| row.optional_text(column).unwrap_or_default().to_owned();
        Ok(Self {
            cell_name: row.text("cell_name")?.to_owned(),
            section: text("section"),
            x: row.optional_number("x").unwrap_or(f64::NAN),
            y: row.optional_number("y").unwrap_or(f64::NAN),
            class: text("class"),
            group: row.text("group")?.to_owned(),
        })
    }
}

/// A gene of a comparison, and the group that was compared.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DifferentialRow {
    pub(crate) group: String,
    pub(crate) gene: DifferentialGene,
}

/// Columns `names, scores, logfoldchanges, pvals, pvals_adj, pct_nz_group, pct_nz_reference`, and `group` where there are several.
impl TableRecord for DifferentialRow {
    fn columns() -> Vec<ColumnSpec> {
        let number = |name| ColumnSpec::required(name, ColumnKind::Number);
        let optional = |name| ColumnSpec::optional(name, ColumnKind::Number);
        vec![
            ColumnSpec::required("names", ColumnKind::Text),
            number("scores"),
            optional("logfoldchanges"),
            optional("pvals"),
            optional("pvals_adj"),
            optional("pct_nz_group"),
            optional("pct_nz_reference"),
        ]
    }

    fn keeps_other_columns() -> bool {
        true
    }

    fn write(&self, row: &mut RowWriter<'_>) {
        row.text("names", &self.gene.gene);
        row.number("scores", self.gene.score);
        row.number("logfoldchanges", self.gene.log2_fold_change);
        row.number("pvals", self.gene.p_value);
        row.number("pvals_adj", self.gene.adjusted_p_value);
        row.number("pct_nz_group", self.gene.pct_nz_group);
        row.number("pct_nz_reference", self.gene.pct_nz_reference);
        row.text("group", &self.group);
    }

    fn read(row: &RowReader<'_>) -> Result<Self, TableError> {
        let number = |column| row.optional_number(column).unwrap_or(f64::NAN);
        Ok(Self {
            group: row.optional_text("group").unwrap_or_default().to_owned(),
            gene: DifferentialGene {
                gene: row.text("names")?.to_owned(),
                score: row.number("scores")?,
                log2_fold_change: number("logfoldchanges"),
                p_value: number("pvals"),
                adjusted_p_value: number("pvals_adj"),
                pct_nz_group: number("pct_nz_group"),
                pct_nz_reference: number("pct_nz_reference"),
            },
        })
    }
}

/// What one group may say to another.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct InteractionRow(pub(crate) Interaction);

/// Columns `source, target, ligand, receptor, pathway, probability, p_value, contacts`; the last is empty where all cells may speak.
impl TableRecord for InteractionRow {
    fn columns() -> Vec<ColumnSpec> {
        vec![
            ColumnSpec::required("source", ColumnKind::Text),
            ColumnSpec::required("target", ColumnKind::Text),
            ColumnSpec::required("ligand", ColumnKind::Text),
            ColumnSpec::required("receptor", ColumnKind::Text),
            ColumnSpec::optional("pathway", ColumnKind::Text),
            ColumnSpec::required("probability", ColumnKind::Number),
            ColumnSpec::optional("p_value", ColumnKind::Number),
            ColumnSpec::optional("contacts", ColumnKind::Number),
        ]
    }

    fn write(&self, row: &mut RowWriter<'_>) {
        let Self(interaction) = self;
        row.text("source", &interaction.source);
        row.text("target", &interaction.target);
        row.text("ligand", &interaction.ligand);
        row.text("receptor", &interaction.receptor);
        row.text("pathway", &interaction.pathway);
        row.number("probability", interaction.probability);
        row.number("p_value", interaction.p_value);
        if let Some(contacts) = interaction.contacts {
            row.number("contacts", contacts as f64);
        }
    }

    fn read(row: &RowReader<'_>) -> Result<Self, TableError> {
        Ok(Self(Interaction {
            source: row.text("source")?.to_owned(),
            target: row.text("target")?.to_owned(),
            ligand: row.text("ligand")?.to_owned(),
            receptor: row.text("receptor")?.to_owned(),
            pathway: row.optional_text("pathway").unwrap_or_default().to_owned(),
            probability: row.number("probability")?,
            p_value: row.optional_number("p_value").unwrap_or(f64::NAN),
            contacts: row.optional_number("contacts").map(|contacts| contacts as u64),
        }))
    }
}

/// A gene set of a ranking, as GSEApy's table has it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EnrichmentRow {
    pub(crate) term: String,
    pub(crate) enrichment_score: f64,
    pub(crate) normalized_score: f64,
    pub(crate) p_value: f64,
    pub(crate) false_discovery_rate: f64,
    /// Genes of the leading edge and of the set, such as `12/35`.
    pub(crate) tag: String,
    /// Share of the ranking, such as `10.25%`.
    pub(crate) gene_share: String,
    /// Genes joined by `;`.
    pub(crate) leading_edge: String,
    pub(crate) family_wise_error_rate: f64,
}

impl EnrichmentRow {
    pub(crate) fn new(set: &EnrichedSet) -> Self {
        Self {
            term: set.name.clone(),
            enrichment_score: set.enrichment_score,
            normalized_score: set.normalized_score,
            p_value: set.p_value,
            false_discovery_rate: set.false_discovery_rate,
            tag: format!("{}/{}", set.leading_edge.len(), set.size),
            gene_share: format!("{:.2}%", 100.0 * set.gene_share),
            leading_edge: set.leading_edge.join(";"),
            family_wise_error_rate: set.family_wise_error_rate,
        }
    }
}

/// Columns `Term, ES, NES, NOM p-val, FDR q-val, Tag %, Gene %, Lead_genes, FWER p-val`.
impl TableRecord for EnrichmentRow {
    fn columns() -> Vec<ColumnSpec> {
        let text = |name| ColumnSpec::optional(name, ColumnKind::Text);
        vec![
            ColumnSpec::required("Term", ColumnKind::Text),
            ColumnSpec::optional("ES", ColumnKind::Number),
            ColumnSpec::required("NES", ColumnKind::Number),
            ColumnSpec::optional("NOM p-val", ColumnKind::Number),
            ColumnSpec::required("FDR q-val", ColumnKind::Number),
            text("Tag %"),
            text("Gene %"),
            text("Lead_genes"),
            ColumnSpec::optional("FWER p-val", ColumnKind::Number),
        ]
    }

    fn write(&self, row: &mut RowWriter<'_>) {
        row.text("Term", &self.term);
        row.number("ES", self.enrichment_score);
        row.number("NES", self.normalized_score);
        row.number("NOM p-val", self.p_value);
        row.number("FDR q-val", self.false_discovery_rate);
        row.text("Tag %", &self.tag);
        row.text("Gene %", &self.gene_share);
        row.text("Lead_genes", &self.leading_edge);
        row.number("FWER p-val", self.family_wise_error_rate);
    }

    fn read(row: &RowReader<'_>) -> Result<Self, TableError> {
        let text = |column| row.optional_text(column).unwrap_or_default().to_owned();
        let number = |column| row.optional_number(column).unwrap_or(f64::NAN);
        Ok(Self {
            term: row.text("Term")?.to_owned(),
            enrichment_score: number("ES"),
            normalized_score: row.number("NES")?,
            p_value: number("NOM p-val"),
            false_discovery_rate: row.number("FDR q-val")?,
            tag: text("Tag %"),
            gene_share: text("Gene %"),
            leading_edge: text("Lead_genes"),
            family_wise_error_rate: number("FWER p-val"),
        })
    }
}
