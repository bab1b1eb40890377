//! What the optimizer keeps for a parameter between two steps.

use burn::tensor::Tensor;

use super::config::MomentFormat;
use crate::kernels::adamw::flat::{self, Clip, FlatEightBitMoments, Stepped};
use crate::kernels::adamw::{self, AdamWStep, EightBitMoments, Moments};

/// Tensors of fewer values keep 32 bits: they need little memory, and norms are sensitive.
const FEWEST_CODED_VALUES: usize = 4_096;

/// The moments of one parameter.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one for each trained tensor, and it is nearly always of one kind")]
pub(super) enum StoredMoments {
    Full(Moments<2>),
    EightBit(EightBitMoments),
    EightBitOnDevice(FlatEightBitMoments),
}

/// By what gradients are shortened.
pub(super) enum GradientLength<'a> {
    /// They are multiplied with a number.
    Known(f32),
    /// As a GPU has measured all of them together.
    OnDevice(&'a Tensor<1>, Clip),
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

    pub(super) fn step(
        self,
        parameter: Tensor<2>,
        gradient: &Tensor<2>,
        length: &GradientLength<'_>,
        step: &AdamWStep,
    ) -> (Tensor<2>, Self) {
        match length {
            GradientLength::Known(scale) => self.step_by(parameter, gradient, *scale, step),
            GradientLength::OnDevice(measured, clip) => self.step_on_device(parameter, gradient, measured, *clip, step),
        }
    }

    fn step_by(self, parameter: Tensor<2>, gradient: &Tensor<2>, scale: f32, step: &AdamWStep) -> (Tensor<2>, Self) {
        match self {
            Self::Full(moments) => {
                let (parameter, moments) = adamw::step(parameter, gradient, scale, moments, step);
                (parameter, Self::Full(moments))
            }
            Self::EightBit(moments) => {
                let (parameter, moments) = adamw::step_eight_bit(parameter, gradient, scale, moments, step);
                (parameter, Self::EightBit(moments))
            }
            Self::EightBitOnDevice(moments) => Self::EightBit(moments.to_host()).step_by(parameter, gradient, scale, step),
        }
    }

    /// One launch, in place.
    fn step_on_device(
        self,
        parameter: Tensor<2>,
        gradient: &Tensor<2>,
        measured: &Tensor<1>,
        clip: Clip,
        step: &AdamWStep,
    ) -> (Tensor<2>, Self) {
        let (shape, gradient) = (parameter.dims(), gradient.clone().flatten(0, 1));
        let parameter = parameter.flatten(0, 1);
        match self {
            Self::Full(Moments { first, second }) => {
                let moments = Moments { first: first.flatten(0, 1), second: second.flatten(0, 1) };
                let Stepped { parameters, moments, .. } = flat::step(parameter, &gradient, moments, measured, step, clip, None);
                let moments = Moments { first: moments.first.reshape(shape), second: moments.second.reshape(shape) };
                (parameters.reshape(shape), Self::Full(moments))
            }
            Self::EightBit(moments) => {
                let moments = Self::EightBitOnDevice(FlatEightBitMoments::new(&moments, &parameter));
                moments.step_on_device(parameter.reshape(shape), &gradient.reshape(shape), measured, clip, step)
            }
            Self::EightBitOnDevice(moments) => {
                let Stepped { parameters, moments, .. } = flat::step_eight_bit(parameter, &gradient, moments, measured, step, clip, None);
                (parameters.reshape(shape), Self::EightBitOnDevice(moments))
            }
        }
    }
}
