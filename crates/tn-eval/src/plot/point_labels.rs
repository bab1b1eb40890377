//! Names beside points, where there is room.

use super::palette::Rgb;
use super::svg::{Anchor, MUTED, Svg, TextStyle};
use super::text::text_width;

const SIZE: f64 = 12.0;
const HEIGHT: f64 = SIZE + 2.0;

/// A rectangle in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bounds {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
}

impl Bounds {
    pub(super) fn around((x, y): (f64, f64), width: f64, height: f64) -> Self {
        Self { left: x - width / 2.0, right: x + width / 2.0, top: y - height / 2.0, bottom: y + height / 2.0 }
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.left < other.right && other.left < self.right && self.top < other.bottom && other.top < self.bottom
    }

    fn is_within(&self, other: &Self) -> bool {
        self.left > other.left && self.right < other.right && self.top > other.top && self.bottom < other.bottom
    }

    fn covers(&self, (x, y): (f64, f64), margin: f64) -> bool {
        x > self.left - margin && x < self.right + margin && y > self.top - margin && y < self.bottom + margin
    }

    fn nearest_to(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (x.clamp(self.left, self.right), y.clamp(self.top, self.bottom))
    }

    fn is_crossed_by(&self, (from, to): Line) -> bool {
        let corners = [(self.left, self.top), (self.right, self.top), (self.right, self.bottom), (self.left, self.bottom)];
        self.covers(from, 0.0) || self.covers(to, 0.0) || (0..4).any(|index| cross((from, to), (corners[index], corners[(index + 1) % 4])))
    }
}

type Line = ((f64, f64), (f64, f64));

/// Whether two lines have a point inside both.
fn cross((a, b): Line, (c, d): Line) -> bool {
    let side = |(px, py): (f64, f64), (qx, qy): (f64, f64), (rx, ry): (f64, f64)| (qx - px) * (ry - py) - (qy - py) * (rx - px);
    side(a, b, c) * side(a, b, d) < 0.0 && side(c, d, a) * side(c, d, b) < 0.0
}

/// How far a line passes a place.
fn distance((from, to): Line, (x, y): (f64, f64)) -> f64 {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let along = ((x - from.0) * dx + (y - from.1) * dy) / (dx * dx + dy * dy).max(f64::MIN_POSITIVE);
    let along = along.clamp(0.0, 1.0);
    (x - from.0 - along * dx).hypot(y - from.1 - along * dy)
}

#[derive(Clone, Debug)]
struct Placed {
    text: String,
    bounds: Bounds,
    leader: Option<Line>,
    style: TextStyle,
}

/// A point that no label may cover: its place and the radius of its mark.
pub(super) type Obstacle = ((f64, f64), f64);

/// Labels of points that cover neither a point nor each other and stay in an area.
///
/// Each label takes the first free place: beside its point, or a little away from it and joined to it by a line.
#[derive(Debug)]
pub(super) struct PointLabels<'a> {
    area: Bounds,
    points: &'a [Obstacle],
    placed: Vec<Placed>,
}

impl<'a> PointLabels<'a> {
    pub(super) fn new(area: Bounds, points: &'a [Obstacle]) -> Self {
        Self { area, points, placed: Vec::new() }
    }

    /// Places the label of a point if there is room for it.
    pub(super) fn place(&mut self, point: usize, text: &str) {
        let width = text_width(text, style()) + 4.0;
        let ((x, y), radius) = self.points[point];
        for away in [1.0, 10.0, 22.0, 36.0] {
            for (right, down) in DIRECTIONS {
                // On a diagonal the corner of the label is as far from the point as the middle of an edge is elsewhere.
                let gap = if right != 0.0 && down != 0.0 { 0.7 * (radius + away) } else { radius + away };
                let bounds = Bounds::around((x + right * (gap + width / 2.0), y + down * (gap + HEIGHT / 2.0)), width, HEIGHT);
                let leader = (away > 1.0).then(|| ((x, y), bounds.nearest_to((x, y))));
                if self.is_free(&bounds, leader) {
                    self.placed.push(Placed { text: text.to_owned(), bounds, leader, style: style() });
                    return;
                }
            }
        }
    }

    /// Places a text around the first of some centers that has room for it.
    pub(super) fn place_at_any(&mut self, text: &str, color: Rgb, centers: impl Iterator<Item = (f64, f64)>) {
        let width = text_width(text, style()) + 4.0;
        let free = centers.map(|center| Bounds::around(center, width, HEIGHT)).find(|bounds| self.is_free(bounds, None));
        let style = style().color(color);
        self.placed.extend(free.map(|bounds| Placed { text: text.to_owned(), bounds, leader: None, style }));
    }

    fn is_free(&self, bounds: &Bounds, leader: Option<Line>) -> bool {
        let is_clear_of = |other: &Placed| {
            !other.bounds.overlaps(bounds)
                && !other.leader.is_some_and(|line| bounds.is_crossed_by(line))
                && !leader.is_some_and(|line| other.bounds.is_crossed_by(line) || other.leader.is_some_and(|other| cross(line, other)))
        };
        let is_clear_of_point = |&(place, radius): &Obstacle| {
            // A line may touch other points as little as a label may, but it begins at its own.
            let is_passed = leader.is_some_and(|line| line.0 != place && distance(line, place) < radius);
            !is_passed && !bounds.covers(place, radius - 1.0)
        };
        bounds.is_within(&self.area) && self.placed.iter().all(is_clear_of) && self.points.iter().all(is_clear_of_point)
    }

    pub(super) fn draw(&self, svg: &mut Svg) {
        for (from, to) in self.placed.iter().filter_map(|label| label.leader) {
            svg.line(from, to, MUTED, 0.7);
        }
        for Placed { text, bounds, style, .. } in &self.placed {
            svg.text(bounds.left + 2.0, bounds.bottom - 3.0, text, *style);
        }
    }
}

/// Right, left, above, below, then the diagonals, as steps to the right and down.
const DIRECTIONS: [(f64, f64); 8] = [(1.0, 0.0), (-1.0, 0.0), (0.0, -1.0), (0.0, 1.0), (1.0, -1.0), (-1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)];

fn style() -> TextStyle {
    TextStyle::new(SIZE, Anchor::Start).halo()
}

#[cfg(test)]
mod tests {
    use super::*;

    const AREA: Bounds = Bounds { left: 0.0, right: 400.0, top: 0.0, bottom: 300.0 };

    #[test]
    fn labels_cover_neither_points_nor_each_other() {
        let points: Vec<Obstacle> = (0..60)
            .map(|index| {
                let (angle, radius) = (f64::from(index) * 2.4, f64::from(index % 7) * 20.0);
                ((200.0 + radius * angle.cos(), 150.0 + radius * angle.sin()), 4.0)
            })
            .collect();
        let mut labels = PointLabels::new(AREA, &points);
        for index in 0..points.len() {
            labels.place(index, &format!("GENE{index}"));
        }
        assert!(labels.placed.len() >= 12, "{}", labels.placed.len());
        assert!(labels.placed.iter().any(|label| label.leader.is_some()));
        for (rank, label) in labels.placed.iter().enumerate() {
            assert!(label.bounds.is_within(&AREA));
            assert!(!points.iter().any(|&(place, _)| label.bounds.covers(place, 3.0)));
            assert!(!labels.placed[..rank].iter().any(|other| other.bounds.overlaps(&label.bounds)));
            let lines: Vec<Line> = labels.placed.iter().filter(|other| other.text != label.text).filter_map(|other| other.leader).collect();
            assert!(!lines.iter().any(|&line| label.bounds.is_crossed_by(line)));
        }
    }

    #[test]
    fn a_lone_label_stands_right_of_its_point() {
        let points = [((100.0, 100.0), 4.0)];
        let mut labels = PointLabels::new(AREA, &points);
        labels.place(0, "GFAP");
        assert!(labels.placed[0].bounds.left > 104.0 && labels.placed[0].leader.is_none());
        labels.place(0, "A name that is wider than the whole area, so that there is no room for it at all");
        assert_eq!(labels.placed.len(), 1);
        let taken = labels.placed[0].bounds.nearest_to((200.0, 100.0));
        labels.place_at_any("20 µm", MUTED, [taken, (300.0, 200.0)].into_iter());
        assert!(labels.placed.len() == 2 && labels.placed[1].bounds.left > 250.0);
        labels.place_at_any("20 µm", MUTED, std::iter::once(taken));
        assert_eq!(labels.placed.len(), 2);
    }

    #[test]
    fn lines_that_touch_do_not_cross() {
        assert_eq!(distance(((0.0, 0.0), (10.0, 0.0)), (4.0, 3.0)), 3.0);
        assert_eq!(distance(((0.0, 0.0), (10.0, 0.0)), (13.0, 4.0)), 5.0);
        assert!(cross(((0.0, 0.0), (2.0, 2.0)), ((0.0, 2.0), (2.0, 0.0))));
        assert!(!cross(((0.0, 0.0), (2.0, 2.0)), ((0.0, 0.0), (2.0, 0.0))));
        assert!(AREA.is_crossed_by(((-1.0, 5.0), (500.0, 6.0))) && !AREA.is_crossed_by(((-1.0, -1.0), (500.0, -1.0))));
    }
}
