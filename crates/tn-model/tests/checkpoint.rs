//! Checkpoint and adapter folders: those of transformers and PEFT are read, damaged ones are refused by name.

use std::fs;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use tn_model::{
    Adapter, AdapterConfig, AdapterFactors, AdapterReader, CheckpointError, CheckpointReader, CheckpointWriter, Device, ParameterShape,
    Projection, Qwen3, Qwen3Config, SentenceTokenizer, TokenizerOptions, WeightType, merge_adapter, read_adapter, unmerge_adapter,
    write_adapter,
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
fn a_header_is_checked_before_any_tensor_is_read() {
    let with_weights = |bytes: &[u8]| {
        let folder = copy("tied");
        fs::write(folder.path().join("model.safetensors"), bytes).unwrap();
        open_error(folder.path())
    };
    assert_eq!(with_weights(&[]), "unusable header in model.safetensors: the header needs 8 bytes, the file has 0");
    assert!(with_weights(&[0; 8]).starts_with("unusable header in model.safetensors: not a safetensors header: EOF"));
    let twice = r#"{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#;
    let file = [&(twice.len() as u64).to_le_bytes()[..], twice.as_bytes()].concat();
    assert_eq!(with_weights(&file), "unusable header in model.safetensors: the key a occurs twice");

    let folder = copy("tied");
    fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    fs::create_dir(folder.path().join("model.safetensors")).unwrap();
    assert!(open_error(folder.path()).starts_with("cannot read model.safetensors: "));
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

    assert_eq!(
        edit(&|index| drop(index["weight_map"].as_object_mut().unwrap().remove(Qwen3Config::EMBEDDING))),
        "model-00001-of-00002.safetensors holds model.embed_tokens.weight, which the shard index does not list"
    );
    assert_eq!(edit(&|index| index["weight_map"] = serde_json::json!({})), ". has no tensor model.embed_tokens.weight");
    assert!(edit(&|index| index["weight_map"][Qwen3Config::HEAD] = 2.into()).starts_with("model.safetensors.index.json is malformed"));

    let folder = copy("untied");
    let path = folder.path().join("model.safetensors.index.json");
    let twice = format!(r#"{{"weight_map": {{"lm_head.weight": "{SECOND}", "lm_head.weight": "model-00001-of-00002.safetensors"}}}}"#);
    fs::write(path, twice).unwrap();
    assert_eq!(open_error(folder.path()), "model.safetensors.index.json lists lm_head.weight twice");

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
            CheckpointWriter::new(parent.path().join("bf16")).with_weight_type(WeightType::Bf16),
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
fn an_adapter_of_another_base_is_refused_with_both_named() {
    let error = |change: &dyn Fn(&mut Qwen3Config)| {
        let mut base = base();
        change(&mut base);
        let error = read_adapter(fixture("tied-lora"), &base).unwrap_err();
        assert!(matches!(error, CheckpointError::OtherBase { .. }));
        chain(&error, &fixture("tied-lora"))
    };
    assert_eq!(
        error(&|base| base.hidden_size = 32),
        "the adapter in . was made for \"tied\" of 3 layers, which is not this base of 3 layers, width 32: \
         base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight in adapter_model.safetensors has shape [4, 64], expected [4, 32]"
    );
    assert_eq!(
        error(&|base| base.num_hidden_layers = 4),
        "the adapter in . was made for \"tied\" of 3 layers, which is not this base of 4 layers, width 64: \
         adapter_model.safetensors has no tensor base_model.model.model.layers.3.self_attn.q_proj.lora_A.weight"
    );
    assert!(error(&|base| base.num_hidden_layers = 2).contains("holds base_model.model.model.layers.2."));
}

#[test]
fn a_damaged_adapter_is_refused_by_name() {
    let error = |damage: &dyn Fn(&Path)| {
        let folder = copy("tied-lora");
        damage(folder.path());
        let error = read_adapter(folder.path(), &base()).unwrap_err();
        assert!(!matches!(error, CheckpointError::OtherBase { .. }));
        chain(&error, folder.path())
    };
    let weights = "adapter_model.safetensors";
    let key = "base_model.model.model.layers.1.mlp.down_proj.lora_A.weight";
    let renamed = key.replace("lora_A", "lora_C");
    assert_eq!(error(&|folder| edit_header(&folder.join(weights), key, &renamed)), format!("{weights} has no tensor {key}"));
    let rank = |folder: &Path| {
        let path = folder.join("adapter_config.json");
        fs::write(&path, fs::read_to_string(&path).unwrap().replace("\"r\": 4", "\"r\": 5")).unwrap();
    };
    assert_eq!(
        error(&rank),
        format!("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight in {weights} has shape [4, 64], expected [5, 64]")
    );
    assert!(error(&|folder| fs::remove_file(folder.join(weights)).unwrap()).starts_with(&format!("cannot read {weights}")));
    assert!(error(&|folder| fs::write(folder.join(weights), "").unwrap()).starts_with(&format!("unusable header in {weights}")));
    assert!(error(&|folder| fs::write(folder.join("adapter_config.json"), "{").unwrap()).starts_with("adapter_config.json is malformed"));
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

/// The files of a folder that hold weights.
fn weight_files(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.starts_with("model")).collect();
    names.sort();
    names
}

#[test]
fn shards_hold_what_one_file_holds() {
    let (config, mut tensors) = (base(), read_all(&fixture("tied")));
    let parent = tempfile::tempdir().unwrap();
    for (weight_type, bytes) in [(WeightType::F32, 300_000), (WeightType::F16, 100_000), (WeightType::Bf16, 1)] {
        let folder = parent.path().join(weight_type.name());
        tensors.reverse();
        let writer = CheckpointWriter::new(&folder).with_weight_type(weight_type).with_max_shard_bytes(bytes);
        writer.write(&config, tensors.clone()).unwrap();
        let reader = CheckpointReader::open(&folder).unwrap();
        assert_eq!((reader.config(), reader.weight_type()), (&config, weight_type));
        // f16 holds what bf16 does, but for the smallest values: half its smallest step is lost.
        let lost = largest_difference(&read_all(&folder), &read_all(&fixture("tied")));
        assert!(lost <= if weight_type == WeightType::F16 { 2f32.powi(-25) } else { 0.0 }, "{weight_type:?} loses {lost}");
        let files = weight_files(&folder);
        let shards = files.len() - 1;
        assert_eq!(files[shards], "model.safetensors.index.json");
        assert_eq!(files[0], format!("model-00001-of-{shards:05}.safetensors"));
        let largest = files[..shards].iter().map(|name| fs::metadata(folder.join(name)).unwrap().len()).max().unwrap();
        let header = 16_000;
        let embedding = (512 * 64 * weight_type.size()) as u64;
        assert!(shards > 1 && largest < bytes.max(embedding) + header, "{shards} shards of up to {largest} bytes");
        let index: serde_json::Value = serde_json::from_slice(&fs::read(folder.join(&files[shards])).unwrap()).unwrap();
        assert_eq!(index["metadata"]["total_size"], config.parameter_count() * weight_type.size());
        assert_eq!(index["weight_map"].as_object().unwrap().len(), tensors.len());
    }
}

#[test]
fn weight_files_of_another_number_do_not_stay_behind() {
    let (config, tensors) = (base(), read_all(&fixture("tied")));
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("model");
    let write = |bytes: u64, scale: f32| {
        let scaled = tensors.iter().map(|(shape, values)| (shape.clone(), values.iter().map(|v| v * scale).collect::<Vec<_>>()));
        CheckpointWriter::new(&folder).with_max_shard_bytes(bytes).write(&config, scaled).unwrap();
        assert_eq!(read_all(&folder)[0].1[5], tensors[0].1[5] * scale);
        weight_files(&folder).len()
    };
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("notes.txt"), "").unwrap();
    assert_eq!(write(u64::MAX, 1.0), 1);
    let many = write(100_000, 2.0);
    assert!(many > 3);
    assert!(write(300_000, 4.0) < many);
    assert_eq!(write(100_000, 8.0), many);
    assert_eq!(write(u64::MAX, 16.0), 1);
    assert!(folder.join("notes.txt").exists());
}

#[test]
fn a_value_that_a_format_cannot_hold_is_refused_by_name() {
    let mut tensors = read_all(&fixture("tied"));
    tensors[3].1[7] = -65_520.0;
    let name = tensors[3].0.name.clone();
    let parent = tempfile::tempdir().unwrap();
    let write =
        |weight_type| CheckpointWriter::new(parent.path().join("model")).with_weight_type(weight_type).write(&base(), tensors.clone());
    let error = write(WeightType::F16).unwrap_err();
    assert!(error.to_string().starts_with(&format!("{name} has the value -65520, which float16 cannot hold")), "{error}");
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    write(WeightType::Bf16).unwrap();
}

#[test]
fn the_files_of_a_tokenizer_are_copied() {
    let from = tempfile::tempdir().unwrap();
    for name in ["tokenizer.json", "tokenizer_config.json", "merges.txt", "notes.txt"] {
        fs::write(from.path().join(name), name).unwrap();
    }
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("model");
    CheckpointWriter::new(&folder).with_tokenizer_files_of(from.path()).write(&base(), read_all(&fixture("tied"))).unwrap();
    for name in ["tokenizer.json", "tokenizer_config.json", "merges.txt"] {
        assert_eq!(fs::read_to_string(folder.join(name)).unwrap(), name);
    }
    assert!(!folder.join("notes.txt").exists());

    // Without this file, transformers splits text as Qwen does.
    fs::remove_file(from.path().join("tokenizer_config.json")).unwrap();
    CheckpointWriter::new(&folder).with_tokenizer_files_of(from.path()).write(&base(), read_all(&fixture("tied"))).unwrap();
    let config: serde_json::Value = serde_json::from_slice(&fs::read(folder.join("tokenizer_config.json")).unwrap()).unwrap();
    assert_eq!(config["tokenizer_class"], "PreTrainedTokenizerFast");
    assert_eq!((&config["eos_token"], &config["model_max_length"]), (&"<|endoftext|>".into(), &2048.into()));
}

fn largest_difference(a: &[(ParameterShape, Vec<f32>)], b: &[(ParameterShape, Vec<f32>)]) -> f32 {
    assert!(a.iter().map(|(shape, _)| shape).eq(b.iter().map(|(shape, _)| shape)));
    let pairs = a.iter().zip(b).flat_map(|((_, a), (_, b))| a.iter().zip(b));
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn merging_by_tensors_equals_merging_in_memory() {
    let model = Qwen3::load(fixture("tied"), &Device::flex()).unwrap();
    let adapted = model.with_adapter(fixture("tied-lora")).unwrap();
    let (base, parent) = (CheckpointReader::open(fixture("tied")).unwrap(), tempfile::tempdir().unwrap());
    let adapter = AdapterReader::open(fixture("tied-lora"), base.config()).unwrap();

    let merged = parent.path().join("merged");
    merge_adapter(&base, &adapter, &CheckpointWriter::new(&merged).with_max_shard_bytes(200_000)).unwrap();
    assert!(read_all(&merged) == adapted.tensors());
    assert!(largest_difference(&read_all(&merged), &model.tensors()) > 0.1);

    let half = parent.path().join("half");
    merge_adapter(&base, &adapter, &CheckpointWriter::new(&half).with_weight_type(WeightType::Bf16)).unwrap();
    let rounded = |value: f32| 2f32.powi(-8) * value.abs();
    for ((_, exact), (_, half)) in adapted.tensors().iter().zip(&read_all(&half)) {
        assert!(exact.iter().zip(half).all(|(exact, half)| (exact - half).abs() <= rounded(*exact)), "more than one rounding");
    }
}

#[test]
fn what_was_merged_can_be_taken_out_again() {
    let model = Qwen3::load(fixture("tied"), &Device::flex()).unwrap();
    let adapted = model.with_adapter(fixture("tied-lora")).unwrap();
    assert!(adapted.without_adapters().tensors() == model.tensors(), "the base that was kept is exact");
    let unmerged = adapted.merged().unmerged(fixture("tied-lora")).unwrap();
    let difference = largest_difference(&unmerged.tensors(), &model.tensors());
    assert!(difference < 2e-7, "{difference}");

    let parent = tempfile::tempdir().unwrap();
    let (merged, back) = (parent.path().join("merged"), parent.path().join("back"));
    let base = CheckpointReader::open(fixture("tied")).unwrap();
    let adapter = AdapterReader::open(fixture("tied-lora"), base.config()).unwrap();
    merge_adapter(&base, &adapter, &CheckpointWriter::new(&merged)).unwrap();
    unmerge_adapter(&CheckpointReader::open(&merged).unwrap(), &adapter, &CheckpointWriter::new(&back)).unwrap();
    assert!(read_all(&back) == unmerged.tensors());
}
