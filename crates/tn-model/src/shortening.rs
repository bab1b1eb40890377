//! How many neighbors a prompt has room for.

/// Returns how many of the nearest neighbors stay in a prompt that is too long with all `shown` of them: as many as fit, at least 0, which
/// has to fit.
///
/// Fewer neighbors are fewer tokens, so that halving finds the number.
///
/// # Errors
/// Returns the first error of `fits`.
pub(crate) fn neighbors_that_fit<E>(shown: usize, mut fits: impl FnMut(usize) -> Result<bool, E>) -> Result<usize, E> {
    let (mut fitting, mut too_many) = (0, shown);
    while fitting + 1 < too_many {
        let middle = fitting.midpoint(too_many);
        match fits(middle)? {
            true => fitting = middle,
            false => too_many = middle,
        }
    }
    Ok(fitting)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_fit_stay() {
        for shown in 1..20 {
            for room in 0..shown {
                assert_eq!(neighbors_that_fit(shown, |nearest| Ok::<_, ()>(nearest <= room)), Ok(room));
            }
        }
        assert_eq!(neighbors_that_fit(4, |_| Err("no prompt")), Err("no prompt"));
    }
}
