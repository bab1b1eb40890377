//! What a program does first on a device, in a process of its own: a training step of a small decoder, and a token.

use std::process::ExitCode;

use anyhow::Result;
use tissuenarrator::model::kernels::packed_linear::WeightFormat;
use tissuenarrator::model::qwen3::PackedQwen3;
use tissuenarrator::model::training::{Trainer, TrainingConfig};
use tissuenarrator::model::{AdapterConfig, DeviceChoice, Precision, TokenSequence};
use tn_model::suite::work::random_decoder;
use tn_model::suite::{Place, writing};

use super::shapes;

/// Does it, and says nothing.
pub(super) fn run(device: DeviceChoice) -> Result<ExitCode> {
    let device = device.open()?;
    let place = Place::new(device.clone(), Precision::of(&device));
    let config = shapes::small();
    let model = random_decoder(&config, &place, 1);
    let ids = shapes::tokens(0, 64, config.vocab_size);
    let packed = PackedQwen3::pack(&model, WeightFormat::F32);
    let written = writing::write(&packed, std::slice::from_ref(&ids), 1, 2, 64);
    anyhow::ensure!(written[0].len() == 2, "two tokens were asked for");
    let mut adapted = model.with_new_adapters(&AdapterConfig::new(4, 4.0), 2);
    let labels = ids.iter().map(|&id| id as i32).collect();
    let training = TrainingConfig { max_steps: Some(1), ..TrainingConfig::default() };
    Trainer::new(training)?.fit(&mut adapted, &[TokenSequence::new(ids, labels)], &[], &mut ())?;
    Ok(ExitCode::SUCCESS)
}
