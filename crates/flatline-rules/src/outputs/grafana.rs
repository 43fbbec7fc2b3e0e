//! Grafana's dashboard JSON as types: as much of its published schema as Flatline uses.

#![expect(missing_docs, reason = "the names are those of Grafana's schema")]

use std::collections::BTreeMap;

use serde::Serialize;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Dashboard {
    pub uid: &'static str,
    pub title: &'static str,
    pub description: &'static str,
    pub tags: [&'static str; 1],
    pub editable: bool,
    pub graph_tooltip: u8,
    pub refresh: &'static str,
    pub schema_version: u32,
    pub time: TimeRange,
    pub links: Vec<Link>,
    pub templating: Templating,
    pub annotations: Annotations,
    pub panels: Vec<Panel>,
}

/// A link of a dashboard or panel: Grafana wants every key of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    pub title: String,
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub icon: &'static str,
    pub tooltip: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    pub tags: Vec<&'static str>,
    pub as_dropdown: bool,
    pub target_blank: bool,
    pub include_vars: bool,
    pub keep_time: bool,
}

/// A link of a value.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DataLink {
    pub title: String,
    pub url: String,
    pub target_blank: bool,
}

#[derive(Debug, Serialize)]
pub struct TimeRange {
    pub from: &'static str,
    pub to: &'static str,
}

#[derive(Debug, Serialize)]
pub struct Templating {
    pub list: Vec<Variable>,
}

#[derive(Debug, Serialize)]
pub struct Annotations {
    pub list: Vec<Annotation>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Annotation {
    pub name: &'static str,
    pub datasource: Datasource,
    pub enable: bool,
    pub icon_color: &'static str,
    pub expr: String,
    pub title_format: &'static str,
    pub tag_keys: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub use_value_for_time: bool,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub struct Datasource {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub uid: &'static str,
}

/// The Prometheus that the dashboard's variable names.
pub const DATASOURCE: Datasource = Datasource { kind: "prometheus", uid: "${datasource}" };

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Variable {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub name: &'static str,
    pub label: &'static str,
    pub query: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub datasource: Option<Datasource>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<Current>,
    pub refresh: u8,
    pub multi: bool,
    pub include_all: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all_value: Option<&'static str>,
}

#[derive(Debug, Serialize)]
pub struct Current {
    pub selected: bool,
    pub text: Vec<String>,
    pub value: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Panel {
    pub id: usize,
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub title: String,
    pub description: String,
    pub datasource: Datasource,
    pub grid_pos: GridPos,
    pub links: Vec<Link>,
    pub targets: Vec<Target>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub transformations: Vec<Transformation>,
    pub field_config: FieldConfig,
    pub options: Options,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub struct GridPos {
    pub h: usize,
    pub w: usize,
    pub x: usize,
    pub y: usize,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    pub ref_id: String,
    pub datasource: Datasource,
    pub expr: String,
    pub instant: bool,
    pub range: bool,
    pub format: &'static str,
    pub legend_format: String,
}

#[derive(Debug, Serialize)]
#[serde(tag = "id", content = "options", rename_all = "camelCase")]
pub enum Transformation {
    Merge(Merge),
    Organize(Organize),
}

/// Merging has no options, but Grafana wants them.
#[derive(Debug, Serialize)]
pub struct Merge {}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Organize {
    pub exclude_by_name: BTreeMap<String, bool>,
    pub index_by_name: BTreeMap<String, usize>,
    pub rename_by_name: BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
pub struct FieldConfig {
    pub defaults: Field,
    pub overrides: Vec<Override>,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Field {
    pub unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decimals: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mappings: Vec<Mapping>,
    pub thresholds: Thresholds,
    pub color: Color,
    pub no_value: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom: Option<Custom>,
}

/// What each kind of panel adds to a field.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Custom {
    Table(TableCustom),
    Lines(LinesCustom),
    States(StatesCustom),
}

#[derive(Debug, Serialize)]
pub struct TableCustom {
    pub align: &'static str,
    pub inspect: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LinesCustom {
    pub draw_style: &'static str,
    pub line_width: u8,
    pub fill_opacity: u8,
    pub show_points: &'static str,
    pub span_nulls: bool,
    pub thresholds_style: ThresholdsStyle,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub axis_width: Option<u16>,
}

#[derive(Debug, Serialize)]
pub struct ThresholdsStyle {
    pub mode: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StatesCustom {
    pub fill_opacity: u8,
    pub line_width: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub axis_width: Option<u16>,
}

#[derive(Debug, Serialize)]
pub struct Mapping {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub options: Mapped,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Mapped {
    Values(BTreeMap<&'static str, MappedTo>),
    Special(Special),
}

#[derive(Debug, Serialize)]
pub struct Special {
    #[serde(rename = "match")]
    pub matched: &'static str,
    pub result: MappedTo,
}

#[derive(Debug, Serialize)]
pub struct MappedTo {
    pub text: &'static str,
    pub color: &'static str,
    pub index: u8,
}

#[derive(Debug, Default, Serialize)]
pub struct Thresholds {
    pub mode: &'static str,
    pub steps: Vec<Step>,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub struct Step {
    pub value: Option<f64>,
    pub color: &'static str,
}

#[derive(Debug, Default, Serialize)]
pub struct Color {
    pub mode: &'static str,
}

#[derive(Debug, Serialize)]
pub struct Override {
    pub matcher: Matcher,
    pub properties: Vec<Property>,
}

#[derive(Debug, Serialize)]
pub struct Matcher {
    pub id: &'static str,
    pub options: &'static str,
}

/// What an override overrides.
#[derive(Debug, Serialize)]
#[serde(tag = "id", content = "value", rename_all = "camelCase")]
pub enum Property {
    Unit(&'static str),
    Decimals(u8),
    Mappings(Vec<Mapping>),
    Thresholds(Thresholds),
    Links(Vec<DataLink>),
    #[serde(rename = "custom.cellOptions")]
    Cell(CellOptions),
    #[serde(rename = "custom.width")]
    Width(u16),
}

#[derive(Debug, Serialize)]
pub struct CellOptions {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub mode: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Options {
    Table(TableOptions),
    Lines(LinesOptions),
    States(StatesOptions),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TableOptions {
    pub show_header: bool,
    pub frame_index: u8,
    pub cell_height: &'static str,
}

#[derive(Debug, Serialize)]
pub struct LinesOptions {
    pub legend: Legend,
    pub tooltip: Tooltip,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StatesOptions {
    pub show_value: &'static str,
    pub row_height: f64,
    pub merge_values: bool,
    pub legend: Legend,
    pub tooltip: Tooltip,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Legend {
    pub display_mode: &'static str,
    pub placement: &'static str,
    pub show_legend: bool,
    pub calcs: [&'static str; 0],
}

#[derive(Debug, Serialize)]
pub struct Tooltip {
    pub mode: &'static str,
    pub sort: &'static str,
}
