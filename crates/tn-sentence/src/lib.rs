//! tn-sentence.
