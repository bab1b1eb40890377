//! What a server has and understands, found out with a few tiny requests.
//!
//! Servers ignore, refuse or obey an option, and say nothing about which. So each one is tried where it shows: the most probable token alone
//! gives the same text whatever the seed, and a stop string that is known to come shows whether it is kept.

use serde_json::{Value, json};

use super::completion::{Capabilities, choices, keep_stop};
use super::endpoint::{CallError, Endpoint};
use super::error::{AttemptError, RemoteError, is_control};

const PROMPT: &str = "<pos> X: 0, Y: 0 <cs>";
const TOKENS: u32 = 8;

/// Returns the names of the models that a server has. One with control characters is passed over: it would come to logs and records.
pub(super) fn served(endpoint: &Endpoint) -> Result<Vec<String>, CallError> {
    let answer = endpoint.get("/v1/models")?;
    let malformed = || CallError::Attempt(AttemptError::Malformed { reason: "there is no list of models".to_owned() });
    let models = answer["data"].as_array().ok_or_else(malformed)?;
    let names = models.iter().filter_map(|model| model["id"].as_str());
    Ok(names.filter(|name| !name.contains(is_control)).map(str::to_owned).collect())
}

/// Returns the name of the model to ask for: the one that is wanted, or the only one.
pub(super) fn choose(endpoint: &Endpoint, mut served: Vec<String>, wanted: Option<&str>) -> Result<String, RemoteError> {
    let endpoint = endpoint.url().to_owned();
    match wanted {
        Some(name) if served.iter().any(|served| is_called(served, name)) => Ok(name.to_owned()),
        Some(name) => Err(RemoteError::ModelNotServed { endpoint, model: name.to_owned(), served }),
        None if served.len() == 1 => Ok(served.remove(0)),
        None => Err(RemoteError::ModelNotNamed { endpoint, served }),
    }
}

/// SGLang lists the model and answers to `model:adapter`, too.
fn is_called(served: &str, name: &str) -> bool {
    served == name || name.strip_prefix(served).is_some_and(|rest| rest.starts_with(':'))
}

/// Finds out what a server understands.
pub(super) fn capabilities(endpoint: &Endpoint, model: &str) -> Result<Capabilities, CallError> {
    let probe = Probe { endpoint, model };
    let plain = probe.ask(&json!({ "temperature": 0 }), 1)?;
    let (text, names_stop) = &plain[0];
    let includes_stop = match text.chars().next() {
        Some(first) => {
            let mut options = json!({ "temperature": 0, "stop": [first.to_string()] });
            keep_stop(&mut options);
            probe.tries(&options, 1)?.is_some_and(|found| found[0].0 == first.to_string())
        }
        None => false,
    };
    Ok(Capabilities {
        several: probe.tries(&json!({ "temperature": 1, "n": 2 }), 2)?.is_some(),
        top_k: probe.narrows(&json!({ "top_k": 1 }))?,
        min_p: probe.narrows(&json!({ "min_p": 1.0 }))?,
        token_ids: probe.tries(&json!({ "prompt": [1, 2, 3] }), 1)?.is_some(),
        includes_stop,
        names_stop: *names_stop,
    })
}

struct Probe<'a> {
    endpoint: &'a Endpoint,
    model: &'a str,
}

impl Probe<'_> {
    /// Returns the texts, each with whether the answer has a field for the stop string.
    fn ask(&self, options: &Value, expected: u32) -> Result<Vec<(String, bool)>, CallError> {
        let mut body = json!({ "model": self.model, "prompt": PROMPT, "max_tokens": TOKENS, "seed": 1 });
        for (name, value) in options.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        let answer = self.endpoint.post("/v1/completions", &body)?;
        let found = choices(&answer, expected).map_err(CallError::Attempt)?;
        Ok(found.into_iter().map(|choice| (choice.text, choice.stop.is_some())).collect())
    }

    /// Returns the texts; nothing when the options are refused or the number of texts is another one.
    fn tries(&self, options: &Value, expected: u32) -> Result<Option<Vec<(String, bool)>>, CallError> {
        match self.ask(options, expected) {
            Ok(texts) => Ok(Some(texts)),
            Err(CallError::Refused { status: 400 | 422, .. } | CallError::Attempt(AttemptError::Choices { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns whether an option that leaves one token to choose from makes hot samples of different seeds equal. Two of three suffice:
    /// rounding on a GPU may turn a near tie.
    fn narrows(&self, options: &Value) -> Result<bool, CallError> {
        let mut texts: Vec<String> = Vec::new();
        for seed in 1..=3 {
            let mut options = options.clone();
            options["temperature"] = json!(2.0);
            options["seed"] = json!(seed);
            let Some(mut found) = self.tries(&options, 1)? else { return Ok(false) };
            let text = found.swap_remove(0).0;
            if texts.contains(&text) {
                return Ok(true);
            }
            texts.push(text);
        }
        Ok(false)
    }
}
