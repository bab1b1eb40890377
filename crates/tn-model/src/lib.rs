//! tn-model.

pub mod kernels;
pub mod qwen3;

mod config;

pub use config::{ConfigError, ParameterShape, Projection, Qwen3Config};
pub use qwen3::Qwen3;
