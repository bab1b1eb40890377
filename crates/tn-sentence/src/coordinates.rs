//! Whether a model is told where cells are.

use crate::{Tag, cell_sentence::parser::find_tag};

/// Whether the text that a model reads says where its cells are.
///
/// Hiding coordinates is an ablation: it shows what a model owes to them. The tag `<pos>` stays, because it begins a cell.
/// Such text is for models alone. It is no cell sentence, since a cell has a position, and it does not parse; tables keep the
/// whole text, from which neighbors are found, ordered and scored as ever, and coordinates are hidden from what is
/// learned and from prompts last of all. The order of the neighbors still tells who is near, unless it is
/// [`PromptOrder::Random`](crate::PromptOrder::Random).
///
/// # Examples
///
/// ```
/// use tn_sentence::Coordinates;
///
/// let prompt = "<pos> X: 1, Y: 1 <meta> class: A <cs> GFAP </cs> <pos> X: 0, Y: 0";
/// assert_eq!(Coordinates::Hidden.apply(prompt.to_owned()), "<pos> <meta> class: A <cs> GFAP </cs> <pos>");
/// assert_eq!(Coordinates::Shown.apply(prompt.to_owned()), prompt);
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Coordinates {
    /// It does, in whole micrometers.
    #[default]
    Shown,
    /// It does not.
    Hidden,
}

impl Coordinates {
    /// Returns spatial sentences or a prompt as a model reads it: where coordinates are hidden, without what stands between
    /// `<pos>` and the next tag. Text without `<pos>` stays as it is.
    pub fn apply(self, text: String) -> String {
        match self {
            Self::Shown => text,
            Self::Hidden => hide(&text),
        }
    }
}

fn hide(text: &str) -> String {
    let mut hidden = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = find_tag(rest, Tag::Position) {
        let (before, after) = rest.split_at(start + Tag::Position.as_str().len());
        hidden.push_str(before);
        rest = after.find('<').map_or("", |next| &after[next..]);
        if !rest.is_empty() {
            hidden.push(' ');
        }
    }
    hidden.push_str(rest);
    hidden
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(Coordinates::Hidden.apply(text.to_owned()), expected);
    }

    #[test]
    fn only_what_follows_the_tag_is_hidden() {
        check(
            "section: X: 1 <pos> X: -1.5, Y: 2 <meta> x: 3 <cs> X: A </cs> <POS> X: 1, Y: 1 <cs> B </cs>",
            "section: X: 1 <pos> <meta> x: 3 <cs> X: A </cs> <POS> <cs> B </cs>",
        );
    }

    #[test]
    fn a_prompt_ends_in_the_tag() {
        check("<pos> X: 1, Y: 2 <cs>", "<pos> <cs>");
        check("<pos> X: 1, Y: 2", "<pos>");
        check("<pos>", "<pos>");
    }

    #[test]
    fn other_text_stays() {
        for text in ["", "GFAP AQP4", "é <cs> A </cs>", "<po"] {
            check(text, text);
        }
    }

    #[test]
    fn hiding_twice_changes_nothing() {
        let once = Coordinates::Hidden.apply("<pos> X: 1, Y: 2 <cs> A </cs> <pos> X: 1".to_owned());
        check(&once, &once);
    }
}
