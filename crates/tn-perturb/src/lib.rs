//! tn-perturb.
