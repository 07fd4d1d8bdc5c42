//! The order in which a conversation is shown, computed from what its entries name as parents.
//!
//! Clocks lie, so an author's time only decides between entries that know nothing of each other.
//! An entry's *lamport* is one more than the largest among its parents that are here. It is never
//! carried, so nobody can claim one.
//!
//! A parent is named by the first eight bytes of its id, and that means every entry of the
//! conversation that begins so. Whoever grinds ids can thus make entries name each other in a
//! circle; those of a circle count as one and share a lamport. Time and space grow with entries
//! plus names, however hostile they are.

use std::collections::BTreeMap;

use crate::content::Prefix;
use crate::entry::EntryId;

/// An entry of a conversation, as far as its order goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its id.
    pub id: EntryId,
    /// The author's claim of when.
    pub time: u64,
    /// What it names as coming before.
    pub parents: Vec<Prefix>,
}

/// The lamport of each of the entries of one conversation, in the order given.
pub fn lamports(nodes: &[Node]) -> Vec<u64> {
    let mut graph = Graph::new(nodes);
    for root in 0..graph.vertices.len() {
        graph.walk(root);
    }
    graph.vertices.iter().take(nodes.len()).map(|vertex| vertex.lamport.unwrap_or(1)).collect()
}

/// The order of display: lamport and index into `nodes`, by (lamport, time, id).
pub fn display_order(nodes: &[Node]) -> Vec<(u64, usize)> {
    let mut order: Vec<_> = lamports(nodes).into_iter().zip(nodes).enumerate().collect();
    order.sort_by_key(|(_, (lamport, node))| (*lamport, node.time, node.id));
    order.into_iter().map(|(index, (lamport, _))| (lamport, index)).collect()
}

/// Entries and, behind them, the prefixes by which they are named.
///
/// An entry points to the prefixes of its parents, a prefix to all entries that begin so: with the
/// prefixes between, ten thousand entries that share one cost twenty thousand edges and not a
/// hundred million. Circles are found as strongly connected components, with Tarjan's algorithm on
/// a stack of its own: it closes a component only after all that lies before it.
struct Graph {
    vertices: Vec<Vertex>,
    entries: usize,
    entered: usize,
    /// Vertices entered whose component is not closed.
    open: Vec<usize>,
}

#[derive(Default)]
struct Vertex {
    before: Vec<usize>,
    /// When it was entered.
    entered: Option<usize>,
    /// The earliest entered vertex of an open component that is known to be reached from here.
    reaches: usize,
    /// Known when its component is closed. Of a prefix it is the largest among its entries.
    lamport: Option<u64>,
}

#[expect(clippy::indexing_slicing, reason = "every index is made here, from the vertices' own")]
impl Graph {
    fn new(nodes: &[Node]) -> Self {
        let mut named: BTreeMap<Prefix, usize> = BTreeMap::new();
        let mut vertices: Vec<Vertex> = Vec::new();
        vertices.resize_with(nodes.len(), Vertex::default);
        for (entry, node) in nodes.iter().enumerate() {
            let prefix = *named.entry(node.id.prefix()).or_insert(vertices.len());
            if prefix == vertices.len() {
                vertices.push(Vertex::default());
            }
            vertices[prefix].before.push(entry);
        }
        for (vertex, node) in vertices.iter_mut().zip(nodes) {
            vertex.before.extend(node.parents.iter().filter_map(|parent| named.get(parent)));
        }
        Self { vertices, entries: nodes.len(), entered: 0, open: Vec::new() }
    }

    /// Settles all that lies before `root`, and `root`.
    fn walk(&mut self, root: usize) {
        if self.vertices[root].entered.is_some() {
            return;
        }
        self.enter(root);
        let mut path = vec![(root, 0)];
        while let Some((at, next)) = path.last_mut() {
            let at = *at;
            let Some(&before) = self.vertices[at].before.get(*next) else {
                let reaches = self.leave(at);
                path.pop();
                if let Some(&(after, _)) = path.last() {
                    let known = &mut self.vertices[after].reaches;
                    *known = reaches.min(*known);
                }
                continue;
            };
            *next += 1;
            match self.vertices[before] {
                Vertex { entered: None, .. } => {
                    self.enter(before);
                    path.push((before, 0));
                }
                Vertex { entered: Some(entered), lamport: None, .. } => {
                    let known = &mut self.vertices[at].reaches;
                    *known = entered.min(*known);
                }
                Vertex { lamport: Some(_), .. } => {}
            }
        }
    }

    fn enter(&mut self, at: usize) {
        self.vertices[at].entered = Some(self.entered);
        self.vertices[at].reaches = self.entered;
        self.entered += 1;
        self.open.push(at);
    }

    /// Closes the component of `at` if it was the first entered of it; tells what `at` reaches.
    fn leave(&mut self, at: usize) -> usize {
        let reaches = self.vertices[at].reaches;
        if self.vertices[at].entered != Some(reaches) {
            return reaches;
        }
        let first = self.open.iter().rposition(|open| *open == at).unwrap_or(0);
        let component = self.open.split_off(first);
        let before = component.iter().flat_map(|member| &self.vertices[*member].before);
        let largest = before.filter_map(|before| self.vertices[*before].lamport).max().unwrap_or(0);
        let has_entry = component.iter().any(|member| *member < self.entries);
        let lamport = largest + u64::from(has_entry);
        for member in component {
            self.vertices[member].lamport = Some(lamport);
        }
        usize::MAX
    }
}

#[cfg(test)]
mod tests {
    use arbtest::arbitrary::{Result as Arbitrary, Unstructured};

    use super::*;

    fn id(prefix: u64, rest: u8) -> EntryId {
        let mut bytes = [rest; 32];
        bytes[..8].copy_from_slice(&prefix.to_be_bytes());
        EntryId::from_bytes(bytes)
    }

    fn node(prefix: u64, rest: u8, time: u64, parents: &[u64]) -> Node {
        let parents = parents.iter().map(|parent| parent.to_be_bytes()).collect();
        Node { id: id(prefix, rest), time, parents }
    }

    fn shown(nodes: &[Node]) -> Vec<(u64, EntryId)> {
        display_order(nodes).into_iter().map(|(lamport, at)| (lamport, nodes[at].id)).collect()
    }

    /// Nodes without a circle: each names only earlier ones, or ones that are not here.
    fn sound_graph(u: &mut Unstructured<'_>) -> Arbitrary<Vec<Node>> {
        let mut nodes = Vec::new();
        for place in 1..=u.int_in_range(1..=30)? {
            let mut parents = Vec::new();
            for _ in 0..u.int_in_range(0..=4)? {
                let parent = u.int_in_range(0..=place - 1)?;
                parents.push(if u.ratio(1, 8)? { 1_000 + parent } else { parent });
            }
            nodes.push(node(place, 0, u.int_in_range(0..=9)?, &parents));
        }
        Ok(nodes)
    }

    /// Nodes that name whatever they like, with few prefixes so that many collide.
    fn hostile_graph(u: &mut Unstructured<'_>) -> Arbitrary<Vec<Node>> {
        let mut nodes = Vec::new();
        for rest in 0..u.int_in_range(0..=30)? {
            let mut parents = Vec::new();
            for _ in 0..u.int_in_range(0..=4)? {
                parents.push(u.int_in_range(0..=9)?);
            }
            nodes.push(node(u.int_in_range(0..=9)?, rest, u.int_in_range(0..=3)?, &parents));
        }
        Ok(nodes)
    }

    fn shuffle(u: &mut Unstructured<'_>, nodes: &mut [Node]) -> Arbitrary<()> {
        for at in (1..nodes.len()).rev() {
            nodes.swap(at, u.int_in_range(0..=at)?);
        }
        Ok(())
    }

    #[test]
    fn the_order_of_the_input_does_not_matter() {
        arbtest::arbtest(|u| {
            let mut nodes = if u.arbitrary()? { sound_graph(u)? } else { hostile_graph(u)? };
            let expected = shown(&nodes);
            shuffle(u, &mut nodes)?;
            assert_eq!(shown(&nodes), expected);
            Ok(())
        })
        .size_min(200);
    }

    #[test]
    fn a_lamport_is_one_more_than_the_largest_of_the_parents_here() {
        arbtest::arbtest(|u| {
            let mut nodes = sound_graph(u)?;
            shuffle(u, &mut nodes)?;
            let lamports = lamports(&nodes);
            for (node, lamport) in nodes.iter().zip(&lamports) {
                let parents = nodes.iter().zip(&lamports);
                let parents =
                    parents.filter(|(other, _)| node.parents.contains(&other.id.prefix()));
                let largest = parents.map(|(_, lamport)| *lamport).max().unwrap_or(0);
                assert_eq!(*lamport, largest + 1);
            }
            Ok(())
        })
        .size_min(200);
    }

    #[test]
    fn a_child_is_after_its_parents_unless_they_are_in_one_circle() {
        arbtest::arbtest(|u| {
            let nodes = hostile_graph(u)?;
            let lamports = lamports(&nodes);
            // Who lies before whom, by brute force.
            let names = |child: &Node, parent: &Node| child.parents.contains(&parent.id.prefix());
            let mut before: Vec<Vec<bool>> =
                nodes.iter().map(|a| nodes.iter().map(|b| names(a, b)).collect()).collect();
            for via in 0..nodes.len() {
                for from in 0..nodes.len() {
                    for to in 0..nodes.len() {
                        before[from][to] |= before[from][via] && before[via][to];
                    }
                }
            }
            for child in 0..nodes.len() {
                for parent in 0..nodes.len() {
                    match (before[child][parent], before[parent][child]) {
                        (true, true) => assert_eq!(lamports[child], lamports[parent]),
                        (true, false) => assert!(lamports[child] > lamports[parent]),
                        (false, _) => {}
                    }
                }
            }
            Ok(())
        })
        .size_min(200);
    }

    #[test]
    fn time_decides_only_between_entries_that_know_nothing_of_each_other() {
        let first = node(1, 0, 900, &[]);
        let answer = node(2, 0, 5, &[1]);
        let late = node(3, 0, 800, &[1]);
        let same_time = node(4, 0, 5, &[1]);
        let nodes = [late.clone(), same_time.clone(), answer.clone(), first.clone()];
        let expected = [(1, first.id), (2, answer.id), (2, same_time.id), (2, late.id)];
        assert_eq!(shown(&nodes), expected);
        assert_eq!(display_order(&[]), []);
    }

    #[test]
    fn a_prefix_means_every_entry_that_begins_so() {
        let nodes =
            [node(1, 0, 0, &[9]), node(1, 1, 0, &[2]), node(2, 0, 0, &[]), node(3, 0, 0, &[1])];
        assert_eq!(lamports(&nodes), [1, 2, 1, 3]);
    }

    #[test]
    fn an_entry_that_names_itself_is_after_the_others_that_begin_so() {
        assert_eq!(lamports(&[node(1, 0, 0, &[1])]), [1]);
        let nodes = [node(1, 0, 0, &[1]), node(1, 1, 0, &[]), node(2, 0, 0, &[1])];
        assert_eq!(lamports(&nodes), [2, 1, 3]);
    }

    #[test]
    fn ten_thousand_hostile_entries_are_ordered_at_once() {
        const MANY: u64 = 10_000;
        let scatter = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % MANY;
        let line = |n: u64| node(n, 0, 0, &[n.wrapping_sub(1)]);
        let one_prefix = |n: u64| node(7, (n % 251) as u8, n, &[7, 7, 7, 7]);
        let ring = |n: u64| node(n, 0, 0, &[(n + 1) % MANY, (n + 2) % MANY, n, 0]);
        let chaos = |n: u64| {
            let parents = [scatter(n), scatter(n + 1), scatter(n + 2), scatter(n + 3)];
            node(n, 0, scatter(n), &parents)
        };
        let graphs: [&dyn Fn(u64) -> Node; 4] = [&line, &one_prefix, &ring, &chaos];
        for (which, graph) in graphs.into_iter().enumerate() {
            let mut nodes: Vec<Node> = (0..MANY).map(graph).collect();
            let expected = lamports(&nodes);
            nodes.reverse();
            let reversed: Vec<u64> = lamports(&nodes).into_iter().rev().collect();
            assert_eq!(reversed, expected, "graph {which}");
            assert_eq!(display_order(&nodes).len(), nodes.len());
        }
        assert_eq!(lamports(&(0..MANY).map(line).collect::<Vec<_>>()).last(), Some(&MANY));
    }
}
