//! Single-precision matrix products over strided views, on the calling thread.

use gemm::Parallelism;

/// A read-only matrix inside a slice: element `(i, j)` lies at `i * row_stride + j * column_stride`.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    values: &'a [f32],
    row_stride: usize,
    column_stride: usize,
}

impl<'a> View<'a> {
    /// Views `values` as rows that start `row_stride` apart.
    pub(crate) fn rows(values: &'a [f32], row_stride: usize) -> Self {
        Self { values, row_stride, column_stride: 1 }
    }

    /// Returns the transpose, without moving anything.
    pub(crate) fn transposed(self) -> Self {
        Self { row_stride: self.column_stride, column_stride: self.row_stride, ..self }
    }

    fn covers(&self, rows: usize, columns: usize) -> bool {
        rows == 0 || columns == 0 || (rows - 1) * self.row_stride + (columns - 1) * self.column_stride < self.values.len()
    }
}

/// What happens to the values that the destination holds.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Write {
    /// They are replaced by the product.
    Replace,
    /// The product is added to them.
    Add,
}

/// Computes `destination (+)= scale * left * right` for `left` of shape `[m, k]` and `right` of shape `[k, n]`.
///
/// The destination is row-major with rows `stride` apart.
///
/// # Panics
/// Panics when a view or the destination is too small for the shapes.
pub(crate) fn product(
    [m, n, k]: [usize; 3],
    left: View<'_>,
    right: View<'_>,
    scale: f32,
    into: Write,
    destination: &mut [f32],
    stride: usize,
) {
    if m == 0 || n == 0 {
        return;
    }
    assert!(left.covers(m, k) && right.covers(k, n), "a matrix view is smaller than its shape");
    assert!(stride >= n && (m - 1) * stride + n <= destination.len(), "the destination is smaller than its shape");
    if k == 0 {
        if into == Write::Replace {
            destination.chunks_mut(stride).take(m).for_each(|row| row[..n].fill(0.0));
        }
        return;
    }
    // SAFETY: the two assertions above hold every address that `gemm` forms inside the three slices, and `destination` is borrowed
    // mutably, so it overlaps neither operand.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            destination.as_mut_ptr(),
            1,
            stride as isize,
            into == Write::Add,
            left.values.as_ptr(),
            left.column_stride as isize,
            left.row_stride as isize,
            right.values.as_ptr(),
            right.column_stride as isize,
            right.row_stride as isize,
            1.0,
            scale,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(m: usize, n: usize, k: usize) {
        let left: Vec<f32> = (0..m * k).map(|i| (i % 7) as f32 - 3.0).collect();
        let right: Vec<f32> = (0..n * k).map(|i| (i % 5) as f32 - 2.0).collect();
        let mut found = vec![1.0f32; m * n];
        product([m, n, k], View::rows(&left, k), View::rows(&right, k).transposed(), 0.5, Write::Add, &mut found, n);
        for i in 0..m {
            for j in 0..n {
                let sum: f32 = (0..k).map(|l| left[i * k + l] * right[j * k + l]).sum();
                assert_eq!(found[i * n + j], 1.0 + 0.5 * sum, "element ({i}, {j}) of {m}x{n}x{k}");
            }
        }
    }

    #[test]
    fn equals_the_definition_on_odd_sizes() {
        for (m, n, k) in [(1, 1, 1), (3, 5, 7), (17, 33, 9), (1, 40, 64), (64, 1, 31), (0, 4, 4), (4, 4, 0)] {
            check(m, n, k);
        }
    }

    #[test]
    #[should_panic(expected = "smaller than its shape")]
    fn refuses_a_view_that_is_too_small() {
        product([2, 2, 2], View::rows(&[0.0; 3], 2), View::rows(&[0.0; 4], 2), 1.0, Write::Replace, &mut [0.0; 4], 2);
    }
}
