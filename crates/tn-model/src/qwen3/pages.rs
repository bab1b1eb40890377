//! Who owns which page of the keys and values on a device.
//!
//! Keys and values of all texts lie in pages of [`PAGE`] tokens. A text is a table of pages; texts with the same beginning share its pages.
//! A page that several texts own is never changed: the first token that one of them adds to a page that is shared and not full goes into a
//! copy of it.

use crate::kernels::paged_attention::{PAGE, PageCopy};

/// There are not enough free pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{wanted} more pages of keys and values are needed, and {free} are free")]
pub struct OutOfPages {
    /// Pages that would have to be free.
    pub wanted: usize,
    /// Pages that are free.
    pub free: usize,
}

/// The owners of every page.
///
/// ```
/// use tn_model::qwen3::{PageTable, Pages};
///
/// let mut pages = Pages::new(4);
/// let mut prompt = PageTable::default();
/// pages.append(&mut prompt, 100)?;
/// let mut sample = pages.fork(&prompt);
/// assert_eq!(pages.free(), 2);
/// // The second page is not full and has two owners: the sample gets a copy.
/// assert!(pages.append(&mut sample, 1)?.is_some());
/// assert_eq!(sample.pages()[0], prompt.pages()[0]);
/// assert!(pages.append(&mut sample, 100).is_err());
/// # Ok::<(), tn_model::qwen3::OutOfPages>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Pages {
    /// Number of texts that have each page.
    owners: Vec<u32>,
    /// Pages without an owner; the last one is given away next.
    free: Vec<u32>,
}

/// The pages of one text, in order. It has to be given back with [`Pages::release`].
#[derive(Debug, Default, PartialEq, Eq)]
pub struct PageTable {
    pages: Vec<u32>,
    length: usize,
}

impl PageTable {
    /// Returns the pages; the last one may not be full.
    #[must_use]
    pub fn pages(&self) -> &[u32] {
        &self.pages
    }

    /// Returns the number of tokens.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }
}

impl Pages {
    /// Returns so many pages without owners.
    #[must_use]
    pub fn new(pages: usize) -> Self {
        let mut all = Self::default();
        all.grow(pages);
        all
    }

    /// Adds pages without owners.
    ///
    /// # Panics
    /// Panics when there would be 2^32 or more.
    pub fn grow(&mut self, pages: usize) {
        let first = self.owners.len();
        let end = u32::try_from(first + pages).expect("pages are numbered in 32 bits");
        self.owners.resize(first + pages, 0);
        self.free.extend((first as u32..end).rev());
    }

    /// Returns the number of all pages.
    #[must_use]
    pub fn count(&self) -> usize {
        self.owners.len()
    }

    /// Returns the number of pages without owners.
    #[must_use]
    pub fn free(&self) -> usize {
        self.free.len()
    }

    /// Makes room for further tokens of a text. Where its last page is not full and shared, the text gets a page of its own, to which that
    /// one has to be copied.
    ///
    /// # Errors
    /// Returns an error, and changes nothing, when there are not enough free pages.
    pub fn append(&mut self, table: &mut PageTable, tokens: usize) -> Result<Option<PageCopy>, OutOfPages> {
        let shared = table.pages.last().copied().filter(|&last| {
            let is_full = table.length.is_multiple_of(PAGE);
            tokens > 0 && !is_full && self.owners[last as usize] > 1
        });
        let length = table.length + tokens;
        let new = length.div_ceil(PAGE) - table.pages.len();
        let wanted = new + usize::from(shared.is_some());
        if wanted > self.free.len() {
            return Err(OutOfPages { wanted, free: self.free.len() });
        }
        let copy = shared.map(|from| {
            let to = self.take();
            table.pages.pop();
            table.pages.push(to);
            self.disown(from);
            PageCopy { from, to }
        });
        table.pages.extend((0..new).map(|_| self.take()));
        table.length = length;
        Ok(copy)
    }

    /// Returns another text of the same tokens, in the same pages.
    #[must_use]
    pub fn fork(&mut self, table: &PageTable) -> PageTable {
        table.pages.iter().for_each(|&page| self.owners[page as usize] += 1);
        PageTable { pages: table.pages.clone(), length: table.length }
    }

    /// Forgets a text; pages without another owner are free then.
    pub fn release(&mut self, table: PageTable) {
        table.pages.into_iter().for_each(|page| self.disown(page));
    }

    fn take(&mut self) -> u32 {
        let page = self.free.pop().expect("there are enough");
        self.owners[page as usize] = 1;
        page
    }

    fn disown(&mut self, page: u32) {
        let owners = &mut self.owners[page as usize];
        *owners -= 1;
        if *owners == 0 {
            self.free.push(page);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// What a text holds, token by token, and where the store would have written it.
    struct Text {
        table: PageTable,
        tokens: Vec<u64>,
    }

    /// Pages, their contents, and texts that use them.
    struct World {
        pages: Pages,
        contents: HashMap<(u32, usize), u64>,
        texts: Vec<Text>,
        next: u64,
    }

    impl World {
        fn new(pages: usize) -> Self {
            Self { pages: Pages::new(pages), contents: HashMap::new(), texts: Vec::new(), next: 0 }
        }

        fn append(&mut self, text: usize, tokens: usize) {
            let text = &mut self.texts[text];
            let before = (text.table.pages().to_vec(), text.table.length());
            match self.pages.append(&mut text.table, tokens) {
                Ok(copy) => {
                    if let Some(PageCopy { from, to }) = copy {
                        let moved: Vec<_> = (0..PAGE).filter_map(|at| Some((at, *self.contents.get(&(from, at))?))).collect();
                        self.contents.extend(moved.into_iter().map(|(at, token)| ((to, at), token)));
                    }
                    for position in before.1..before.1 + tokens {
                        self.next += 1;
                        text.tokens.push(self.next);
                        self.contents.insert((text.table.pages()[position / PAGE], position % PAGE), self.next);
                    }
                }
                Err(error) => {
                    assert!(error.wanted > error.free && error.free == self.pages.free());
                    assert_eq!(before, (text.table.pages().to_vec(), text.table.length()));
                }
            }
        }

        fn step(&mut self, rng: &mut ChaCha8Rng) {
            let some = |texts: &[Text], rng: &mut ChaCha8Rng| (!texts.is_empty()).then(|| rng.random_range(0..texts.len()));
            match (rng.random_range(0..10), some(&self.texts, rng)) {
                (0 | 1, _) | (_, None) => {
                    self.texts.push(Text { table: PageTable::default(), tokens: Vec::new() });
                    let (last, tokens) = (self.texts.len() - 1, rng.random_range(0..200));
                    self.append(last, tokens);
                }
                (2..=5, Some(text)) => {
                    let tokens = rng.random_range(0..70);
                    self.append(text, tokens);
                }
                (6 | 7, Some(text)) => {
                    let table = self.pages.fork(&self.texts[text].table);
                    let tokens = self.texts[text].tokens.clone();
                    self.texts.push(Text { table, tokens });
                }
                (_, Some(text)) => self.pages.release(self.texts.swap_remove(text).table),
            }
        }

        /// Every page has as many owners as texts have it, and is free exactly when it has none.
        fn check_owners(&self) {
            let mut owners = vec![0; self.pages.count()];
            self.texts.iter().flat_map(|text| text.table.pages()).for_each(|&page| owners[page as usize] += 1);
            assert_eq!(owners, self.pages.owners);
            let mut free = self.pages.free.clone();
            free.sort_unstable();
            let unowned: Vec<u32> = (0..).zip(&owners).filter(|&(_, &count)| count == 0).map(|(page, _)| page).collect();
            assert_eq!(free, unowned);
        }

        /// Every text reads what was written for it, whatever the others have added since.
        fn check_contents(&self) {
            for text in &self.texts {
                assert_eq!((text.table.length(), text.table.pages().len()), (text.tokens.len(), text.tokens.len().div_ceil(PAGE)));
                for (position, token) in text.tokens.iter().enumerate() {
                    assert_eq!(self.contents[&(text.table.pages()[position / PAGE], position % PAGE)], *token);
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]

        #[test]
        fn no_page_is_lost_or_owned_twice(seed: u64, pages in 1usize..300) {
            let (mut world, mut rng) = (World::new(pages), ChaCha8Rng::seed_from_u64(seed));
            for step in 0..100_000 {
                world.step(&mut rng);
                if step % 5_000 == 0 {
                    world.check_owners();
                    world.check_contents();
                }
                // Otherwise there are ever more texts, most of them empty.
                if world.texts.len() > 40 {
                    world.texts.drain(..20).for_each(|text| world.pages.release(text.table));
                }
            }
            world.check_owners();
            world.check_contents();
            world.texts.drain(..).for_each(|text| world.pages.release(text.table));
            prop_assert_eq!(world.pages.free(), pages);
        }
    }

    #[test]
    fn a_page_that_is_full_or_has_one_owner_is_not_copied() {
        let mut pages = Pages::new(3);
        let mut text = PageTable::default();
        assert_eq!(pages.append(&mut text, PAGE), Ok(None));
        let mut other = pages.fork(&text);
        assert_eq!(pages.append(&mut other, 1), Ok(None), "the shared page is full");
        assert_eq!(pages.append(&mut other, 1), Ok(None), "the second page is its own");
        assert_eq!(pages.append(&mut text, PAGE + 1), Err(OutOfPages { wanted: 2, free: 1 }));
        pages.grow(1);
        assert_eq!(pages.append(&mut text, PAGE + 1), Ok(None));
        assert_eq!((pages.free(), text.pages().len(), text.length()), (0, 3, 2 * PAGE + 1));
    }
}
