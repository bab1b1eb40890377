//! Checkpoint and adapter folders: those of transformers and PEFT are read, damaged ones are refused by name.

use std::fs;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use tn_model::{
    Adapter, AdapterConfig, AdapterFactors, CheckpointError, CheckpointReader, CheckpointWriter, ParameterShape, Projection, Qwen3Config,
    SentenceTokenizer, TokenizerOptions, WeightType, read_adapter, write_adapter,
};
use tn_sentence::Vocabulary;

fn fixture(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../data-fixtures/checkpoints")).join(name)
}

/// A copy of a fixture that a test may damage.
fn copy(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixture(name)).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    folder
}

/// Every error of opening a damaged copy: the message and its causes, the folder left out.
fn open_error(folder: &Path) -> String {
    chain(&CheckpointReader::open(folder).unwrap_err(), folder)
}

fn chain(error: &CheckpointError, folder: &Path) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text += &format!(": {error}");
        source = error.source();
    }
    text.replace(&format!("{}/", folder.display()), "").replace(&folder.display().to_string(), ".")
}

/// Replaces one value inside `config.json`.
fn edit_config(folder: &Path, key: &str, value: serde_json::Value) {
    let path = folder.join("config.json");
    let mut config: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    config[key] = value;
    fs::write(path, config.to_string()).unwrap();
}

/// Replaces text inside the JSON header of a safetensors file by text of the same length.
fn edit_header(path: &Path, from: &str, to: &str) {
    assert_eq!(from.len(), to.len());
    let mut bytes = fs::read(path).unwrap();
    let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
    bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    fs::write(path, bytes).unwrap();
}

/// A tensor as the `safetensors` crate sees it, for comparison.
fn reference_f32(file: &Path, name: &str) -> Vec<f32> {
    let bytes = fs::read(file).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let data = tensors.tensor(name).unwrap().data();
    data.chunks(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect()
}

#[test]
fn every_fixture_opens_and_has_the_values_of_its_file() {
    for (name, layers) in [("tied", 3), ("untied", 2), ("wide", 1)] {
        let reader = CheckpointReader::open(fixture(name)).unwrap();
        assert_eq!(reader.config().num_hidden_layers, layers, "{name}");
        for parameter in reader.config().parameters() {
            let values = reader.tensor(&parameter.name).unwrap();
            assert_eq!(values.len(), parameter.shape.iter().product::<usize>(), "{}", parameter.name);
            assert!(values.iter().all(|value| value.is_finite() && value.abs() < 10.0), "{}", parameter.name);
        }
    }
    let name = "model.layers.0.self_attn.q_proj.weight";
    let reader = CheckpointReader::open(fixture("tied")).unwrap();
    assert_eq!(reader.tensor(name).unwrap(), reference_f32(&fixture("tied").join("model.safetensors"), name));
}

#[test]
fn both_shards_are_read_in_their_own_number_format() {
    let reader = CheckpointReader::open(fixture("untied")).unwrap();
    assert_eq!(reader.stored(Qwen3Config::EMBEDDING).unwrap().0, WeightType::Bf16);
    assert_eq!(reader.stored(Qwen3Config::HEAD).unwrap().0, WeightType::F32);
    assert_eq!(reader.config().rope_theta, 10_000.0);
}

#[test]
fn an_unknown_tensor_is_an_error() {
    let reader = CheckpointReader::open(fixture("tied")).unwrap();
    let error = reader.tensor(Qwen3Config::HEAD).unwrap_err();
    assert_eq!(chain(&error, &fixture("tied")), "model.safetensors has no tensor lm_head.weight");
}

#[test]
fn a_damaged_folder_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(open_error(folder.path()), "unusable configuration in .: cannot read config.json: No such file or directory (os error 2)");

    let folder = copy("tied");
    fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    assert_eq!(open_error(folder.path()), "no model.safetensors and no model.safetensors.index.json in .");

    let folder = copy("tied");
    let weights = folder.path().join("model.safetensors");
    let bytes = fs::read(&weights).unwrap();
    fs::write(&weights, &bytes[..bytes.len() - 4]).unwrap();
    let error = open_error(folder.path());
    let length = bytes.len();
    assert_eq!(error, format!("unusable header in model.safetensors: header and tensors need {length} bytes, the file has {}", length - 4));
}

#[test]
fn tensors_that_are_not_those_of_the_configuration_are_refused_by_name() {
    let folder = copy("tied");
    edit_config(folder.path(), "num_hidden_layers", 4.into());
    assert_eq!(open_error(folder.path()), "model.safetensors has no tensor model.layers.3.input_layernorm.weight");

    let folder = copy("tied");
    edit_config(folder.path(), "num_hidden_layers", 2.into());
    let error = open_error(folder.path());
    assert!(error.starts_with("model.safetensors holds model.layers.2."), "{error}");
    assert!(error.ends_with(", which the configuration does not have"), "{error}");

    let folder = copy("tied");
    edit_config(folder.path(), "vocab_size", 500.into());
    assert_eq!(open_error(folder.path()), "model.embed_tokens.weight in model.safetensors has shape [512, 64], expected [500, 64]");

    let folder = copy("tied");
    edit_config(folder.path(), "tie_word_embeddings", false.into());
    assert_eq!(open_error(folder.path()), "model.safetensors has no tensor lm_head.weight");

    let folder = copy("tied");
    edit_header(&folder.path().join("model.safetensors"), "model.norm.weight", "model.nrom.weight");
    assert_eq!(open_error(folder.path()), "model.safetensors has no tensor model.norm.weight");

    let folder = copy("tied");
    edit_header(&folder.path().join("model.safetensors"), "\"F32\"", "\"I32\"");
    let error = open_error(folder.path());
    assert!(error.ends_with("has data type I32, expected F32, F16 or BF16"), "{error}");
}

#[test]
fn a_shard_index_that_does_not_fit_is_refused_by_name() {
    const SECOND: &str = "model-00002-of-00002.safetensors";
    let edit = |change: &dyn Fn(&mut serde_json::Value)| {
        let folder = copy("untied");
        let path = folder.path().join("model.safetensors.index.json");
        let mut index = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        change(&mut index);
        fs::write(path, index.to_string()).unwrap();
        open_error(folder.path())
    };
    assert_eq!(
        edit(&|index| index["weight_map"][Qwen3Config::EMBEDDING] = SECOND.into()),
        format!("the shard index places model.embed_tokens.weight in {SECOND}, found model-00001-of-00002.safetensors")
    );
    assert_eq!(
        edit(&|index| index["weight_map"]["another.weight"] = SECOND.into()),
        format!("the shard index places another.weight in {SECOND}, found nowhere")
    );
    assert_eq!(
        edit(&|index| index["weight_map"]["another.weight"] = "../weights.safetensors".into()),
        "model.safetensors.index.json names the shard \"../weights.safetensors\", which is not a file name"
    );
    assert!(edit(&|index| *index = serde_json::json!([])).starts_with("model.safetensors.index.json is malformed"));

    let folder = copy("untied");
    fs::remove_file(folder.path().join(SECOND)).unwrap();
    assert!(open_error(folder.path()).starts_with(&format!("cannot read {SECOND}: ")));

    let folder = copy("untied");
    fs::copy(folder.path().join(SECOND), folder.path().join("model-00001-of-00002.safetensors")).unwrap();
    let error = open_error(folder.path());
    assert!(error.ends_with(&format!("occurs twice, the second time in {SECOND}")), "{error}");
}

fn read_all(folder: &Path) -> Vec<(ParameterShape, Vec<f32>)> {
    let reader = CheckpointReader::open(folder).unwrap();
    reader
        .config()
        .parameters()
        .into_iter()
        .map(|parameter| {
            let values = reader.tensor(&parameter.name).unwrap();
            (parameter, values)
        })
        .collect()
}

#[test]
fn a_checkpoint_is_written_as_it_was_read() {
    for name in ["tied", "untied", "wide"] {
        let reader = CheckpointReader::open(fixture(name)).unwrap();
        let mut tensors = read_all(&fixture(name));
        let parent = tempfile::tempdir().unwrap();
        for writer in [
            CheckpointWriter::new(parent.path().join("f32")),
            // The fixtures hold nothing that bf16 cannot.
            CheckpointWriter::new(parent.path().join("bf16")).with_bf16_weights(),
        ] {
            tensors.reverse();
            writer.write(reader.config(), tensors.clone()).unwrap();
        }
        tensors = read_all(&fixture(name));
        for copy in ["f32", "bf16"] {
            let copy = parent.path().join(copy);
            assert_eq!(CheckpointReader::open(&copy).unwrap().config(), reader.config());
            assert_eq!(read_all(&copy), tensors, "{}", copy.display());
            let bytes = fs::read(copy.join("model.safetensors")).unwrap();
            assert_eq!(SafeTensors::deserialize(&bytes).unwrap().len(), tensors.len());
        }
    }
}

#[test]
fn a_refused_write_leaves_nothing_behind() {
    let config = CheckpointReader::open(fixture("tied")).unwrap().config().clone();
    let tensors = read_all(&fixture("tied"));
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("model");
    let write = |tensors: Vec<(ParameterShape, Vec<f32>)>| {
        let error = CheckpointWriter::new(&folder).write(&config, tensors).unwrap_err();
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
        error
    };

    let error = write(tensors[1..].to_vec());
    assert!(matches!(error, CheckpointError::MissingTensor { name, .. } if name == Qwen3Config::EMBEDDING));
    let error = write([&tensors[..], &tensors[3..4]].concat());
    assert!(matches!(error, CheckpointError::DuplicateTensor { name, .. } if name == tensors[3].0.name));
    let mut renamed = tensors.clone();
    renamed[0].0.name = "another.weight".to_owned();
    assert!(matches!(write(renamed), CheckpointError::UnexpectedTensor { name, .. } if name == "another.weight"));
    let mut cut = tensors.clone();
    cut[0].1.pop();
    assert!(matches!(write(cut), CheckpointError::Shape { found, .. } if found == [512 * 64 - 1]));
    let mut transposed = tensors.clone();
    transposed[0].0.shape.reverse();
    assert!(matches!(write(transposed), CheckpointError::Shape { found, .. } if found == [64, 512]));
}

#[test]
fn an_existing_folder_is_replaced_and_other_files_in_it_stay() {
    let folder = copy("tied");
    let (config, mut tensors) = (CheckpointReader::open(folder.path()).unwrap().config().clone(), read_all(folder.path()));
    tensors[0].1[0] = 42.0;
    let panel = Vocabulary::new(["GFAP"]).unwrap();
    let tokenizer = SentenceTokenizer::train([""], &panel, &TokenizerOptions::new()).unwrap();
    CheckpointWriter::new(folder.path()).with_tokenizer(&tokenizer).write(&config, tensors.clone()).unwrap();
    assert_eq!(read_all(folder.path()), tensors);
    assert_eq!(SentenceTokenizer::load(folder.path()).unwrap().vocab_size(), tokenizer.vocab_size());
    assert!(folder.path().join("expected.json").exists());
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let parent = tempfile::tempdir().unwrap();
    fs::write(parent.path().join("file"), "").unwrap();
    let folder = parent.path().join("file/model");
    let config = Qwen3Config::tiny(300);
    let error = CheckpointWriter::new(&folder).write(&config, Vec::<(ParameterShape, Vec<f32>)>::new()).unwrap_err();
    assert!(matches!(error, CheckpointError::Write { path, .. } if path == folder));
}

fn base() -> Qwen3Config {
    CheckpointReader::open(fixture("tied")).unwrap().config().clone()
}

#[test]
fn an_adapter_of_peft_is_read() {
    let Adapter { config, factors } = read_adapter(fixture("tied-lora"), &base()).unwrap();
    assert_eq!(config, AdapterConfig::new(4, 8.0).with_base_model("tied"));
    assert_eq!(factors.len(), 3 * 7);
    let file = fixture("tied-lora").join("adapter_model.safetensors");
    let down = &factors[13];
    assert_eq!((down.layer, down.projection), (1, Projection::Down));
    assert_eq!(down.a, reference_f32(&file, "base_model.model.model.layers.1.mlp.down_proj.lora_A.weight"));
    assert_eq!(down.b, reference_f32(&file, "base_model.model.model.layers.1.mlp.down_proj.lora_B.weight"));
}

#[test]
fn an_adapter_is_written_as_it_was_read() {
    let adapter = read_adapter(fixture("tied-lora"), &base()).unwrap();
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("adapter");
    write_adapter(&folder, &adapter.config, &base(), adapter.factors.clone()).unwrap();
    assert_eq!(read_adapter(&folder, &base()).unwrap(), adapter);

    let some = AdapterConfig::new(4, 8.0).with_target_modules([Projection::Value, Projection::Query]);
    let factors = adapter.factors.iter().filter(|factors| some.target_modules.contains(&factors.projection));
    write_adapter(&folder, &some, &base(), factors.cloned()).unwrap();
    assert_eq!(read_adapter(&folder, &base()).unwrap().factors.len(), 3 * 2);
}

#[test]
fn an_adapter_that_does_not_fit_the_base_model_is_refused_by_name() {
    let error = |change: &dyn Fn(&mut Qwen3Config)| {
        let mut base = base();
        change(&mut base);
        chain(&read_adapter(fixture("tied-lora"), &base).unwrap_err(), &fixture("tied-lora"))
    };
    assert_eq!(
        error(&|base| base.hidden_size = 32),
        "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight in adapter_model.safetensors has shape [4, 64], \
         expected [4, 32]"
    );
    assert_eq!(
        error(&|base| base.num_hidden_layers = 4),
        "adapter_model.safetensors has no tensor base_model.model.model.layers.3.self_attn.q_proj.lora_A.weight"
    );
    assert!(error(&|base| base.num_hidden_layers = 2).contains("holds base_model.model.model.layers.2."));
}

#[test]
fn an_adapter_with_missing_factors_is_not_written() {
    let adapter = read_adapter(fixture("tied-lora"), &base()).unwrap();
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("adapter");
    let factors: Vec<AdapterFactors> = adapter.factors[..20].to_vec();
    let error = write_adapter(&folder, &adapter.config, &base(), factors).unwrap_err();
    assert!(matches!(error, CheckpointError::MissingTensor { .. }));
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
}
