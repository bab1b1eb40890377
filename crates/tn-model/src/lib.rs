//! tn-model.
