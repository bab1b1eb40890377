//! Ligands and receptors.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A ligand or a receptor: a gene, or a complex of which all subunits are needed.
///
/// [`Display`](fmt::Display) joins the subunits by `_`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Molecule(Vec<String>);

impl Molecule {
    /// Creates a molecule of its subunits, a single one for a gene.
    pub fn new<G: Into<String>>(subunits: impl IntoIterator<Item = G>) -> Self {
        Self(subunits.into_iter().map(Into::into).collect())
    }

    /// Returns the genes of the subunits.
    #[must_use]
    pub fn subunits(&self) -> &[String] {
        &self.0
    }
}

impl From<&str> for Molecule {
    fn from(gene: &str) -> Self {
        Self(vec![gene.to_string()])
    }
}

impl fmt::Display for Molecule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("_"))
    }
}

/// Other genes that change how strongly a ligand speaks to a receptor. Each counts alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoFactors {
    /// Genes that help the ligand, in sender and receiver.
    pub agonists: Vec<String>,
    /// Genes that hinder it, in sender and receiver.
    pub antagonists: Vec<String>,
    /// Co-stimulating receptors of the receiver.
    pub co_stimulators: Vec<String>,
    /// Co-inhibiting receptors of the receiver.
    pub co_inhibitors: Vec<String>,
}

/// A ligand, the receptor that it binds, and the pathway that they belong to.
///
/// ```
/// use tn_eval::communication::{LigandReceptorPair, Molecule};
///
/// let pair = LigandReceptorPair::new("TGFB1", Molecule::new(["TGFBR1", "TGFBR2"])).with_pathway("TGFb");
/// assert_eq!(pair.to_string(), "TGFB1 - TGFBR1_TGFBR2");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LigandReceptorPair {
    /// What the sender makes.
    pub ligand: Molecule,
    /// What the receiver has.
    pub receptor: Molecule,
    /// The pathway; empty where none is known.
    pub pathway: String,
    /// What helps and hinders.
    pub co_factors: CoFactors,
}

impl LigandReceptorPair {
    /// Creates a pair without a pathway and without co-factors.
    pub fn new(ligand: impl Into<Molecule>, receptor: impl Into<Molecule>) -> Self {
        Self { ligand: ligand.into(), receptor: receptor.into(), pathway: String::new(), co_factors: CoFactors::default() }
    }

    /// Sets the pathway.
    #[must_use]
    pub fn with_pathway(mut self, pathway: impl Into<String>) -> Self {
        self.pathway = pathway.into();
        self
    }

    /// Sets the co-factors.
    #[must_use]
    pub fn with_co_factors(mut self, co_factors: CoFactors) -> Self {
        self.co_factors = co_factors;
        self
    }
}

impl fmt::Display for LigandReceptorPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} - {}", self.ligand, self.receptor)
    }
}
