//! Token sequences as a tree.

use std::collections::VecDeque;
use std::ops::Range;

/// Distinct token sequences, the *items*, as a tree in arrays.
///
/// Nodes are numbered level by level, so that the children of a node are neighbors, by ascending token. Node 0 is the root.
#[derive(Clone, Debug)]
pub(crate) struct Trie {
    /// The token that leads to each node; 0 for the root.
    tokens: Vec<u32>,
    parents: Vec<u32>,
    children: Vec<Range<u32>>,
    items: Vec<Option<u32>>,
    /// Items at or below each node.
    counts: Vec<u32>,
    /// The node at which each item ends.
    ends: Vec<u32>,
    /// Among the nodes with children, the number of each.
    inner: Vec<u32>,
    inner_nodes: usize,
    depth: usize,
}

impl Trie {
    pub(crate) const ROOT: usize = 0;

    /// Builds the tree of some sequences; `None` when one is empty or two are equal.
    pub(crate) fn new(paths: &[Vec<u32>]) -> Option<Self> {
        let mut order: Vec<usize> = (0..paths.len()).collect();
        order.sort_by(|&a, &b| paths[a].cmp(&paths[b]));
        if paths.iter().any(Vec::is_empty) || order.windows(2).any(|pair| paths[pair[0]] == paths[pair[1]]) {
            return None;
        }
        let mut trie = Self {
            tokens: vec![0],
            parents: vec![0],
            children: Vec::new(),
            items: Vec::new(),
            counts: Vec::new(),
            ends: vec![0; paths.len()],
            inner: Vec::new(),
            inner_nodes: 0,
            depth: paths.iter().map(Vec::len).max().unwrap_or(0),
        };
        let mut queue = VecDeque::from([(0, order.as_slice())]);
        while let Some((depth, items)) = queue.pop_front() {
            trie.add_node(depth, items, paths, &mut queue);
        }
        Some(trie)
    }

    /// Fills in the next node, which lies `depth` tokens below the root and leads to the given items, and queues its children.
    fn add_node<'o>(&mut self, depth: usize, items: &'o [usize], paths: &[Vec<u32>], queue: &mut VecDeque<(usize, &'o [usize])>) {
        let node = self.items.len() as u32;
        self.counts.push(items.len() as u32);
        let (ending, going_on) = items.split_at(items.iter().take_while(|&&item| paths[item].len() == depth).count());
        self.items.push(ending.first().map(|&item| item as u32));
        ending.iter().for_each(|&item| self.ends[item] = node);
        let first = self.tokens.len() as u32;
        for group in going_on.chunk_by(|&a, &b| paths[a][depth] == paths[b][depth]) {
            self.tokens.push(paths[group[0]][depth]);
            self.parents.push(node);
            queue.push_back((depth + 1, group));
        }
        self.children.push(first..self.tokens.len() as u32);
        self.inner.push(self.inner_nodes as u32);
        self.inner_nodes += usize::from(!going_on.is_empty());
    }

    /// Returns the children of a node.
    pub(crate) fn children(&self, node: usize) -> Range<usize> {
        self.children[node].start as usize..self.children[node].end as usize
    }

    /// Returns the tokens that lead to some neighboring nodes.
    pub(crate) fn tokens(&self, nodes: Range<usize>) -> &[u32] {
        &self.tokens[nodes]
    }

    /// Returns the token that leads to a node.
    pub(crate) fn token(&self, node: usize) -> u32 {
        self.tokens[node]
    }

    /// Returns the child that a token leads to.
    pub(crate) fn child(&self, node: usize, token: u32) -> Option<usize> {
        let children = self.children(node);
        self.tokens[children.clone()].binary_search(&token).ok().map(|at| children.start + at)
    }

    /// Returns the item that ends at a node.
    pub(crate) fn item(&self, node: usize) -> Option<usize> {
        self.items[node].map(|item| item as usize)
    }

    /// Returns the node at which an item ends.
    pub(crate) fn end(&self, item: usize) -> usize {
        self.ends[item] as usize
    }

    /// Returns the number of items at or below a node.
    pub(crate) fn count(&self, node: usize) -> u32 {
        self.counts[node]
    }

    /// Returns the nodes from a node up to the root, both included.
    pub(crate) fn ancestors(&self, node: usize) -> impl Iterator<Item = usize> + '_ {
        std::iter::successors(Some(node), |&node| (node != Self::ROOT).then(|| self.parents[node] as usize))
    }

    /// Returns the tokens from the root to a node.
    pub(crate) fn path(&self, node: usize) -> Vec<u32> {
        let mut path: Vec<u32> = self.ancestors(node).filter(|&node| node != Self::ROOT).map(|node| self.tokens[node]).collect();
        path.reverse();
        path
    }

    /// Returns the length of the longest sequence.
    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// Returns the number of a node among those with children.
    pub(crate) fn inner(&self, node: usize) -> Option<usize> {
        (!self.children[node].is_empty()).then(|| self.inner[node] as usize)
    }

    /// Returns how many nodes have children.
    pub(crate) fn inner_nodes(&self) -> usize {
        self.inner_nodes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths() -> Vec<Vec<u32>> {
        [&[5, 1][..], &[3], &[5], &[5, 2, 7], &[9, 9]].map(<[u32]>::to_vec).to_vec()
    }

    #[test]
    fn every_item_is_found_at_the_end_of_its_tokens() {
        let trie = Trie::new(&paths()).unwrap();
        for (item, path) in paths().iter().enumerate() {
            let end = path.iter().try_fold(Trie::ROOT, |node, &token| trie.child(node, token)).unwrap();
            assert_eq!((trie.item(end), trie.end(item)), (Some(item), end));
            assert_eq!(&trie.path(end), path);
        }
        assert_eq!(trie.child(Trie::ROOT, 4), None);
    }

    #[test]
    fn nodes_count_what_is_below_them() {
        let trie = Trie::new(&paths()).unwrap();
        assert_eq!(trie.count(Trie::ROOT), 5);
        let five = trie.child(Trie::ROOT, 5).unwrap();
        assert_eq!((trie.count(five), trie.item(five)), (3, Some(2)));
        assert_eq!(trie.tokens(trie.children(Trie::ROOT)), [3, 5, 9]);
        assert_eq!(trie.tokens(trie.children(five)), [1, 2]);
        // The root, 5, 9 and 5 2.
        assert_eq!(trie.inner_nodes(), 4);
        assert_eq!(trie.inner(five), Some(1));
        assert_eq!(trie.inner(trie.end(1)), None);
    }

    #[test]
    fn equal_or_empty_sequences_are_refused() {
        assert!(Trie::new(&[vec![1], vec![1]]).is_none());
        assert!(Trie::new(&[vec![]]).is_none());
        assert_eq!(Trie::new(&[]).unwrap().count(Trie::ROOT), 0);
    }
}
