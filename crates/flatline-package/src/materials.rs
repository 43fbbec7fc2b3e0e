//! What the binary is made of: the crates Cargo links into `flatline-exporter`, their licences, and their texts.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId};
use serde_json::{Value, json};

/// The crate whose binary is packaged.
const ROOT: &str = "flatline-exporter";
/// How files with terms of licence begin, in capitals.
const NOTICES: &[&str] = &["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"];

/// The crates that end up in the binary on this target, by name and version, `flatline-exporter` among them.
///
/// # Errors
/// When Cargo can't resolve the workspace from its lock file, without the network.
pub fn linked(manifest: &Path, target: &str) -> Result<Vec<Package>, String> {
    let options = ["--locked", "--offline", "--filter-platform", target].map(str::to_owned);
    let metadata = MetadataCommand::new().manifest_path(manifest).other_options(options).exec();
    let metadata = metadata.map_err(|error| error.to_string())?;
    let ids = reachable(&metadata)?;
    let mut packages: Vec<Package> =
        metadata.packages.into_iter().filter(|package| ids.contains(&package.id)).collect();
    packages.sort_by(|a, b| (a.name.as_str(), &a.version).cmp(&(b.name.as_str(), &b.version)));
    Ok(packages)
}

/// What is reached from the exporter by normal dependencies: neither what only builds it nor what only tests it.
fn reachable(metadata: &Metadata) -> Result<BTreeSet<PackageId>, String> {
    let resolve = metadata.resolve.as_ref().ok_or("cargo metadata resolved nothing")?;
    let nodes: BTreeMap<&PackageId, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let root = metadata.packages.iter().find(|package| package.name.as_str() == ROOT);
    let mut waiting = vec![root.ok_or_else(|| format!("no crate {ROOT}"))?.id.clone()];
    let mut seen = BTreeSet::new();
    while let Some(id) = waiting.pop() {
        let Some(node) = nodes.get(&id) else { continue };
        if seen.insert(id) {
            let normal =
                |dep: &&cargo_metadata::NodeDep| dep.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal);
            waiting.extend(node.deps.iter().filter(normal).map(|dep| dep.pkg.clone()));
        }
    }
    Ok(seen)
}

/// The terms of every crate from a registry, each text once, with the crates it belongs to.
///
/// # Errors
/// When a crate declares no licence, or its sources can't be read.
pub fn notices(packages: &[Package]) -> Result<String, String> {
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut list = String::new();
    for package in packages.iter().filter(|package| package.source.is_some()) {
        let name = format!("{} {}", package.name, package.version);
        let licence = package.license.as_deref().ok_or_else(|| format!("{name} declares no licence"))?;
        let authors = if package.authors.is_empty() { "its authors".to_owned() } else { package.authors.join(", ") };
        list.push_str(&format!("{name}: {licence}\n    by {authors}\n"));
        for text in texts_of(package)? {
            texts.entry(text).or_default().push(name.clone());
        }
    }
    let mut notices = format!("flatline-exporter contains these crates:\n\n{list}");
    // In the order of their first crate, not of their first letter.
    let mut texts: Vec<_> = texts.into_iter().collect();
    texts.sort_by(|a, b| a.1.cmp(&b.1));
    for (text, names) in texts {
        notices.push_str(&format!("\n{}\n{}:\n\n{text}\n", "=".repeat(78), names.join(", ")));
    }
    Ok(notices)
}

fn texts_of(package: &Package) -> Result<Vec<String>, String> {
    let directory = package.manifest_path.parent().ok_or("a manifest without a directory")?;
    let unread = |error: std::io::Error| format!("{directory}: {error}");
    let mut names: Vec<_> = fs::read_dir(directory)
        .map_err(unread)?
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_uppercase();
            NOTICES.iter().any(|notice| name.starts_with(notice))
        })
        .collect();
    names.sort();
    let read = |path| fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).replace('\r', "").trim().to_owned());
    names.into_iter().map(read).collect::<Result<_, _>>().map_err(unread)
}

/// A bill of materials as CycloneDX 1.5.
#[must_use]
pub fn bill(packages: &[Package]) -> Value {
    let (root, parts): (Vec<_>, Vec<_>) = packages.iter().partition(|package| package.name.as_str() == ROOT);
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": root.first().map(|package| component(package, "application")) },
        "components": parts.iter().map(|package| component(package, "library")).collect::<Vec<_>>(),
    })
}

fn component(package: &Package, kind: &str) -> Value {
    let purl = format!("pkg:cargo/{}@{}", package.name, package.version);
    // Old manifests separate alternatives by a slash, which SPDX does not know.
    let licence = package.license.as_deref().unwrap_or_default().replace('/', " OR ");
    json!({
        "type": kind,
        "bom-ref": purl,
        "name": package.name.as_str(),
        "version": package.version.to_string(),
        "purl": purl,
        "licenses": [{ "expression": licence }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packages() -> Vec<Package> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml");
        linked(&manifest, "x86_64-unknown-linux-gnu").unwrap()
    }

    #[test]
    fn what_is_linked_is_listed_and_what_only_tests_is_not() {
        let packages = packages();
        let has = |name: &str| packages.iter().any(|package| package.name.as_str() == name);
        for name in ["flatline-exporter", "flatline-sources", "tokio", "rustls", "clap"] {
            assert!(has(name), "{name}");
        }
        for name in ["criterion", "proptest", "flatline-lab", "windows-sys", "clap_mangen"] {
            assert!(!has(name), "{name}");
        }
    }

    #[test]
    fn notices_name_every_crate_and_hold_its_terms() {
        let packages = packages();
        let notices = notices(&packages).unwrap();
        for package in packages.iter().filter(|package| package.source.is_some()) {
            assert!(notices.contains(&format!("{} {}: ", package.name, package.version)), "{}", package.name);
        }
        assert!(notices.contains("Permission is hereby granted, free of charge"));
        // Apache-2.0 alone is in dozens of crates.
        let texts = notices.matches("Apache License\n").count();
        assert!(texts < packages.len() / 2, "{texts} copies of the Apache licence");
    }

    #[test]
    fn the_bill_has_every_crate_with_an_expression_of_its_licence() {
        let packages = packages();
        let bill = bill(&packages);
        assert_eq!(bill["bomFormat"], "CycloneDX");
        assert_eq!(bill["metadata"]["component"]["name"], ROOT);
        let components = bill["components"].as_array().unwrap();
        assert_eq!(components.len(), packages.len() - 1);
        for component in components {
            let licence = component["licenses"][0]["expression"].as_str().unwrap();
            assert!(!licence.is_empty() && !licence.contains('/'), "{component}");
        }
    }
}
