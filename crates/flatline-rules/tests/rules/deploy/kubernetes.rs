//! `deploy/kubernetes/`: by Kubernetes' and the Operator's own schemas, before and after kustomize.

use std::path::Path;
use std::process::Command;

use flatline_rules::Config;
use jsonschema::Validator;
use serde_json::{Value, json};

use super::super::generated::repository;
use super::super::support::{said, skipped};
use super::{
    capabilities, deploy, faults, list, resolved, schema, text_of, texts, typos_are_found, validator, version, yaml,
};

/// Refuses what no schema names, as the API server's strict validation does; schemas of custom resources leave it open.
fn closed(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if map.get("properties").is_some_and(Value::is_object) && !map.contains_key("additionalProperties") {
                map.insert("additionalProperties".to_owned(), false.into());
            }
            map.values_mut().for_each(closed);
        }
        Value::Array(values) => values.iter_mut().for_each(closed),
        _ => {}
    }
}

/// The schema of a custom resource.
fn custom(name: &str) -> Validator {
    let mut schema = schema(name);
    closed(&mut schema);
    validator(schema, None)
}

struct Schemas {
    daemon_set: Validator,
    service: Validator,
    namespace: Validator,
    monitor: Validator,
    rule: Validator,
    kustomization: Validator,
}

impl Schemas {
    fn read() -> Self {
        let kubernetes = |definition| validator(schema("kubernetes"), Some(definition));
        Self {
            daemon_set: kubernetes("io.k8s.api.apps.v1.DaemonSet"),
            service: kubernetes("io.k8s.api.core.v1.Service"),
            namespace: kubernetes("io.k8s.api.core.v1.Namespace"),
            monitor: custom("servicemonitor"),
            rule: custom("prometheusrule"),
            kustomization: validator(schema("kustomization"), None),
        }
    }

    fn faults(&self, document: &Value) -> Vec<String> {
        let named = |name: &str| document[name].as_str().unwrap_or_default();
        let validator = match (named("apiVersion"), named("kind")) {
            ("apps/v1", "DaemonSet") => &self.daemon_set,
            ("v1", "Service") => &self.service,
            ("v1", "Namespace") => &self.namespace,
            ("monitoring.coreos.com/v1", "ServiceMonitor") => &self.monitor,
            ("monitoring.coreos.com/v1", "PrometheusRule") => &self.rule,
            (_, "Kustomization" | "Component") => &self.kustomization,
            other => return vec![format!("nothing is called {other:?}")],
        };
        faults(validator, document)
    }
}

fn manifest(name: &str) -> Value {
    yaml(&deploy("kubernetes").join(name))
}

fn container(daemon_set: &Value) -> &Value {
    let [container] = list(&daemon_set["spec"]["template"]["spec"], "containers") else { panic!("not one container") };
    container
}

/// Every manifest that a kustomization leads to, and the kustomizations.
fn documents(directory: &Path) -> Vec<Value> {
    let kustomization: Value = yaml(&directory.join("kustomization.yaml"));
    let mut found = Vec::new();
    for resource in texts(&kustomization, "resources") {
        let path = resolved(directory, resource);
        if path.is_dir() { found.extend(documents(&path)) } else { found.push(yaml(&path)) }
    }
    found.push(kustomization);
    found
}

#[test]
fn every_manifest_is_valid() {
    let schemas = Schemas::read();
    let mut all = documents(&deploy("kubernetes"));
    all.push(manifest("kernel-log/kustomization.yaml"));
    let kinds: Vec<_> = all.iter().map(|document| document["kind"].as_str().unwrap()).collect();
    let wanted = ["Namespace", "DaemonSet", "Service", "ServiceMonitor", "PrometheusRule"];
    assert_eq!(kinds[..5], wanted);
    assert_eq!(kinds[5..], ["Kustomization", "Kustomization", "Component"]);
    for document in &all {
        assert_eq!(schemas.faults(document), Vec::<String>::new(), "{}", document["kind"]);
    }
    for entry in std::fs::read_dir(deploy("kubernetes")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let manifest = !name.ends_with(".yaml") || name == "kustomization.yaml";
        assert!(
            manifest || texts(&self::manifest("kustomization.yaml"), "resources").contains(&name.as_str()),
            "{name}"
        );
    }
}

#[test]
fn typos_are_found_in_all() {
    let schemas = Schemas::read();
    let tried = |file: &str, typos: &[(&str, &str)]| {
        let text = text_of(&resolved(&deploy("kubernetes"), file));
        typos_are_found(&text, typos, |value| schemas.faults(value));
    };
    let daemon_set = [
        ("apps/v1", "apps/v2"),
        ("kind: DaemonSet", "kind: Daemonset"),
        ("  selector:\n    matchLabels:", "  selector:\n    matchLabel:"),
        ("  selector:\n    matchLabels:\n      app.kubernetes.io/name: flatline-exporter\n", ""),
        ("updateStrategy:", "strategy:"),
        ("operator: Exists", "operators: Exists"),
        ("priorityClassName:", "priorityClass:"),
        ("hostNetwork: true", "hostNetwork: yes please"),
        ("dnsPolicy:", "dnspolicy:"),
        ("automountServiceAccountToken:", "autoMountServiceAccountToken:"),
        ("terminationGracePeriodSeconds: 10", "terminationGracePeriodSeconds: 10s"),
        ("seccompProfile:\n          type", "seccompProfile:\n          kind"),
        ("args:", "arguments:"),
        ("containerPort: 10120", "containerPort: metrics"),
        ("containerPort:", "port:"),
        ("runAsUser: 0", "runAsUser: root"),
        ("allowPrivilegeEscalation:", "allowPrivilegesEscalation:"),
        ("readOnlyRootFilesystem:", "readOnlyRootFileSystem:"),
        ("drop: [ALL]", "drop: ALL"),
        ("appArmorProfile:", "apparmorProfile:"),
        ("requests:", "request:"),
        ("livenessProbe:\n            httpGet:", "livenessProbe:\n            http:"),
        ("failureThreshold:", "failures:"),
        ("mountPath:", "path:"),
        ("readOnly: true", "read_only: true"),
        ("recursiveReadOnly: IfPossible", "recursiveReadonly: IfPossible"),
        ("hostPath:\n            path:", "hostPath:\n            paths:"),
    ];
    tried("daemonset.yaml", &daemon_set);
    let service =
        [("clusterIP:", "clusterIp:"), ("port: 10120", "port: metrics"), ("publishNotReady", "publishNotready")];
    tried("service.yaml", &service);
    tried("namespace.yaml", &[("labels:", "label:")]);
    let monitor = [
        ("kind: ServiceMonitor", "kind: PodMonitor"),
        ("selector:", "selectors:"),
        ("  selector:\n    matchLabels:\n      app.kubernetes.io/name: flatline-exporter\n", ""),
        ("endpoints:", "endpoint:"),
        ("port: metrics", "ports: metrics"),
        ("interval: 15s", "interval: 15 s"),
        ("scrapeTimeout:", "scrape_timeout:"),
        ("relabelings:", "relabelConfigs:"),
        ("sourceLabels: [__meta_kubernetes_pod_node_name]", "sourceLabels: __meta_kubernetes_pod_node_name"),
        ("sourceLabels:", "source_labels:"),
        ("targetLabel:", "target:"),
    ];
    tried("servicemonitor.yaml", &monitor);
    let rule = [
        ("groups:", "group:"),
        ("- name: flatline-devvm", "- title: flatline-devvm"),
        ("alert: DevvmDown", "alerts: DevvmDown"),
        ("expr: |", "expression: |"),
        ("for: 3m", "for: 3 minutes"),
        ("for: 3m", "hold: 3m"),
        ("severity: page", "severity: 1"),
        ("annotations:", "annotation:"),
    ];
    tried("../../rules/operator/flatline.prometheusrule.yml", &rule);
}

#[test]
fn names_lead_to_each_other() {
    let (daemon_set, service, monitor) =
        (manifest("daemonset.yaml"), manifest("service.yaml"), manifest("servicemonitor.yaml"));
    let (template, rules) = (&daemon_set["spec"]["template"], Config::default());
    let labels = &template["metadata"]["labels"];
    assert_eq!(&daemon_set["spec"]["selector"]["matchLabels"], labels);
    assert_eq!(&service["spec"]["selector"], labels);
    assert_eq!(monitor["spec"]["selector"]["matchLabels"], service["metadata"]["labels"]);
    assert_eq!(service["metadata"]["name"], rules.exporter.job, "the label `job`");
    let [endpoint] = list(&monitor["spec"], "endpoints") else { panic!("not one endpoint") };
    assert_eq!(endpoint["interval"], rules.scrape_interval.to_string());

    let container = container(&daemon_set);
    let [port] = list(container, "ports") else { panic!("not one port") };
    let [served] = list(&service["spec"], "ports") else { panic!("not one port") };
    assert_eq!((&endpoint["port"], &served["targetPort"]), (&served["name"], &port["name"]));
    assert_eq!((&served["port"], &port["hostPort"]), (&port["containerPort"], &port["containerPort"]));
    for probe in ["livenessProbe", "readinessProbe"] {
        assert_eq!(container[probe]["httpGet"]["port"], port["name"]);
    }
    let names = |items: &[Value]| items.iter().map(|item| item["name"].clone()).collect::<Vec<_>>();
    assert_eq!(names(list(container, "volumeMounts")), names(list(&template["spec"], "volumes")));
}

/// Root, but with what the systemd unit has and the locking of memory, which systemd grants by a limit instead.
#[test]
fn the_exporter_may_do_no_more_than_it_must() {
    let daemon_set = manifest("daemonset.yaml");
    let container = container(&daemon_set);
    let context = &container["securityContext"];
    let mut wanted = capabilities();
    wanted.push("IPC_LOCK".to_owned());
    assert_eq!(texts(&context["capabilities"], "add"), wanted);
    assert_eq!(texts(&context["capabilities"], "drop"), ["ALL"]);
    assert_eq!((&context["privileged"], &context["allowPrivilegeEscalation"]), (&json!(false), &json!(false)));
    assert_eq!(context["readOnlyRootFilesystem"], true);
    let writable: Vec<_> = list(container, "volumeMounts").iter().filter(|mount| mount["readOnly"] != true).collect();
    assert!(matches!(writable[..], [mount] if mount["name"] == "state"), "{writable:?}");
    let pod = &daemon_set["spec"]["template"]["spec"];
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert!(pod["hostPID"].is_null() && pod["hostIPC"].is_null());
    // Else MemoryQoS throttles.
    assert_eq!(container["resources"]["limits"]["memory"], container["resources"]["requests"]["memory"]);
    assert!(container["resources"]["limits"]["cpu"].is_null());
}

/// Compose and Kubernetes look at the host in the same way.
#[test]
fn the_exporter_is_told_what_compose_tells_it() {
    let compose: Value = yaml(&deploy("compose.yaml"));
    let exporter = &compose["services"]["exporter"];
    let daemon_set = manifest("daemonset.yaml");
    let container = container(&daemon_set);
    assert_eq!(texts(container, "args"), texts(exporter, "command"));
    let mounted = |mounts: &[Value], at: &str| mounts.iter().map(|mount| mount[at].clone()).collect::<Vec<_>>();
    assert_eq!(mounted(list(container, "volumeMounts"), "mountPath"), mounted(list(exporter, "volumes"), "target"));
    let image = format!("{}:{}", container["image"].as_str().unwrap(), version());
    assert_eq!(exporter["image"], image);
}

/// What `kubectl kustomize` makes of a directory; without kubectl, that is said where skipped checks are counted.
#[expect(clippy::disallowed_methods, reason = "tests may start kubectl")]
fn built(directory: &Path) -> Option<Vec<Value>> {
    let Ok(output) = Command::new("kubectl").arg("kustomize").arg(directory).output() else {
        skipped("SKIPPED: kubectl kustomize: there is no kubectl; deploy/kubernetes is checked file by file only\n");
        return None;
    };
    assert!(output.status.success(), "{}", said(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    Some(text.split("\n---\n").map(|document| serde_yaml::from_str(document).unwrap()).collect())
}

fn of_kind<'a>(documents: &'a [Value], kind: &str) -> &'a Value {
    documents.iter().find(|document| document["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"))
}

#[test]
fn kustomize_puts_it_together() {
    let Some(built) = built(&deploy("kubernetes")) else { return };
    let schemas = Schemas::read();
    assert_eq!(built.len(), 5);
    for document in &built {
        assert_eq!(schemas.faults(document), Vec::<String>::new(), "{}", document["kind"]);
        let namespaced = document["kind"] != "Namespace";
        let place = if namespaced { &document["metadata"]["namespace"] } else { &document["metadata"]["name"] };
        assert_eq!(place, "flatline", "{}", document["kind"]);
    }
    let rules: Value = yaml(&repository().join("rules/operator/flatline.prometheusrule.yml"));
    assert_eq!(of_kind(&built, "PrometheusRule")["spec"], rules["spec"]);
    let image = &container(of_kind(&built, "DaemonSet"))["image"];
    assert_eq!(image, &Value::from(format!("flatline-exporter:{}", version())));
}

/// The component for the kernel's messages, and the selector's labels, as the comments tell the user to switch them on.
#[test]
fn what_is_commented_out_works_when_it_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let up = "../".repeat(directory.path().components().count() - 1);
    let here = |path: &str| format!("{up}{}", deploy(path).strip_prefix("/").unwrap().display());
    let text = text_of(&deploy("kubernetes/kustomization.yaml"));
    for line in
        ["# components:\n#   - kernel-log\n", "# labels:\n#   - pairs:\n#       release: kube-prometheus-stack\n"]
    {
        assert!(text.contains(line), "{line}");
    }
    let kustomization = format!(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n  - {}\ncomponents:\n  - {}\n\
         labels:\n  - pairs:\n      release: kube-prometheus-stack\n",
        here("kubernetes"),
        here("kubernetes/kernel-log"),
    );
    std::fs::write(directory.path().join("kustomization.yaml"), kustomization).unwrap();
    let (Some(plain), Some(changed)) = (built(&deploy("kubernetes")), built(directory.path())) else { return };
    let schemas = Schemas::read();
    for document in &changed {
        assert_eq!(schemas.faults(document), Vec::<String>::new(), "{}", document["kind"]);
        assert_eq!(document["metadata"]["labels"]["release"], "kube-prometheus-stack");
    }
    let (mut plain, changed) = (of_kind(&plain, "DaemonSet").clone(), of_kind(&changed, "DaemonSet"));
    let context = &container(changed)["securityContext"];
    assert_eq!(context["privileged"], true);
    assert!(context["allowPrivilegeEscalation"].is_null(), "Kubernetes refuses this beside `privileged`");
    let switch = &container(changed)["env"][0];
    assert_eq!(*switch, serde_json::json!({ "name": "FLATLINE_COLLECTOR_KERNEL_LOG", "value": "true" }));
    let exporter = &mut plain["spec"]["template"]["spec"]["containers"][0];
    exporter["securityContext"] = context.clone();
    exporter["env"][0] = switch.clone();
    assert_eq!(plain["spec"], changed["spec"], "nothing else is changed");
}
