//! What a simulated tissue looks like: size, shape and noise.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::panel::classes::CLASSES;

/// The fewest classes a simulation can have: those that take part in a planted effect, and four kinds of neurons.
pub const MIN_CLASSES: usize = 8;
/// The most classes a simulation can have.
pub const MAX_CLASSES: usize = CLASSES.len();
/// The fewest genes a panel can have.
pub const MIN_GENES: usize = 40;

/// Size, shape and noise of a simulated tissue. [`SimulationConfig::default`] is a small mouse cortex.
///
/// # Examples
///
/// ```
/// use data_fixtures::SimulationConfig;
///
/// let config = SimulationConfig { cells: 1_000, sections: 3, ..SimulationConfig::default() };
/// assert!(config.validate().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SimulationConfig {
    /// Cells over all sections. Default 20,000.
    pub cells: usize,
    /// Genes of the panel, at least [`MIN_GENES`]. Default 300.
    pub genes: usize,
    /// Sections, which share one anatomy. Default 10.
    pub sections: usize,
    /// Cell classes, [`MIN_CLASSES`] to [`MAX_CLASSES`]. Default 12.
    pub classes: usize,
    /// Seed of everything that is drawn. Default 42.
    pub seed: u64,
    /// Cells per square millimeter of tissue. Default 3,500.
    pub cells_per_mm2: f64,
    /// Reach of the proximity and the knock-out effect in micrometers; a neighbor counts when it is closer than this.
    /// Default 30.
    pub effect_radius_um: f64,
    /// Share of the panel that is seen in an average cell. Default 0.14.
    pub detected_fraction: f64,
    /// Negative binomial dispersion of a typical gene: variance = mean + dispersion * mean^2. Default 0.2.
    pub dispersion: f64,
    /// Standard deviation of the natural logarithm of a cell's library size. Default 0.35.
    pub library_size_sd: f64,
    /// Standard deviation, in log2 units, of the level of a gene over the panel. Default 1.4.
    pub baseline_sd: f64,
    /// Share of the panel that a domain changes in every class; it changes half as many more in single classes. Default
    /// 0.3.
    pub domain_genes: f64,
    /// Typical size, in log2 units, of a domain's change of a gene. Default 2.
    pub domain_log2_fold_change: f64,
    /// Share of the panel with a gradient along x. Default 0.25.
    pub gradient_genes: f64,
    /// Largest change, in log2 units, of a gradient gene from one edge of the section to the other; the smallest is
    /// a quarter of it. Default 7.
    pub gradient_log2_fold_change: f64,
    /// Genes of the proximity effect (fewer in a panel of less than 160). Default 40.
    pub proximity_genes: usize,
    /// Genes of the knock-out effect (fewer in a panel of less than 80). Default 20.
    pub knockout_genes: usize,
    /// Share of the cells of the source class that carry the knock-out. Default 0.5.
    pub knockout_fraction: f64,
}

impl Default for SimulationConfig {
    fn default() -> Self {
        Self {
            cells: 20_000,
            genes: 300,
            sections: 10,
            classes: 12,
            seed: 42,
            cells_per_mm2: 3_500.0,
            effect_radius_um: 30.0,
            detected_fraction: 0.14,
            dispersion: 0.2,
            library_size_sd: 0.35,
            baseline_sd: 1.4,
            domain_genes: 0.3,
            domain_log2_fold_change: 2.0,
            gradient_genes: 0.25,
            gradient_log2_fold_change: 7.0,
            proximity_genes: 40,
            knockout_genes: 20,
            knockout_fraction: 0.5,
        }
    }
}

impl SimulationConfig {
    /// Checks every value.
    ///
    /// # Errors
    ///
    /// Returns the first value that is outside its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check_count("genes", self.genes, MIN_GENES, 1_000_000)?;
        check_count("sections", self.sections, 1, 1_000_000)?;
        check_count("classes", self.classes, MIN_CLASSES, MAX_CLASSES)?;
        check_count("cells", self.cells, self.sections, usize::MAX)?;
        check_count("proximity_genes", self.proximity_genes, 0, self.genes)?;
        check_count("knockout_genes", self.knockout_genes, 0, self.genes)?;
        check_number("cells_per_mm2", self.cells_per_mm2, 1.0, 100_000.0)?;
        check_number("effect_radius_um", self.effect_radius_um, 0.0, 100.0)?;
        check_number("detected_fraction", self.detected_fraction, 0.01, 0.6)?;
        check_number("dispersion", self.dispersion, 1e-3, 10.0)?;
        check_number("library_size_sd", self.library_size_sd, 0.0, 2.0)?;
        check_number("baseline_sd", self.baseline_sd, 0.0, 4.0)?;
        check_number("domain_genes", self.domain_genes, 0.0, 1.0)?;
        check_number("domain_log2_fold_change", self.domain_log2_fold_change, 0.0, 6.0)?;
        check_number("gradient_genes", self.gradient_genes, 0.0, 0.5)?;
        check_number("gradient_log2_fold_change", self.gradient_log2_fold_change, 0.0, 8.0)?;
        check_number("knockout_fraction", self.knockout_fraction, 0.0, 1.0)
    }
}

/// A value of a [`SimulationConfig`] that cannot be simulated.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A count is outside its range.
    #[error("{name} is {found}, expected {min} to {max}")]
    Count {
        /// The field.
        name: &'static str,
        /// Its value.
        found: usize,
        /// Smallest allowed value.
        min: usize,
        /// Largest allowed value.
        max: usize,
    },
    /// A number is outside its range or not finite.
    #[error("{name} is {found}, expected {min} to {max}")]
    Number {
        /// The field.
        name: &'static str,
        /// Its value.
        found: f64,
        /// Smallest allowed value.
        min: f64,
        /// Largest allowed value.
        max: f64,
    },
}

fn check_count(name: &'static str, found: usize, min: usize, max: usize) -> Result<(), ConfigError> {
    if (min..=max).contains(&found) { Ok(()) } else { Err(ConfigError::Count { name, found, min, max }) }
}

fn check_number(name: &'static str, found: f64, min: f64, max: f64) -> Result<(), ConfigError> {
    if (min..=max).contains(&found) { Ok(()) } else { Err(ConfigError::Number { name, found, min, max }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid() {
        assert_eq!(SimulationConfig::default().validate(), Ok(()));
    }

    #[test]
    fn an_error_names_the_field_and_its_range() {
        let config = SimulationConfig { classes: 3, ..SimulationConfig::default() };
        assert_eq!(config.validate().unwrap_err().to_string(), "classes is 3, expected 8 to 15");
        let config = SimulationConfig { dispersion: f64::NAN, ..SimulationConfig::default() };
        assert_eq!(config.validate().unwrap_err().to_string(), "dispersion is NaN, expected 0.001 to 10");
    }

    #[test]
    fn every_section_needs_a_cell() {
        let config = SimulationConfig { cells: 2, sections: 3, ..SimulationConfig::default() };
        assert!(matches!(config.validate(), Err(ConfigError::Count { name: "cells", .. })));
    }
}
