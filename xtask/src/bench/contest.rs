//! Measuring several programs in turns.

use anyhow::Result;

use super::row::{Measured, Side};

/// Something to be measured.
pub(crate) struct Contender<'a> {
    name: String,
    side: Side,
    measure: Box<dyn FnMut() -> Result<f64> + 'a>,
}

impl<'a> Contender<'a> {
    /// Names a number format or variant of one side, and what measures it: seconds or another cost.
    pub(crate) fn new(side: Side, name: impl Into<String>, measure: impl FnMut() -> Result<f64> + 'a) -> Self {
        Self { name: name.into(), side, measure: Box::new(measure) }
    }
}

/// Measures all contenders in turns, `repeats` times, after a round that does not count.
pub(crate) fn in_turns(contenders: Vec<Contender<'_>>, repeats: u32) -> Result<Vec<Measured>> {
    let mut contenders = contenders;
    for contender in &mut contenders {
        (contender.measure)()?;
    }
    in_turns_from_cold(contenders, repeats)
}

/// Measures all contenders in turns, `repeats` times.
pub(crate) fn in_turns_from_cold(mut contenders: Vec<Contender<'_>>, repeats: u32) -> Result<Vec<Measured>> {
    let mut values = vec![Vec::new(); contenders.len()];
    for _ in 0..repeats {
        for (contender, values) in contenders.iter_mut().zip(&mut values) {
            values.push((contender.measure)()?);
        }
    }
    let named = contenders.into_iter().zip(values);
    Ok(named.map(|(Contender { name, side, .. }, values)| Measured { name, side, values }).collect())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn contenders_take_turns_after_a_round_that_does_not_count() {
        let calls = RefCell::new(Vec::new());
        let contender = |side, name: &'static str| {
            let calls = &calls;
            Contender::new(side, name, move || {
                calls.borrow_mut().push(name);
                Ok(calls.borrow().len() as f64)
            })
        };
        let measured = in_turns(vec![contender(Side::Ours, "a"), contender(Side::Peer, "b")], 2).unwrap();
        assert_eq!(calls.into_inner(), ["a", "b", "a", "b", "a", "b"]);
        assert_eq!(measured[0].values, [3.0, 5.0]);
        assert_eq!((measured[1].name.as_str(), measured[1].values.as_slice()), ("b", [4.0, 6.0].as_slice()));
    }
}
