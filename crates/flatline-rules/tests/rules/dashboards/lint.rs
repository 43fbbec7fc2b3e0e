//! The checks of Grafana's dashboard-linter (<https://github.com/grafana/dashboard-linter>, `docs/rules`), by the names
//! it gives them. The linter itself is a Go program; its rules are few and short.

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::{self, Expr, VectorSelector};
use promql_parser::util::{ExprVisitor, walk_expr};
use serde_json::Value;

use flatline_catalog::Kind;

use super::super::generated::repository;
use super::{generated, list, queries, text};

/// Runs a rule over every dashboard and fails with all that it finds.
fn rule(name: &str, check: impl Fn(&Value) -> Vec<String>) {
    let found: Vec<String> = generated()
        .iter()
        .flat_map(|(path, dashboard)| check(dashboard).into_iter().map(move |fault| format!("{path}: {fault}")))
        .collect();
    assert!(found.is_empty(), "{name}:\n{}", found.join("\n"));
}

fn variable<'a>(dashboard: &'a Value, name: &str) -> Option<&'a Value> {
    list(&dashboard["templating"], "list").iter().find(|variable| text(variable, "name") == name)
}

fn unless(good: bool, fault: impl Into<String>) -> Vec<String> {
    if good { Vec::new() } else { vec![fault.into()] }
}

#[test]
fn template_datasource_rule() {
    rule("template-datasource-rule", |dashboard| {
        let good = variable(dashboard, "datasource").is_some_and(|variable| {
            text(variable, "type") == "datasource"
                && text(variable, "query") == "prometheus"
                && text(variable, "label") == "Data source"
        });
        unless(good, "no variable `datasource` of type datasource, query prometheus, label `Data source`")
    });
}

/// `template-job-rule` and `template-instance-rule`.
fn target_variable(name: &'static str, label: &'static str) {
    rule(&format!("template-{name}-rule"), |dashboard| {
        let good = variable(dashboard, name).is_some_and(|variable| {
            text(variable, "type") == "query"
                && text(variable, "label") == label
                && variable["multi"] == true
                && text(variable, "allValue") == ".+"
                && ["$datasource", "${datasource}"].contains(&text(&variable["datasource"], "uid"))
        });
        unless(good, format!("variable `{name}` is not a query on $datasource labelled {label}, multi, all .+"))
    });
}

#[test]
fn template_job_rule() {
    target_variable("job", "Job");
}

#[test]
fn template_instance_rule() {
    target_variable("instance", "Instance");
}

#[test]
fn template_label_promql_rule() {
    rule("template-label-promql-rule", |dashboard| {
        let all = list(&dashboard["templating"], "list").iter();
        all.filter(|variable| text(variable, "type") == "query")
            .flat_map(|variable| {
                let query = text(variable, "query");
                let inside = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
                let asked = inside.and_then(|inside| inside.rsplit_once(", "));
                let good = asked.is_some_and(|(selector, label)| {
                    matches!(parser::parse(selector), Ok(Expr::VectorSelector(found)) if label == text(variable, "name")
                        && found.name.as_deref().and_then(flatline_rules::prometheus::find).is_some_and(|family|
                            ["job", "instance"].contains(&label) || family.has_label(label)))
                });
                unless(good, format!("{query} is no label_values of a metric that has the label"))
            })
            .collect()
    });
}

#[test]
fn template_on_time_change_reload_rule() {
    rule("template-on-time-change-reload-rule", |dashboard| {
        let all = list(&dashboard["templating"], "list").iter();
        all.filter(|variable| text(variable, "type") == "query" && variable["refresh"] != 2)
            .map(|variable| format!("{} is not read again when the time changes", variable["name"]))
            .collect()
    });
}

#[test]
fn uneditable_dashboard_rule() {
    rule("uneditable-dashboard", |dashboard| unless(dashboard["editable"] == false, "can be edited"));
}

/// A rule about each panel.
fn panel_rule(name: &str, what: &str, good: impl Fn(&Value) -> bool) {
    rule(name, |dashboard| {
        let panels = list(dashboard, "panels").iter();
        panels.filter(|panel| !good(panel)).map(|panel| format!("{}: {what}", panel["title"])).collect()
    });
}

#[test]
fn panel_datasource_rule() {
    panel_rule("panel-datasource-rule", "does not use the templated data source", |panel| {
        text(&panel["datasource"], "uid") == "${datasource}"
            && list(panel, "targets").iter().all(|target| text(&target["datasource"], "uid") == "${datasource}")
    });
}

#[test]
fn panel_title_description_rule() {
    panel_rule("panel-title-description-rule", "lacks a title or a description that says something", |panel| {
        text(panel, "title").len() > 3 && text(panel, "description").len() > 20
    });
}

#[test]
fn panel_units_rule() {
    /// Of Grafana's units those that are used here (`packages/grafana-data/src/valueFormats/categories.ts`).
    const UNITS: [&str; 8] = ["none", "short", "s", "cps", "percentunit", "bytes", "watt", "celsius"];
    panel_rule("panel-units-rule", "has no unit that Grafana knows", |panel| {
        UNITS.contains(&text(&panel["fieldConfig"]["defaults"], "unit"))
    });
}

#[test]
fn panel_no_targets_rule() {
    panel_rule("panel-no-targets-rule", "asks nothing", |panel| {
        !list(panel, "targets").is_empty()
            && list(panel, "targets").iter().all(|target| !text(target, "expr").is_empty())
    });
}

/// Ours: what the issue wants of every panel beyond the linter.
#[test]
fn panels_have_links_and_thresholds() {
    panel_rule("links", "links nothing", |panel| {
        !list(panel, "links").is_empty()
            && list(panel, "links").iter().all(|link| {
                let url = text(link, "url");
                text(link, "type") == "dashboards" || url.starts_with("https://") || url.starts_with("/d/flatline-")
            })
    });
    panel_rule("thresholds", "has no thresholds", |panel| {
        !list(&panel["fieldConfig"]["defaults"]["thresholds"], "steps").is_empty()
    });
}

/// Ours: what is linked is there.
#[test]
fn linked_dashboards_and_runbooks_exist() {
    let dashboards = generated();
    let repository = repository();
    let mut seen = 0;
    for (path, dashboard) in &dashboards {
        let json = dashboard.to_string();
        for (at, _) in json.match_indices("/d/flatline-") {
            let uid = json[at + 3..].split(['?', '"']).next().unwrap();
            assert!(dashboards.iter().any(|(_, other)| text(other, "uid") == uid), "{path} links {uid}");
            seen += 1;
        }
        for (at, _) in json.match_indices("https://flatline.example/") {
            let page = json[at + "https://flatline.example/".len()..].split('"').next().unwrap();
            assert!(repository.join(page).is_file(), "{path} links {page}");
            seen += 1;
        }
    }
    assert!(seen > 100);
}

/// Every expression of a dashboard as Grafana would send it, parsed.
fn parsed(dashboard: &Value) -> Vec<(String, Expr)> {
    let parse = |(panel, expr): (&str, &str)| {
        let sent = expr.replace("$__rate_interval", "1m");
        (format!("{panel}: {expr}"), parser::parse(&sent).unwrap_or_else(|error| panic!("{expr}: {error}")))
    };
    queries(dashboard).into_iter().map(parse).collect()
}

#[test]
fn target_promql_rule() {
    rule("target-promql-rule", |dashboard| unless(!parsed(dashboard).is_empty(), "no queries"));
}

/// Selectors of an expression, each with the functions it stands in and whether it has a range.
#[derive(Default)]
struct Selectors {
    found: Vec<(VectorSelector, Vec<&'static str>, Option<std::time::Duration>)>,
    inside: Vec<&'static str>,
}

impl ExprVisitor for Selectors {
    type Error = std::convert::Infallible;

    fn pre_visit(&mut self, expr: &Expr) -> Result<bool, Self::Error> {
        match expr {
            Expr::Call(call) => self.inside.push(call.func.name),
            Expr::VectorSelector(selector) => self.found.push((selector.clone(), self.inside.clone(), None)),
            Expr::MatrixSelector(matrix) => {
                self.found.push((matrix.vs.clone(), self.inside.clone(), Some(matrix.range)));
            }
            _ => {}
        }
        Ok(true)
    }

    fn post_visit(&mut self, expr: &Expr) -> Result<bool, Self::Error> {
        if let Expr::Call(_) = expr {
            self.inside.pop();
        }
        Ok(true)
    }
}

fn selectors(expr: &Expr) -> Vec<(VectorSelector, Vec<&'static str>, Option<std::time::Duration>)> {
    let mut visitor = Selectors::default();
    walk_expr(&mut visitor, expr).unwrap();
    visitor.found
}

/// `target-job-rule` and `target-instance-rule`.
fn matched(label: &'static str) {
    rule(&format!("target-{label}-rule"), |dashboard| {
        let variable = format!("${label}");
        let chosen = |matcher: &Matcher| {
            matcher.name == label && matcher.value == variable && matches!(matcher.op, MatchOp::Re(_))
        };
        parsed(dashboard)
            .iter()
            .filter(|(_, expr)| {
                selectors(expr).iter().any(|(selector, ..)| !selector.matchers.matchers.iter().any(chosen))
            })
            .map(|(place, _)| format!("{place}: a selector without {label}=~\"{variable}\""))
            .collect()
    });
}

#[test]
fn target_job_rule() {
    matched("job");
}

#[test]
fn target_instance_rule() {
    matched("instance");
}

#[test]
fn target_counter_agg_rule() {
    const COUNTS: [&str; 5] = ["rate", "irate", "increase", "resets", "changes"];
    rule("target-counter-agg-rule", |dashboard| {
        let exprs = parsed(dashboard);
        let bare = exprs.iter().filter(|(_, expr)| {
            selectors(expr).iter().any(|(selector, functions, _)| {
                let family = selector.name.as_deref().and_then(flatline_rules::prometheus::find);
                family.is_some_and(|family| family.kind == Kind::Counter)
                    && !functions.iter().any(|function| COUNTS.contains(function))
            })
        });
        bare.map(|(place, _)| format!("{place}: a counter as it is")).collect()
    });
}

/// The linter lets its users exempt queries over a fixed time. Ours are these: windows that the alert has too, so that
/// the panel shows what the alert judges, and counts within an hour or a day.
#[test]
fn target_rate_interval_rule() {
    const FIXED: [&str; 7] = [
        "Hosts",
        "Cgroups throttled at memory.high",
        "Cgroups waiting for memory",
        "Pages freed per throttling",
        "Trouble in the kernel's log",
        "Kernel faults",
        "What services said",
    ];
    rule("target-rate-interval-rule", |dashboard| {
        let all = queries(dashboard).into_iter();
        all.filter(|(panel, expr)| {
            let rated = ["rate(", "irate(", "increase("].iter().any(|function| expr.contains(function));
            rated && !expr.contains("[$__rate_interval]") && !FIXED.contains(panel)
        })
        .map(|(panel, expr)| format!("{panel}: {expr}"))
        .collect()
    });
}
