//! What a command prints when it is done.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value;

use crate::error::CliError;

/// How results are printed on standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutputFormat {
    Text,
    Json,
}

/// The result of a command, as text and as one JSON object.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    json: Value,
    text: String,
}

impl Report {
    /// Makes a report whose text has one line for each member of the object.
    pub(crate) fn summary(json: Value) -> Self {
        let members: Vec<(&String, String)> = json.as_object().into_iter().flatten().map(|(name, value)| (name, plain(value))).collect();
        let width = members.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        let text = members.iter().map(|(name, value)| format!("{:<width$}  {value}\n", name.replace('_', " "))).collect();
        Self { json, text }
    }

    /// Makes a report with a text of its own.
    pub(crate) fn with_text<T: Serialize>(value: &T, text: String) -> Result<Self, CliError> {
        Ok(Self { json: serde_json::to_value(value).map_err(CliError::Json)?, text })
    }

    /// Prints the report. That nobody reads it, as in `tn score ... | head`, is no error.
    pub(crate) fn print(&self, format: OutputFormat) -> Result<(), CliError> {
        let text = match format {
            OutputFormat::Json => format!("{:#}\n", self.json),
            OutputFormat::Text => self.text.clone(),
        };
        match io::stdout().lock().write_all(text.as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(CliError::Print(error)),
            _ => Ok(()),
        }
    }
}

/// Prints a value on one line, numbers with at most four decimals.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => {
            let text = format!("{:.4}", number.as_f64().unwrap_or(f64::NAN));
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(members) => members.iter().map(|(name, value)| format!("{name} {}", plain(value))).collect::<Vec<_>>().join(", "),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_summary_is_an_aligned_table() {
        let report = Report::summary(json!({ "cells": 1200, "mean_genes": 41.25, "sections": { "A": 700, "B": 500 }, "loss": null }));
        assert_eq!(report.text, "cells       1200\nmean genes  41.25\nsections    A 700, B 500\nloss        -\n");
    }
}
