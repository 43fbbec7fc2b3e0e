//! Grafana's published schemas, composed: the dashboard, then each panel by its type, then each target.

use jsonschema::Validator;
use serde_json::{Value, json};

use super::{generated, list, text};

fn published(name: &str) -> Value {
    let path = format!("{}/tests/grafana-schemas/{name}.jsonschema.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// A schema, or one of its definitions.
fn validator(name: &str, definition: Option<&str>) -> Validator {
    let mut schema = published(name);
    // Grafana's types say `any` here and the published schemas `object`, which the commonest overrides are not.
    for (definition, key) in [("MatcherConfig", "options"), ("DynamicConfigValue", "value")] {
        if let Some(property) = schema.pointer_mut(&format!("/definitions/{definition}/properties/{key}")) {
            *property = json!({});
        }
    }
    if let Some(definition) = definition {
        schema["$ref"] = json!(format!("#/definitions/{definition}"));
    }
    // The links of values are published as those of dashboards; `packages/grafana-data/src/types/dataLink.ts` has them.
    if let Some(links) = schema.pointer_mut("/definitions/FieldConfig/properties/links/items") {
        let (text, flag) = (json!({ "type": "string", "minLength": 1 }), json!({ "type": "boolean" }));
        *links = json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["title", "url"],
            "properties": { "title": text, "url": text, "targetBlank": flag },
        });
    }
    jsonschema::validator_for(&schema).unwrap()
}

/// A type of panel as Grafana calls it, and its schemas of `options` and of `fieldConfig.defaults.custom`.
struct Kind {
    name: &'static str,
    options: Validator,
    custom: Validator,
}

struct Schemas {
    dashboard: Validator,
    target: Validator,
    panel: Validator,
    field: Validator,
    cell: Validator,
    kinds: Vec<Kind>,
}

impl Schemas {
    fn read() -> Self {
        let kind = |name, file| Kind {
            name,
            options: validator(file, Some("Options")),
            custom: validator(file, Some("FieldConfig")),
        };
        Self {
            dashboard: validator("dashboard", None),
            panel: validator("dashboard", Some("Panel")),
            field: validator("dashboard", Some("FieldConfig")),
            cell: validator("table", Some("TableColoredBackgroundCellOptions")),
            target: validator("prometheus", None),
            kinds: vec![
                kind("timeseries", "timeseries"),
                kind("state-timeline", "statetimeline"),
                kind("table", "table"),
            ],
        }
    }

    /// Everything that is wrong with a dashboard.
    fn faults(&self, dashboard: &Value) -> Vec<String> {
        let mut faults = told("dashboard", &self.dashboard, dashboard);
        let mut ids = Vec::new();
        for panel in list(dashboard, "panels") {
            let title = text(panel, "title");
            faults.extend(told(title, &self.panel, panel));
            ids.push(&panel["id"]);
            let Some(kind) = self.kinds.iter().find(|kind| kind.name == text(panel, "type")) else {
                faults.push(format!("{title}: no panel is called {}", panel["type"]));
                continue;
            };
            faults.extend(told(&format!("{title}, options"), &kind.options, &panel["options"]));
            let custom = &panel["fieldConfig"]["defaults"]["custom"];
            faults.extend(told(&format!("{title}, custom"), &kind.custom, custom));
            for target in list(panel, "targets") {
                faults.extend(told(&format!("{title}, target"), &self.target, target));
            }
            faults.extend(self.overrides(kind, panel));
            faults.extend(transformations(panel));
        }
        let distinct = ids.iter().enumerate().all(|(index, id)| !ids[..index].contains(id));
        if !distinct {
            faults.push(format!("panels share an id: {ids:?}"));
        }
        faults
    }

    /// Overrides are open in the published schemas: each property is held against the schema of what it overrides.
    fn overrides(&self, kind: &Kind, panel: &Value) -> Vec<String> {
        let properties = list(&panel["fieldConfig"], "overrides").iter().flat_map(|entry| list(entry, "properties"));
        properties
            .flat_map(|property| {
                let id = text(property, "id");
                let value = &property["value"];
                match id.strip_prefix("custom.") {
                    // A union told apart by `type`, whose published alternatives have lost their constants.
                    Some("cellOptions") if text(value, "type") == "color-background" => told(id, &self.cell, value),
                    Some("cellOptions") => vec![format!("no cell is of type {}", value["type"])],
                    Some(key) => {
                        // What is required beside it comes from the defaults.
                        let mut custom = panel["fieldConfig"]["defaults"]["custom"].clone();
                        custom[key] = value.clone();
                        told(id, &kind.custom, &custom)
                    }
                    None => told(id, &self.field, &json!({ id: value })),
                }
            })
            .collect()
    }
}

/// Their ids are open in the published schemas.
fn transformations(panel: &Value) -> Vec<String> {
    let ids = list(panel, "transformations").iter().map(|transformation| text(transformation, "id"));
    ids.filter(|id| !["merge", "organize"].contains(id)).map(|id| format!("no transformation is called {id}")).collect()
}

fn told(place: &str, validator: &Validator, value: &Value) -> Vec<String> {
    validator.iter_errors(value).map(|error| format!("{place}: {} {error}", error.instance_path())).collect()
}

#[test]
fn dashboards_are_valid() {
    let schemas = Schemas::read();
    for (path, dashboard) in generated() {
        assert_eq!(schemas.faults(&dashboard), Vec::<String>::new(), "{path}");
    }
}

/// Each slip of the pen, on every dashboard where it can be made, is found.
#[test]
fn typos_are_found() {
    let schemas = Schemas::read();
    let dashboards = generated();
    for (from, to) in [
        (r#""type":"timeseries""#, r#""type":"timeserie""#),
        (r#""type":"state-timeline""#, r#""type":"statetimeline""#),
        (r#""type":"table""#, r#""type":"tables""#),
        (r#""drawStyle":"line""#, r#""drawStyle":"lines""#),
        (r#""drawStyle":"line""#, r#""drawstyle":"line""#),
        (r#""showPoints":"never""#, r#""showPoints":"some""#),
        (r#""thresholdsStyle":{"mode":"dashed""#, r#""thresholdsStyle":{"mode":"dash""#),
        (r#""mode":"absolute""#, r#""mode":"absolut""#),
        (r#""expr":"#, r#""expression":"#),
        (r#""legendFormat":"#, r#""legend":"#),
        (r#""format":"time_series""#, r#""format":"timeseries""#),
        (r#""instant":true"#, r#""instant":"yes""#),
        (r#""match":"null+nan""#, r#""match":"nul+nan""#),
        (r#""gridPos":"#, r#""gridpos":"#),
        (r#""h":7"#, r#""h":"7""#),
        (r#""fieldConfig":"#, r#""fieldconfig":"#),
        (r#""displayMode":"list""#, r#""displayMode":"lst""#),
        (r#""showValue":"auto""#, r#""showValue":"not""#),
        (r#""cellHeight":"sm""#, r#""cellHeight":"small""#),
        (r#""type":"color-background""#, r#""type":"colour-background""#),
        (r#""id":"merge""#, r#""id":"merged""#),
        (r#""id":"unit""#, r#""id":"units""#),
        (r#""id":"custom.width""#, r#""id":"custom.widht""#),
        (r#""keepTime":true"#, r#""keepTimes":true"#),
        (r#""type":"dashboards""#, r#""type":"dashboard""#),
        (r#""includeAll":true"#, r#""includeall":true"#),
        (r#""iconColor":"#, r#""iconColour":"#),
        (r#""useValueForTime":true"#, r#""useValueAsTime":true"#),
        (r#""schemaVersion":39"#, r#""schemaVersion":"39""#),
        (r#""title":"#, r#""titel":"#),
    ] {
        let mut made = 0;
        for (path, dashboard) in &dashboards {
            let correct = dashboard.to_string();
            // One per dashboard is enough where there are hundreds of places alike.
            for (at, _) in correct.match_indices(from).take(1) {
                let mistaken = format!("{}{to}{}", &correct[..at], &correct[at + from.len()..]);
                let faults = schemas.faults(&serde_json::from_str(&mistaken).unwrap());
                let near = correct.get(at.saturating_sub(60)..at).unwrap_or_default();
                assert!(!faults.is_empty(), "{path}: nobody minds {to} after {near}");
                made += 1;
            }
        }
        assert!(made > 0, "{from} is nowhere");
    }
}
