//! The life of a ledger: restarts, crashes, clocks, damage.

use crate::*;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use std::time::Duration;

const YEAR: SignedDuration = SignedDuration::from_hours(365 * 24);
/// 2026-01-04T15:57:36Z
const EPOCH: i64 = 1_767_542_256;

/// A host with a wall clock that can be wrong.
struct Host {
    ledger: Ledger,
    boot: u128,
    /// The true time.
    time: Timestamp,
    booted: Timestamp,
    /// What the wall clock adds to it.
    error: SignedDuration,
}

impl Host {
    fn new() -> Self {
        let time = Timestamp::from_second(EPOCH).expect("in range");
        let mut host = Self { ledger: Ledger::default(), boot: 0, time, booted: time, error: SignedDuration::ZERO };
        host.boot();
        host
    }

    fn now(&self) -> Moment {
        let boottime = self.time.duration_since(self.booted).try_into().expect("time goes on");
        Moment { wall: self.time + self.error, boottime }
    }

    fn identity(&self) -> Identity {
        Identity { boot: BootId(self.boot), kernel: "6.14.0-37-generic".into(), command_line: "crc32:0".into() }
    }

    fn boot(&mut self) {
        self.boot += 1;
        self.booted = self.time;
        self.start_exporter();
    }

    fn start_exporter(&mut self) -> Entered {
        let (bytes, farewell) = (self.ledger.to_bytes(), self.ledger.farewell_for_test());
        let (ledger, problems) = Ledger::parse(&bytes);
        assert_eq!(problems, []);
        self.ledger = ledger;
        self.ledger.apply_farewell(farewell);
        self.ledger.enter(&self.identity(), self.now(), SHORT_BOOT)
    }

    fn live(&mut self, seconds: i64) {
        self.time += SignedDuration::from_secs(seconds);
        self.ledger.beat(self.now());
    }

    fn down(&mut self, seconds: i64) {
        self.time += SignedDuration::from_secs(seconds);
    }

    fn leave(&mut self, leaving: Leaving) {
        self.ledger.apply_farewell(Some(Farewell::new(BootId(self.boot), self.now(), leaving, "a test")));
    }

    fn windows(&self) -> Vec<Window> {
        windows(&self.ledger, &[], Options::default())
    }

    fn endings(&self) -> Vec<Ending> {
        self.ledger.boots().iter().map(|boot| boot.ended).collect()
    }
}

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

#[test]
fn a_silent_end_is_unclean_and_a_restart_is_none() {
    let mut host = Host::new();
    host.live(7200);
    host.leave(Leaving::Exporter);
    host.down(30);
    assert_eq!(host.start_exporter(), Entered::Again);
    host.live(600);
    assert_eq!(host.endings(), [Ending::Running]);
    host.down(240);
    host.boot();
    assert_eq!(host.endings(), [Ending::Unclean, Ending::Running]);
    let expected = BootTotals { boots: 2, unclean: 1, short: 0 };
    assert_eq!(host.ledger.totals(), expected);
    let figures = host.ledger.figures();
    let previous = figures.previous.expect("one");
    assert_eq!((previous.clean, previous.gap, previous.kernel_changed), (Some(false), Some(minutes(4)), Some(false)));
    assert_eq!((figures.totals, figures.start), (expected, Some(host.booted)));
    assert_eq!((previous.start.as_second(), previous.end.as_second()), (EPOCH, EPOCH + 7830));
}

#[test]
fn a_shutdown_is_clean_unless_the_host_lived_on() {
    let mut host = Host::new();
    host.live(7200);
    host.leave(Leaving::System);
    host.live(60);
    host.down(20);
    host.boot();
    assert_eq!(host.endings(), [Ending::Clean, Ending::Running]);
    assert_eq!(host.ledger.boots()[0].reason.as_deref(), Some("a test"));
    host.live(7200);
    host.leave(Leaving::System);
    host.live(7200);
    host.boot();
    assert_eq!(host.endings(), [Ending::Clean, Ending::Unclean, Ending::Running]);
}

#[test]
fn nobody_knows_how_a_boot_ended_that_nobody_watched() {
    let mut host = Host::new();
    host.live(7200);
    host.leave(Leaving::Exporter);
    host.down(86_400);
    host.boot();
    assert_eq!(host.endings(), [Ending::Unknown, Ending::Running]);
    assert_eq!(host.ledger.totals().unclean, 0);
    assert_eq!(host.ledger.figures().previous.expect("one").clean, None);
}

#[test]
fn short_boots_are_counted_when_they_end() {
    let mut host = Host::new();
    for _ in 0..3 {
        host.live(152);
        host.down(60);
        host.boot();
    }
    assert_eq!(host.ledger.totals(), BootTotals { boots: 4, unclean: 3, short: 3 });
    assert_eq!(host.windows().iter().map(|window| window.short).collect::<Vec<_>>(), [true, true, true, false]);
    host.live(152);
    host.leave(Leaving::System);
    host.boot();
    assert_eq!(host.ledger.totals().short, 3, "two kernels tried in a row are no crash loop");
    host.live(152);
    host.leave(Leaving::Exporter);
    host.down(86_400);
    host.boot();
    assert_eq!(host.ledger.totals().short, 3, "nobody knows how long it lived on without the exporter");
}

#[test]
fn ntp_mends_a_dead_clock() {
    for error in [YEAR, -YEAR, -YEAR * 56] {
        let mut host = Host::new();
        host.live(86_400);
        host.down(300);
        host.error = error;
        host.boot();
        host.live(20);
        // A clock that is ahead cannot be told from a host that was off for so long, until it is set right.
        let down = host.windows()[0].down;
        assert_eq!(down.is_some(), error == YEAR, "{error:?}: {down:?}");
        host.error = SignedDuration::ZERO;
        host.live(7200);
        let windows = host.windows();
        assert_eq!(windows[0].down, Some(minutes(5)), "{error:?}");
        assert_eq!((windows[1].start, windows[1].duration), (host.booted, Some(Duration::from_secs(7220))));
        assert!(windows.iter().all(|window| window.clock_trusted));
        assert_eq!(host.ledger.boots()[1].clock_steps, 1);
    }
}

#[test]
fn a_clock_that_jumps_there_and_back_leaves_no_trace_but_the_count() {
    for error in [YEAR, -YEAR] {
        let mut host = Host::new();
        host.live(3600);
        host.error = error;
        host.live(60);
        host.error = SignedDuration::ZERO;
        host.live(60);
        let boot = &host.ledger.boots()[0];
        assert_eq!((boot.start.as_second(), boot.uptime, boot.clock_steps), (EPOCH, minutes(62), 2));
    }
}

#[test]
fn a_boot_that_died_with_a_wrong_clock_makes_no_window_of_a_year() {
    for error in [YEAR, -YEAR, -YEAR * 56] {
        let mut host = Host::new();
        host.live(86_400);
        host.down(300);
        host.error = error;
        host.boot();
        host.live(120);
        host.down(300);
        host.error = SignedDuration::ZERO;
        host.boot();
        host.live(86_400);
        let windows = host.windows();
        let seen: Vec<_> = windows.iter().map(|window| (window.clock_trusted, window.down, window.duration)).collect();
        assert_eq!(
            seen,
            [(true, None, Some(minutes(1440))), (false, None, Some(minutes(2))), (true, None, Some(minutes(1440))),],
            "{error:?}"
        );
        let previous = host.ledger.figures().previous.expect("one");
        assert_eq!((previous.gap, previous.clean), (None, Some(false)));
    }
}

#[test]
fn a_year_off_is_a_year() {
    let mut host = Host::new();
    host.live(86_400);
    host.down(YEAR.as_secs());
    host.boot();
    assert_eq!(host.windows()[0].down, Some(YEAR.unsigned_abs()));
}

#[test]
fn a_small_correction_moves_nothing() {
    let mut host = Host::new();
    host.live(3600);
    host.error = SignedDuration::from_millis(900);
    host.live(3600);
    assert_eq!((host.ledger.boots()[0].start.as_second(), host.ledger.boots()[0].clock_steps), (EPOCH, 0));
}

#[test]
fn the_ledger_is_bounded_and_its_totals_are_not() {
    let mut host = Host::new();
    for _ in 0..MAX_BOOTS + 200 {
        host.live(60);
        host.down(60);
        (host.boot, host.booted) = (host.boot + 1, host.time);
        host.ledger.enter(&host.identity(), host.now(), SHORT_BOOT);
    }
    assert_eq!(host.ledger.boots().len(), MAX_BOOTS);
    let all = MAX_BOOTS as u64 + 200;
    assert_eq!(host.ledger.totals(), BootTotals { boots: all + 1, unclean: all, short: all });
    assert_eq!(host.ledger.boots().last().map(|boot| boot.boot), Some(BootId(u128::from(all) + 1)));
    let bytes = host.ledger.to_bytes();
    assert!(bytes.len() < crate::ledger::MAX_BYTES / 2, "{}", bytes.len());
}

#[test]
fn the_journal_seeds_once_and_without_the_running_boot() {
    let (journal, _) = parse_list_boots(include_bytes!("../../../fixtures/boots/hemma/list-boots.txt"));
    let mut ledger = Ledger::default();
    let twice = [journal.as_slice(), &journal[..3]].concat();
    ledger.seed(&twice, BootId(9), SHORT_BOOT);
    assert_eq!(ledger.totals(), BootTotals { boots: 8, unclean: 0, short: 1 });
    let now = Moment { wall: "2026-01-06T10:14:48Z".parse().expect("a time"), boottime: Duration::from_secs(3602) };
    let identity = Identity { boot: BootId(9), kernel: "6.14".into(), command_line: "crc32:0".into() };
    assert_eq!(ledger.enter(&identity, now, SHORT_BOOT), Entered::New);
    let last = ledger.boots().last().expect("nine");
    assert_eq!((last.ended, last.start.to_string()), (Ending::Running, "2026-01-06T09:14:46Z".into()));
    assert_eq!(ledger.totals(), BootTotals { boots: 9, unclean: 0, short: 1 });
    let before = ledger.clone();
    ledger.seed(&journal, BootId(77), SHORT_BOOT);
    assert_eq!(ledger, before);
}

fn sample() -> Ledger {
    let mut host = Host::new();
    host.live(7200);
    host.boot();
    host.live(60);
    host.boot();
    host.ledger
}

#[test]
fn the_file_is_lines_people_can_read() {
    let text = String::from_utf8(sample().to_bytes()).expect("text");
    let lines: Vec<&str> = text.lines().map(|line| &line[9..]).collect();
    assert_eq!(lines[0], r#"{"boots":3,"unclean":2,"short":1,"seeded":false}"#);
    assert_eq!(
        lines[1],
        r#"{"boot":"00000000000000000000000000000001","source":"own","ended":"unclean","start":"2026-01-04T15:57:36Z","uptime":"2h","first_seen":"2026-01-04T15:57:36Z","kernel":"6.14.0-37-generic","command_line":"crc32:0","clock_steps":0}"#
    );
    assert_eq!(lines.len(), 4);
}

#[test]
fn a_ledger_cut_at_any_byte_keeps_its_whole_lines_and_its_totals() {
    let ledger = sample();
    let bytes = ledger.to_bytes();
    let header = bytes.iter().position(|byte| *byte == b'\n').expect("lines");
    for cut in 1..bytes.len() {
        let (found, problems) = Ledger::parse(&bytes[..cut]);
        let whole = bytes[..cut].iter().filter(|byte| **byte == b'\n').count();
        // The line feed alone may be what is missing.
        let complete = whole + usize::from(bytes[cut] == b'\n');
        assert_eq!(found.boots(), &ledger.boots()[..complete.saturating_sub(1)], "cut at {cut}");
        assert_eq!(problems.len(), usize::from(complete == whole && bytes[cut - 1] != b'\n'), "cut at {cut}");
        if cut >= header {
            assert_eq!(found.totals(), ledger.totals(), "cut at {cut}");
        }
    }
}

#[test]
fn a_flipped_bit_costs_at_most_its_line_and_is_reported() {
    let ledger = sample();
    let bytes = ledger.to_bytes();
    for (at, bit) in (0..bytes.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << bit;
        let (found, problems) = Ledger::parse(&flipped);
        // A flipped line feed joins two lines.
        let lost = ledger.boots().len() - found.boots().len();
        assert!(lost <= 2, "byte {at}, bit {bit}: {lost} lost");
        let line = 1 + bytes[..at].iter().filter(|byte| **byte == b'\n').count();
        let is_padding = flipped[at].is_ascii_whitespace() && (bytes[at] == b'\n' && at + 1 == bytes.len());
        assert!(problems.iter().any(|problem| problem.line == line) || is_padding, "byte {at}, bit {bit}");
        assert!(found.totals().boots >= found.boots().len() as u64);
    }
}

#[test]
fn a_boot_the_ledger_lost_comes_back_from_its_heartbeat() {
    let mut host = Host::new();
    host.live(7200);
    let beat = crate::slots::Beat { boot: BootId(host.boot), at: host.now() };
    let mut ledger = Ledger::default();
    ledger.apply_beats(&[beat]);
    let boot = &ledger.boots()[0];
    assert_eq!((boot.boot, boot.start, boot.uptime), (BootId(1), host.booted, minutes(120)));
    assert_eq!(ledger.totals().boots, 1);
}

#[test]
fn an_old_heartbeat_takes_nothing_back() {
    let mut host = Host::new();
    host.live(600);
    let old = crate::slots::Beat { boot: BootId(host.boot), at: host.now() };
    host.live(600);
    let known = host.ledger.clone();
    host.ledger.apply_beats(&[old]);
    assert_eq!(host.ledger, known);
}

proptest! {
    #[test]
    fn survives_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        let (ledger, problems) = Ledger::parse(&bytes);
        prop_assert!(ledger.boots().is_empty());
        prop_assert_eq!(problems.is_empty(), bytes.is_empty());
    }

    /// Whatever a file holds that passes its checksum: no panic, no window that ends before it starts.
    #[test]
    fn survives_any_boots(boots in proptest::collection::vec(
        (any::<u8>(), any::<bool>(), -377_705_023_201_i64..253_402_207_201, any::<u64>(), any::<u32>(), 0..4_usize), 0..12,
    )) {
        let endings = [Ending::Running, Ending::Clean, Ending::Unclean, Ending::Unknown];
        let mut bytes = b"damaged header\n".to_vec();
        for (id, own, start, uptime, clock_steps, ended) in boots {
            let boot = Boot {
                boot: BootId(u128::from(id)),
                source: if own { Source::Own } else { Source::Journal },
                ended: endings[ended],
                reason: None,
                start: Timestamp::from_second(start).expect("in range"),
                uptime: Duration::from_secs(uptime),
                first_seen: None,
                kernel: None,
                command_line: None,
                clock_steps,
            };
            crate::sealed::seal(&boot, &mut bytes).expect("JSON");
        }
        let (mut ledger, problems) = Ledger::parse(&bytes);
        prop_assert_eq!(problems.len(), 1);
        let host = Host::new();
        ledger.enter(&host.identity(), host.now(), SHORT_BOOT);
        let _ = ledger.figures();
        let windows = windows(&ledger, &[], Options::default());
        prop_assert!(windows.iter().all(|window| window.start <= window.end));
        prop_assert!(table(&windows).lines().count() == windows.len() + 1);
        prop_assert_eq!(Ledger::parse(&ledger.to_bytes()).0, ledger);
    }
}

/// A boot whose line is damaged comes back from the heartbeat file, is not counted again, and its end neither.
#[test]
fn a_damaged_line_raises_no_counter_and_keeps_the_order() {
    let mut host = Host::new();
    host.live(7200);
    host.down(60);
    host.boot();
    host.live(7200);
    let second = crate::slots::Beat { boot: BootId(host.boot), at: host.now() };
    host.down(60);
    host.boot();
    host.live(7200);
    let third = crate::slots::Beat { boot: BootId(host.boot), at: host.now() };
    let whole = host.ledger.totals();
    assert_eq!((whole.boots, whole.unclean), (3, 2));

    for damaged in [2, 3] {
        let text = String::from_utf8(host.ledger.to_bytes()).expect("text");
        let lines: Vec<String> = text
            .lines()
            .zip(0..)
            .map(|(line, at)| if at == damaged { format!("x{line}") } else { line.to_owned() })
            .collect();
        let (mut ledger, problems) = Ledger::parse((lines.join("\n") + "\n").as_bytes());
        assert_eq!(problems.len(), 1);
        ledger.apply_beats(&[second, third]);
        assert_eq!(ledger.totals(), whole, "line {damaged}");
        ledger.enter(&host.identity(), host.now(), SHORT_BOOT);
        assert_eq!(ledger.totals(), whole, "line {damaged}");
        let order: Vec<u128> = ledger.boots().iter().map(|boot| boot.boot.0).collect();
        assert_eq!(order, [1, 2, 3], "line {damaged}");
        assert_eq!(ledger.boots().last().map(|boot| boot.ended), Some(Ending::Running));
    }
}
