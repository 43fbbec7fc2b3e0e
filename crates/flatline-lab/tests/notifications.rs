//! What people read: the generated rules and the generated configuration, in a real Prometheus and Alertmanager, from a
//! machine that dies to the message in Slack. The messages stand in `tests/notifications/`; `FLATLINE_UPDATE_GOLDEN=1`
//! writes them anew.

#![expect(clippy::unwrap_used, reason = "a test that can't set itself up has failed")]

use std::path::Path;
use std::time::{Duration, Instant};

use flatline_lab::{AlertState, Chain, Scrape, SlackReceiver, StaticServer, wait_for};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(60);
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const WELL: &str = "lab_answers 1\n";
const DEAD: &str = "this is no exposition\n";

/// For how long a warning waits, in seconds: long enough for its cause to fire on a machine that is busy.
const WARNING_WAIT: u64 = 15;

/// Everything within seconds.
fn settings(webhook_file: &Path, heartbeat: &str) -> String {
    format!(
        "
scrape_interval: 1s
evaluation_interval: 1s
runbook_base_url: https://flatline.example/docs/runbooks
devvm: {{down_for: 4s, absent_for: 4s, flapping_changes: 2, flapping_window: 5m}}
alertmanager:
  slack_api_url_file: {}
  group_wait: {{page: 2s, warning: {WARNING_WAIT}s}}
  group_interval: 2s
  dead_mans_switch_url: {heartbeat}
  dead_mans_switch_interval: 2s
",
        webhook_file.display()
    )
}

/// Two things that are dead at once: a mount, and the tasks behind it.
fn trouble(seconds: u32) -> String {
    let mount = "mountpoint=\"/mnt/nas\",fstype=\"cifs\",source=\"//nas/share\"";
    format!(
        "flatline_tasks_blocked_oldest_seconds{{wchan=\"wait_for_response\"}} {seconds}\n\
         flatline_mount_stuck_seconds{{{mount}}} {seconds}\n"
    )
}

/// Holds a payload, without its times, against the file of this name.
fn hold_against_golden(name: &str, payload: &Value) {
    let mut text = serde_json::to_string_pretty(payload).unwrap() + "\n";
    text = without_times(&text);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/notifications").join(name);
    if std::env::var_os("FLATLINE_UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, golden, "{} is not what is sent; FLATLINE_UPDATE_GOLDEN=1 writes it anew", path.display());
}

/// `2026-06-11 08:15:00` becomes `TIME`.
fn without_times(text: &str) -> String {
    const SHAPE: &[u8] = b"0000-00-00 00:00:00";
    let is_time = |window: &[u8]| {
        window.iter().zip(SHAPE).all(|(byte, shape)| if *shape == b'0' { byte.is_ascii_digit() } else { byte == shape })
    };
    let (mut kept, mut rest) = (String::new(), text);
    while let Some(at) = rest.as_bytes().windows(SHAPE.len()).position(is_time) {
        kept.push_str(&rest[..at]);
        kept.push_str("TIME");
        rest = &rest[at + SHAPE.len()..];
    }
    kept + rest
}

#[test]
fn times_are_left_out_of_what_is_compared() {
    assert_eq!(without_times("Since 2026-06-11 08:15:00 UTC, é 1-2"), "Since TIME UTC, é 1-2");
    assert_eq!(without_times("2026-06-11 08:15:002026-06-11 08:15:01"), "TIMETIME");
}

#[test]
fn fired_grouped_silenced_resolved_and_all_is_well() {
    let heartbeat = SlackReceiver::start().unwrap();
    let (devvm, host) = (StaticServer::start(TEXT, WELL).unwrap(), StaticServer::start(TEXT, &trouble(0)).unwrap());

    let scrapes = vec![
        Scrape::known_as("devvm", &[(devvm.address(), "devvm-a:9100")]),
        Scrape::known_as("flatline", &[(host.address(), "hemma:10120")]),
    ];
    let chain = Chain::start(|secret| settings(secret, &heartbeat.url()), scrapes, &[]).unwrap();
    let (prometheus, alertmanager, slack) = (chain.prometheus(), chain.alertmanager(), chain.slack());
    let answers = |up: u8| prometheus.wait_until(&format!("up{{instance=\"devvm-a:9100\"}} == {up}"), SOON).unwrap();

    // It comes and goes, then it is gone. What comes and goes is told after a while, that it is dead at once.
    answers(1);
    for (body, up) in [(DEAD, 0), (WELL, 1), (DEAD, 0)] {
        devvm.set(body);
        answers(up);
    }
    prometheus.wait_for_alert("DevvmFlapping", AlertState::Firing, SOON).unwrap();
    let flapping_at = Instant::now();

    // Meanwhile two things happen to another host, and are one message.
    host.set(&trouble(600));

    let fired = slack.wait_for("[FIRING:1] DevvmDown on devvm-a", SOON).unwrap();
    hold_against_golden("fired.json", &fired.payload);
    let grouped = slack.wait_for("[FIRING:2] 2 alerts on hemma", SOON).unwrap();
    hold_against_golden("grouped.json", &grouped.payload);

    // All is well with the chain, and that is said again and again.
    wait_for("a second heartbeat", SOON, || Ok((heartbeat.messages().len() >= 2).then_some(()))).unwrap();
    let mut well = heartbeat.messages().swap_remove(0).payload;
    for (field, kind) in [("startsAt", "TIME"), ("endsAt", "TIME"), ("generatorURL", "URL")] {
        assert!(well["alerts"][0][field].is_string(), "{well}");
        well["alerts"][0][field] = json!(kind);
    }
    hold_against_golden("heartbeat.json", &well);

    // The symptom is silenced: its time comes and goes, and nobody is told.
    wait_for("DevvmFlapping to be silenced", SOON, || {
        let known = alertmanager.alerts()?;
        let flapping =
            known.into_iter().find(|alert| alert.labels.get("alertname").is_some_and(|n| n == "DevvmFlapping"));
        Ok(flapping
            .filter(|alert| alert.state == "suppressed")
            .map(|alert| assert_eq!(alert.labels["host"], "devvm-a")))
    })
    .unwrap();
    let due = flapping_at + Duration::from_secs(WARNING_WAIT + 3);
    std::thread::sleep(due.saturating_duration_since(Instant::now()));
    let told = |name: &str| slack.messages().iter().any(|message| message.payload.to_string().contains(name));
    assert!(!told("DevvmFlapping"), "{:#?}", slack.messages());

    // It answers again. That it came and went is still true, and nothing explains it any more.
    devvm.set(WELL);
    let resolved = slack.wait_for("[RESOLVED] DevvmDown on devvm-a", SOON).unwrap();
    hold_against_golden("resolved.json", &resolved.payload);
    let symptom = slack.wait_for("[FIRING:1] DevvmFlapping on devvm-a", SOON).unwrap();
    hold_against_golden("symptom.json", &symptom.payload);
    let channels = [&fired, &grouped, &resolved, &symptom].map(|message| message.payload["channel"].clone());
    assert_eq!(channels, ["#flatline-page", "#flatline-page", "#flatline-page", "#flatline"]);
    // The heartbeat is for the machine outside alone.
    assert!(!told("FlatlineDeadMansSwitch"));
}
