//! tissuenarrator.
