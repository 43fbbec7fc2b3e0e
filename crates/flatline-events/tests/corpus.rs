//! Labelled lines: the shared corpus, and lines gathered apart from it.

use flatline_events::{Classifier, Event, Kind, Line, Source};
use serde_json::Value;

const SHARED: &str = include_str!("corpus/kmsg-dev.jsonl");

fn line(object: &Value) -> Line<'_> {
    let small = |name: &str| object[name].as_u64().map(|value| u8::try_from(value).expect("a small number"));
    Line {
        text: object["line"].as_str().expect("a line"),
        source: if object["source"] == "journal" { Source::Journal } else { Source::Kmsg },
        facility: small("facility"),
        priority: small("priority"),
        ident: object["ident"].as_str(),
    }
}

fn parse(corpus: &str) -> Vec<Value> {
    corpus.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn kind(event: Option<&Event<'_>>) -> &'static str {
    event.map_or("none", |event| event.kind.name())
}

fn wrong(corpus: &str) -> Vec<String> {
    let classifier = Classifier::new().expect("the tables");
    let mut wrong = Vec::new();
    for object in parse(corpus) {
        let line = line(&object);
        let event = classifier.classify(&line);
        let expected = object["kind"].as_str().expect("a kind");
        let phase = event.as_ref().and_then(|event| event.label("phase"));
        let found = kind(event.as_ref());
        let same_phase = found == "none" || object["phase"].as_str().is_none_or(|expected| phase == Some(expected));
        if found != expected || !same_phase {
            wrong.push(format!("{expected} {} is {found} {}: {}", object["phase"], phase.unwrap_or("-"), line.text));
        }
    }
    wrong
}

#[test]
fn the_shared_corpus_is_classified_without_a_mistake() {
    let wrong = wrong(SHARED);
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_kind_has_patterns() {
    assert_eq!(flatline_events::kinds_with_patterns(), Kind::ALL);
}
