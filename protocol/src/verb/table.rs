//! The one table of verbs, and HELP made from it.

use super::words::Words;
use super::{VerbError, VerbHelp as Row};
use crate::convention::edit_distance::nearest;
use crate::convention::queue::QueueOptions;
use crate::convention::topic::TopicOptions;

/// One verb as HELP describes it.
#[derive(Clone, Copy, Debug)]
pub struct VerbHelp {
    /// Its one or two words, in upper case.
    pub name: &'static str,
    /// What follows, empty for none: `<must be there>`, `[may be there]`.
    pub arguments: &'static str,
    /// The names of its options.
    pub options: &'static [&'static str],
    /// What it does.
    pub help: &'static str,
    /// A whole line to try.
    pub example: &'static str,
    pub(super) kind: Kind,
}

/// Which verb it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    QueueCreate,
    QueueDelete,
    QueuePurge,
    QueueInfo,
    QueueList,
    QueuePeek,
    Push,
    Pop,
    Ack,
    Nack,
    Extend,
    TopicCreate,
    TopicDelete,
    TopicInfo,
    TopicList,
    Post,
    View,
    Follow,
    Unfollow,
    Auth,
    Status,
    Help,
    Quit,
}

/// Every verb, in the order in which HELP shows them.
pub const VERBS: &[VerbHelp] = &[
    Row {
        name: "QUEUE CREATE",
        arguments: "<queue> [option=value ...]",
        options: QueueOptions::NAMES,
        help: "makes a queue",
        example: "QUEUE CREATE jobs",
        kind: Kind::QueueCreate,
    },
    Row {
        name: "QUEUE DELETE",
        arguments: "<queue>",
        options: &[],
        help: "deletes a queue and its messages",
        example: "QUEUE DELETE jobs",
        kind: Kind::QueueDelete,
    },
    Row {
        name: "QUEUE PURGE",
        arguments: "<queue>",
        options: &[],
        help: "deletes the messages of a queue",
        example: "QUEUE PURGE jobs",
        kind: Kind::QueuePurge,
    },
    Row {
        name: "QUEUE INFO",
        arguments: "<queue>",
        options: &[],
        help: "shows a queue as JSON",
        example: "QUEUE INFO jobs",
        kind: Kind::QueueInfo,
    },
    Row {
        name: "QUEUE LIST",
        arguments: "",
        options: &[],
        help: "shows the queues and how many messages each has",
        example: "QUEUE LIST",
        kind: Kind::QueueList,
    },
    Row {
        name: "QUEUE PEEK",
        arguments: "<queue> [from=first|last|<seq>|<time>] [max=20]",
        options: &["from", "max"],
        help: "shows messages and leaves them in the queue",
        example: "QUEUE PEEK jobs max=5",
        kind: Kind::QueuePeek,
    },
    Row {
        name: "PUSH",
        arguments: "<queue> [delay=30s] [priority=5] [key=<key>] [id=<id>] <text> | #<bytes>",
        options: &["delay", "priority", "key", "id"],
        help: "puts a message into a queue",
        example: "PUSH jobs hello",
        kind: Kind::Push,
    },
    Row {
        name: "POP",
        arguments: "<queue> [wait=5s] [max=10] [lease=30s]",
        options: &["wait", "max", "lease"],
        help: "leases the next messages of a queue; ACK each when it is done",
        example: "POP jobs wait=5s",
        kind: Kind::Pop,
    },
    Row {
        name: "ACK",
        arguments: "<lease>",
        options: &[],
        help: "takes a leased message out of its queue for good",
        example: "ACK <the lease that POP showed>",
        kind: Kind::Ack,
    },
    Row {
        name: "NACK",
        arguments: "<lease> [delay=10s]",
        options: &["delay"],
        help: "gives a leased message back to its queue",
        example: "NACK <the lease that POP showed> delay=10s",
        kind: Kind::Nack,
    },
    Row {
        name: "EXTEND",
        arguments: "<lease> [for=30s]",
        options: &["for"],
        help: "makes a lease longer, counted from now",
        example: "EXTEND <the lease that POP showed> for=1m",
        kind: Kind::Extend,
    },
    Row {
        name: "TOPIC CREATE",
        arguments: "<topic> [option=value ...]",
        options: TopicOptions::NAMES,
        help: "makes a topic",
        example: "TOPIC CREATE news",
        kind: Kind::TopicCreate,
    },
    Row {
        name: "TOPIC DELETE",
        arguments: "<topic>",
        options: &[],
        help: "deletes a topic and its messages",
        example: "TOPIC DELETE news",
        kind: Kind::TopicDelete,
    },
    Row {
        name: "TOPIC INFO",
        arguments: "<topic>",
        options: &[],
        help: "shows a topic as JSON",
        example: "TOPIC INFO news",
        kind: Kind::TopicInfo,
    },
    Row {
        name: "TOPIC LIST",
        arguments: "",
        options: &[],
        help: "shows the topics and how many messages each has",
        example: "TOPIC LIST",
        kind: Kind::TopicList,
    },
    Row {
        name: "POST",
        arguments: "<topic> <text> | #<bytes>",
        options: &[],
        help: "publishes a message to a topic",
        example: "POST news first",
        kind: Kind::Post,
    },
    Row {
        name: "VIEW",
        arguments: "<topic> [from=first|last|<seq>|<time>] [max=20]",
        options: &["from", "max"],
        help: "shows messages of a topic",
        example: "VIEW news from=last",
        kind: Kind::View,
    },
    Row {
        name: "FOLLOW",
        arguments: "<topic> [as=<subscription>] [from=first|last|<seq>|<time>]",
        options: &["as", "from"],
        help: "shows messages of a topic as they come; as= goes on where it stopped",
        example: "FOLLOW news as=alice",
        kind: Kind::Follow,
    },
    Row {
        name: "UNFOLLOW",
        arguments: "<topic> [as=<subscription>]",
        options: &["as"],
        help: "ends a FOLLOW",
        example: "UNFOLLOW news",
        kind: Kind::Unfollow,
    },
    Row {
        name: "AUTH",
        arguments: "<user> <password> | <token>",
        options: &[],
        help: "says who you are",
        example: "AUTH alice secret",
        kind: Kind::Auth,
    },
    Row {
        name: "STATUS",
        arguments: "",
        options: &[],
        help: "shows the brokers and what they lead",
        example: "STATUS",
        kind: Kind::Status,
    },
    Row {
        name: "HELP",
        arguments: "[verb]",
        options: &[],
        help: "shows the verbs, or one with its options and an example",
        example: "HELP PUSH",
        kind: Kind::Help,
    },
    Row {
        name: "QUIT",
        arguments: "",
        options: &[],
        help: "ends the connection",
        example: "QUIT",
        kind: Kind::Quit,
    },
];

/// The operations of the NATS client protocol that a person may type too.
pub(super) const NATS_OPS: [&str; 7] = ["PUB", "HPUB", "SUB", "UNSUB", "PING", "PONG", "CONNECT"];

const NATS_HELP: &str = "NATS works here too: PUB <subject> [reply] <bytes>, SUB <subject> [queue] <sid>, UNSUB <sid> [max], PING";

/// The answer to HELP, one line an item without line ends: all verbs, or the ones that `verb` names, each with its
/// options and an example.
///
/// # Errors
/// [`VerbError::Unknown`] when no verb begins with the words of `verb`.
pub fn help(verb: Option<&str>) -> Result<Vec<String>, VerbError> {
    let Some(asked) = verb else {
        let rows = VERBS.iter().map(one_line);
        return Ok(rows.chain([NATS_HELP.to_owned()]).collect());
    };
    if NATS_OPS
        .iter()
        .any(|op| op.eq_ignore_ascii_case(asked.trim()))
    {
        return Ok(vec![NATS_HELP.to_owned()]);
    }
    let rows: Vec<_> = VERBS.iter().filter(|row| row.begins_with(asked)).collect();
    match rows.as_slice() {
        [] => Err(match find(asked) {
            Found::Group { group, word } => VerbError::unknown_in_group(group, word),
            Found::Verb(..) | Found::Nothing => VerbError::unknown_words(asked),
        }),
        [row] => Ok(row.in_full()),
        rows => Ok(rows.iter().copied().map(one_line).collect()),
    }
}

/// The verb whose words the line begins with, and what follows them.
pub(super) fn find(line: &str) -> Found<'_> {
    let Some((first, rest)) = Words::new(line).split_first() else {
        return Found::Nothing;
    };
    let mut group_found = false;
    for row in VERBS {
        match row.name.split_once(' ') {
            None if row.name.eq_ignore_ascii_case(first) => return Found::Verb(row, rest),
            None => {}
            Some((group, _)) if !group.eq_ignore_ascii_case(first) => {}
            Some((_, second)) => {
                group_found = true;
                if let Some((word, rest)) = rest.split_first()
                    && second.eq_ignore_ascii_case(word)
                {
                    return Found::Verb(row, rest);
                }
            }
        }
    }
    if group_found {
        Found::Group {
            group: first,
            word: rest.split_first().map(|(word, _)| word),
        }
    } else {
        Found::Nothing
    }
}

/// What a line begins with.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// A whole verb.
    Verb(&'static VerbHelp, Words<'a>),
    /// The first word of verbs with two, and a second word that is none of theirs.
    Group {
        group: &'a str,
        word: Option<&'a str>,
    },
    /// No verb.
    Nothing,
}

/// The verbs that `first`, a line's first word, may have been meant to be: those that it is the second word of, or the
/// two that are most like it.
pub(super) fn meant_by_word(first: &str) -> Vec<&'static str> {
    let by_second_word: Vec<_> = VERBS
        .iter()
        .filter(|row| {
            row.name
                .split_once(' ')
                .is_some_and(|(_, second)| second.eq_ignore_ascii_case(first))
        })
        .map(|row| row.name)
        .collect();
    if !by_second_word.is_empty() {
        return by_second_word;
    }
    let known = || {
        VERBS
            .iter()
            .map(|row| row.name.split(' ').next().unwrap_or(row.name))
            .chain(NATS_OPS)
    };
    let best = nearest(first, known());
    let second_best = nearest(first, known().filter(|word| Some(*word) != best));
    best.into_iter().chain(second_best).collect()
}

/// The verb of `group` that `word` may have been meant to be; all of the group when it is like none of them.
pub(super) fn meant_in_group(group: &str, word: Option<&str>) -> Vec<&'static str> {
    let rows = VERBS.iter().filter_map(|row| {
        let (first, second) = row.name.split_once(' ')?;
        first
            .eq_ignore_ascii_case(group)
            .then_some((row.name, second))
    });
    let near = nearest(
        word.unwrap_or_default(),
        rows.clone().map(|(_, second)| second),
    );
    rows.filter(|(_, second)| near.is_none_or(|near| near == *second))
        .map(|(name, _)| name)
        .collect()
}

impl VerbHelp {
    /// The line to type, with its arguments.
    #[must_use]
    pub fn usage(&self) -> String {
        let separator = if self.arguments.is_empty() { "" } else { " " };
        format!("{}{separator}{}", self.name, self.arguments)
    }

    fn begins_with(&self, asked: &str) -> bool {
        let mut own = self.name.split(' ');
        Words::new(asked).all(|word| own.next().is_some_and(|own| own.eq_ignore_ascii_case(word)))
    }

    fn in_full(&self) -> Vec<String> {
        let mut lines = vec![self.usage(), self.help.to_owned()];
        if !self.options.is_empty() {
            let options: Vec<_> = self.options.iter().map(|name| format!("{name}=")).collect();
            lines.push(format!("options: {}", options.join(" ")));
        }
        lines.push(format!("example: {}", self.example));
        lines
    }
}

fn one_line(row: &VerbHelp) -> String {
    format!("{} - {}", row.usage(), row.help)
}
