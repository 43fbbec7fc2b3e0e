//! The reference of settings, from the command line's declaration.

use std::fmt::Write as _;

use clap::{Arg, Command};

/// Every setting as Markdown: one table for the exporter, one per collector.
#[must_use]
pub fn reference() -> String {
    let mut command = flatline_exporter::cli::command();
    command.build();
    let mut page = "<!-- Written from the command line's declaration; FLATLINE_UPDATE_GOLDEN=1 cargo test -p flatline-package \
         writes it anew. -->\n\n# Settings\n\nEach can be given as a flag, as an environment variable, or in the YAML file given \
         with `--config.file` by the flag's\nname; [configuration.md](configuration.md) tells how they work together. A switch \
         `--name` is turned off by `--no-name`;\ncollectors are on where there is something to read, unless it says otherwise.\n"
        .to_owned();
    let mut section = None;
    for flag in command.get_arguments().filter(|flag| !flag.is_hide_set()) {
        let Some(name) = flag.get_long().filter(|name| !["help", "version"].contains(name)) else { continue };
        let of = collector(name);
        if section != Some(of) {
            section = Some(of);
            let title = of.map_or_else(|| "The exporter".to_owned(), |collector| format!("`{collector}`"));
            let _ = writeln!(page, "\n## {title}\n\n| flag | variable | default | meaning |\n|---|---|---|---|");
        }
        page += &row(name, flag);
    }
    page + &subcommands(&command)
}

/// The collector a flag belongs to.
fn collector(flag: &str) -> Option<&str> {
    let name = flag.strip_prefix("collector.")?.split('.').next()?;
    (name != "disable-defaults").then_some(name)
}

fn row(name: &str, flag: &Arg) -> String {
    let value = flag.get_value_names().filter(|_| flag.get_action().takes_values()).and_then(|names| names.first());
    let shown = value.map_or_else(|| name.to_owned(), |value| format!("{name} <{value}>"));
    let variable = flag.get_env().map(|variable| format!("`{}`", variable.to_string_lossy())).unwrap_or_default();
    let help = flag.get_help().map(ToString::to_string).unwrap_or_default();
    let (meaning, in_help) = split_default(&help);
    let declared = flag.get_default_values().iter().map(|value| value.to_string_lossy()).collect::<Vec<_>>().join(" ");
    let default = in_help.unwrap_or(if flag.get_action().takes_values() { &declared } else { "" });
    let default = if default.is_empty() { String::new() } else { format!("`{}`", cell(default)) };
    format!("| `--{}` | {variable} | {default} | {} |\n", cell(&shown), text(meaning))
}

/// Some defaults are words in the help, because they are found out at run time.
fn split_default(help: &str) -> (&str, Option<&str>) {
    let split = help.strip_suffix(']').and_then(|help| help.rsplit_once(" [default: "));
    split.map_or((help, None), |(meaning, default)| (meaning, Some(default)))
}

/// Words, in which nothing is markup.
fn text(words: &str) -> String {
    cell(words).replace('*', "\\*").replace('<', "&lt;")
}

/// What a Markdown table takes for a cell: no column ends within.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn subcommands(command: &Command) -> String {
    let mut page = "\n## Subcommands\n\n| command | what it does |\n|---|---|\n".to_owned();
    for subcommand in command.get_subcommands().filter(|subcommand| subcommand.get_name() != "help") {
        let about = subcommand.get_about().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(page, "| `flatline-exporter {}` | {} |", subcommand.get_name(), text(&about));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::{collector, reference, split_default};

    #[test]
    fn the_page_in_the_documentation_is_what_the_program_takes() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/settings.md");
        let reference = reference();
        if std::env::var_os("FLATLINE_UPDATE_GOLDEN").is_some() {
            std::fs::write(path, &reference).unwrap();
        }
        let page = std::fs::read_to_string(path).unwrap_or_default();
        assert!(page == reference, "{path} is not what the program takes; FLATLINE_UPDATE_GOLDEN=1 writes it anew");
        let rows = page.lines().filter(|line| line.starts_with("| `--")).count();
        assert!(rows > 70, "only {rows} settings");
        assert!(
            page.contains("| `--scrape.deadline <DURATION>` | `FLATLINE_SCRAPE_DEADLINE` | `500ms` | How long"),
            "{page}"
        );
    }

    #[test]
    fn flags_belong_to_their_collectors() {
        assert_eq!(collector("collector.memcg.max-depth"), Some("memcg"));
        assert_eq!(collector("collector.memcg"), Some("memcg"));
        assert_eq!(collector("collector.disable-defaults"), None);
        assert_eq!(collector("web.listen-address"), None);
    }

    #[test]
    fn a_default_in_words_is_no_part_of_the_meaning() {
        assert_eq!(
            split_default("Links that must be up [default: 22, once]"),
            ("Links that must be up", Some("22, once"))
        );
        assert_eq!(split_default("Where [it] is"), ("Where [it] is", None));
    }
}
