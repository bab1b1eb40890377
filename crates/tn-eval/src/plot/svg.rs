//! A small writer of SVG documents.

use std::fmt::Write;

use super::palette::Rgb;

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
}

impl TextStyle {
    pub(super) fn new(size: f64, anchor: Anchor) -> Self {
        Self { size, anchor, color: INK, weight: 400 }
    }

    pub(super) fn color(self, color: Rgb) -> Self {
        Self { color, ..self }
    }

    pub(super) fn bold(self) -> Self {
        Self { weight: 600, ..self }
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
        self.push(format_args!(
            "<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" stroke=\"{}\" stroke-width=\"{}\"/>",
            number(from.0),
            number(from.1),
            number(to.0),
            number(to.1),
            hex(color),
            number(width)
        ));
    }

    pub(super) fn rect(&mut self, x: f64, y: f64, width: f64, height: f64, fill: Rgb) {
        self.push(format_args!(
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{}\"/>",
            number(x),
            number(y),
            number(width.max(0.0)),
            number(height.max(0.0)),
            hex(fill)
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

    /// Draws circles of one radius, color and opacity. A label becomes a tooltip.
    pub(super) fn circles<'a>(&mut self, circles: impl Iterator<Item = (f64, f64, Option<&'a str>)>, radius: f64, fill: Rgb, opacity: f64) {
        let opacity = if opacity < 1.0 { format!(" fill-opacity=\"{}\"", number(opacity)) } else { String::new() };
        self.push(format_args!("<g fill=\"{}\"{opacity}>", hex(fill)));
        let radius = number(radius);
        for (x, y, label) in circles {
            let (x, y) = (number(x), number(y));
            match label {
                Some(label) => {
                    self.push(format_args!("<circle cx=\"{x}\" cy=\"{y}\" r=\"{radius}\"><title>{}</title></circle>", escape(label)))
                }
                None => self.push(format_args!("<circle cx=\"{x}\" cy=\"{y}\" r=\"{radius}\"/>")),
            }
        }
        self.push(format_args!("</g>"));
    }

    pub(super) fn text(&mut self, x: f64, y: f64, text: &str, style: TextStyle) {
        self.push(format_args!("<text x=\"{}\" y=\"{}\"{}>{}</text>", number(x), number(y), attributes(style), escape(text)));
    }

    /// Draws a text that reads upwards, as the title of a vertical axis does.
    pub(super) fn text_upwards(&mut self, x: f64, y: f64, text: &str, style: TextStyle) {
        let (x, y) = (number(x), number(y));
        self.push(format_args!("<text transform=\"translate({x} {y}) rotate(-90)\"{}>{}</text>", attributes(style), escape(text)));
    }

    pub(super) fn finish(mut self) -> String {
        self.push(format_args!("</svg>"));
        self.body
    }

    fn push(&mut self, element: std::fmt::Arguments<'_>) {
        writeln!(self.body, "{element}").expect("writing to a string cannot fail");
    }
}

/// An upper estimate of the width of a text in a sans-serif font.
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    text.chars()
        .map(|c| match c {
            'i' | 'j' | 'l' | 't' | 'f' | 'r' | 'I' | '.' | ',' | ':' | '\'' | ' ' | '(' | ')' => 0.36,
            'm' | 'w' | 'M' | 'W' | '@' => 0.95,
            c if c.is_uppercase() => 0.74,
            _ => 0.58,
        })
        .sum::<f64>()
        * size
}

fn attributes(style: TextStyle) -> String {
    let anchor = match style.anchor {
        Anchor::Start => "",
        Anchor::Middle => " text-anchor=\"middle\"",
        Anchor::End => " text-anchor=\"end\"",
    };
    let weight = if style.weight == 400 { String::new() } else { format!(" font-weight=\"{}\"", style.weight) };
    format!(" font-size=\"{}\" fill=\"{}\"{anchor}{weight}", number(style.size), hex(style.color))
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
    text.chars()
        // XML 1.0 has no place for the other control characters, escaped or not.
        .filter(|c| !c.is_control() || matches!(c, '\t' | '\n' | '\r'))
        .fold(String::with_capacity(text.len()), |mut escaped, c| {
            match c {
                '&' => escaped.push_str("&amp;"),
                '<' => escaped.push_str("&lt;"),
                '>' => escaped.push_str("&gt;"),
                '"' => escaped.push_str("&quot;"),
                c => escaped.push(c),
            }
            escaped
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped() {
        assert_eq!(escape("<cs> A & \"B\"\u{7}"), "&lt;cs&gt; A &amp; &quot;B&quot;");
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(number(12.0), "12");
        assert_eq!(number(1.2345), "1.23");
        assert_eq!(number(-0.001), "0");
    }
}
