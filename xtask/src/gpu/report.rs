//! The table of a part, and its numbers as JSON.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::line::{Asked, Better, Line, Of, median};
use crate::bench::machine;
use crate::flags::GpuFlags;

/// The commit that this program was built from.
const COMMIT: Option<&str> = option_env!("TN_COMMIT");

/// Writes `PART.json` and `PART.md`, and returns the text of the latter.
pub(super) fn write(folder: &Path, part: &str, flags: &GpuFlags, peer: &Value, lines: &[Line]) -> Result<String> {
    let run = json!({
        "commit": COMMIT.unwrap_or("not recorded"),
        "machine": machine::describe(),
        "device": flags.device.to_string(),
        "card": card(),
        "cuda": std::env::var("TN_CUDA_FOUND").ok(),
        "peer": peer,
        "quick": flags.quick,
        "seconds": flags.seconds,
    });
    let text = markdown(part, &run, lines);
    let results = json!({"part": part, "run": run, "lines": lines.iter().map(json_line).collect::<Vec<_>>()});
    for (name, content) in [(format!("{part}.md"), text.clone()), (format!("{part}.json"), format!("{results:#}\n"))] {
        std::fs::write(folder.join(&name), content).with_context(|| format!("cannot write {name}"))?;
    }
    Ok(text)
}

/// Returns what the driver says about the cards: their names, its version, clocks and memory.
fn card() -> Option<String> {
    let fields = "--query-gpu=name,driver_version,clocks.sm,clocks.mem,power.limit,memory.total";
    let output = Command::new("nvidia-smi").args([fields, "--format=csv,noheader"]).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().replace('\n', "; "))
}

fn markdown(part: &str, run: &Value, lines: &[Line]) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut all = vec![format!("## {part}\n")];
    if run["quick"] == true {
        all.push("Tiny shapes: these numbers mean nothing.\n".to_owned());
    }
    all.push(format!(
        "{}, commit {}, device {}, card {}, CUDA {}, peer {}. Median (lowest to highest).\n",
        text(&run["machine"]["date"]),
        text(&run["commit"]),
        text(&run["device"]),
        text(&run["card"]),
        text(&run["cuda"]),
        text(&run["peer"]),
    ));
    all.push("| row | what | unit | ours | peer | ratio | reach | moonshot | verdict | note |".to_owned());
    all.push("|---|---|---|---|---|---|---|---|---|---|".to_owned());
    all.extend(lines.iter().map(table_line));
    all.push(String::new());
    all.join("\n")
}

fn table_line(line: &Line) -> String {
    let ratio = line.ratio().map_or_else(|| "absent".to_owned(), |ratio| format!("**{ratio:.2}x**"));
    let ratio = if line.asked.is_some_and(|asked| asked.of == Of::Value) { String::new() } else { ratio };
    let (reach, moonshot) = line.asked.map(bounds).unwrap_or_default();
    // A message of several lines, or with a bar, would end the table.
    let note = line.note.replace('\n', " ").replace('|', "/");
    let (ours, peer, verdict) = (shown(&line.ours), shown(&line.peer), line.verdict().name());
    format!("| {} | {} | {} | {ours} | {peer} | {ratio} | {reach} | {moonshot} | {verdict} | {note} |", line.name, line.what, line.unit)
}

fn bounds(asked: Asked) -> (String, String) {
    let sign = if asked.better == Better::Higher { "≥" } else { "≤" };
    let times = if asked.of == Of::Ratio { "x" } else { "" };
    let bound = |value: f64| format!("{sign} {}{times}", number(value));
    (bound(asked.reach), asked.moonshot.map(bound).unwrap_or_default())
}

/// Returns the median and, in brackets, the range.
fn shown(values: &[f64]) -> String {
    let Some(middle) = median(values) else { return "absent".to_owned() };
    let (low, high) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &value| (low.min(value), high.max(value)));
    match values.len() {
        1 => number(middle),
        _ => format!("{} ({} to {})", number(middle), number(low), number(high)),
    }
}

/// Returns a number with three digits that tell something.
fn number(value: f64) -> String {
    match value.abs() {
        size if size == 0.0 || !size.is_finite() => format!("{value}"),
        size if size < 1e-2 => format!("{value:.1e}"),
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

fn json_line(line: &Line) -> Value {
    let asked = line.asked.map(|asked| {
        json!({
            "of": if asked.of == Of::Ratio { "ratio" } else { "value" },
            "better": if asked.better == Better::Higher { "higher" } else { "lower" },
            "reach": asked.reach,
            "moonshot": asked.moonshot,
        })
    });
    json!({
        "name": line.name,
        "what": line.what,
        "unit": line.unit,
        "ours": line.ours,
        "peer": line.peer,
        "ratio": line.ratio(),
        "asked": asked,
        "verdict": line.verdict().name(),
        "note": line.note,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_medians_ranges_the_ratio_and_what_is_asked_for() {
        let line = Line::new("row", "work", "tok/s", vec![90.0, 100.0, 110.0], vec![200.0]).asking(Some(Asked::faster(0.4, 2.0)));
        let expected = "| row | work | tok/s | 100 (90.0 to 110) | 200 | **0.50x** | ≥ 0.40x | ≥ 2.00x | met |  |";
        assert_eq!(table_line(&line), expected);
        assert_eq!(json_line(&line)["verdict"], "met");
    }

    #[test]
    fn what_is_absent_says_why_in_one_cell() {
        let line = table_line(&Line::absent("gemm", "the device", "no\ndevice | here"));
        assert!(line.ends_with("| absent | absent | absent |  |  | absent | no device / here |"), "{line}");
    }

    #[test]
    fn values_are_judged_without_a_ratio() {
        let line = table_line(&Line::new("RMSNorm", "bf16", "", vec![3e-6], vec![]).asking(Some(Asked::at_most(1e-5))));
        assert_eq!(line, "| RMSNorm | bf16 |  | 3.0e-6 | absent |  | ≤ 1.0e-5 |  | met |  |");
    }
}
