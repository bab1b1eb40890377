//! Tensors of the Flex backend seen as slices.

use burn::backend::Flex;
use burn::tensor::{Device, Float, Tensor, TensorData};
use burn_flex::FlexTensor;

/// The values of a tensor that lives in host memory: contiguous, row-major, `f32`.
pub(crate) struct HostFloats(FlexTensor);

impl HostFloats {
    /// Returns a view of `tensor`, or `None` when it lives elsewhere, is tracked for automatic differentiation or is not `f32`.
    ///
    /// A contiguous tensor is shared, not copied.
    pub(crate) fn of<const D: usize>(tensor: &Tensor<D>) -> Option<Self> {
        let flex = tensor.clone().try_into_primitive::<Flex>().ok()?;
        let flex = if flex.is_contiguous() { flex } else { flex.to_contiguous() };
        flex.as_slice::<f32>().is_some().then_some(Self(flex))
    }
}

impl std::ops::Deref for HostFloats {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        self.0.as_slice::<f32>().expect("checked when the view was made")
    }
}

/// Returns a view of a tensor that is known to live in host memory.
pub(crate) fn view<const D: usize>(tensor: &Tensor<D>) -> HostFloats {
    HostFloats::of(tensor).expect("the caller has seen this tensor in host memory")
}

/// Runs `change` on the values of a tensor that is known to live in host memory, in place when nobody shares them.
pub(crate) fn update<const D: usize>(tensor: Tensor<D>, change: impl FnOnce(&mut [f32])) -> Tensor<D> {
    let mut flex = tensor.try_into_primitive::<Flex>().expect("the caller has seen this tensor in host memory");
    if !flex.is_contiguous() || flex.layout().start_offset() != 0 {
        flex = flex.to_contiguous();
    }
    let values = flex.layout().num_elements();
    change(&mut flex.storage_mut::<f32>()[..values]);
    Tensor::from_primitive::<Flex>(flex)
}

/// Builds a tensor of the given shape in host memory, without copying the values.
pub(crate) fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
    let flex = FlexTensor::from_data(TensorData::new(values, shape));
    Tensor::<D, Float>::from_primitive::<Flex>(flex)
}

/// Returns a view of any tensor's values, which are copied where they are not in host memory.
pub(crate) fn values<const D: usize>(tensor: &Tensor<D>) -> HostFloats {
    HostFloats::of(tensor).unwrap_or_else(|| view(&self::tensor(to_vec(tensor), tensor.dims())))
}

/// Returns a tensor with values of its own where they are in host memory, so that it holds no larger tensor that it is a part of.
pub(crate) fn copied<const D: usize>(tensor: &Tensor<D>) -> Tensor<D> {
    HostFloats::of(tensor).map_or_else(|| tensor.clone(), |values| self::tensor(values.to_vec(), tensor.dims()))
}

/// Returns the values of any tensor, copying from its device where needed.
pub(crate) fn to_vec<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
    match HostFloats::of(tensor) {
        Some(values) => values.to_vec(),
        None => tensor.clone().into_data().convert::<f32>().try_into_vec::<f32>().expect("values were converted to f32"),
    }
}

/// Builds a tensor on `device` from values in host memory.
pub(crate) fn upload<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), device)
}
