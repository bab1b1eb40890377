//! tn-io.
