//! A batch on a GPU: sequences packed into as few passes as its memory allows.

use super::TrainError;
use super::config::TrainingConfig;
use super::memory_plan::{MemoryPlan, StepShape};
use crate::Qwen3Config;
use crate::device::memory_of;
use crate::kernels::head_loss;
use crate::qwen3::{Keep, PassOptions, Qwen3, Trained};

/// Tokens of a pass where nothing else is said: enough to keep a GPU busy.
const TOKENS: usize = 1 << 16;

/// Fewest labelled tokens whose logits are formed together.
const FEWEST_HEAD_ROWS: usize = 256;

/// How a batch is divided into passes, and what they keep.
#[derive(Clone, Debug)]
pub(super) struct DevicePasses {
    /// Sequences of a pass, at most.
    pub(super) sequences: usize,
    pub(super) options: PassOptions,
}

/// What there is to learn from, as far as memory is concerned.
pub(super) struct Workload {
    /// Tokens of the longest sequence.
    pub(super) longest: usize,
    /// Sequences of a pass, at most.
    pub(super) micro_batch: usize,
    /// Bytes of the device, where somebody knows.
    pub(super) memory: Option<u64>,
}

impl DevicePasses {
    /// Chooses the passes of a run: as many sequences at once as were asked for, or fit, and what is kept of their blocks.
    pub(super) fn choose(model: &Qwen3, trained: Trained, config: &TrainingConfig, load: &Workload) -> Result<Self, TrainError> {
        let most = (TOKENS / load.longest.max(1)).max(1);
        let asked = if load.micro_batch == usize::MAX { most } else { load.micro_batch };
        let mut sequences = asked.clamp(1, config.batch);
        let layers = model.config().num_hidden_layers;
        let Some(memory) = load.memory.or_else(|| memory_of(&model.device())) else {
            let keep = if config.recompute { Keep::Input } else { Keep::Everything };
            return Ok(Self { sequences, options: PassOptions::all(keep, layers) });
        };
        loop {
            let step = step_shape(model, trained, config, load.longest, sequences);
            match MemoryPlan::choose(&step, memory) {
                Ok(plan) => {
                    let keep = if config.recompute { vec![Keep::Input; layers] } else { plan.keep().to_vec() };
                    tracing::info!("memory of a pass over {sequences} sequences:\n{}", MemoryPlan::predict(&step, keep.clone()));
                    return Ok(Self { sequences, options: PassOptions { keep, head_rows: head_loss::CHUNK } });
                }
                Err(error) if sequences == 1 => return Err(TrainError::DoesNotFit(error)),
                Err(_) => sequences /= 2,
            }
        }
    }

    /// Asks for less memory than before: fewer logits at once, then less that is kept, then fewer sequences. Returns whether there was
    /// anything left to give up.
    pub(super) fn lower(&mut self) -> bool {
        let PassOptions { keep, head_rows } = &mut self.options;
        if *head_rows > FEWEST_HEAD_ROWS {
            *head_rows /= 2;
        } else if keep.contains(&Keep::Everything) {
            keep.iter_mut().filter(|keep| **keep == Keep::Everything).for_each(|keep| *keep = Keep::Attention);
        } else if keep.contains(&Keep::Attention) {
            keep.fill(Keep::Input);
        } else if self.sequences > 1 {
            self.sequences /= 2;
        } else {
            return false;
        }
        tracing::warn!(
            sequences = self.sequences,
            head_rows = self.options.head_rows,
            kept = ?self.options.keep.first(),
            "the device ran out of memory; the pass is tried again with less"
        );
        true
    }
}

fn step_shape<'m>(model: &'m Qwen3, trained: Trained, config: &TrainingConfig, longest: usize, sequences: usize) -> StepShape<'m> {
    let adapter_values = match trained {
        Trained::Everything => 0,
        Trained::Adapters => model.adapter_values(),
    };
    let shape: &Qwen3Config = model.config();
    StepShape {
        config: shape,
        precision: model.precision(),
        tokens: longest * sequences,
        context: longest,
        head_rows: head_loss::CHUNK,
        adapter_values,
        moments: config.moments,
        adds_up_passes: sequences < config.batch,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_up_in_a_fixed_order_until_nothing_is_left() {
        let keep = vec![Keep::Everything, Keep::Attention];
        let mut passes = DevicePasses { sequences: 4, options: PassOptions { keep, head_rows: 1_024 } };
        let mut seen = Vec::new();
        while passes.lower() {
            seen.push((passes.options.head_rows, passes.options.keep[0], passes.sequences));
        }
        let expected = [
            (512, Keep::Everything, 4),
            (256, Keep::Everything, 4),
            (256, Keep::Attention, 4),
            (256, Keep::Input, 4),
            (256, Keep::Input, 2),
            (256, Keep::Input, 1),
        ];
        assert_eq!(seen, expected);
    }
}
