use proptest::collection::vec;
use proptest::prelude::*;
use relevo_protocol::subject::Subject;

use super::*;

fn filter(text: &str) -> SubjectFilter {
    SubjectFilter::parse(text).unwrap()
}

fn found<T: Clone>(tree: &SubjectTree<T>, subject: &str) -> Vec<T> {
    let mut out = Vec::new();
    tree.matches(SubjectRef::parse(subject.as_bytes()).unwrap(), &mut out);
    out
}

#[track_caller]
fn check(filters: &[&'static str], subject: &str, expected: &[&str]) {
    let mut tree = SubjectTree::new(7);
    let keys: Vec<_> = filters
        .iter()
        .map(|text| tree.insert(&filter(text), *text).unwrap())
        .collect();
    assert_eq!(found(&tree, subject), expected, "{subject}");
    for key in keys {
        assert!(tree.remove(key).is_some());
    }
    assert_eq!(found(&tree, subject), [""; 0]);
    assert_holds_nothing(&tree);
}

#[track_caller]
fn assert_holds_nothing<T>(tree: &SubjectTree<T>) {
    assert!(tree.is_empty());
    assert_eq!((tree.literals.len(), tree.literal_index.len()), (0, 0));
    assert_eq!((tree.tokens.len(), tree.token_index.len()), (0, 0));
    assert_eq!((tree.nodes.len(), tree.node_index.len()), (1, 0));
    assert!(tree.nodes[ROOT].is_unused() && tree.nodes[ROOT].star == NOTHING);
}

#[test]
fn literals_come_before_the_trie_and_literal_tokens_before_star_before_rest() {
    check(
        &[">", "a.>", "a.*", "*.b", "a.b", "*.*", "*", "a"],
        "a.b",
        &["a.b", "a.*", "a.>", "*.b", "*.*", ">"],
    );
    check(&["*", ">", "a"], "a", &["a", "*", ">"]);
    check(&["a.>", "a.b.>", "a.b"], "a", &[]);
    check(
        &["*.b.*.d", "a.*.c.>", "a.*.*.e"],
        "a.b.c.d",
        &["a.*.c.>", "*.b.*.d"],
    );
}

#[test]
fn a_token_that_no_filter_has_is_matched_by_wildcards_only() {
    check(&["a.b", "a.*", "x.>"], "a.new", &["a.*"]);
    check(&["a*", "a>"], "ab", &[]);
    check(&["a*.*", "a>"], "a*.b", &["a*.*"]);
}

#[test]
fn equal_filters_are_found_in_the_order_of_their_inserts() {
    let mut tree = SubjectTree::new(0);
    for text in ["a.b", "a.*", "a.>"] {
        let keys: Vec<_> = (0..4)
            .map(|number| tree.insert(&filter(text), number).unwrap())
            .collect();
        assert_eq!(found(&tree, "a.b"), [0, 1, 2, 3]);
        assert_eq!(tree.remove(keys[1]), Some(1));
        assert_eq!(found(&tree, "a.b"), [0, 2, 3]);
        assert_eq!(tree.remove(keys[0]), Some(0));
        assert_eq!(tree.remove(keys[3]), Some(3));
        assert_eq!(found(&tree, "a.b"), [2]);
        assert_eq!(tree.remove(keys[2]), Some(2));
    }
    assert_holds_nothing(&tree);
}

#[test]
fn a_key_of_a_removed_subscription_names_nothing_even_when_its_slot_is_used_again() {
    let mut tree = SubjectTree::new(0);
    let old = tree.insert(&filter("a"), 1).unwrap();
    assert_eq!(tree.remove(old), Some(1));
    let new = tree.insert(&filter("a"), 2).unwrap();
    assert_eq!(old.slot, new.slot);
    assert_eq!((tree.get(old), tree.get(new)), (None, Some(&2)));
    assert_eq!(tree.remove(old), None);
    assert_eq!(found(&tree, "a"), [2]);
}

#[test]
fn the_deepest_subject_is_matched() {
    let deepest = vec!["a"; SUBJECT_TOKENS_MAX].join(".");
    let stars = vec!["*"; SUBJECT_TOKENS_MAX].join(".");
    let mut tree = SubjectTree::new(0);
    tree.insert(&filter(&stars), 1).unwrap();
    tree.insert(
        &filter(&format!(
            "{}.>",
            vec!["*"; SUBJECT_TOKENS_MAX - 1].join(".")
        )),
        2,
    )
    .unwrap();
    assert_eq!(found(&tree, &deepest), [1, 2]);
}

/// One step of a random history.
#[derive(Clone, Debug)]
enum Step {
    Insert(SubjectFilter),
    /// Of the keys given so far, also removed ones, the one at this index modulo their number.
    Remove(usize),
}

fn token() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("a"), Just("b"), Just("c"), Just("a*"), Just("dd")]
}

fn any_subject() -> impl Strategy<Value = Subject> {
    vec(token(), 1..5).prop_map(|tokens| Subject::parse(tokens.join(".")).unwrap())
}

fn any_filter() -> impl Strategy<Value = SubjectFilter> {
    let pattern = vec(prop_oneof![3 => token(), 1 => Just("*")], 0..5);
    (pattern, prop::bool::ANY).prop_filter_map("a filter has a token", |(mut tokens, rest)| {
        if rest {
            tokens.push(">");
        }
        SubjectFilter::parse(tokens.join(".")).ok()
    })
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![3 => any_filter().prop_map(Step::Insert), 2 => any::<usize>().prop_map(Step::Remove)]
}

proptest! {
    #[test]
    fn after_any_history_the_tree_finds_what_asking_every_filter_finds(
        seed: u64,
        steps in vec(any_step(), 0..120),
        subjects in vec(any_subject(), 1..12),
    ) {
        let mut tree = SubjectTree::new(seed);
        let mut keys = Vec::new();
        let mut live: Vec<Option<SubjectFilter>> = Vec::new();
        for step in steps {
            match step {
                Step::Insert(filter) => {
                    keys.push(tree.insert(&filter, live.len()).unwrap());
                    live.push(Some(filter));
                }
                Step::Remove(index) if !keys.is_empty() => {
                    let index = index % keys.len();
                    let expected = live[index].take().map(|_| index);
                    prop_assert_eq!(tree.remove(keys[index]), expected);
                }
                Step::Remove(_) => {}
            }
        }
        prop_assert_eq!(tree.len(), live.iter().flatten().count());
        for subject in &subjects {
            let wants = |(number, filter): (usize, &Option<SubjectFilter>)| {
                filter.as_ref().filter(|filter| filter.matches(subject.as_ref())).map(|_| number)
            };
            let expected: Vec<_> = live.iter().enumerate().filter_map(wants).collect();
            let mut numbers = found(&tree, subject.as_str());
            numbers.sort_unstable();
            prop_assert_eq!(numbers, expected, "{}", subject);
        }
        for key in keys {
            tree.remove(key);
        }
        assert_holds_nothing(&tree);
    }

    #[test]
    fn the_seed_does_not_change_what_is_found_nor_its_order(
        seeds: [u64; 2],
        filters in vec(any_filter(), 0..60),
        subject in any_subject(),
    ) {
        let grown = |seed| {
            let mut tree = SubjectTree::new(seed);
            for (number, filter) in filters.iter().enumerate() {
                tree.insert(filter, number).unwrap();
            }
            found(&tree, subject.as_str())
        };
        prop_assert_eq!(grown(seeds[0]), grown(seeds[1]));
    }
}
