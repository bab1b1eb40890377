//! The decoder of the study of a planted effect: trained on with the class that is asked about.
//!
//! What a neighbor does to one class is a small part of what there is to learn about a tissue: whether one is near is at most one bit for
//! each cell of that class, beside some hundred for the genes of a cell. Neighborhoods of focal cells alone, in which only the focal cell counts,
//! make it the main part.

use anyhow::{Context, Result};
use tissuenarrator::model::training::{Trainer, TrainingConfig};
use tissuenarrator::model::{Qwen3, TokenSequence};

use super::plan::{Plan, ProximityPlan};
use super::run_folder::RunFolder;
use super::tissue::Tissue;
use super::training::{PREPARED_CONTEXT, ProgressLine, SAVE_EVERY, Trained, training_sentences};

const MODEL: &str = "focal-model";

/// Trains the decoder on, with the neighborhoods of a class; an interrupted training goes on where it stopped.
pub(super) fn train_on(
    folder: &mut RunFolder,
    trained: &Trained,
    tissue: &Tissue,
    focal: &str,
    effect: &ProximityPlan,
    plan: &Plan,
    seed: u64,
) -> Result<Trained> {
    let done = |model: Qwen3| Trained { model, tokenizer: trained.tokenizer.clone(), summary: trained.summary.clone() };
    folder
        .stage("train focal class", |folder| {
            let model_folder = folder.file(MODEL);
            if model_folder.exists() {
                return Ok(done(Qwen3::load(&model_folder, &trained.model.device())?.with_context(PREPARED_CONTEXT)));
            }
            let sentences = training_sentences(tissue, |cell| cell.class() == Some(focal), effect.steps, plan, seed)?;
            let encode = |text: &str| TokenSequence::encode_neighborhood(&trained.tokenizer, text, effect.target_weight);
            let sequences: Vec<TokenSequence> = sentences.iter().map(|record| encode(&record.sentence)).collect();
            let config = TrainingConfig {
                max_steps: Some(effect.steps),
                batch: plan.training.batch,
                learning_rate: effect.learning_rate,
                seed,
                ..TrainingConfig::from_scratch()
            };
            let mut model = trained.model.clone();
            let state = folder.file("focal-training-state.safetensors");
            Trainer::new(config)?.with_state(&state, SAVE_EVERY).fit(&mut model, &sequences, &[], &mut ProgressLine::start())?;
            model.save(&model_folder, &trained.tokenizer)?;
            folder.remove("focal-training-state.safetensors")?;
            Ok(done(model))
        })
        .context("training on the focal class")
}
