//! Every link in the documentation leads somewhere.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::generated::repository;

/// The pages of the repository: those at its root, and all below `docs` and `deploy`.
fn pages(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && (directory != root || ["docs", "deploy"].contains(&name.as_str())) {
                directories.push(path);
            } else if name.ends_with(".md") {
                found.push(path);
            }
        }
    }
    found
}

struct Page {
    links: Vec<String>,
    anchors: BTreeSet<String>,
}

fn read(path: &Path) -> Page {
    let text = std::fs::read_to_string(path).unwrap();
    let (mut links, mut anchors, mut heading) = (Vec::new(), BTreeSet::new(), None::<String>);
    for event in Parser::new_ext(&text, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                links.push(dest_url.into_string());
            }
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => anchors.extend(heading.take().map(|text| anchor(&text))),
            Event::Text(text) | Event::Code(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
            }
            _ => {}
        }
    }
    Page { links, anchors }
}

/// As GitHub makes it of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// What is wrong with a page's links; those to other places are not followed.
fn broken(path: &Path) -> Vec<String> {
    let page = read(path);
    let wrong = |link: &&String| {
        if link.contains("://") || link.starts_with("mailto:") {
            return false;
        }
        let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
        let target = if file.is_empty() { path.to_owned() } else { path.parent().unwrap().join(file) };
        !target.exists() || (!anchor.is_empty() && !read(&target).anchors.contains(anchor))
    };
    page.links.iter().filter(wrong).map(|link| format!("{}: {link}", path.display())).collect()
}

#[test]
fn every_link_of_every_page_leads_somewhere() {
    let pages = pages(&repository());
    assert!(pages.len() > 60, "only {} pages", pages.len());
    let links: usize = pages.iter().map(|path| read(path).links.len()).sum();
    assert!(links > 200, "only {links} links");
    let broken: Vec<String> = pages.iter().flat_map(|path| broken(path)).collect();
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn a_link_to_nowhere_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.md");
    std::fs::write(&path, "# One thing\n[a](a.md#one-thing) [b](b.md) [c](#two) ![d](d.png) [e](https://e.example)\n")
        .unwrap();
    let broken: Vec<String> = broken(&path).iter().map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect();
    assert_eq!(broken, ["b.md", "#two", "d.png"]);
}
