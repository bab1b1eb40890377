//! The two kernels of a draw, and what goes to them and comes back.

mod candidates;
mod choose;
mod order;

use burn_cubecl::tensor::CubeTensor;
use cubecl::client::Client;
use cubecl::prelude::*;
use cubecl::server::Handle;

use super::{Draw, Drawn};
use crate::kernels::gpu;

/// Units of a cube; a power of two.
const UNITS: u32 = 256;

/// Logits that one unit looks at.
const OF_UNIT: usize = 16;

/// Logits that one cube looks at.
const BLOCK: usize = OF_UNIT * UNITS as usize;

/// Words of the settings of a draw: temperature, `top_k`, `top_p`, `min_p`, the random number, and one more than the number of its mask,
/// or 0.
const SETTINGS: usize = 6;

/// Stands for a token that the device could not draw.
const NONE: u32 = u32::MAX;

/// Words on a device.
struct Words {
    handle: Handle,
    length: usize,
}

impl Words {
    fn upload(client: &Client, words: &[u32]) -> Self {
        Self { handle: gpu::upload_words(client, words), length: words.len() }
    }

    fn empty(client: &Client, length: usize) -> Self {
        Self { handle: gpu::empty_bytes(client, length * size_of::<u32>()), length }
    }

    fn argument(&self) -> BufferArg {
        // SAFETY: the buffer has so many words.
        unsafe { BufferArg::from_raw_parts(self.handle.clone(), self.length) }
    }
}

pub(super) fn draw(logits: &CubeTensor, draws: &[Draw<'_>]) -> Vec<Drawn> {
    let (client, vocabulary) = (&logits.client, logits.meta.shape()[1]);
    let blocks = vocabulary.div_ceil(BLOCK);
    let kept = draws.iter().map(Draw::candidates).max().unwrap_or(1).min(vocabulary);
    let (settings, masks) = (Words::upload(client, &settings(draws)), Words::upload(client, &masks(draws, vocabulary)));
    // The most probable token of a block, then its candidates: pairs of a key and an id.
    let found = Words::empty(client, draws.len() * blocks * (kept + 1) * 2);
    let drawn = Words::empty(client, draws.len() * 2);
    candidates::candidates::launch(
        client,
        gpu::cubes(draws.len() * blocks),
        CubeDim::new_1d(UNITS),
        gpu::addresses(&[logits]),
        logits.clone().into_buffer_arg(),
        settings.argument(),
        masks.argument(),
        found.argument(),
        (draws.len() * blocks) as u32,
        vocabulary as u32,
        blocks as u32,
        kept as u32,
        gpu::elem(logits),
    );
    choose::choose::launch(
        client,
        gpu::cubes(draws.len()),
        CubeDim::new_1d(UNITS),
        found.argument(),
        settings.argument(),
        drawn.argument(),
        draws.len() as u32,
        blocks as u32,
        kept as u32,
        kept.next_power_of_two(),
    );
    let bytes = client.read_one_unchecked(drawn.handle);
    let pairs = u32::from_bytes(&bytes).chunks_exact(2).take(draws.len());
    pairs.map(|pair| Drawn { token: Some(pair[0]).filter(|&token| token != NONE), most_probable: pair[1] }).collect()
}

fn settings(draws: &[Draw<'_>]) -> Vec<u32> {
    let mut masks = 0;
    let words = draws.iter().flat_map(|draw| {
        masks += u32::from(draw.allowed.is_some());
        let mask = if draw.allowed.is_some() { masks } else { 0 };
        [draw.temperature.to_bits(), draw.top_k as u32, draw.top_p.to_bits(), draw.min_p.to_bits(), draw.uniform.to_bits(), mask]
    });
    words.collect()
}

/// Returns a bit for each token of every mask; at least one word, because no buffer is empty.
fn masks(draws: &[Draw<'_>], vocabulary: usize) -> Vec<u32> {
    let of_mask = vocabulary.div_ceil(32);
    let lists: Vec<&[u32]> = draws.iter().filter_map(|draw| draw.allowed).collect();
    let mut words = vec![0; (lists.len() * of_mask).max(1)];
    for (mask, allowed) in words.chunks_exact_mut(of_mask).zip(lists) {
        allowed.iter().for_each(|&id| mask[id as usize / 32] |= 1 << (id % 32));
    }
    words
}
