//! The flags of the command line, made from the declaration.

use clap::{Arg, ArgMatches, Command};

use super::declaration::DECLARATION;
use super::declared::{Declared, Fallback};

const HEADING: &str = "Settings";
const ELSEWHERE: &str = "Settings such as --data-dir can be given here too: `portcullis --help` shows them all.";

/// Adds a flag for each setting, good before and after every subcommand. The long help of the program shows them, that
/// of its subcommands says so.
pub fn add(command: Command) -> Command {
    let flags: Vec<Arg> = all().collect();
    let hidden: Vec<Arg> = flags.iter().map(|flag| flag.clone().hide(true)).collect();
    refer(command.mut_subcommands(|subcommand| subcommand.args(&hidden))).args(flags)
}

/// Tells below the help of every subcommand where the settings are.
fn refer(command: Command) -> Command {
    command.mut_subcommands(|subcommand| {
        let own = subcommand.get_after_help().map(|help| format!("{help}\n\n")).unwrap_or_default();
        refer(subcommand).after_help(format!("{own}{ELSEWHERE}"))
    })
}

fn all() -> impl Iterator<Item = Arg> {
    let config = flag("config".to_owned())
        .value_name("FILE")
        .help("TOML file with settings [environment: PORTCULLIS_CONFIG] [default: portcullis.toml, if it exists]");
    std::iter::once(config).chain(DECLARATION.iter().flat_map(|declared| {
        let value = flag(declared.key.to_owned()).value_name(declared.form).help(help(declared));
        let file = declared.file_key().map(|key| {
            flag(key).value_name("FILE").help(format!("File that holds the {}", declared.key.replace('_', " ")))
        });
        [Some(value), file].into_iter().flatten()
    }))
}

/// The settings that the flags gave, as [`super::Sources`] takes them.
pub fn given(matches: &ArgMatches) -> Vec<(String, String)> {
    let keys = DECLARATION.iter().flat_map(|declared| [Some(declared.key.to_owned()), declared.file_key()]).flatten();
    let value = |key: String| matches.get_one::<String>(&key).cloned().map(|text| (key, text));
    keys.chain(["config".to_owned()]).filter_map(value).collect()
}

fn flag(key: String) -> Arg {
    let long = key.replace('_', "-");
    Arg::new(key).long(long).global(true).hide_short_help(true).help_heading(HEADING)
}

fn help(declared: &Declared) -> String {
    match declared.default {
        Fallback::Unset | Fallback::Text("") => declared.help.to_owned(),
        Fallback::Text(text) => format!("{} [default: {text}]", declared.help),
        Fallback::Derived { says, .. } => format!("{} [default: {says}]", declared.help),
    }
}
