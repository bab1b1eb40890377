//! The commands, one file each.

mod auroc;
mod baseline;
mod communicate;
mod de;
mod encode;
mod express;
mod expression_options;
mod generate;
mod gsea;
mod inspect;
mod merge;
mod model_options;
mod normalize_options;
mod patch;
mod plot;
mod prompts;
mod proximity;
mod score;
mod section_options;
mod simulate;
mod split;
mod surprise;
mod tokenize;
mod train;
mod training_data;

use clap::{Subcommand, ValueEnum};
use tissuenarrator::sentence::Conditioning;

use crate::arguments::GlobalOptions;
use crate::error::CliError;
use crate::progress::Console;
use crate::report::Report;

/// What `tn` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show what is in an .h5ad file or a table, and which columns could be what
    Inspect(inspect::Inspect),
    /// Simulate a tissue with planted, recorded spatial effects
    Simulate(simulate::Simulate),
    /// Turn expression (.h5ad) into cell sentences
    Encode(encode::Encode),
    /// Divide cells into train, val and test
    Split(split::SplitCells),
    /// Turn cells into spatial sentences for training
    Patch(patch::Patch),
    /// Turn cells into tasks: a place, its neighbors, and the cell observed there
    Prompts(prompts::Prompts),
    /// Train a model on spatial sentences, from scratch or with LoRA
    Train(train::Train),
    /// Write the tokens that a model would be trained on, for other programs
    Tokenize(tokenize::Tokenize),
    /// Merge a LoRA adapter into its base model
    Merge(merge::Merge),
    /// Let a model write the cells of tasks
    Generate(generate::Generate),
    /// Let a baseline write the cells of tasks
    Baseline(baseline::Baseline),
    /// Score generated cells against the observed ones
    Score(score::Score),
    /// Turn ranks into expression
    #[command(subcommand)]
    Express(express::Express),
    /// Label the cells of a class by whether another class is near
    Proximity(proximity::Proximity),
    /// Find the genes that differ between groups of cells
    De(de::De),
    /// Find the gene sets at the top and at the bottom of a ranking
    Gsea(gsea::Gsea),
    /// Tell how well markers separate cell types
    Auroc(auroc::Auroc),
    /// Infer which groups of cells may speak to each other
    Communicate(communicate::Communicate),
    /// Draw a figure from a table
    #[command(subcommand)]
    Plot(plot::Plot),
    /// Ask a model how probable observed cells are, and what each neighbor tells about them
    Surprise(surprise::Surprise),
}

impl Command {
    /// Runs the command.
    pub(crate) fn run(&self, global: &GlobalOptions, console: &Console) -> Result<Report, CliError> {
        match self {
            Self::Inspect(command) => command.run(),
            Self::Simulate(command) => command.run(global.seed),
            Self::Encode(command) => command.run(global.seed),
            Self::Split(command) => command.run(global.seed, console),
            Self::Patch(command) => command.run(global.seed, console),
            Self::Prompts(command) => command.run(global.seed, console),
            Self::Train(command) => command.run(global.seed, console),
            Self::Tokenize(command) => command.run(global.seed),
            Self::Merge(command) => command.run(),
            Self::Generate(command) => command.run(global.seed, console),
            Self::Baseline(command) => command.run(global.seed),
            Self::Score(command) => command.run(),
            Self::Express(command) => command.run(global.seed),
            Self::Proximity(command) => command.run(global.seed),
            Self::De(command) => command.run(),
            Self::Gsea(command) => command.run(global.seed),
            Self::Auroc(command) => command.run(),
            Self::Communicate(command) => command.run(global.seed),
            Self::Plot(command) => command.run(),
            Self::Surprise(command) => command.run(global.seed, console),
        }
    }
}

/// What a predictor is told about its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Place and metadata, such as the class
    Conditioned,
    /// The place; the metadata are to be predicted too
    Unconditioned,
    /// The place, and no metadata of the neighbors either
    PositionOnly,
}

impl Mode {
    fn conditioning(self) -> Conditioning {
        match self {
            Self::Conditioned => Conditioning::Conditioned,
            Self::Unconditioned => Conditioning::Unconditioned,
            Self::PositionOnly => Conditioning::PositionOnly,
        }
    }
}
