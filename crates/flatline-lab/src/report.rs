//! What came of the scenarios, for people: a table in Markdown, and a page with a plot of each.

use std::fmt::Write as _;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::drills::{ALL, Drill, EventKind, OthersSaid, Outcome, Scrapes};
use crate::plot::{DrawError, plot};

/// The page in Markdown: who was told, and how soon; who else saw it; how the exporters answered meanwhile. The page
/// with the plots stands beside it as `<name>.html`.
#[must_use]
pub fn markdown(outcomes: &[Outcome], name: &str) -> String {
    [head(name), incidents(outcomes), healthy(outcomes), who_else(outcomes), exporters(outcomes), machines(outcomes)]
        .concat()
}

fn head(name: &str) -> String {
    format!(
        "<!-- Written by flatline-lab. -->\n\n\
         # How soon Flatline tells\n\n\
         Each line is a real machine in QEMU that was really broken, a real Prometheus and Alertmanager with the generated\n\
         files, and a recorded Slack. Seconds count from the moment of the break. [{name}.html]({name}.html) has the\n\
         plots; `cargo run -p flatline-lab -- run SCENARIO` does it again (with `FLATLINE_LAB_KERNEL=newest` on the newest Linux),\n\
         [lab.md](lab.md) tells how.\n\n"
    )
}

fn incidents(outcomes: &[Outcome]) -> String {
    let mut page = "## Incidents\n\n\
         | scenario | what is broken | alert | pending | firing | Slack | verdict |\n|---|---|---|---|---|---|---|\n"
        .to_owned();
    for (drill, outcome) in run(outcomes).filter(|(drill, _)| !drill.is_healthy()) {
        for alert in drill.expects {
            let after = |kind| seconds(outcome.seconds_to(kind, alert));
            let _ = writeln!(
                page,
                "| `{}` | {} | [{alert}](runbooks/{alert}.md) | {} | {} | {} | {} |",
                drill.name,
                drill.breaks,
                after(EventKind::Pending),
                after(EventKind::Firing),
                after(EventKind::Slack),
                verdict(outcome),
            );
        }
    }
    page + "\nAn alert without `for` is never pending: its window is in its expression.\n"
}

/// Nothing, where none was run.
fn healthy(outcomes: &[Outcome]) -> String {
    let healthy: Vec<_> = run(outcomes).filter(|(drill, _)| drill.is_healthy()).collect();
    if healthy.is_empty() {
        return String::new();
    }
    let mut page = "\n## Healthy look-alikes\n\n\
         | scenario | what happens | looked at for | fired | verdict |\n|---|---|---|---|---|\n"
        .to_owned();
    for (drill, outcome) in healthy {
        let fired: Vec<_> =
            outcome.fired().iter().map(|event| format!("{} ({})", event.what, event.severity)).collect();
        let fired = if fired.is_empty() { "nothing".to_owned() } else { fired.join(", ") };
        let looked = outcome.seconds - outcome.onset().unwrap_or_default();
        let _ =
            writeln!(page, "| `{}` | {} | {looked:.0} s | {fired} | {} |", drill.name, drill.breaks, verdict(outcome));
    }
    page
}

/// What the rules of others said of the same machines; nothing, where they were not asked.
fn who_else(outcomes: &[Outcome]) -> String {
    let asked: Vec<_> = run(outcomes).filter(|(_, outcome)| !outcome.others.is_empty()).collect();
    let mut names: Vec<&str> = asked.iter().flat_map(|(_, outcome)| &outcome.others).map(|said| &*said.by).collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        return String::new();
    }
    let calm = said_of_healthy(outcomes);
    let mut page = format!("\n## Who else sees it\n\n{WHO_ELSE}\n| scenario | Flatline |");
    for name in &names {
        let _ = write!(page, " {name} |");
    }
    let _ = writeln!(page, "\n|---|---|{}", "---|".repeat(names.len()));
    for (drill, outcome) in asked {
        let _ = write!(page, "| `{}` | {} |", drill.name, ours(drill, outcome));
        for name in &names {
            let said = outcome.others.iter().find(|said| said.by == *name);
            let _ =
                write!(page, " {} |", said.map_or_else(|| "not asked".to_owned(), |said| others(outcome, said, &calm)));
        }
        page.push('\n');
    }
    page
}

const WHO_ELSE: &str = "The same machines, judged by the same Prometheus with the rules of others, over node_exporter in \
the same guest:\nnode-mixin-alerts is [node_exporter's own mixin](https://github.com/prometheus/node_exporter/tree/master/docs/node-mixin)\n\
with its defaults, awesome-node-exporter that part of\n\
[awesome-prometheus-alerts](https://github.com/samber/awesome-prometheus-alerts). Incidents that last were left broken for\n\
more than a quarter of an hour, as some of these rules wait that long. What was true before the break is left out; what is\n\
marked ° is also said of a healthy machine, so it tells nothing of the incident. These files have no rule on `up`; whoever\n\
uses them has one, and it tells of the machines whose node_exporter misses all scrapes in the table below: dead or paused.\n";

/// What we told of a scenario, and when it fired.
fn ours(drill: &Drill, outcome: &Outcome) -> String {
    let told = |alert: &&str| Some(format!("{alert} {}", seconds(Some(outcome.seconds_to(EventKind::Firing, alert)?))));
    let expected: Vec<String> = drill.expects.iter().filter_map(told).collect();
    if expected.is_empty() { "nothing".to_owned() } else { expected.join(", ") }
}

fn others(outcome: &Outcome, said: &OthersSaid, calm: &[(&str, &str)]) -> String {
    let mark = |name: &str| if calm.contains(&(&said.by, name)) { "°" } else { "" };
    let seen: Vec<String> =
        outcome.seen_by(said).iter().map(|(name, after)| format!("{name}{} {after:.0} s", mark(name))).collect();
    if seen.is_empty() { "nothing".to_owned() } else { seen.join(", ") }
}

/// Whose alerts fire on healthy machines.
fn said_of_healthy(outcomes: &[Outcome]) -> Vec<(&str, &str)> {
    let healthy = run(outcomes).filter(|(drill, _)| drill.is_healthy());
    let said = healthy.flat_map(|(_, outcome)| &outcome.others);
    said.flat_map(|said| said.alerts.iter().map(|alert| (&*said.by, &*alert.alert))).collect()
}

fn exporters(outcomes: &[Outcome]) -> String {
    let mut page = "\n## The exporters meanwhile\n\nFrom the break to the end, as Prometheus measured. `devvm` and \
         `flatline` are flatline-exporter, in the guest and on the hypervisor; `node` is node_exporter in the same guest.\n\n\
         | scenario | job | scrapes | missed | p50 | p99 | slowest |\n|---|---|---|---|---|---|---|\n"
        .to_owned();
    for (drill, outcome) in run(outcomes) {
        for Scrapes { job, count, missed, p50, p99, max } in &outcome.scrapes {
            let [p50, p99, max] = [p50, p99, max].map(|took| milliseconds(*took));
            let _ = writeln!(page, "| `{}` | {job} | {count} | {missed} | {p50} | {p99} | {max} |", drill.name);
        }
    }
    page
}

fn machines(outcomes: &[Outcome]) -> String {
    let mut page =
        "\n## On what\n\n| scenario | when (UTC) | machine | scraped and evaluated |\n|---|---|---|---|\n".to_owned();
    for (drill, outcome) in run(outcomes) {
        let _ = writeln!(page, "| `{}` | {} | {} | {} |", drill.name, outcome.began, outcome.machine, outcome.pace);
    }
    page
}

/// The outcomes of known scenarios, in the order of the list.
fn run(outcomes: &[Outcome]) -> impl Iterator<Item = (&'static Drill, &Outcome)> {
    let of = |drill: &Drill| outcomes.iter().find(|outcome| outcome.scenario == drill.name);
    ALL.iter().filter_map(move |drill| Some((*drill, of(drill)?)))
}

fn milliseconds(took: Option<f64>) -> String {
    took.map_or_else(|| "–".to_owned(), |seconds| format!("{:.0} ms", seconds * 1000.0))
}

fn seconds(after: Option<f64>) -> String {
    after.map_or_else(|| "–".to_owned(), |seconds| format!("{seconds:.0} s"))
}

fn verdict(outcome: &Outcome) -> String {
    if outcome.passed() { "as promised".to_owned() } else { format!("**failed**: {}", outcome.failures.join("; ")) }
}

/// The page with a plot of each scenario and what Slack was told.
///
/// # Errors
/// When a plot can't be drawn.
pub fn html(outcomes: &[Outcome]) -> Result<String, DrawError> {
    let sections = run(outcomes).map(|(drill, outcome)| section(drill, outcome)).collect::<Result<Vec<_>, _>>()?;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head { meta charset="utf-8"; title { "Flatline: how soon it tells" } style { (PreEscaped(STYLE)) } }
            body {
                h1 { "How soon Flatline tells" }
                p { "Red is firing, amber is pending, the dashed line is the moment of the break, a dot is a message in Slack." }
                @for section in &sections { (section) }
            }
        }
    };
    Ok(page.into_string() + "\n")
}

fn section(drill: &Drill, outcome: &Outcome) -> Result<Markup, DrawError> {
    let drawn = plot(outcome)?;
    Ok(html! {
        h2 id=(drill.name) { (drill.name) }
        p { (drill.breaks) br; span.bad[!outcome.passed()] { (verdict(outcome).replace("**", "")) } }
        (PreEscaped(drawn))
        @for message in &outcome.messages {
            pre { (format!("{:.0} s, {}: {}\n{}", message.at, message.channel, message.title, message.text.trim())) }
        }
        "\n"
    })
}

const STYLE: &str = "body{font:15px/1.45 system-ui,sans-serif;max-width:940px;margin:2em auto;padding:0 1em;color:#222}\
     h2{margin-top:2.2em}pre{background:#f6f6f6;padding:.8em;white-space:pre-wrap}.bad{color:#c9302c}\
     svg{max-width:100%;height:auto}";
