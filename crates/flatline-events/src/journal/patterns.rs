//! The operator's own patterns: which entries to count, and by what.

use super::Entry;
use regex_automata::meta::Regex;
use regex_automata::util::syntax;
use regex_automata::{Input, MatchKind, PatternSet};
use std::borrow::Cow;
use std::str::FromStr;

/// A compiled expression may take this much memory.
const MAX_EXPRESSION_BYTES: usize = 1 << 20;
/// All of them together.
const MAX_SET_BYTES: usize = 8 << 20;
/// The states the set remembers while it searches.
const CACHE_BYTES: usize = 1 << 20;
const MAX_PATTERNS: usize = 64;
const MAX_NAME_BYTES: usize = 64;
const DEFAULT_VALUES: usize = 32;
const MAX_VALUES: usize = 100;
/// Longer values are cut: they become labels.
const MAX_VALUE_CHARS: usize = 64;
/// The group that becomes the label.
const VALUE: &str = "value";

/// One pattern, checked: `NAME=[unit=UNIT;][identifier=IDENT;][max-values=N;]regex=REGEX`.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// The value of the label `pattern`.
    pub name: String,
    /// Different captured values counted; what is beyond is to be counted together.
    pub max_values: usize,
    unit: Option<String>,
    identifier: Option<String>,
    expression: String,
    regex: Regex,
    value: Option<usize>,
}

/// Why a pattern is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// The name is missing or not fit for a label.
    #[error(
        "a pattern is NAME=[unit=UNIT;][identifier=IDENT;][max-values=N;]regex=REGEX, its name of A-Z a-z 0-9 _ . -, at most 64"
    )]
    Name,
    /// Something before `regex=` is not known.
    #[error("`{0}` is none of unit=, identifier=, max-values= (1 to 100) and, at the end, regex=")]
    Option(String),
    /// The expression does not compile, or to too much.
    #[error("the expression is refused: {0}")]
    Expression(String),
    /// The label has one value.
    #[error("a group is to be named `value`, not `{0}`")]
    Group(String),
    /// A name is there twice.
    #[error("the pattern `{0}` is there twice")]
    Twice(String),
    /// Too many.
    #[error("there are more than {MAX_PATTERNS} patterns")]
    TooMany,
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        let (name, mut rest) = text.split_once('=').ok_or(PatternError::Name)?;
        if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.bytes().all(legal) {
            return Err(PatternError::Name);
        }
        let (mut unit, mut identifier, mut max_values) = (None, None, DEFAULT_VALUES);
        let expression = loop {
            if let Some(expression) = rest.strip_prefix("regex=") {
                break expression;
            }
            let (option, after) = rest.split_once(';').unwrap_or((rest, ""));
            let unknown = || PatternError::Option(option.to_owned());
            match option.split_once('=').ok_or_else(unknown)? {
                ("unit", value) if !value.is_empty() => unit = Some(full_unit(value)),
                ("identifier", value) if !value.is_empty() => identifier = Some(value.to_owned()),
                ("max-values", value) => {
                    let number = value.parse().ok().filter(|number| (1..=MAX_VALUES).contains(number));
                    max_values = number.ok_or_else(unknown)?;
                }
                _ => return Err(unknown()),
            }
            rest = after;
        };
        let regex = compile(&[expression], MAX_EXPRESSION_BYTES, MatchKind::LeftmostFirst)?;
        let value = value_group(&regex)?;
        Ok(Self {
            name: name.to_owned(),
            max_values,
            unit,
            identifier,
            expression: expression.to_owned(),
            regex,
            value,
        })
    }
}

/// As `systemctl` takes it: a unit without a type is a service.
fn full_unit(unit: &str) -> String {
    if unit.contains('.') { unit.to_owned() } else { format!("{unit}.service") }
}

fn compile(expressions: &[&str], limit: usize, kind: MatchKind) -> Result<Regex, PatternError> {
    Regex::builder()
        .syntax(syntax::Config::new().unicode(false).utf8(false).nest_limit(50))
        .configure(
            Regex::config()
                .match_kind(kind)
                .utf8_empty(false)
                .nfa_size_limit(Some(limit))
                .hybrid_cache_capacity(CACHE_BYTES),
        )
        .build_many(expressions)
        .map_err(|error| PatternError::Expression(reason(&error)))
}

/// The innermost cause, on one line: it is shown behind a file and a line.
fn reason(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string().lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

fn value_group(regex: &Regex) -> Result<Option<usize>, PatternError> {
    let mut found = None;
    for (_, index, name) in regex.group_info().all_names() {
        match name {
            Some(VALUE) => found = Some(index),
            Some(other) => return Err(PatternError::Group(other.to_owned())),
            None => {}
        }
    }
    Ok(found)
}

impl Pattern {
    /// Whether matches are counted by what they capture.
    #[must_use]
    pub const fn has_value(&self) -> bool {
        self.value.is_some()
    }

    fn is_about(&self, entry: &Entry) -> bool {
        let same = |wanted: &Option<String>, found: &Option<String>| wanted.is_none() || wanted == found;
        same(&self.unit, &entry.unit) && same(&self.identifier, &entry.identifier)
    }

    fn captured<'m>(&self, message: &'m str) -> Cow<'m, str> {
        let Some(group) = self.value else { return Cow::Borrowed("") };
        let mut captures = self.regex.create_captures();
        self.regex.captures(message, &mut captures);
        let span = captures.get_group(group).map_or(0..0, |span| span.range());
        match String::from_utf8_lossy(&message.as_bytes()[span]) {
            Cow::Borrowed(value) => {
                Cow::Borrowed(value.char_indices().nth(MAX_VALUE_CHARS).map_or(value, |(end, _)| &value[..end]))
            }
            Cow::Owned(value) => Cow::Owned(value.chars().take(MAX_VALUE_CHARS).collect()),
        }
    }
}

/// All patterns, searched in one pass over a message.
#[derive(Debug)]
pub struct Patterns {
    patterns: Vec<Pattern>,
    set: Regex,
    matching: PatternSet,
}

/// A pattern that an entry matches.
#[derive(Debug)]
pub struct Match<'p, 'm> {
    /// Which.
    pub pattern: &'p Pattern,
    /// What its group captured; empty if it has none, or the group had no part in the match.
    pub value: Cow<'m, str>,
}

impl Patterns {
    /// Compiles the patterns together.
    ///
    /// # Errors
    /// When there are too many, two of one name, or they take too much memory.
    pub fn new(patterns: Vec<Pattern>) -> Result<Self, PatternError> {
        if patterns.len() > MAX_PATTERNS {
            return Err(PatternError::TooMany);
        }
        for (number, pattern) in patterns.iter().enumerate() {
            if patterns[..number].iter().any(|other| other.name == pattern.name) {
                return Err(PatternError::Twice(pattern.name.clone()));
            }
        }
        let expressions: Vec<&str> = patterns.iter().map(|pattern| pattern.expression.as_str()).collect();
        let set = compile(&expressions, MAX_SET_BYTES, MatchKind::All)?;
        let matching = PatternSet::new(patterns.len());
        Ok(Self { patterns, set, matching })
    }

    /// Every pattern.
    pub fn iter(&self) -> impl Iterator<Item = &Pattern> {
        self.patterns.iter()
    }

    /// The patterns an entry matches, in their order. Kernel entries match none.
    pub fn matches<'p, 'm>(&'p mut self, entry: &'m Entry) -> impl Iterator<Item = Match<'p, 'm>> {
        let message = entry.message.as_deref().filter(|_| !entry.is_kernel() && !self.patterns.is_empty());
        self.matching.clear();
        if let Some(message) = message {
            self.set.which_overlapping_matches(&Input::new(message), &mut self.matching);
        }
        let message = message.unwrap_or_default();
        let matching = self.matching.iter().filter_map(|id| self.patterns.get(id.as_usize()));
        matching
            .filter(|pattern| pattern.is_about(entry))
            .map(move |pattern| Match { pattern, value: pattern.captured(message) })
    }
}

#[cfg(test)]
mod tests {
    use super::{Pattern, PatternError, Patterns};
    use crate::journal::Entry;
    use proptest::prelude::*;

    fn entry(message: &str, unit: &str) -> Entry {
        Entry { message: Some(message.to_owned()), unit: Some(unit.to_owned()), ..Entry::default() }
    }

    fn matches(specs: &[&str], entry: &Entry) -> Vec<(String, String)> {
        let patterns = specs.iter().map(|spec| spec.parse().expect("a pattern")).collect();
        let mut patterns = Patterns::new(patterns).expect("patterns");
        patterns.matches(entry).map(|found| (found.pattern.name.clone(), found.value.into_owned())).collect()
    }

    fn refused(spec: &str) -> PatternError {
        spec.parse::<Pattern>().expect_err("must be refused")
    }

    #[test]
    fn a_reconciler_that_updates_the_same_disk_again_and_again() {
        let spec = r"updating=unit=reconciler;max-values=4;regex=updating (?P<value>[a-z]+\d+)(;|$)";
        let said = entry("vm 101: updating scsi0", "reconciler.service");
        assert_eq!(matches(&[spec], &said), [("updating".to_owned(), "scsi0".to_owned())]);
        assert!(matches(&[spec], &entry("updating scsi0", "other.service")).is_empty());
        assert!(matches(&[spec], &entry("nothing to do", "reconciler.service")).is_empty());
    }

    #[test]
    fn all_that_match_are_found_in_one_pass() {
        let specs = ["a=regex=up", "b=identifier=x;regex=up", "c=regex=(?i)DOWN|UP", "d=regex=(?P<value>\\d)?up"];
        let found = matches(&specs, &entry("up", "u.service"));
        assert_eq!(found, [("a", ""), ("c", ""), ("d", "")].map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert!(matches(&[], &entry("up", "u.service")).is_empty());
        let kernel = Entry { transport: Some("kernel".to_owned()), ..entry("up", "u.service") };
        assert!(matches(&["a=regex=up"], &kernel).is_empty());
    }

    #[test]
    fn values_are_cut_at_a_character() {
        let found = matches(&["a=regex=(?P<value>.*)"], &entry(&"ü".repeat(500), "u"));
        assert_eq!(found[0].1, "ü".repeat(64));
    }

    #[test]
    fn what_can_not_be_meant_is_refused() {
        for spec in ["", "regex", "=regex=x", "a b=regex=x", &format!("{}=regex=x", "n".repeat(65))] {
            assert_eq!(refused(spec), PatternError::Name, "{spec}");
        }
        for spec in ["a=", "a=x", "a=unit=;regex=x", "a=units=b;regex=x", "a=max-values=0;regex=x", "a=unit=b"] {
            assert!(matches!(refused(spec), PatternError::Option(_)), "{spec}");
        }
        assert!(matches!(refused("a=regex=("), PatternError::Expression(_)));
        assert!(matches!(refused(r"a=regex=(\w{500}){500}"), PatternError::Expression(_)));
        assert_eq!(refused("a=regex=(?P<disk>x)"), PatternError::Group("disk".to_owned()));
        let twice = ["a=regex=x", "a=regex=y"].map(|spec| spec.parse().expect("a pattern")).to_vec();
        assert_eq!(Patterns::new(twice).expect_err("twice"), PatternError::Twice("a".to_owned()));
    }

    proptest! {
        #[test]
        fn no_spec_panics(spec in "[a-z]{0,3}=?(unit=|identifier=|max-values=|regex=)?\\PC{0,30}", message in any::<String>()) {
            if let Ok(pattern) = spec.parse::<Pattern>() {
                let mut patterns = Patterns::new(vec![pattern]).expect("one");
                prop_assert!(patterns.matches(&entry(&message, "u")).count() <= 1);
            }
        }
    }
}
