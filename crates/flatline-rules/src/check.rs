//! Holds an expression's text against the catalogue.
//!
//! The types of [`crate::promql`] already make it hard to name a metric nobody exports. This reads the finished
//! text again, as Prometheus would, and follows the labels through every operator, so that a label that isn't there
//! (a matcher that never matches, a grouping that groups nothing) is refused as well.

use std::collections::BTreeSet;

use promql_parser::label::{METRIC_NAME, Matchers};
use promql_parser::parser::token::T_LOR;
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{self, BinaryExpr, Expr, LabelModifier, VectorSelector};

use crate::prometheus;

/// Why an expression is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Prometheus could not read it.
    #[error("not PromQL: {0}")]
    Syntax(String),
    /// The metric is not in the catalogue.
    #[error("nobody exports `{name}`{}", nearest(name, metric_names()))]
    UnknownMetric {
        /// The name.
        name: String,
    },
    /// Series are selected without saying of which metric.
    #[error("a selector without a metric name: {0}")]
    Nameless(String),
    /// The label is not there at that point.
    #[error("no label `{label}` on {on}{}", nearest(label, names(has)))]
    UnknownLabel {
        /// The label.
        label: String,
        /// What should carry it.
        on: String,
        /// The labels that are there.
        has: BTreeSet<String>,
    },
}

/// Which of the candidates is most like `wanted`, as the end of a sentence.
#[must_use]
pub fn nearest<'a>(wanted: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(wanted, candidate), candidate))
        .min()
        .filter(|(distance, candidate)| *distance <= candidate.len().max(6) / 2)
        .map_or_else(String::new, |(_, candidate)| format!("; did you mean `{candidate}`?"))
}

fn metric_names() -> impl Iterator<Item = &'static str> {
    flatline_catalog::all().chain(prometheus::FAMILIES.iter().copied()).map(|family| family.name)
}

/// Checks an expression and says which labels its series carry.
///
/// `target_labels` are the labels every scraped series has: `job`, `instance`, and what else the scrape
/// configuration adds. `alert_labels` are those that every alert is given, which its series in `ALERTS` have too.
///
/// # Errors
/// When the text is no PromQL, or names a metric or label that does not exist.
pub fn check(text: &str, target_labels: &[String], alert_labels: &[String]) -> Result<BTreeSet<String>, Refusal> {
    // Grafana fills in its own range before it asks Prometheus.
    let text = text.replace("[$__rate_interval]", "[1m]");
    let expr = parser::parse(&text).map_err(Refusal::Syntax)?;
    Scope { target_labels, alert_labels }.labels(&expr)
}

struct Scope<'a> {
    target_labels: &'a [String],
    alert_labels: &'a [String],
}

type Labels = BTreeSet<String>;

impl Scope<'_> {
    fn labels(&self, expr: &Expr) -> Result<Labels, Refusal> {
        match expr {
            Expr::VectorSelector(selector) => self.selector(selector),
            Expr::MatrixSelector(matrix) => self.selector(&matrix.vs),
            Expr::Paren(paren) => self.labels(&paren.expr),
            Expr::Unary(unary) => self.labels(&unary.expr),
            Expr::Subquery(subquery) => self.labels(&subquery.expr),
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => Ok(Labels::new()),
            Expr::Call(call) => {
                let mut labels = Labels::new();
                for arg in &call.args.args {
                    labels.extend(self.labels(arg)?);
                }
                if call.func.name == "label_replace" {
                    let texts: Vec<&str> = call.args.args.iter().filter_map(|arg| as_text(arg)).collect();
                    if let [target, _, source, _] = texts.as_slice() {
                        require(&labels, [*source], &expr.to_string())?;
                        labels.insert((*target).to_owned());
                    }
                }
                Ok(labels)
            }
            Expr::Aggregate(aggregate) => {
                let inner = self.labels(&aggregate.expr)?;
                let Some(modifier) = &aggregate.modifier else { return Ok(Labels::new()) };
                let named = &modifier.labels().labels;
                require(&inner, named.iter().map(String::as_str), &aggregate.expr.to_string())?;
                let named: Labels = named.iter().cloned().collect();
                Ok(if modifier.is_include() { named } else { &inner - &named })
            }
            Expr::Binary(binary) => self.binary(binary),
        }
    }

    fn binary(&self, binary: &BinaryExpr) -> Result<Labels, Refusal> {
        let (left, right) = (self.labels(&binary.lhs)?, self.labels(&binary.rhs)?);
        let scalar = |side: &Expr| side.value_type() == ValueType::Scalar;
        if scalar(&binary.lhs) {
            return Ok(right);
        }
        if scalar(&binary.rhs) {
            return Ok(left);
        }
        let (lhs, rhs) = (binary.lhs.to_string(), binary.rhs.to_string());
        let matching = binary.modifier.as_ref().and_then(|modifier| modifier.matching.as_ref());
        let named: Labels = matching.map(|labels| labels.labels().labels.iter().cloned().collect()).unwrap_or_default();
        let on = matching.is_some_and(LabelModifier::is_include);
        if binary.op.id() == T_LOR {
            return Ok(&left | &right);
        }
        if on {
            require(&left, names(&named), &lhs)?;
            require(&right, names(&named), &rhs)?;
        } else {
            // What is ignored must be on one side at least, or it is a slip of the pen,
            require(&(&left | &right), names(&named), &format!("either side of `{}`", binary.op))?;
            // and what is not ignored must be on both, or the two never agree.
            require(&right, names(&(&left - &named)), &rhs)?;
            require(&left, names(&(&right - &named)), &lhs)?;
        }
        Ok(if binary.op.is_set_operator() {
            left
        } else if on {
            named
        } else {
            &left - &named
        })
    }

    fn selector(&self, selector: &VectorSelector) -> Result<Labels, Refusal> {
        let name = selector.name.clone().ok_or_else(|| Refusal::Nameless(selector.to_string()))?;
        let family = prometheus::find(&name).ok_or_else(|| Refusal::UnknownMetric { name: name.clone() })?;
        let mut labels: Labels = self.target_labels.iter().cloned().collect();
        labels.extend(family.labels.iter().map(|label| label.name.to_owned()));
        if family == &prometheus::ALERTS {
            labels.extend(self.alert_labels.iter().cloned());
        }
        let Matchers { matchers, or_matchers } = &selector.matchers;
        let matched = matchers.iter().chain(or_matchers.iter().flatten()).map(|matcher| matcher.name.as_str());
        require(&labels, matched.filter(|label| *label != METRIC_NAME), &name)?;
        Ok(labels)
    }
}

fn as_text(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::StringLiteral(text) => Some(&text.val),
        _ => None,
    }
}

fn names(labels: &Labels) -> impl Iterator<Item = &str> {
    labels.iter().map(String::as_str)
}

fn require<'a>(has: &Labels, wanted: impl IntoIterator<Item = &'a str>, on: &str) -> Result<(), Refusal> {
    wanted.into_iter().find(|label| !has.contains(*label)).map_or(Ok(()), |label| {
        Err(Refusal::UnknownLabel { label: label.to_owned(), on: on.to_owned(), has: has.clone() })
    })
}

#[cfg(test)]
mod tests {
    use super::{Refusal, check};

    fn verdict(text: &str) -> Result<Vec<String>, String> {
        let target = ["job", "instance"].map(str::to_owned);
        check(text, &target, &["team".to_owned()])
            .map(|labels| labels.into_iter().collect())
            .map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn knows_the_labels_that_come_out() {
        let labels = |text| verdict(text).unwrap().join(" ");
        assert_eq!(labels("up == 0"), "instance job");
        assert_eq!(labels("flatline_memcg_pids"), "cgroup instance job");
        assert_eq!(labels("sum without (event) (rate(flatline_memcg_events_total[1m])) > 1"), "cgroup instance job");
        assert_eq!(labels("max by (instance) (flatline_memcg_pids)"), "instance");
        assert_eq!(labels("count(up)"), "");
        assert_eq!(labels("time() - flatline_tasks_blocked > 2 * time()"), "instance job wchan");
        assert_eq!(labels(r#"label_replace(up, "host", "$1", "instance", "(.*)")"#), "host instance job");
        assert_eq!(labels("flatline_memcg_pids and on (instance) up"), "cgroup instance job");
        assert_eq!(labels("max without (alertname, alertstate, severity, team) (ALERTS)"), "disk instance job vm");
        assert_eq!(labels("up == on (instance) flatline_memcg_cgroups"), "instance");
        assert_eq!(labels("rate(flatline_memcg_pids[$__rate_interval]) # with a comment"), "cgroup instance job");
    }

    #[test]
    fn a_metric_nobody_exports_is_refused() {
        assert_eq!(
            verdict("rate(flatline_memcg_event_total[1m]) > 0").unwrap_err(),
            "nobody exports `flatline_memcg_event_total`; did you mean `flatline_memcg_events_total`?"
        );
        assert!(verdict("up and node_load1").is_err());
        assert!(matches!(check("{job=\"x\"}", &[], &[]), Err(Refusal::Nameless(_))));
        assert!(matches!(check("up ==", &[], &[]), Err(Refusal::Syntax(_))));
    }

    #[test]
    fn a_label_that_is_not_there_is_refused() {
        for text in [
            r#"flatline_memcg_events_total{evnt="high"}"#,
            "sum by (group) (flatline_memcg_pids)",
            "sum without (event) (flatline_memcg_pids)",
            "up and on (cgroup) flatline_memcg_pids",
            "max without (team) (up)",
            "flatline_memcg_pids and on (cgroup) up",
            "up and ignoring (cgroup) up",
            r#"label_replace(up, "host", "$1", "device", "(.*)")"#,
            r#"count by (cgroup) (sum by (instance) (flatline_memcg_pids))"#,
        ] {
            assert!(verdict(text).unwrap_err().starts_with("no label"), "{text}");
        }
        assert_eq!(
            verdict(r#"flatline_memcg_events_total{evnt="high"}"#).unwrap_err(),
            "no label `evnt` on flatline_memcg_events_total; did you mean `event`?"
        );
    }

    #[test]
    fn sides_that_can_never_agree_are_refused() {
        assert!(verdict("flatline_memcg_pids and up").is_err());
        assert!(verdict("up unless flatline_memcg_pids").is_err());
        assert!(verdict("flatline_memcg_events_total and ignoring (event) flatline_memcg_pids").is_ok());
    }
}
