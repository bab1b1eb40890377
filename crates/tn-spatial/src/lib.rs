//! tn-spatial.
