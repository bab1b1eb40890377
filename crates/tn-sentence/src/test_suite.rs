//! Checks that every [`CellPredictor`] should pass.
