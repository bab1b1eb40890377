//! The body of a request to `/v1/completions`, and how its answer is read.

use serde_json::{Value, json};
use tn_sentence::FinishReason;

use super::error::{AttemptError, shown};
use crate::generation::generator::{Continuation, Request};

/// What a server was found to understand beyond the plain interface.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Capabilities {
    pub(super) several: bool,
    pub(super) top_k: bool,
    pub(super) min_p: bool,
    pub(super) token_ids: bool,
    /// The text holds the stop string.
    pub(super) includes_stop: bool,
    /// The answer says which stop string was found.
    pub(super) names_stop: bool,
}

/// A prompt as it is sent.
#[derive(Clone, Copy)]
pub(super) enum Prompt<'a> {
    Text(&'a str),
    Ids(&'a [u32]),
}

/// Returns the body of a request for `samples` continuations.
///
/// Everything that a server might take from the model's `generation_config.json` instead is said explicitly.
pub(super) fn body(model: &str, request: &Request, prompt: Prompt<'_>, samples: (u32, u32), understood: Capabilities) -> Value {
    let (first, count) = samples;
    let mut body = json!({
        "model": model,
        "prompt": match prompt {
            Prompt::Text(text) => json!(text),
            Prompt::Ids(ids) => json!(ids),
        },
        "max_tokens": request.max_new_tokens,
        "temperature": decimal(request.sampling.temperature),
        "top_p": decimal(request.sampling.top_p),
        "seed": seed(request, first),
        "stop": [Request::STOP],
    });
    if count > 1 {
        body["n"] = json!(count);
    }
    if understood.top_k {
        // Servers agree on -1 for all tokens; some refuse 0.
        body["top_k"] = if request.sampling.top_k == 0 { json!(-1) } else { json!(request.sampling.top_k) };
        body["repetition_penalty"] = json!(1.0);
    }
    if understood.min_p {
        body["min_p"] = json!(decimal(request.sampling.min_p));
    }
    if understood.includes_stop {
        keep_stop(&mut body);
    }
    body
}

/// Asks for the stop string in the text, by the names that vLLM and SGLang have for it.
pub(super) fn keep_stop(body: &mut Value) {
    body["include_stop_str_in_output"] = json!(true);
    body["no_stop_trim"] = json!(true);
}

/// Returns the seed of a sample in the 31 bits that every server can hold.
fn seed(request: &Request, sample: u32) -> u64 {
    request.sample_seed(sample) >> 33
}

/// Returns the number as it is written in decimals: 0.3, and not 0.30000001192092896.
fn decimal(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

/// One continuation as a server describes it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Choice {
    pub(super) text: String,
    pub(super) reason: String,
    /// Whether the answer has a field for the stop string, and the string.
    pub(super) stop: Option<Option<String>>,
}

/// Reads the continuations in the order of their numbers.
pub(super) fn choices(answer: &Value, expected: u32) -> Result<Vec<Choice>, AttemptError> {
    let malformed = |reason: &str| AttemptError::Malformed { reason: reason.to_owned() };
    let found = answer["choices"].as_array().ok_or_else(|| malformed("there is no list `choices`"))?;
    if found.len() != expected as usize {
        return Err(AttemptError::Choices { expected, found: found.len() });
    }
    let mut choices = vec![None; found.len()];
    for (place, choice) in found.iter().enumerate() {
        let index = match &choice["index"] {
            Value::Null => Some(place),
            index => index.as_u64().and_then(|index| usize::try_from(index).ok()),
        };
        let slot = index.and_then(|index| choices.get_mut(index)).filter(|slot| slot.is_none());
        let slot = slot.ok_or_else(|| malformed("the field `index` does not number the choices"))?;
        let text = choice["text"].as_str().ok_or_else(|| malformed("a choice has no `text`"))?.to_owned();
        let reason = choice["finish_reason"].as_str().ok_or_else(|| malformed("a choice has no `finish_reason`"))?.to_owned();
        let stop = choice.get("stop_reason").or_else(|| choice.get("matched_stop")).map(|stop| stop.as_str().map(str::to_owned));
        *slot = Some(Choice { text, reason, stop });
    }
    Ok(choices.into_iter().flatten().collect())
}

/// Reads the continuations of a request.
///
/// Servers count the tokens of an answer as a whole: of several continuations each gets an equal share. A count that is missing is 0.
pub(super) fn continuations(answer: &Value, expected: u32) -> Result<Vec<Continuation>, AttemptError> {
    let choices = choices(answer, expected)?;
    let tokens = answer.pointer("/usage/completion_tokens").and_then(Value::as_u64).unwrap_or(0);
    let count = choices.len() as u64;
    let share = |place: u64| u32::try_from(tokens / count + u64::from(place < tokens % count)).unwrap_or(u32::MAX);
    choices.into_iter().zip(0..).map(|(choice, place)| continuation(choice, share(place))).collect()
}

fn continuation(choice: Choice, tokens: u32) -> Result<Continuation, AttemptError> {
    let Choice { mut text, reason, stop } = choice;
    let finish_reason = match text.find(Request::STOP) {
        Some(at) => {
            text.truncate(at + Request::STOP.len());
            FinishReason::Closed
        }
        None => match reason.as_str() {
            "length" => FinishReason::Length,
            "stop" if stop.flatten().as_deref() == Some(Request::STOP) => {
                text.push_str(Request::STOP);
                FinishReason::Closed
            }
            "stop" => FinishReason::End,
            other => return Err(AttemptError::Malformed { reason: format!("the finish reason is {:?}", shown(other)) }),
        },
    };
    Ok(Continuation { text, finish_reason, tokens, repairs: 0, is_cut_between_genes: false })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generation::Sampling;

    fn request() -> Request {
        Request {
            id: "cell".to_owned(),
            prompt: "<pos> X: 1, Y: 2 <cs>".to_owned(),
            header: "<pos> X: 1, Y: 2 <cs>".to_owned(),
            samples: 3,
            sampling: Sampling::default(),
            max_new_tokens: 400,
            seed: 42,
        }
    }

    #[test]
    fn a_body_says_only_what_is_understood() {
        let plain = body("m", &request(), Prompt::Text("p"), (0, 1), Capabilities::default());
        let keys: Vec<&str> = plain.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["model", "prompt", "max_tokens", "temperature", "top_p", "seed", "stop"]);
        assert_eq!(plain["temperature"].to_string(), "0.3");

        let all = Capabilities { several: true, top_k: true, min_p: true, token_ids: true, includes_stop: true, names_stop: true };
        let full = body("m", &request(), Prompt::Ids(&[1, 2]), (1, 2), all);
        assert_eq!(full["n"], 2);
        assert_eq!(full["top_k"], 10);
        assert_eq!(full["prompt"], json!([1, 2]));
        assert_eq!(full["include_stop_str_in_output"], true);
        let unlimited = Request { sampling: Sampling::AS_TRAINED, ..request() };
        assert_eq!(body("m", &unlimited, Prompt::Text("p"), (0, 1), all)["top_k"], -1);
    }

    #[test]
    fn seeds_differ_by_sample_and_fit_any_server() {
        let seed = |sample| body("m", &request(), Prompt::Text("p"), (sample, 1), Capabilities::default())["seed"].as_u64();
        assert_ne!(seed(0), seed(1));
        assert!((0..100).all(|sample| seed(sample).is_some_and(|seed| seed < 1 << 31)));
    }

    fn check(choice: Value, text: &str, reason: FinishReason) {
        let answer = json!({ "choices": [choice], "usage": { "completion_tokens": 7 } });
        let found = continuations(&answer, 1).unwrap().remove(0);
        assert_eq!((found.text.as_str(), found.finish_reason, found.tokens), (text, reason, 7), "{answer}");
    }

    #[test]
    fn the_end_of_a_cell_is_recognized_whether_or_not_the_stop_string_is_there() {
        use FinishReason::{Closed, End, Length};
        check(json!({ "text": " A B </cs>", "finish_reason": "stop", "stop_reason": "</cs>" }), " A B </cs>", Closed);
        check(json!({ "text": " A </cs> <pos>", "finish_reason": "length" }), " A </cs>", Closed);
        check(json!({ "text": " A B ", "finish_reason": "stop", "stop_reason": "</cs>" }), " A B </cs>", Closed);
        check(json!({ "text": " A B ", "finish_reason": "stop", "matched_stop": "</cs>" }), " A B </cs>", Closed);
        check(json!({ "text": " A", "finish_reason": "stop", "stop_reason": null }), " A", End);
        check(json!({ "text": " A", "finish_reason": "stop", "matched_stop": 151_643 }), " A", End);
        check(json!({ "text": " A", "finish_reason": "stop" }), " A", End);
        check(json!({ "text": " A", "finish_reason": "length" }), " A", Length);
        check(json!({ "text": "é\u{0}</c", "finish_reason": "length" }), "é\u{0}</c", Length);
    }

    #[test]
    fn continuations_are_ordered_by_their_numbers() {
        let choice = |index: u32| json!({ "index": index, "text": index.to_string(), "finish_reason": "length" });
        let answer = json!({ "choices": [choice(2), choice(0), choice(1)], "usage": { "completion_tokens": 8 } });
        let found = continuations(&answer, 3).unwrap();
        assert_eq!(found.iter().map(|c| c.text.as_str()).collect::<Vec<_>>(), ["0", "1", "2"]);
        assert_eq!(found.iter().map(|c| c.tokens).collect::<Vec<_>>(), [3, 3, 2]);
    }

    #[test]
    fn answers_of_any_shape_are_errors_and_no_panic() {
        let whole = json!({ "text": "A", "finish_reason": "length" });
        for answer in [
            json!(null),
            json!([]),
            json!({ "choices": {} }),
            json!({ "choices": [1] }),
            json!({ "choices": [{ "text": 1, "finish_reason": "stop" }] }),
            json!({ "choices": [{ "text": "A", "finish_reason": null }] }),
            json!({ "choices": [{ "text": "A", "finish_reason": "abort" }] }),
            json!({ "choices": [{ "index": 1, "text": "A", "finish_reason": "stop" }] }),
            json!({ "choices": [{ "index": -1, "text": "A", "finish_reason": "stop" }] }),
        ] {
            assert!(matches!(continuations(&answer, 1), Err(AttemptError::Malformed { .. })), "{answer}");
        }
        let two = json!({ "choices": [whole, whole] });
        assert_eq!(continuations(&two, 1), Err(AttemptError::Choices { expected: 1, found: 2 }));
        assert_eq!(continuations(&json!({ "choices": [] }), 1), Err(AttemptError::Choices { expected: 1, found: 0 }));
        let huge = json!({ "choices": [{ "text": "A", "finish_reason": "length" }], "usage": { "completion_tokens": u64::MAX } });
        assert_eq!(continuations(&huge, 1).unwrap()[0].tokens, u32::MAX);
    }
}
