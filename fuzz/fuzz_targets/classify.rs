//! Whatever a line says, in itself or in JSON: the one automaton finds what trying the patterns one by one finds.

#![no_main]

use flatline_events::{Classifier, Kind, Line, Source, kernel_expressions};
use libfuzzer_sys::fuzz_target;
use regex::bytes::{Regex, RegexBuilder};
use std::sync::LazyLock;

static CLASSIFIER: LazyLock<Classifier> = LazyLock::new(|| Classifier::new().unwrap());
static ONE_BY_ONE: LazyLock<Vec<(Option<Kind>, Regex)>> = LazyLock::new(|| {
    let regex = |text: &str| RegexBuilder::new(text).unicode(false).build().unwrap();
    kernel_expressions().iter().map(|(kind, text)| (*kind, regex(text))).collect()
});

fuzz_target!(|text: &str| {
    let line = |source, facility, ident| Line { text, source, facility, priority: None, ident };
    let event = CLASSIFIER.classify(&line(Source::Kmsg, Some(0), None));
    let first = ONE_BY_ONE.iter().find(|(_, regex)| regex.is_match(text.as_bytes()));
    // What netfilter logs is sorted out afterwards.
    if !text.contains("IN=") {
        assert_eq!(event.as_ref().map(|event| event.kind), first.and_then(|(kind, _)| *kind));
    }
    // A line that is a string of JSON comes back as it was.
    if let Ok(shown) = flatline_events::json::classify_line(&CLASSIFIER, text) {
        let object = |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap();
        assert_eq!(object(&shown)["line"], object(text)["line"]);
        assert!(object(&shown)["kind"].is_string());
    }
    if let Some(event) = event {
        assert!(event.labels.iter().all(|(_, value)| value.len() <= text.len().max(32)));
    }
    assert!(CLASSIFIER.classify(&line(Source::Kmsg, Some(1), None)).is_none(), "a program is not the kernel");
    for ident in ["systemd", "systemd-oomd", "earlyoom", "tailscaled", "flatline-lab"] {
        let _ = CLASSIFIER.classify(&line(Source::Journal, None, Some(ident)));
    }
});
