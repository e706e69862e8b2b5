//! A line, read as a verb.

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;

use super::error::quoted;
use super::table::{Found, Kind, VerbHelp, find};
use super::words::Words;
use super::{
    BadStart, Credentials, POP_MESSAGES_DEFAULT, PUSH_ID_LEN_MAX, PushOptions, StartFrom,
    VERB_MESSAGES_MAX, VIEW_MESSAGES_DEFAULT, Verb, VerbError, WAIT_MAX,
};
use crate::convention::edit_distance::nearest;
use crate::convention::lease::Lease;
use crate::convention::queue::{MAX_LEASE, MIN_LEASE, QueueOptions};
use crate::convention::topic::TopicOptions;
use crate::jetstream::publish::{MAX_DELAY, MAX_KEY_LEN, MAX_PRIORITY};
use crate::name::{QueueName, SubscriptionName, TopicName};
use crate::time::{format_duration, parse_duration};

/// What a line is, as far as verbs go.
#[derive(Debug)]
pub(crate) enum VerbLine {
    /// It begins with no verb.
    NotAVerb,
    /// All of the verb.
    Whole(Result<Verb, VerbError>),
    /// PUSH or POST with `#<bytes>`: a payload of `len` bytes and CR LF follow, also when the line is wrong.
    WithPayload {
        /// Where the payload goes.
        to: Result<Addressed, VerbError>,
        /// How many bytes it has.
        len: usize,
    },
}

/// Where a payload goes.
#[derive(Debug)]
pub(crate) enum Addressed {
    /// Into a queue.
    Queue(QueueName, PushOptions),
    /// To a topic.
    Topic(TopicName),
}

impl Addressed {
    /// The verb that sends `payload` there.
    pub(crate) fn carrying(self, payload: Bytes) -> Verb {
        match self {
            Self::Queue(queue, options) => Verb::Push {
                queue,
                options,
                payload,
            },
            Self::Topic(topic) => Verb::Post { topic, payload },
        }
    }
}

/// Reads a line, given without its end.
pub(crate) fn read(line: &[u8]) -> VerbLine {
    if let Ok(text) = str::from_utf8(line) {
        return read_text(text);
    }
    match read_text(&String::from_utf8_lossy(line)) {
        VerbLine::NotAVerb => VerbLine::NotAVerb,
        VerbLine::Whole(_) => VerbLine::Whole(Err(VerbError::NotUtf8)),
        VerbLine::WithPayload { len, .. } => VerbLine::WithPayload {
            to: Err(VerbError::NotUtf8),
            len,
        },
    }
}

fn read_text(line: &str) -> VerbLine {
    let (row, words) = match find(line) {
        Found::Verb(row, words) => (row, words),
        Found::Group { group, word } => {
            return VerbLine::Whole(Err(VerbError::unknown_in_group(group, word)));
        }
        Found::Nothing => return VerbLine::NotAVerb,
    };
    let arguments = Arguments { row, words };
    VerbLine::Whole(match row.kind {
        Kind::Push => return arguments.read_message(into_queue),
        Kind::Post => return arguments.read_message(to_topic),
        Kind::QueueCreate => queue_create(arguments),
        Kind::QueueDelete => arguments
            .queue_alone()
            .map(|name| Verb::QueueDelete { name }),
        Kind::QueuePurge => arguments
            .queue_alone()
            .map(|name| Verb::QueuePurge { name }),
        Kind::QueueInfo => arguments.queue_alone().map(|name| Verb::QueueInfo { name }),
        Kind::QueueList => arguments.end().map(|()| Verb::QueueList),
        Kind::QueuePeek => queue_peek(arguments),
        Kind::Pop => pop(arguments),
        Kind::Ack => ack(arguments),
        Kind::Nack => nack(arguments),
        Kind::Extend => extend(arguments),
        Kind::TopicCreate => topic_create(arguments),
        Kind::TopicDelete => arguments
            .topic_alone()
            .map(|name| Verb::TopicDelete { name }),
        Kind::TopicInfo => arguments.topic_alone().map(|name| Verb::TopicInfo { name }),
        Kind::TopicList => arguments.end().map(|()| Verb::TopicList),
        Kind::View => view(arguments),
        Kind::Follow => follow(arguments),
        Kind::Unfollow => unfollow(arguments),
        Kind::Auth => auth(arguments),
        Kind::Status => arguments.end().map(|()| Verb::Status),
        Kind::Help => Ok(help(arguments)),
        Kind::Quit => arguments.end().map(|()| Verb::Quit),
    })
}

fn into_queue(name: &str, options: &Options<'_>) -> Result<Addressed, VerbError> {
    let queue = QueueName::parse(name).map_err(VerbError::BadName)?;
    let options = PushOptions {
        delay: options.duration("delay", Duration::ZERO..=MAX_DELAY)?,
        priority: options.number("priority", 0..=MAX_PRIORITY)?,
        key: options.word("key", MAX_KEY_LEN)?,
        id: options.word("id", PUSH_ID_LEN_MAX)?,
    };
    Ok(Addressed::Queue(queue, options))
}

fn to_topic(name: &str, _options: &Options<'_>) -> Result<Addressed, VerbError> {
    TopicName::parse(name)
        .map(Addressed::Topic)
        .map_err(VerbError::BadName)
}

fn queue_create(mut arguments: Arguments<'_>) -> Result<Verb, VerbError> {
    let name = arguments.queue()?;
    let mut options = QueueOptions::default();
    for (option, value) in arguments.options()?.pairs {
        options.set(option, value).map_err(VerbError::BadOption)?;
    }
    Ok(Verb::QueueCreate { name, options })
}

fn topic_create(mut arguments: Arguments<'_>) -> Result<Verb, VerbError> {
    let name = arguments.topic()?;
    let mut options = TopicOptions::default();
    for (option, value) in arguments.options()?.pairs {
        options.set(option, value).map_err(VerbError::BadOption)?;
    }
    Ok(Verb::TopicCreate { name, options })
}

fn queue_peek(mut arguments: Arguments<'_>) -> Result<Verb, VerbError> {
    let name = arguments.queue()?;
    let options = arguments.options()?;
    let from = options.start()?.unwrap_or_default();
    let max = options
        .number("max", 1..=VERB_MESSAGES_MAX)?
        .unwrap_or(VIEW_MESSAGES_DEFAULT);
    Ok(Verb::QueuePeek { name, from, max })
}

fn pop(mut arguments: Arguments<'_>) -> Result<Verb, VerbError> {
    let queue = arguments.queue()?;
    let options = arguments.options()?;
    Ok(Verb::Pop {
        queue,
        wait: options
            .duration("wait", Duration::ZERO..=WAIT_MAX)?
            .unwrap_or_default(),
        max: options
            .number("max", 1..=VERB_MESSAGES_MAX)?
            .unwrap_or(POP_MESSAGES_DEFAULT),
        lease: options.duration("lease", MIN_LEASE..=MAX_LEASE)?,
    })
}

fn ack(mut arguments: Arguments<'_>) -> Result<Verb, VerbError> {
    let lease = arguments.lease()?;
    arguments.end()?;
    Ok(Verb::Ack { lease })
}

fn nack(mut arguments: Arguments<'_>) -> Result<Verb, VerbError> {
    let lease = arguments.lease()?;
    let delay = arguments
        .options()?
        .duration("delay", Duration::ZERO..=MAX_DELAY)?;
    Ok(Verb::Nack { lease, delay })
}

fn extend(mut arguments: Arguments<'_>) -> Result<Verb, VerbError> {
    let lease = arguments.lease()?;
    let r#for = arguments
        .options()?
        .duration("for", MIN_LEASE..=MAX_LEASE)?;
    Ok(Verb::Extend { lease, r#for })
}

fn view(mut arguments: Arguments<'_>) -> Result<Verb, VerbError> {
    let topic = arguments.topic()?;
    let options = arguments.options()?;
    let from = options.start()?.unwrap_or_default();
    let max = options
        .number("max", 1..=VERB_MESSAGES_MAX)?
        .unwrap_or(VIEW_MESSAGES_DEFAULT);
    Ok(Verb::View { topic, from, max })
}

fn follow(mut arguments: Arguments<'_>) -> Result<Verb, VerbError> {
    let topic = arguments.topic()?;
    let options = arguments.options()?;
    Ok(Verb::Follow {
        topic,
        subscription: options.subscription()?,
        from: options.start()?,
    })
}

fn unfollow(mut arguments: Arguments<'_>) -> Result<Verb, VerbError> {
    let topic = arguments.topic()?;
    let subscription = arguments.options()?.subscription()?;
    Ok(Verb::Unfollow {
        topic,
        subscription,
    })
}

fn auth(mut arguments: Arguments<'_>) -> Result<Verb, VerbError> {
    let first = arguments.required("a user or a token")?.to_owned();
    let Some(second) = arguments.words.next() else {
        return Ok(Verb::Auth(Credentials::Token(first)));
    };
    if arguments.words.next().is_some() {
        return Err(arguments.unexpected(SECRET));
    }
    Ok(Verb::Auth(Credentials::Password {
        user: first,
        password: second.to_owned(),
    }))
}

/// What an answer shows in place of a word that may be a piece of a password.
const SECRET: &str = "***";

fn help(arguments: Arguments<'_>) -> Verb {
    let words: Vec<_> = arguments.words.collect();
    Verb::Help((!words.is_empty()).then(|| words.join(" ")))
}

/// What follows a verb on its line.
struct Arguments<'a> {
    row: &'static VerbHelp,
    words: Words<'a>,
}

impl<'a> Arguments<'a> {
    fn required(&mut self, what: &'static str) -> Result<&'a str, VerbError> {
        self.words.next().ok_or_else(|| self.missing(what))
    }

    fn queue(&mut self) -> Result<QueueName, VerbError> {
        QueueName::parse(self.required("the queue")?).map_err(VerbError::BadName)
    }

    fn topic(&mut self) -> Result<TopicName, VerbError> {
        TopicName::parse(self.required("the topic")?).map_err(VerbError::BadName)
    }

    fn lease(&mut self) -> Result<Lease, VerbError> {
        Lease::parse(self.required("the lease")?).map_err(VerbError::BadLease)
    }

    fn queue_alone(mut self) -> Result<QueueName, VerbError> {
        let name = self.queue()?;
        self.end()?;
        Ok(name)
    }

    fn topic_alone(mut self) -> Result<TopicName, VerbError> {
        let name = self.topic()?;
        self.end()?;
        Ok(name)
    }

    /// Nothing more may follow.
    fn end(mut self) -> Result<(), VerbError> {
        match self.words.next() {
            None => Ok(()),
            Some(word) => Err(self.unexpected(word)),
        }
    }

    /// Options, and nothing else, may follow.
    fn options(self) -> Result<Options<'a>, VerbError> {
        let mut options = Options::default();
        for word in self.words {
            let (name, value) = word.split_once('=').ok_or_else(|| self.unexpected(word))?;
            let known = self.row.options.iter().find(|known| **known == name);
            let known = known.ok_or_else(|| self.unknown_option(name))?;
            options.add(known, value)?;
        }
        Ok(options)
    }

    /// A name, options and a text follow, or `#<bytes>` in place of the text.
    fn read_message(
        mut self,
        address: impl FnOnce(&str, &Options<'a>) -> Result<Addressed, VerbError>,
    ) -> VerbLine {
        if let Some(len) = payload_len(self.words.rest()) {
            return VerbLine::WithPayload {
                to: Err(self.missing("the name")),
                len,
            };
        }
        let Some(name) = self.words.next() else {
            return VerbLine::Whole(Err(self.missing("the name")));
        };
        let (options, text) = self.options_before_text();
        let to = options.and_then(|options| address(name, &options));
        match text {
            Text::Payload(len) => VerbLine::WithPayload { to, len },
            Text::Inline(text) => {
                VerbLine::Whole(to.map(|to| to.carrying(Bytes::copy_from_slice(text.as_bytes()))))
            }
            Text::Missing => VerbLine::Whole(to.and_then(|_| Err(self.missing("the text")))),
        }
    }

    /// Takes known options off; the first other word begins the text, `--` stands before a text that looks otherwise.
    fn options_before_text(&self) -> (Result<Options<'a>, VerbError>, Text<'a>) {
        let mut options = Ok(Options::default());
        let mut words = self.words;
        while let Some((word, rest)) = words.split_first() {
            if word == "--" {
                return (options, Text::inline(rest.rest()));
            }
            let known = word.split_once('=').and_then(|(name, value)| {
                Some((
                    self.row.options.iter().find(|known| **known == name)?,
                    value,
                ))
            });
            let Some((name, value)) = known else {
                break;
            };
            options = options.and_then(|mut options| options.add(name, value).map(|()| options));
            words = rest;
        }
        let text = words.rest();
        (
            options,
            payload_len(text).map_or_else(|| Text::inline(text), Text::Payload),
        )
    }

    fn missing(&self, what: &'static str) -> VerbError {
        VerbError::Missing {
            what,
            usage: self.row.usage(),
        }
    }

    fn unexpected(&self, word: &str) -> VerbError {
        VerbError::Unexpected {
            word: quoted(word),
            usage: self.row.usage(),
        }
    }

    fn unknown_option(&self, name: &str) -> VerbError {
        let known = self.row.options;
        let meant =
            nearest(name, known.iter().copied()).map_or_else(|| known.to_vec(), |near| vec![near]);
        VerbError::UnknownOption {
            option: quoted(name),
            verb: self.row.name,
            meant,
        }
    }
}

enum Text<'a> {
    Missing,
    Inline(&'a str),
    Payload(usize),
}

impl<'a> Text<'a> {
    fn inline(text: &'a str) -> Self {
        if text.is_empty() {
            Self::Missing
        } else {
            Self::Inline(text)
        }
    }
}

/// A header carries it: not empty, and no CR in it, which a line may have before its end.
fn fits_a_header(word: &str, max_len: usize) -> bool {
    !word.is_empty() && word.len() <= max_len && !word.chars().any(char::is_control)
}

/// The length in `#<bytes>`, when that is all there is. One that no limit can hold is as long as can be.
fn payload_len(text: &str) -> Option<usize> {
    let digits = text.trim_end_matches([' ', '\t']).strip_prefix('#')?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(usize::MAX))
}

/// The options of one line, each at most once.
#[derive(Debug, Default)]
struct Options<'a> {
    pairs: Vec<(&'static str, &'a str)>,
}

impl<'a> Options<'a> {
    fn add(&mut self, name: &'static str, value: &'a str) -> Result<(), VerbError> {
        if self.get(name).is_some() {
            return Err(VerbError::Repeated { option: name });
        }
        self.pairs.push((name, value));
        Ok(())
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.pairs
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| *value)
    }

    fn duration(
        &self,
        option: &'static str,
        range: RangeInclusive<Duration>,
    ) -> Result<Option<Duration>, VerbError> {
        let Some(value) = self.get(option) else {
            return Ok(None);
        };
        let duration =
            parse_duration(value).map_err(|source| VerbError::BadDuration { option, source })?;
        if range.contains(&duration) {
            return Ok(Some(duration));
        }
        let (min, max) = (
            format_duration(*range.start()),
            format_duration(*range.end()),
        );
        Err(VerbError::DurationOutOfRange { option, min, max })
    }

    fn number<N>(
        &self,
        option: &'static str,
        range: RangeInclusive<N>,
    ) -> Result<Option<N>, VerbError>
    where
        N: Copy + FromStr + PartialOrd + Into<u32>,
    {
        let Some(value) = self.get(option) else {
            return Ok(None);
        };
        match value.parse() {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            Ok(_) | Err(_) => Err(VerbError::BadNumber {
                option,
                value: quoted(value),
                min: (*range.start()).into(),
                max: (*range.end()).into(),
            }),
        }
    }

    fn word(&self, option: &'static str, max_len: usize) -> Result<Option<String>, VerbError> {
        match self.get(option) {
            None => Ok(None),
            Some(value) if !fits_a_header(value, max_len) => {
                Err(VerbError::BadWord { option, max_len })
            }
            Some(value) => Ok(Some(value.to_owned())),
        }
    }

    fn start(&self) -> Result<Option<StartFrom>, VerbError> {
        self.get("from")
            .map(|value| {
                StartFrom::parse(value).map_err(|BadStart| VerbError::BadStart {
                    value: quoted(value),
                })
            })
            .transpose()
    }

    fn subscription(&self) -> Result<Option<SubscriptionName>, VerbError> {
        self.get("as")
            .map(|value| SubscriptionName::parse(value).map_err(VerbError::BadName))
            .transpose()
    }
}
