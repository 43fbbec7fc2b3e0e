use super::{Failure, Place, Target, Verdict, expiry, judge};
use proptest::prelude::*;
use std::time::Duration;

fn target(text: &str) -> Target {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refused(text: &str) -> String {
    text.parse::<Target>().map_or_else(|error| error.to_string(), |target| panic!("{target:?}"))
}

#[test]
fn a_url_alone_is_a_probe_with_defaults() {
    let target = target("llama=http://127.0.0.1:8080/health?token=x#y");
    assert_eq!((target.name.as_str(), target.place.to_string().as_str()), ("llama", "http://127.0.0.1:8080/health"));
    assert_eq!((target.interval, target.timeout), (Duration::from_secs(30), Duration::from_secs(5)));
    assert_eq!((target.max_bytes, target.max_redirects), (1 << 20, 5));
    assert!(target.body.is_none() && target.ca_file.is_none());
    assert!(target.statuses.contains(204) && !target.statuses.contains(301) && !target.statuses.contains(199));
}

#[test]
fn a_mapping_sets_everything() {
    let target = target(
        r#"a.b-c_1={"url":"https://pve:8006/","status":"200-204, 401","body":"v(\\d+)","interval":"1h","timeout":"250ms","max-bytes":"99","max-redirects":"0","ca-file":"/etc/ca.pem"}"#,
    );
    assert_eq!((target.interval, target.timeout), (Duration::from_secs(3600), Duration::from_millis(250)));
    assert_eq!((target.max_bytes, target.max_redirects), (99, 0));
    assert!([200, 204, 401].iter().all(|status| target.statuses.contains(*status)) && !target.statuses.contains(400));
    assert!(target.body.is_some());
    assert_eq!(target.ca_file.as_deref().and_then(|path| path.to_str()), Some("/etc/ca.pem"));
}

#[test]
fn a_short_interval_shortens_the_deadline() {
    assert_eq!(target(r#"a={"url":"tcp://h:1","interval":"2s"}"#).timeout, Duration::from_secs(2));
}

#[test]
fn tcp_takes_names_and_addresses() {
    let place = |text: &str| target(text).place;
    assert_eq!(place("s=tcp://host.example:22"), Place::Tcp { host: "host.example".to_owned(), port: 22 });
    let six = place("s=tcp://[::1]:22");
    assert_eq!(six, Place::Tcp { host: "::1".to_owned(), port: 22 });
    assert_eq!(six.to_string(), "tcp://[::1]:22");
}

#[test]
fn what_can_not_be_meant_is_refused_with_the_reason() {
    for (text, reason) in [
        ("", "the name"),
        ("a b=http://x/", "the name"),
        ("a", "is no URL"),
        ("a=x", "is no URL"),
        ("a=ftp://x/", "http, https or tcp"),
        ("a=file:///etc/shadow", "http, https or tcp"),
        ("a=tcp://x", "tcp://HOST:PORT"),
        ("a=tcp://x:1/path", "tcp://HOST:PORT"),
        ("a=http://root:secret@x/", "must not hold a user"),
        ("a={", "no mapping"),
        ("a={}", "has no url"),
        (r#"a={"url":"http://x/","boddy":"y"}"#, "unknown key `boddy`; there are url, status, body"),
        (r#"a={"url":"tcp://x:1","body":"y"}"#, "body: means nothing to a TCP probe"),
        (r#"a={"url":"http://x/","status":"2xx"}"#, "status: `2xx`"),
        (r#"a={"url":"http://x/","status":"299-200"}"#, "status: `299-200`"),
        (r#"a={"url":"http://x/","status":"99"}"#, "100 to 599"),
        (r#"a={"url":"http://x/","status":"600"}"#, "100 to 599"),
        (r#"a={"url":"http://x/","body":"("}"#, "body: "),
        (r#"a={"url":"http://x/","body":"((a{999}){999}){999}"}"#, "body: "),
        (r#"a={"url":"http://x/","interval":"30"}"#, "write it like 30s"),
        (r#"a={"url":"http://x/","interval":"500ms"}"#, "between 1s and 1day"),
        (r#"a={"url":"http://x/","timeout":"61s","interval":"5m"}"#, "between 10ms and 1m"),
        (r#"a={"url":"http://x/","timeout":"31s"}"#, "longer than the interval"),
        (r#"a={"url":"http://x/","max-bytes":"0"}"#, "between 1 and 4194304"),
        (r#"a={"url":"http://x/","max-redirects":"21"}"#, "between 0 and 20"),
    ] {
        let said = refused(text);
        assert!(said.contains(reason) && !said.contains('\n'), "{text}: {said}");
    }
    assert!(!refused("a=http://root:secret@x/").contains("secret"), "an error goes to the log");
}

#[test]
fn an_answer_is_good_when_status_and_body_are() {
    let any = target("a=http://x/");
    assert_eq!(judge(&any, 200, b""), Verdict::default());
    assert_eq!(judge(&any, 500, b"").failure, Some(Failure::Status));
    let ok = target(r#"a={"url":"http://x/","body":"\"status\": *\"ok\""}"#);
    assert_eq!(judge(&ok, 200, br#"{"status":"ok"}"#), Verdict { matched: Some(true), ..Verdict::default() });
    let loading = judge(&ok, 200, br#"{"status":"loading"}"#);
    assert_eq!((loading.failure, loading.matched), (Some(Failure::Body), Some(false)));
    let both = judge(&ok, 503, br#"{"status":"loading"}"#);
    assert_eq!((both.failure, both.matched), (Some(Failure::Status), Some(false)));
}

#[test]
fn the_first_group_is_caught_and_bounded() {
    let page = target(r#"a={"url":"http://x/","body":"tag/([^\"]*)\""}"#);
    let caught = |body: &[u8]| judge(&page, 200, body).capture;
    assert_eq!(caught(br#"<a href="/tag/v1.2.3">"#).as_deref(), Some("v1.2.3"));
    assert_eq!(caught(b"tag/ v1\n\x00 \xff\""), Some("v1 \u{fffd}".to_owned()), "control characters are left out");
    assert_eq!(caught(b"tag/\""), None, "nothing is not an empty label");
    assert_eq!(caught(b"no such page"), None);
    let long = caught(format!("tag/{}\"", "\u{1f980}".repeat(500)).as_bytes()).expect("caught");
    assert_eq!(long.chars().count(), 128);
}

#[test]
fn reasons_differ() {
    let labels: std::collections::HashSet<_> = Failure::ALL.iter().map(|failure| failure.label()).collect();
    assert_eq!(labels.len(), Failure::ALL.len());
}

#[test]
fn a_certificate_says_until_when() {
    let key = rcgen::KeyPair::generate().expect("key");
    let mut wanted = rcgen::CertificateParams::new(vec!["host.example".to_owned()]).expect("names");
    wanted.not_after = rcgen::date_time_ymd(2031, 5, 6);
    let certificate = wanted.self_signed(&key).expect("signed");
    // 2031-05-06T00:00:00Z.
    assert_eq!(expiry(certificate.der()), Some(1_935_792_000));
    assert_eq!(expiry(b""), None);
    assert_eq!(expiry(b"-----BEGIN CERTIFICATE-----"), None);
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,80}", spec in "[a-z{}\":,0-9/=.-]{0,60}") {
        let _ = text.parse::<Target>();
        let _ = format!("a={{\"url\":\"{text}\"}}").parse::<Target>();
        let _ = format!("a={spec}").parse::<Target>();
    }

    #[test]
    fn no_certificate_panics(der in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = expiry(&der);
    }

    #[test]
    fn a_capture_is_always_a_fit_label(body in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let all = target(r#"a={"url":"http://x/","body":"(?s)(.*)"}"#);
        if let Some(capture) = judge(&all, 200, &body).capture {
            prop_assert!(!capture.is_empty() && capture.chars().count() <= 128);
            prop_assert!(!capture.chars().any(char::is_control));
        }
    }

    #[test]
    fn a_place_is_shown_as_it_can_be_read(host in "[a-z][a-z0-9]{0,9}", port in 1_u16.., path in "(/[a-z]{1,5}){0,3}") {
        let http = target(&format!("a=http://{host}:{port}{path}")).place;
        prop_assert_eq!(&target(&format!("a={http}")).place, &http);
        let tcp = target(&format!("a=tcp://{host}:{port}")).place;
        prop_assert_eq!(&target(&format!("a={tcp}")).place, &tcp);
    }
}
