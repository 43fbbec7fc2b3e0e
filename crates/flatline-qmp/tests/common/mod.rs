//! Recordings of real QEMUs, to be asked again.

use serde_json::Value;
use std::path::Path;

/// One phase of a recording; what is not in it, the command's last answer before.
pub(crate) struct Recording {
    pub(crate) greeting: String,
    answers: Vec<(Value, Value)>,
}

impl Recording {
    pub(crate) fn load(name: &str, phase: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/{name}.jsonl"));
        let text = std::fs::read_to_string(&path).expect("recording");
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let order = [Value::Null, "before".into(), "during".into(), "set".into(), "after".into()];
        let place = |phase: &Value| order.iter().position(|known| known == phase).expect("a known phase");
        let mut answers: Vec<(Value, Value)> = Vec::new();
        for line in lines.iter().filter(|line| place(&line["phase"]) <= place(&phase.into())) {
            answers.retain(|(request, _)| *request != line["request"]);
            answers.push((line["request"].clone(), line["reply"].clone()));
        }
        Self { greeting: lines[0]["reply"].to_string(), answers }
    }

    pub(crate) fn answer(&self, request: &Value) -> Value {
        let mut asked = request.clone();
        let id = asked.as_object_mut().expect("an object").remove("id");
        let known = self.answers.iter().find(|(recorded, _)| *recorded == asked).map(|(_, reply)| reply.clone());
        let mut reply = match (known, asked["execute"].as_str()) {
            (Some(reply), _) => reply,
            (None, Some("qmp_capabilities")) => serde_json::json!({ "return": {} }),
            // In the words recorded for queue 3 of vscsi-nbd: the recordings end where the queues do.
            (None, Some("x-query-virtio-queue-status")) => {
                let words = format!("Invalid virtqueue number {}", asked["arguments"]["queue"]);
                serde_json::json!({ "error": { "class": "GenericError", "desc": words } })
            }
            (None, command) => panic!("{command:?} is not recorded"),
        };
        reply["id"] = id.unwrap_or_default();
        reply
    }
}
