//! Reductions over slices with sixteen running values, which vectorise and always add in the same order.

const LANES: usize = 16;

/// Folds `f(i)` over `0..n` with sixteen accumulators that are combined pairwise at the end.
#[inline(always)]
fn fold_lanes(accumulators: [f32; LANES], combine: impl Fn(f32, f32) -> f32) -> f32 {
    let mut values = accumulators;
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            values[i] = combine(values[i], values[i + width]);
        }
        width /= 2;
    }
    values[0]
}

/// Returns the inner product of two slices of one length.
#[inline(always)]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = [0.0f32; LANES];
    for (x, y) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += x[lane] * y[lane];
        }
    }
    fold_lanes(sums, |x, y| x + y) + a_rest.iter().zip(b_rest).map(|(x, y)| x * y).sum::<f32>()
}

/// Returns the sum of a slice.
#[inline(always)]
pub(crate) fn sum(a: &[f32]) -> f32 {
    let (a, rest) = a.as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for x in a {
        for lane in 0..LANES {
            sums[lane] += x[lane];
        }
    }
    fold_lanes(sums, |x, y| x + y) + rest.iter().sum::<f32>()
}

/// Returns the largest value of a slice; negative infinity when it is empty. NaN is passed over.
#[inline(always)]
pub(crate) fn max(a: &[f32]) -> f32 {
    let (a, rest) = a.as_chunks::<LANES>();
    let larger = |x: f32, y: f32| if y > x { y } else { x };
    let mut largest = [f32::NEG_INFINITY; LANES];
    for x in a {
        for lane in 0..LANES {
            largest[lane] = larger(largest[lane], x[lane]);
        }
    }
    rest.iter().fold(fold_lanes(largest, larger), |x, &y| larger(x, y))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reductions_equal_their_definitions_on_every_length() {
        for n in [0, 1, 15, 16, 17, 31, 32, 100] {
            let a: Vec<f32> = (0..n).map(|i| ((i * 7) % 11) as f32 - 5.0).collect();
            assert_eq!(sum(&a), a.iter().sum::<f32>());
            assert_eq!(dot(&a, &a), a.iter().map(|x| x * x).sum::<f32>());
            assert_eq!(max(&a), a.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        }
    }
}
