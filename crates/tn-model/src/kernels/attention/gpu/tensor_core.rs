//! Attention by matrix instructions, for half-precision operands on devices with `mma.sync` of 16 x 8 x 16.
//!
//! A warp owns strips of 16 rows of a product and keeps its sums in registers. What `S` leaves in a lane is what the instruction wants of
//! the left operand of the next product, so probabilities never leave the registers: the forward pass and the walk of query rows compute
//! `S`, the walk of keys computes `S^T`. Tiles come from memory by asynchronous copies of 16 bytes into shared memory, whose chunks are
//! permuted so that `ldmatrix` meets no bank twice; the copy of the next tile overlaps the products of the present one.
//!
//! | kernel | rows x keys a tile | warps | accumulators a lane | shared memory, D = 128 |
//! |---|---|---|---|---|
//! | forward | 128 x 64 | 4, two strips each | 128 + 64 | 64 KiB |
//! | key walk | 64 x 64 | 4 | 2 x 64 + 2 x 32 | 81 KiB |
//! | key walk with atomics | 64 x 64 | 4 | 3 x 64 | 89 KiB |
//! | query walk | 64 x 64 | 4 | 64 + 2 x 32 | 80 KiB |
//!
//! All stay below the 99 KiB of a block on sm_86, and two blocks share a multiprocessor from 164 KiB on. Estimated, not measured, for
//! D = 128 and long sequences: the forward pass reads 1 byte of shared memory for 32 FLOP and should reach what `mma.sync` kernels of this
//! shape reach, 170-200 TFLOP/s on sm_80 and 300-350 on sm_90; the backward walks read 1 byte for 16 FLOP, which bounds them at 310 and
//! 460, so 120-150 and 200-250. The assembler of CUDA 12.9 for sm_80, D = 32, gives the forward pass 161 registers and the walks 128, and
//! spills one value of one of them (the walk with atomics).

mod backward;
mod forward;
mod fragments;
mod softmax;
mod tile;

use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::features::{AtomicUsage, MmaConfig};
use cubecl::ir::{ElemType, FloatKind};
use cubecl::prelude::*;

use super::rows::Heads;
use crate::kernels::attention::AttentionShape;
use crate::kernels::gpu;

pub(super) use backward::{all_gradients, key_gradients, query_gradients};
pub(super) use forward::forward;

/// Lanes of a warp.
const LANES: u32 = 32;

/// Warps of a cube.
const WARPS: usize = 4;

/// Units of a cube.
const UNITS: u32 = LANES * WARPS as u32;

/// Rows of a strip: those of the result of an instruction.
const STRIP: usize = 16;

/// Keys of a tile, and rows of one in the backward pass.
const TILE: usize = 64;

/// Neighboring values that a lane holds in one register.
type Pair = Const<2>;

/// Neighboring values that are copied together, 16 bytes.
type Chunk = Const<8>;

/// Values of a chunk.
const CHUNK: usize = 8;

/// What the kernels know when they are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Plan {
    heads: Heads,
    /// Whether copies into shared memory go on while the cube computes.
    asynchronous: bool,
}

impl Plan {
    /// Returns a plan for operands like `q`, or `None` when the device has no such instructions, the operands are not of half precision or
    /// the head size is not 32, 64 or 128.
    pub(super) fn of(q: &CubeTensor, shape: AttentionShape) -> Option<Self> {
        let properties = q.client.properties();
        let (features, hardware) = (&properties.features, &properties.hardware);
        let a_type = gpu::elem(q);
        let instruction = MmaConfig { a_type, b_type: a_type, cd_type: ElemType::Float(FloatKind::F32), m: 16, n: 8, k: 16 };
        let fits = features.matmul.mma.contains(&instruction)
            && features.matmul.ldmatrix.contains(&a_type)
            && (hardware.plane_size_min, hardware.plane_size_max) == (LANES, LANES)
            && matches!(shape.head_dim, 32 | 64 | 128)
            && hardware.max_shared_memory_size >= shared_bytes(shape.head_dim);
        fits.then(|| Self { heads: Heads::of(shape), asynchronous: features.copy_async })
    }

    /// Chunks of a row.
    fn chunks(&self) -> usize {
        self.heads.head_dim / CHUNK
    }
}

/// Whether the device adds to `f32` in memory atomically.
pub(super) fn adds_atomically(q: &CubeTensor) -> bool {
    let value = Type::atomic(f32::elem_type_native());
    q.client.properties().atomic_type_usage(value).contains(AtomicUsage::Add)
}

/// Shared memory of the largest kernel: five tiles of rows, one of gradients of scores, and statistics of two tiles of rows.
const fn shared_bytes(head_dim: usize) -> usize {
    5 * TILE * head_dim * 2 + TILE * TILE * 2 + 4 * TILE * 4
}
