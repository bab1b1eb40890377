//! Errors of the commands: which exit code they have, and which option helps.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use data_fixtures::{ConfigError as SimulationError, SimulateError};
use thiserror::Error;
use tissuenarrator::eval::baseline::BaselineError;
use tissuenarrator::eval::communication::{CommunicationError, PairTableError};
use tissuenarrator::eval::plot::PlotError;
use tissuenarrator::eval::{
    DifferentialExpressionError, EnrichmentError, ExpressionFitError, ExpressionMatrixError, GeneSetError, MarkerAurocError, ScoreError,
};
use tissuenarrator::io::{EncodeSectionError, InspectError, ReadError, TableError, WriteError};
use tissuenarrator::model::generation::{GenerateError, RemoteError};
use tissuenarrator::model::likelihood::LikelihoodError;
use tissuenarrator::model::training::TrainError;
use tissuenarrator::model::{CheckpointError, ChunkError, DeviceError, TokenizerError};
use tissuenarrator::sentence::{GeneAliasError, PositionError, VocabularyError};
use tissuenarrator::spatial::{BinGridError, RadiusGraphError, SplitError, TaskError};

/// Whose fault an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    /// Something failed while running.
    Running,
    /// The command was called in a way that makes no sense.
    Usage,
    /// The input data cannot be used.
    Data,
}

impl ErrorKind {
    /// Returns the exit code that scripts rely on.
    pub(crate) fn exit_code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Running => 1,
            Self::Usage => 2,
            Self::Data => 3,
        })
    }
}

/// Why a command failed.
#[derive(Debug, Error)]
pub(crate) enum CliError {
    #[error(transparent)]
    Inspect(#[from] InspectError),
    #[error("nothing can be simulated")]
    SimulationConfig(#[from] SimulationError),
    #[error(transparent)]
    Simulate(#[from] SimulateError),
    #[error(transparent)]
    Encode(#[from] EncodeSectionError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Table(#[from] TableError),
    #[error(transparent)]
    Bins(#[from] BinGridError),
    #[error(transparent)]
    Split(#[from] SplitError),
    #[error(transparent)]
    Tasks(#[from] TaskError),
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Chunks(#[from] ChunkError),
    #[error(transparent)]
    Train(#[from] TrainError),
    #[error(transparent)]
    Generate(#[from] GenerateError),
    #[error(transparent)]
    Likelihood(#[from] LikelihoodError),
    #[error(transparent)]
    Servers(#[from] RemoteError),
    #[error("the servers failed after {done} of {total} tasks; what is done is saved")]
    ServersFailed { done: u64, total: u64, source: RemoteError },
    #[error("{option} does not go with --backend openai: {reason}")]
    NotForServers { option: &'static str, reason: &'static str },
    #[error(transparent)]
    Device(#[from] DeviceError),
    #[error("--weights {weights} is for the processor: use --weights bf16 or f32, or --device cpu")]
    WeightsOfProcessor { weights: &'static str },
    #[error(transparent)]
    Baseline(#[from] BaselineError),
    #[error("{} cannot be scored", path.display())]
    Score { path: PathBuf, source: ScoreError },
    #[error("the expression in {} cannot be used", path.display())]
    Expression { path: PathBuf, source: ExpressionMatrixError },
    #[error("groups of {} cannot be compared", path.display())]
    De { path: PathBuf, source: DifferentialExpressionError },
    #[error("the gene sets of {} cannot be used", path.display())]
    GeneSets { path: PathBuf, source: GeneSetError },
    #[error("the ranking of {} cannot be analyzed", path.display())]
    Enrichment { path: PathBuf, source: EnrichmentError },
    #[error("line {line} of {} is no gene and score separated by a tab: {found:?}", path.display())]
    Ranking { path: PathBuf, line: usize, found: String },
    #[error("{} has the groups {}{}", path.display(), list(groups), asked.as_ref().map(|asked| format!(", not {asked:?}")).unwrap_or_default())]
    Group { path: PathBuf, asked: Option<String>, groups: Vec<String> },
    #[error("the figure cannot be drawn")]
    Plot(#[from] PlotError),
    #[error("{} ends neither in .svg nor in .png", path.display())]
    NoFigure { path: PathBuf },
    #[error("{} cannot be written: this program was built without the feature png", path.display())]
    #[cfg_attr(feature = "png", expect(dead_code, reason = "what other builds say"))]
    PngNotBuilt { path: PathBuf },
    #[error("{} has no such section; sections are {}", path.display(), list(sections))]
    UnknownSection { path: PathBuf, sections: Vec<String> },
    #[error("{} has no task of cell {cell:?}", path.display())]
    UnknownCell { path: PathBuf, cell: String },
    #[error("{} has cells that are not in {file}", path.display())]
    OtherCells { path: PathBuf, file: String },
    #[error("{} holds no markers by cell type", path.display())]
    NoMarkers { path: PathBuf, source: serde_json::Error },
    #[error("markers cannot be compared in {}", path.display())]
    Auroc { path: PathBuf, source: MarkerAurocError },
    #[error("{} cannot be used", path.display())]
    Pairs { path: PathBuf, source: PairTableError },
    #[error("no communication can be inferred from {}", path.display())]
    Communication { path: PathBuf, source: CommunicationError },
    #[error(transparent)]
    Neighbors(#[from] RadiusGraphError),
    #[error("no line can be fitted to the expression in {}", path.display())]
    ExpressionFit { path: PathBuf, source: ExpressionFitError },
    #[error("{} is no fit of expression to rank", path.display())]
    NoFit { path: PathBuf, source: serde_json::Error },
    #[error("cell {cell} of {} has no place", path.display())]
    NoPlace { path: PathBuf, cell: String, source: PositionError },
    #[error(transparent)]
    WriteH5ad(#[from] WriteError),
    #[error("{file} has no column {column:?}; columns are {}", list(columns))]
    MissingColumn { file: String, column: String, option: &'static str, columns: Vec<String> },
    #[error("no cell of {} is of the class {class:?}; classes are {}", path.display(), list(classes))]
    UnknownClass { path: PathBuf, option: &'static str, class: String, classes: Vec<String> },
    #[error("the gene panel of {} cannot be used", path.display())]
    Panel { path: PathBuf, source: VocabularyError },

    #[error("the gene aliases of {} cannot be used", path.display())]
    GeneAliases { path: PathBuf, source: GeneAliasError },
    #[error("the gene panel {} has no genes", path.display())]
    EmptyPanel { path: PathBuf },
    #[error("{} holds no header fields", path.display())]
    HeaderFields { path: PathBuf, source: serde_json::Error },
    #[error("the tokenizer in {} cannot write the genes of {}", folder.display(), panel.display())]
    PanelMismatch { folder: PathBuf, panel: PathBuf, source: Box<GenerateError> },

    /// A table lacks a column or has one of the wrong type: probably another kind of table.
    #[error("{source}")]
    WrongTable { source: TableError, expected: TableKind },
    #[error("{} has no rows", path.display())]
    EmptyTable { path: PathBuf },
    #[error("no cell of {} has {key:?}; columns are {}", path.display(), list(columns))]
    UnknownKey { path: PathBuf, option: &'static str, key: String, columns: Vec<String> },
    #[error("{} has no rows of the split {}; splits are {}", path.display(), split.join(" or "), list(splits))]
    UnknownSplit { path: PathBuf, split: Vec<String>, splits: Vec<String> },
    #[error("none of the {cells} cells of {} have {min_cells} cells together in a sentence", path.display())]
    NoSentences { path: PathBuf, cells: usize, min_cells: usize },
    #[error("there is no gene panel")]
    NoPanel { looked_in: Vec<PathBuf> },
    #[error("{what} needs {option}")]
    MissingOption { what: String, option: &'static str },
    #[error("the tokenizer in {} does not match the model", folder.display())]
    TokenizerMismatch { folder: PathBuf, source: TokenizerError },
    #[error("{} is an input, too", path.display())]
    OutputIsInput { path: PathBuf },
    #[error("{} does not end in .h5ad", path.display())]
    NotH5ad { path: PathBuf },
    #[error("none of the {tasks} tasks could be run; the first one")]
    EveryTaskFailed { tasks: usize, source: Box<CliError> },

    #[error("{} holds an unfinished run", path.display())]
    UnfinishedRun { path: PathBuf },
    #[error("{} belongs to a run with other inputs or options: {difference}", path.display())]
    OtherRun { path: PathBuf, difference: String },
    #[error("interrupted after {done} of {total} {unit}; what is done is saved")]
    Interrupted { done: u64, total: u64, unit: &'static str },

    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot read {}", path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error("cannot print the result")]
    Print(#[source] io::Error),
    #[error("the result cannot be expressed in JSON")]
    Json(#[source] serde_json::Error),
    #[error("cannot watch for interruptions")]
    Signals(#[source] io::Error),
    #[error("cannot start the threads")]
    Threads(#[source] rayon::ThreadPoolBuildError),
}

/// A kind of table, and the command that makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TableKind {
    Cells,
    Sentences,
    Tasks,
    Generated,
    Surprise,
    Truth,
}

impl fmt::Display for TableKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cells => "a table of cells, as `tn encode` writes it",
            Self::Sentences => "a table of sentences, as `tn patch` writes it",
            Self::Tasks => "a table of tasks, as `tn prompts` writes it",
            Self::Generated => "a table of generated cells, as `tn generate` or `tn baseline` writes it",
            Self::Surprise => "a table of surprises, as `tn surprise` writes it",
            Self::Truth => "a table of the truth, as `tn simulate --truth` writes it",
        })
    }
}

impl CliError {
    /// Returns whose fault the error is.
    pub(crate) fn kind(&self) -> ErrorKind {
        use ErrorKind::{Data, Running, Usage};
        match self {
            Self::SimulationConfig(_)
            | Self::Bins(_)
            | Self::MissingOption { .. }
            | Self::NotForServers { .. }
            | Self::WeightsOfProcessor { .. }
            | Self::Device(DeviceError::NotBuiltIn { .. } | DeviceError::Unknown { .. } | DeviceError::NoBf16 { .. })
            | Self::UnfinishedRun { .. }
            | Self::OutputIsInput { .. }
            | Self::NoFigure { .. }
            | Self::PngNotBuilt { .. }
            | Self::NotH5ad { .. } => Usage,
            Self::Servers(RemoteError::Failed { .. } | RemoteError::Refused { .. }) => Running,
            Self::Servers(_) => Usage,
            Self::Interrupted { .. }
            | Self::ServersFailed { .. }
            | Self::Write { .. }
            | Self::Print(_)
            | Self::Json(_)
            | Self::Signals(_)
            | Self::WriteH5ad(_)
            | Self::Device(_)
            | Self::Threads(_) => Running,
            Self::Simulate(error) => match error {
                SimulateError::Table(error) => table_kind(error),
                _ => Running,
            },
            // A disk that is full is no fault of the data; the size of a pixel is an option.
            Self::Encode(EncodeSectionError::Read(ReadError::TemporaryFile { .. }))
            | Self::Inspect(InspectError::AnnData(ReadError::TemporaryFile { .. }))
            | Self::Read(ReadError::TemporaryFile { .. }) => Running,
            Self::Encode(
                EncodeSectionError::PixelSizeMissing { .. }
                | EncodeSectionError::NoPixels { .. }
                | EncodeSectionError::InvalidPixelSize { .. }
                | EncodeSectionError::InvalidTargetSum { .. },
            ) => Usage,
            Self::Encode(EncodeSectionError::Write(error))
            | Self::Table(error)
            | Self::WrongTable { source: error, .. }
            | Self::Inspect(InspectError::Table(error)) => table_kind(error),
            Self::Tokenizer(TokenizerError::Write { .. }) | Self::Checkpoint(CheckpointError::Write { .. }) => Running,
            Self::Train(
                TrainError::Diverged { .. }
                | TrainError::TooManySkipped { .. }
                | TrainError::Io { .. }
                | TrainError::Workers(_)
                | TrainError::Worker { .. }
                | TrainError::WorkerPanicked { .. },
            ) => Running,
            Self::Tokenizer(TokenizerError::VocabularyTooSmall { .. })
            | Self::Train(TrainError::InvalidSetting { .. })
            | Self::Generate(GenerateError::InvalidSampling { .. })
            | Self::Score { source: ScoreError::ZeroCutoff, .. } => Usage,
            Self::EveryTaskFailed { source, .. } => source.kind(),
            Self::Inspect(_)
            | Self::Encode(_)
            | Self::Read(_)
            | Self::Split(_)
            | Self::Tasks(_)
            | Self::Tokenizer(_)
            | Self::Checkpoint(_)
            | Self::Chunks(_)
            | Self::Train(_)
            | Self::Generate(_)
            | Self::Likelihood(_)
            | Self::Baseline(_)
            | Self::Score { .. }
            | Self::Expression { .. }
            | Self::ExpressionFit { .. }
            | Self::De { .. }
            | Self::OtherCells { .. }
            | Self::Plot(_)
            | Self::UnknownSection { .. }
            | Self::UnknownCell { .. }
            | Self::GeneSets { .. }
            | Self::Enrichment { .. }
            | Self::Ranking { .. }
            | Self::Group { .. }
            | Self::NoMarkers { .. }
            | Self::Auroc { .. }
            | Self::Pairs { .. }
            | Self::Communication { .. }
            | Self::Neighbors(_)
            | Self::NoFit { .. }
            | Self::NoPlace { .. }
            | Self::MissingColumn { .. }
            | Self::UnknownClass { .. }
            | Self::Panel { .. }
            | Self::GeneAliases { .. }
            | Self::EmptyPanel { .. }
            | Self::PanelMismatch { .. }
            | Self::HeaderFields { .. }
            | Self::EmptyTable { .. }
            | Self::UnknownKey { .. }
            | Self::UnknownSplit { .. }
            | Self::NoSentences { .. }
            | Self::NoPanel { .. }
            | Self::TokenizerMismatch { .. }
            | Self::OtherRun { .. }
            | Self::Open { .. } => Data,
        }
    }

    /// Returns what helps, where it is known and not already said.
    pub(crate) fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::WrongTable { expected, .. } => format!("expected {expected}"),
            Self::UnknownKey { option, columns, .. } => match columns.first() {
                Some(column) => format!("name others with {option}, for example {option} {column}"),
                None => "copy columns of the expression file with `tn encode --columns`".to_owned(),
            },
            Self::De { source: DifferentialExpressionError::UnknownGroup { .. }, .. } => {
                "name others with --group and --reference".to_owned()
            }
            Self::Group { .. } => "name one with --group".to_owned(),
            Self::Enrichment { source: EnrichmentError::NoSets { .. }, .. } => {
                "allow other sizes with --min-size and --max-size, or other spellings with --ignore-case".to_owned()
            }
            Self::PngNotBuilt { .. } => "write an .svg, or build with --features png".to_owned(),
            Self::UnknownSection { .. } => "name others with --section".to_owned(),
            Self::UnknownCell { .. } => "name another with --cell".to_owned(),
            Self::OtherCells { .. } => "give the groups of the cells of this file".to_owned(),
            Self::NoFit { .. } => "make one with `tn express fit`".to_owned(),
            Self::MissingColumn { option, .. } | Self::UnknownClass { option, .. } => format!("name another with {option}"),
            Self::UnknownSplit { .. } => "name others with --split".to_owned(),
            Self::Split(SplitError::AlreadySplit { .. }) => "give all cells new splits with --replace".to_owned(),
            Self::Split(SplitError::TooFew { block_width: None, .. }) => "divide sections into blocks with --block UM".to_owned(),
            Self::Split(SplitError::TooFew { .. }) => "give a smaller --block".to_owned(),
            Self::Tasks(TaskError::NoTargets { .. }) => "name others with --split and --class; --split all takes every cell".to_owned(),
            Self::Tasks(TaskError::MissingClass { .. }) => "leave out --exclude-same-class and give --targets-per-class 0".to_owned(),
            Self::NoSentences { .. } => "give a wider --bin-width or --radius, or a smaller --min-cells".to_owned(),
            Self::NoPanel { looked_in } if looked_in.is_empty() => "give one with --panel FILE".to_owned(),
            Self::NoPanel { looked_in } => {
                let files: Vec<String> = looked_in.iter().map(|path| path.display().to_string()).collect();
                format!("give one with --panel FILE; {} is not there", files.join(" or "))
            }
            Self::UnfinishedRun { path } => format!("go on with --resume, or delete {} to start anew", path.display()),
            Self::OtherRun { path, .. } => format!("delete {} to start anew", path.display()),
            Self::Servers(RemoteError::ModelNotNamed { .. } | RemoteError::ModelNotServed { .. }) => {
                "name one with --model-name".to_owned()
            }
            Self::Servers(RemoteError::Unsupported { option: "top_k", .. }) => "draw from all tokens with --top-k 0".to_owned(),
            Self::Servers(RemoteError::Unsupported { option: "min_p", .. }) => "leave out --min-p".to_owned(),
            Self::Servers(RemoteError::Unsupported { option: "prompt (as token ids)", .. }) => {
                "leave out --model, so that prompts are sent as text".to_owned()
            }
            Self::Servers(RemoteError::Unsupported { .. }) => "give the --url of another server, such as vLLM or SGLang".to_owned(),
            Self::Interrupted { .. } | Self::ServersFailed { .. } => "go on with the same command and --resume".to_owned(),
            Self::TokenizerMismatch { .. } => "give a folder whose tokenizer.json was made with its model".to_owned(),
            Self::PanelMismatch { .. } => "is this tokenizer.json of another model? --free writes without a panel".to_owned(),
            Self::OutputIsInput { .. } => "give another --output".to_owned(),
            Self::Checkpoint(CheckpointError::OtherBase { .. }) => "give the base that the adapter was trained on".to_owned(),
            Self::Checkpoint(CheckpointError::Overflow { .. }) => "give --dtype bf16 or f32".to_owned(),
            Self::Generate(GenerateError::Grammar(_)) => "train the model with this panel, or leave out --consensus".to_owned(),
            Self::Generate(GenerateError::PromptTooLong { .. }) => "give fewer with --max-new-tokens".to_owned(),
            Self::Likelihood(LikelihoodError::NothingObserved { .. }) => "give tasks with answers, as `tn prompts` writes them".to_owned(),
            Self::Likelihood(LikelihoodError::TooLong { .. }) => "observe fewer genes, with `tn prompts --answer-genes`".to_owned(),
            Self::EveryTaskFailed { source, .. } => return source.hint(),
            Self::Encode(EncodeSectionError::Expression { .. }) => "take another matrix than X with --layer".to_owned(),
            Self::Chunks(_) => "allow longer sequences with --max-tokens".to_owned(),
            Self::Train(TrainError::OtherRun { path, .. }) => {
                format!("repeat the options of that run, or delete {} to start anew", path.display())
            }
            Self::Train(TrainError::Diverged { .. } | TrainError::TooManySkipped { .. }) => "give a smaller --lr".to_owned(),
            _ => return None,
        };
        Some(hint)
    }
}

fn table_kind(error: &TableError) -> ErrorKind {
    match error {
        TableError::UnknownFormat { .. } => ErrorKind::Usage,
        TableError::Write { .. } => ErrorKind::Running,
        _ => ErrorKind::Data,
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "(none)".to_owned() } else { names.join(", ") }
}
