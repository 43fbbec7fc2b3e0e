//! Lines from QEMU, told apart. Pure: bytes in, borrowed messages out.

use crate::lenient::{cut, text_or_empty};
use serde::Deserialize;
use serde_json::value::RawValue;

/// One line from QEMU.
#[derive(Debug)]
pub enum Message<'a> {
    /// The first line of a connection; the content is of no type yet.
    Greeting(&'a str),
    /// An answer to the request of that id.
    Return {
        /// The request's id; `None` when QEMU gave none or one that is not ours.
        id: Option<usize>,
        /// The content.
        value: &'a str,
    },
    /// A refusal of the request of that id.
    Error {
        /// The request's id; `None` when QEMU could not even read the request.
        id: Option<usize>,
        /// The class (`CommandNotFound`, `GenericError`).
        class: String,
        /// The words.
        description: String,
    },
    /// Something happened; nobody asked.
    Event,
}

/// A line that is no QMP message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a QMP message: {0}")]
pub struct InvalidMessage(String);

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, rename = "QMP")]
    greeting: Option<&'a RawValue>,
    #[serde(borrow, rename = "return")]
    value: Option<&'a RawValue>,
    error: Option<Refusal>,
    #[serde(borrow)]
    event: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default, deserialize_with = "text_or_empty")]
    class: String,
    #[serde(default, rename = "desc", deserialize_with = "text_or_empty")]
    description: String,
}

/// Reads one line, without its line break.
///
/// # Errors
/// When it is not UTF-8, not JSON, or none of the four messages there are.
pub fn parse(line: &[u8]) -> Result<Message<'_>, InvalidMessage> {
    let line: Line<'_> =
        serde_json::from_slice(line).map_err(|error| InvalidMessage(cut(&error.to_string()).to_owned()))?;
    let id = || line.id.and_then(|id| id.get().parse().ok());
    if let Some(error) = line.error {
        return Ok(Message::Error { id: id(), class: error.class, description: error.description });
    }
    match (line.value, line.greeting, line.event) {
        (Some(value), ..) => Ok(Message::Return { id: id(), value: value.get() }),
        (_, Some(greeting), _) => Ok(Message::Greeting(greeting.get())),
        (.., Some(_)) => Ok(Message::Event),
        (None, None, None) => Err(InvalidMessage("neither greeting, answer, error nor event".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::{Message, parse};
    use proptest::prelude::*;

    #[test]
    fn the_four_messages_are_told_apart() {
        let greeting = br#"{"QMP": {"version": {}, "capabilities": ["oob"]}}"#;
        assert!(matches!(parse(greeting), Ok(Message::Greeting(_))));
        let answer = br#"{"return": {"running": true}, "id": 3, "new-field": [1]}"#;
        assert!(matches!(parse(answer), Ok(Message::Return { id: Some(3), value: r#"{"running": true}"# })));
        let refusal = br#"{"id": 4, "error": {"class": "CommandNotFound", "desc": "no", "more": {}}}"#;
        let Ok(Message::Error { id: Some(4), class, .. }) = parse(refusal) else { panic!("an error") };
        assert_eq!(class, "CommandNotFound");
        let event = br#"{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "NEVER_HEARD_OF", "data": {}}"#;
        assert!(matches!(parse(event), Ok(Message::Event)));
    }

    #[test]
    fn what_is_not_ours_has_no_id() {
        for line in [r#"{"return": 1, "id": "abc"}"#, r#"{"return": 1, "id": -1}"#, r#"{"return": 1}"#] {
            assert!(matches!(parse(line.as_bytes()), Ok(Message::Return { id: None, .. })), "{line}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for line in ["", "{}", "[]", "{\"return\": {}", "null", "SSH-2.0-OpenSSH", "{\"error\": 5}"] {
            assert!(parse(line.as_bytes()).is_err(), "{line}");
        }
        assert!(parse(b"{\"return\": \"\xff\xfe\"}").is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&line);
        }
    }
}
