//! tn-eval.
