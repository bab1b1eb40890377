//! `adapter_config.json`, as PEFT writes it.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::Projection;
use crate::checkpoint::CheckpointError;

/// Rank, scale and adapted projections of a LoRA adapter.
#[derive(Clone, Debug, PartialEq)]
pub struct AdapterConfig {
    /// Rank of the update, above zero.
    pub rank: usize,
    /// Numerator of the scale.
    pub alpha: f64,
    /// The projections that carry an adapter, in every layer.
    pub target_modules: Vec<Projection>,
    /// Dropout before `A` while training. Kept for the record: this crate trains without.
    pub dropout: f64,
    /// The base model, by the name or path that PEFT should load.
    pub base_model: Option<String>,
}

impl AdapterConfig {
    /// Name of the file inside an adapter folder.
    pub const FILE_NAME: &'static str = "adapter_config.json";

    /// Describes an adapter on all seven projections.
    pub fn new(rank: usize, alpha: f64) -> Self {
        Self { rank, alpha, target_modules: Projection::ALL.to_vec(), dropout: 0.0, base_model: None }
    }

    /// Sets the adapted projections.
    pub fn with_target_modules(mut self, projections: impl IntoIterator<Item = Projection>) -> Self {
        self.target_modules = projections.into_iter().collect();
        self
    }

    /// Sets the name or path of the base model.
    pub fn with_base_model(mut self, name: impl Into<String>) -> Self {
        self.base_model = Some(name.into());
        self
    }

    /// Returns the factor of the update, `alpha / rank`.
    pub fn scale(&self) -> f64 {
        self.alpha / self.rank as f64
    }

    /// Reads `adapter_config.json` in an adapter folder.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is malformed, or asks for something that is not implemented. That includes adapters whose training began
    /// by moving a part of the base into them, such as PiSSA's: PEFT writes them for the unchanged base when `save_pretrained` is given
    /// `path_initial_model_for_weight_conversion`.
    pub fn load(folder: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        let path = folder.as_ref().join(Self::FILE_NAME);
        let text = std::fs::read_to_string(&path).map_err(|source| CheckpointError::read(&path, source))?;
        parse(&text, &path)
    }

    pub(super) fn to_json(&self) -> String {
        let alpha = if self.alpha.fract() == 0.0 { json!(self.alpha as i64) } else { json!(self.alpha) };
        let targets: Vec<_> = self.target_modules.iter().map(|projection| projection.name()).collect();
        let value = json!({
            "base_model_name_or_path": self.base_model,
            "bias": "none",
            "fan_in_fan_out": false,
            "inference_mode": true,
            "init_lora_weights": true,
            "lora_alpha": alpha,
            "lora_dropout": self.dropout,
            "modules_to_save": null,
            "peft_type": "LORA",
            "r": self.rank,
            "target_modules": targets,
            "task_type": "CAUSAL_LM",
            "use_dora": false,
            "use_rslora": false,
        });
        format!("{value:#}\n")
    }
}

#[derive(Deserialize)]
struct File {
    peft_type: String,
    r: usize,
    lora_alpha: f64,
    #[serde(default)]
    lora_dropout: f64,
    target_modules: Value,
    base_model_name_or_path: Option<String>,
    /// Whatever else is there; only what would change the result is looked at.
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

/// Keys that must be absent, null or have the plain value, because anything else changes the adapted map.
const PLAIN: [(&str, &str); 22] = [
    ("bias", r#""none""#),
    ("lora_bias", "false"),
    ("fan_in_fan_out", "false"),
    ("use_dora", "false"),
    ("use_rslora", "false"),
    ("use_qalora", "false"),
    ("rank_pattern", "{}"),
    ("alpha_pattern", "{}"),
    ("modules_to_save", "[]"),
    ("layers_to_transform", "[]"),
    ("layers_pattern", "[]"),
    ("layer_replication", "[]"),
    ("exclude_modules", "[]"),
    ("target_parameters", "[]"),
    ("trainable_token_indices", "[]"),
    ("alora_invocation_tokens", "null"),
    ("arrow_config", "null"),
    ("kasa_config", "null"),
    ("monteclora_config", "null"),
    ("use_bdlora", "false"),
    // VeLoRA changes the gradients alone, but stores tensors that mean nothing without it.
    ("velora_config", "null"),
    ("megatron_config", "null"),
];

/// The key that says how training began.
const INITIAL: &str = "init_lora_weights";
/// Ways to begin training that leave the base as it is. The others (PiSSA, OLoRA, CorDA, LoRA-GA, LoftQ) move a part of the base into the
/// adapter: it belongs to that changed base, which is not stored.
const UNCHANGED_BASE: [&str; 4] = ["gaussian", "eva", "orthogonal", "mica"];

fn keeps_the_base(initial_weights: &Value) -> bool {
    match initial_weights {
        Value::Null | Value::Bool(_) => true,
        Value::String(name) => UNCHANGED_BASE.contains(&name.to_lowercase().as_str()),
        _ => false,
    }
}

fn parse(text: &str, path: &Path) -> Result<AdapterConfig, CheckpointError> {
    let file: File = serde_json::from_str(text).map_err(|source| CheckpointError::Json { path: path.to_owned(), source })?;
    let unsupported = |field, found: String| Err(CheckpointError::UnsupportedAdapter { path: path.to_owned(), field, found });
    if file.peft_type != "LORA" {
        return unsupported("peft_type", file.peft_type);
    }
    if file.r == 0 {
        return unsupported("r", "0".to_owned());
    }
    for (field, plain) in PLAIN {
        let found = file.rest.get(field).filter(|value| !value.is_null()).map(Value::to_string);
        if let Some(found) = found.filter(|found| found != plain) {
            return unsupported(field, found);
        }
    }
    if let Some(found) = file.rest.get(INITIAL).filter(|found| !keeps_the_base(found)) {
        return unsupported(INITIAL, found.to_string());
    }
    let names = file.target_modules.as_array().into_iter().flatten();
    let targets: Option<Vec<_>> = names.map(|name| name.as_str().and_then(Projection::from_name)).collect();
    match targets {
        Some(mut target_modules) if !target_modules.is_empty() => {
            target_modules.sort();
            target_modules.dedup();
            Ok(AdapterConfig {
                rank: file.r,
                alpha: file.lora_alpha,
                target_modules,
                dropout: file.lora_dropout,
                base_model: file.base_model_name_or_path,
            })
        }
        _ => unsupported("target_modules", file.target_modules.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(key: &str, value: Value) -> String {
        let mut file: Value = serde_json::from_str(&AdapterConfig::new(4, 8.0).to_json()).unwrap();
        file[key] = value;
        file.to_string()
    }

    fn check_error(text: &str, expected: &str) {
        assert_eq!(parse(text, Path::new("a.json")).unwrap_err().to_string(), expected);
    }

    #[test]
    fn what_is_written_is_read_back() {
        for config in [
            AdapterConfig::new(32, 32.0),
            AdapterConfig::new(4, 2.5).with_target_modules([Projection::Query, Projection::Value]).with_base_model("Qwen/Qwen3-4B-Base"),
        ] {
            assert_eq!(parse(&config.to_json(), Path::new("a.json")).unwrap(), config);
        }
    }

    #[test]
    fn the_scale_is_alpha_over_rank() {
        assert_eq!(AdapterConfig::new(4, 8.0).scale(), 2.0);
    }

    #[test]
    fn other_kinds_of_adapter_are_refused() {
        check_error(&with("peft_type", json!("IA3")), "peft_type = IA3 in a.json is not supported");
        check_error(&with("r", json!(0)), "r = 0 in a.json is not supported");
        check_error(&with("use_dora", json!(true)), "use_dora = true in a.json is not supported");
        check_error(&with("bias", json!("all")), "bias = \"all\" in a.json is not supported");
        check_error(&with("rank_pattern", json!({"q_proj": 8})), "rank_pattern = {\"q_proj\":8} in a.json is not supported");
        check_error(&with("target_modules", json!("all-linear")), "target_modules = \"all-linear\" in a.json is not supported");
        check_error(&with("target_modules", json!(["lm_head"])), "target_modules = [\"lm_head\"] in a.json is not supported");
        check_error(&with("r", json!("four")), "a.json is malformed");
    }

    fn check_refused(key: &str, value: Value) {
        check_error(&with(key, value.clone()), &format!("{key} = {value} in a.json is not supported"));
    }

    #[test]
    fn what_changes_the_adapted_map_is_refused_by_name() {
        check_refused("alpha_pattern", json!({"layers.0.self_attn.q_proj": 16}));
        check_refused("use_rslora", json!(true));
        check_refused("modules_to_save", json!(["lm_head"]));
        check_refused("layers_to_transform", json!(1));
        check_refused("layers_pattern", json!("layers"));
        check_refused("alora_invocation_tokens", json!([27, 91]));
        check_refused("arrow_config", json!({"top_k": 3, "router_temperature": 1.0}));
        check_refused("kasa_config", json!({"beta": 1e-4, "gamma": 1e-3}));
        check_refused("monteclora_config", json!({"num_samples": 8}));
        check_refused("use_bdlora", json!({"nblocks": 2, "target_modules_bd_a": ["o_proj"]}));
        check_refused("velora_config", json!({"num_groups": 64}));
        check_refused("megatron_config", json!({"num_layers": 2}));
    }

    #[test]
    fn target_modules_as_a_pattern_or_a_path_are_refused() {
        for targets in [json!(r".*\.(q|v)_proj$"), json!("q_proj"), json!(["model.layers.0.self_attn.q_proj"]), json!([]), json!(null)] {
            check_refused("target_modules", targets);
        }
    }

    #[test]
    fn adapters_that_began_with_a_part_of_the_base_are_refused() {
        for initial in ["pissa", "pissa_niter_16", "olora", "corda", "loftq", "lora_ga", "a later way"] {
            check_refused("init_lora_weights", json!(initial));
        }
        for initial in [json!(true), json!(false), json!("gaussian"), json!("eva"), json!("orthogonal"), json!("MiCA"), json!(null)] {
            assert!(parse(&with("init_lora_weights", initial), Path::new("a.json")).is_ok());
        }
    }

    /// Fields of PEFT's configuration that say where an adapter comes from, or how it was begun or run, but not what it computes.
    const NOTES: [&str; 13] = [
        "auto_mapping",
        "inference_mode",
        "peft_version",
        "revision",
        "task_type",
        // Read only where `init_lora_weights` names them.
        "corda_config",
        "eva_config",
        "loftq_config",
        "lora_ga_config",
        // Read only with another field, which is refused.
        "ensure_weight_tying",
        "megatron_core",
        "qalora_group_size",
        // Checked by itself.
        INITIAL,
    ];

    #[test]
    fn every_field_that_peft_writes_is_known() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data-fixtures/checkpoints/tied-lora/adapter_config.json");
        let file: File = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let is_known = |key: &str| NOTES.contains(&key) || PLAIN.iter().any(|&(plain, _)| plain == key);
        let unknown: Vec<&String> = file.rest.keys().filter(|key| !is_known(key)).collect();
        assert_eq!(unknown, [""; 0]);
    }
}
