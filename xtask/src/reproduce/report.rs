//! The report of a run: one page that needs nothing else.

use std::fmt::Write;

use anyhow::Result;
use serde_json::{Map, Value};
use tissuenarrator::eval::plot::thousands;

use super::calibration::{Calibration, K};
use super::expectations::Outcome;
use super::results::Results;
use super::scoring::Scored;
use super::summary::score_lines;

const STYLE: &str = include_str!("report/style.css");

/// Renders the page.
pub(super) fn page(results: &Results, seconds: &Map<String, Value>) -> Result<String> {
    let mut page = Page::default();
    let title = if results.plan.simulation.is_some() { "Simulated tissue" } else { "A measured section" };
    page.raw("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    page.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>TissueNarrator</title>\n");
    page.raw(&format!("<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<header><h1>{title}</h1>"));
    page.raw(&format!("<p>{}</p></header>\n", escape(&overview(results))));
    expectations(&mut page, results);
    scores(&mut page, results);
    calibration(&mut page, results);
    effect(&mut page, results);
    tissue(&mut page, results);
    method(&mut page, results, seconds);
    page.raw("</main>\n</body>\n</html>\n");
    Ok(page.0)
}

fn overview(results: &Results) -> String {
    let (tissue, training) = (&results.tissue, &results.training);
    let rows = results.conditioned.first().map_or(0, |scored| scored.scores.rows);
    format!(
        "{} cells of {} classes in {} sections, {} genes. A decoder of {} parameters learned the neighborhoods of {} training cells, read in {} \
         steps, and then wrote {rows} cells that it had never seen, from their neighbors.",
        thousands(tissue.cells),
        tissue.classes,
        tissue.sections,
        tissue.genes,
        thousands(training.parameters),
        thousands(tissue.train),
        thousands(training.steps as usize),
    )
}

fn expectations(page: &mut Page, results: &Results) {
    let count = |outcome| results.expectations.iter().filter(|expectation| expectation.outcome == outcome).count();
    let (passed, missed, not_run) = (count(Outcome::Pass), count(Outcome::Miss), count(Outcome::NotRun));
    page.raw("<section>\n<h2>Expectations</h2>\n");
    if results.plan.judged {
        let state = if missed == 0 { "pass" } else { "miss" };
        page.raw(&format!("<p class=\"verdict {state}\">{passed} met, {missed} missed, {not_run} not run</p>\n"));
    } else {
        page.raw("<p class=\"verdict not-run\">A smoke run: its numbers mean nothing and are not judged.</p>\n");
    }
    page.raw("<div class=\"scroll\"><table>\n<tr><th>Claim</th><th>Found</th><th>Expected</th><th></th></tr>\n");
    for expectation in &results.expectations {
        let found = expectation.value.map_or("&ndash;".to_owned(), |value| format!("{value:.3}"));
        let state = match expectation.outcome {
            Outcome::Pass => "pass",
            Outcome::Miss => "miss",
            Outcome::NotRun => "not-run",
        };
        let (claim, expected) = (escape(&expectation.claim), escape(&expectation.expected));
        let outcome = expectation.outcome.as_str();
        page.raw(&format!(
            "<tr><td>{claim}</td><td>{found}</td><td>{expected}</td><td><span class=\"{state}\">{outcome}</span></td></tr>\n"
        ));
    }
    page.raw("</table></div>\n<p class=\"note\">Comparisons are of overlap@30 and show the difference of the two means.</p>\n</section>\n");
}

fn scores(page: &mut Page, results: &Results) {
    page.raw("<section>\n<h2>Held-out cells, class given</h2>\n");
    page.paragraph(
        "The model sees the neighbors of a place and the metadata of the cell to be written there. Its expected ranking lists genes by their \
         probability of being among the first; one sample is a single cell drawn at the published settings.",
    );
    page.figure(results, "conditioned");
    score_table(page, &results.conditioned);
    page.raw("</section>\n<section>\n<h2>Held-out cells, class not given</h2>\n");
    page.paragraph("The model sees only the place and its neighbors, and writes the class before the genes.");
    page.figure(results, "unconditioned");
    score_table(page, &results.unconditioned);
    if let Some(accuracy) = results.unconditioned.first().and_then(|model| model.scores.class_accuracy) {
        page.paragraph(&format!("The model's class is right in {:.0}% of the cells.", 100.0 * accuracy.mean));
    }
    page.raw("</section>\n");
}

fn score_table(page: &mut Page, scores: &[Scored]) {
    page.raw("<div class=\"scroll\"><table>\n");
    for (index, line) in score_lines(scores).iter().enumerate() {
        let tag = if index == 0 { "th" } else { "td" };
        let cells: String = line.iter().map(|cell| format!("<{tag}>{}</{tag}>", escape(cell).replace('_', "_<wbr>"))).collect();
        page.raw(&format!("<tr>{cells}</tr>\n"));
    }
    page.raw("</table></div>\n");
}

fn calibration(page: &mut Page, results: &Results) {
    page.raw("<section>\n<h2>Do the probabilities come true?</h2>\n");
    page.paragraph(&format!(
        "Behind an expected ranking stands, for every gene, the probability that it is among the first {K} of the cell. For each range of \
         probabilities the table has their mean and how often such genes were there in the held-out cells.",
    ));
    let number = |value: Option<f64>| value.map_or("&ndash;".to_owned(), |value| format!("{value:.3}"));
    page.raw("<div class=\"scroll\"><table>\n<tr><th>Probability</th><th>Genes, class given</th><th>Mean</th><th>Found</th>");
    page.raw("<th>Genes, class not given</th><th>Mean</th><th>Found</th></tr>\n");
    let [given, not_given] = &results.calibration;
    for (index, (given, not_given)) in given.bins.iter().zip(&not_given.bins).enumerate() {
        let edge = |index: usize| index as f64 / results.calibration[0].bins.len() as f64;
        page.raw(&format!("<tr><td>{:.1}&ndash;{:.1}</td>", edge(index), edge(index + 1)));
        for bin in [given, not_given] {
            let (count, mean, frequency) = (thousands(bin.predictions as usize), number(bin.mean_probability), number(bin.frequency));
            page.raw(&format!("<td>{count}</td><td>{mean}</td><td>{frequency}</td>"));
        }
        page.raw("</tr>\n");
    }
    page.raw("</table></div>\n");
    let error = |calibration: &Calibration| number(calibration.expected_calibration_error);
    page.raw(&format!(
        "<p class=\"note\">Mean distance of both (expected calibration error): {} with the class, {} without. Brier score: {} and {}.</p>\n</section>\n",
        error(given),
        error(not_given),
        number(given.brier_score),
        number(not_given.brier_score),
    ));
}

fn effect(page: &mut Page, results: &Results) {
    let Some(result) = &results.proximity else { return };
    let number = |value: Option<f64>| value.map_or("undefined".to_owned(), |value| format!("{value:.2}"));
    let [near, far] = result.observed_cells;
    page.raw("<section>\n<h2>The planted effect</h2>\n");
    page.paragraph(&format!(
        "In this tissue, {focal} cells close to {partner} cells change {genes} genes by known amounts. The model was told nothing of it. Putting \
         {partner} cells next to {pairs} held-out {focal} cells changes what it writes there, and these changes agree with the planted ones at a Spearman \
         correlation of {found}. With cells of another class put there it is {control}. The measured held-out cells themselves ({near} near, {far} far) \
         give {observed}: about what can be seen in so many cells.",
        focal = result.focal,
        partner = result.partner,
        genes = result.genes.len(),
        pairs = result.pairs,
        found = number(result.spearman),
        control = number(result.control_spearman),
        observed = number(result.observed_spearman),
    ));
    page.figure(results, "fold-changes");
    page.figure(results, "fold-changes-control");
    page.raw("</section>\n");
}

fn tissue(page: &mut Page, results: &Results) {
    page.raw("<section>\n<h2>In the tissue</h2>\n");
    page.figure(results, "classes");
    page.figure(results, "marker");
    page.raw("</section>\n");
}

fn method(page: &mut Page, results: &Results, seconds: &Map<String, Value>) {
    page.raw("<section>\n<h2>What the numbers mean</h2>\n<dl>\n");
    let terms = [
        ("overlap@k", "The share of the first k predicted genes that are among the first k measured ones. 1 is perfect."),
        (
            "recall@k",
            "The share of the first k measured genes that are among the first k predicted ones; the same where both lists are long enough.",
        ),
        ("ndcg@k", "Normalized discounted cumulative gain of the first k genes: early ranks count more. The standard definition."),
        (
            "ndcg_published@k",
            "As the published program computes it, with the prediction's own genes as the ideal: missing genes go unpunished, and random lists score high.",
        ),
        ("class mean", "The genes that a class expresses most in the training cells: the cell type without the place."),
        ("nearest neighbor", "The genes of the closest cell; of the closest of the local majority; of the closest of the same class."),
        ("oracle", "Genes by the true mean of this very cell, known in a simulation only. What is missing to 1 is counting noise."),
        ("replicate", "A second draw of the same cell: what a perfect sampler, which does not average, would score."),
    ];
    let simulated = results.plan.simulation.is_some();
    for (term, meaning) in terms.iter().filter(|(term, _)| simulated || !["oracle", "replicate"].contains(term)) {
        page.raw(&format!("<dt>{term}</dt><dd>{}</dd>\n", escape(meaning)));
    }
    page.raw("</dl>\n<h2>This run</h2>\n<div class=\"scroll\"><table>\n");
    let training = &results.training;
    let nats = |loss: Option<f64>| loss.map_or("&ndash;".to_owned(), |loss| format!("{loss:.3}"));
    let mut row = |name: &str, value: &str| page.raw(&format!("<tr><td>{name}</td><td>{value}</td></tr>\n"));
    row("version, seed", &format!("{}, {}", env!("CARGO_PKG_VERSION"), results.seed));
    row("sentences, tokens", &format!("{}, {}", thousands(training.sentences), thousands(training.tokens)));
    row("training loss, validation loss (nats a token)", &format!("{}, {}", nats(training.training_loss), nats(training.validation_loss)));
    row("neighbors, genes a cell", &format!("{}, {}", results.plan.neighbors, results.plan.genes));
    row("trajectories of an expected ranking", &results.plan.generation.trajectories.to_string());
    for (stage, seconds) in seconds {
        row(&escape(stage), &format!("{seconds} s"));
    }
    page.raw("</table></div>\n</section>\n");
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn raw(&mut self, html: &str) {
        self.0.push_str(html);
    }

    fn paragraph(&mut self, text: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "<p>{}</p>", escape(text));
    }

    fn figure(&mut self, results: &Results, name: &str) {
        if let Some(figure) = results.figures.iter().find(|figure| figure.name == name) {
            let caption = escape(&figure.caption);
            let _ = writeln!(self.0, "<figure>\n{}\n<figcaption>{caption}</figcaption>\n</figure>", figure.svg);
        }
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped() {
        assert_eq!(escape("a < b & \"c\""), "a &lt; b &amp; &quot;c&quot;");
    }
}
