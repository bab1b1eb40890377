//! Figures as pixels.

use std::sync::Arc;

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::fontdb::{Database, Source};
use resvg::usvg::{Options, Tree};

use super::PlotError;

/// The most pixels of a picture: 400 MB while it is drawn.
const MOST_PIXELS: f64 = 1e8;

/// Draws a figure of this module (or another SVG document) as a PNG picture, `scale` times as large as the figure: 1 for 900
/// pixels of width, 2 for print or for a screen of high density.
///
/// Text is set in Noto Sans, which is part of this crate with the feature `png`, so that a picture needs nothing that is installed
/// and is the same to the byte everywhere. Noto Sans has Latin, Greek and Cyrillic letters; what it lacks, such as Chinese, is
/// drawn as an empty box: keep such figures as SVG.
///
/// # Errors
///
/// Returns [`PlotError::NotSvg`] for a text that is no SVG document, and [`PlotError::PictureSize`] for a scale that is not a
/// positive number or gives a picture without a pixel or with more than 100 million.
///
/// ```
/// use tn_eval::plot::{FoldChangePoint, fold_change_scatter, png};
///
/// let gene = FoldChangePoint { gene: "SPP1".to_string(), planted: 1.5, predicted: 0.9 };
/// let svg = fold_change_scatter("Microglia near plaques", "planted", "predicted", &[gene])?;
/// let picture = png(&svg, 2.0)?;
/// assert_eq!(&picture[1..4], b"PNG");
/// # Ok::<(), tn_eval::plot::PlotError>(())
/// ```
pub fn png(svg: &str, scale: f64) -> Result<Vec<u8>, PlotError> {
    let tree = Tree::from_str(svg, &options()).map_err(|error| PlotError::NotSvg { reason: error.to_string() })?;
    let (width, height) = (f64::from(tree.size().width()), f64::from(tree.size().height()));
    let impossible = || PlotError::PictureSize { width, height, scale };
    let (columns, rows) = ((width * scale).round(), (height * scale).round());
    // A NaN is in no range.
    if !(columns >= 1.0 && rows >= 1.0 && columns * rows <= MOST_PIXELS) {
        return Err(impossible());
    }
    let mut pixmap = Pixmap::new(columns as u32, rows as u32).ok_or_else(impossible)?;
    let transform = Transform::from_scale((columns / width) as f32, (rows / height) as f32);
    resvg::render(&tree, transform, &mut pixmap.as_mut());
    pixmap.encode_png().map_err(|_| impossible())
}

/// The embedded font, for whatever family a document asks for.
fn options() -> Options<'static> {
    let mut fonts = Database::new();
    for font in [ttf_noto_sans::REGULAR, ttf_noto_sans::BOLD] {
        fonts.load_font_source(Source::Binary(Arc::new(font)));
    }
    fonts.set_sans_serif_family("Noto Sans");
    Options { font_family: "Noto Sans".to_owned(), fontdb: Arc::new(fonts), ..Options::default() }
}

#[cfg(test)]
mod tests {
    use super::super::{FoldChangePoint, fold_change_scatter};
    use super::*;

    fn figure(title: &str) -> String {
        let gene = FoldChangePoint { gene: "SPP1".to_owned(), planted: 1.0, predicted: 0.5 };
        fold_change_scatter(title, "planted", "predicted", &[gene]).unwrap()
    }

    fn pixels(picture: &[u8]) -> Pixmap {
        Pixmap::decode_png(picture).unwrap()
    }

    #[test]
    fn a_picture_has_the_size_of_the_figure_times_the_scale() {
        let svg = figure("Title");
        for (scale, width) in [(1.0, 900), (2.0, 1800), (0.5, 450)] {
            assert_eq!(pixels(&png(&svg, scale).unwrap()).width(), width);
        }
        assert_eq!(png(&svg, 1.0), png(&svg, 1.0));
    }

    #[test]
    fn text_is_drawn() {
        let dark_in_title = |title: &str| {
            let picture = pixels(&png(&figure(title), 1.0).unwrap());
            let is_dark = |x, y| picture.pixel(x, y).is_some_and(|pixel| pixel.red() < 0x60);
            (10..40).flat_map(|y| (0..900).map(move |x| (x, y))).filter(|&(x, y)| is_dark(x, y)).count()
        };
        let (short, long) = (dark_in_title("IIII"), dark_in_title("IIIIIIII"));
        assert!(short > 40, "{short}");
        assert!((1.9..2.1).contains(&(long as f64 / short as f64)), "{short} {long}");
    }

    #[test]
    fn bad_input_is_an_error_with_its_values() {
        assert!(matches!(png("<p>", 1.0), Err(PlotError::NotSvg { .. })));
        let svg = figure("Title");
        for scale in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-6, 1e6] {
            assert!(matches!(png(&svg, scale), Err(PlotError::PictureSize { width: 900.0, .. })), "{scale}");
        }
        let error = PlotError::PictureSize { width: 900.0, height: 500.0, scale: 0.0 };
        assert_eq!(error.to_string(), "a picture of 900 x 500 pixels at scale 0 cannot be drawn");
    }
}
