//! Both sides in turns, until there are enough measurements or no time is left.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tissuenarrator::model::Device;

/// Least time of what is measured at once: shorter work is repeated inside.
const LEAST: Duration = Duration::from_millis(20);

/// Seconds, or another value, of each repeat of both sides.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Measured {
    pub(super) ours: Vec<f64>,
    pub(super) peer: Vec<f64>,
    /// Why the peer has no values.
    pub(super) without_peer: String,
}

/// One side: returns a value.
pub(super) type Side<'a> = dyn FnMut() -> Result<f64> + 'a;

/// Measures both sides in turns, at most `repeats` times and at least once, after a round that does not count. A peer that fails is left
/// out.
pub(super) fn in_turns(repeats: usize, deadline: Instant, ours: &mut Side<'_>, peer: Option<&mut Side<'_>>) -> Result<Measured> {
    let mut measured = Measured::default();
    let mut peer = peer;
    ours()?;
    if let Some(side) = &mut peer
        && let Err(error) = side()
    {
        measured.without_peer = format!("{error:#}");
        peer = None;
    }
    while measured.ours.len() < repeats && (measured.ours.is_empty() || Instant::now() < deadline) {
        measured.ours.push(ours()?);
        let Some(side) = &mut peer else { continue };
        match side() {
            Ok(value) => measured.peer.push(value),
            Err(error) => {
                measured.without_peer = format!("{error:#}");
                measured.peer.clear();
                peer = None;
            }
        }
    }
    Ok(measured)
}

/// Returns how often work has to be repeated to be measured, at most a hundred times.
pub(super) fn repeats_inside(device: &Device, work: &dyn Fn()) -> Result<usize> {
    // Once to compile, once to be timed.
    seconds(device, 1, work)?;
    let once = seconds(device, 1, work)?.max(1e-6);
    Ok(((LEAST.as_secs_f64() / once).ceil() as usize).clamp(1, 100))
}

/// Returns the seconds that work takes on the device, by the mean of some repeats that are queued together.
pub(super) fn seconds(device: &Device, repeats: usize, work: &dyn Fn()) -> Result<f64> {
    let sync = || device.sync().map_err(|error| anyhow::anyhow!("{error:?}")).context("the device failed");
    sync()?;
    let start = Instant::now();
    (0..repeats).for_each(|_| work());
    sync()?;
    Ok(start.elapsed().as_secs_f64() / repeats as f64)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn sides_take_turns_after_a_round_that_does_not_count() {
        let calls = RefCell::new(Vec::new());
        let side = |name: char| {
            calls.borrow_mut().push(name);
            Ok(calls.borrow().len() as f64)
        };
        let measured = in_turns(2, later(), &mut || side('a'), Some(&mut || side('b'))).unwrap();
        assert_eq!((measured.ours, measured.peer), (vec![3.0, 5.0], vec![4.0, 6.0]));
        assert_eq!(calls.into_inner(), ['a', 'b', 'a', 'b', 'a', 'b']);
    }

    #[test]
    fn without_time_there_is_one_measurement() {
        let measured = in_turns(5, Instant::now(), &mut || Ok(1.0), Some(&mut || Ok(2.0))).unwrap();
        assert_eq!((measured.ours, measured.peer), (vec![1.0], vec![2.0]));
    }

    #[test]
    fn a_peer_that_fails_is_left_out_and_we_are_not() {
        let measured = in_turns(2, later(), &mut || Ok(1.0), Some(&mut || anyhow::bail!("out of memory"))).unwrap();
        assert_eq!((measured.ours, measured.peer.len(), measured.without_peer.as_str()), (vec![1.0; 2], 0, "out of memory"));
        assert!(in_turns(2, later(), &mut || anyhow::bail!("ours"), None).is_err());
    }
}
