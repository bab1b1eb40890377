//! A row of the table of generated cells.

use std::{fmt, str::FromStr};

use thiserror::Error;

use super::TaskRecord;

/// One cell that a predictor wrote.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct GeneratedRecord {
    /// The task that was answered.
    pub task: TaskRecord,
    /// Counts the samples of the same task, from 0.
    pub sample: u32,
    /// The exact text given to the model.
    pub model_prompt: String,
    /// Its raw continuation.
    pub generated_text: String,
    /// The whole cell: header, genes and `</cs>`.
    pub generated_block: String,
    /// Why the generation ended.
    pub finish_reason: FinishReason,
    /// The number of tokens generated.
    pub n_tokens: u32,
    /// How often the constraint changed what the model would have written.
    pub repairs: u32,
}

/// Why a generation ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
pub enum FinishReason {
    /// The cell was closed by `</cs>`.
    Closed,
    /// The limit of tokens was reached.
    Length,
    /// The model ended the text before closing the cell.
    End,
    /// The generation failed.
    Error,
}

impl FinishReason {
    /// Returns the reason as it stands in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Length => "length",
            Self::End => "end",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for FinishReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for FinishReason {
    type Err = UnknownFinishReason;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Closed, Self::Length, Self::End, Self::Error]
            .into_iter()
            .find(|reason| reason.as_str() == text)
            .ok_or_else(|| UnknownFinishReason { found: text.to_owned() })
    }
}

/// A word that is no finish reason.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("unknown finish reason {found:?}, expected closed, length, end or error")]
pub struct UnknownFinishReason {
    /// The word found.
    pub found: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finish_reasons_parse_as_they_print() {
        for reason in ["closed", "length", "end", "error"] {
            let parsed: FinishReason = reason.parse().unwrap();
            assert_eq!(parsed.to_string(), reason);
        }
        let error = "stop".parse::<FinishReason>().unwrap_err();
        assert_eq!(error.to_string(), r#"unknown finish reason "stop", expected closed, length, end or error"#);
    }
}
