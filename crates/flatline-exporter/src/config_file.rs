//! The YAML configuration file: the flags' names, nested at the dots or written out, with their values.
//!
//! ```yaml
//! web:
//!   listen-address: [":10120"]
//! collector:
//!   memcg:
//!     enabled: true        # --collector.memcg
//!     max-series: 50000    # --collector.memcg.max-series
//! log.level: debug         # the dotted form works too
//! ```
//!
//! A setting that takes `name=value` pairs may be written as a mapping. Where a value is a mapping itself, it reaches the
//! flag as a JSON object of texts: `{a: {url: http://x, interval: 1m}}` is `a={"interval":"1m","url":"http://x"}`.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::Spanned;
use std::fmt;
use std::path::{Path, PathBuf};

/// Larger files are certainly not meant.
const MAX_BYTES: u64 = 1 << 20;

/// Why a configuration file is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("{path}: {reason}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The file can be read but not understood.
    #[error("{path}:{line}: {reason}", path = path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// What is wrong and how to mend it.
        reason: String,
    },
}

/// One setting of the file.
#[derive(Debug, PartialEq, Eq)]
pub struct Setting {
    /// The flag's name without the dashes.
    pub name: String,
    /// One value, or several for a list.
    pub values: Vec<String>,
    line: u64,
    /// The lines of the values, where they are known to differ from the setting's.
    value_lines: Vec<u64>,
}

impl Setting {
    /// An error about this setting.
    #[must_use]
    pub fn error(&self, path: &Path, reason: &str) -> ConfigError {
        ConfigError::Invalid { path: path.to_owned(), line: self.line, reason: format!("{}: {reason}", self.name) }
    }

    /// An error about one of its values.
    #[must_use]
    pub fn value_error(&self, path: &Path, index: usize, reason: &str) -> ConfigError {
        let line = self.value_lines.get(index).copied().unwrap_or(self.line);
        ConfigError::Invalid { path: path.to_owned(), line, reason: format!("{}: {reason}", self.name) }
    }
}

/// Reads the file's settings; every name must be among `names`.
///
/// # Errors
/// When the file can't be read, is no YAML mapping, or names an unknown or repeated setting.
pub fn read(path: &Path, names: &[&str]) -> Result<Vec<Setting>, ConfigError> {
    let unreadable = |reason: String| ConfigError::Unreadable { path: path.to_owned(), reason };
    let size = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?.len();
    if size > MAX_BYTES {
        return Err(unreadable(format!("larger than {MAX_BYTES} bytes; is this the right file?")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    parse(&text, names).map_err(|(line, reason)| ConfigError::Invalid { path: path.to_owned(), line, reason })
}

fn parse(text: &str, names: &[&str]) -> Result<Vec<Setting>, (u64, String)> {
    let root: Option<Spanned<Node>> = serde_yaml::from_str(text).map_err(|error| {
        let line = error.location().map_or(1, |location| location.line());
        (line, first_line(&error.to_string()))
    })?;
    let mut settings = Vec::new();
    match root {
        None | Some(Spanned { value: Node::Null, .. }) => {}
        Some(Spanned { value: Node::Mapping(entries), .. }) => flatten("", entries, names, &mut settings)?,
        Some(other) => return Err((other.referenced.line(), "must be a mapping of settings to values".to_owned())),
    }
    Ok(settings)
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

fn flatten(
    prefix: &str,
    entries: Vec<(Spanned<String>, Spanned<Node>)>,
    names: &[&str],
    settings: &mut Vec<Setting>,
) -> Result<(), (u64, String)> {
    for (key, node) in entries {
        let line = key.referenced.line();
        let name = join(prefix, &key.value);
        let mut value_lines = Vec::new();
        let values = match node.value {
            Node::Mapping(entries) if is_leaf(&name, names) && !is_switch(&entries) => {
                value_lines = entries.iter().map(|(key, _)| key.referenced.line()).collect();
                pairs(&name, entries)?
            }
            Node::Mapping(entries) => {
                known_section(&name, names).map_err(|reason| (line, reason))?;
                flatten(&name, entries, names, settings)?;
                continue;
            }
            Node::Null => return Err((line, format!("{name}: has no value"))),
            Node::Scalar(value) => vec![value],
            Node::List(values) => values,
        };
        // `collector: { memcg: { enabled: true } }` is the flag --collector.memcg.
        let name =
            name.strip_suffix(".enabled").filter(|flag| names.contains(flag)).map_or(name.clone(), str::to_owned);
        if !names.contains(&name.as_str()) {
            return Err((line, unknown(&name, names.iter().copied())));
        }
        if settings.iter().any(|setting| setting.name == name) {
            return Err((line, format!("{name}: set twice")));
        }
        settings.push(Setting { name, values, line, value_lines });
    }
    Ok(())
}

fn join(prefix: &str, key: &str) -> String {
    if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") }
}

/// Whether the name is a setting with nothing below it.
fn is_leaf(name: &str, names: &[&str]) -> bool {
    let below = |known: &&str| known.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
    names.contains(&name) && !names.iter().any(below)
}

/// Whether it is `{enabled: ...}`, which every collector may be.
fn is_switch(entries: &[(Spanned<String>, Spanned<Node>)]) -> bool {
    entries.iter().all(|(key, _)| key.value == "enabled")
}

/// A mapping as the value of a setting: `{a: 1}` is `a=1`, and `{a: {b: 1}}` is `a={"b":"1"}`.
fn pairs(name: &str, entries: Vec<(Spanned<String>, Spanned<Node>)>) -> Result<Vec<String>, (u64, String)> {
    let pair = |(key, node): (Spanned<String>, Spanned<Node>)| match node.value {
        Node::Scalar(value) => Ok(format!("{}={value}", key.value)),
        Node::Mapping(entries) => Ok(format!("{}={}", key.value, object(&format!("{name}.{}", key.value), entries)?)),
        _ => Err((key.referenced.line(), format!("{name}.{}: must be a single value", key.value))),
    };
    entries.into_iter().map(pair).collect()
}

/// A mapping of single values as a JSON object of texts.
fn object(name: &str, entries: Vec<(Spanned<String>, Spanned<Node>)>) -> Result<String, (u64, String)> {
    let mut object = serde_json::Map::new();
    for (key, node) in entries {
        let line = key.referenced.line();
        let Node::Scalar(value) = node.value else {
            return Err((line, format!("{name}.{}: must be a single value", key.value)));
        };
        if object.insert(key.value.clone(), value.into()).is_some() {
            return Err((line, format!("{name}.{}: set twice", key.value)));
        }
    }
    Ok(serde_json::Value::Object(object).to_string())
}

fn known_section(name: &str, names: &[&str]) -> Result<(), String> {
    let prefix = format!("{name}.");
    if names.iter().any(|known| known.starts_with(&prefix)) || names.contains(&name) {
        return Ok(());
    }
    let depth = name.split('.').count();
    let sections =
        names.iter().filter_map(|known| known.match_indices('.').nth(depth - 1).map(|(dot, _)| &known[..dot]));
    Err(unknown(name, sections))
}

/// "unknown", with the nearest name there is.
fn unknown<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> String {
    let nearest = names.max_by(|a, b| strsim::jaro_winkler(name, a).total_cmp(&strsim::jaro_winkler(name, b)));
    nearest.map_or_else(
        || format!("unknown setting `{name}`"),
        |nearest| format!("unknown setting `{name}`; did you mean `{nearest}`?"),
    )
}

/// YAML with scalars as text: the flags' own parsers judge them.
#[derive(Debug)]
enum Node {
    Null,
    Scalar(String),
    List(Vec<String>),
    Mapping(Vec<(Spanned<String>, Spanned<Node>)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, a list of values or a mapping")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut values = Vec::new();
        while let Some(item) = items.next_element::<Node>()? {
            match item {
                Node::Scalar(value) => values.push(value),
                _ => return Err(serde::de::Error::custom("a list may hold single values only")),
            }
        }
        Ok(Node::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut mapping = Vec::new();
        while let Some(entry) = entries.next_entry::<Spanned<String>, Spanned<Node>>()? {
            mapping.push(entry);
        }
        Ok(Node::Mapping(mapping))
    }
}

#[cfg(test)]
mod tests {
    use super::parse;
    use proptest::prelude::*;

    const NAMES: &[&str] = &[
        "web.listen-address",
        "web.max-requests",
        "collector.memcg",
        "collector.memcg.max-series",
        "collector.pressure",
        "collector.vm.sockets",
    ];

    fn flat(text: &str) -> Vec<(String, Vec<String>)> {
        parse(text, NAMES).expect("valid").into_iter().map(|setting| (setting.name, setting.values)).collect()
    }

    fn refused(text: &str) -> (u64, String) {
        parse(text, NAMES).expect_err("must be refused")
    }

    #[test]
    fn nested_and_dotted_names_are_the_same() {
        let expected = vec![
            ("web.listen-address".to_owned(), vec![":1".to_owned(), "[::1]:2".to_owned()]),
            ("collector.memcg".to_owned(), vec!["false".to_owned()]),
            ("collector.memcg.max-series".to_owned(), vec!["5".to_owned()]),
        ];
        assert_eq!(
            flat(
                "web:\n  listen-address: [':1', '[::1]:2']\ncollector:\n  memcg:\n    enabled: false\n    max-series: 5\n"
            ),
            expected
        );
        assert_eq!(
            flat("web.listen-address:\n- ':1'\n- '[::1]:2'\ncollector.memcg: false\ncollector.memcg.max-series: 5\n"),
            expected
        );
    }

    #[test]
    fn pairs_may_be_a_mapping() {
        let expected =
            vec![("collector.vm.sockets".to_owned(), vec!["a=/run/a.qmp".to_owned(), "b=/run/b".to_owned()])];
        assert_eq!(flat("collector:\n  vm:\n    sockets:\n      a: /run/a.qmp\n      b: /run/b\n"), expected);
        assert_eq!(flat("collector.vm.sockets: ['a=/run/a.qmp', b=/run/b]\n"), expected);
        let (line, reason) = refused("collector.vm.sockets:\n  a: [1, 2]\n");
        assert_eq!(line, 2);
        assert!(reason.contains("collector.vm.sockets.a"), "{reason}");
    }

    #[test]
    fn a_mapping_in_a_mapping_is_an_object_of_texts() {
        let text =
            "collector.vm.sockets:\n  a:\n    url: 'http://x'\n    status: 200\n    body: 'say \"ok\"'\n  b: /run/b\n";
        let values =
            vec![r#"a={"body":"say \"ok\"","status":"200","url":"http://x"}"#.to_owned(), "b=/run/b".to_owned()];
        assert_eq!(flat(text), vec![("collector.vm.sockets".to_owned(), values)]);
        let settings = parse(text, NAMES).expect("valid");
        let line = |index| settings[0].value_error(std::path::Path::new("f"), index, "wrong").to_string();
        assert_eq!([line(0), line(1)], ["f:2: collector.vm.sockets: wrong", "f:6: collector.vm.sockets: wrong"]);
        let (line, reason) = refused("collector.vm.sockets:\n  a:\n    b: {c: d}\n");
        assert_eq!((line, reason.as_str()), (3, "collector.vm.sockets.a.b: must be a single value"));
        assert_eq!(refused("collector.vm.sockets:\n  a:\n    b: 1\n    b: 2\n").0, 4);
    }

    #[test]
    fn a_collector_without_settings_of_its_own_has_its_switch() {
        let expected = vec![("collector.pressure".to_owned(), vec!["true".to_owned()])];
        assert_eq!(flat("collector:\n  pressure:\n    enabled: true\n"), expected);
    }

    #[test]
    fn an_empty_file_sets_nothing() {
        assert!(flat("").is_empty());
        assert!(flat("# nothing yet\n").is_empty());
    }

    #[test]
    fn unknown_names_are_refused_with_line_and_nearest_name() {
        let (line, reason) = refused("web:\n  max-requests: 4\n  listen-adress: ':1'\n");
        assert_eq!(line, 3);
        assert!(reason.contains("`web.listen-adress`") && reason.contains("`web.listen-address`"), "{reason}");
        let (line, reason) = refused("web.max-requests: 4\n\ncolector:\n  memcg: true\n");
        assert_eq!(line, 3);
        assert!(reason.contains("`collector`"), "{reason}");
    }

    #[test]
    fn mistakes_are_refused_with_their_line() {
        assert_eq!(refused("web:\n  max-requests:\n").0, 2);
        assert_eq!(
            refused("web.max-requests: 1\nweb:\n  max-requests: 2\n"),
            (3, "web.max-requests: set twice".to_owned())
        );
        assert_eq!(refused("- web\n").0, 1);
        assert!(refused("web: [a\nb: {\n").0 > 0);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*(\n\\PC*){0,5}") {
            let _ = parse(&text, NAMES);
        }
    }
}
