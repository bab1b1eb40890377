//! Tensors of GPU devices, and what the kernels on them share.
//!
//! Kernels are written in CubeCL. On CUDA they become CUDA C++, elsewhere a shader. They read contiguous tensors in `f32` or a half
//! precision, compute in `f32` and round once, when they write.

pub(crate) mod columns;
pub(crate) mod reduce;
pub(crate) mod rows;

use burn::tensor::{Bytes, DType, Device, Float, Int, Shape, Tensor};
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::{ElemType, FloatKind};
use cubecl::prelude::*;
use cubecl::server::Handle;

/// Units of a cube whose rows are summed together.
pub(crate) const UNITS: u32 = 256;

/// Largest count of cubes in one dimension that every device accepts.
const CUBES: u32 = 65_535;

/// Returns the contiguous values of `tensor`, or `None` when it is not on a GPU device, is tracked for automatic differentiation, or is
/// of a type that no kernel reads.
///
/// A contiguous tensor is shared, not copied.
pub(crate) fn of<const D: usize>(tensor: &Tensor<D>) -> Option<CubeTensor> {
    let tensor = tensor.clone().try_into_primitive::<CubeBackend>().ok()?;
    float_type(tensor.dtype).is_some().then(|| exact(into_contiguous(tensor)))
}

/// Lets a kernel see as many values as a contiguous tensor has.
///
/// A device may round the size of an allocation up, CUDA to 512 bytes, and the length of a buffer in a kernel is what its handle uses.
fn exact(mut tensor: CubeTensor) -> CubeTensor {
    let bytes = tensor.meta.shape().num_elements() * tensor.dtype.size();
    tensor.handle = exact_handle(tensor.handle, bytes);
    tensor
}

fn exact_handle(handle: Handle, bytes: usize) -> Handle {
    match handle.size_in_used() - bytes as u64 {
        0 => handle,
        rounding => handle.offset_end(rounding),
    }
}

/// Writes as many whole numbers over those on a device.
pub(crate) fn overwrite(words: &CubeTensor, values: &[u32]) {
    words.client.write(&words.handle, Bytes::from_elems(values.to_vec()));
}

/// Returns room for so many bytes on a device.
pub(crate) fn empty_bytes(client: &Client, bytes: usize) -> Handle {
    exact_handle(client.empty(bytes), bytes)
}

/// Copies whole numbers to a device, as many as a kernel is to see.
pub(crate) fn upload_words(client: &Client, words: &[u32]) -> Handle {
    exact_handle(client.create_from_slice(u32::as_bytes(words)), size_of_val(words))
}

/// Returns the contiguous values of each tensor, or `None` when [`of`] has nothing for one of them.
pub(crate) fn of_each<const N: usize, const D: usize>(tensors: [&Tensor<D>; N]) -> Option<[CubeTensor; N]> {
    let found: Vec<CubeTensor> = tensors.into_iter().map_while(of).collect();
    found.try_into().ok()
}

/// Returns what launches work on the device of a tensor, or `None` when it is not on a GPU device.
pub(crate) fn client<const D: usize>(tensor: &Tensor<D>) -> Option<Client> {
    Some(tensor.clone().try_into_primitive::<CubeBackend>().ok()?.client)
}

/// Returns a copy of the values in other memory.
pub(crate) fn copied<const D: usize>(values: &Tensor<D>) -> Tensor<D> {
    match values.clone().try_into_primitive::<CubeBackend>() {
        Ok(values) => tensor(values.copy()),
        Err(_) => values.clone(),
    }
}

/// Returns the bytes of memory that a device has, where it says so.
pub(crate) fn memory_of(device: &Device) -> Option<u64> {
    let probe = Tensor::<1>::zeros([1], device).try_into_primitive::<CubeBackend>().ok()?;
    probe.client.properties().memory.max_memory()
}

/// Returns what the device says about those of some tensors that it could not compute.
///
/// A failed allocation or launch does not stop what is queued behind it: it is remembered with the values that it left undefined.
pub(crate) fn failure<'t, const D: usize>(tensors: impl Iterator<Item = &'t Tensor<D>>) -> Option<String> {
    let primitives: Vec<CubeTensor> = tensors.filter_map(|tensor| tensor.clone().try_into_primitive::<CubeBackend>().ok()).collect();
    let client = &primitives.first()?.client;
    client.check(primitives.iter().map(|tensor| &tensor.handle)).err().map(|error| error.to_string())
}

/// Returns the values as a tensor of Burn.
pub(crate) fn tensor<const D: usize>(values: CubeTensor) -> Tensor<D> {
    Tensor::<D, Float>::from_primitive::<CubeBackend>(values)
}

/// Returns the contiguous values of a tensor of a GPU device, of which nobody else sees that they are overwritten: they are copied where
/// somebody shares them.
///
/// # Panics
/// Panics when the tensor is not on a GPU device; the caller has seen it there.
pub(crate) fn take<const D: usize>(tensor: Tensor<D>) -> CubeTensor {
    let values = tensor.try_into_primitive::<CubeBackend>().expect("the caller has seen this tensor on a GPU device");
    let values = into_contiguous(values);
    exact(if values.can_mut() { values } else { values.copy() })
}

/// As [`take`], of whole numbers.
pub(crate) fn take_words(tensor: Tensor<1, Int>) -> CubeTensor {
    let values = tensor.try_into_primitive::<CubeBackend>().expect("the caller has seen this tensor on a GPU device");
    let values = into_contiguous(values);
    exact(if values.can_mut() { values } else { values.copy() })
}

/// As [`tensor`](fn@tensor), of whole numbers.
pub(crate) fn words(values: CubeTensor) -> Tensor<1, Int> {
    Tensor::from_primitive::<CubeBackend>(values)
}

/// Returns a tensor with undefined values beside another one.
pub(crate) fn empty<const D: usize>(beside: &CubeTensor, shape: [usize; D], dtype: DType) -> CubeTensor {
    exact(empty_device_contiguous_dtype(beside.client.clone(), beside.device.clone(), Shape::from(shape), dtype))
}

/// Returns the same contiguous values in another shape of as many elements.
pub(crate) fn reshape<const D: usize>(values: CubeTensor, shape: [usize; D]) -> CubeTensor {
    CubeTensor::new_contiguous(values.client, values.device, Shape::from(shape), values.handle, values.dtype)
}

/// Copies numbers of rows to the device of a tensor.
pub(crate) fn upload_indices(beside: &CubeTensor, values: &[u32]) -> CubeTensor {
    let handle = upload_words(&beside.client, values);
    CubeTensor::new_contiguous(beside.client.clone(), beside.device.clone(), Shape::from([values.len()]), handle, DType::U32)
}

/// Copies values to the device of a tensor.
pub(crate) fn upload<const D: usize>(beside: &CubeTensor, values: &[f32], shape: [usize; D]) -> CubeTensor {
    let handle = exact_handle(beside.client.create_from_slice(f32::as_bytes(values)), size_of_val(values));
    CubeTensor::new_contiguous(beside.client.clone(), beside.device.clone(), Shape::from(shape), handle, DType::F32)
}

/// Returns the cubes of a kernel in which each unit has one of some elements; the kernel compares `ABSOLUTE_POS` with their number.
pub(crate) fn one_unit_each(elements: usize) -> CubeCount {
    cubes(elements.div_ceil(UNITS as usize))
}

/// Returns the type of the values as kernels name it.
///
/// # Panics
/// Panics when the values are of a type that no kernel reads; [`of`] returns no such tensor.
pub(crate) fn elem(tensor: &CubeTensor) -> ElemType {
    float_type(tensor.dtype).expect("only tensors of types with kernels become arguments")
}

fn float_type(dtype: DType) -> Option<ElemType> {
    let kind = match dtype {
        DType::F32 => FloatKind::F32,
        DType::F16 => FloatKind::F16,
        DType::BF16 => FloatKind::BF16,
        _ => return None,
    };
    Some(ElemType::Float(kind))
}

/// Returns the type of indices into the largest of some tensors: 32 bits where they suffice.
pub(crate) fn addresses(tensors: &[&CubeTensor]) -> AddressType {
    tensors.iter().map(|tensor| tensor.required_address_type()).max().unwrap_or_default()
}

/// Returns the largest number of neighboring values, of those that the device reads at once, that divides the last dimension of some
/// tensors.
pub(crate) fn vector_size(tensors: &[&CubeTensor], width: usize) -> VectorSize {
    let largest = |tensor: &CubeTensor| {
        let sizes = tensor.client.io_optimized_vector_sizes(tensor.dtype.size());
        sizes.filter(|size| width.is_multiple_of(*size)).max().unwrap_or(1)
    };
    tensors.iter().map(|tensor| largest(tensor)).min().unwrap_or(1)
}

/// Returns a count of at least `cubes` cubes; a kernel compares `CUBE_POS` with the number that it wants.
///
/// # Panics
/// Panics beyond 2^32 - 2^17 cubes.
pub(crate) fn cubes(cubes: usize) -> CubeCount {
    let rows = cubes.div_ceil(CUBES as usize).max(1);
    let columns = cubes.div_ceil(rows).max(1);
    assert!(rows <= CUBES as usize, "{cubes} cubes do not fit into one launch");
    CubeCount::Static(columns as u32, rows as u32, 1)
}

/// Returns the sum of one value of each unit of a cube, the same in all of them and always in the same order.
///
/// `shared` has as many places as the cube has units, a power of two.
#[cube]
pub(crate) fn cube_sum(value: f32, shared: &mut [f32], #[comptime] units: u32) -> f32 {
    let unit = UNIT_POS as usize;
    // What an earlier sum left may still be read.
    sync_cube();
    shared[unit] = value;
    sync_cube();
    let steps = comptime![units.ilog2()];
    #[unroll]
    for step in 0..steps {
        let half = comptime![(units >> (step + 1)) as usize];
        if unit < half {
            shared[unit] = shared[unit] + shared[unit + half];
        }
        sync_cube();
    }
    shared[0]
}
