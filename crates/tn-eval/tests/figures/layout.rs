//! Reads a figure and tells whether its texts can be read: none leaves the canvas, no two overlap.
//!
//! Texts are measured by the real widths of characters in three fonts (`data-fixtures/golden/text_width.json`), of which the
//! widest counts. What the figure looks like is for eyes; this keeps it from being illegible for some input that nobody looked at.

use std::collections::HashMap;
use std::sync::LazyLock;

use roxmltree::{Document, Node};
use serde_json::Value;

/// Rounding of what is written, and of what widths are summed from.
const TOLERANCE: f64 = 0.6;
/// What a character takes that is not in the golden file, in units of the font size.
const OTHER_CHARACTER: f64 = 1.0;
/// From the baseline up and down, in units of the font size.
const ASCENT: f64 = 0.76;
const DESCENT: f64 = 0.22;

static WIDTHS: LazyLock<[HashMap<char, f64>; 2]> = LazyLock::new(|| {
    let golden: Value =
        serde_json::from_str(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../data-fixtures/golden/text_width.json"))).unwrap();
    ["regular", "bold"].map(|weight| {
        let cases = golden["cases"][weight].as_object().unwrap();
        let widest = |widths: &Value| widths.as_array().unwrap().iter().filter_map(Value::as_f64).fold(0.0, f64::max) / 1000.0;
        cases.iter().map(|(character, widths)| (character.chars().next().unwrap(), widest(widths))).collect()
    })
});

/// A rectangle in pixels and what it is the rectangle of.
#[derive(Debug)]
pub(crate) struct Item {
    what: String,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Item {
    fn overlaps(&self, other: &Self) -> bool {
        self.left + TOLERANCE < other.right
            && other.left + TOLERANCE < self.right
            && self.top + TOLERANCE < other.bottom
            && other.top + TOLERANCE < self.bottom
    }

    fn is_within(&self, canvas: &Self) -> bool {
        self.left >= canvas.left - TOLERANCE
            && self.right <= canvas.right + TOLERANCE
            && self.top >= canvas.top - TOLERANCE
            && self.bottom <= canvas.bottom + TOLERANCE
    }

    fn shifted(self, y: f64) -> Self {
        Self { top: self.top + y, bottom: self.bottom + y, ..self }
    }
}

impl std::fmt::Display for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { what, left, right, top, bottom } = self;
        write!(f, "{what:?} ({left:.1} to {right:.1}, {top:.1} to {bottom:.1})")
    }
}

/// What a figure consists of.
#[derive(Debug)]
pub(crate) struct Layout {
    canvas: Item,
    pub(crate) texts: Vec<Item>,
    shapes: Vec<Item>,
}

impl Layout {
    /// Reads a figure, which must be well-formed XML; nested figures lie where the outer one puts them.
    pub(crate) fn read(svg: &str) -> Self {
        let document = Document::parse(svg).unwrap_or_else(|error| panic!("{error}: {svg}"));
        let root = document.root_element();
        assert_eq!(root.tag_name().name(), "svg");
        let canvas = rectangle("canvas", (0.0, 0.0), (number(root, "width"), number(root, "height")));
        let (mut texts, mut shapes) = (Vec::new(), Vec::new());
        for node in root.descendants().filter(Node::is_element) {
            let y: f64 = node.ancestors().skip(1).filter(|node| node.has_tag_name((SVG, "svg"))).map(|svg| optional(svg, "y")).sum();
            match node.tag_name().name() {
                "text" => texts.push(text(node).shifted(y)),
                "circle" | "rect" | "line" | "polygon" => shapes.push(shape(node).shifted(y)),
                _ => (),
            }
        }
        Self { canvas, texts, shapes }
    }

    /// Fails if a text or a shape leaves the canvas, or if two texts overlap.
    #[track_caller]
    pub(crate) fn check(&self, what: &str) {
        for item in self.texts.iter().chain(&self.shapes) {
            assert!(item.is_within(&self.canvas), "{what}: {item} leaves the {}", self.canvas);
        }
        let mut by_top: Vec<&Item> = self.texts.iter().collect();
        by_top.sort_by(|a, b| a.top.total_cmp(&b.top));
        for (index, text) in by_top.iter().enumerate() {
            for other in by_top[index + 1..].iter().take_while(|other| other.top < text.bottom) {
                assert!(!text.overlaps(other), "{what}: {text} overlaps {other}");
            }
        }
    }
}

const SVG: &str = "http://www.w3.org/2000/svg";

fn rectangle(what: impl Into<String>, (x, y): (f64, f64), (width, height): (f64, f64)) -> Item {
    Item { what: what.into(), left: x, right: x + width, top: y, bottom: y + height }
}

fn shape(node: Node<'_, '_>) -> Item {
    let name = node.tag_name().name();
    let n = |attribute| number(node, attribute);
    match name {
        "circle" => rectangle(name, (n("cx") - n("r"), n("cy") - n("r")), (2.0 * n("r"), 2.0 * n("r"))),
        "rect" => rectangle(name, (optional(node, "x"), optional(node, "y")), (n("width"), n("height"))),
        "line" => {
            let (x, y) = (n("x1").min(n("x2")), n("y1").min(n("y2")));
            rectangle(name, (x, y), ((n("x1") - n("x2")).abs(), (n("y1") - n("y2")).abs()))
        }
        _ => {
            let corners: Vec<f64> =
                node.attribute("points").unwrap().split([' ', ',']).map(|part| part.parse().expect("a number")).collect();
            let range = |start: usize| {
                let values = corners.iter().skip(start).step_by(2);
                values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &value| (low.min(value), high.max(value)))
            };
            let ((left, right), (top, bottom)) = (range(0), range(1));
            Item { what: name.to_owned(), left, right, top, bottom }
        }
    }
}

/// The rectangle of a text: with its anchor, and turned where the text reads upwards.
fn text(node: Node<'_, '_>) -> Item {
    let size = number(node, "font-size");
    let bold = node.attribute("font-weight").is_some_and(|weight| weight == "600");
    let mut content = String::new();
    let mut width = 0.0;
    for part in node.descendants().filter(Node::is_text) {
        let parent = part.parent_element().unwrap();
        if parent.has_tag_name((SVG, "title")) {
            continue;
        }
        let size = parent.attribute("font-size").map_or(size, |size| size.parse().unwrap());
        let characters = part.text().unwrap_or_default();
        width += characters.chars().map(|c| character_width(c, bold)).sum::<f64>() * size;
        content.push_str(characters);
    }
    assert!(!content.is_empty(), "an empty text");
    let start = match node.attribute("text-anchor") {
        Some("middle") => -width / 2.0,
        Some("end") => -width,
        _ => 0.0,
    };
    match node.attribute("transform") {
        None => {
            let (x, y) = (number(node, "x"), number(node, "y"));
            rectangle(content, (x + start, y - ASCENT * size), (width, (ASCENT + DESCENT) * size))
        }
        Some(transform) => {
            let inner = transform.strip_prefix("translate(").and_then(|rest| rest.strip_suffix(") rotate(-90)")).unwrap();
            let (x, y) = inner.split_once(' ').map(|(x, y)| (x.parse::<f64>().unwrap(), y.parse::<f64>().unwrap())).unwrap();
            rectangle(content, (x - ASCENT * size, y - start - width), ((ASCENT + DESCENT) * size, width))
        }
    }
}

fn character_width(c: char, bold: bool) -> f64 {
    WIDTHS[usize::from(bold)].get(&c).copied().unwrap_or(if ('\u{300}'..='\u{36F}').contains(&c) { 0.0 } else { OTHER_CHARACTER })
}

#[track_caller]
fn number(node: Node<'_, '_>, attribute: &str) -> f64 {
    let text = node.attribute(attribute).unwrap_or_else(|| panic!("{:?} has no {attribute}", node.tag_name()));
    let number: f64 = text.parse().unwrap_or_else(|_| panic!("{attribute} is {text:?}"));
    assert!(number.is_finite(), "{attribute} is {text:?}");
    number
}

fn optional(node: Node<'_, '_>, attribute: &str) -> f64 {
    if node.has_attribute(attribute) { number(node, attribute) } else { 0.0 }
}
