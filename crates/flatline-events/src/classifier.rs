//! One pass over the line, then the labels of the one pattern that fits.

use crate::families::TABLES;
use crate::pattern::{COUNT, Emitter, LABELS, Pattern, expression};
use crate::{Event, Kind, Labels};
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::meta::Regex;
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::util::pool::Pool;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

/// Where a line comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The kernel log: `/dev/kmsg`, or netconsole.
    Kmsg,
    /// The journal, without the kernel's own lines.
    Journal,
}

/// A line and who said it.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// The decoded text, without time stamp, identifier or host name.
    pub text: &'a str,
    /// Where it was read.
    pub source: Source,
    /// The syslog facility of a kernel record. Only facility 0 is the kernel, and user space cannot write it;
    /// `None` (netconsole does not tell) is taken for the kernel.
    pub facility: Option<u8>,
    /// The syslog level, 0 (emergency) to 7 (debug). No pattern needs it today: texts tell more than levels,
    /// which changed between versions.
    pub priority: Option<u8>,
    /// The program that wrote a journal entry. It must come from a field the journal vouches for (`_COMM`, `_EXE`,
    /// the unit), not from `SYSLOG_IDENTIFIER`, which the writer chooses.
    pub ident: Option<&'a str>,
}

/// A table that does not compile. The tables are part of the program and a test compiles them.
#[derive(Debug, thiserror::Error)]
#[error("pattern for {kind}: {reason}")]
pub struct TableError {
    kind: &'static str,
    reason: String,
}

/// Finds the kind of a line.
///
/// All patterns of an emitter are one automaton, anchored at the start of the line, so most lines are refused after
/// their first few bytes whatever the number of kinds. It is a lazy DFA: its states are made as lines need them, in
/// a cache of bounded size. `regex-automata` is used rather than `regex` because it says which pattern comes first
/// in table order (a `RegexSet` answers with all that match, unordered) and bounds that memory.
#[derive(Debug)]
pub struct Classifier {
    sets: [Set; Emitter::ALL.len()],
}

#[derive(Debug)]
struct Set {
    automaton: Arc<DFA>,
    caches: Pool<Cache, NewCache>,
    rules: Vec<Rule>,
}

type NewCache = Box<dyn Fn() -> Cache + Send + Sync + RefUnwindSafe + UnwindSafe>;

#[derive(Debug)]
struct Rule {
    pattern: &'static Pattern,
    /// Extracts the named groups; absent where a pattern has none.
    groups: Option<Regex>,
    /// The index of each named group and the label it becomes.
    names: Vec<(usize, &'static str)>,
}

impl Classifier {
    /// Compiles the tables.
    ///
    /// # Errors
    /// A pattern that is no regular expression or names an unknown label.
    pub fn new() -> Result<Classifier, TableError> {
        let [kernel, systemd, oomd, earlyoom, tailscaled, script] = Emitter::ALL;
        Ok(Classifier {
            sets: [
                Set::new(kernel)?,
                Set::new(systemd)?,
                Set::new(oomd)?,
                Set::new(earlyoom)?,
                Set::new(tailscaled)?,
                Set::new(script)?,
            ],
        })
    }

    /// The event a line tells of, if it does. A report of many lines is told by one of them.
    #[must_use]
    pub fn classify<'a>(&self, line: &Line<'a>) -> Option<Event<'a>> {
        let emitter = emitter(line)?;
        self.sets[emitter as usize].classify(line.text).filter(|_| !is_firewall_log(line.text))
    }
}

fn emitter(line: &Line<'_>) -> Option<Emitter> {
    match line.source {
        Source::Kmsg if line.facility.unwrap_or(0) == 0 => Some(Emitter::Kernel),
        Source::Kmsg => None,
        Source::Journal => Some(match line.ident? {
            "systemd" => Emitter::Systemd,
            "systemd-oomd" => Emitter::SystemdOomd,
            "earlyoom" => Emitter::Earlyoom,
            "tailscaled" => Emitter::Tailscaled,
            "kernel" => return None,
            _ => Emitter::Script,
        }),
    }
}

/// A netfilter log line: up to 127 bytes that the rule's author chose, then always `IN=<if> OUT=<if> `.
fn is_firewall_log(text: &str) -> bool {
    text.match_indices("IN=").any(|(at, _)| {
        let interface_in = &text[at + 3..];
        interface_in.split_once(' ').is_some_and(|(_, rest)| rest.starts_with("OUT="))
    })
}

impl Set {
    fn new(emitter: Emitter) -> Result<Set, TableError> {
        let patterns: Vec<&'static Pattern> =
            TABLES.iter().flat_map(|table| table.iter()).filter(|pattern| pattern.emitter == emitter).collect();
        let expressions: Vec<String> = patterns.iter().map(|pattern| expression(pattern.text)).collect();
        let automaton = DFA::builder()
            .syntax(bytes_only())
            .thompson(thompson::Config::new().which_captures(WhichCaptures::None))
            .configure(DFA::config().cache_capacity(CACHE_BYTES))
            .build_many(&expressions)
            .map_err(|error| TableError { kind: "the whole set", reason: error.to_string() })?;
        let automaton = Arc::new(automaton);
        let maker = Arc::clone(&automaton);
        let caches = Pool::new(Box::new(move || maker.create_cache()) as NewCache);
        let rules = patterns
            .iter()
            .zip(&expressions)
            .map(|(pattern, expression)| Rule::new(pattern, expression))
            .collect::<Result<_, _>>()?;
        Ok(Set { automaton, caches, rules })
    }

    fn classify<'a>(&self, text: &'a str) -> Option<Event<'a>> {
        let input = Input::new(text).anchored(Anchored::Yes);
        // The search cannot fail: no byte quits it, and a full cache is cleared and filled anew.
        let found = self.automaton.try_search_fwd(&mut self.caches.get(), &input).ok()??;
        self.rules.get(found.pattern().as_usize())?.event(text, found.offset())
    }
}

/// The states an automaton may remember before it forgets them all. A thousand lines that have nothing in common fit
/// into 4 MiB and cost 0.1 us each; in 1 MiB they are forgotten before they come again and cost 10 us.
const CACHE_BYTES: usize = 4 << 20;

fn bytes_only() -> syntax::Config {
    syntax::Config::new().unicode(false).utf8(false)
}

impl Rule {
    fn new(pattern: &'static Pattern, expression: &str) -> Result<Rule, TableError> {
        let failed = |reason| TableError { kind: pattern.kind.map_or("none", Kind::name), reason };
        let regex = Regex::builder()
            .syntax(bytes_only())
            .configure(Regex::config().utf8_empty(false).hybrid(false).dfa(false).onepass(false))
            .build(expression)
            .map_err(|error| failed(error.to_string()))?;
        let names = regex
            .group_info()
            .all_names()
            .filter_map(|(_, index, name)| name.map(|name| (index, name)))
            .map(|(index, name)| match LABELS.iter().find(|label| **label == name) {
                Some(label) => Ok((index, *label)),
                None => Err(failed(format!("unknown label {name}"))),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let groups = (!names.is_empty()).then_some(regex);
        Ok(Rule { pattern, groups, names })
    }

    /// `end` is where the match ends: what follows need not be searched again.
    fn event<'a>(&self, text: &'a str, end: usize) -> Option<Event<'a>> {
        let mut event = Event { kind: self.pattern.kind?, labels: Labels::default(), count: 1 };
        for (name, value) in self.pattern.fixed {
            event.labels.push(name, value);
        }
        let Some(regex) = &self.groups else { return Some(event) };
        let mut captures = regex.create_captures();
        regex.search_captures(&Input::new(text).range(..end).anchored(Anchored::Yes), &mut captures);
        for (index, name) in &self.names {
            let value = captures.get_group(*index).and_then(|span| text.get(span.range()));
            match value {
                Some(value) if *name == COUNT => event.count = value.parse().unwrap_or(u64::MAX),
                Some(value) => event.labels.push(name, value),
                None => {}
            }
        }
        Some(event)
    }
}

/// The kinds the tables tell of, for a caller that wants to declare its counters.
#[must_use]
pub fn kinds_with_patterns() -> Vec<Kind> {
    let mut kinds: Vec<Kind> =
        TABLES.iter().flat_map(|table| table.iter()).filter_map(|pattern| pattern.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

/// The regular expressions looked for in the kernel log, in order of precedence, and what a line that fits one tells of:
/// no event if `None`.
#[must_use]
pub fn kernel_expressions() -> Vec<(Option<Kind>, String)> {
    let kernel = |pattern: &&Pattern| pattern.emitter == Emitter::Kernel;
    let patterns = TABLES.iter().flat_map(|table| table.iter()).filter(kernel);
    patterns.map(|pattern| (pattern.kind, expression(pattern.text))).collect()
}

#[cfg(test)]
mod tests {
    use super::Classifier;
    use crate::event::MAX_LABELS;
    use crate::pattern::COUNT;

    #[test]
    fn no_pattern_has_more_labels_than_an_event_can_hold() {
        let classifier = Classifier::new().expect("the tables");
        for rule in classifier.sets.iter().flat_map(|set| &set.rules) {
            let groups = rule.names.iter().filter(|(_, name)| *name != COUNT).count();
            assert!(groups + rule.pattern.fixed.len() <= MAX_LABELS, "{}", rule.pattern.text);
        }
    }
}
