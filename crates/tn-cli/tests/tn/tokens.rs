//! Training sequences for other programs.

use tissuenarrator::io::{PROVENANCE_KEY, Provenance, TOKENIZER_KEY, TableReader, TokenRow, TokenTableReader, content_hash};
use tissuenarrator::model::training::visiting_order;
use tissuenarrator::model::{Chunker, SentenceTokenizer};
use tissuenarrator::sentence::SentenceRecord;

use crate::folder::Folder;

fn tokens(folder: &Folder, name: &str) -> Vec<TokenRow> {
    TokenTableReader::open(folder.path(name)).and_then(Iterator::collect).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn a_table_of_tokens_holds_the_sequences_of_a_training_run() {
    let folder = Folder::with_model();
    let result = folder.json("tokenize sentences.parquet -o tokens.parquet --base run --max-tokens 90 --target-weight 8");
    let tokenizer = SentenceTokenizer::load(folder.path("run")).expect("a tokenizer");
    let sentences: Vec<SentenceRecord> =
        TableReader::open(folder.path("sentences.parquet")).and_then(TableReader::read_all).expect("a table");
    let texts: Vec<&str> = sentences.iter().filter(|record| record.split == "train").map(|record| record.sentence.as_str()).collect();
    let chunker = Chunker::new(&tokenizer, 90).with_min_tokens(0).with_target_weight(8.0);
    let sequences = chunker.chunk_all(&texts).expect("sequences").sequences;
    let row = |place: usize| TokenRow {
        input_ids: sequences[place].ids.iter().map(|&id| id as i32).collect(),
        labels: sequences[place].labels.clone(),
        weights: sequences[place].weights.clone(),
    };
    let expected: Vec<TokenRow> = (0..sequences.len()).map(row).collect();
    assert!(expected.len() > texts.len(), "some sentences are cut");
    assert!(expected.iter().any(|row| row.weights.contains(&8.0) && row.labels.contains(&-100)));
    assert!(tokens(&folder, "tokens.parquet") == expected);
    assert_eq!((&result["sequences"], &result["rows"]), (&expected.len().into(), &expected.len().into()));

    folder.run("tokenize sentences.parquet -o visits.parquet --base run --max-tokens 90 --target-weight 8 --epochs 2 --seed 7");
    let visits: Vec<TokenRow> = visiting_order(&sequences, 7, 2).into_iter().map(row).collect();
    assert_eq!(visits.len(), 2 * expected.len());
    assert!(tokens(&folder, "visits.parquet") == visits);
}

#[test]
fn a_table_of_tokens_says_what_it_was_made_from() {
    let folder = Folder::with_model();
    folder.run("tokenize sentences.parquet -o tokens.parquet --base run --split val --target-weight 2 --seed 3");
    let reader = TokenTableReader::open(folder.path("tokens.parquet")).expect("a table");
    let metadata = reader.metadata();
    assert_eq!(metadata.keys().collect::<Vec<_>>(), [PROVENANCE_KEY, "tn.report", TOKENIZER_KEY]);
    let (hash, _) = content_hash(folder.bytes("run/tokenizer.json").as_slice()).expect("a hash");
    assert_eq!(metadata[TOKENIZER_KEY], format!("{hash:016x}"));
    let provenance = Provenance::from_json(&metadata[PROVENANCE_KEY]).expect("provenance");
    assert_eq!((provenance.step.as_str(), provenance.seed), ("tokenize", Some(3)));
    let names: Vec<&str> = provenance.inputs.iter().map(|input| input.name.as_str()).collect();
    assert_eq!(names, ["sentences.parquet", "tokenizer.json"]);
    let options: Vec<String> = provenance.options.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(options, ["epochs=null", "max_tokens=2048", "split=\"val\"", "target_weight=2.0", "without_coordinates=false"]);

    folder.fail("tokenize sentences.parquet -o tokens.csv --base run", 2, &["tokens.csv has the extension"]);
    folder.fail("tokenize sentences.parquet -o sentences.parquet --base run", 2, &["is an input"]);
    folder.fail("tokenize sentences.parquet -o other.parquet --base nowhere", 3, &["nowhere"]);
}

#[test]
fn a_table_of_tokens_is_written_again_only_when_something_has_changed() {
    let folder = Folder::with_model();
    let written = || std::fs::metadata(folder.path("tokens.parquet")).and_then(|file| file.modified()).expect("a file");
    let command = "tokenize sentences.parquet -o tokens.parquet --base run --max-tokens 90";
    let (report, first) = (folder.json(command), written());
    assert_eq!(folder.json(command), report);
    assert_eq!(written(), first);
    // Another option, another tokenizer, a damaged table.
    assert_ne!(folder.json(&command.replace("90", "80")), report);
    let second = written();
    assert_ne!(second, first);
    let tokenizer = folder.text("run/tokenizer.json");
    std::fs::write(folder.path("run/tokenizer.json"), format!("{tokenizer}\n")).expect("a file");
    assert_eq!(folder.json(command), report);
    assert_ne!(written(), second);
    let whole = folder.bytes("tokens.parquet");
    std::fs::write(folder.path("tokens.parquet"), &whole[..whole.len() / 2]).expect("a file");
    assert_eq!(folder.json(command), report);
    assert!(folder.bytes("tokens.parquet") == whole);
}
