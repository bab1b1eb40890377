//! Which columns of an expression file say where cells are.

use clap::Args;
use tissuenarrator::io::EncodeOptions;

/// Where cells are.
#[derive(Args, Debug)]
pub(super) struct SectionOptions {
    /// Column of horizontal coordinates, in micrometers [default: x, or obsm/spatial, or the instrument's]
    #[arg(long, value_name = "COLUMN")]
    x: Option<String>,
    /// Column of vertical coordinates, in micrometers [default: y, or obsm/spatial, or the instrument's]
    #[arg(long, value_name = "COLUMN")]
    y: Option<String>,
    /// Micrometers that a pixel is wide, where coordinates are in pixels: CosMx (0.12028), Perturb-FISH (0.108)
    #[arg(long, value_name = "MICROMETERS")]
    pixel_size: Option<f64>,
    /// Column of sections: cells that share a coordinate frame [default: section]
    #[arg(long, value_name = "COLUMN")]
    section: Option<String>,
}

impl SectionOptions {
    /// Adds the columns to the options of reading.
    pub(super) fn apply(&self, mut options: EncodeOptions) -> EncodeOptions {
        if self.x.is_some() || self.y.is_some() {
            options = options.with_coordinates(self.x.as_deref().unwrap_or("x"), self.y.as_deref().unwrap_or("y"));
        }
        if let Some(micrometers) = self.pixel_size {
            options = options.with_pixel_size(micrometers);
        }
        match &self.section {
            Some(section) => options.with_section(section),
            None => options,
        }
    }
}
