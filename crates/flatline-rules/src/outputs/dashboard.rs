//! Dashboards as Grafana draws them.

use std::collections::BTreeMap;

use flatline_catalog::Label;

use super::grafana::{
    Annotation, Annotations, CellOptions, Color, Current, Custom, DATASOURCE, Dashboard, DataLink, Field, FieldConfig,
    GridPos, Legend, LinesCustom, LinesOptions, Link, Mapped, MappedTo, Mapping, Matcher, Merge, Options, Organize,
    Override, Panel, Property, Special, StatesCustom, StatesOptions, Step, TableCustom, TableOptions, Target,
    Templating, Thresholds, ThresholdsStyle, TimeRange, Tooltip, Transformation, Variable,
};
use crate::boards::{self, Board, Choice, Layout, Moment, OVERVIEW, Picture};
use crate::config::Config;
use crate::model::{Alert, Column, Scale, Signal, fill};
use crate::prometheus;
use crate::promql::Expr;

const GREEN: &str = "green";
const YELLOW: &str = "yellow";
const RED: &str = "red";
const BLUE: &str = "blue";
const PURPLE: &str = "purple";

/// What dashboards of Flatline find each other by.
const TAG: &str = "flatline";

/// Every dashboard.
#[must_use]
pub fn dashboards(signals: &[Signal], config: &Config) -> Vec<Dashboard> {
    boards::all(signals, config).iter().map(|board| dashboard(board, signals, config)).collect()
}

fn dashboard(board: &Board, signals: &[Signal], config: &Config) -> Dashboard {
    let alerts: Vec<&Alert> = signals.iter().flat_map(|signal| &signal.alerts).collect();
    let table = (!board.columns.is_empty()).then(|| hosts(&board.columns));
    let mut panels: Vec<Panel> = table.into_iter().collect();
    let (above, top) = (panels.len(), panels.iter().map(|panel| panel.grid_pos.h).sum());
    let mut place = Place { layout: board.layout, column: 0, y: top };
    panels.extend(board.pictures.iter().enumerate().map(|(index, picture)| Panel {
        id: above + index + 1,
        grid_pos: place.next(picture),
        links: links(board, picture, &alerts, config),
        ..draw(picture, board)
    }));
    let moments = board.moments.iter().map(mark);
    let annotations = firing_alerts(&board.alerts()).into_iter().chain(moments).collect();
    Dashboard {
        uid: board.uid,
        title: board.title,
        description: board.description,
        tags: [TAG],
        editable: false,
        graph_tooltip: 1,
        refresh: "30s",
        schema_version: 39,
        time: TimeRange { from: "now-3h", to: "now" },
        links: vec![siblings()],
        templating: Templating { list: variables(&board.choices, config) },
        annotations: Annotations { list: annotations },
        panels,
    }
}

/// Where the next panel stands.
struct Place {
    layout: Layout,
    column: usize,
    y: usize,
}

impl Place {
    fn next(&mut self, picture: &Picture) -> GridPos {
        let alerts = matches!(picture.scale, Scale::Alarm(_));
        let (h, w) = match self.layout {
            // What fires is as wide as the table or the graphs below it, and needs a line per alert.
            _ if alerts => {
                (if picture.alerts.len() > 20 { 16 } else { (3 + picture.alerts.len() / 2).clamp(5, 8) }, 24)
            }
            Layout::Stack => (if are_states(picture) { 5 } else { 7 }, 24),
            Layout::Pairs => (8, 12),
        };
        let at = GridPos { h, w, x: self.column, y: self.y };
        self.column = (self.column + w) % 24;
        if self.column == 0 {
            self.y += h;
        }
        at
    }
}

const fn are_states(picture: &Picture) -> bool {
    matches!(picture.scale, Scale::State { .. } | Scale::Fact(_) | Scale::Alarm(_))
}

/// Every expression of a dashboard with the panel it stands in.
pub fn expressions(dashboard: &Dashboard) -> impl Iterator<Item = (&str, &str)> {
    let panels = dashboard.panels.iter();
    let targets =
        panels.flat_map(|panel| panel.targets.iter().map(|target| (panel.title.as_str(), target.expr.as_str())));
    targets.chain(dashboard.annotations.list.iter().map(|annotation| (annotation.name, annotation.expr.as_str())))
}

/// As Grafana reads it.
///
/// # Errors
/// When the JSON writer refuses a value.
pub fn to_json(dashboard: &Dashboard) -> Result<String, String> {
    serde_json::to_string_pretty(dashboard).map(|json| json + "\n").map_err(|error| error.to_string())
}

fn variables(choices: &[Choice], config: &Config) -> Vec<Variable> {
    let query = |name, label, query: String, current| Variable {
        kind: "query",
        name,
        label,
        query,
        datasource: Some(DATASOURCE),
        current,
        refresh: 2,
        multi: true,
        include_all: true,
        all_value: Some(".+"),
    };
    let mut jobs = vec![config.devvm.job.clone(), config.exporter.job.clone()];
    jobs.dedup();
    let up = prometheus::UP.name;
    let mut variables = vec![
        Variable {
            kind: "datasource",
            name: "datasource",
            label: "Data source",
            query: "prometheus".to_owned(),
            datasource: None,
            current: None,
            refresh: 1,
            multi: false,
            include_all: false,
            all_value: None,
        },
        query(
            "job",
            "Job",
            format!("label_values({up}, job)"),
            Some(Current { selected: true, text: jobs.clone(), value: jobs }),
        ),
        query("instance", "Instance", format!("label_values({up}{{job=~\"$job\"}}, instance)"), None),
    ];
    variables.extend(choices.iter().map(|choice| {
        let family = choice.family.name;
        let chosen = "job=~\"$job\", instance=~\"$instance\"";
        let label = choice.label.name;
        query(label, choice.title, format!("label_values({family}{{{chosen}}}, {label})"), None)
    }));
    variables
}

fn firing_alerts(alerts: &[&str]) -> Option<Annotation> {
    (!alerts.is_empty()).then(|| Annotation {
        name: "Alerts",
        datasource: DATASOURCE,
        enable: true,
        icon_color: RED,
        expr: boards::fires(alerts).to_string(),
        title_format: "{{alertname}}",
        tag_keys: "instance,severity",
        use_value_for_time: false,
    })
}

fn mark(moment: &Moment) -> Annotation {
    Annotation {
        name: moment.name,
        datasource: DATASOURCE,
        enable: true,
        icon_color: PURPLE,
        expr: moment.expr.to_string(),
        title_format: moment.text,
        tag_keys: "instance",
        use_value_for_time: true,
    }
}

/// To all other dashboards of Flatline, with what is chosen here.
fn siblings() -> Link {
    Link {
        title: "Flatline".to_owned(),
        kind: "dashboards",
        icon: "external link",
        tooltip: String::new(),
        url: None,
        tags: vec![TAG],
        as_dropdown: true,
        target_blank: false,
        include_vars: true,
        keep_time: true,
    }
}

/// How many runbooks a panel links: more would hide the panel.
const MOST_RUNBOOKS: usize = 6;

/// The way to the runbooks of the panel's alerts, and back to the overview.
fn links(board: &Board, picture: &Picture, alerts: &[&Alert], config: &Config) -> Vec<Link> {
    let link = |title: String, url: String, include_vars: bool| Link {
        title,
        kind: "link",
        icon: "external link",
        tooltip: String::new(),
        url: Some(url),
        tags: Vec::new(),
        as_dropdown: false,
        target_blank: !include_vars,
        include_vars,
        keep_time: include_vars,
    };
    let own = alerts.iter().filter(|alert| picture.alerts.contains(&alert.name)).take(MOST_RUNBOOKS);
    let mut links: Vec<Link> =
        own.map(|alert| link(format!("Runbook: {}", alert.name), alert.runbook_url(config), false)).collect();
    if board.uid != OVERVIEW {
        links.push(link("Overview of all hosts".to_owned(), format!("/d/{OVERVIEW}"), true));
    } else if links.is_empty() {
        links.push(link("Boots and crashes".to_owned(), format!("/d/{}", boards::TIMELINE), true));
    }
    links
}

fn hosts(columns: &[(Column, &'static str)]) -> Panel {
    let targets = columns.iter().enumerate().map(|(index, (column, _))| Target {
        ref_id: ref_id(index),
        datasource: DATASOURCE,
        expr: column.expr.to_string(),
        instant: true,
        range: false,
        format: "table",
        legend_format: String::new(),
    });
    let mut renamed = BTreeMap::from([("instance".to_owned(), HOST.to_owned())]);
    let mut order = BTreeMap::from([("instance".to_owned(), 0)]);
    for (index, (column, _)) in columns.iter().enumerate() {
        let value = format!("Value #{}", ref_id(index));
        renamed.insert(value.clone(), column.title.to_owned());
        order.insert(value, index + 1);
    }
    let organize = Organize {
        exclude_by_name: BTreeMap::from([("Time".to_owned(), true)]),
        index_by_name: order,
        rename_by_name: renamed,
    };
    let host = Override {
        matcher: Matcher { id: "byName", options: HOST },
        properties: vec![
            Property::Width(138),
            Property::Links(vec![details("Boots and crashes of ${__value.text}", boards::TIMELINE, "${__value.text}")]),
        ],
    };
    Panel {
        id: 1,
        kind: "table",
        title: "Hosts".to_owned(),
        description: "One row per host, now. Task hang and mount hang: for how long the longest has not moved. An empty cell means that the host does not say: the exporter is dead, may not look, or there is no such thing (a host without a watchdog).".to_owned(),
        datasource: DATASOURCE,
        grid_pos: GridPos { h: 9, w: 24, x: 0, y: 0 },
        links: vec![siblings()],
        targets: targets.collect(),
        transformations: vec![Transformation::Merge(Merge {}), Transformation::Organize(organize)],
        field_config: FieldConfig {
            defaults: Field {
                unit: "none",
                thresholds: Thresholds { mode: "absolute", steps: vec![Step { value: None, color: "text" }] },
                color: Color { mode: "thresholds" },
                no_value: "",
                custom: Some(Custom::Table(TableCustom { align: "auto", inspect: false })),
                ..Field::default()
            },
            overrides: std::iter::once(host).chain(columns.iter().map(cell)).collect(),
        },
        options: Options::Table(TableOptions { show_header: true, frame_index: 0, cell_height: "sm" }),
    }
}

const HOST: &str = "Host";

/// A link to another dashboard about the host of the row.
fn details(title: &str, uid: &str, host: &str) -> DataLink {
    DataLink {
        title: title.to_owned(),
        url: format!("/d/{uid}?var-instance={host}&${{datasource:queryparam}}&${{__url_time_range}}"),
        target_blank: false,
    }
}

fn cell((column, uid): &(Column, &'static str)) -> Override {
    let Field { unit, decimals, mut mappings, thresholds, .. } = field(column.scale);
    // Grafana gives what is missing the colour of the lowest threshold: green where nobody knows, or red.
    let nothing = MappedTo { text: "", color: "transparent", index: 9 };
    let options = Mapped::Special(Special { matched: "null+nan", result: nothing });
    mappings.push(Mapping { kind: "special", options });
    let judged = thresholds.steps.len() > 1;
    let mut properties = vec![
        Property::Unit(unit),
        Property::Thresholds(thresholds),
        Property::Mappings(mappings),
        Property::Width(width(column)),
        Property::Links(vec![details("Details", uid, "${__data.fields.Host}")]),
    ];
    properties.extend(decimals.map(Property::Decimals));
    if judged {
        properties.push(Property::Cell(CellOptions { kind: "color-background", mode: "basic" }));
    }
    Override { matcher: Matcher { id: "byName", options: column.title }, properties }
}

/// Pixels that the heading and the words of a column need: Grafana cuts what does not fit.
fn width(column: &Column) -> u16 {
    let words = match column.scale {
        Scale::State { good, bad } => good.len().max(bad.len()),
        _ => 0,
    };
    let letters = u16::try_from(words.max(column.title.len())).unwrap_or(u16::MAX);
    letters.saturating_mul(8).saturating_add(20).max(60)
}

/// Pixels left of a graph where graphs stand one above the other: as wide everywhere, or their times don't line up.
const AXIS: u16 = 260;

fn draw(picture: &Picture, board: &Board) -> Panel {
    let axis_width = (board.layout == Layout::Stack).then_some(AXIS);
    let states = are_states(picture);
    let mut defaults = field(picture.scale);
    let legend = Legend { display_mode: "list", placement: "bottom", show_legend: !states, calcs: [] };
    let tooltip = Tooltip { mode: "multi", sort: "desc" };
    let (kind, custom, options) = if states {
        let options = StatesOptions { show_value: "auto", row_height: 0.8, merge_values: true, legend, tooltip };
        let custom = StatesCustom { fill_opacity: 80, line_width: 0, axis_width };
        ("state-timeline", Custom::States(custom), Options::States(options))
    } else {
        defaults.color.mode = "palette-classic";
        let bounded = defaults.thresholds.steps.len() > 1;
        let events = picture.scale == Scale::Events;
        let custom = LinesCustom {
            draw_style: if events { "bars" } else { "line" },
            line_width: 1,
            fill_opacity: if events { 60 } else { 8 },
            show_points: if events { "never" } else { "auto" },
            span_nulls: false,
            thresholds_style: ThresholdsStyle { mode: if bounded { "dashed" } else { "off" } },
            axis_width,
        };
        ("timeseries", Custom::Lines(custom), Options::Lines(LinesOptions { legend, tooltip }))
    };
    defaults.custom = Some(custom);
    let targets = picture.lines.iter().enumerate().map(|(index, (expr, legend))| Target {
        ref_id: ref_id(index),
        datasource: DATASOURCE,
        expr: narrowed(expr, &board.choices).to_string(),
        instant: false,
        range: true,
        format: "time_series",
        legend_format: fill(legend, |label| format!("{{{{{label}}}}}")),
    });
    Panel {
        id: 0,
        kind,
        title: picture.title.to_owned(),
        description: picture.description.to_owned(),
        datasource: DATASOURCE,
        grid_pos: GridPos { h: 0, w: 0, x: 0, y: 0 },
        links: Vec::new(),
        targets: targets.collect(),
        transformations: Vec::new(),
        field_config: FieldConfig { defaults, overrides: Vec::new() },
        options,
    }
}

/// The expression for what is chosen: every series that has the label must have one of the chosen values.
fn narrowed(expr: &Expr, choices: &[Choice]) -> Expr {
    choices.iter().fold(expr.clone(), |expr, choice| narrow(expr, choice.label))
}

fn narrow(expr: Expr, label: &'static Label) -> Expr {
    let inside = |expr: Box<Expr>| Box::new(narrow(*expr, label));
    match expr {
        // An alert about something else on the same host is worth seeing: only what is about another one is left out.
        Expr::Select(select) if select.family.has_label(label.name) && select.family != &prometheus::ALERTS => {
            select.like(label, &format!("${}", label.name)).into()
        }
        Expr::Call { function, args } => {
            Expr::Call { function, args: args.into_iter().map(|arg| narrow(arg, label)).collect() }
        }
        Expr::Aggregate { op, grouping, of } => Expr::Aggregate { op, grouping, of: inside(of) },
        Expr::Binary { left, op, matching, right } => {
            Expr::Binary { left: inside(left), op, matching, right: inside(right) }
        }
        Expr::Noted { note, expr } => Expr::Noted { note, expr: inside(expr) },
        other => other,
    }
}

fn field(scale: Scale) -> Field {
    let (unit, steps): (_, &[Step]) = match scale {
        Scale::State { .. } => ("none", &[step(RED), above(1.0, GREEN)]),
        Scale::Share(worrying, bad) if worrying < bad => {
            ("percentunit", &[step(GREEN), above(worrying, YELLOW), above(bad, RED)])
        }
        Scale::Share(..) => ("percentunit", &[step(GREEN)]),
        Scale::Count(bad) => ("none", &[step(GREEN), above(bad, RED)]),
        Scale::Seconds(bad) => ("s", &[step(GREEN), above(bad, RED)]),
        Scale::PerSecond => ("cps", &[step(GREEN)]),
        Scale::Duration => ("s", &[step(GREEN)]),
        Scale::Amount | Scale::Processors | Scale::Events => ("short", &[step(GREEN)]),
        Scale::Bytes => ("bytes", &[step(GREEN)]),
        Scale::Watts => ("watt", &[step(GREEN)]),
        Scale::Celsius(bad) => ("celsius", &[step(GREEN), above(bad, RED)]),
        Scale::Fact(_) => ("none", &[step(BLUE)]),
        Scale::Alarm(_) => ("none", &[step(GREEN), above(1.0, RED)]),
    };
    let word = |value, text, color, index| (value, MappedTo { text, color, index });
    let words = match scale {
        Scale::State { good, bad } => BTreeMap::from([word("0", bad, RED, 0), word("1", good, GREEN, 1)]),
        Scale::Fact(text) => BTreeMap::from([word("1", text, BLUE, 0)]),
        Scale::Alarm(text) => BTreeMap::from([word("1", text, RED, 0)]),
        _ => BTreeMap::new(),
    };
    let mappings =
        if words.is_empty() { Vec::new() } else { vec![Mapping { kind: "value", options: Mapped::Values(words) }] };
    let share = matches!(scale, Scale::Share(..));
    Field {
        unit,
        decimals: matches!(scale, Scale::Share(..) | Scale::Count(_)).then_some(0),
        min: mappings.is_empty().then_some(0.0),
        max: share.then_some(1.0),
        mappings,
        thresholds: Thresholds { mode: "absolute", steps: steps.to_vec() },
        color: Color { mode: "thresholds" },
        no_value: "no data",
        custom: None,
    }
}

const fn step(color: &'static str) -> Step {
    Step { value: None, color }
}

const fn above(value: f64, color: &'static str) -> Step {
    Step { value: Some(value), color }
}

/// A, B ... Z, AA, AB ...
fn ref_id(index: usize) -> String {
    let letter = ('A'..='Z').nth(index % 26).unwrap_or('A');
    if index < 26 { letter.to_string() } else { ref_id(index / 26 - 1) + &letter.to_string() }
}
