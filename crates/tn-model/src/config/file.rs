//! The text of `config.json`.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{ConfigError, Qwen3Config};

const ARCHITECTURE: &str = "Qwen3ForCausalLM";
const MODEL_TYPE: &str = "qwen3";

/// The keys that are read. Defaults are those of `Qwen3Config` in transformers.
#[derive(Deserialize)]
struct File {
    architectures: Option<Vec<String>>,
    model_type: Option<String>,
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    #[serde(default = "default_head_dim")]
    head_dim: usize,
    #[serde(default = "default_rms_norm_eps")]
    rms_norm_eps: f64,
    rope_theta: Option<f64>,
    rope_parameters: Option<Rope>,
    rope_scaling: Option<Rope>,
    #[serde(default)]
    tie_word_embeddings: bool,
    #[serde(default = "default_max_position_embeddings")]
    max_position_embeddings: usize,
    bos_token_id: Option<u32>,
    eos_token_id: Option<OneOrMany>,
    hidden_act: Option<String>,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    use_sliding_window: bool,
    layer_types: Option<Vec<String>>,
    quantization_config: Option<Value>,
}

/// `rope_scaling` of transformers 4 (where the kind was once called `type`) and `rope_parameters` of transformers 5.
#[derive(Deserialize)]
struct Rope {
    rope_theta: Option<f64>,
    #[serde(alias = "type")]
    rope_type: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(u32),
    Many(Vec<u32>),
}

fn default_head_dim() -> usize {
    128
}

fn default_rms_norm_eps() -> f64 {
    1e-6
}

fn default_max_position_embeddings() -> usize {
    32_768
}

pub(super) fn parse(text: &str) -> Result<Qwen3Config, ConfigError> {
    let file: File = serde_json::from_str(text)?;
    check_architecture(&file)?;
    check_features(&file)?;
    let rope_theta = file.rope_parameters.and_then(|rope| rope.rope_theta).or(file.rope_theta).ok_or(ConfigError::MissingRopeTheta)?;
    Ok(Qwen3Config {
        vocab_size: file.vocab_size,
        hidden_size: file.hidden_size,
        intermediate_size: file.intermediate_size,
        num_hidden_layers: file.num_hidden_layers,
        num_attention_heads: file.num_attention_heads,
        num_key_value_heads: file.num_key_value_heads.unwrap_or(file.num_attention_heads),
        head_dim: file.head_dim,
        rms_norm_eps: file.rms_norm_eps,
        rope_theta,
        tie_word_embeddings: file.tie_word_embeddings,
        max_position_embeddings: file.max_position_embeddings,
        bos_token_id: file.bos_token_id,
        eos_token_ids: match file.eos_token_id {
            None => Vec::new(),
            Some(OneOrMany::One(id)) => vec![id],
            Some(OneOrMany::Many(ids)) => ids,
        },
    })
}

fn check_architecture(file: &File) -> Result<(), ConfigError> {
    let mismatch = |field, found: &str, expected| Err(ConfigError::Architecture { field, found: found.to_owned(), expected });
    match (&file.architectures, &file.model_type) {
        (_, Some(found)) if found != MODEL_TYPE => mismatch("model_type", found, MODEL_TYPE),
        (Some(found), _) if !found.iter().any(|name| name == ARCHITECTURE) => mismatch("architectures", &found.join(", "), ARCHITECTURE),
        (None, None) => mismatch("model_type", "missing", MODEL_TYPE),
        _ => Ok(()),
    }
}

fn check_features(file: &File) -> Result<(), ConfigError> {
    let unsupported = |field, found: &str| Err(ConfigError::Unsupported { field, found: found.to_owned() });
    for (field, rope) in [("rope_parameters", &file.rope_parameters), ("rope_scaling", &file.rope_scaling)] {
        match rope.as_ref().map(|rope| rope.rope_type.as_deref()) {
            Some(Some(kind)) if kind != "default" => return unsupported(field, kind),
            _ => {}
        }
    }
    match &file.hidden_act {
        Some(name) if name != "silu" => return unsupported("hidden_act", name),
        _ => {}
    }
    if file.attention_bias {
        return unsupported("attention_bias", "true");
    }
    if file.use_sliding_window {
        return unsupported("use_sliding_window", "true");
    }
    if let Some(kind) = file.layer_types.iter().flatten().find(|kind| *kind != "full_attention") {
        return unsupported("layer_types", kind);
    }
    match &file.quantization_config {
        Some(value) if !value.is_null() => unsupported("quantization_config", &value.to_string()),
        _ => Ok(()),
    }
}

pub(super) fn render(config: &Qwen3Config, weight_type: &str) -> String {
    let value = json!({
        "architectures": [ARCHITECTURE],
        "attention_bias": false,
        "attention_dropout": 0.0,
        "bos_token_id": config.bos_token_id,
        "eos_token_id": match config.eos_token_ids.as_slice() {
            [] => Value::Null,
            [id] => json!(id),
            ids => json!(ids),
        },
        "head_dim": config.head_dim,
        "hidden_act": "silu",
        "hidden_size": config.hidden_size,
        "initializer_range": 0.02,
        "intermediate_size": config.intermediate_size,
        "max_position_embeddings": config.max_position_embeddings,
        "model_type": MODEL_TYPE,
        "num_attention_heads": config.num_attention_heads,
        "num_hidden_layers": config.num_hidden_layers,
        "num_key_value_heads": config.num_key_value_heads,
        "rms_norm_eps": config.rms_norm_eps,
        // Once for transformers 4 and vLLM, once for transformers 5.
        "rope_theta": config.rope_theta,
        "rope_parameters": { "rope_theta": config.rope_theta, "rope_type": "default" },
        "sliding_window": null,
        "tie_word_embeddings": config.tie_word_embeddings,
        "torch_dtype": weight_type,
        "use_cache": true,
        "use_sliding_window": false,
        "vocab_size": config.vocab_size,
    });
    format!("{value:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published configuration of Qwen3-4B-Base (transformers 4).
    const QWEN3_4B: &str = r#"{
        "architectures": ["Qwen3ForCausalLM"], "attention_bias": false, "attention_dropout": 0.0, "bos_token_id": 151643,
        "eos_token_id": 151643, "head_dim": 128, "hidden_act": "silu", "hidden_size": 2560, "initializer_range": 0.02,
        "intermediate_size": 9728, "max_position_embeddings": 32768, "max_window_layers": 36, "model_type": "qwen3",
        "num_attention_heads": 32, "num_hidden_layers": 36, "num_key_value_heads": 8, "rms_norm_eps": 1e-06,
        "rope_scaling": null, "rope_theta": 1000000, "sliding_window": null, "tie_word_embeddings": true,
        "torch_dtype": "bfloat16", "transformers_version": "4.51.0", "use_cache": true, "use_sliding_window": false,
        "vocab_size": 151936
    }"#;

    fn with(key: &str, value: Value) -> String {
        let mut file: Value = serde_json::from_str(QWEN3_4B).unwrap();
        file[key] = value;
        file.to_string()
    }

    fn without(key: &str) -> String {
        let mut file: Value = serde_json::from_str(QWEN3_4B).unwrap();
        file.as_object_mut().unwrap().shift_remove(key);
        file.to_string()
    }

    fn check_error(text: &str, expected: &str) {
        assert_eq!(parse(text).unwrap_err().to_string(), expected);
    }

    #[test]
    fn the_published_configuration_is_read() {
        let config = parse(QWEN3_4B).unwrap();
        assert_eq!(config.rope_theta, 1e6);
        assert_eq!(config.eos_token_ids, [151_643]);
        assert_eq!(config.parameter_count(), 4_022_468_096);
    }

    #[test]
    fn rope_parameters_win_over_the_older_key() {
        let text = with("rope_parameters", json!({"rope_theta": 5e5, "rope_type": "default"}));
        assert_eq!(parse(&text).unwrap().rope_theta, 5e5);
    }

    #[test]
    fn several_end_tokens_are_kept() {
        let config = parse(&with("eos_token_id", json!([151_645, 151_643]))).unwrap();
        assert_eq!(config.eos_token_ids, [151_645, 151_643]);
    }

    #[test]
    fn what_is_written_is_read_back() {
        for mut config in [parse(QWEN3_4B).unwrap(), Qwen3Config::tiny(700)] {
            assert_eq!(parse(&render(&config, "float32")).unwrap(), config);
            config.eos_token_ids = vec![];
            assert_eq!(parse(&render(&config, "float32")).unwrap(), config);
            config.eos_token_ids = vec![4, 5];
            assert_eq!(parse(&render(&config, "float32")).unwrap(), config);
        }
    }

    #[test]
    fn other_models_are_refused() {
        check_error(&with("model_type", json!("qwen2")), "model_type is qwen2, expected qwen3");
        check_error(
            &with("architectures", json!(["Qwen3ForSequenceClassification"])),
            "architectures is Qwen3ForSequenceClassification, expected Qwen3ForCausalLM",
        );
    }

    #[test]
    fn features_that_are_not_implemented_are_refused() {
        check_error(&with("rope_scaling", json!({"type": "yarn", "factor": 4.0})), "rope_scaling = yarn is not supported");
        check_error(&with("hidden_act", json!("gelu")), "hidden_act = gelu is not supported");
        check_error(&with("attention_bias", json!(true)), "attention_bias = true is not supported");
        check_error(&with("use_sliding_window", json!(true)), "use_sliding_window = true is not supported");
        check_error(
            &with("layer_types", json!(["full_attention", "sliding_attention"])),
            "layer_types = sliding_attention is not supported",
        );
        check_error(&with("quantization_config", json!({"bits": 4})), r#"quantization_config = {"bits":4} is not supported"#);
    }

    #[test]
    fn missing_keys_are_refused() {
        check_error(&without("rope_theta"), "neither rope_theta nor rope_parameters.rope_theta is given");
        assert!(matches!(parse(&without("hidden_size")), Err(ConfigError::Json(_))));
        assert!(matches!(parse("{"), Err(ConfigError::Json(_))));
    }
}
