//! Finds unit tests about alerts that don't exist.
//!
//! promtool compares what fires with what is expected, so a test that expects nothing of a misspelt alert passes for
//! ever. Any test file can be held against any rule files here, generated or written by hand.

use promql_parser::parser::{self, Expr};
use promql_parser::util::{ExprVisitor, walk_expr};
use serde::Deserialize;

#[derive(Deserialize)]
struct TestFile {
    #[serde(default)]
    tests: Vec<Test>,
}

#[derive(Deserialize)]
struct Test {
    #[serde(default)]
    alert_rule_test: Vec<AlertTest>,
    #[serde(default)]
    promql_expr_test: Vec<ExprTest>,
}

#[derive(Deserialize)]
struct AlertTest {
    alertname: String,
}

#[derive(Deserialize)]
struct ExprTest {
    expr: String,
}

#[derive(Deserialize)]
struct RuleFile {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    alert: Option<String>,
}

/// The alerts that a test file names and that none of the rule files has.
///
/// # Errors
/// When a file is no test or rule file, or an expression in it can't be read.
pub fn unknown_alerts(test_file: &str, rule_files: &[&str]) -> Result<Vec<String>, String> {
    let mut known = Vec::new();
    for rule_file in rule_files {
        let RuleFile { groups } = serde_yaml::from_str(rule_file).map_err(|error| error.to_string())?;
        known.extend(groups.into_iter().flat_map(|group| group.rules).filter_map(|rule| rule.alert));
    }
    let TestFile { tests } = serde_yaml::from_str(test_file).map_err(|error| error.to_string())?;
    let mut named = Named::default();
    for Test { alert_rule_test, promql_expr_test } in tests {
        named.0.extend(alert_rule_test.into_iter().map(|test| test.alertname));
        for ExprTest { expr } in promql_expr_test {
            let expr = parser::parse(&expr)?;
            walk_expr(&mut named, &expr)?;
        }
    }
    named.0.retain(|name| !known.contains(name));
    named.0.dedup();
    Ok(named.0)
}

/// Collects the alerts that expressions select from `ALERTS`.
#[derive(Default)]
struct Named(Vec<String>);

impl ExprVisitor for Named {
    type Error = String;

    fn pre_visit(&mut self, expr: &Expr) -> Result<bool, String> {
        let selector = match expr {
            Expr::VectorSelector(selector) => selector,
            Expr::MatrixSelector(matrix) => &matrix.vs,
            _ => return Ok(true),
        };
        if selector.name.as_deref() == Some("ALERTS") {
            self.0.extend(selector.matchers.find_matchers("alertname").into_iter().map(|matcher| matcher.value));
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::unknown_alerts;

    const RULES: &str = "groups: [{name: g, rules: [{alert: Real, expr: up}, {record: a, expr: up}]}]";

    fn unknown(tests: &str) -> Vec<String> {
        unknown_alerts(&format!("tests: [{tests}]"), &[RULES]).unwrap()
    }

    #[test]
    fn a_test_of_an_alert_that_does_not_exist_is_found() {
        assert_eq!(unknown("{alert_rule_test: [{alertname: Reel, eval_time: 1m, exp_alerts: []}]}"), ["Reel"]);
        assert_eq!(
            unknown(r#"{promql_expr_test: [{expr: 'sum(count_over_time(ALERTS{alertname="Reel"}[5m]))'}]}"#),
            ["Reel"]
        );
        assert_eq!(unknown(r#"{promql_expr_test: [{expr: 'ALERTS{alertname="Reel"} == 1'}]}"#), ["Reel"]);
    }

    #[test]
    fn real_ones_are_not() {
        assert!(unknown("{alert_rule_test: [{alertname: Real}]}, {promql_expr_test: [{expr: 'up'}]}").is_empty());
        assert!(unknown(r#"{promql_expr_test: [{expr: 'ALERTS{alertname="Real"}'}]}"#).is_empty());
    }

    #[test]
    fn what_is_no_test_file_is_refused() {
        assert!(unknown_alerts("tests: 5", &[RULES]).is_err());
        assert!(unknown_alerts("tests: []", &["groups: 5"]).is_err());
    }
}
