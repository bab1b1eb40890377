//! The device, the peer, and the time that a part has.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tissuenarrator::model::{Device, DeviceChoice, DeviceError, Precision};
use tn_model::suite::Place;

use super::line::Asked;
use super::peer;
use crate::flags::GpuFlags;
use crate::peer::Peer;

/// What a part measures with.
pub(super) struct Session {
    pub(super) place: Place,
    pub(super) flags: GpuFlags,
    peer: Result<Peer, String>,
    end: Instant,
}

impl Session {
    /// Opens the device and starts the peer where one was asked for.
    pub(super) fn open(flags: &GpuFlags) -> Result<Self, DeviceError> {
        let device = flags.device.open()?;
        let precision = Precision::of(&device);
        let peer = match &flags.peer {
            Some(python) => peer::start(python).map_err(|error| format!("{error:#}")),
            None => Err("no --peer was given".to_owned()),
        };
        let end = Instant::now() + Duration::from_secs(flags.seconds);
        Ok(Self { place: Place::new(device, precision), flags: flags.clone(), peer, end })
    }

    pub(super) fn device(&self) -> &Device {
        self.place.device()
    }

    pub(super) fn quick(&self) -> bool {
        self.flags.quick
    }

    /// Returns the peer, where there is one.
    pub(super) fn peer(&self) -> Option<&Peer> {
        self.peer.as_ref().ok()
    }

    /// Says why there is no peer.
    pub(super) fn without_peer(&self) -> String {
        self.peer.as_ref().err().map_or_else(String::new, |reason| format!("peer absent: {reason}"))
    }

    pub(super) fn time_left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// Returns when a share of the time that is left is used up.
    pub(super) fn deadline(&self, share: f64) -> Instant {
        Instant::now() + self.time_left().mul_f64(share)
    }

    pub(super) fn repeats(&self) -> usize {
        if self.flags.quick { 2 } else { 5 }
    }

    /// Returns what is asked, at the sizes that it is asked of.
    pub(super) fn asked(&self, asked: Asked) -> Option<Asked> {
        (!self.flags.quick).then_some(asked)
    }

    /// Returns the bytes that the allocator has reserved on the device, where it says so.
    pub(super) fn reserved(&self) -> Option<f64> {
        self.device().memory_pool_usage().map(|usage| usage.bytes_reserved as f64)
    }

    /// Returns the bytes that nobody uses on the device, as its driver says.
    pub(super) fn free_memory(&self) -> Option<u64> {
        let DeviceChoice::Cuda(index) = self.flags.device else { return None };
        let fields = ["--query-gpu=memory.free", "--format=csv,noheader,nounits"];
        let output = Command::new("nvidia-smi").args(["-i", &index.to_string()]).args(fields).output().ok()?;
        let mebibytes: u64 = String::from_utf8(output.stdout).ok()?.trim().parse().ok()?;
        Some(mebibytes << 20)
    }

    /// Gives what nobody uses back to the device, so that the other side has it.
    pub(super) fn release(&self) {
        self.device().memory_cleanup();
        let _synced = self.device().sync();
    }

    pub(super) fn versions(&self) -> Value {
        match &self.peer {
            Ok(peer) => peer.versions().clone(),
            Err(reason) => json!({"absent": reason}),
        }
    }
}
