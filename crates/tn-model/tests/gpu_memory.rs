//! The memory of training steps, on the device that runs CUDA on the processor: its allocator counts every byte, and can be made to fail.

#[path = "support/devices.rs"]
#[expect(dead_code, reason = "other tests need more of it")]
mod devices;

use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::tensor::{DType, Device};
use devices::{Case, cases};
use tn_model::qwen3::Keep;
use tn_model::training::{
    Control, MemoryPlan, MomentFormat, Progress, StepReport, StepShape, TrainError, Trainer, TrainingConfig, TrainingSummary,
};
use tn_model::{AdapterConfig, Precision, Projection, Qwen3, Qwen3Config, TokenSequence};

/// One test at a time: the counts and the limit are those of the process.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tokens of a sequence.
const LENGTH: u32 = 48;

/// Rows of all tensors are multiples of 512 bytes in 16 bits, as those of large models are: Burn pads others to that.
fn config() -> Qwen3Config {
    Qwen3Config {
        hidden_size: 256,
        intermediate_size: 512,
        num_hidden_layers: 2,
        num_key_value_heads: 4,
        head_dim: 64,
        ..Qwen3Config::tiny(512)
    }
}

fn start() -> Qwen3 {
    Qwen3::initialize(&config(), 5, &Device::flex()).with_new_adapters(&AdapterConfig::new(4, 8.0), 7)
}

fn precision(case: &Case) -> Precision {
    if case.dtype == DType::F32 { Precision::F32 } else { Precision::Bf16 }
}

/// The model on a device that has done what it was asked, and holds nothing else.
fn on(case: &Case) -> Qwen3 {
    let model = start().on(&case.device, precision(case)).with_context(LENGTH as usize);
    settle(&case.device);
    model
}

/// Waits for a device, and returns what nobody uses to its allocator.
fn settle(device: &Device) {
    device.sync().expect("the device works");
    device.memory_cleanup();
}

/// Sequences of some lengths in which every token has a label.
fn sequences(lengths: impl IntoIterator<Item = u32>) -> Vec<TokenSequence> {
    let sequence = |(start, length): (u32, u32)| {
        let ids: Vec<u32> = (0..length).map(|at| (7 * start + at * at) % 512).collect();
        TokenSequence::new(ids.clone(), ids.iter().map(|&id| id as i32).collect())
    };
    (0..).zip(lengths).map(sequence).collect()
}

/// Makes two steps, each of one pass over four sequences where there is room.
fn two_steps(model: &mut Qwen3, memory: u64) -> Result<TrainingSummary, TrainError> {
    let trainer = Trainer::new(TrainingConfig { epochs: 1, batch: 4, ..TrainingConfig::default() }).unwrap();
    trainer.with_memory(memory).with_micro_batch(4).fit(model, &sequences([LENGTH; 8]), &[], &mut ())
}

/// The shape of the steps of [`two_steps`].
fn step_shape(config: &Qwen3Config, precision: Precision) -> StepShape<'_> {
    let of_projection = |projection: Projection| projection.shape(config).iter().sum::<usize>();
    let adapter_values = 4 * config.num_hidden_layers * Projection::ALL.into_iter().map(of_projection).sum::<usize>();
    let (tokens, context, head_rows, moments) = (4 * LENGTH as usize, LENGTH as usize, 2_048, MomentFormat::F32);
    StepShape { config, precision, tokens, context, head_rows, adapter_values, moments, adds_up_passes: false }
}

#[test]
fn a_plan_predicts_the_memory_of_a_step() {
    let _alone = alone();
    let config = config();
    for case in cases() {
        let step = step_shape(&config, precision(&case));
        let smallest = MemoryPlan::predict(&step, vec![Keep::Input; 2]).total();
        for memory in [1 << 34, smallest * 100 / 92 + 1] {
            let plan = MemoryPlan::choose(&step, memory).unwrap();
            let mut model = on(&case);
            cubecl::cpu::reset_peak();
            two_steps(&mut model, memory).unwrap();
            let measured = cubecl::cpu::memory().peak;
            eprintln!("{}: {measured} bytes measured\n{plan}", case.name);
            let ratio = plan.total() as f64 / measured as f64;
            assert!((0.95..=1.05).contains(&ratio), "{}: planned {}, measured {measured}: {ratio:.3}", case.name, plan.total());
        }
    }
}

/// What is allocated after each step.
struct InUse(Vec<u64>, Device);

impl Progress for InUse {
    fn step(&mut self, _: &StepReport) -> Control {
        settle(&self.1);
        self.0.push(cubecl::cpu::memory().in_use);
        Control::Continue
    }
}

#[test]
fn memory_stays_what_it_is_over_200_steps_of_mixed_lengths() {
    let _alone = alone();
    let config = Qwen3Config { num_hidden_layers: 1, hidden_size: 32, intermediate_size: 64, ..Qwen3Config::tiny(512) };
    let start = Qwen3::initialize(&config, 5, &Device::flex()).with_new_adapters(&AdapterConfig::new(2, 4.0), 7);
    for case in cases() {
        let mut model = start.on(&case.device, precision(&case));
        let trainer = Trainer::new(TrainingConfig { epochs: 100, batch: 3, ..TrainingConfig::default() }).unwrap();
        let mut in_use = InUse(Vec::new(), case.device.clone());
        trainer.with_micro_batch(2).fit(&mut model, &sequences([7, 20, 17, 3, 33, 32]), &[], &mut in_use).unwrap();
        assert_eq!(in_use.0.len(), 200);
        let settled = &in_use.0[3..];
        let (low, high) = (settled.iter().min().unwrap(), settled.iter().max().unwrap());
        assert!(*high as f64 <= 1.01 * *low as f64, "{}: {low} to {high} bytes", case.name);
    }
}

/// Makes memory scarce as long as it lives.
struct Scarce;

impl Scarce {
    fn new(bytes: u64) -> Self {
        cubecl::cpu::limit_memory(Some(bytes));
        Self
    }
}

impl Drop for Scarce {
    fn drop(&mut self) {
        cubecl::cpu::limit_memory(None);
    }
}

#[test]
fn a_pass_without_enough_memory_is_made_with_less() {
    let _alone = alone();
    for case in cases() {
        let mut model = on(&case);
        cubecl::cpu::reset_peak();
        let roomy = two_steps(&mut model, 1 << 34).unwrap();
        let peak = cubecl::cpu::memory().peak;
        drop(model);
        settle(&case.device);
        // The plan knows nothing of the limit.
        let mut model = on(&case);
        let scarce = Scarce::new(peak * 85 / 100);
        let found = two_steps(&mut model, 1 << 34).unwrap();
        assert!(cubecl::cpu::memory().peak <= peak);
        drop(scarce);
        let (found, expected) = (found.training_loss.unwrap(), roomy.training_loss.unwrap());
        let tolerance = if case.dtype == DType::F32 { 1e-5 } else { 1e-2 };
        assert!((found - expected).abs() <= tolerance * expected, "{}: {found} and {expected}", case.name);
    }
}

#[test]
fn a_device_without_any_memory_left_is_an_error() {
    let _alone = alone();
    for case in cases() {
        let mut model = on(&case);
        // Enough to look at the weights, matrix by matrix.
        let scarce = Scarce::new(cubecl::cpu::memory().in_use + 2_500_000);
        let trainer = Trainer::new(TrainingConfig { epochs: 1, batch: 2, ..TrainingConfig::default() }).unwrap().with_memory(1 << 34);
        let failed = trainer.fit(&mut model, &sequences([600; 4]), &[], &mut ());
        drop(scarce);
        let Err(error @ TrainError::Device { .. }) = failed else { panic!("{}: {failed:?}", case.name) };
        assert!(error.to_string().contains("out of device memory"), "{error}");
        two_steps(&mut model, 1 << 34).expect("the device has memory again");
    }
}
