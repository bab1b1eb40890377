//! data-fixtures.
