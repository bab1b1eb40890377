//! A small writer of SVG documents.

use std::fmt::Write;

use super::mark::Mark;
use super::palette::Rgb;
use super::text::{SUBSCRIPT, fitted, subscript_digit};

/// Color of text and axes.
pub(super) const INK: Rgb = [0x22, 0x22, 0x22];
/// Color of secondary text.
pub(super) const MUTED: Rgb = [0x59, 0x59, 0x59];
/// Color of grid lines and frames.
pub(super) const GRID: Rgb = [0xDD, 0xDD, 0xDD];

/// Where the anchor of a text lies in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// How a text is set.
#[derive(Clone, Copy, Debug)]
pub(super) struct TextStyle {
    pub(super) size: f64,
    pub(super) anchor: Anchor,
    pub(super) color: Rgb,
    pub(super) weight: u16,
    /// Width of a white outline, which keeps a text legible above lines.
    pub(super) halo: f64,
}

impl TextStyle {
    pub(super) fn new(size: f64, anchor: Anchor) -> Self {
        Self { size, anchor, color: INK, weight: 400, halo: 0.0 }
    }

    pub(super) fn color(self, color: Rgb) -> Self {
        Self { color, ..self }
    }

    pub(super) fn bold(self) -> Self {
        Self { weight: 600, ..self }
    }

    pub(super) fn halo(self) -> Self {
        Self { halo: 3.0, ..self }
    }
}

/// A document under construction. Coordinates are pixels, y downwards; text is anchored at its baseline.
#[derive(Debug)]
pub(super) struct Svg {
    body: String,
}

impl Svg {
    /// Starts a document with a white ground. `description` is what a screen reader says.
    pub(super) fn new(width: f64, height: f64, description: &str) -> Self {
        let (width, height) = (number(width), number(height));
        let body = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
             role=\"img\" font-family=\"Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif\">\n\
             <title>{}</title>\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#FFFFFF\"/>\n",
            escape(description)
        );
        Self { body }
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), color: Rgb, width: f64) {
        self.write_line(from, to, color, &format!("stroke-width=\"{}\"", number(width)));
    }

    pub(super) fn dashed_line(&mut self, from: (f64, f64), to: (f64, f64), color: Rgb) {
        self.write_line(from, to, color, "stroke-dasharray=\"5 4\"");
    }

    fn write_line(&mut self, from: (f64, f64), to: (f64, f64), color: Rgb, how: &str) {
        self.push(format_args!(
            "<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" stroke=\"{}\" {how}/>",
            number(from.0),
            number(from.1),
            number(to.0),
            number(to.1),
            hex(color)
        ));
    }

    pub(super) fn rect(&mut self, x: f64, y: f64, width: f64, height: f64, fill: Rgb) {
        self.rect_with_tooltip((x, y), (width, height), fill, "");
    }

    pub(super) fn rect_with_tooltip(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), fill: Rgb, tooltip: &str) {
        let end = if tooltip.is_empty() { "/>".to_owned() } else { format!("><title>{}</title></rect>", escape(tooltip)) };
        self.push(format_args!(
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{}\"{end}",
            number(x),
            number(y),
            number(width.max(0.0)),
            number(height.max(0.0)),
            hex(fill)
        ));
    }

    /// Draws a rectangle without a filling, whose inside has a tooltip all the same.
    pub(super) fn outline(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), color: Rgb, thickness: f64, tooltip: &str) {
        self.push(format_args!(
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"none\" pointer-events=\"all\" stroke=\"{}\" \
             stroke-width=\"{}\"><title>{}</title></rect>",
            number(x),
            number(y),
            number(width),
            number(height),
            hex(color),
            number(thickness),
            escape(tooltip)
        ));
    }

    pub(super) fn frame(&mut self, x: f64, y: f64, width: f64, height: f64) {
        self.push(format_args!(
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"none\" stroke=\"{}\"/>",
            number(x),
            number(y),
            number(width),
            number(height),
            hex(GRID)
        ));
    }

    /// Draws marks of one shape, radius, color and opacity. A label becomes a tooltip.
    pub(super) fn marks<'a>(
        &mut self,
        mark: Mark,
        places: impl Iterator<Item = (f64, f64, Option<&'a str>)>,
        radius: f64,
        fill: Rgb,
        opacity: f64,
    ) {
        let opacity = if opacity < 1.0 { format!(" fill-opacity=\"{}\"", number(opacity)) } else { String::new() };
        self.push(format_args!("<g fill=\"{}\"{opacity}>", hex(fill)));
        for (x, y, label) in places {
            let (name, attributes) = match mark.corners() {
                None => ("circle", format!("cx=\"{}\" cy=\"{}\" r=\"{}\"", number(x), number(y), number(radius))),
                Some(corners) => {
                    let corners: Vec<String> =
                        corners.iter().map(|(dx, dy)| format!("{},{}", number(x + dx * radius), number(y + dy * radius))).collect();
                    ("polygon", format!("points=\"{}\"", corners.join(" ")))
                }
            };
            match label {
                Some(label) => self.push(format_args!("<{name} {attributes}><title>{}</title></{name}>", escape(label))),
                None => self.push(format_args!("<{name} {attributes}/>")),
            }
        }
        self.push(format_args!("</g>"));
    }

    /// Draws a circle without a filling, dashed if `dash` is more than zero.
    pub(super) fn ring(&mut self, (x, y): (f64, f64), radius: f64, color: Rgb, width: f64, dash: f64) {
        let dash = if dash > 0.0 { format!(" stroke-dasharray=\"{}\"", number(dash)) } else { String::new() };
        self.push(format_args!(
            "<circle cx=\"{}\" cy=\"{}\" r=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{}\"{dash}/>",
            number(x),
            number(y),
            number(radius),
            hex(color),
            number(width)
        ));
    }

    pub(super) fn text(&mut self, x: f64, y: f64, text: &str, style: TextStyle) {
        self.write_text(&format!("x=\"{}\" y=\"{}\"", number(x), number(y)), text, text, style);
    }

    /// Draws a text that is cut to a width; the whole of a cut text becomes its tooltip.
    pub(super) fn text_within(&mut self, x: f64, y: f64, text: &str, style: TextStyle, width: f64) {
        let shown = fitted(text, style, width);
        self.write_text(&format!("x=\"{}\" y=\"{}\"", number(x), number(y)), &shown, text, style);
    }

    /// Draws a text that reads upwards, as the title of a vertical axis does, cut to a height.
    pub(super) fn text_upwards(&mut self, x: f64, y: f64, text: &str, style: TextStyle, height: f64) {
        let shown = fitted(text, style, height);
        self.write_text(&format!("transform=\"translate({} {}) rotate(-90)\"", number(x), number(y)), &shown, text, style);
    }

    fn write_text(&mut self, place: &str, shown: &str, whole: &str, style: TextStyle) {
        if shown.is_empty() {
            return;
        }
        let tooltip = if shown == whole { String::new() } else { format!("<title>{}</title>", escape(whole)) };
        self.push(format_args!("<text {place}{}>{tooltip}{}</text>", attributes(style), with_subscripts(shown, style)));
    }

    pub(super) fn finish(mut self) -> String {
        self.push(format_args!("</svg>"));
        self.body
    }

    fn push(&mut self, element: std::fmt::Arguments<'_>) {
        writeln!(self.body, "{element}").expect("writing to a string cannot fail");
    }
}

fn attributes(style: TextStyle) -> String {
    let anchor = match style.anchor {
        Anchor::Start => "",
        Anchor::Middle => " text-anchor=\"middle\"",
        Anchor::End => " text-anchor=\"end\"",
    };
    let weight = if style.weight == 400 { String::new() } else { format!(" font-weight=\"{}\"", style.weight) };
    let halo = if style.halo > 0.0 {
        format!(" stroke=\"#FFFFFF\" stroke-width=\"{}\" stroke-linejoin=\"round\" paint-order=\"stroke\"", number(style.halo))
    } else {
        String::new()
    };
    format!(" font-size=\"{}\" fill=\"{}\"{anchor}{weight}{halo}", number(style.size), hex(style.color))
}

/// Escapes a text. Subscript digits, which many fonts lack, are written as small lowered ones.
fn with_subscripts(text: &str, style: TextStyle) -> String {
    let mut written = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|c| subscript_digit(c).is_some()) {
        let digits: String = rest[start..].chars().map_while(subscript_digit).collect();
        let (size, drop) = (number(style.size * SUBSCRIPT), number(style.size * 0.2));
        written.push_str(&escape(&rest[..start]));
        written.push_str(&format!("<tspan font-size=\"{size}\" dy=\"{drop}\">{digits}</tspan>"));
        rest = &rest[start + digits.len() * '₀'.len_utf8()..];
        if !rest.is_empty() {
            let end = rest.find(|c| subscript_digit(c).is_some()).unwrap_or(rest.len());
            // Some viewers drop a blank at the beginning of a span.
            let after = rest[..end].trim_start();
            let blank = if after.len() < end { " " } else { "" };
            written.push_str(&format!("{blank}<tspan dy=\"-{drop}\">{}</tspan>", escape(after)));
            rest = &rest[end..];
        }
    }
    written.push_str(&escape(rest));
    written
}

/// A hundredth of a pixel is enough; `-0` and trailing zeros are not printed.
fn number(value: f64) -> String {
    let rounded = (value * 100.0).round() / 100.0 + 0.0;
    format!("{rounded}")
}

fn hex([r, g, b]: Rgb) -> String {
    format!("#{r:02X}{g:02X}{b:02X}")
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // What viewers do with tabs and line breaks, they do differently.
            '\t' | '\n' | '\r' => escaped.push(' '),
            // XML 1.0 has no place for the other control characters, escaped or not, nor for two that are no characters.
            '\u{FFFE}' | '\u{FFFF}' => (),
            c if c.is_control() => (),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped() {
        assert_eq!(escape("<cs> A & \"B\"\u{7}\u{FFFE}\n"), "&lt;cs&gt; A &amp; &quot;B&quot; ");
    }

    #[test]
    fn subscripts_are_lowered() {
        let style = TextStyle::new(10.0, Anchor::Start);
        assert_eq!(with_subscripts("a < b", style), "a &lt; b");
        assert_eq!(with_subscripts("log₁₀ p", style), "log<tspan font-size=\"7.2\" dy=\"2\">10</tspan> <tspan dy=\"-2\">p</tspan>");
        assert_eq!(with_subscripts("x₂", style), "x<tspan font-size=\"7.2\" dy=\"2\">2</tspan>");
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(number(12.0), "12");
        assert_eq!(number(1.2345), "1.23");
        assert_eq!(number(-0.001), "0");
    }
}
