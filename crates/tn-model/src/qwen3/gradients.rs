//! Gradients by the name of their parameter.

use std::collections::BTreeMap;

use burn::tensor::Tensor;

use crate::device::is_gpu;
use crate::kernels::adamw::flat;

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

    /// Returns the sum of squares of the finite values and the number of the others, on the GPU where the gradients are.
    pub(crate) fn measured_on_device(&self) -> Option<Tensor<1>> {
        if self.0.is_empty() || !self.0.values().all(|gradient| is_gpu(&gradient.device())) {
            return None;
        }
        let of_each = self.0.values().map(|gradient| flat::measure(&gradient.clone().flatten(0, 1)));
        let all: Tensor<1> = Tensor::cat(of_each.collect(), 0);
        Some(all.reshape([self.0.len(), 2]).sum_dim(0).flatten(0, 1))
    }

    /// Returns the Euclidean norm over all gradients together; not finite when any of them is not.
    #[must_use]
    pub fn norm(&self) -> f64 {
        if let Some(measured) = self.measured_on_device() {
            return flat::norm(&measured);
        }
        let squares = self.0.values().map(|gradient| {
            let values = crate::kernels::host::to_vec(gradient);
            values.iter().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>()
        });
        squares.sum::<f64>().sqrt()
    }
}
