//! Sums and largest values over groups of the units of a cube, always combined in the same order.

use cubecl::client::Client;
use cubecl::ir::features::Plane;
use cubecl::prelude::*;

use super::UNITS;

/// How the units of a cube are divided into groups that each work on something of their own. All numbers are powers of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Groups {
    /// Units of a cube.
    pub(crate) units: u32,
    /// Units of a group.
    pub(crate) size: u32,
    /// Units that exchange values without shared memory: a plane, or 1 where the device has none of a known size.
    pub(crate) plane: u32,
}

impl Groups {
    /// Groups of at least `size` units.
    ///
    /// # Panics
    /// Panics when a cube has fewer units.
    pub(crate) fn of(client: &Client, size: usize) -> Self {
        let size = size.max(1).next_power_of_two() as u32;
        assert!(size <= UNITS, "{size} units are not in one cube");
        Self { units: UNITS, size, plane: plane(client) }
    }

    /// One group, the whole cube, for a row of some vectors: each unit has a few of them.
    pub(crate) fn of_row(client: &Client, vectors: usize) -> Self {
        let units = (1u32 << (vectors / 2).max(1).ilog2()).clamp(32, UNITS);
        Self { units, size: units, plane: plane(client).min(units) }
    }

    /// The shape of the cube.
    pub(crate) fn dim(self) -> CubeDim {
        CubeDim::new_1d(self.units)
    }

    /// Groups of a cube.
    pub(crate) fn count(self) -> usize {
        (self.units / self.size) as usize
    }
}

/// Only planes of one known size are used: a kernel says which unit exchanges with which.
fn plane(client: &Client) -> u32 {
    let hardware = &client.properties().hardware;
    let size = hardware.plane_size_max;
    let known = hardware.plane_size_min == size && size.is_power_of_two() && size <= 32;
    if known && client.features().plane.contains(Plane::Ops) { size } else { 1 }
}

/// Returns the sum of one value of each unit of a group, the same in all of them. All units of the cube must call it together.
#[cube]
pub(crate) fn group_sum(value: f32, #[comptime] groups: Groups) -> f32 {
    group_fold(value, groups, false)
}

/// Returns the largest of one value of each unit of a group, in all of them. All units of the cube must call it together.
#[cube]
pub(crate) fn group_max(value: f32, #[comptime] groups: Groups) -> f32 {
    group_fold(value, groups, true)
}

#[cube]
fn group_fold(value: f32, #[comptime] groups: Groups, #[comptime] largest: bool) -> f32 {
    let near = comptime![groups.plane.min(groups.size)];
    let mut total = value;
    // Each unit exchanges with the one whose number differs in one bit; sums commute, so both get the same bits.
    let steps = comptime![near.ilog2()];
    #[unroll]
    for step in 0..steps {
        let other = plane_shuffle_xor(total, comptime!(1u32 << step));
        total = combine(total, other, largest);
    }
    if comptime![near < groups.size] {
        let parts = comptime![groups.size / near];
        let mut shared = Shared::<[f32]>::new_slice(comptime![(groups.units / near) as usize]);
        let lane = (UNIT_POS % groups.size) as usize;
        let first = (UNIT_POS / groups.size * parts) as usize;
        // What an earlier call left may still be read.
        sync_cube();
        if UNIT_POS % near == 0u32 {
            shared[(UNIT_POS / near) as usize] = total;
        }
        sync_cube();
        let halvings = comptime![parts.ilog2()];
        #[unroll]
        for step in 0..halvings {
            let half = comptime![(parts >> (step + 1)) as usize];
            if lane < half {
                shared[first + lane] = combine(shared[first + lane], shared[first + lane + half], largest);
            }
            sync_cube();
        }
        total = shared[first];
    }
    total
}

#[cube]
fn combine(a: f32, b: f32, #[comptime] largest: bool) -> f32 {
    if comptime![largest] { max(a, b) } else { a + b }
}
