//! The part `train`: adapters on a frozen base in 16 bits against transformers and PEFT with checkpointing.

use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::json;
use tissuenarrator::model::training::{Control, Progress, StepReport, Trainer, TrainingConfig};
use tissuenarrator::model::{AdapterConfig, Qwen3, Qwen3Config, TokenSequence};
use tn_model::suite::work::random_decoder;

use super::line::{Asked, Line};
use super::session::Session;
use super::{attempt, shapes};
use crate::peer::Peer;

/// What is trained on what.
struct Case {
    name: &'static str,
    config: Qwen3Config,
    lengths: Vec<usize>,
    rank: usize,
    /// Of the tokens in a second, and of the memory.
    asked: [Option<Asked>; 2],
    /// Of the time that is left.
    share: f64,
}

fn cases(session: &Session) -> Vec<Case> {
    if session.quick() {
        return vec![Case { name: "small", config: shapes::small(), lengths: vec![40, 70], rank: 4, asked: [None, None], share: 1.0 }];
    }
    let packed = vec![4_096, 5_120, 6_144, 7_168, 8_192, 8_192, 8_192, 7_168, 6_144, 5_120];
    let long = vec![32_768, 32_768];
    let (speed, memory) = (Some(Asked::faster(0.7, 2.0)), Some(Asked::share(0.8, 0.33)));
    vec![
        Case { name: "4B, 2 x 32k", config: shapes::qwen3_4b(), lengths: long.clone(), rank: 32, asked: [speed, memory], share: 0.55 },
        Case {
            name: "4B, 4k to 8k",
            config: shapes::qwen3_4b(),
            lengths: packed,
            rank: 32,
            asked: [Some(Asked::faster(0.7, 1.8)), None],
            share: 0.6,
        },
        Case { name: "0.6B, 2 x 32k", config: shapes::qwen3_0_6b(), lengths: long, rank: 32, asked: [None, None], share: 1.0 },
    ]
}

pub(super) fn measure(session: &Session, lines: &mut Vec<Line>) -> Result<()> {
    for case in cases(session) {
        if session.time_left().is_zero() {
            lines.push(Line::absent(case.name, "training", "the time of this part is used up"));
            continue;
        }
        attempt(lines, case.name, "training", |lines| measure_case(session, &case, lines));
        session.release();
    }
    Ok(())
}

fn measure_case(session: &Session, case: &Case, lines: &mut Vec<Line>) -> Result<()> {
    let deadline = session.deadline(case.share);
    session.release();
    let vocabulary = case.config.vocab_size;
    let texts: Vec<Vec<u32>> = case.lengths.iter().enumerate().map(|(text, &length)| shapes::tokens(text, length, vocabulary)).collect();
    let mut turns = Turns::new(session, deadline);
    turns.load_peer(case, &texts);
    let adapter = AdapterConfig::new(case.rank, case.rank as f64);
    let mut model = random_decoder(&case.config, &session.place, 1).with_new_adapters(&adapter, 2);
    session.release();
    let sequences: Vec<TokenSequence> = texts.into_iter().map(sequence).collect();
    let memory = reserved_by_a_step(session, &mut model, &sequences)?;
    let config = TrainingConfig { epochs: session.repeats() as u32 + 1, batch: sequences.len(), ..TrainingConfig::default() };
    trainer(session, config)?.fit(&mut model, &sequences, &[], &mut turns)?;

    let what = format!("LoRA of rank {}, {} sequences of {} tokens", case.rank, case.lengths.len(), case.lengths.iter().sum::<usize>());
    let note = turns.note.clone();
    lines.push(Line::new(case.name, what.clone(), "tok/s", turns.ours, turns.theirs).asking(case.asked[0]).noting(note.clone()));
    let gigabytes = |bytes: Option<f64>| bytes.map(|bytes| bytes / 1e9).into_iter().collect::<Vec<_>>();
    lines.push(match memory {
        Some(_) => Line::new(
            format!("{}, memory", case.name),
            format!("{what}, blocks recomputed, reserved"),
            "GB",
            gigabytes(memory),
            gigabytes(turns.peak),
        )
        .asking(case.asked[1])
        .noting(note),
        None => Line::absent(format!("{}, memory", case.name), what, "the device does not report its memory"),
    });
    if let Some(peer) = session.peer() {
        peer.ask(&json!({"do": "forget"}))?;
    }
    Ok(())
}

fn sequence(ids: Vec<u32>) -> TokenSequence {
    let labels = ids.iter().map(|&id| id as i32).collect();
    TokenSequence::new(ids, labels)
}

/// Plans with the memory that the peer leaves.
fn trainer(session: &Session, config: TrainingConfig) -> Result<Trainer> {
    let trainer = Trainer::new(config)?;
    Ok(match (session.peer(), session.free_memory(), session.reserved()) {
        (Some(_), Some(free), Some(ours)) => trainer.with_memory(free + ours as u64),
        _ => trainer,
    })
}

/// Returns what is reserved after a step that recomputes every block, with what the base takes.
fn reserved_by_a_step(session: &Session, model: &mut Qwen3, sequences: &[TokenSequence]) -> Result<Option<f64>> {
    let config = TrainingConfig { max_steps: Some(1), batch: sequences.len(), recompute: true, ..TrainingConfig::default() };
    trainer(session, config)?.fit(model, sequences, &[], &mut ()).context("a step that recomputes every block")?;
    let reserved = session.reserved();
    session.release();
    Ok(reserved)
}

/// Lets the peer make a step after each of ours.
struct Turns<'s> {
    session: &'s Session,
    peer: Option<&'s Peer>,
    deadline: Instant,
    steps: usize,
    tokens: f64,
    /// Tokens in a second.
    ours: Vec<f64>,
    theirs: Vec<f64>,
    /// Bytes that the peer had reserved at most.
    peak: Option<f64>,
    note: String,
}

impl<'s> Turns<'s> {
    fn new(session: &'s Session, deadline: Instant) -> Self {
        let (peer, note) = (session.peer(), session.without_peer());
        Self { session, peer, deadline, steps: 0, tokens: 0.0, ours: Vec::new(), theirs: Vec::new(), peak: None, note }
    }

    fn load_peer(&mut self, case: &Case, texts: &[Vec<u32>]) {
        let Some(peer) = self.peer else { return };
        let config = shapes::named(&case.config);
        if let Err(error) = peer.ask(&json!({"do": "load_training", "config": config, "rank": case.rank, "sequences": texts})) {
            self.give_up(&error);
        }
    }

    fn give_up(&mut self, error: &anyhow::Error) {
        self.note = format!("peer absent: {error:#}");
        self.peer = None;
        self.theirs.clear();
        self.peak = None;
    }

    fn peer_step(&mut self) -> Result<()> {
        let Some(peer) = self.peer else { return Ok(()) };
        // Neither side keeps what the other one needs; allocating it anew is part of the time of both.
        self.session.release();
        let answer = peer.ask(&json!({"do": "training_step"}))?;
        let seconds = answer["seconds"].as_f64().context("a step has a time")?;
        self.peak = answer["bytes"].as_f64();
        self.note = format!("loss of the peer {:.3}", answer["loss"].as_f64().unwrap_or(f64::NAN));
        // The first step of each side does not count.
        if self.steps > 1 {
            self.theirs.push(self.tokens / seconds);
        }
        Ok(())
    }
}

impl Progress for Turns<'_> {
    fn step(&mut self, report: &StepReport) -> Control {
        self.steps += 1;
        self.tokens = report.tokens as f64;
        if self.steps > 1 {
            self.ours.push(self.tokens / report.seconds);
        }
        if let Err(error) = self.peer_step() {
            self.give_up(&error);
        }
        let is_late = !self.ours.is_empty() && Instant::now() >= self.deadline;
        if is_late { Control::Stop } else { Control::Continue }
    }
}
