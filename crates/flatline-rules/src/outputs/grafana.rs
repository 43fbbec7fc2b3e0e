//! Grafana's dashboard JSON as types: as much of its published schema as Flatline uses.

#![expect(missing_docs, reason = "the names are those of Grafana's schema")]

use serde::Serialize;
use serde_json::{Map, Value};

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
    pub templating: Templating,
    pub annotations: Annotations,
    pub panels: Vec<Panel>,
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
pub struct Transformation {
    pub id: &'static str,
    pub options: Value,
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
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub custom: Map<String, Value>,
}

#[derive(Debug, Serialize)]
pub struct Mapping {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub options: Map<String, Value>,
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

#[derive(Debug, Serialize)]
pub struct Property {
    pub id: &'static str,
    pub value: Value,
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
