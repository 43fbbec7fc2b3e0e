//! The rules of others, evaluated on the same machines by the same Prometheus: who sees what.

use std::path::Path;

use serde_json::Value;

use crate::{Error, Result};

/// The label by which the alerts of others are told from ours.
pub(crate) const RULES_OF: &str = "rules_of";

/// A rule file of somebody else's.
#[derive(Clone, Debug)]
pub struct Others {
    name: String,
    text: String,
}

impl Others {
    /// A file of Prometheus rules, YAML or JSON. It is known by its file name. Its alerts get one more label.
    ///
    /// # Errors
    /// When it can't be read or is no rule file.
    pub fn read(path: &Path) -> Result<Self> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let content = std::fs::read_to_string(path).map_err(Error::file(path))?;
        Self::parse(&name, &content).map_err(|reason| Error::peer(path.display().to_string())(reason))
    }

    fn parse(name: &str, content: &str) -> std::result::Result<Self, String> {
        let mut rules: Value = serde_yaml::from_str(content).map_err(|error| error.to_string())?;
        let groups = rules["groups"].as_array_mut().ok_or("has no `groups`: not a file of Prometheus rules")?;
        let mut alerts = 0;
        for rule in groups.iter_mut().filter_map(|group| group["rules"].as_array_mut()).flatten() {
            if rule["alert"].is_string() {
                rule["labels"][RULES_OF] = Value::from(name);
                alerts += 1;
            }
        }
        if alerts == 0 {
            return Err("has no alerts".to_owned());
        }
        Ok(Self { name: name.to_owned(), text: rules.to_string() })
    }

    /// The file's name without its ending.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The rules with the label; JSON, which is YAML as well.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::Others;

    #[test]
    fn alerts_are_labelled_and_records_are_not() {
        let rules = "groups:\n- name: a\n  rules:\n  - alert: Up\n    expr: up == 0\n  - record: b\n    expr: up\n";
        let others = Others::parse("theirs", rules).unwrap();
        assert!(others.text().contains(r#""labels":{"rules_of":"theirs"}"#), "{}", others.text());
        assert_eq!(others.text().matches("rules_of").count(), 1);
    }

    #[test]
    fn what_is_no_rule_file_is_refused() {
        assert!(Others::parse("a", "groups: []").unwrap_err().contains("no alerts"));
        assert!(Others::parse("a", "route: {}").unwrap_err().contains("no `groups`"));
        assert!(Others::parse("a", "groups: [").is_err());
    }
}
