//! The scores of one table of generated cells, as values, JSON and text.

use std::fmt;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::{Estimate, Metric};

/// One metric with its mean over the cells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MetricScore {
    /// The metric.
    pub metric: Metric,
    /// Its mean and interval.
    pub estimate: Estimate,
}

/// The scores of the cells of one class.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassScore {
    /// The true class.
    pub class: String,
    /// The number of cells.
    pub rows: usize,
    /// The metrics, in the order of the whole table.
    pub metrics: Vec<MetricScore>,
}

/// The scores of one table of generated cells.
///
/// Serialized, the metrics are keys beside the counts, as scripts expect them:
/// `{"rows": 300, "samples": 300, "unreadable": 0, "overlap@10": {"mean": …, "low": …, "high": …}, …,
/// "class_accuracy": {…}, "by_class": {"Astrocyte": {"rows": 20, "overlap@10": {…}}}}`.
///
/// [`Display`](fmt::Display) is an aligned table of kinds by cutoffs; [`ScoreTable::class_text`] is one line for each class.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreTable {
    /// The number of cells.
    pub rows: usize,
    /// The number of predictions, several for a cell that was sampled several times.
    pub samples: usize,
    /// Predictions in which no cell could be read; they score 0.
    pub unreadable: usize,
    /// The metrics over all cells.
    pub metrics: Vec<MetricScore>,
    /// The share of predictions whose own class is the true one; `None` when no prediction names a class. It says something
    /// only where the class was not given.
    pub class_accuracy: Option<Estimate>,
    /// The metrics over the cells of each class, by name.
    pub by_class: Vec<ClassScore>,
}

impl ScoreTable {
    /// Returns the estimate of a metric by its name, such as `overlap@30`.
    #[must_use]
    pub fn estimate(&self, name: &str) -> Option<Estimate> {
        self.metrics.iter().find(|score| score.metric.to_string() == name).map(|score| score.estimate)
    }

    /// Returns the mean of a metric by its name, such as `overlap@30`.
    #[must_use]
    pub fn mean(&self, name: &str) -> Option<f64> {
        self.estimate(name).map(|estimate| estimate.mean)
    }

    /// Returns an aligned table of the classes: a line for each, with its number of cells and the means of the named metrics.
    /// Names that are no metric of the table are left out.
    #[must_use]
    pub fn class_text(&self, names: &[&str]) -> String {
        let column = |name: &&str| self.metrics.iter().position(|score| score.metric.to_string() == **name);
        let columns: Vec<usize> = names.iter().filter_map(column).collect();
        let titles = columns.iter().map(|&column| self.metrics[column].metric.to_string());
        let header = ["class", "cells"].into_iter().map(str::to_string).chain(titles).collect();
        let lines = self.by_class.iter().map(|class| {
            let means = columns.iter().map(|&column| format!("{:.3}", class.metrics[column].estimate.mean));
            [class.class.clone(), class.rows.to_string()].into_iter().chain(means).collect()
        });
        aligned(&std::iter::once(header).chain(lines).collect::<Vec<_>>())
    }

    /// Returns an aligned table of several score tables: a line for each, with its number of cells and the means of the
    /// named metrics, `-` for one that it does not have.
    ///
    /// ```
    /// # let scores = tn_eval::ScoreTable {
    /// #     rows: 300, samples: 300, unreadable: 0, class_accuracy: None, by_class: vec![],
    /// #     metrics: vec![tn_eval::MetricScore {
    /// #         metric: tn_eval::Metric::Overlap(30), estimate: tn_eval::Estimate::from_values([0.5]),
    /// #     }],
    /// # };
    /// let text = tn_eval::ScoreTable::comparison_text(&[("nearest neighbor", &scores)], &["overlap@30"]);
    /// assert_eq!(text, "                  cells  overlap@30\nnearest neighbor    300       0.500\n");
    /// ```
    #[must_use]
    pub fn comparison_text(tables: &[(&str, &Self)], names: &[&str]) -> String {
        let header = ["", "cells"].into_iter().chain(names.iter().copied()).map(str::to_string).collect();
        let lines = tables.iter().map(|(title, table)| {
            let means = names.iter().map(|name| table.mean(name).map_or_else(|| "-".to_string(), |mean| format!("{mean:.3}")));
            [title.to_string(), table.rows.to_string()].into_iter().chain(means).collect()
        });
        aligned(&std::iter::once(header).chain(lines).collect::<Vec<_>>())
    }
}

impl fmt::Display for ScoreTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cells, {} predictions", self.rows, self.samples)?;
        if self.unreadable > 0 {
            write!(f, ", {} of them unreadable", self.unreadable)?;
        }
        writeln!(f)?;
        let mut lines = vec![["metric", "mean", "95% interval"].map(str::to_string).to_vec()];
        let metrics = self.metrics.iter().map(|score| (score.metric.to_string(), score.estimate));
        let accuracy = self.class_accuracy.map(|estimate| ("class_accuracy".to_string(), estimate));
        for (name, Estimate { mean, low, high }) in metrics.chain(accuracy) {
            let interval = match (low, high) {
                (Some(low), Some(high)) => format!("{low:.3} to {high:.3}"),
                _ => "-".to_string(),
            };
            lines.push(vec![name, format!("{mean:.3}"), interval]);
        }
        f.write_str(&aligned(&lines))
    }
}

/// Lines of cells as text: the first column to the left, the others to the right.
pub(crate) fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for line in lines {
        text.push_str(&format!("{:<width$}", line[0], width = widths[0]));
        for (cell, width) in line.iter().zip(&widths).skip(1) {
            text.push_str(&format!("  {cell:>width$}"));
        }
        text.push('\n');
    }
    text
}

impl Serialize for ScoreTable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("rows", &self.rows)?;
        map.serialize_entry("samples", &self.samples)?;
        map.serialize_entry("unreadable", &self.unreadable)?;
        for score in &self.metrics {
            map.serialize_entry(&score.metric, &score.estimate)?;
        }
        map.serialize_entry("class_accuracy", &self.class_accuracy)?;
        map.serialize_entry("by_class", &ByClass(&self.by_class))?;
        map.end()
    }
}

struct ByClass<'a>(&'a [ClassScore]);

impl Serialize for ByClass<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|class| (&class.class, class)))
    }
}

impl Serialize for ClassScore {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("rows", &self.rows)?;
        for score in &self.metrics {
            map.serialize_entry(&score.metric, &score.estimate)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> ScoreTable {
        let metrics = vec![
            MetricScore { metric: Metric::Overlap(10), estimate: Estimate::from_values([0.25, 0.75]) },
            MetricScore { metric: Metric::NdcgFull, estimate: Estimate::from_values([0.5]) },
        ];
        ScoreTable {
            rows: 2,
            samples: 2,
            unreadable: 1,
            class_accuracy: None,
            by_class: vec![ClassScore { class: "OEC".to_string(), rows: 2, metrics: metrics.clone() }],
            metrics,
        }
    }

    #[test]
    fn text_is_aligned() {
        let expected = "2 cells, 2 predictions, 1 of them unreadable\n\
                        metric       mean    95% interval\n\
                        overlap@10  0.500  0.010 to 0.990\n\
                        ndcg        0.500               -\n";
        assert_eq!(table().to_string(), expected);
        let expected = "class  cells  overlap@10\n\
                        OEC        2       0.500\n";
        assert_eq!(table().class_text(&["overlap@10", "unknown"]), expected);
    }

    #[test]
    fn metrics_are_keys_of_the_json() {
        let json = serde_json::to_value(table()).unwrap();
        assert_eq!(json["rows"], 2);
        assert_eq!(json["overlap@10"]["mean"], 0.5);
        assert_eq!(json["ndcg"]["low"], serde_json::Value::Null);
        assert_eq!(json["by_class"]["OEC"]["overlap@10"]["mean"], 0.5);
    }
}
