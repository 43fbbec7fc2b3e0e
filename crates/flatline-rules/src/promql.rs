//! PromQL as values: expressions are built from catalogue families and rendered for people to read.
//!
//! There is no way to name a metric by a string here, so a rule can't ask for one that nobody declares.
//! What the types can't see (label names through aggregations, the syntax as a whole) [`crate::check`]
//! verifies on the rendered text.

use std::fmt;

use flatline_catalog::{Family, Label};

use crate::span::Span;

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// A number.
    Number(f64),
    /// A string, as `label_replace` takes it.
    Text(String),
    /// A selector of series.
    Select(Select),
    /// A function call.
    Call {
        /// The function's name.
        function: &'static str,
        /// Its arguments.
        args: Vec<Expr>,
    },
    /// An aggregation.
    Aggregate {
        /// `sum`, `max`, `count` and so on.
        op: &'static str,
        /// What keeps the groups apart.
        grouping: Grouping,
        /// What is aggregated.
        of: Box<Expr>,
    },
    /// Two expressions and an operator.
    Binary {
        /// The left side.
        left: Box<Expr>,
        /// The operator.
        op: Op,
        /// Which labels must agree.
        matching: Matching,
        /// The right side.
        right: Box<Expr>,
    },
    /// An expression with a comment that says in plain words what it is for.
    Noted {
        /// The comment.
        note: String,
        /// The expression.
        expr: Box<Expr>,
    },
}

/// A selector: a family, label matchers, and the time it looks at.
#[derive(Debug, Clone, PartialEq)]
pub struct Select {
    /// The family.
    pub family: &'static Family,
    /// What the labels must be.
    pub matchers: Vec<Matcher>,
    /// The range, for functions that want one.
    pub range: Option<Range>,
    /// How far back to look.
    pub offset: Option<Span>,
}

/// One label matcher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matcher {
    /// The label's name.
    pub label: &'static str,
    /// `=`, `=~`, `!=` or `!~`.
    pub op: &'static str,
    /// The value or pattern.
    pub value: String,
}

/// The range of a range selector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// A length of time.
    Fixed(Span),
    /// What Grafana thinks right for the panel (`$__rate_interval`).
    Panel,
}

/// What keeps the groups of an aggregation apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grouping {
    /// These labels only.
    By(Vec<String>),
    /// All but these labels.
    Without(Vec<String>),
}

/// Which labels two series must agree in to be combined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Matching {
    /// All of them.
    All,
    /// These only.
    On(Vec<String>),
    /// All but these.
    Ignoring(Vec<String>),
}

/// A binary operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are PromQL's own")]
pub enum Op {
    Or,
    And,
    Unless,
    Equal,
    NotEqual,
    Above,
    Below,
    AtLeast,
    AtMost,
    Minus,
    Times,
    Over,
}

impl Op {
    /// The operator as PromQL writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Or => "or",
            Self::And => "and",
            Self::Unless => "unless",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Above => ">",
            Self::Below => "<",
            Self::AtLeast => ">=",
            Self::AtMost => "<=",
            Self::Minus => "-",
            Self::Times => "*",
            Self::Over => "/",
        }
    }

    /// Whether it combines sets of series.
    #[must_use]
    pub const fn is_set(self) -> bool {
        self.precedence() < 2
    }

    /// Whether it keeps the series for which something holds.
    #[must_use]
    pub const fn is_comparison(self) -> bool {
        self.precedence() == 2
    }

    const fn precedence(self) -> u8 {
        match self {
            Self::Or => 0,
            Self::And | Self::Unless => 1,
            Self::Equal | Self::NotEqual | Self::Above | Self::Below | Self::AtLeast | Self::AtMost => 2,
            Self::Minus => 3,
            Self::Times | Self::Over => 4,
        }
    }
}

impl Matching {
    /// Matching on these labels only.
    #[must_use]
    pub fn on(labels: &[String]) -> Self {
        Self::On(labels.to_vec())
    }

    /// Matching on all labels but these.
    #[must_use]
    pub fn ignoring(labels: &[&Label]) -> Self {
        Self::Ignoring(names(labels))
    }
}

fn names(labels: &[&Label]) -> Vec<String> {
    labels.iter().map(|label| label.name.to_owned()).collect()
}

/// Selects the series of a family.
#[must_use]
pub const fn select(family: &'static Family) -> Select {
    Select { family, matchers: Vec::new(), range: None, offset: None }
}

impl Select {
    /// Only series whose label has this value.
    #[must_use]
    pub fn with(self, label: &Label, value: &str) -> Self {
        self.matcher(label.name, "=", value)
    }

    /// Only series whose label matches this pattern.
    #[must_use]
    pub fn like(self, label: &Label, pattern: &str) -> Self {
        self.matcher(label.name, "=~", pattern)
    }

    /// Only series whose label does not have this value.
    #[must_use]
    pub fn other_than(self, label: &Label, value: &str) -> Self {
        self.matcher(label.name, "!=", value)
    }

    /// Only series whose label does not match this pattern.
    #[must_use]
    pub fn unlike(self, label: &Label, pattern: &str) -> Self {
        self.matcher(label.name, "!~", pattern)
    }

    /// Only series of targets whose address matches this pattern.
    #[must_use]
    pub fn instance_like(self, pattern: &str) -> Self {
        self.matcher("instance", "=~", pattern)
    }

    /// Only series of the scrape job of this name.
    #[must_use]
    pub fn job(self, name: &str) -> Self {
        self.matcher("job", "=", name)
    }

    /// As it is: what rules pass where dashboards pass [`Select::chosen`].
    #[must_use]
    pub const fn all(self) -> Self {
        self
    }

    /// Only series the variables of a Grafana dashboard select.
    #[must_use]
    pub fn chosen(self) -> Self {
        self.matcher("job", "=~", "$job").matcher("instance", "=~", "$instance")
    }

    /// The samples of the last while.
    #[must_use]
    pub const fn over(mut self, range: Range) -> Self {
        self.range = Some(range);
        self
    }

    /// What it was a while ago.
    #[must_use]
    pub const fn ago(mut self, offset: Span) -> Self {
        self.offset = Some(offset);
        self
    }

    fn matcher(mut self, label: &'static str, op: &'static str, value: &str) -> Self {
        self.matchers.push(Matcher { label, op, value: value.to_owned() });
        self
    }
}

/// Which targets an expression that alerts and panels share looks at: [`Select::all`] or [`Select::chosen`].
pub type Choose = fn(Select) -> Select;

impl From<Select> for Expr {
    fn from(select: Select) -> Self {
        Self::Select(select)
    }
}

impl From<f64> for Expr {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

/// Calls a function of one argument.
#[must_use]
pub fn call(function: &'static str, arg: impl Into<Expr>) -> Expr {
    Expr::Call { function, args: vec![arg.into()] }
}

/// `rate` of a selector over a range.
#[must_use]
pub fn rate(select: Select, range: Range) -> Expr {
    call("rate", select.over(range))
}

/// `increase` of a selector over a range.
#[must_use]
pub fn increase(select: Select, range: Range) -> Expr {
    call("increase", select.over(range))
}

/// `changes` of a selector over a range.
#[must_use]
pub fn changes(select: Select, range: Range) -> Expr {
    call("changes", select.over(range))
}

/// `resets` of a selector over a range: how often a value fell.
#[must_use]
pub fn resets(select: Select, range: Range) -> Expr {
    call("resets", select.over(range))
}

/// `quantile_over_time` of a selector over a range.
#[must_use]
pub fn quantile(share: f64, select: Select, range: Range) -> Expr {
    Expr::Call { function: "quantile_over_time", args: vec![share.into(), select.over(range).into()] }
}

/// How many seconds ago the time was that the series tell (Unix time).
#[must_use]
pub fn since(select: Select) -> Expr {
    Expr::Call { function: "time", args: Vec::new() }.minus(select)
}

/// The same series with one more label, taken from another label by a pattern.
#[must_use]
pub fn label_from(expr: impl Into<Expr>, target: &str, source: &str, pattern: &str) -> Expr {
    let text = |text: &str| Expr::Text(text.to_owned());
    Expr::Call {
        function: "label_replace",
        args: vec![expr.into(), text(target), text("$1"), text(source), text(pattern)],
    }
}

/// Aggregates away all labels but these.
#[must_use]
pub fn by(op: &'static str, labels: &[&str], of: impl Into<Expr>) -> Expr {
    let labels = labels.iter().map(|&label| label.to_owned()).collect();
    Expr::Aggregate { op, grouping: Grouping::By(labels), of: Box::new(of.into()) }
}

/// Aggregates away these labels.
#[must_use]
pub fn without(op: &'static str, labels: &[&Label], of: impl Into<Expr>) -> Expr {
    Expr::Aggregate { op, grouping: Grouping::Without(names(labels)), of: Box::new(of.into()) }
}

impl Expr {
    /// Any operator.
    #[must_use]
    pub fn binary(self, op: Op, matching: Matching, right: impl Into<Self>) -> Self {
        Self::Binary { left: Box::new(self), op, matching, right: Box::new(right.into()) }
    }

    /// Only where it equals.
    #[must_use]
    pub fn equals(self, right: impl Into<Self>) -> Self {
        self.binary(Op::Equal, Matching::All, right)
    }

    /// Only where it is greater.
    #[must_use]
    pub fn above(self, right: impl Into<Self>) -> Self {
        self.binary(Op::Above, Matching::All, right)
    }

    /// Only where it is less.
    #[must_use]
    pub fn below(self, right: impl Into<Self>) -> Self {
        self.binary(Op::Below, Matching::All, right)
    }

    /// Only where it is greater or equal.
    #[must_use]
    pub fn at_least(self, right: impl Into<Self>) -> Self {
        self.binary(Op::AtLeast, Matching::All, right)
    }

    /// Only where it is less or equal.
    #[must_use]
    pub fn at_most(self, right: impl Into<Self>) -> Self {
        self.binary(Op::AtMost, Matching::All, right)
    }

    /// The difference.
    #[must_use]
    pub fn minus(self, right: impl Into<Self>) -> Self {
        self.binary(Op::Minus, Matching::All, right)
    }

    /// The product.
    #[must_use]
    pub fn times(self, right: impl Into<Self>) -> Self {
        self.binary(Op::Times, Matching::All, right)
    }

    /// The ratio.
    #[must_use]
    pub fn over(self, right: impl Into<Self>) -> Self {
        self.binary(Op::Over, Matching::All, right)
    }

    /// Only where the other side has something too.
    #[must_use]
    pub fn and(self, matching: Matching, right: impl Into<Self>) -> Self {
        self.binary(Op::And, matching, right)
    }

    /// Only where the other side has nothing. A missing series therefore never blinds a rule.
    #[must_use]
    pub fn unless(self, matching: Matching, right: impl Into<Self>) -> Self {
        self.binary(Op::Unless, matching, right)
    }

    /// Both sides' series; the left side's where both have one.
    #[must_use]
    pub fn or(self, right: impl Into<Self>) -> Self {
        self.binary(Op::Or, Matching::All, right)
    }

    /// With a comment for the reader of the rule file.
    #[must_use]
    pub fn note(self, note: &str) -> Self {
        Self::Noted { note: note.to_owned(), expr: Box::new(self) }
    }

    fn precedence(&self) -> u8 {
        match self {
            Self::Binary { op, .. } => op.precedence(),
            Self::Noted { expr, .. } => expr.precedence(),
            _ => u8::MAX,
        }
    }

    /// Takes the comment off the front, if there is one.
    fn split_note(&self) -> (Option<&str>, &Self) {
        match self {
            Self::Noted { note, expr } => (Some(note), expr),
            other => (None, other),
        }
    }

    /// The lines of the expression, in parentheses where it binds less tightly than `outer` needs.
    fn lines(&self, outer: u8) -> Vec<String> {
        let (note, expr) = self.split_note();
        let mut lines: Vec<String> = note.map(|note| format!("# {note}")).into_iter().collect();
        let body = expr.body();
        if expr.precedence() >= outer {
            lines.extend(body);
        } else if let [line] = body.as_slice() {
            lines.push(format!("({line})"));
        } else {
            lines.push("(".to_owned());
            lines.extend(indent(body));
            lines.push(")".to_owned());
        }
        lines
    }

    fn body(&self) -> Vec<String> {
        match self {
            Self::Number(number) => vec![number.to_string()],
            Self::Text(text) => vec![quote(text)],
            Self::Select(select) => vec![select.to_string()],
            Self::Call { function, args } => wrap(&format!("{function}("), args, ")"),
            Self::Aggregate { op, grouping, of } => {
                let (word, labels) = match grouping {
                    Grouping::By(labels) => ("by", labels),
                    Grouping::Without(labels) => ("without", labels),
                };
                wrap(&format!("{op} {word} ({}) (", labels.join(", ")), std::slice::from_ref(of), ")")
            }
            Self::Binary { left, op, matching, right } => binary(left, *op, matching, right),
            Self::Noted { .. } => self.lines(0),
        }
    }
}

const WIDTH: usize = 110;

fn binary(left: &Expr, op: Op, matching: &Matching, right: &Expr) -> Vec<String> {
    let operator = match matching {
        Matching::All => op.as_str().to_owned(),
        Matching::On(labels) => format!("{} on ({})", op.as_str(), labels.join(", ")),
        Matching::Ignoring(labels) => format!("{} ignoring ({})", op.as_str(), labels.join(", ")),
    };
    let mut lines = left.lines(op.precedence());
    let (note, right) = right.split_note();
    // Everything is left-associative here, so an equal on the right needs parentheses.
    let right = right.lines(op.precedence() + 1);
    match (op.is_set(), lines.as_mut_slice(), right.as_slice()) {
        (false, [.., last], [only]) if last.len() + operator.len() + only.len() < WIDTH => {
            *last = format!("{last} {operator} {only}");
        }
        (false, _, [first, rest @ ..]) => {
            lines.push(format!("  {operator} {first}"));
            lines.extend(indent(rest.to_vec()));
        }
        (_, _, right) => {
            lines.extend(note.map(|note| format!("# {note}")));
            lines.push(operator);
            lines.extend(indent(right.to_vec()));
        }
    }
    lines
}

fn wrap<'a>(open: &str, args: impl IntoIterator<Item = &'a (impl AsExpr + 'a)>, close: &str) -> Vec<String> {
    let args: Vec<Vec<String>> = args.into_iter().map(|arg| arg.as_expr().lines(0)).collect();
    if args.iter().all(|lines| lines.len() == 1) {
        return vec![format!("{open}{}{close}", args.concat().join(", "))];
    }
    // One long argument first, then the short ones together on a line.
    let mut args = args.into_iter();
    let mut long = args.next().unwrap_or_default();
    let short: Vec<String> = args.flatten().collect();
    if let (Some(line), false) = (long.last_mut(), short.is_empty()) {
        line.push(',');
    }
    let mut lines = vec![open.to_owned()];
    lines.extend(indent(long));
    if !short.is_empty() {
        lines.push(format!("  {}", short.join(", ")));
    }
    lines.push(close.to_owned());
    lines
}

trait AsExpr {
    fn as_expr(&self) -> &Expr;
}

impl AsExpr for Expr {
    fn as_expr(&self) -> &Expr {
        self
    }
}

impl AsExpr for Box<Expr> {
    fn as_expr(&self) -> &Expr {
        self
    }
}

fn indent(lines: Vec<String>) -> impl Iterator<Item = String> {
    lines.into_iter().map(|line| format!("  {line}"))
}

/// Quotes a string for PromQL, which follows Go.
#[must_use]
pub fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines(0).join("\n"))
    }
}

impl fmt::Display for Select {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.family.name)?;
        if !self.matchers.is_empty() {
            let matchers: Vec<String> =
                self.matchers.iter().map(|m| format!("{}{}{}", m.label, m.op, quote(&m.value))).collect();
            write!(f, "{{{}}}", matchers.join(","))?;
        }
        match self.range {
            Some(Range::Fixed(span)) => write!(f, "[{span}]")?,
            Some(Range::Panel) => f.write_str("[$__rate_interval]")?,
            None => {}
        }
        self.offset.map_or(Ok(()), |offset| write!(f, " offset {offset}"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Expr, Matching, Op, Range, rate, select, since};
    use crate::prometheus::UP;
    use crate::span::Span;
    use flatline_catalog::{boots, memcg};

    fn up() -> Expr {
        select(&UP).into()
    }

    #[test]
    fn selectors_read_like_promql() {
        let high = select(&memcg::LOCAL_EVENTS).with(&memcg::EVENT, "hi\"gh");
        assert_eq!(
            rate(high, Range::Fixed(Span::seconds(90))).to_string(),
            r#"rate(flatline_memcg_local_events_total{event="hi\"gh"}[1m30s])"#
        );
        assert_eq!(
            Expr::from(select(&UP).job("devvm").ago(Span::hours(1))).to_string(),
            r#"up{job="devvm"} offset 1h"#
        );
    }

    #[test]
    fn parentheses_only_where_they_are_needed() {
        assert_eq!(up().equals(0.0).unless(Matching::All, up().equals(1.0)).to_string(), "up == 0\nunless\n  up == 1");
        assert_eq!(up().or(up()).equals(0.0).to_string(), "(\n  up\n  or\n    up\n) == 0");
        assert_eq!(up().at_least(Expr::from(2.0).times(up())).to_string(), "up >= 2 * up");
        assert_eq!(
            up().and(Matching::All, up().unless(Matching::All, up())).to_string(),
            "up\nand\n  (\n    up\n    unless\n      up\n  )"
        );
        assert_eq!(up().binary(Op::Over, Matching::All, up().over(up())).to_string(), "up / (up / up)");
        assert_eq!(up().times(up().minus(up())).minus(up().over(up())).to_string(), "up * (up - up) - up / up");
        assert_eq!(since(select(&boots::BOOT_TIME)).below(9.0).to_string(), "time() - flatline_boot_time_seconds < 9");
    }

    #[test]
    fn notes_stand_before_what_they_explain() {
        let expr = up().equals(1.0).note("it answers").and(Matching::All, up().note("and more"));
        assert_eq!(expr.to_string(), "# it answers\nup == 1\n# and more\nand\n  up");
    }
}
