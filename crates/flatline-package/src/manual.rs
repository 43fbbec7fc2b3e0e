//! Manual pages and shell completions of `flatline-exporter`.

use std::io;

use clap::Command;
use clap_complete::{Shell, generate};
use clap_mangen::Man;

use crate::File;

/// The name of the program.
const PROGRAM: &str = "flatline-exporter";
/// Where each shell of Debian looks for completions.
const COMPLETIONS: &[(Shell, &str)] = &[
    (Shell::Bash, "usr/share/bash-completion/completions/flatline-exporter"),
    (Shell::Zsh, "usr/share/zsh/vendor-completions/_flatline-exporter"),
    (Shell::Fish, "usr/share/fish/vendor_completions.d/flatline-exporter.fish"),
];

/// One page for the program and one per subcommand, below `usr/share/man/man8`.
///
/// # Errors
/// Never: what is written to is memory.
pub fn pages() -> io::Result<Vec<File>> {
    let mut command = flatline_exporter::cli::command().version(env!("CARGO_PKG_VERSION"));
    command.build();
    let subcommands: Vec<Command> =
        command.get_subcommands().filter(|sub| sub.get_name() != "help").map(page_of_subcommand).collect();
    std::iter::once(command.clone().disable_help_subcommand(true)).chain(subcommands).map(page).collect()
}

/// The subcommand under the name its page goes by: `flatline-exporter-boots`.
fn page_of_subcommand(subcommand: &Command) -> Command {
    let name = format!("{PROGRAM}-{}", subcommand.get_name());
    subcommand.clone().name(name.clone()).display_name(name).version(env!("CARGO_PKG_VERSION"))
}

fn page(command: Command) -> io::Result<File> {
    let path = format!("usr/share/man/man8/{}.8", command.get_name());
    // Without a date: two builds of one revision are to be the same.
    let man = Man::new(command).section("8").date("").manual("System Administration");
    File::of(path, |page| man.render(page))
}

/// Completions for bash, zsh and fish.
#[must_use]
pub fn completions() -> Vec<File> {
    let complete = |&(shell, path): &(Shell, &str)| {
        let mut content = Vec::new();
        generate(shell, &mut flatline_exporter::cli::command(), PROGRAM, &mut content);
        File { path: path.to_owned(), content }
    };
    COMPLETIONS.iter().map(complete).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(files: &[File], path: &str) -> String {
        let file = files.iter().find(|file| file.path == path).unwrap_or_else(|| panic!("no {path}"));
        String::from_utf8(file.content.clone()).unwrap()
    }

    /// As roff writes it.
    fn escaped(name: &str) -> String {
        name.replace('-', "\\-")
    }

    #[test]
    fn every_flag_is_in_the_page_and_in_every_completion() {
        let pages = pages().unwrap();
        let page = text(&pages, "usr/share/man/man8/flatline-exporter.8");
        let completions = completions();
        assert_eq!(completions.len(), 3);
        let command = flatline_exporter::cli::command();
        let flags: Vec<&str> =
            command.get_arguments().filter(|flag| !flag.is_hide_set()).filter_map(clap::Arg::get_long).collect();
        assert!(flags.len() > 50, "{flags:?}");
        for flag in flags {
            assert!(page.contains(&escaped(flag)), "the page lacks --{flag}");
            for completion in &completions {
                let text = String::from_utf8_lossy(&completion.content);
                assert!(text.contains(flag), "{} lacks --{flag}", completion.path);
            }
        }
    }

    #[test]
    fn every_subcommand_has_a_page_of_its_own_name() {
        let pages = pages().unwrap();
        for name in ["boots", "classify"] {
            let page = text(&pages, &format!("usr/share/man/man8/flatline-exporter-{name}.8"));
            assert!(page.contains(&format!(".TH flatline-exporter-{name} 8")), "{page}");
        }
        assert_eq!(pages.len(), 3);
    }
}
