//! Labelled lines: the shared corpus, lines gathered apart from it, and recorded kernel logs.

use flatline_events::kmsg::Record;
use flatline_events::{Classifier, Event, Kind, Line, Source};
use proptest::prelude::*;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::LazyLock;

const SHARED: &str = include_str!("corpus/kmsg-dev.jsonl");
/// Quoted from public issue trackers and lists (`gh:`, `url:`, `lkml`, `public`), built from format strings (`printk`), written by an attacker
/// (`adversary`), or parts of a report that is counted elsewhere (`detail`).
const FIELD: &str = include_str!("corpus/field.jsonl");

static CLASSIFIER: LazyLock<Classifier> = LazyLock::new(|| Classifier::new().expect("the tables"));

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

fn said_by_kernel(text: &str) -> Line<'_> {
    Line { text, source: Source::Kmsg, facility: Some(0), priority: None, ident: None }
}

fn parse(corpus: &str) -> Vec<Value> {
    corpus.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn kind(event: Option<&Event<'_>>) -> &'static str {
    event.map_or("none", |event| event.kind.name())
}

fn wrong(corpus: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for object in parse(corpus) {
        let line = line(&object);
        let event = CLASSIFIER.classify(&line);
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

/// Lines that tell of an event, as the kernel says them.
static KERNEL_EVENTS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let events = parse(SHARED).into_iter().chain(parse(FIELD)).filter(|object| object["kind"] != "none");
    let of_kernel = events.filter(|object| object["source"] == "kmsg");
    of_kernel.map(|object| object["line"].as_str().expect("a line").to_owned()).collect()
});

#[test]
fn the_shared_corpus_is_classified_without_a_mistake() {
    let wrong = wrong(SHARED);
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn lines_from_the_field_are_classified_without_a_mistake() {
    let wrong = wrong(FIELD);
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_kind_has_patterns_and_lines_from_the_field() {
    assert_eq!(flatline_events::kinds_with_patterns(), Kind::ALL);
    let field = parse(FIELD);
    for kind in Kind::ALL {
        assert!(field.iter().any(|object| object["kind"] == kind.name()), "no line for {}", kind.name());
    }
}

#[test]
fn labels_name_the_thing_and_nothing_unbounded() {
    let cases: &[(&str, &[(&str, &str)])] = &[
        ("igb 0000:00:14.0 eth0: igb: eth0 NIC Link is Down", &[("driver", "igb"), ("iface", "eth0")]),
        ("r8125: eth1: link down", &[("driver", "r8125"), ("iface", "eth1")]),
        ("eth0: link up, 100Mbps, full-duplex, lpa 0x45E1", &[("iface", "eth0")]),
        (
            "[drm:amdgpu_job_timedout [amdgpu]] *ERROR* ring comp_1.0.1 timeout, signaled seq=5, emitted seq=6",
            &[("soft", "false"), ("ring", "comp")],
        ),
        (
            "amdgpu 0000:28:00.0: ring sdma0 timeout, but soft recovered",
            &[("soft", "true"), ("device", "0000:28:00.0"), ("ring", "sdma")],
        ),
        (
            "NVRM: Xid (PCI:0000:c1:00 GPU-I:05): 94, pid=77, name=train, Contained",
            &[("device", "0000:c1:00"), ("xid", "94")],
        ),
        (
            "I/O error, dev sdb, sector 14008336 op 0x1:(WRITE) flags 0x800 phys_seg 1 prio class 2",
            &[("phase", "request"), ("status", "I/O"), ("device", "sdb"), ("op", "WRITE")],
        ),
        ("Aborting journal on device dm-2-8.", &[("fs", "jbd2"), ("device", "dm-2")]),
        (
            "pcieport 0000:00:1c.0: AER: PCIe Bus Error: severity=Corrected, type=Data Link Layer, (Transmitter ID)",
            &[("device", "0000:00:1c.0"), ("severity", "Corrected"), ("layer", "Data Link Layer")],
        ),
        (
            "md/raid1:md0: Disk failure on sda3, disabling device.\nmd/raid1:md0: Operation continuing on 1 devices.",
            &[("array", "md0"), ("device", "sda3")],
        ),
        ("INFO: task kworker/u8:102:403349 blocked for more than 1228 seconds.", &[]),
        ("Memory cgroup out of memory: Killed process 7 (x) total-vm:1kB, anon-rss:1kB", &[("scope", "memcg")]),
        (
            "i915 0000:00:02.0: [drm] GPU HANG: ecode 9:1:85dffffb, in X [15], reason: hang on rcs0, action: reset",
            &[("device", "0000:00:02.0"), ("engine", "rcs")],
        ),
        ("CIFS: VFS: \\\\nas.lan has not responded in 180 seconds. Reconnecting...", &[("server", "nas.lan")]),
    ];
    for (text, labels) in cases {
        let event = CLASSIFIER.classify(&said_by_kernel(text)).expect("an event");
        let mut found: Vec<_> = event.labels.iter().collect();
        let mut expected = labels.to_vec();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn a_record_of_edac_counts_as_many_errors_as_it_says() {
    let count = |text| CLASSIFIER.classify(&said_by_kernel(text)).map(|event| event.count);
    assert_eq!(count("EDAC MC0: 13 CE on mc#0csrow#2channel#1 (csrow:2 channel:1)"), Some(13));
    assert_eq!(count("EDAC MC0: 99999999999999999999 CE on x (y)"), Some(u64::MAX));
    assert_eq!(count("INFO: rcu_sched self-detected stall on CPU"), Some(1));
}

/// Splits what was read from `/dev/kmsg` one after the other into records: those that begin with a space belong to
/// the record before.
fn records(log: &str) -> Vec<String> {
    let mut records: Vec<String> = Vec::new();
    for line in log.lines() {
        match records.last_mut() {
            Some(record) if line.starts_with(' ') => *record = format!("{record}{line}\n"),
            _ => records.push(format!("{line}\n")),
        }
    }
    records
}

fn kinds_in(log: &str) -> BTreeMap<&'static str, usize> {
    let mut kinds = BTreeMap::new();
    for raw in records(log) {
        let record = Record::parse(raw.as_bytes()).expect("a recorded record");
        let line = Line {
            text: &record.text,
            source: Source::Kmsg,
            facility: Some(record.facility),
            priority: Some(record.level),
            ident: None,
        };
        if let Some(event) = CLASSIFIER.classify(&line) {
            *kinds.entry(event.kind.name()).or_default() += 1;
        }
    }
    kinds
}

#[test]
fn recorded_kernel_logs_hold_what_was_done_to_the_machines() {
    // Linux 6.1 in a guest whose file system was frozen and whose kernel was made to spin, sleep, warn and crash.
    let faults = kinds_in(include_str!("fixtures/faults.kmsg"));
    let expected = [
        ("clocksource_unstable", 1),
        ("hung_task", 5),
        ("kernel_bug_or_oops", 2),
        ("kernel_warning", 1),
        ("rcu_stall", 2),
        ("soft_lockup", 1),
        ("watchdog_not_stopped", 1),
    ];
    assert_eq!(faults, BTreeMap::from(expected));
    let oom = kinds_in(include_str!("fixtures/memcg-oom.kmsg"));
    assert_eq!(oom, BTreeMap::from([("oom_invoked", 1), ("oom_kill_memcg", 1)]));
    let group = kinds_in(include_str!("fixtures/oom-group.kmsg"));
    assert_eq!(group, BTreeMap::from([("oom_invoked", 3), ("oom_kill_global", 2), ("oom_kill_memcg", 4)]));
}

/// What others may put into the kernel log around a text they choose.
fn quoted(event: &str) -> [String; 9] {
    [
        format!("usb 1-2: Product: {event}"),
        format!("usb 1-2: Manufacturer: {event}"),
        format!("audit: type=1400 audit(1767600000.200:89): apparmor=\"DENIED\" name=\"{event}\" pid=77"),
        format!("{event}IN=eth0 OUT= MAC=aa:bb SRC=203.0.113.9 DST=192.0.2.1 LEN=40"),
        format!("[UFW BLOCK] {event} IN=eth0 OUT= SRC=203.0.113.9"),
        format!("Loaded X.509 cert '{event}'"),
        format!("cgroup: fork rejected by pids controller in /{event}"),
        format!("input: {event} as /devices/virtual/input/input7"),
        format!("[   12.345678] {event}"),
    ]
}

/// What the kernel says of a process, whose name can be any 15 bytes.
fn named(name: &str) -> [String; 6] {
    [
        format!("process '{name}' started with executable stack"),
        format!("traps: {name}[812] general protection fault ip:401136 sp:7ffc error:0 in a.out[401000+1000]"),
        format!("{name} (812): drop_caches: 3"),
        format!("{name} (812): Using mlock ulimits for SHM_HUGETLB is obsolete"),
        format!("{name}: vmalloc error: size 4096, failed to allocated page array, mode:0xcc0, order=0"),
        format!("{name} uses obsolete (PF_INET,SOCK_PACKET)"),
    ]
}

#[test]
fn an_event_quoted_by_others_is_none() {
    let mut believed = Vec::new();
    for event in KERNEL_EVENTS.iter() {
        let names = (4..=15).map(|length| event.chars().take(length).collect::<String>());
        for text in names.flat_map(|name| named(&name)).chain(quoted(event)) {
            if CLASSIFIER.classify(&said_by_kernel(&text)).is_some() {
                believed.push(text);
            }
        }
    }
    assert!(believed.is_empty(), "{} believed:\n{}", believed.len(), believed.join("\n"));
}

#[test]
fn whatever_a_process_calls_itself_its_crash_is_a_crash() {
    for event in KERNEL_EVENTS.iter() {
        let name: String = event.chars().take(15).collect();
        let text =
            format!("{name}[812]: segfault at 0 ip 0000000000401136 sp 00007ffc0d1c7d50 error 4 in a[401000+1000]");
        assert_eq!(kind(CLASSIFIER.classify(&said_by_kernel(&text)).as_ref()), "segfault", "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        let _ = CLASSIFIER.classify(&said_by_kernel(&text));
    }

    #[test]
    fn arbitrary_bytes_after_a_driver_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..9000)) {
        let text = format!("nvme nvme0: I/O {}", String::from_utf8_lossy(&bytes));
        let _ = CLASSIFIER.classify(&said_by_kernel(&text));
    }

    /// Longer than a process name, so that nobody's name can be made of it.
    #[test]
    fn an_event_behind_other_text_is_none(at in any::<prop::sample::Index>(), before in "[a-z0-9]{17,40}[>\\])|] ") {
        let text = format!("{before}{}", at.get(KERNEL_EVENTS.as_slice()));
        prop_assert_eq!(CLASSIFIER.classify(&said_by_kernel(&text)), None, "{}", text);
    }

    #[test]
    fn only_the_kernel_is_believed(at in any::<prop::sample::Index>(), facility in 1u8..=255) {
        let text: &String = at.get(KERNEL_EVENTS.as_slice());
        let line = Line { facility: Some(facility), ..said_by_kernel(text) };
        prop_assert_eq!(CLASSIFIER.classify(&line), None);
    }

    #[test]
    fn a_program_that_quotes_the_kernel_is_not_believed(at in any::<prop::sample::Index>(), ident in "[a-z]{3,12}") {
        let text: &String = at.get(KERNEL_EVENTS.as_slice());
        let line = Line { source: Source::Journal, ident: Some(&ident), ..said_by_kernel(text) };
        prop_assert_eq!(CLASSIFIER.classify(&line), None);
    }
}
