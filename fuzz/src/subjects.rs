//! Subjects, filters and who subscribes.

use relevo_engine::subject_tree::SubjectTree;
use relevo_protocol::subject::{SubjectFilter, SubjectRef};

/// A subject in the first line, a filter in each other one: the tree finds what token by token comparison finds, also
/// when every other subscription has ended, and what filters say of each other holds for the subject.
pub fn fuzz_subjects(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let subject = SubjectRef::parse(lines.next().unwrap_or_default()).ok();
    let filters: Vec<SubjectFilter> = lines
        .filter_map(|line| SubjectFilter::parse(line).ok())
        .collect();

    let mut tree = SubjectTree::new(1);
    let keys: Vec<_> = filters
        .iter()
        .enumerate()
        .map(|(index, filter)| tree.insert(filter, index).expect("inputs are short"))
        .collect();
    if let Some(subject) = subject {
        assert_eq!(found(&tree, subject), expected(&filters, subject, 1));
        check_relations(&filters, subject);
    }
    for (index, key) in keys.iter().enumerate() {
        if index % 2 == 1 {
            assert_eq!(tree.remove(*key), Some(index));
            assert_eq!(tree.remove(*key), None);
        }
    }
    if let Some(subject) = subject {
        assert_eq!(found(&tree, subject), expected(&filters, subject, 2));
    }
    for key in keys.iter().step_by(2) {
        tree.remove(*key);
    }
    assert!(tree.is_empty());
}

fn found(tree: &SubjectTree<usize>, subject: SubjectRef<'_>) -> Vec<usize> {
    let mut found = Vec::new();
    tree.matches(subject, &mut found);
    found.sort_unstable();
    found
}

fn expected(filters: &[SubjectFilter], subject: SubjectRef<'_>, step: usize) -> Vec<usize> {
    let numbered = filters.iter().enumerate().step_by(step);
    numbered
        .filter(|(_, filter)| matches(filter.as_str(), subject.as_str()))
        .map(|(index, _)| index)
        .collect()
}

/// As the NATS documentation says it, without any cleverness.
fn matches(filter: &str, subject: &str) -> bool {
    let mut tokens = subject.split('.');
    for wanted in filter.split('.') {
        match (wanted, tokens.next()) {
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (wanted, Some(token)) if wanted == token => {}
            _ => return false,
        }
    }
    tokens.next().is_none()
}

fn check_relations(filters: &[SubjectFilter], subject: SubjectRef<'_>) {
    // Every pair of the first few: inputs with many filters are for the tree.
    let few = filters.get(..16).unwrap_or(filters);
    for one in few {
        assert_eq!(
            one.matches(subject),
            matches(one.as_str(), subject.as_str())
        );
        for other in few {
            assert_eq!(one.overlaps(other), other.overlaps(one));
            if one.matches(subject) && other.matches(subject) {
                assert!(one.overlaps(other));
            }
            if one.covers(other) {
                assert!(one.overlaps(other));
                assert!(one.matches(subject) || !other.matches(subject));
            }
        }
    }
}
