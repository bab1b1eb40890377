//! What cannot be used ends with a message, exit code 3, and no output.

use tissuenarrator::io::{AnnDataRow, AnnDataWriter, TableWriter};
use tissuenarrator::sentence::{CellRecord, Position, SentenceRecord, TaskRecord};

use crate::folder::Folder;

/// Writes a section of so many cells, with columns of the given names.
fn write_section(folder: &Folder, name: &str, cells: usize, columns: &[&str]) {
    let mut writer = AnnDataWriter::create(folder.path(name), &["GFAP", "AQP4"], columns).expect("a writer");
    for cell in 0..cells {
        let row = AnnDataRow {
            name: &format!("cell_{cell}"),
            position: Position::new(cell as f64, 0.0).expect("finite"),
            columns: &vec!["A"; columns.len()],
            genes: &[0],
            values: &[1.0],
        };
        writer.push(&row).expect("a row");
    }
    writer.finish().expect("a file");
}

#[test]
fn a_missing_column_names_the_option_and_a_column_that_may_be_meant() {
    let folder = Folder::new();
    write_section(&folder, "slices.h5ad", 3, &["slice_id", "class"]);
    let parts = [r#"no column "section""#, "columns are", "slice_id", "did you mean --section slice_id?"];
    folder.fail("encode slices.h5ad -o cells.parquet", 3, &parts);
    folder.run("encode slices.h5ad -o cells.parquet --section slice_id");
    folder.fail("encode slices.h5ad -o other.parquet --section slice_id --columns layer", 3, &[r#"no column "layer""#, "--columns"]);
    folder.fail("encode slices.h5ad -o other.parquet --section slice_id --layer counts", 3, &[r#"no layer "counts""#]);
}

#[test]
fn gene_aliases_that_cannot_be_used_are_named() {
    let folder = Folder::new();
    write_section(&folder, "section.h5ad", 3, &["section"]);
    let refused = |text: &str, parts: &[&str]| {
        std::fs::write(folder.path("aliases.tsv"), text).expect("a file");
        folder.fail("encode section.h5ad -o cells.parquet --gene-aliases aliases.tsv", 3, parts);
    };
    refused("GFAP\n", &["aliases.tsv", "line 1 has 1 columns"]);
    refused("OLD\tA\nOLD\tB\n", &["aliases.tsv", r#""OLD" is an alias of "A" and of "B""#]);
    refused("AQP4\tGFAP\n", &["section.h5ad", r#""GFAP" (column 0) and "AQP4" (column 1) are both "GFAP""#]);
    std::fs::write(folder.path("aliases.tsv"), "GFAP\tGFAP2\n").expect("a file");
    folder.run("encode section.h5ad -o cells.csv --gene-aliases aliases.tsv");
    assert!(folder.text("cells.csv").contains("GFAP2"));
}

#[test]
fn an_empty_section_is_refused() {
    let folder = Folder::new();
    write_section(&folder, "empty.h5ad", 0, &["section"]);
    folder.fail("encode empty.h5ad -o cells.parquet", 3, &["empty.h5ad has no cells"]);
}

#[test]
fn an_empty_table_is_refused() {
    let folder = Folder::new();
    TableWriter::<CellRecord>::create(folder.path("cells.parquet")).and_then(TableWriter::finish).expect("a table");
    TableWriter::<SentenceRecord>::create(folder.path("sentences.parquet")).and_then(TableWriter::finish).expect("a table");
    TableWriter::<TaskRecord>::create(folder.path("tasks.csv")).and_then(TableWriter::finish).expect("a table");
    folder.fail("patch cells.parquet -o out.parquet", 3, &["cells.parquet has no rows"]);
    folder.fail("prompts cells.parquet -o out.parquet", 3, &["cells.parquet has no rows"]);
    folder.fail("train sentences.parquet -o run", 3, &["sentences.parquet has no rows"]);
    folder.fail("baseline tasks.csv -o out.parquet --method nearest-neighbor", 3, &["tasks.csv has no rows"]);
}

#[test]
fn a_truncated_or_foreign_file_is_refused() {
    let folder = Folder::with_tables();
    let whole = folder.bytes("sections.h5ad");
    for length in [0, 100, whole.len() / 2, whole.len() - 100] {
        std::fs::write(folder.path("cut.h5ad"), &whole[..length]).expect("a file");
        folder.fail("encode cut.h5ad -o out.parquet", 3, &["cut.h5ad"]);
    }
    let whole = folder.bytes("tasks.parquet");
    std::fs::write(folder.path("cut.parquet"), &whole[..whole.len() / 2]).expect("a file");
    folder.fail("baseline cut.parquet -o out.parquet --method nearest-neighbor", 3, &["cut.parquet"]);
    folder.fail("inspect cut.parquet", 3, &["cut.parquet"]);
    folder.fail("encode tasks.parquet -o out.parquet", 3, &["tasks.parquet is not an HDF5 file"]);
    folder.fail("encode nowhere.h5ad -o out.parquet", 3, &["nowhere.h5ad"]);
    folder.fail("patch nowhere.parquet -o out.parquet", 3, &["nowhere.parquet"]);
}

#[test]
fn a_table_of_another_kind_is_refused_with_the_command_that_makes_the_right_one() {
    let folder = Folder::with_model();
    let wrong = |arguments: &str, column: &str, command: &str| {
        folder.fail(arguments, 3, &[&format!("no column {column:?}"), "columns are", command]);
    };
    wrong("patch tasks.parquet -o out.parquet", "sentence", "`tn encode`");
    wrong("prompts truth.parquet -o out.parquet", "sentence", "`tn encode`");
    wrong("train tasks.parquet -o other", "sentence", "`tn patch`");
    wrong("generate cells.parquet -o out.parquet --model run", "prompt", "`tn prompts`");
    wrong("surprise cells.parquet -o out.parquet --model run", "prompt", "`tn prompts`");
    wrong("baseline cells.parquet -o out.parquet --method random", "prompt", "`tn prompts`");
    wrong("score tasks.parquet", "generated_block", "`tn generate`");
    wrong("baseline tasks.parquet -o out.parquet --method oracle --truth tasks.parquet", "oracle", "`tn simulate --truth`");
}

#[test]
fn a_split_or_key_that_is_not_there_is_named_beside_those_that_are() {
    let folder = Folder::with_tables();
    folder.fail("prompts cells.parquet -o out.parquet --split holdout", 3, &["holdout", "train", "--split"]);
    folder.fail("patch cells.parquet -o out.parquet --split holdout", 3, &["holdout", "train", "--split"]);
    folder.fail("patch cells.parquet -o out.parquet --meta layer", 3, &[r#""layer""#, "spatial_domain", "--meta"]);
    folder.run("patch cells.parquet -o test.parquet --split test --neighbors 4");
    folder.fail("train test.parquet -o run", 3, &["test.parquet has no rows of the split train; splits are test"]);
    folder.fail("patch cells.parquet -o out.parquet --bin-width 1", 3, &["--bin-width"]);
}

#[test]
fn a_run_that_diverges_shows_the_sequences_that_it_met() {
    let folder = Folder::with_tables();
    let output = folder.output("train sentences.parquet -o run --steps 8 --batch 2 --lr 1e30");
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    for part in ["in the last 3 steps", "(training sequences ", "begins with \"<pos> X: ", "smaller --lr"] {
        assert!(message.contains(part), "expected {part:?} in: {message}");
    }
}

#[test]
fn a_tokenizer_that_does_not_match_the_model_is_refused() {
    let folder = Folder::with_model();
    folder.run("simulate -o wide.h5ad --cells 60 --genes 200 --sections 1 --classes 8");
    folder.run("encode wide.h5ad -o wide.parquet");
    folder.run("patch wide.parquet -o wide_sentences.parquet --neighbors 3 --split train");
    folder.run("train wide_sentences.parquet -o wide --steps 1 --batch 1");
    std::fs::copy(folder.path("wide/tokenizer.json"), folder.path("run/tokenizer.json")).expect("a copy");
    let parts = ["the tokenizer in run does not match the model", "tokens, the model only"];
    folder.fail("generate tasks.parquet -o out.parquet --model run", 3, &parts);
    folder.fail("surprise tasks.parquet -o out.parquet --model run", 3, &parts);
    folder.fail("train sentences.parquet -o other --base run", 3, &parts);
}

#[test]
fn an_adapter_of_another_base_is_refused() {
    let folder = Folder::with_model();
    folder.run("train sentences.parquet -o lora --base run --lora-rank 2 --steps 1 --batch 1");
    let weights = folder.path("lora/adapter/adapter_model.safetensors");
    let bytes = std::fs::read(&weights).expect("a file");
    // The last layer's keys become those of one more.
    let keys = |bytes: &[u8], at: usize| bytes[at..].starts_with(b"layers.3.");
    let other = (0..bytes.len()).map(|at| if at >= 7 && keys(&bytes, at - 7) { b'4' } else { bytes[at] });
    std::fs::write(&weights, other.collect::<Vec<u8>>()).expect("a file");
    let parts = ["the adapter in lora/adapter was made for \"run\" of 5 layers", "this base of 4 layers", "layers.3", "trained on"];
    folder.fail("merge --base run --adapter lora/adapter -o merged", 3, &parts);
    folder.fail("generate tasks.parquet -o out.parquet --model run --adapter lora/adapter", 3, &parts);
}

#[test]
fn a_model_folder_that_is_not_whole_is_refused() {
    let folder = Folder::with_model();
    let message = folder.fail("generate tasks.parquet -o out.parquet --model nowhere", 3, &["nowhere"]);
    assert!(!message.contains("freely"), "{message}");
    folder.fail("surprise tasks.parquet -o out.parquet --model nowhere", 3, &["nowhere"]);
    let whole = folder.bytes("run/model.safetensors");
    std::fs::write(folder.path("run/model.safetensors"), &whole[..whole.len() / 2]).expect("a file");
    folder.fail("generate tasks.parquet -o out.parquet --model run", 3, &["model.safetensors"]);
    std::fs::remove_file(folder.path("run/model.safetensors")).expect("a file");
    folder.fail("generate tasks.parquet -o out.parquet --model run", 3, &["no model.safetensors"]);
}

/// Lets the model's tokenizer compose accented letters, as that of Qwen does: it cannot give back what is not composed.
fn compose_accents(folder: &Folder) {
    let tokenizer = folder.text("run/tokenizer.json").replace(r#""normalizer": null"#, r#""normalizer": { "type": "NFC" }"#);
    assert!(tokenizer.contains("NFC"));
    std::fs::write(folder.path("run/tokenizer.json"), tokenizer).expect("a file");
}

#[test]
fn a_consensus_needs_a_panel() {
    let folder = Folder::with_model();
    std::fs::remove_file(folder.path("run/panel.txt")).expect("a file");
    folder.fail("generate tasks.parquet -o out.parquet --model run --consensus", 3, &["no gene panel", "--panel FILE", "panel.txt"]);
    compose_accents(&folder);
    std::fs::write(folder.path("genes.txt"), "GFAP\nE\u{301}1\n").expect("a file");
    let parts = ["the tokenizer in run", "genes.txt", "gives back", "--free"];
    folder.fail("generate tasks.parquet -o out.parquet --model run --consensus --panel genes.txt", 3, &parts);
    folder.fail("generate tasks.parquet -o out.parquet --model run --panel genes.txt", 3, &parts);
    std::fs::write(folder.path("none.txt"), "\n").expect("a file");
    folder.fail("generate tasks.parquet -o out.parquet --model run --panel none.txt", 3, &["none.txt has no genes"]);
}

#[test]
fn a_tokenizer_that_cannot_write_the_panel_of_its_folder_is_refused() {
    let folder = Folder::with_model();
    compose_accents(&folder);
    let panel = folder.text("run/panel.txt");
    std::fs::write(folder.path("run/panel.txt"), format!("{panel}E\u{301}1\n")).expect("a file");
    let generate = "generate tasks.parquet -o out.parquet --model run --max-new-tokens 2";
    let parts = ["the tokenizer in run", "run/panel.txt", "gives back", "another model?", "--free"];
    folder.fail(generate, 3, &parts);
    folder.run(&format!("{generate} --free"));
    std::fs::remove_file(folder.path("run/panel.txt")).expect("a file");
    let output = folder.output(generate);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("genes are written freely"));
}

#[test]
fn prompts_that_cannot_fit_leave_no_output() {
    let folder = Folder::with_model();
    let parts = ["none of the", "exceeds the model's context", "--max-new-tokens"];
    folder.fail("generate tasks.parquet -o out.parquet --model run --max-new-tokens 40000", 3, &parts);
}
