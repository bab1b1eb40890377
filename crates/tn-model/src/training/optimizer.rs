//! What the optimizer keeps for a parameter between two steps.

use burn::tensor::Tensor;

use super::config::MomentFormat;
use crate::kernels::adamw::{self, AdamWStep, EightBitMoments, Moments};

/// Tensors of fewer values keep 32 bits: they need little memory, and norms are sensitive.
const FEWEST_CODED_VALUES: usize = 4_096;

/// The moments of one parameter.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one for each trained tensor, and it is nearly always of one kind")]
pub(super) enum StoredMoments {
    Full(Moments<2>),
    EightBit(EightBitMoments),
}

/// Returns the number format of the moments of a parameter.
pub(super) fn format_of(shape: [usize; 2], chosen: MomentFormat) -> MomentFormat {
    if shape[0] * shape[1] < FEWEST_CODED_VALUES { MomentFormat::F32 } else { chosen }
}

impl StoredMoments {
    /// Returns the state before the first step.
    pub(super) fn zeros(parameter: &Tensor<2>, chosen: MomentFormat) -> Self {
        let shape = parameter.dims();
        match format_of(shape, chosen) {
            MomentFormat::F32 => Self::Full(Moments::zeros(parameter)),
            MomentFormat::EightBit => Self::EightBit(EightBitMoments::zeros(shape[0] * shape[1])),
        }
    }

    pub(super) fn step(self, parameter: Tensor<2>, gradient: &Tensor<2>, scale: f32, step: &AdamWStep) -> (Tensor<2>, Self) {
        match self {
            Self::Full(moments) => {
                let (parameter, moments) = adamw::step(parameter, gradient, scale, moments, step);
                (parameter, Self::Full(moments))
            }
            Self::EightBit(moments) => {
                let (parameter, moments) = adamw::step_eight_bit(parameter, gradient, scale, moments, step);
                (parameter, Self::EightBit(moments))
            }
        }
    }
}
