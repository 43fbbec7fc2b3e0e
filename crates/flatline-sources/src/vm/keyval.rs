//! One option's value on QEMU's command line: `word,key=value,...` or a JSON object
//! (`qemu(1)`, `docs/devel/qapi-code-gen.rst`). Both become dotted keys: `iothread-vq-mapping.0.iothread`.

use serde_json::Value;
use std::collections::BTreeMap;

/// Longer dotted keys, that is deeper objects, are left out: nothing of interest is down there.
const LONGEST_KEY: usize = 128;

/// The properties of one option.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Properties(BTreeMap<String, String>);

impl Properties {
    /// Parses either form. `implied` is the key of a first word without `=`. Nothing is refused: what can't be
    /// understood is left out.
    pub(super) fn parse(text: &str, implied: &str) -> Self {
        let mut properties = Self::default();
        if text.starts_with('{') {
            if let Ok(object) = serde_json::from_str(text) {
                properties.flatten("", &object);
            }
        } else {
            properties.split(text, implied);
        }
        properties
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    pub(super) fn owned(&self, key: &str) -> Option<String> {
        self.0.get(key).cloned()
    }

    /// Whether there is an object or a list of that name.
    pub(super) fn has_below(&self, key: &str) -> bool {
        self.0
            .range(format!("{key}.")..)
            .next()
            .is_some_and(|(found, _)| found.strip_prefix(key).is_some_and(|rest| rest.starts_with('.')))
    }

    /// Of a key that comes twice the last one counts, as in QEMU. A comma in a value is doubled.
    fn split(&mut self, text: &str, implied: &str) {
        let mut rest = text;
        let mut first = true;
        while !rest.is_empty() {
            let (part, after) = next_part(rest);
            rest = after;
            match part.split_once('=') {
                Some((key, value)) => self.put(key.into(), value.into()),
                None if first => self.put(implied.into(), part),
                None => self.put(part, "on".into()),
            }
            first = false;
        }
    }

    fn flatten(&mut self, key: &str, value: &Value) {
        let below = |name: &str| if key.is_empty() { name.into() } else { format!("{key}.{name}") };
        match value {
            _ if key.len() > LONGEST_KEY => {}
            Value::Object(object) => object.iter().for_each(|(name, value)| self.flatten(&below(name), value)),
            Value::Array(list) => {
                list.iter().enumerate().for_each(|(index, value)| self.flatten(&below(&index.to_string()), value));
            }
            Value::String(text) => self.put(key.into(), text.clone()),
            Value::Bool(flag) => self.put(key.into(), if *flag { "on" } else { "off" }.into()),
            Value::Number(number) => self.put(key.into(), number.to_string()),
            Value::Null => {}
        }
    }

    fn put(&mut self, key: String, value: String) {
        self.0.insert(key, value);
    }
}

/// The text up to the next single comma, with doubled ones undone, and what follows it.
fn next_part(text: &str) -> (String, &str) {
    let mut part = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(',') {
        part.push_str(before);
        match after.strip_prefix(',') {
            Some(after) => {
                part.push(',');
                rest = after;
            }
            None => return (part, after),
        }
    }
    part.push_str(rest);
    (part, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        Properties::parse(text, "driver").0.into_iter().collect()
    }

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.into(), value.into())
    }

    #[test]
    fn reads_words_keys_and_doubled_commas() {
        assert_eq!(pairs("nvme,id=a,,b,share-rw"), [pair("driver", "nvme"), pair("id", "a,b"), pair("share-rw", "on")]);
        assert_eq!(pairs("id=a,id=b"), [pair("id", "b")]);
        assert_eq!(pairs("id=a=b,"), [pair("id", "a=b")]);
        assert_eq!(pairs(""), []);
    }

    #[test]
    fn reads_json() {
        let text = r#"{"driver":"x","bus":"a.0","n":1,"on":true,"map":[{"iothread":"io0"},{"iothread":"io1"}]}"#;
        let properties = Properties::parse(text, "driver");
        assert_eq!(properties.get("map.1.iothread"), Some("io1"));
        assert_eq!((properties.get("n"), properties.get("on")), (Some("1"), Some("on")));
        assert!(properties.has_below("map") && !properties.has_below("ma") && !properties.has_below("bus"));
        assert_eq!(pairs("{broken"), []);
    }

    proptest! {
        #[test]
        fn survives_any_text(text in any::<String>()) {
            Properties::parse(&text, "driver");
        }

        #[test]
        fn survives_any_json_like_text(text in "[{}\\[\\]\",:a1 ]{0,60}") {
            Properties::parse(&format!("{{{text}"), "driver");
        }

        #[test]
        fn round_trips(values in proptest::collection::btree_map("[a-z]{1,6}", "[ -~]{1,10}", 0..8)) {
            let text: Vec<_> = values.iter().map(|(key, value)| format!("{key}={}", value.replace(',', ",,"))).collect();
            prop_assert_eq!(Properties::parse(&text.join(","), "driver").0, values);
        }
    }
}
