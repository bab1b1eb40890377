//! Figures as SVG text.
//!
//! Each of these functions returns a complete, self-contained SVG document that is 900 pixels wide. Text is left to the viewer's
//! sans-serif font, so that nothing is needed to draw but this crate, and laid out such that no two texts overlap in the widest
//! of the common ones. Points, boxes and cells say more in tooltips. The same input gives the same bytes.
//!
//! | figure | function |
//! |---|---|
//! | where which cells are, truth beside generated | [`class_map`], [`value_map`] |
//! | one cell and what is around it | [`neighborhood_crop`] |
//! | scores of several predictors, with their intervals | [`metric_bars`] |
//! | predicted against planted or observed log fold changes | [`fold_change_scatter`] |
//! | which genes change, and how sure that is | [`volcano`] |
//! | which gene sets are enriched | [`enrichment_dots`] |
//! | values of several groups of cells | [`box_with_points`] |
//! | how strongly groups of cells signal to each other, or any other table | [`heat_map`] |
//! | several of these in one picture | [`stacked`] |
//!
//! Classes are told apart by the [`palette`], whose colors remain distinct under the common forms of color blindness; counts
//! are printed by [`thousands`]. With the feature `png`, `png` turns a figure into pixels.

mod axis;
mod box_statistics;
mod box_with_points;
mod color_bar;
mod enrichment_dots;
mod error;
mod fold_change_scatter;
mod frame;
mod group_names;
mod header;
mod heat_map;
mod in_situ_map;
mod legend;
mod map_layout;
mod mark;
mod metric_bars;
mod neighborhood_crop;
mod number;
pub mod palette;
#[cfg(feature = "png")]
mod png;
mod point_labels;
mod scale_bar;
mod stacked;
mod svg;
mod text;
mod thousands;
mod volcano;

pub use box_with_points::{BoxGroup, box_with_points};
pub use enrichment_dots::{EnrichmentDot, enrichment_dots};
pub use error::PlotError;
use error::{finite, positive, within};
pub use fold_change_scatter::{FoldChangePoint, fold_change_scatter};
pub use heat_map::{HeatMap, heat_map};
pub use in_situ_map::{MapPanel, class_map, value_map};
pub use metric_bars::{BarSeries, metric_bars};
pub use neighborhood_crop::{CropCell, Neighborhood, neighborhood_crop};
#[cfg(feature = "png")]
pub use png::png;
pub use stacked::stacked;
pub use thousands::thousands;
pub use volcano::{VolcanoPoint, VolcanoThresholds, volcano};

/// Width of every figure, in pixels.
const WIDTH: f64 = 900.0;

/// What a figure leaves free at its edges, in pixels.
const MARGIN: f64 = 20.0;
