//! tn-model.

mod config;
pub use config::{ConfigError, ParameterShape, Projection, Qwen3Config};
