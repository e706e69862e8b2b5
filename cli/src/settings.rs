//! Settings come as flags or from a TOML file with the same names (`_` for `-`); a flag wins. What the
//! file gets wrong is refused with its line and the nearest right name.

use std::path::Path;

use relevo_protocol::convention::edit_distance::nearest;
use serde::de::DeserializeOwned;

use crate::exit::Failure;

/// Longest settings file, in bytes.
const FILE_LEN_MAX: u64 = 1024 * 1024;

/// Reads the settings file, or nothing when none is named.
pub(crate) fn read<T: DeserializeOwned + Default>(
    file: Option<&Path>,
    known: &[&str],
) -> Result<T, Failure> {
    let Some(path) = file else {
        return Ok(T::default());
    };
    let tried = format!("read {}", path.display());
    let len = std::fs::metadata(path)
        .map_err(|error| Failure::new(&tried, error))?
        .len();
    if len > FILE_LEN_MAX {
        return Err(Failure::new(
            &tried,
            format!("{len} bytes is no settings file; the limit is 1 MiB"),
        ));
    }
    let text = std::fs::read_to_string(path).map_err(|error| Failure::new(&tried, error))?;
    parse(&text, known).map_err(|why| Failure::new(&tried, why))
}

/// The settings that `text` holds, or a sentence with the line and the remedy.
fn parse<T: DeserializeOwned>(text: &str, known: &[&str]) -> Result<T, String> {
    toml::from_str(text).map_err(|error| {
        let message = error.message();
        let at = error.span().map(|span| span.start).unwrap_or(0);
        let line = text.get(..at).unwrap_or(text).matches('\n').count() + 1;
        let unknown = message
            .strip_prefix("unknown field `")
            .and_then(|rest| rest.split_once('`'))
            .map(|(name, _)| name);
        match unknown {
            None => format!("line {line}: {message}"),
            Some(name) => match nearest(name, known.iter().copied()) {
                Some(right) => {
                    format!("line {line}: unknown setting {name}, did you mean {right}?")
                }
                None => format!(
                    "line {line}: unknown setting {name}; these are known: {}",
                    known.join(", ")
                ),
            },
        }
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(default, deny_unknown_fields)]
    struct Sample {
        name: Option<String>,
        max_payload: Option<u32>,
    }

    fn check(text: &str, expected: Result<Sample, &str>) {
        let found = parse::<Sample>(text, &["name", "max_payload"]);
        assert_eq!(found, expected.map_err(str::to_owned), "{text}");
    }

    #[test]
    fn mistakes_are_named_with_their_line_and_the_remedy() {
        check(
            "name = 'a'\nmax_payload = 5\n",
            Ok(Sample {
                name: Some("a".to_owned()),
                max_payload: Some(5),
            }),
        );
        check(
            "name = 'a'\n\nmax_paylod = 5\n",
            Err("line 3: unknown setting max_paylod, did you mean max_payload?"),
        );
        check(
            "zzz = 1\n",
            Err("line 1: unknown setting zzz; these are known: name, max_payload"),
        );
        check(
            "name = 7\n",
            Err("line 1: invalid type: integer `7`, expected a string"),
        );
    }
}
