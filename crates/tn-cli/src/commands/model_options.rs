//! The options of commands that show tasks to a model.

use clap::{Args, ValueEnum};
use tissuenarrator::io::Provenance;
use tissuenarrator::model::kernels::packed_linear::WeightFormat;
use tissuenarrator::model::{Device, DeviceChoice};
use tissuenarrator::sentence::{Conditioning, Coordinates, PromptBuilder, PromptOrder};

use super::Mode;
use crate::error::CliError;
use crate::ranges;

/// How tasks become prompts.
#[derive(Args, Debug)]
pub(super) struct PromptOptions {
    /// What the model is told about the target
    #[arg(long, value_enum, default_value_t = Mode::Conditioned)]
    mode: Mode,
    /// Order of the neighbors in the prompt
    #[arg(long, value_enum, default_value_t = Order::FarToNearWeighted)]
    order: Order,
    /// How strongly distance counts in the order far-to-near-weighted; 0 is a random order
    #[arg(long, value_name = "TAU", default_value_t = 1.0, value_parser = ranges::not_negative, allow_negative_numbers = true)]
    tau: f64,
    /// Neighbors in the prompt, the last ones of the order
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = ranges::count())]
    pub(super) max_cells: usize,
    /// Do not tell the model where cells are: for one that was trained with --without-coordinates
    #[arg(long)]
    without_coordinates: bool,
}

impl PromptOptions {
    pub(super) fn conditioning(&self) -> Conditioning {
        self.mode.conditioning()
    }

    pub(super) fn order(&self) -> PromptOrder {
        match self.order {
            Order::FarToNearWeighted => PromptOrder::FarToNearWeighted { tau: self.tau },
            Order::FarToNear => PromptOrder::FarToNear,
            Order::NearToFar => PromptOrder::NearToFar,
            Order::Random => PromptOrder::Random,
            Order::AsGiven => PromptOrder::AsGiven,
        }
    }

    pub(super) fn coordinates(&self) -> Coordinates {
        if self.without_coordinates { Coordinates::Hidden } else { Coordinates::Shown }
    }

    pub(super) fn builder(&self, seed: u64) -> PromptBuilder {
        PromptBuilder::new(self.conditioning()).with_order(self.order()).with_max_cells(self.max_cells).with_seed(seed)
    }

    /// Adds the options to a provenance.
    pub(super) fn record(&self, provenance: Provenance) -> Provenance {
        provenance
            .with_option("mode", format!("{:?}", self.conditioning()))
            .with_option("order", self.order())
            .with_option("max_cells", self.max_cells)
            .with_option("without_coordinates", self.without_coordinates)
    }
}

/// Where the model runs.
#[derive(Args, Debug)]
pub(super) struct DeviceOptions {
    /// Where the model runs: cpu, cuda, cuda:N, wgpu, or auto: the first CUDA device, else the processor. Devices other than the
    /// processor need a program that was built with their feature, and round differently
    #[arg(long, value_name = "DEVICE", default_value_t, value_parser = str::parse::<DeviceChoice>)]
    pub(super) device: DeviceChoice,
}

impl DeviceOptions {
    pub(super) fn open(&self) -> Result<Device, CliError> {
        let device = self.device.open()?;
        tracing::debug!(?device, "device");
        Ok(device)
    }

    /// Opens the devices of further workers beside the first one: the CUDA devices that follow it, or the same device again.
    pub(super) fn open_peers(&self, first: &Device, peers: usize) -> Result<Vec<Device>, CliError> {
        let first_gpu = match self.device {
            DeviceChoice::Cuda(index) => Some(index),
            DeviceChoice::Auto if *first != Device::flex() => Some(0),
            DeviceChoice::Auto | DeviceChoice::Cpu | DeviceChoice::Wgpu => None,
        };
        let Some(first_gpu) = first_gpu else { return Ok(vec![first.clone(); peers]) };
        let number = |peer: usize| first_gpu.saturating_add(u16::try_from(peer).unwrap_or(u16::MAX));
        (1..=peers).map(|peer| Ok(DeviceChoice::Cuda(number(peer)).open()?)).collect()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Order {
    /// At random, the nearest tend to come last
    FarToNearWeighted,
    /// By falling distance
    FarToNear,
    /// By rising distance
    NearToFar,
    /// At random
    Random,
    /// As in the task
    AsGiven,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Weights {
    /// 32 bits: what the model was trained with
    F32,
    /// 16 bits; exact for a checkpoint in bf16, but for the activations
    Bf16,
    /// 8 bits, with a scale for every 32 weights
    Int8,
}

impl Weights {
    pub(super) fn format(self) -> WeightFormat {
        match self {
            Self::F32 => WeightFormat::F32,
            Self::Bf16 => WeightFormat::Bf16,
            Self::Int8 => WeightFormat::Int8,
        }
    }
}
