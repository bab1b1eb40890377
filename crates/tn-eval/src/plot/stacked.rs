//! Several figures in one picture.

use super::{PlotError, WIDTH};

/// Puts figures of this module below each other in one SVG document.
///
/// No figures give an empty document.
///
/// # Errors
///
/// Returns [`PlotError::NotAFigure`] for a text that does not begin as the figures of this module do.
///
/// # Examples
///
/// ```
/// use tn_eval::plot::{FoldChangePoint, fold_change_scatter, stacked};
///
/// let points = [("GFAP", 1.0), ("AQP4", -1.0)].map(|(gene, change)| FoldChangePoint {
///     gene: gene.to_owned(),
///     planted: change,
///     predicted: change / 2.0,
/// });
/// let figure = fold_change_scatter("Astro near Microglia", "planted", "predicted", &points)?;
/// let picture = stacked(&[&figure, &figure])?;
/// assert_eq!(picture.matches("<title>Astro near Microglia</title>").count(), 2);
/// # Ok::<(), tn_eval::plot::PlotError>(())
/// ```
pub fn stacked(figures: &[&str]) -> Result<String, PlotError> {
    let (mut height, mut body) = (0.0, String::new());
    for (index, figure) in figures.iter().enumerate() {
        let inner = figure.strip_prefix("<svg ").ok_or(PlotError::NotAFigure { index })?;
        let own = attribute(inner, "height").ok_or(PlotError::NotAFigure { index })?;
        body.push_str(&format!("<svg y=\"{height}\" {inner}\n"));
        height += own;
    }
    let size = format!("width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\"");
    Ok(format!("<svg xmlns=\"http://www.w3.org/2000/svg\" {size}>\n{body}</svg>\n"))
}

/// Returns a number among the attributes of the first tag.
fn attribute(tag: &str, name: &str) -> Option<f64> {
    let tag = tag.split_once('>')?.0;
    let value = tag.split_once(&format!("{name}=\""))?.1;
    value.split_once('"')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heights_add_up() {
        let figure = |height: f64| format!("<svg xmlns=\"x\" width=\"900\" height=\"{height}\" role=\"img\"><g/></svg>");
        let picture = stacked(&[&figure(100.5), &figure(50.0)]).unwrap();
        assert!(picture.contains("height=\"150.5\" viewBox=\"0 0 900 150.5\""), "{picture}");
        assert!(picture.contains("<svg y=\"0\" xmlns") && picture.contains("<svg y=\"100.5\" xmlns"));
    }

    #[test]
    fn other_text_is_refused() {
        let refused = |text: &str| stacked(&[text]).unwrap_err();
        assert_eq!(refused("<p>"), PlotError::NotAFigure { index: 0 });
        assert_eq!(refused("<svg width=\"900\"></svg>"), PlotError::NotAFigure { index: 0 });
        assert!(stacked(&[]).unwrap().contains("height=\"0\""));
    }
}
