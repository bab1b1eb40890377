//! The likelihood of observed cells, and the influence of their neighbors: against whole prompts read one by one, and on planted truth.

use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use burn::tensor::Device;
use tn_model::kernels::packed_linear::WeightFormat;
use tn_model::likelihood::{CellScorer, LikelihoodError};
use tn_model::qwen3::PackedQwen3;
use tn_model::training::{Trainer, TrainingConfig};
use tn_model::{Qwen3, Qwen3Config, SentenceTokenizer, TokenSequence, TokenizerOptions};
use tn_sentence::{CellLikelihood, Conditioning, Coordinates, PromptBuilder, PromptOrder, TaskRecord, Vocabulary};

const BOSSES: [&str; 2] = ["A", "B"];
const GENES: [&str; 2] = ["GFAP AQP4", "GAD1 SST"];

/// One neighbor whose class decides the genes of the target, among one to three that decide nothing.
fn neighbors(boss: usize, n: usize) -> Vec<String> {
    let bystanders = 1 + n % 3;
    let neighbor = |x: usize, class: &str| format!("<pos> X: {x}, Y: 1 <meta> class: {class} <cs> MBP </cs>");
    let mut cells: Vec<String> = (0..bystanders).map(|i| neighbor(i + 1, ["C", "D"][(n / 4 + i) % 2])).collect();
    cells.insert(n % (bystanders + 1), neighbor(n % 5, BOSSES[boss]));
    cells
}

fn task(boss: usize, genes: usize, n: usize) -> TaskRecord {
    let answer = format!("<pos> X: 0, Y: 0 <meta> class: T <cs> {} </cs>", GENES[genes]);
    TaskRecord { cell_name: "t".into(), prompt: neighbors(boss, n).join(" "), answer, ..TaskRecord::default() }
}

fn text(boss: usize, n: usize) -> String {
    let task = task(boss, boss, n);
    format!("{} {}", task.prompt, task.answer)
}

fn tokenizer() -> SentenceTokenizer {
    let panel = Vocabulary::new(["GFAP", "GAD1", "MBP"]).unwrap();
    SentenceTokenizer::train((0..8).map(|n| text(n % 2, n / 2)), &panel, &TokenizerOptions::default()).unwrap()
}

fn untrained() -> Qwen3 {
    let config = Qwen3Config { num_hidden_layers: 2, ..Qwen3Config::tiny(tokenizer().vocab_size()) };
    Qwen3::initialize(&config, 5, &Device::flex())
}

fn scorer(model: Qwen3, conditioning: Conditioning) -> CellScorer {
    CellScorer::new(
        PackedQwen3::pack(&model, WeightFormat::F32),
        tokenizer(),
        PromptBuilder::new(conditioning).with_order(PromptOrder::AsGiven),
    )
    .unwrap()
}

#[test]
fn what_is_shared_changes_nothing() {
    for conditioning in [Conditioning::Conditioned, Conditioning::Unconditioned, Conditioning::PositionOnly] {
        let scorer = scorer(untrained(), conditioning);
        let whole = scorer.score(&task(0, 0, 1)).unwrap();
        assert_eq!((whole.genes.len(), whole.influences.len()), (2, 3));
        let total = |kept: Vec<String>| scorer.score(&TaskRecord { prompt: kept.join(" "), ..task(0, 0, 1) }).unwrap().total();
        let check = |fast: f64, slow: f64| assert!((fast - slow).abs() < 1e-4, "{conditioning:?}: {fast} and {slow}");
        check(whole.without_neighbors, total(Vec::new()));
        for left_out in 0..3 {
            let mut kept = neighbors(0, 1);
            kept.remove(left_out);
            check(whole.influences[left_out], whole.total() - total(kept));
        }
    }
}

#[test]
fn a_scorer_that_is_not_told_coordinates_does_not_depend_on_them() {
    let here = TaskRecord { neighbor_cell_names: ["p", "q", "r"].map(String::from).to_vec(), ..task(0, 0, 1) };
    let there =
        TaskRecord { prompt: here.prompt.replace("Y: 1", "Y: 70"), answer: here.answer.replace("X: 0", "X: 31"), x: 31.0, ..here.clone() };
    for conditioning in [Conditioning::Conditioned, Conditioning::Unconditioned, Conditioning::PositionOnly] {
        let shown = scorer(untrained(), conditioning);
        assert_ne!(shown.score(&here).unwrap().total(), shown.score(&there).unwrap().total(), "{conditioning:?}");
        let hidden = scorer(untrained(), conditioning).with_coordinates(Coordinates::Hidden);
        let scored = hidden.score(&here).unwrap();
        assert_eq!(scored, hidden.score(&there).unwrap(), "{conditioning:?}");
        assert!(scored.influences.len() == 3 && scored.gene_log_probabilities.len() == 2);
        // The header is written where it is not shown, and only there.
        assert_eq!(scored.header != 0.0, conditioning == Conditioning::Unconditioned);
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let scorer = scorer(untrained(), Conditioning::Unconditioned);
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let scored = [1, 2, 3].map(|threads| pool(threads).install(|| scorer.score(&task(1, 0, 2)).unwrap()));
    assert!(scored[0] == scored[1] && scored[0] == scored[2], "{scored:?}");
}

#[test]
fn genes_of_several_tokens_are_scored_whole() {
    let (known, unknown) = (tokenizer().encode_ids(" GAD1").len(), tokenizer().encode_ids(" QXZJ").len());
    assert!(known == 1 && unknown > 1);
    let observed = TaskRecord { answer: "<pos> X: 0, Y: 0 <meta> class: T <cs> GAD1 QXZJ </cs>".into(), ..task(0, 1, 1) };
    let scored = scorer(untrained(), Conditioning::Conditioned).score(&observed).unwrap();
    // Each token of an untrained model has a probability of about one in the size of the vocabulary.
    let token = (tokenizer().vocab_size() as f64).ln();
    for (gene, tokens) in scored.gene_log_probabilities.iter().zip([known, unknown]) {
        assert!((gene / tokens as f64 + token).abs() < 0.5, "{scored:?} at {token} a token");
    }
}

#[test]
fn the_likelihood_is_the_loss_of_the_model() {
    let whole = scorer(untrained(), Conditioning::Conditioned).score(&task(0, 1, 1)).unwrap();
    let task = task(0, 1, 1);
    let ids = tokenizer().encode_ids(&format!("{} {}", task.prompt, task.answer));
    let header = format!("{} <pos> X: 0, Y: 0 <meta> class: T <cs>", task.prompt);
    let begin = tokenizer().encode_ids(&header).len();
    let target = |i: usize| (i + 1 >= begin).then(|| ids.get(i + 1).copied()).flatten();
    let targets: Vec<Option<u32>> = (0..ids.len()).map(target).collect();
    let loss = untrained().loss(&ids, &targets);
    assert!((whole.total() + whole.close + loss).abs() < 1e-3, "{} and {loss}", whole.total() + whole.close);
    assert_eq!(whole.header, 0.0);

    // Unconditioned, the model writes the class, too; the genes follow it as before.
    let unconditioned = scorer(untrained(), Conditioning::Unconditioned).score(&task).unwrap();
    let position = format!("{} <pos> X: 0, Y: 0", task.prompt);
    let begin = tokenizer().encode_ids(&position).len();
    let target = |i: usize| (i + 1 >= begin).then(|| ids.get(i + 1).copied()).flatten();
    let loss = untrained().loss(&ids, &(0..ids.len()).map(target).collect::<Vec<_>>());
    let sum = unconditioned.header + unconditioned.total() + unconditioned.close;
    assert!((sum + loss).abs() < 1e-3 && unconditioned.header < -1.0, "{sum} and {loss}");
    assert!((unconditioned.total() - whole.total()).abs() < 1e-4);
}

#[test]
fn the_neighbor_that_decides_has_the_influence() {
    let tokenizer = tokenizer();
    let sequences: Vec<TokenSequence> =
        (0..48).map(|n| TokenSequence::encode_neighborhood(&tokenizer, &text(n % 2, n / 2), 20.0)).collect();
    let mut model = untrained();
    Trainer::new(TrainingConfig { epochs: 40, batch: 4, ..TrainingConfig::from_scratch() })
        .unwrap()
        .fit(&mut model, &sequences, &[], &mut ())
        .unwrap();
    let scorer = scorer(model, Conditioning::Conditioned);
    for boss in 0..2 {
        let as_expected = scorer.score(&task(boss, boss, 1)).unwrap();
        let contrary = scorer.score(&task(boss, 1 - boss, 1)).unwrap();
        assert!(contrary.surprise() > as_expected.surprise() + 0.5, "{contrary:?} and {as_expected:?}");
        let size = |neighbor: usize| contrary.influences[neighbor].abs();
        assert!(size(1) > 3.0 * size(0).max(size(2)), "{contrary:?}");
    }
}

/// The scorer of an untrained model that reads so many tokens at most.
fn narrow_scorer(context: usize) -> CellScorer {
    let config = Qwen3Config { max_position_embeddings: context, num_hidden_layers: 2, ..Qwen3Config::tiny(tokenizer().vocab_size()) };
    scorer(Qwen3::initialize(&config, 5, &Device::flex()), Conditioning::Conditioned)
}

fn token_count(prompt: &[String], answer: &str) -> usize {
    tokenizer().encode_ids(&[prompt, &[answer.to_owned()]].concat().join(" ")).len()
}

#[test]
fn the_farthest_neighbors_are_left_out_where_the_context_is_short() {
    let (task, cells) = (task(0, 0, 2), neighbors(0, 2));
    // By rising distance; of the two at the same place, the first one stays longer.
    for left_out in 0..=4 {
        let kept = &cells[..4 - left_out];
        for spare in [0, 1] {
            let scored = narrow_scorer(token_count(kept, &task.answer) + spare).score(&task).unwrap();
            assert_eq!((scored.neighbors_left_out as usize, scored.influences.len()), (left_out, 4 - left_out));
            let alone = TaskRecord { prompt: kept.join(" "), ..task.clone() };
            let expected = narrow_scorer(1_000).score(&alone).unwrap();
            assert_eq!((scored.total(), &scored.neighbors), (expected.total(), &expected.neighbors));
        }
    }
    let context = token_count(&[], &task.answer) - 1;
    let scored = narrow_scorer(context).score(&task);
    assert!(matches!(scored, Err(LikelihoodError::TooLong { tokens, .. }) if tokens == context + 1), "{scored:?}");
}

#[test]
fn an_answer_that_cannot_be_read_is_an_error() {
    let unreadable = TaskRecord { answer: "GFAP".into(), ..task(0, 0, 0) };
    let scored = scorer(untrained(), Conditioning::Conditioned).score(&unreadable);
    assert!(matches!(scored, Err(LikelihoodError::Prompt { .. })), "{scored:?}");
}

#[test]
fn influences_that_are_not_asked_for_change_nothing_else() {
    let whole = scorer(untrained(), Conditioning::Conditioned).score(&task(0, 0, 1)).unwrap();
    let without = scorer(untrained(), Conditioning::Conditioned).without_influences().score(&task(0, 0, 1)).unwrap();
    assert!(whole.influences.len() == 3 && without == CellLikelihood { influences: Vec::new(), ..whole });
}

#[test]
fn neighbors_have_the_names_of_the_task_or_class_and_position() {
    let names = |conditioning, names: &[&str]| {
        let task = TaskRecord { neighbor_cell_names: names.iter().map(|&name| name.into()).collect(), ..task(0, 0, 0) };
        scorer(untrained(), conditioning).score(&task).unwrap().neighbors
    };
    assert_eq!(names(Conditioning::Conditioned, &["a", "b"]), ["a", "b"]);
    assert_eq!(names(Conditioning::Conditioned, &["a"]), ["A at X: 0, Y: 1", "C at X: 1, Y: 1"]);
    assert_eq!(names(Conditioning::PositionOnly, &[]), ["X: 0, Y: 1", "X: 1, Y: 1"]);
}

#[test]
fn tasks_are_scored_side_by_side_until_asked_to_stop() {
    let scorer = scorer(untrained(), Conditioning::Conditioned);
    let tasks: Vec<TaskRecord> =
        (0..6).map(|n| if n == 2 { TaskRecord { answer: String::new(), ..task(0, 0, n) } } else { task(n % 2, 0, n) }).collect();
    let found = Mutex::new(vec![None; tasks.len()]);
    scorer.score_each(&tasks, |index, likelihood| {
        found.lock().unwrap()[index] = Some(likelihood.ok());
        ControlFlow::Continue(())
    });
    let expected: Vec<_> = tasks.iter().map(|task| Some(scorer.score(task).ok())).collect();
    assert!(expected[2] == Some(None) && *found.lock().unwrap() == expected);

    let begun = AtomicUsize::new(0);
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    one.install(|| {
        scorer.score_each(&tasks, |_, _| {
            begun.fetch_add(1, Ordering::Relaxed);
            ControlFlow::Break(())
        });
    });
    assert_eq!(begun.into_inner(), 1);
}

#[test]
fn nothing_observed_is_an_error() {
    let empty = TaskRecord { answer: " ".into(), ..task(0, 0, 0) };
    let scored = scorer(untrained(), Conditioning::Conditioned).score(&empty);
    assert!(matches!(scored, Err(LikelihoodError::NothingObserved { .. })), "{scored:?}");
}
