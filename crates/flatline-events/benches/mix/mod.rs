//! The log that is measured: the kernel lines of the shared corpus, 19 that tell of no event to each that does.

use flatline_events::{Line, Source};

const CORPUS: &str = include_str!("../../tests/corpus/kmsg-dev.jsonl");

/// Texts of the corpus: those that tell of an event if `events`, or else those that do not.
fn texts(events: bool) -> Vec<String> {
    CORPUS
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"))
        .filter(|object| object["facility"] == 0 && (object["kind"] != "none") == events)
        .map(|object| object["line"].as_str().expect("a line").to_owned())
        .filter(|text| !text.contains('\n'))
        .collect()
}

pub(crate) fn mix() -> Vec<String> {
    let quiet = texts(false);
    texts(true)
        .into_iter()
        .zip(quiet.chunks(19).cycle())
        .flat_map(|(event, quiet)| [&[event], quiet].concat())
        .collect()
}

pub(crate) fn kernel_line(text: &str) -> Line<'_> {
    Line { text, source: Source::Kmsg, facility: Some(0), priority: None, ident: None }
}
