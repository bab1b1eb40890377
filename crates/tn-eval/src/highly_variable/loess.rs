//! A smooth curve through points, by local regression.

/// The share of the points that a local curve is fitted to.
const SPAN: f64 = 0.3;

/// A part of the axis with more points than this share of those of a local curve is divided.
const CELL: f64 = 0.2;

/// How far beyond the outermost points the axis reaches, as a share of their distance.
const MARGIN: f64 = 0.005;

/// So many points give every local curve four, of which the farthest has no weight.
pub(super) const MIN_POINTS: usize = 14;

/// A place at which the curve is fitted.
#[derive(Clone, Copy)]
struct Vertex {
    x: f64,
    value: f64,
    slope: f64,
}

/// Returns the loess curve of degree 2 and span 0.3 at each of at least [`MIN_POINTS`] points, all finite.
///
/// The axis is divided, at a median each time, until no part has more than `floor(0.2 * 0.3 n)` points. At each end of a part
/// a parabola is fitted to the nearest `floor(0.3 n)` points with tricube weights, and between two ends runs the cubic that has the
/// values and slopes of their parabolas. These are the curves of the program of Cleveland and Grosse (Statistics and Computing 1, 47,
/// 1991), which `loess` of R and scikit-misc wrap, with their default `surface="interpolate"`. A parabola at every point is another
/// curve, from which normalized variances come out up to 5% different.
pub(super) fn loess(x: &[f64], y: &[f64]) -> Vec<f64> {
    let mut points: Vec<(f64, f64)> = x.iter().copied().zip(y.iter().copied()).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let n = points.len() as f64;
    let neighbors = (n * SPAN + 1e-5).floor() as usize;
    let vertices: Vec<Vertex> =
        vertices(&points, (n * SPAN * CELL).floor() as usize).into_iter().map(|x| fit(nearest(&points, x, neighbors), x)).collect();
    x.iter().map(|&x| interpolate(&vertices, x)).collect()
}

/// Returns where the axis begins, ends and is divided, ascending.
fn vertices(points: &[(f64, f64)], max_points: usize) -> Vec<f64> {
    let (first, last) = (points[0].0, points[points.len() - 1].0);
    let margin = MARGIN * (last - first).max(1e-10 * first.abs().max(last.abs()) + 1e-30);
    let (low, high) = (first - margin, last + margin);
    let mut vertices = vec![low];
    divide(points, low, high, max_points, &mut vertices);
    vertices.push(high);
    vertices
}

/// Adds the places that divide the points between two vertices.
fn divide(points: &[(f64, f64)], low: f64, high: f64, max_points: usize, vertices: &mut Vec<f64>) {
    if points.len() <= max_points {
        return;
    }
    let last_left = last_of_left_half(points);
    let middle = points[last_left].0;
    if middle == low || middle == high {
        return;
    }
    let (left, right) = points.split_at(last_left + 1);
    divide(left, low, middle, max_points, vertices);
    vertices.push(middle);
    divide(right, middle, high, max_points, vertices);
}

/// The point next to the median that differs from its successor, looking right before left; the median if none does up to an end.
fn last_of_left_half(points: &[(f64, f64)]) -> usize {
    let median = (points.len() - 1) / 2;
    for distance in 0..points.len() {
        for place in [median.checked_add(distance), median.checked_sub(distance)] {
            match place {
                Some(place) if place + 1 < points.len() => {
                    if points[place].0 != points[place + 1].0 {
                        return place;
                    }
                }
                _ => return median,
            }
        }
    }
    median
}

/// The points that are nearest to a place, `n` or, if several are as far as the last of them, a few more.
fn nearest(points: &[(f64, f64)], x: f64, n: usize) -> &[(f64, f64)] {
    let distance = |place: usize| (points[place].0 - x).abs();
    let mut start = 0;
    while start + n < points.len() && distance(start + n) < distance(start) {
        start += 1;
    }
    let farthest = distance(start).max(distance(start + n - 1));
    let end = points.partition_point(|point| point.0 - x <= farthest);
    let start = points.partition_point(|point| x - point.0 > farthest);
    &points[start..end]
}

/// Fits a parabola to points, those at the place of the vertex with most and the farthest with no weight.
///
/// By polynomials that are orthogonal under the weights, after Forsythe (Journal of SIAM 5, 74, 1957); the degree is as
/// high as the different places of the points determine.
fn fit(points: &[(f64, f64)], x: f64) -> Vertex {
    let distances = || points.iter().map(|point| (point.0 - x).abs());
    let reach = distances().fold(0.0, f64::max);
    if distances().all(|distance| distance == reach) {
        let value = points.iter().map(|point| point.1).sum::<f64>() / points.len() as f64;
        return Vertex { x, value, slope: 0.0 };
    }
    // Distance in units of the reach, value, weight.
    let weighted = |&(px, y): &(f64, f64)| {
        let distance = (px - x) / reach;
        (distance, y, (1.0 - distance.abs().powi(3)).powi(3))
    };
    let points: Vec<(f64, f64, f64)> = points.iter().map(weighted).collect();
    let sum = |term: &dyn Fn(f64, f64) -> f64| points.iter().map(|&(d, y, weight)| weight * term(d, y)).sum::<f64>();

    let norm_0 = sum(&|_, _| 1.0);
    let mean = sum(&|_, y| y) / norm_0;
    let a = sum(&|d, _| d) / norm_0;
    let linear = |d: f64| d - a;
    let norm_1 = sum(&|d, _| linear(d).powi(2));
    if norm_1 <= f64::EPSILON * norm_0 {
        return Vertex { x, value: mean, slope: 0.0 };
    }
    let c_1 = sum(&|d, y| y * linear(d)) / norm_1;
    let (value, slope) = (mean - c_1 * a, c_1);

    let (b, c) = (sum(&|d, _| d * linear(d).powi(2)) / norm_1, norm_1 / norm_0);
    let quadratic = |d: f64| (d - b) * linear(d) - c;
    let norm_2 = sum(&|d, _| quadratic(d).powi(2));
    if norm_2 <= f64::EPSILON * norm_1 {
        return Vertex { x, value, slope: slope / reach };
    }
    let c_2 = sum(&|d, y| y * quadratic(d)) / norm_2;
    Vertex { x, value: value + c_2 * quadratic(0.0), slope: (slope - c_2 * (a + b)) / reach }
}

/// The cubic between the two vertices around a place.
fn interpolate(vertices: &[Vertex], x: f64) -> f64 {
    let right = vertices.partition_point(|vertex| vertex.x < x).clamp(1, vertices.len() - 1);
    let (left, right) = (vertices[right - 1], vertices[right]);
    let width = right.x - left.x;
    let (t, u) = ((x - left.x) / width, (right.x - x) / width);
    let values = left.value * u * u * (1.0 + 2.0 * t) + right.value * t * t * (1.0 + 2.0 * u);
    values + width * t * u * (left.slope * u - right.slope * t)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parabola_is_its_own_curve() {
        let x: Vec<f64> = (0..40).map(|i| f64::from(i * 37 % 40) / 7.0).collect();
        let y: Vec<f64> = x.iter().map(|x| 1.0 - x + 0.5 * x * x).collect();
        for (curve, y) in loess(&x, &y).iter().zip(&y) {
            assert!((curve - y).abs() < 1e-12, "{curve}, expected {y}");
        }
    }

    #[test]
    fn points_at_one_or_two_places_have_their_means() {
        let y: Vec<f64> = (0..20).map(|i| f64::from(i % 4)).collect();
        assert!(loess(&[1.0; 20], &y).iter().all(|curve| (curve - 1.5).abs() < 1e-12));
        let x: Vec<f64> = (0..20).map(|i| f64::from(i % 2)).collect();
        for (curve, x) in loess(&x, &y).iter().zip(&x) {
            assert!((curve - (1.0 + x)).abs() < 0.05, "{curve} at {x}");
        }
    }
}
