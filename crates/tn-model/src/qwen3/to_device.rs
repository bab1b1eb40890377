//! A decoder on another device.

use burn::tensor::{Device, Tensor};

use super::Qwen3;
use super::block::Block;
use super::linear::{Linear, LoraAdapter};

impl Qwen3 {
    /// Returns a copy on a device. Where that is the decoder's own, both share their values until one of them changes.
    #[must_use]
    pub fn to_device(&self, device: &Device) -> Self {
        if self.device() == *device {
            return self.clone();
        }
        let mut copy = self.clone();
        copy.embedding = copy.embedding.to_device(device);
        copy.blocks.iter_mut().for_each(|block| move_block(block, device));
        copy.norm = copy.norm.to_device(device);
        copy.head = copy.head.map(|head| head.to_device(device));
        copy
    }
}

fn move_block(block: &mut Block, device: &Device) {
    for norm in [&mut block.input_norm, &mut block.q_norm, &mut block.k_norm, &mut block.post_attention_norm] {
        *norm = norm.clone().to_device(device);
    }
    for (_, linear) in block.projections_mut() {
        *linear = linear_on(linear, device);
    }
}

fn linear_on(linear: &Linear, device: &Device) -> Linear {
    let moved = |tensor: &Tensor<2>| tensor.clone().to_device(device);
    let adapter = linear.adapter.as_ref();
    Linear {
        weight: moved(&linear.weight),
        adapter: adapter.map(|adapter| LoraAdapter { a: moved(&adapter.a), b: moved(&adapter.b), scale: adapter.scale }),
    }
}
