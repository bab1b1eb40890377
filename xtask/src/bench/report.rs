//! The table, as text to be pasted and as JSON.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::machine;
use super::row::{Goal, Measured, Row, Side, SizesOf, Unit, Verdict};
use crate::peer::Peer;

/// How the rows of a table were measured.
pub(crate) struct Conditions<'p> {
    pub(crate) sizes: SizesOf,
    pub(crate) repeats: u32,
    pub(crate) threads: usize,
    /// Of the machine, before the run.
    pub(crate) load: Option<f64>,
    pub(crate) peer: Option<&'p Peer>,
    /// Packages of the peer whose versions are told.
    pub(crate) packages: &'p [&'p str],
    /// What the last list of the report tells.
    pub(crate) checked: &'p str,
}

/// Returns a row in one line.
pub(crate) fn line(row: &Row, sizes: SizesOf) -> String {
    let side = |side| row.best(side).map_or("absent".to_owned(), |best| with_range(row.unit, best));
    format!("{:<12} ours {}; peer {}; {}", row.name, side(Side::Ours), side(Side::Peer), verdict(row, sizes))
}

/// Writes `results.md` and `results.json`, and returns the text of the former.
pub(crate) fn write(folder: &Path, conditions: &Conditions<'_>, rows: &[Row]) -> Result<String> {
    let machine = machine::describe();
    let text = markdown(conditions, rows, &machine);
    let peer = conditions.peer.map_or(Value::Null, |peer| peer.versions().clone());
    let Conditions { sizes, repeats, threads, load, .. } = *conditions;
    let run = json!({"quick": sizes == SizesOf::Quick, "repeats": repeats, "threads": threads, "load_before": load});
    let results =
        json!({"machine": machine, "peer": peer, "run": run, "rows": rows.iter().map(|row| json_row(row, sizes)).collect::<Vec<_>>()});
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for (name, content) in [("results.md", text.clone()), ("results.json", format!("{results:#}\n"))] {
        fs::write(folder.join(name), content).with_context(|| format!("cannot write {name}"))?;
    }
    Ok(text)
}

fn markdown(conditions: &Conditions<'_>, rows: &[Row], machine: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut lines = Vec::new();
    if conditions.sizes == SizesOf::Quick {
        lines.push("Tiny shapes: these numbers mean nothing.\n".to_owned());
    }
    lines.push(format!(
        "{}, {} with {} cores, {} threads, median of {} (lowest to highest), load {} before. {}.\n",
        text(&machine["date"]),
        text(&machine["processor"]),
        machine["cores"],
        conditions.threads,
        conditions.repeats,
        conditions.load.map_or("unknown".to_owned(), |load| format!("{load:.1}")),
        conditions.peer.map_or("No peer".to_owned(), |peer| {
            let versions = peer.versions();
            let named = conditions.packages.iter().map(|name| format!("{name} {}", text(&versions[*name])));
            named.collect::<Vec<_>>().join(", ")
        })
    ));
    lines.push("| row | what | ours | peer | ratio | reach | moonshot | verdict |".to_owned());
    lines.push("|---|---|---|---|---|---|---|---|".to_owned());
    lines.extend(rows.iter().map(|row| table_line(row, conditions.sizes)));
    lines.push("\nEvery variant, with its ratio to the best of the peer:\n".to_owned());
    lines.push("| row | side | variant | median (lowest to highest) | ratio |".to_owned());
    lines.push("|---|---|---|---|---|".to_owned());
    lines.extend(rows.iter().flat_map(variant_lines));
    lines.push(format!("\n{}:\n", conditions.checked));
    lines.extend(rows.iter().flat_map(|row| row.checks.iter().map(|check| format!("- {}: {check}", row.name))));
    lines.push(String::new());
    lines.join("\n")
}

fn table_line(row: &Row, sizes: SizesOf) -> String {
    let side = |side| row.best(side).map_or("absent".to_owned(), |best| format!("{}: {}", best.name, with_range(row.unit, best)));
    let ratio = match (row.ratio(), row.ratio_range()) {
        (Some(ratio), Some((low, high))) => format!("**{ratio:.2}x** ({low:.2} to {high:.2})"),
        _ => "absent".to_owned(),
    };
    let (reach, moonshot) = match row.goal {
        Goal::Speed { reach, moonshot } => (format!("≥ {reach}x"), format!("≥ {moonshot}x")),
        Goal::Cost { reach, moonshot } => (format!("≤ {reach}x"), format!("≤ {moonshot}x")),
    };
    let verdict = verdict_name(row.verdict(sizes));
    format!("| {} | {} | {} | {} | {ratio} | {reach} | {moonshot} | {verdict} |", row.name, row.what, side(Side::Ours), side(Side::Peer))
}

fn variant_lines(row: &Row) -> Vec<String> {
    let line = |measured: &Measured| {
        let (side, ratio) = match measured.side {
            Side::Ours => ("ours", row.ratio_of(measured).map_or("absent".to_owned(), |ratio| format!("{ratio:.2}x"))),
            Side::Peer => ("peer", String::new()),
        };
        format!("| {} | {side} | {} | {} | {ratio} |", row.name, measured.name, with_range(row.unit, measured))
    };
    row.measured.iter().map(line).collect()
}

fn json_row(row: &Row, sizes: SizesOf) -> Value {
    let (better, reach, moonshot) = match row.goal {
        Goal::Speed { reach, moonshot } => ("higher", reach, moonshot),
        Goal::Cost { reach, moonshot } => ("lower", reach, moonshot),
    };
    let measured = row.measured.iter().map(|measured| {
        let side = if measured.side == Side::Ours { "ours" } else { "peer" };
        json!({"side": side, "variant": measured.name, "costs": measured.values, "median": measured.median(), "ratio": match measured.side {
            Side::Ours => row.ratio_of(measured),
            Side::Peer => None,
        }})
    });
    json!({
        "name": row.name,
        "what": row.what,
        "cost_unit": if row.unit == Unit::Mebibytes { "MiB" } else { "s" },
        "ratio": row.ratio(),
        "better": better,
        "reach": reach,
        "moonshot": moonshot,
        "verdict": verdict_name(row.verdict(sizes)),
        "measured": measured.collect::<Vec<_>>(),
        "checks": row.checks,
    })
}

fn verdict(row: &Row, sizes: SizesOf) -> String {
    let ratio = row.ratio().map(|ratio| format!("{ratio:.2}x, ")).unwrap_or_default();
    format!("{ratio}{}", verdict_name(row.verdict(sizes)))
}

fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Absent => "absent",
        Verdict::NotJudged => "not judged",
        Verdict::Below => "below",
        Verdict::Reached => "reached",
        Verdict::Moonshot => "moonshot",
    }
}

/// Returns the median and, in brackets, the range of what was measured.
fn with_range(unit: Unit, measured: &Measured) -> String {
    let (low, high) = measured.range();
    let (median, a, b) = (measured.median(), shown(unit, low), shown(unit, high));
    // A low cost is a high rate.
    let (a, b) = if matches!(unit, Unit::Tokens(_)) { (b, a) } else { (a, b) };
    let name = match unit {
        Unit::Tokens(_) => "tok/s",
        Unit::Seconds => "s",
        Unit::Milliseconds => "ms",
        Unit::Mebibytes => "MiB",
    };
    format!("{} {name} ({a} to {b})", shown(unit, median))
}

fn shown(unit: Unit, cost: f64) -> String {
    let value = match unit {
        Unit::Tokens(tokens) => tokens as f64 / cost,
        Unit::Seconds | Unit::Mebibytes => cost,
        Unit::Milliseconds => 1e3 * cost,
    };
    let digits = match value {
        _ if value >= 100.0 => 0,
        _ if value >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(peer: &[f64]) -> Row {
        let measured = |side, name: &str, values: &[f64]| Measured { name: name.to_owned(), side, values: values.to_vec() };
        let mut all = vec![measured(Side::Ours, "f32", &[4.0, 5.0, 8.0]), measured(Side::Ours, "int8", &[2.0, 1.0, 4.0])];
        if !peer.is_empty() {
            all.push(measured(Side::Peer, "bf16", peer));
        }
        let (unit, goal) = (Unit::Tokens(100), Goal::Speed { reach: 1.5, moonshot: 5.0 });
        Row { name: "decode".to_owned(), what: "decoding".to_owned(), unit, goal, measured: all, checks: Vec::new() }
    }

    #[test]
    fn a_row_has_medians_ranges_the_ratio_and_what_is_asked_for() {
        let ours = "int8: 50.0 tok/s (25.0 to 100)";
        let expected = format!(
            "| decode | decoding | {ours} | bf16: 25.0 tok/s (20.0 to 25.0) | **2.00x** (1.00 to 5.00) | ≥ 1.5x | ≥ 5x | reached |"
        );
        assert_eq!(table_line(&row(&[4.0, 5.0, 4.0]), SizesOf::Published), expected);
    }

    #[test]
    fn a_row_without_a_peer_is_absent() {
        let line = table_line(&row(&[]), SizesOf::Published);
        assert!(line.ends_with("| absent | absent | ≥ 1.5x | ≥ 5x | absent |"), "{line}");
        assert_eq!(json_row(&row(&[]), SizesOf::Published)["verdict"], "absent");
    }
}
