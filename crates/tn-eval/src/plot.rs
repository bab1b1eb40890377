//! Figures as SVG text.
//!
//! Each of these functions returns a complete, self-contained SVG document that is 900 pixels wide. Text is left to the viewer's
//! sans-serif font, so that nothing is needed to draw but this crate. The same input gives the same bytes.
//!
//! | figure | function |
//! |---|---|
//! | where which cells are, truth beside generated | [`class_map`], [`value_map`] |
//! | scores of several predictors, with their intervals | [`metric_bars`] |
//! | predicted against planted or observed log fold changes | [`fold_change_scatter`] |
//! | several of these in one picture | [`stacked`] |
//!
//! Classes are told apart by the [`palette`], whose colors remain distinct under the common forms of color blindness; counts
//! are printed by [`thousands`].

mod axis;
mod fold_change_scatter;
mod in_situ_map;
mod legend;
mod metric_bars;
pub mod palette;
mod stacked;
mod svg;
mod thousands;

use thiserror::Error;

pub use fold_change_scatter::{FoldChangePoint, fold_change_scatter};
pub use in_situ_map::{MapPanel, class_map, value_map};
pub use metric_bars::{BarSeries, metric_bars};
pub use stacked::stacked;
pub use thousands::thousands;

/// Width of every figure, in pixels.
const WIDTH: f64 = 900.0;

/// An error of drawing a figure.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum PlotError {
    /// There is nothing to draw.
    #[error("the figure {title:?} has nothing to show")]
    Empty {
        /// Title of the figure.
        title: String,
    },
    /// A value cannot be placed on an axis.
    #[error("{label} is {value}, which has no place on an axis")]
    NotFinite {
        /// What the value belongs to.
        label: String,
        /// The value.
        value: f64,
    },
    /// A score table lacks a metric.
    #[error("series {series:?} has no metric {metric:?}")]
    UnknownMetric {
        /// The series.
        series: String,
        /// The metric asked for.
        metric: String,
    },
    /// A text that should be a figure is none.
    #[error("text {index} is not a figure of this module")]
    NotAFigure {
        /// Its place among the texts.
        index: usize,
    },
    /// A series of bars has a value for each group.
    #[error("series {series:?} has {found} values for {expected} groups")]
    LengthMismatch {
        /// The series.
        series: String,
        /// Its values.
        found: usize,
        /// The groups of the figure.
        expected: usize,
    },
}
