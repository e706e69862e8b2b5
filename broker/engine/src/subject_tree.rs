//! Who subscribes to a subject.
//!
//! Filters without wildcards are found by one look-up of the whole subject; the others stand in a trie of interned
//! tokens, which is walked once for each way that `*` can match. Both are flat: nodes, tokens and subscriptions are
//! numbered slots, and the hash tables hold only numbers.
//!
//! What is found, and in which order, follows from the inserts and removals alone and not from hashing: literal
//! filters first, then the trie depth first with the literal token before `*` before `>`; subscriptions of one filter in
//! the order in which they were inserted.

mod slab;

use std::hash::{BuildHasher, DefaultHasher, Hash};
use std::str::Split;

use hashbrown::HashTable;
use relevo_protocol::subject::{SUBJECT_TOKENS_MAX, SubjectFilter, SubjectRef};

use slab::{NOTHING, Slab};

/// The most subscriptions of one tree. Each has at most [`SUBJECT_TOKENS_MAX`] nodes, so 32 bits number all of them.
pub const SUBSCRIPTIONS_MAX: usize = 1 << 24;

/// Subscriptions by filter. `T` is what the caller wants to find for a subscription.
///
/// Takes about 110 bytes a subscription, 48 of them for the text: measured with a million filters of 34 bytes and a `T` of
/// 8, whether or not one in five has a wildcard. Memory of removed subscriptions is kept for later ones.
#[derive(Debug)]
pub struct SubjectTree<T> {
    hash: SeededHash,
    entries: Slab<Entry<T>>,
    literals: Slab<Literal>,
    literal_index: HashTable<u32>,
    tokens: Slab<Token>,
    token_index: HashTable<u32>,
    nodes: Slab<Node>,
    node_index: HashTable<u32>,
    generation: u32,
}

/// Names one subscription of a tree; never given twice in 2^32 inserts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SubscriptionKey {
    slot: u32,
    generation: u32,
}

/// The tree holds [`SUBSCRIPTIONS_MAX`] subscriptions; the answer to a client is "maximum subscriptions exceeded".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeFull;

impl std::error::Error for TreeFull {}

impl std::fmt::Display for TreeFull {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("maximum subscriptions exceeded")
    }
}

/// One subscription, in the list of its filter.
#[derive(Debug)]
struct Entry<T> {
    value: T,
    generation: u32,
    previous: u32,
    next: u32,
    home: Home,
}

/// Whose list a subscription is in.
#[derive(Clone, Copy, Debug)]
enum Home {
    Literal(u32),
    /// Filters that end at a node.
    Here(u32),
    /// Filters that end with `>` below a node.
    Rest(u32),
}

/// The subscriptions of one filter.
#[derive(Clone, Copy, Debug)]
struct List {
    first: u32,
    last: u32,
}

/// A filter without wildcards.
#[derive(Debug)]
struct Literal {
    text: Box<str>,
    list: List,
}

/// A token that nodes are named by.
#[derive(Debug)]
struct Token {
    text: Box<str>,
    nodes_count: u32,
}

/// A place in the trie.
#[derive(Debug)]
struct Node {
    parent: u32,
    /// The token that leads here from the parent; [`NOTHING`] for `*`.
    token: u32,
    /// The child for `*`.
    star: u32,
    children_count: u32,
    here: List,
    rest: List,
}

/// The node that every filter begins at.
const ROOT: u32 = 0;

impl<T> SubjectTree<T> {
    /// An empty tree. `seed` keeps clients from choosing subjects that collide: draw it at random at each start, or fix it
    /// to repeat a run. It decides how fast, never what is found.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut nodes = Slab::default();
        nodes.insert(Node::below(NOTHING, NOTHING));
        Self {
            hash: SeededHash(seed),
            entries: Slab::default(),
            literals: Slab::default(),
            literal_index: HashTable::new(),
            tokens: Slab::default(),
            token_index: HashTable::new(),
            nodes,
            node_index: HashTable::new(),
            generation: 0,
        }
    }

    /// Adds a subscription. Equal filters may be inserted any number of times; each is found.
    ///
    /// # Errors
    /// [`TreeFull`]; nothing was added then.
    pub fn insert(
        &mut self,
        filter: &SubjectFilter,
        value: T,
    ) -> Result<SubscriptionKey, TreeFull> {
        if self.entries.len() >= SUBSCRIPTIONS_MAX {
            return Err(TreeFull);
        }
        let home = self.home_of(filter);
        let previous = self.list(home).last;
        let generation = self.generation;
        self.generation = self.generation.wrapping_add(1);
        let slot = self.entries.insert(Entry {
            value,
            generation,
            previous,
            next: NOTHING,
            home,
        });
        if previous == NOTHING {
            self.list(home).first = slot;
        } else {
            self.entries[previous].next = slot;
        }
        self.list(home).last = slot;
        Ok(SubscriptionKey { slot, generation })
    }

    /// Takes a subscription out; `None` when it is not there any more.
    pub fn remove(&mut self, key: SubscriptionKey) -> Option<T> {
        if self.entries.get(key.slot)?.generation != key.generation {
            return None;
        }
        let Entry {
            value,
            previous,
            next,
            home,
            ..
        } = self.entries.remove(key.slot);
        if previous == NOTHING {
            self.list(home).first = next;
        } else {
            self.entries[previous].next = next;
        }
        if next == NOTHING {
            self.list(home).last = previous;
        } else {
            self.entries[next].previous = previous;
        }
        if self.list(home).is_empty() {
            match home {
                Home::Literal(literal) => self.remove_literal(literal),
                Home::Here(node) | Home::Rest(node) => self.prune(node),
            }
        }
        Some(value)
    }

    /// Appends the value of each subscription that wants `subject`.
    pub fn matches(&self, subject: SubjectRef<'_>, out: &mut Vec<T>)
    where
        T: Clone,
    {
        self.for_each_match(subject, |value| out.push(value.clone()));
    }

    /// Calls `found` with the value of each subscription that wants `subject`.
    pub fn for_each_match(&self, subject: SubjectRef<'_>, mut found: impl FnMut(&T)) {
        if let Some(literal) = self.find_literal(subject.as_str()) {
            self.visit(self.literals[literal].list, &mut found);
        }
        if self.nodes[ROOT].is_unused() {
            return;
        }
        let mut ids = [NOTHING; SUBJECT_TOKENS_MAX];
        let mut count = 0;
        for (id, token) in ids.iter_mut().zip(subject.as_str().split('.')) {
            *id = self.find_token(token).unwrap_or(NOTHING);
            count += 1;
        }
        self.walk(ROOT, ids.get(..count).unwrap_or_default(), &mut found);
    }

    /// The value of a subscription.
    #[must_use]
    pub fn get(&self, key: SubscriptionKey) -> Option<&T> {
        self.entries
            .get(key.slot)
            .filter(|entry| entry.generation == key.generation)
            .map(|entry| &entry.value)
    }

    /// How many subscriptions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no subscription.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.len() == 0
    }

    /// Visits what matches `tokens`, the rest of a subject, below `node`. As deep as the subject has tokens.
    fn walk(&self, node: u32, tokens: &[u32], found: &mut impl FnMut(&T)) {
        let at = &self.nodes[node];
        let Some((token, rest)) = tokens.split_first() else {
            self.visit(at.here, found);
            return;
        };
        if *token != NOTHING
            && let Some(child) = self.find_child(node, *token)
        {
            self.walk(child, rest, found);
        }
        if at.star != NOTHING {
            self.walk(at.star, rest, found);
        }
        self.visit(at.rest, found);
    }

    fn visit(&self, list: List, found: &mut impl FnMut(&T)) {
        let mut slot = list.first;
        while slot != NOTHING {
            let entry = &self.entries[slot];
            found(&entry.value);
            slot = entry.next;
        }
    }

    fn list(&mut self, home: Home) -> &mut List {
        match home {
            Home::Literal(literal) => &mut self.literals[literal].list,
            Home::Here(node) => &mut self.nodes[node].here,
            Home::Rest(node) => &mut self.nodes[node].rest,
        }
    }

    fn home_of(&mut self, filter: &SubjectFilter) -> Home {
        if filter.is_literal() {
            return Home::Literal(self.literal(filter.as_str()));
        }
        let mut node = ROOT;
        for token in split(filter) {
            match token {
                ">" => return Home::Rest(node),
                "*" => node = self.star(node),
                token => node = self.child(node, token),
            }
        }
        Home::Here(node)
    }

    fn literal(&mut self, text: &str) -> u32 {
        if let Some(literal) = self.find_literal(text) {
            return literal;
        }
        let literal = self.literals.insert(Literal {
            text: text.into(),
            list: List::EMPTY,
        });
        let Self {
            hash,
            literals,
            literal_index,
            ..
        } = self;
        literal_index.insert_unique(hash.hash_one(text), literal, |other| {
            hash.hash_one(&*literals[*other].text)
        });
        literal
    }

    fn find_literal(&self, text: &str) -> Option<u32> {
        let equal = |literal: &u32| *self.literals[*literal].text == *text;
        self.literal_index
            .find(self.hash.hash_one(text), equal)
            .copied()
    }

    fn remove_literal(&mut self, literal: u32) {
        let text = self.literals.remove(literal).text;
        remove_number(&mut self.literal_index, self.hash.hash_one(&*text), literal);
    }

    fn star(&mut self, node: u32) -> u32 {
        let star = self.nodes[node].star;
        if star != NOTHING {
            return star;
        }
        let star = self.nodes.insert(Node::below(node, NOTHING));
        let parent = &mut self.nodes[node];
        parent.star = star;
        parent.children_count += 1;
        star
    }

    fn child(&mut self, node: u32, text: &str) -> u32 {
        let token = self.token(text);
        if let Some(child) = self.find_child(node, token) {
            return child;
        }
        let child = self.nodes.insert(Node::below(node, token));
        let Self {
            hash,
            nodes,
            node_index,
            ..
        } = self;
        node_index.insert_unique(hash.of_child(node, token), child, |other| {
            let other = &nodes[*other];
            hash.of_child(other.parent, other.token)
        });
        nodes[node].children_count += 1;
        self.tokens[token].nodes_count += 1;
        child
    }

    fn find_child(&self, node: u32, token: u32) -> Option<u32> {
        let equal = |child: &u32| {
            let child = &self.nodes[*child];
            child.parent == node && child.token == token
        };
        self.node_index
            .find(self.hash.of_child(node, token), equal)
            .copied()
    }

    /// Takes `node` and what is above it out, as far as nothing else needs it.
    fn prune(&mut self, node: u32) {
        let mut node = node;
        while node != ROOT && self.nodes[node].is_unused() {
            let Node { parent, token, .. } = self.nodes.remove(node);
            self.nodes[parent].children_count -= 1;
            if token == NOTHING {
                self.nodes[parent].star = NOTHING;
            } else {
                remove_number(
                    &mut self.node_index,
                    self.hash.of_child(parent, token),
                    node,
                );
                self.release_token(token);
            }
            node = parent;
        }
    }

    /// The number of a token; a node that is named by it must follow.
    fn token(&mut self, text: &str) -> u32 {
        if let Some(token) = self.find_token(text) {
            return token;
        }
        let token = self.tokens.insert(Token {
            text: text.into(),
            nodes_count: 0,
        });
        let Self {
            hash,
            tokens,
            token_index,
            ..
        } = self;
        token_index.insert_unique(hash.hash_one(text), token, |other| {
            hash.hash_one(&*tokens[*other].text)
        });
        token
    }

    fn find_token(&self, text: &str) -> Option<u32> {
        let equal = |token: &u32| *self.tokens[*token].text == *text;
        self.token_index
            .find(self.hash.hash_one(text), equal)
            .copied()
    }

    fn release_token(&mut self, token: u32) {
        self.tokens[token].nodes_count -= 1;
        if self.tokens[token].nodes_count == 0 {
            let text = self.tokens.remove(token).text;
            remove_number(&mut self.token_index, self.hash.hash_one(&*text), token);
        }
    }
}

impl List {
    const EMPTY: Self = Self {
        first: NOTHING,
        last: NOTHING,
    };

    const fn is_empty(self) -> bool {
        self.first == NOTHING
    }
}

impl Node {
    const fn below(parent: u32, token: u32) -> Self {
        Self {
            parent,
            token,
            star: NOTHING,
            children_count: 0,
            here: List::EMPTY,
            rest: List::EMPTY,
        }
    }

    const fn is_unused(&self) -> bool {
        self.children_count == 0 && self.here.is_empty() && self.rest.is_empty()
    }
}

fn split(filter: &SubjectFilter) -> Split<'_, char> {
    filter.as_str().split('.')
}

fn remove_number(index: &mut HashTable<u32>, hash: u64, number: u32) {
    if let Ok(found) = index.find_entry(hash, |other| *other == number) {
        found.remove();
    }
}

/// The standard library's hash with a known start.
#[derive(Clone, Copy, Debug)]
struct SeededHash(u64);

impl SeededHash {
    fn of_child(self, parent: u32, token: u32) -> u64 {
        self.hash_one(u64::from(parent) << 32 | u64::from(token))
    }
}

impl BuildHasher for SeededHash {
    type Hasher = DefaultHasher;

    fn build_hasher(&self) -> DefaultHasher {
        let mut hasher = DefaultHasher::new();
        self.0.hash(&mut hasher);
        hasher
    }
}

#[cfg(test)]
mod tests;
