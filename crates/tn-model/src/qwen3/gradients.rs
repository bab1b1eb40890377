//! Gradients by the name of their parameter.

use std::collections::BTreeMap;

use burn::tensor::Tensor;

/// Gradients of trained parameters, under the parameters' names in a checkpoint. Vectors are kept as one row.
#[derive(Clone, Debug, Default)]
pub struct Gradients(BTreeMap<String, Tensor<2>>);

impl Gradients {
    /// Returns no gradients at all.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a gradient to what is already there under this name.
    pub fn add(&mut self, name: String, gradient: Tensor<2>) {
        let sum = match self.0.remove(&name) {
            Some(present) => present + gradient,
            None => gradient,
        };
        self.0.insert(name, sum);
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: Self) {
        for (name, gradient) in other.0 {
            self.add(name, gradient);
        }
    }

    /// Returns the gradient of one parameter.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Tensor<2>> {
        self.0.get(name)
    }

    /// Iterates over names and gradients, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor<2>)> {
        self.0.iter().map(|(name, gradient)| (name.as_str(), gradient))
    }

    /// Returns what the device says where it could not compute one of the gradients, such as that it has not enough memory.
    pub(crate) fn failure(&self) -> Option<String> {
        #[cfg(feature = "gpu")]
        return crate::kernels::gpu::failure(self.0.values());
        #[cfg(not(feature = "gpu"))]
        None
    }

    /// Returns the Euclidean norm over all gradients together; not finite when any of them is not.
    #[must_use]
    pub fn norm(&self) -> f64 {
        let squares = self.0.values().map(|gradient| {
            let values = crate::kernels::host::to_vec(gradient);
            values.iter().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>()
        });
        squares.sum::<f64>().sqrt()
    }
}
