//! Gates that need no peer: memory that stays flat, the work of the host, and the time of a start.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Result, ensure};
use tissuenarrator::model::kernels::packed_linear::WeightFormat;
use tissuenarrator::model::qwen3::PackedQwen3;
use tissuenarrator::model::training::{Control, Progress, StepReport, Trainer, TrainingConfig};
use tissuenarrator::model::{AdapterConfig, Qwen3Config, TokenSequence};
use tn_model::suite::work::random_decoder;
use tn_model::suite::writing::Reading;

use super::line::{Asked, Line};
use super::session::Session;
use super::{shapes, turns};

/// Steps after which memory may not grow any more.
const SETTLED: usize = 3;

/// G6: two processes one after the other, from their start to the end of a first training step and a first token.
pub(super) fn starts(session: &Session, lines: &mut Vec<Line>) {
    let device = session.flags.device.to_string();
    for (name, most) in [("G6, first start", 60.0), ("G6, next start", 5.0)] {
        let what = "process with a training step and two tokens of a small decoder";
        let start = Instant::now();
        let status = std::env::current_exe()
            .and_then(|program| Command::new(program).args(["gpu", "--part", "start", "--device", &device]).stdout(Stdio::null()).status());
        lines.push(match status {
            Ok(status) if status.success() => Line::new(name, what, "s", vec![start.elapsed().as_secs_f64()], Vec::new())
                .asking(session.asked(Asked::at_most(most)))
                .noting("kernels that another program left compiled on this machine are not removed before"),
            Ok(status) => Line::failed(name, what, format!("it ended with {status}")),
            Err(error) => Line::failed(name, what, error.to_string()),
        });
    }
}

/// Bytes that the allocator has reserved after each step.
struct Reserved<'s> {
    session: &'s Session,
    bytes: Vec<f64>,
}

impl Progress for Reserved<'_> {
    fn step(&mut self, _: &StepReport) -> Control {
        self.bytes.extend(self.session.reserved());
        Control::Continue
    }
}

/// G3: steps over sequences of mixed lengths, in another order each time.
pub(super) fn memory(session: &Session, lines: &mut Vec<Line>) -> Result<()> {
    let steps: u32 = if session.quick() { 8 } else { 200 };
    let what = format!("reserved memory after each of {steps} steps of mixed lengths: largest over smallest, from step {SETTLED} on");
    if session.reserved().is_none() {
        lines.push(Line::absent("G3, flat memory", what, "the device does not report its memory"));
        return Ok(());
    }
    let config = shapes::small();
    let sequences: Vec<TokenSequence> = [40, 200, 17, 333, 64, 65, 128, 5]
        .into_iter()
        .enumerate()
        .map(|(text, length)| {
            let ids = shapes::tokens(text, length, config.vocab_size);
            let labels = ids.iter().map(|&id| id as i32).collect();
            TokenSequence::new(ids, labels)
        })
        .collect();
    let mut model = random_decoder(&config, &session.place, 1).with_new_adapters(&AdapterConfig::new(8, 8.0), 2);
    let mut reserved = Reserved { session, bytes: Vec::new() };
    let training = TrainingConfig { epochs: steps, batch: sequences.len(), ..TrainingConfig::default() };
    Trainer::new(training)?.with_micro_batch(3).fit(&mut model, &sequences, &[], &mut reserved)?;
    ensure!(reserved.bytes.len() > SETTLED, "the memory of {} steps is known", reserved.bytes.len());
    let settled = &reserved.bytes[SETTLED..];
    let (low, high) = settled.iter().fold((f64::INFINITY, 0.0f64), |(low, high), &bytes| (low.min(bytes), high.max(bytes)));
    lines.push(
        Line::new("G3, flat memory", what, "", vec![high / low], Vec::new())
            .asking(session.asked(Asked::at_most(1.01)))
            .noting(format!("from {low:.0} to {high:.0} bytes")),
    );
    Ok(())
}

/// G4: a decoding step of as many layers as Qwen3-4B has, each so small that the device has nothing to do.
pub(super) fn host_overhead(session: &Session, lines: &mut Vec<Line>) -> Result<()> {
    let layers = if session.quick() { 2 } else { 36 };
    let config = Qwen3Config { num_hidden_layers: layers, ..shapes::small() };
    let model = PackedQwen3::pack(&random_decoder(&config, &session.place, 1), WeightFormat::F32);
    let repeats = if session.quick() { 2 } else { 20 };
    let prompt = shapes::tokens(0, 16, config.vocab_size);
    let mut reading = Reading::new(&model, &[prompt], 1, repeats * 8, 64);
    // Compiles what there is to compile.
    for _ in 0..repeats {
        reading.step();
    }
    let mut values = Vec::new();
    for _ in 0..5 {
        let start = Instant::now();
        for _ in 0..repeats {
            reading.step();
        }
        values.push(1e3 * start.elapsed().as_secs_f64() / repeats as f64);
    }
    let what = format!("a decoding step of {layers} layers of width {}, token read back", config.hidden_size);
    lines.push(Line::new("G4, host overhead", what, "ms", values, Vec::new()).asking(session.asked(Asked::at_most(1.0))));
    Ok(())
}

/// Returns the bandwidth of a copy on the device, in bytes per second.
pub(super) fn bandwidth(session: &Session) -> Result<f64> {
    let values = if session.quick() { 1 << 16 } else { 1 << 28 };
    let copy = tn_model::suite::work::Copy::new(&session.place, values);
    let repeats = turns::repeats_inside(session.device(), &|| copy.run())?;
    let mut seconds = Vec::new();
    for _ in 0..session.repeats() {
        seconds.push(turns::seconds(session.device(), repeats, &|| copy.run())?);
    }
    Ok(copy.bytes() as f64 / super::line::median(&seconds).unwrap_or(f64::NAN))
}
