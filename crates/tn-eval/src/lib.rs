//! Is the generated tissue right?
//!
//! This crate compares generated cells with measured ones, beside predictors that know no model; turns ranked genes back
//! into expression; measures the response to a perturbation; and draws all of it. It knows models only through
//! [`CellPredictor`](tn_sentence::CellPredictor) and depends on no tensor library.
//!
//! ```
//! use tn_eval::baseline::{ClassMean, ClassMeanTable, NearestNeighbor};
//! use tn_eval::score_cells;
//! use tn_sentence::{TaskRecord, Vocabulary};
//!
//! // An astrocyte to be written, between an astrocyte and a neuron.
//! let task = TaskRecord {
//!     cell_name: "cell-7".to_string(),
//!     prompt: "<pos> X: 3, Y: 4 <meta> class: Neuron <cs> GAD1 SLC32A1 </cs> \
//!              <pos> X: 9, Y: 0 <meta> class: Astro <cs> MLC1 GFAP </cs>".to_string(),
//!     answer: "<pos> X: 0, Y: 0 <meta> class: Astro <cs> AQP4 MLC1 </cs>".to_string(),
//!     class: "Astro".to_string(),
//!     ..TaskRecord::default()
//! };
//!
//! let panel = Vocabulary::new(["AQP4", "GAD1", "GFAP", "MLC1", "SLC32A1"])?;
//! let mut table = ClassMeanTable::new(panel);
//! table.add("Astro", &[0, 2, 3], &[1.0, 0.5, 2.0])?; // training cells: gene indices and expression
//!
//! // A model is scored by the same code, through the same trait.
//! let tasks = [task];
//! let nearest = score_cells(&mut NearestNeighbor::closest(), &tasks, &[2])?;
//! let class_mean = score_cells(&mut ClassMean::of_target(table), &tasks, &[2])?;
//! assert_eq!(nearest.mean("overlap@2"), Some(0.0));
//! assert_eq!(class_mean.mean("overlap@2"), Some(1.0));
//! println!("{class_mean}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which item do I need?
//!
//! | You have | You want | Use |
//! |---|---|---|
//! | a table of generated cells | scores with intervals, over all and by class | [`score_generated`] |
//! | a predictor and tasks | the same | [`score_cells`] |
//! | two ranked lists | one number | [`overlap_at`], [`recall_at`], [`ndcg_at`], [`ndcg_published_at`], [`rank_biased_overlap`], [`shared_kendall`] |
//! | the same, of two predictors | whether one is better | [`score_each`], [`CellScores::compare`] |
//! | numbers of the published program | the same, to the digit | [`evaluate_block`] |
//! | tasks | what a model has to beat | [`baseline`] |
//! | ranked genes | expression | [`ExpressionFitter`], [`ExpressionModel`]; beyond the line [`GeneTable`] |
//! | pairs of control and perturbed predictions | fold changes | [`Response`] |
//! | predicted and observed fold changes | their agreement | [`fold_change_agreement`], [`spearman`] |
//! | scores and labels | how well they separate | [`auroc`] |
//! | probabilities and rankings | whether they come true as often as they say | [`ReliabilityTable`] |
//! | groups of cells | the genes that differ between them | [`DifferentialExpression`] |
//! | cells | the genes that vary most | [`HighlyVariableGenes`] |
//! | genes with scores, and sets of genes | the sets at the top or at the bottom | [`Prerank`] |
//! | a list of genes, and sets of genes | the sets it is about | [`OverRepresentation`] |
//! | many p-values | false discovery rates | [`benjamini_hochberg`] |
//! | generated and observed cells | whether their distributions are alike | [`distribution`] |
//! | expression read from a file, or reconstructed | a matrix that statistics take | [`ExpressionMatrix`] |
//! | expression, cell types and their markers | how well the markers tell them | [`marker_auroc`] |
//! | places and classes | what is around each cell, and who has more of it than its lineage | [`NeighborhoodComposition`], [`niche_levels`] |
//! | expression, groups, ligands and receptors | who may speak to whom | [`communication`] |
//! | any of these | a figure | [`plot`] |
//!
//! # Two NDCGs
//!
//! The published NDCG sorts the *predicted* list to make its ideal, and so never punishes a missing gene: one right gene
//! alone scores 1.0, and random lists score high. [`ndcg_at`] is the standard definition. Tables have both.
//!
//! # Features
//!
//! - `png`: figures also as PNG pictures (`plot::png`), with an embedded font. Off by default: some thirty packages more.
//!
//! # Out of scope
//!
//! Reading and writing files is `tn-io`; which prompts make a scenario is `tn-perturb`; clean-up of generated genes is
//! [`clean_generated_genes`](tn_sentence::clean_generated_genes).

mod auroc;
pub mod baseline;
mod calibration;
pub mod communication;
mod correlation;
mod differential_expression;
pub mod distribution;
mod enrichment;
mod expression;
mod expression_matrix;
mod false_discovery;
mod fold_change_agreement;
mod gene_sets;
mod highly_variable;
mod marker_auroc;
mod niche;
mod number_or_nan;
pub mod plot;
mod published;
mod quantile;
mod ranking_metrics;
mod response;
mod score;

pub use auroc::{AurocError, auroc};
pub use baseline::{predict_tasks, score_cells};
pub use calibration::{CalibrationError, ReliabilityBin, ReliabilityTable};
pub use correlation::{Correlation, CorrelationError, average_ranks, kendall_tau, pearson, spearman};
pub use differential_expression::{
    DifferentialExpression, DifferentialExpressionError, DifferentialGene, DifferentialTable, GeneOrder, Reference, log2_fold_change,
};
pub use enrichment::{EnrichedSet, EnrichmentError, OverRepresentation, Prerank, PrerankTable, SetOverlap};
pub use expression::{
    ExpressionFit, ExpressionFitError, ExpressionFitter, ExpressionModel, ExpressionQuality, GeneTable, RankTable, RankTableFitter,
    RankedExpression, ResidualSpread, expression_quality,
};
pub use expression_matrix::{ExpressionMatrix, ExpressionMatrixError, GeneColumns};
pub use false_discovery::benjamini_hochberg;
pub use fold_change_agreement::{DEFAULT_FOLD_CHANGE_CAP, fold_change_agreement};
pub use gene_sets::{GeneMatch, GeneSet, GeneSetError, GeneSets, Spelling, SymbolCase};
pub use highly_variable::{GeneVariability, HighlyVariableGenes, HighlyVariableGenesError};
pub use marker_auroc::{MarkerAuroc, MarkerAurocError, marker_auroc};
pub use niche::{NeighborhoodComposition, NicheError, NicheLevel, niche_levels};
pub use published::{BlockEvaluation, CutoffEvaluation, evaluate_block};
pub use ranking_metrics::{
    RBO_PERSISTENCE, ndcg, ndcg_at, ndcg_published, ndcg_published_at, overlap_at, rank_biased_overlap, recall_at, shared_kendall,
    shared_spearman,
};
pub use response::{GeneResponse, Response, ResponseError, ResponseMeasure};
pub use score::{
    Bootstrap, CellScores, ClassScore, Estimate, Metric, MetricScore, PairedComparison, PairedComparisonError, ScoreError, ScoreTable,
    ScoredCell, score_each, score_generated,
};
