//! Every clause of every alert, removed or altered, must make a unit test fail: a clause that no test notices is
//! either superfluous or untested.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use flatline_catalog::{Family, boots, crash_capture, memcg, watchdog};
use flatline_rules::model::{Alert, Record, Signal};
use flatline_rules::prometheus::{VM_DISK_WRITES, VM_DISK_WRITES_USUAL};
use flatline_rules::promql::{Expr, Matching, Op, Select};
use flatline_rules::span::Span;
use flatline_rules::{Config, signals};

use super::support;

/// Families one could mistake for each other.
const MISTAKES: [(&Family, &Family); 13] = [
    (&memcg::LOCAL_EVENTS, &memcg::EVENTS),
    (&memcg::EVENTS, &memcg::LOCAL_EVENTS),
    (&memcg::WAITING_SECONDS, &memcg::STALLED_SECONDS),
    (&memcg::RECLAIM_RECLAIMED_PAGES, &memcg::RECLAIM_SCANNED_PAGES),
    (&watchdog::PROTECTING, &watchdog::ACTIVE),
    (&watchdog::ACTIVE, &watchdog::PROTECTING),
    (&watchdog::OWNED, &watchdog::ACTIVE),
    (&boots::UNCLEAN_BOOTS, &boots::BOOTS),
    (&boots::SHORT_BOOTS, &boots::UNCLEAN_BOOTS),
    (&crash_capture::CAPTURES, &crash_capture::CAPTURES_EMPTY),
    (&crash_capture::CAPTURES_EMPTY, &crash_capture::CAPTURES),
    (&VM_DISK_WRITES, &VM_DISK_WRITES_USUAL),
    (&VM_DISK_WRITES_USUAL, &VM_DISK_WRITES),
];

/// An altered expression and what was altered.
type Mutant = (String, Expr);

/// All expressions that differ from this one in one place.
fn mutants(expr: &Expr) -> Vec<Mutant> {
    let mut found = here(expr);
    let rebuilt = |part: &Expr, rebuild: &dyn Fn(Expr) -> Expr| -> Vec<Mutant> {
        mutants(part).into_iter().map(|(what, part)| (what, rebuild(part))).collect()
    };
    match expr {
        Expr::Number(_) | Expr::Text(_) | Expr::Select(_) => {}
        Expr::Noted { note, expr } => {
            return rebuilt(expr, &|expr| Expr::Noted { note: note.clone(), expr: Box::new(expr) });
        }
        Expr::Call { function, args } => {
            for (index, arg) in args.iter().enumerate() {
                found.extend(rebuilt(arg, &|arg| {
                    let mut args = args.clone();
                    args[index] = arg;
                    Expr::Call { function, args }
                }));
            }
        }
        Expr::Aggregate { op, grouping, of } => {
            found.extend(rebuilt(of, &|of| Expr::Aggregate { op, grouping: grouping.clone(), of: Box::new(of) }));
        }
        Expr::Binary { left, op, matching, right } => {
            found.extend(rebuilt(left, &|left| left.binary(*op, matching.clone(), (**right).clone())));
            found.extend(rebuilt(right, &|right| (**left).clone().binary(*op, matching.clone(), right)));
        }
    }
    found
}

/// The alterations of the outermost operator.
fn here(expr: &Expr) -> Vec<Mutant> {
    let mutant = |what: &str, mutated: Expr| (format!("{what}: {}", expr.to_string().replace('\n', " ")), mutated);
    match expr {
        Expr::Select(select) => {
            select_mutants(select).into_iter().map(|(what, select)| mutant(&what, select.into())).collect()
        }
        Expr::Binary { left, op, matching, right } => {
            let (left, right) = ((**left).clone(), (**right).clone());
            let mut found = Vec::new();
            // Of `time() - x` nothing would be left that Prometheus compares.
            if !matches!(&left, Expr::Call { args, .. } if args.is_empty()) {
                found.push(mutant("without the right side", left.clone()));
            }
            if *op == Op::Or {
                found.push(mutant("without the left side", right.clone()));
            }
            // `and not` instead of `unless`: blind as soon as the series is missing.
            if let (Op::Unless, Expr::Binary { left: inner, op: comparison, matching: inner_matching, right: limit }) =
                (op, bare(&right))
                && comparison.is_comparison()
            {
                let opposite =
                    (**inner).clone().binary(opposite(*comparison), inner_matching.clone(), (**limit).clone());
                found.push(mutant("blinded by a missing series", left.clone().and(matching.clone(), opposite)));
            }
            if op.is_comparison() {
                found.push(mutant("turned round", left.clone().binary(opposite(*op), matching.clone(), right.clone())));
            }
            if let (Expr::Number(number), false) = (&right, op.is_set()) {
                for factor in [0.5, 2.0].into_iter().filter(|_| *number > 1.0 || number.fract() != 0.0) {
                    let altered = left.clone().binary(*op, matching.clone(), number * factor);
                    found.push(mutant(&format!("{factor} times the limit"), altered));
                }
            }
            if let (Expr::Number(number), Op::Times) = (&left, op) {
                for factor in [0.5, 2.0] {
                    found.push(mutant(
                        &format!("{factor} times the factor"),
                        Expr::Number(number * factor).times(right.clone()),
                    ));
                }
            }
            if let Matching::On(labels) = matching {
                for label in labels {
                    let fewer = labels.iter().filter(|other| *other != label).cloned().collect();
                    let altered = left.clone().binary(*op, Matching::On(fewer), right.clone());
                    found.push(mutant(&format!("whatever the {label}"), altered));
                }
            }
            found
        }
        _ => Vec::new(),
    }
}

fn bare(expr: &Expr) -> &Expr {
    match expr {
        Expr::Noted { expr, .. } => bare(expr),
        other => other,
    }
}

fn opposite(op: Op) -> Op {
    match op {
        Op::Equal => Op::NotEqual,
        Op::NotEqual => Op::Equal,
        Op::Above => Op::AtMost,
        Op::AtMost => Op::Above,
        Op::Below => Op::AtLeast,
        Op::AtLeast => Op::Below,
        other => other,
    }
}

fn select_mutants(select: &Select) -> Vec<(String, Select)> {
    let mut found = Vec::new();
    for (index, matcher) in select.matchers.iter().enumerate() {
        let mut altered = select.clone();
        altered.matchers.remove(index);
        found.push((format!("whatever the {}", matcher.label), altered));
    }
    for (family, mistake) in MISTAKES {
        if family == select.family {
            found.push((format!("{} instead", mistake.name), Select { family: mistake, ..select.clone() }));
        }
    }
    if select.offset.is_some() {
        found.push(("without the offset".to_owned(), Select { offset: None, ..select.clone() }));
    }
    found
}

/// An alert and the records it needs, one of them altered in one place.
fn alert_mutants(signal: &Signal, alert: &Alert) -> Vec<(String, Vec<Record>, Alert)> {
    let mut altered: Vec<(String, Alert)> =
        mutants(&alert.expr).into_iter().map(|(what, expr)| (what, Alert { expr, ..alert.clone() })).collect();
    if !alert.hold.is_zero() {
        altered.push(("for: 0s".to_owned(), Alert { hold: Span::ZERO, ..alert.clone() }));
        altered.push(("twice the for".to_owned(), Alert { hold: alert.hold * 2, ..alert.clone() }));
    }
    let records: Vec<Record> = signal.records.iter().filter(|record| record.alert == alert.name).cloned().collect();
    let mut found: Vec<_> = altered.into_iter().map(|(what, alert)| (what, records.clone(), alert)).collect();
    for (index, record) in records.iter().enumerate() {
        found.extend(mutants(&record.expr).into_iter().map(|(what, expr)| {
            let mut records = records.clone();
            records[index].expr = expr;
            (format!("{}, {what}", record.family.name), records, alert.clone())
        }));
    }
    found
}

/// Mutants that mean the same as the original, and why. Everything else must be killed.
const EQUIVALENT: [(&str, &str); 3] = [
    (
        "DevvmFrozen: whatever the job: process_cpu_seconds_total",
        "both sides of the comparison name the job, and agree in all labels",
    ),
    (
        "KernelFatalHardwareError: whatever the kind: flatline_kernel_device_events_total{kind=~\"pcie_aer_error|edac_error\",phase=~\"Uncorrect[a-z]+ .Fatal.|UE\"}[30d]",
        SPARED,
    ),
    (
        "KernelFatalHardwareError: whatever the phase: flatline_kernel_device_events_total{kind=~\"pcie_aer_error|edac_error\",phase=~\"Uncorrect[a-z]+ .Fatal.|UE\"}[30d]",
        SPARED,
    ),
];
const SPARED: &str = "what is compared agrees in all labels; thirty days of all other series need not be read for it";

fn equivalent(what: &str) -> bool {
    EQUIVALENT.iter().any(|(start, _)| what.starts_with(start))
}

#[test]
fn no_clause_can_go_unnoticed() {
    // Short windows mean few samples, so that hundreds of mutants are judged within seconds.
    let mut config = Config::default();
    config.devvm.absent_lookback = Span::minutes(10);
    config.exporter.absent_lookback = Span::minutes(10);
    config.devvm.flapping_window = Span::minutes(5);
    config.devvm.frozen_window = Span::minutes(5);
    config.vm.write_zero_window = Span::minutes(1);
    config.vm.write_zero_baseline = Span::minutes(40);
    config.vm.gone_after = Span::minutes(2);
    config.vm.unreadable_for = Span::minutes(2);
    config.watchdog.expected_owners.insert("hemma:.*".to_owned(), "wd_keepalive".to_owned());
    config.gpu.ppt_watts = Some(300.0);
    config.boots.recent = Span::minutes(5);
    config.kernel_log.said_within = Span::minutes(2);
    config.journal.said_within = Span::minutes(2);
    config.netconsole.said_within = Span::minutes(2);

    let mut alive = Vec::new();
    for signal in signals::all(&config) {
        for alert in &signal.alerts {
            for (what, records, mutated) in alert_mutants(&signal, alert) {
                let cases = signal.cases.iter().filter(|case| case.alert == alert.name).cloned().collect();
                let mutated = Signal { records, alerts: vec![mutated], cases, ..signal.clone() };
                alive.push((format!("{}: {what}", alert.name), mutated));
            }
        }
    }
    let total = alive.len();
    assert!(total > 100, "only {total} mutants");
    for round in 0..ROUNDS {
        alive = survivors(alive, round, &config);
    }
    alive.retain(|(what, _)| !equivalent(what));
    let alive: Vec<&str> = alive.iter().map(|(what, _)| what.as_str()).collect();
    assert!(alive.is_empty(), "{} of {total} survived:\n{}", alive.len(), alive.join("\n"));
}

/// Most mutants die of any few tests, so that only the rest need all of them.
const ROUNDS: usize = 8;

/// The mutants that none of this round's share of their tests has noticed.
fn survivors(mutants: Vec<(String, Signal)>, round: usize, config: &Config) -> Vec<(String, Signal)> {
    let directory = tempfile::tempdir().unwrap();
    let files: BTreeMap<PathBuf, (String, Signal)> = mutants
        .into_iter()
        .enumerate()
        .map(|(index, (what, signal))| {
            let cases = signal.cases.iter().skip(round).step_by(ROUNDS).cloned().collect();
            let share = Signal { cases, ..signal.clone() };
            (support::write(&share, config, &directory.path().join(index.to_string())), (what, signal))
        })
        .collect();
    let paths: Vec<_> = files.keys().cloned().collect();
    // A mutant that Prometheus can't read would prove nothing.
    let rules: Vec<_> = paths.iter().map(|path| path.ancestors().nth(2).unwrap().join("flatline.rules.yml")).collect();
    let checked = support::promtool(&["check", "rules"], &rules);
    assert!(checked.status.success(), "{}", support::said(&checked));

    let halves: Vec<String> = std::thread::scope(|scope| {
        let run = |files| scope.spawn(move || support::promtool(&["test", "rules"], files));
        let (left, right) = paths.split_at(paths.len() / 2);
        [run(left), run(right)].map(|half| String::from_utf8(half.join().unwrap().stdout).unwrap()).into()
    });
    // promtool names each file on standard output, and says SUCCESS below it if nothing failed.
    let verdicts: BTreeMap<&Path, bool> = halves
        .iter()
        .flat_map(|half| half.split("Unit Testing:").skip(1))
        .map(|block| block.split_once('\n').unwrap())
        .map(|(path, verdict)| (Path::new(path.trim()), verdict.contains("SUCCESS")))
        .collect();
    assert_eq!(verdicts.len(), files.len(), "promtool judged every mutant");
    files.iter().filter(|(path, _)| verdicts[path.as_path()]).map(|(_, mutant)| mutant.clone()).collect()
}
