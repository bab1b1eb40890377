//! The command line of `cargo xtask`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tissuenarrator::model::DeviceChoice;

/// Commands for contributors and benchmarkers.
#[derive(Debug, Parser)]
#[command(name = "xtask", bin_name = "cargo xtask", version)]
pub(crate) struct Flags {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs the main job: from sections to generated cells, scores, a recovered planted effect and a report.
    Reproduce(Box<ReproduceFlags>),
    /// Runs every check of the repository: format, lints, documentation, features, tests, a tiny main job.
    Ci(CiFlags),
    /// Checks that the committed fixtures are complete and unchanged.
    Fixtures(FixturesFlags),
    /// Runs the benchmarks; arguments after `--` go to criterion.
    Bench(BenchFlags),
    /// Checks and measures everything that needs a GPU, or builds what is carried to a machine with one.
    Gpu(GpuFlags),
}

#[derive(Args, Debug)]
pub(crate) struct ReproduceFlags {
    /// An AnnData file to run on, instead of simulated sections.
    #[arg(long, value_name = "FILE.h5ad")]
    pub(crate) data: Option<PathBuf>,
    /// Folder of all outputs.
    #[arg(long, value_name = "DIR", default_value = "target/reproduce")]
    pub(crate) out: PathBuf,
    /// Seed of everything that is drawn.
    #[arg(long, default_value_t = 42)]
    pub(crate) seed: u64,
    /// Threads; all cores by default. The results do not depend on it.
    #[arg(long)]
    pub(crate) threads: Option<usize>,
    /// Optimizer steps of the training, instead of the tier's own number.
    #[arg(long)]
    pub(crate) steps: Option<u64>,
    /// Trajectories of each expected ranking, instead of the tier's own number.
    #[arg(long, value_name = "K")]
    pub(crate) samples: Option<u32>,
    /// How much to run.
    #[arg(long, value_enum, default_value_t = Tier::Small)]
    pub(crate) tier: Tier,
    /// Hugging Face folder of the base model of the tier `full`.
    #[arg(long, value_name = "DIR")]
    pub(crate) base: Option<PathBuf>,
    /// Column of the file with the class of a cell.
    #[arg(long, requires = "data")]
    pub(crate) class: Option<String>,
    /// Column of the file with the section of a cell.
    #[arg(long, requires = "data")]
    pub(crate) section: Option<String>,
    /// Column of the file with the horizontal coordinate in micrometers.
    #[arg(long, requires_all = ["data", "y"])]
    pub(crate) x: Option<String>,
    /// Column of the file with the vertical coordinate in micrometers.
    #[arg(long, requires_all = ["data", "x"])]
    pub(crate) y: Option<String>,
    /// Column of the file with the split of a cell: train, val or test. Without one, spatial blocks are split.
    #[arg(long, requires = "data")]
    pub(crate) split: Option<String>,
    /// A table of tasks to be scored on, instead of targets drawn from the test split.
    #[arg(long, value_name = "FILE.parquet", requires = "data")]
    pub(crate) tasks: Option<PathBuf>,
    /// Where the model runs: cpu, cuda:N, wgpu or auto. Numbers differ in their last bits from one device to another.
    #[arg(long, value_name = "DEVICE", default_value_t = DeviceChoice::Cpu, value_parser = str::parse::<DeviceChoice>)]
    pub(crate) device: DeviceChoice,
    /// Keeps the outputs of an earlier run with the same options, even of one that was completed by another build.
    #[arg(long)]
    pub(crate) reuse: bool,
    /// A run of seconds that checks that everything works; its numbers mean nothing and are not judged.
    #[arg(long, hide = true)]
    pub(crate) smoke: bool,
}

/// How much of the main job to run.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Tier {
    /// A small decoder from scratch, on a CPU, in minutes.
    Small,
    /// The published configuration: LoRA on Qwen3-4B. Takes a base model and a CUDA device.
    Full,
}

#[derive(Args, Debug)]
pub(crate) struct CiFlags {
    /// Runs only the steps whose name contains this.
    #[arg(long, value_name = "NAME")]
    pub(crate) only: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct FixturesFlags {
    /// Compares with the committed list and reports every difference. Without it, the list is written anew.
    #[arg(long)]
    pub(crate) check: bool,
}

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct BenchFlags {
    #[command(subcommand)]
    pub(crate) command: Option<BenchCommand>,
    /// Arguments for criterion, such as a filter.
    #[arg(last = true)]
    pub(crate) arguments: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Measures the model, and torch beside it: generation, training, memory.
    Model(ModelBenchFlags),
    /// Measures files, sentences, tokens and neighbors, beside what the published program took.
    Data(DataBenchFlags),
    /// Measures statistics, beside scanpy and GSEApy.
    Eval(EvalBenchFlags),
    /// What a benchmark of the model runs in a process of its own.
    #[command(subcommand, hide = true)]
    Fresh(FreshCommand),
}

/// What all benchmarks with a table have in common.
#[derive(Args, Debug)]
pub(crate) struct RunFlags {
    /// Runs only the rows whose name contains this; may be given several times.
    #[arg(long, value_name = "ROW")]
    pub(crate) only: Vec<String>,
    /// Measurements of each side, after one that does not count.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) repeats: u32,
    /// Threads of both sides.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) threads: u32,
    /// Tiny sizes, in seconds: everything runs, and the numbers mean nothing.
    #[arg(long)]
    pub(crate) quick: bool,
}

#[derive(Args, Debug)]
pub(crate) struct ModelBenchFlags {
    /// Measures torch, transformers and PEFT too, in the same run. Without, their columns say "absent".
    #[arg(long)]
    pub(crate) peer: bool,
    /// The Python that has them.
    #[arg(long, value_name = "PATH", default_value = "python3")]
    pub(crate) python: PathBuf,
    #[command(flatten)]
    pub(crate) run: RunFlags,
    /// Folder of the results, and of the random checkpoints that they are measured on.
    #[arg(long, value_name = "DIR", default_value = "target/bench-model")]
    pub(crate) out: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct DataBenchFlags {
    /// A Python that has SciPy, which is measured in the same run. Without, its seconds of another run stand beside ours.
    #[arg(long, value_name = "PYTHON")]
    pub(crate) peer: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) run: RunFlags,
    /// Folder of the results, and of the simulated sections that they are measured on.
    #[arg(long, value_name = "DIR", default_value = "target/bench-data")]
    pub(crate) out: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct EvalBenchFlags {
    /// A Python that has scanpy and GSEApy, which are measured in the same run. Without, their seconds of another run stand beside ours.
    #[arg(long, value_name = "PYTHON")]
    pub(crate) peer: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) run: RunFlags,
    /// Folder of the results.
    #[arg(long, value_name = "DIR", default_value = "target/bench-eval")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum FreshCommand {
    /// Encodes a section, and prints the peak of the memory.
    Encode {
        /// The AnnData file.
        input: PathBuf,
        /// The table of cells.
        output: PathBuf,
        /// Threads.
        threads: usize,
    },
    /// Loads a checkpoint and prints the token that follows some tokens.
    FirstToken {
        /// The checkpoint.
        folder: PathBuf,
        /// How its weights are held: f32, bf16 or int8.
        format: String,
        /// Tokens of the prompt.
        tokens: usize,
        /// Threads.
        threads: usize,
    },
    /// Trains an adapter for one step, and prints the peak of the memory.
    TrainingStep {
        /// The checkpoint.
        folder: PathBuf,
        /// The adapter.
        adapter: PathBuf,
        /// Tokens of the sequence.
        tokens: usize,
        /// Threads.
        threads: usize,
    },
}

#[derive(Args, Clone, Debug)]
pub(crate) struct GpuFlags {
    /// Builds the program for machines with a GPU and puts it, with what starts it, into this folder.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["part", "out"], required_unless_present = "part")]
    pub(crate) bundle: Option<PathBuf>,
    /// What to run on this machine.
    #[arg(long, value_enum)]
    pub(crate) part: Option<GpuPart>,
    /// Folder of the tables and numbers.
    #[arg(long, value_name = "DIR", required_if_eq_any = [("part", "all"), ("part", "tests"), ("part", "gemm"), ("part", "attention"), ("part", "train"), ("part", "generate")])]
    pub(crate) out: Option<PathBuf>,
    /// The device: cuda:N or wgpu.
    #[arg(long, default_value = "cuda:0")]
    pub(crate) device: DeviceChoice,
    /// A Python with torch, and with transformers and PEFT for the parts train and generate. Without, what is compared with them is absent.
    #[arg(long, value_name = "PYTHON")]
    pub(crate) peer: Option<PathBuf>,
    /// Time of a part: it measures until this is used up.
    #[arg(long, default_value_t = 540)]
    pub(crate) seconds: u64,
    /// Tiny shapes, in seconds: everything runs, and no number is judged.
    #[arg(long)]
    pub(crate) quick: bool,
}

/// A part of what needs a GPU.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum GpuPart {
    /// Every kernel against its body for processors, a small decoder, memory, overhead of the host, time of a start.
    Tests,
    /// Matrix products of Qwen3-4B against torch.
    Gemm,
    /// Attention up to 32k tokens against torch.
    Attention,
    /// Training through adapters against transformers and PEFT.
    Train,
    /// Writing cells against transformers.
    Generate,
    /// All of them, each in a process of its own.
    All,
    /// What is timed to know how long a start takes.
    #[value(hide = true)]
    Start,
}

impl GpuPart {
    /// Returns its name on the command line, and of its files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tests => "tests",
            Self::Gemm => "gemm",
            Self::Attention => "attention",
            Self::Train => "train",
            Self::Generate => "generate",
            Self::All => "all",
            Self::Start => "start",
        }
    }
}
