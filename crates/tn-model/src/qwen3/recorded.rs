//! Passes of few tokens, recorded as graphs: what the host does for every launch is done once for all passes of one shape.
//!
//! A pass of a shape that comes for the second time is recorded; from then on the host writes its numbers over those of the pass before,
//! and the device repeats the launches. What comes out is the same, bit by bit: passes of few tokens are padded to the same shapes whether
//! they are recorded or not.

use std::collections::VecDeque;
use std::thread::ThreadId;

use burn::tensor::Tensor;
use cubecl::client::{Client, Graph};
use cubecl::server::ServerError;

use super::paged::Inputs;
use crate::kernels::gpu;
use crate::kernels::paged_attention::Room;

/// Recordings that are kept: each has its own memory for what is computed on the way.
const MOST: usize = 32;

/// Shapes that are remembered after they were seen once.
const SEEN: usize = 64;

/// What passes have in common that are worked on by the same launches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    room: Room,
    wanted: usize,
    /// Whether the logits of all rows are wanted, in their order.
    wants_all: bool,
    /// Positions for which there are rotations.
    positions: usize,
    /// Launches of one thread are in order, and not among those of others.
    thread: ThreadId,
}

impl Shape {
    fn of(inputs: &Inputs) -> Self {
        Self {
            room: inputs.rows.room(),
            wanted: inputs.wanted.len(),
            wants_all: inputs.wants_all(),
            positions: inputs.table.len(),
            thread: std::thread::current().id(),
        }
    }
}

/// The launches of a pass.
#[derive(Debug)]
struct Recording {
    shape: Shape,
    /// What the launches read; with the logits, all that lives from one pass to the next.
    inputs: Inputs,
    logits: Tensor<2>,
    graph: Graph,
}

/// The recorded passes of a model on one device.
#[derive(Debug, Default)]
pub(super) struct Recordings {
    /// The one that was used last is the last.
    made: VecDeque<Recording>,
    seen: VecDeque<Shape>,
    /// Set where the device cannot record, or has failed to.
    is_given_up: bool,
    /// Passes that were repeated from a recording.
    pub(super) repeated: u64,
}

impl Recordings {
    /// Forgets all recordings, because what they read and write has moved.
    pub(super) fn clear(&mut self) {
        self.made.clear();
    }

    /// Runs a pass of few tokens, from a recording where there is one. `pass` launches its work by a client and reads nothing back.
    pub(super) fn run(&mut self, inputs: Inputs, client: &Client, pass: &mut dyn FnMut(&Inputs) -> Tensor<2>) -> Tensor<2> {
        if self.is_given_up {
            return pass(&inputs);
        }
        let shape = Shape::of(&inputs);
        if let Some(at) = self.made.iter().position(|recording| recording.shape == shape) {
            let mut recording = self.made.remove(at).expect("it was just found");
            recording.inputs.overwrite(inputs);
            return self.repeat(recording, pass);
        }
        if !self.seen.contains(&shape) {
            // Kernels are compiled and chosen now, which cannot be done while a pass is recorded.
            push(&mut self.seen, shape, SEEN);
            return pass(&inputs);
        }
        match record(&inputs, client, pass) {
            Ok((logits, graph)) => self.repeat(Recording { shape, inputs, logits, graph }, pass),
            Err(error) => {
                self.give_up(&error);
                pass(&inputs)
            }
        }
    }

    fn repeat(&mut self, recording: Recording, pass: &mut dyn FnMut(&Inputs) -> Tensor<2>) -> Tensor<2> {
        // SAFETY: what the launches read and write is alive: the pages of the store, which clears the recordings before it moves them, the
        // weights, which are the model's, and what the recording holds. Launches and writes of one thread are in order.
        if let Err(error) = unsafe { recording.graph.replay() } {
            self.give_up(&error);
            return pass(&recording.inputs);
        }
        self.repeated += 1;
        // The next pass writes over these logits.
        let logits = gpu::copied(&recording.logits);
        push(&mut self.made, recording, MOST);
        logits
    }

    fn give_up(&mut self, error: &ServerError) {
        tracing::debug!(%error, "passes are launched kernel by kernel");
        self.is_given_up = true;
        self.clear();
    }
}

/// Adds to the end of a list that forgets its beginning.
fn push<T>(list: &mut VecDeque<T>, last: T, most: usize) {
    list.push_back(last);
    list.drain(..list.len().saturating_sub(most));
}

/// Records the launches of a pass, without results: repeating them is what gives the first ones.
fn record(inputs: &Inputs, client: &Client, pass: &mut dyn FnMut(&Inputs) -> Tensor<2>) -> Result<(Tensor<2>, Graph), ServerError> {
    let window = Window(client);
    client.graph_prepare()?;
    // Leaves the memory that the recording takes; nothing can be allocated later.
    drop(pass(inputs));
    client.start_capture()?;
    let logits = pass(inputs);
    Ok((logits, window.close()?))
}

/// A recording that has begun. It ends with this value, whatever happens.
struct Window<'c>(&'c Client);

impl Window<'_> {
    fn close(self) -> Result<Graph, ServerError> {
        let graph = self.0.stop_capture();
        std::mem::forget(self);
        graph
    }
}

impl Drop for Window<'_> {
    fn drop(&mut self) {
        // Nobody wants what was recorded so far.
        let _unfinished = self.0.stop_capture();
    }
}
