//! Columns of texts and of lists of texts, each in one piece of memory.

/// Texts, some of which may be missing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Texts {
    /// All texts, one after another.
    pub(super) text: String,
    /// Where each ends.
    pub(super) ends: Vec<usize>,
    pub(super) is_missing: Vec<bool>,
}

impl Texts {
    pub(crate) fn push(&mut self, value: Option<&str>) {
        self.text.push_str(value.unwrap_or_default());
        self.ends.push(self.text.len());
        self.is_missing.push(value.is_none());
    }

    /// Adds a text that is appended to those before it, and returns its length.
    pub(super) fn push_with(&mut self, append: impl FnOnce(&mut String)) -> usize {
        let start = self.text.len();
        append(&mut self.text);
        self.ends.push(self.text.len());
        self.is_missing.push(false);
        self.text.len().saturating_sub(start)
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns a text, or nothing if it is missing.
    pub(crate) fn get(&self, index: usize) -> Option<&str> {
        (!self.is_missing[index]).then(|| {
            let start = if index == 0 { 0 } else { self.ends[index - 1] };
            &self.text[start..self.ends[index]]
        })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Option<&str>> {
        (0..self.len()).map(|index| self.get(index))
    }
}

impl<'t> FromIterator<Option<&'t str>> for Texts {
    fn from_iter<I: IntoIterator<Item = Option<&'t str>>>(values: I) -> Self {
        let mut texts = Self::default();
        values.into_iter().for_each(|value| texts.push(value));
        texts
    }
}

/// Lists of texts, some of which may be missing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct TextLists {
    /// The items of all lists, one after another.
    pub(super) items: Texts,
    /// Where the items of each list end.
    pub(super) ends: Vec<usize>,
    pub(super) is_missing: Vec<bool>,
}

impl TextLists {
    pub(super) fn push<'t>(&mut self, list: Option<impl IntoIterator<Item = &'t str>>) {
        self.is_missing.push(list.is_none());
        list.into_iter().flatten().for_each(|item| self.items.push(Some(item)));
        self.ends.push(self.items.len());
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns the items of a list, or nothing if it is missing. A missing item is empty.
    pub(super) fn get(&self, index: usize) -> Option<impl Iterator<Item = &str>> {
        (!self.is_missing[index]).then(|| {
            let start = if index == 0 { 0 } else { self.ends[index - 1] };
            (start..self.ends[index]).map(|item| self.items.get(item).unwrap_or_default())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back_one_by_one() {
        let mut texts: Texts = [Some("GFAP"), None, Some("")].into_iter().collect();
        assert_eq!(texts.push_with(|text| text.push_str("AQP4 é")), 7);
        assert_eq!(texts.iter().collect::<Vec<_>>(), [Some("GFAP"), None, Some(""), Some("AQP4 é")]);
    }

    #[test]
    fn lists_come_back_one_by_one() {
        let mut lists = TextLists::default();
        lists.push(Some(["a", "b"]));
        lists.push(None::<[&str; 0]>);
        lists.push(Some([]));
        lists.push(Some(["c"]));
        let list = |index| lists.get(index).map(Iterator::collect::<Vec<_>>);
        assert_eq!([list(0), list(1), list(2), list(3)], [Some(vec!["a", "b"]), None, Some(vec![]), Some(vec!["c"])]);
    }
}
