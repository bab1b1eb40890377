//! Cells as text, and back.
//!
//! A cell becomes a **cell sentence**: its position, what is known about it, and its genes from the highest to the
//! lowest. Neighboring cells make up a **spatial sentence**. This crate prints and parses both, builds the prompts that
//! a language model continues, and reads what it wrote.
//!
//! ```
//! use tn_sentence::{CellSentence, Position, RankEncoder, SpatialSentence, Vocabulary};
//!
//! let panel = Vocabulary::new(["GFAP", "AQP4", "IGF2"])?;
//! // One row of the expression matrix becomes a gene ranking: zeros dropped, highest first, ties broken by the seed.
//! let encoder = RankEncoder::new(&panel).with_max_genes(100).with_seed(42);
//! let ranking = encoder.encode(&[5.0, 0.0, 1.0])?;
//!
//! let cell = CellSentence::new(Position::new(-30.5, 40.2)?, ranking).with_metadata("class", "OEC")?;
//! assert_eq!(cell.to_string(), "<pos> X: -30.5, Y: 40.2 <meta> class: OEC <cs> GFAP IGF2 </cs>");
//!
//! // Curated text parses strictly. Generated text always parses, and what was skipped is reported.
//! assert_eq!(cell.to_string().parse::<CellSentence>()?, cell);
//! let (cells, skipped) = SpatialSentence::parse_lenient("<pos> X: 1, Y: 2 <cs> GFAP GFAP </cs> <pos> X: ?");
//! assert_eq!((cells.cells().len(), skipped.len()), (1, 2));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which type do I need?
//!
//! | You have | You want | Use |
//! |---|---|---|
//! | gene names of a matrix | a checked panel | [`Vocabulary`] |
//! | former names of genes | the current ones | [`GeneAliases`] |
//! | expression of a cell | its ranked genes | [`RankEncoder`], [`GeneRanking`] |
//! | a place and a ranking | text of a cell, or back | [`CellSentence`] |
//! | several cells | text of a neighborhood, or back | [`SpatialSentence`] |
//! | a text of many cells | the one cell that is looked for, such as the nearest | [`UnreadCell`] |
//! | a task row | the text for a model | [`PromptBuilder`] |
//! | text for a model | the same without places, as an ablation | [`Coordinates`] |
//! | the words a model wrote | a clean ranking | [`gene_words`], [`clean_generated_genes`] |
//! | a model or baseline of your own | to have it scored | [`CellPredictor`] |
//! | rows of tables | to pass them on | [`CellRecord`], [`SentenceRecord`], [`TaskRecord`], [`GeneratedRecord`], [`SurpriseRecord`] |
//!
//! # The text format
//!
//! ```text
//! <pos> X: 4768, Y: 6093 <meta> class: HY GABA, spatial_domain: HY <cs> GDA DLK1 RREB1 </cs>
//! ```
//!
//! Coordinates are micrometers. Gene symbols are upper case, of whatever species: see [`Vocabulary`]. `<meta>` and its items
//! may be missing. What would not survive being read is an error
//! when the value is built ([`GeneSymbolError`], [`MetadataError`], [`VocabularyError`]) or is escaped ([`Metadata`]), so
//! that parsing what was printed always gives the same value. [`compat`] has the published program's behavior where it
//! differs.
//!
//! # Features
//!
//! - `serde`: serializes the public values.
//! - `test-suite`: exports the checks that every [`CellPredictor`] should pass.
//!
//! # Out of scope
//!
//! Which cells are neighbors is `tn-spatial`; files are `tn-io`; models are `tn-model`; scores are `tn-eval`.

mod cell_header;
mod cell_sentence;
mod clean_up;
pub mod compat;
mod coordinate_format;
mod coordinates;
mod gene;
mod gene_aliases;
mod logarithm_base;
mod metadata;
mod parse_error;
mod position;
mod predictor;
mod prompt;
mod rank_encoder;
mod ranking;
pub mod records;
mod seed;
mod spatial_sentence;
#[cfg(feature = "test-suite")]
pub mod test_suite;
mod vocabulary;
mod weighted_order;

pub use crate::{
    cell_header::CellHeader,
    cell_sentence::{CellSentence, parser::gene_words},
    clean_up::clean_generated_genes,
    coordinate_format::CoordinateFormat,
    coordinates::Coordinates,
    gene::{GeneSymbol, GeneSymbolError, symbol_hash},
    gene_aliases::{GeneAliasError, GeneAliases},
    logarithm_base::LogarithmBase,
    metadata::{Metadata, MetadataError, NOT_AVAILABLE},
    parse_error::{ParseError, Skipped, Tag},
    position::{Axis, Position, PositionError},
    predictor::CellPredictor,
    prompt::{Conditioning, ModelPrompt, PromptBuilder, PromptError, PromptOrder},
    rank_encoder::{EncodeError, RankEncoder, TieBreak},
    ranking::{GeneRanking, GeneRankingError},
    records::{CellLikelihood, CellRecord, FinishReason, GeneratedRecord, ScenarioLabel, SentenceRecord, SurpriseRecord, TaskRecord},
    seed::{draw, request_seed},
    spatial_sentence::{SpatialSentence, unread::UnreadCell},
    vocabulary::{Vocabulary, VocabularyError},
    weighted_order::weighted_order,
};
