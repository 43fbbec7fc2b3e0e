//! Lines as JSON objects, for trying the classifier on logs of one's own.

use crate::{Classifier, Line, Source};
use serde_json::{Map, Value};

/// Why a JSON line cannot be classified.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// Not a JSON object.
    #[error("not a JSON object: {0}")]
    Syntax(#[from] serde_json::Error),
    /// No text to classify.
    #[error("the field `line` is missing or not a string")]
    NoLine,
    /// Neither the kernel log nor the journal.
    #[error("the field `source` is `{0}`, not `kmsg` or `journal`")]
    Source(String),
}

/// Takes `{"line", "source", "facility", "priority", "ident", ...}` and returns the same object with `kind` (`none`
/// if the line tells of no event), `labels` and, where it is not 1, `count` set.
///
/// `source` is `kmsg` (also if it is missing) or `journal`; the other fields may be missing.
///
/// # Errors
/// [`JsonError`] if the object or its line cannot be read.
pub fn classify_line(classifier: &Classifier, json: &str) -> Result<String, JsonError> {
    let mut object: Map<String, Value> = serde_json::from_str(json)?;
    let source = match object.get("source").and_then(Value::as_str) {
        None | Some("kmsg") => Source::Kmsg,
        Some("journal") => Source::Journal,
        Some(other) => return Err(JsonError::Source(other.to_owned())),
    };
    let line = Line {
        text: object.get("line").and_then(Value::as_str).ok_or(JsonError::NoLine)?,
        source,
        facility: small(&object, "facility"),
        priority: small(&object, "priority"),
        ident: object.get("ident").and_then(Value::as_str),
    };
    let event = classifier.classify(&line);
    let kind = event.as_ref().map_or("none", |event| event.kind.name());
    let labels: Map<String, Value> = event
        .iter()
        .flat_map(|event| event.labels.iter())
        .map(|(name, value)| (name.to_owned(), Value::from(value)))
        .collect();
    let count = event.as_ref().map_or(1, |event| event.count);
    object.insert("kind".to_owned(), Value::from(kind));
    object.insert("labels".to_owned(), Value::Object(labels));
    if count != 1 {
        object.insert("count".to_owned(), Value::from(count));
    }
    Ok(Value::Object(object).to_string())
}

/// A facility or priority; one that fits no byte is no number the kernel or syslog knows and counts as user space.
fn small(object: &Map<String, Value>, name: &str) -> Option<u8> {
    object
        .get(name)
        .filter(|value| !value.is_null())
        .map(|value| value.as_u64().and_then(|number| u8::try_from(number).ok()).unwrap_or(u8::MAX))
}

#[cfg(test)]
mod tests {
    use super::{JsonError, classify_line};
    use crate::Classifier;
    use serde_json::{Value, json};

    fn classified(object: &Value) -> Value {
        let classifier = Classifier::new().expect("the tables");
        let answer = classify_line(&classifier, &object.to_string()).expect("a line");
        serde_json::from_str(&answer).expect("JSON")
    }

    #[test]
    fn adds_kind_and_labels_and_keeps_the_rest() {
        let line = "EDAC MC0: 4 CE error on CPU#0Channel#2_DIMM#0 (channel:2 slot:0)";
        let answer = classified(&json!({"line": line, "source": "kmsg", "facility": 0, "mine": [1]}));
        let expected = json!({
            "line": line, "source": "kmsg", "facility": 0, "mine": [1],
            "kind": "edac_error", "labels": {"mc": "0", "type": "CE"}, "count": 4,
        });
        assert_eq!(answer, expected);
    }

    #[test]
    fn says_none_for_a_line_of_user_space() {
        let line = "Kernel panic - not syncing: test";
        for facility in [json!(1), json!(3), json!(300), json!("kern")] {
            let answer = classified(&json!({"line": line, "facility": facility}));
            assert_eq!((&answer["kind"], &answer["labels"]), (&json!("none"), &json!({})), "{facility}");
        }
        for facility in [json!(0), Value::Null] {
            assert_eq!(classified(&json!({"line": line, "facility": facility}))["kind"], "kernel_panic");
        }
    }

    #[test]
    fn refuses_what_it_cannot_read() {
        let classifier = Classifier::new().expect("the tables");
        assert!(matches!(classify_line(&classifier, "[]"), Err(JsonError::Syntax(_))));
        assert!(matches!(classify_line(&classifier, "{}"), Err(JsonError::NoLine)));
        let source = r#"{"line": "x", "source": "syslog"}"#;
        assert!(matches!(classify_line(&classifier, source), Err(JsonError::Source(_))));
    }
}
