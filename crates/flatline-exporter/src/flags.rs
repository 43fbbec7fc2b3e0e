//! How flags are made, for the exporter's own and the collectors'.

use clap::builder::{BoolishValueParser, NonEmptyStringValueParser};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, value_parser};
use std::path::PathBuf;

/// A flag with a value, identified by its name.
pub(crate) fn value(name: &'static str, value_name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value_name).help(help).value_parser(NonEmptyStringValueParser::new())
}

/// A flag that takes a path.
pub(crate) fn path(name: &'static str, help: &'static str) -> Arg {
    value(name, "PATH", help).value_parser(value_parser!(PathBuf))
}

/// `--name` and its hidden negation `--no-name`, as kingpin gives every Go exporter; the last one wins.
pub(crate) fn switch(name: &'static str, help: &'static str) -> [Arg; 2] {
    switch_owned(name.to_owned(), help)
}

/// [`switch`] with a name made at run time.
pub(crate) fn switch_owned(name: String, help: &'static str) -> [Arg; 2] {
    let negation = format!("no-{name}");
    let flag = |name: &str| {
        Arg::new(name.to_owned())
            .long(name.to_owned())
            .action(ArgAction::SetTrue)
            .value_parser(BoolishValueParser::new())
    };
    [flag(&name).help(help).overrides_with(negation.clone()), flag(&negation).hide(true).overrides_with(name)]
}

/// What a switch says: the flag, else the variable, else the default.
pub(crate) fn switch_value(matches: &ArgMatches, name: &str) -> Option<bool> {
    let negation = format!("no-{name}");
    if source(matches, &negation) == Some(ValueSource::CommandLine) && matches.get_flag(&negation) {
        return Some(false);
    }
    match source(matches, name) {
        Some(ValueSource::CommandLine | ValueSource::EnvVariable) => Some(matches.get_flag(name)),
        _ => None,
    }
}

pub(crate) fn source(matches: &ArgMatches, id: &str) -> Option<ValueSource> {
    matches.ids().any(|known| known == id).then(|| matches.value_source(id)).flatten()
}
