//! Names of groups along a horizontal axis.

use super::svg::{Anchor, Svg, TextStyle};
use super::text::{text_width, wrapped};

const LONGEST_UPWARDS: f64 = 170.0;
/// In bands as wide as this, two lines say enough of any name.
const WIDE_BAND: f64 = 120.0;

/// Names below equally wide bands: in one line or, smaller, in one or two, or reading upwards where the bands are too narrow.
#[derive(Debug)]
pub(super) struct GroupNames<'a> {
    names: Vec<&'a str>,
    band: f64,
    setting: Setting,
}

#[derive(Debug)]
enum Setting {
    Lines {
        size: f64,
        lines: Vec<Vec<String>>,
    },
    /// Every so many names, where not even these fit beside each other.
    Upwards {
        size: f64,
        every: usize,
    },
}

impl<'a> GroupNames<'a> {
    pub(super) fn new(names: Vec<&'a str>, band: f64) -> Self {
        let set = |size: f64, most: usize| -> Vec<Vec<String>> {
            names.iter().map(|name| wrapped(name, line_style(size), band - 8.0, most)).collect()
        };
        let sizes = [(13.0, 1), (12.0, 1), (11.0, 1), (13.0, 2), (11.0, 2)];
        let whole = sizes.into_iter().find(|&(size, most)| names.iter().zip(set(size, most)).all(|(name, lines)| is_whole(name, &lines)));
        let setting = match whole {
            Some((size, most)) => Setting::Lines { size, lines: set(size, most) },
            None if band >= WIDE_BAND => Setting::Lines { size: 13.0, lines: set(13.0, 2) },
            None => {
                let size = (band / 1.2).clamp(8.0, 12.0);
                Setting::Upwards { size, every: (size * 1.2 / band).ceil().max(1.0) as usize }
            }
        };
        Self { names, band, setting }
    }

    pub(super) fn height(&self) -> f64 {
        match &self.setting {
            Setting::Lines { lines, .. } => 10.0 + 16.0 * lines.iter().map(Vec::len).max().unwrap_or(0) as f64,
            Setting::Upwards { size, .. } => {
                let style = TextStyle::new(*size, Anchor::End);
                14.0 + self.names.iter().map(|name| text_width(name, style).min(LONGEST_UPWARDS)).fold(0.0, f64::max)
            }
        }
    }

    /// Draws the names below `top`, the first band beginning at `left`.
    pub(super) fn draw(&self, svg: &mut Svg, left: f64, top: f64) {
        let middle = |index: usize| left + (index as f64 + 0.5) * self.band;
        match &self.setting {
            Setting::Lines { size, lines } => {
                for (index, lines) in lines.iter().enumerate() {
                    for (row, line) in lines.iter().enumerate() {
                        svg.text(middle(index), top + 20.0 + 16.0 * row as f64, line, line_style(*size));
                    }
                }
            }
            Setting::Upwards { size, every } => {
                let style = TextStyle::new(*size, Anchor::End);
                for (index, name) in self.names.iter().enumerate().step_by(*every) {
                    svg.text_upwards(middle(index) + size * 0.36, top + 8.0, name, style, LONGEST_UPWARDS);
                }
            }
        }
    }
}

/// Whether lines say all of a name.
fn is_whole(name: &str, lines: &[String]) -> bool {
    let without_blanks = |text: &str| text.split_whitespace().collect::<String>();
    without_blanks(name) == without_blanks(&lines.concat())
}

fn line_style(size: f64) -> TextStyle {
    TextStyle::new(size, Anchor::Middle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_turn_where_the_bands_are_narrow() {
        let is_upwards = |name: &str, band| matches!(GroupNames::new(vec![name], band).setting, Setting::Upwards { .. });
        assert!(!is_upwards("overlap@10", 200.0));
        assert!(!is_upwards("Oligodendrocyte precursor", 130.0));
        assert!(is_upwards("Oligodendrocyte", 40.0));
        assert!(!is_upwards("A", 40.0));
    }

    #[test]
    fn hundreds_of_names_are_thinned_out() {
        let names = GroupNames::new(vec!["Oligodendrocyte"; 400], 2.0);
        assert!(matches!(names.setting, Setting::Upwards { every: 5, .. }), "{:?}", names.setting);
    }
}
