//! Whether an unfinished run is the one that is asked for again.

use serde_json::Value;
use tissuenarrator::io::Provenance;

/// Name of the file that says to which run unfinished results belong.
pub(crate) const FILE_NAME: &str = "run.json";

/// Returns the text of the file.
pub(crate) fn text(run: &Provenance) -> String {
    format!("{}\n", run.to_json())
}

/// Names what differs between the run that a file tells of and the wanted one; nothing if they are the same.
pub(crate) fn difference(found: &str, wanted: &Provenance) -> Option<String> {
    if found == text(wanted) {
        return None;
    }
    let Some(found) = Provenance::from_json(found) else {
        return Some("its record cannot be read".to_owned());
    };
    if found.version != wanted.version {
        return Some(format!("version {} is now {}", found.version, wanted.version));
    }
    if found.seed != wanted.seed {
        return Some("another --seed".to_owned());
    }
    let option = wanted.options.iter().find_map(|(name, value)| changed(name, found.options.get(name), value));
    let input = wanted.inputs.iter().find(|input| !found.inputs.contains(input));
    Some(match (option, input) {
        (Some(option), _) => option,
        (None, Some(input)) => format!("{} has changed", input.name),
        (None, None) => "an input is gone".to_owned(),
    })
}

/// Names the first change of an option, or of the members of one that has any.
fn changed(name: &str, before: Option<&Value>, now: &Value) -> Option<String> {
    if before == Some(now) {
        return None;
    }
    if let (Some(Value::Object(before)), Value::Object(now)) = (before, now) {
        let gone = before.iter().find(|(name, _)| !now.contains_key(*name));
        let gone = gone.map(|(name, value)| format!("{} was {value}, is nothing", name.replace('_', "-")));
        return now.iter().find_map(|(name, value)| changed(name, before.get(name), value)).or(gone);
    }
    let before = before.map_or("nothing".to_owned(), ToString::to_string);
    Some(format!("{} was {before}, is {now}", name.replace('_', "-")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_difference_is_named() {
        let run = |seed, options: Value| Provenance::new("train").with_seed(seed).with_option("config", options);
        let found = text(&run(1, json!({ "batch": 4, "max_steps": 24 })));
        let check = |wanted: Provenance, expected: Option<&str>| assert_eq!(difference(&found, &wanted).as_deref(), expected);
        check(run(1, json!({ "batch": 4, "max_steps": 24 })), None);
        check(run(2, json!({ "batch": 4, "max_steps": 24 })), Some("another --seed"));
        check(run(1, json!({ "batch": 4, "max_steps": 25 })), Some("max-steps was 24, is 25"));
        check(run(1, json!({ "batch": 4 })), Some("max-steps was 24, is nothing"));
        assert_eq!(difference("{", &run(1, json!(null))).as_deref(), Some("its record cannot be read"));
    }
}
