//! `tn gsea`.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::json;
use tissuenarrator::eval::{GeneSets, Prerank, PrerankTable, SymbolCase};
use tissuenarrator::io::{PROVENANCE_KEY, TableReader, TableWriter};

use crate::cell_tables;
use crate::error::CliError;
use crate::ranges;
use crate::report::Report;
use crate::statistic_tables::{DifferentialRow, EnrichmentRow};

/// Sets that the summary names.
const SHOWN_SETS: usize = 5;

/// Gene set enrichment analysis of ranked genes, as GSEApy's prerank: which sets are at the top, which at the bottom.
#[derive(Args, Debug)]
pub(crate) struct Gsea {
    /// Genes with scores: a table with `names` and `scores` as `tn de` writes it, or a .rnk file of two columns without a header
    ranked: PathBuf,
    /// Gene sets in the format GMT
    #[arg(long, value_name = "SETS.gmt")]
    gene_sets: PathBuf,
    /// Table of the sets
    #[arg(short, long, value_name = "OUT.csv")]
    output: PathBuf,
    /// What genes are ranked by
    #[arg(long, value_enum, default_value_t = RankBy::Scores)]
    by: RankBy,
    /// Group to take, where the table has several
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Permutations of the genes
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    permutations: usize,
    /// Genes of the ranking that a set has, at least
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = ranges::count())]
    min_size: usize,
    /// Genes of the ranking that a set has, at most
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = ranges::count())]
    max_size: usize,
    /// Power of the scores in the running sum; 0 counts all genes of a set alike
    #[arg(long, value_name = "POWER", default_value_t = 1.0, value_parser = ranges::not_negative)]
    weight: f64,
    /// Take symbols that differ in case for the same gene: sets of one species for another
    #[arg(long)]
    ignore_case: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum RankBy {
    /// The column `scores`
    Scores,
    /// The column `logfoldchanges`
    Logfoldchanges,
}

impl Gsea {
    pub(super) fn run(&self, seed: u64) -> Result<Report, CliError> {
        cell_tables::check_is_no_input(&self.output, &[&self.ranked, &self.gene_sets])?;
        let scored = self.read_ranked()?;
        let file = File::open(&self.gene_sets).map_err(|source| CliError::Open { path: self.gene_sets.clone(), source })?;
        let sets =
            GeneSets::from_gmt(BufReader::new(file)).map_err(|source| CliError::GeneSets { path: self.gene_sets.clone(), source })?;
        let prerank = Prerank::new()
            .with_weight(self.weight)
            .with_sizes(self.min_size, self.max_size)
            .with_permutations(self.permutations)
            .with_seed(seed)
            .with_symbol_case(if self.ignore_case { SymbolCase::Insensitive } else { SymbolCase::Exact });
        let table = prerank.run(&scored, &sets).map_err(|source| CliError::Enrichment { path: self.ranked.clone(), source })?;

        let provenance = cell_tables::provenance("gsea", seed, &[&self.ranked, &self.gene_sets])?
            .with_option("by", format!("{:?}", self.by))
            .with_option("group", &self.group)
            .with_option("permutations", self.permutations)
            .with_option("min_size", self.min_size)
            .with_option("max_size", self.max_size)
            .with_option("weight", self.weight)
            .with_option("ignore_case", self.ignore_case);
        let mut writer = TableWriter::<EnrichmentRow>::create(&self.output)?.with_metadata(PROVENANCE_KEY, &provenance.to_json());
        for set in table.sets() {
            writer.write(&EnrichmentRow::new(set))?;
        }
        writer.finish()?;
        Ok(summary(&table))
    }

    fn read_ranked(&self) -> Result<Vec<(String, f64)>, CliError> {
        if self.ranked.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("rnk")) {
            return self.read_rnk();
        }
        let rows = TableReader::<DifferentialRow>::open(&self.ranked)?.read_all()?;
        let groups: BTreeSet<&str> = rows.iter().map(|row| row.group.as_str()).collect();
        let group = match (&self.group, groups.len()) {
            (Some(group), _) if groups.contains(group.as_str()) => Some(group.as_str()),
            (None, 0 | 1) => None,
            (asked, _) => {
                return Err(CliError::Group {
                    path: self.ranked.clone(),
                    asked: asked.clone(),
                    groups: groups.into_iter().map(str::to_owned).collect(),
                });
            }
        };
        let score = |row: &DifferentialRow| match self.by {
            RankBy::Scores => row.gene.score,
            RankBy::Logfoldchanges => row.gene.log2_fold_change,
        };
        let of_group = rows.iter().filter(|row| group.is_none_or(|group| row.group == group));
        Ok(of_group.map(|row| (row.gene.gene.clone(), score(row))).collect())
    }

    fn read_rnk(&self) -> Result<Vec<(String, f64)>, CliError> {
        let text = std::fs::read_to_string(&self.ranked).map_err(|source| CliError::Open { path: self.ranked.clone(), source })?;
        let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
        lines
            .map(|(number, line)| {
                let pair = line.split_once('\t').and_then(|(gene, score)| Some((gene.trim().to_owned(), score.trim().parse().ok()?)));
                pair.ok_or_else(|| CliError::Ranking { path: self.ranked.clone(), line: number, found: line.to_owned() })
            })
            .collect()
    }
}

fn summary(table: &PrerankTable) -> Report {
    let significant = |positive: bool| {
        let of_side = table.sets().iter().filter(move |set| (set.normalized_score > 0.0) == positive && set.false_discovery_rate < 0.06);
        of_side.map(|set| format!("{} (NES {:.2}, FDR {:.3})", set.name, set.normalized_score, set.false_discovery_rate))
    };
    Report::summary(json!({
        "sets": table.sets().len(),
        "sets_of_other_sizes": table.left_out(),
        "genes": table.matches().to_string(),
        "up_at_fdr_0.06": significant(true).count(),
        "down_at_fdr_0.06": significant(false).count(),
        "up": significant(true).take(SHOWN_SETS).collect::<Vec<_>>(),
        "down": significant(false).take(SHOWN_SETS).collect::<Vec<_>>(),
    }))
}
