//! What can keep a figure from being drawn.

use thiserror::Error;

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
    /// A value lies outside its range, such as a false discovery rate above 1.
    #[error("{label} is {value}, outside of {low} to {high}")]
    OutOfRange {
        /// What the value belongs to.
        label: String,
        /// The value.
        value: f64,
        /// The smallest that is possible.
        low: f64,
        /// The largest that is possible.
        high: f64,
    },
    /// A value must be a positive number, such as the reach of a window.
    #[error("{label} is {value}, not a positive number")]
    NotPositive {
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
    /// A table of values is not as large as its rows and columns say.
    #[error("{found} values do not fill {rows} rows and {columns} columns")]
    Shape {
        /// Number of values.
        found: usize,
        /// Number of rows.
        rows: usize,
        /// Number of columns.
        columns: usize,
    },
    /// A text cannot be read as SVG.
    #[cfg(feature = "png")]
    #[error("the text is not an SVG document: {reason}")]
    NotSvg {
        /// What the reader says.
        reason: String,
    },
    /// A picture would have no pixels or too many of them.
    #[cfg(feature = "png")]
    #[error("a picture of {width} x {height} pixels at scale {scale} cannot be drawn")]
    PictureSize {
        /// Width of the figure.
        width: f64,
        /// Height of the figure.
        height: f64,
        /// The scale asked for.
        scale: f64,
    },
}

/// Refuses NaN and infinities.
pub(super) fn finite(value: f64, label: impl FnOnce() -> String) -> Result<(), PlotError> {
    if value.is_finite() { Ok(()) } else { Err(PlotError::NotFinite { label: label(), value }) }
}

/// Refuses zero, negative values, NaN and infinities.
pub(super) fn positive(value: f64, label: impl FnOnce() -> String) -> Result<(), PlotError> {
    if value > 0.0 && value.is_finite() { Ok(()) } else { Err(PlotError::NotPositive { label: label(), value }) }
}

/// Refuses what is outside of `low..=high`, NaN too.
pub(super) fn within((low, high): (f64, f64), value: f64, label: impl FnOnce() -> String) -> Result<(), PlotError> {
    if (low..=high).contains(&value) { Ok(()) } else { Err(PlotError::OutOfRange { label: label(), value, low, high }) }
}
