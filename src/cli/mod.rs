//! The command line: settings, logs, then one command. A file for each group of commands; each calls the services that
//! the pages call, as the actor `cli`.

mod ask;
mod audit;
mod config;
mod dist;
mod doctor;
mod failure;
mod healthcheck;
mod keys;
mod output;
mod progress;
mod secret;
mod sessions;
mod setup_link;
mod user;

use std::ffi::OsString;
use std::process::ExitCode;
use std::str::FromStr;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

pub use self::failure::Failure;
use crate::domain::Clock;
use crate::settings::{self, Loaded, Source, Sources};
use crate::{startup, telemetry};

/// A self-hosted sign-in server.
#[derive(Parser)]
#[command(
    name = "portcullis",
    version,
    after_help = "`--help` shows the settings too. \
                  Exit status: 0 done, 1 failure, 2 usage, 69 a dependency is unreachable, 78 settings.",
    after_long_help = "Each setting `--some-name` can also be PORTCULLIS_SOME_NAME in the environment or in the file \
                       .env, or some_name in portcullis.toml; the first of these that has it wins. \
                       `portcullis config show` tells what holds, and why.\n\
                       Durations are written 90s, 15m, 2h or 14d; lists with commas.\n\
                       Exit status: 0 done, 1 failure, 2 usage, 69 a dependency is unreachable, 78 settings."
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until stopped. This is the default.
    Serve,
    #[command(flatten)]
    Stored(Stored),
    /// The settings.
    #[command(subcommand)]
    Config(config::Command),
    /// Files for programs beside the server, filled from the settings.
    #[command(subcommand)]
    Dist(dist::Command),
    /// Random secrets.
    #[command(subcommand)]
    Secret(secret::Command),
    /// Try out what the server needs, the database migrated, and say what to do about each thing that fails: exit status 0
    /// if all is well, else 69.
    Doctor {
        #[command(flatten)]
        output: output::Output,
    },
    /// Ask the server of this host whether it is ready: exit status 0 if so, else 1.
    Healthcheck,
}

/// What needs the stores.
#[derive(Subcommand)]
enum Stored {
    /// Print a new link that makes the first administrator; earlier ones are void.
    SetupLink {
        #[command(flatten)]
        yes: ask::Yes,
    },
    /// Accounts.
    #[command(subcommand)]
    User(user::Command),
    /// Who is signed in.
    #[command(subcommand)]
    Sessions(sessions::Command),
    /// What happened.
    #[command(subcommand)]
    Audit(audit::Command),
    /// Keys that sign access tokens.
    #[command(subcommand)]
    Keys(keys::Command),
}

/// Runs the program with these arguments, the program's own name first.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let (command, flags) = match parse(args) {
        Ok(parsed) => parsed,
        Err(error) => {
            // Help and version are "errors" too, with status 0.
            let status = u8::try_from(error.exit_code()).unwrap_or(failure::USAGE);
            return end(output::print_usage(&error), status);
        }
    };
    end(perform(command, flags).and_then(|text| output::print(&text)), 0)
}

/// The exit status: `status` where all went well.
fn end(outcome: Result<(), Failure>, status: u8) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::from(status),
        Err(failure) => {
            if !matches!(failure, Failure::Unread) {
                output::tell(&format!("portcullis: {failure}"));
            }
            ExitCode::from(failure.exit_code())
        }
    }
}

/// The command, and the settings among the flags.
fn parse(args: impl IntoIterator<Item = OsString>) -> Result<(Command, Vec<(String, String)>), clap::Error> {
    let matches = settings::flags::add(Cli::command()).try_get_matches_from(args)?;
    let cli = Cli::from_arg_matches(&matches)?;
    Ok((cli.command.unwrap_or(Command::Serve), settings::flags::given(&matches)))
}

/// What the command has to say on stdout.
fn perform(command: Command, flags: Vec<(String, String)>) -> Result<String, Failure> {
    let load = || settings::load(&Sources::of_process(flags));
    match command {
        // Secrets are made before there are settings.
        Command::Secret(command) => Ok(secret::run(&command)),
        Command::Config(command) => config::run(&command, &load()?),
        Command::Dist(command) => Ok(dist::run(&command, &load()?.settings)),
        Command::Healthcheck => healthcheck::run(&load()?.settings),
        Command::Doctor { output } => {
            let loaded = load()?;
            // What it finds is its answer, and need not be logged too.
            let _guard = start_logs(&loaded, "warn,portcullis::storage::sessions::redis=off")?;
            actix_web::rt::System::new().block_on(doctor::run(&loaded.settings, &output))
        }
        Command::Serve => {
            let loaded = load()?;
            let log = start_logs(&loaded, &loaded.settings.log_level)?;
            actix_web::rt::System::new().block_on(startup::serve(loaded, Clock::default(), &log))?;
            Ok(String::new())
        }
        Command::Stored(command) => {
            let loaded = load()?;
            let _guard = start_logs(&loaded, log_level_of_command(&loaded))?;
            actix_web::rt::System::new().block_on(async {
                let mut services = startup::services(loaded, Clock::default()).await?;
                services.database = services.database.with_long_timeout();
                match command {
                    Stored::SetupLink { .. } => setup_link::run(&services).await,
                    Stored::User(command) => user::run(command, &services).await,
                    Stored::Sessions(command) => sessions::run(command, &services).await,
                    Stored::Audit(command) => audit::run(command, &services).await,
                    Stored::Keys(command) => keys::run(command, &services).await,
                }
            })
        }
    }
}

/// Logs come first, so that opening the stores can be told of.
fn start_logs(loaded: &Loaded, level: &str) -> Result<telemetry::Guard, Failure> {
    telemetry::start(level, loaded.settings.log_format)
        .map_err(|error| Failure::Failed(format!("logging can't be started: {error}")))
}

/// A command that comes and goes says nothing but its own text, unless it is asked to.
fn log_level_of_command(loaded: &Loaded) -> &str {
    let asked = loaded.effective.iter().any(|setting| setting.key == "log_level" && setting.source != Source::Default);
    if asked { &loaded.settings.log_level } else { "warn" }
}

/// An argument that is one of these words.
fn one_of<T>(words: &'static [T], text: fn(T) -> &'static str) -> impl TypedValueParser<Value = T>
where
    T: FromStr<Err: std::error::Error + Send + Sync> + Copy + Send + Sync,
{
    PossibleValuesParser::new(words.iter().map(|word| text(*word))).try_map(|word| word.parse())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<(Command, Vec<(String, String)>), clap::Error> {
        parse(std::iter::once("portcullis").chain(line.split_whitespace()).map(OsString::from))
    }

    #[test]
    fn the_command_line_is_consistent() {
        settings::flags::add(Cli::command()).debug_assert();
    }

    #[test]
    fn serve_is_the_default_and_takes_settings() {
        let (command, flags) = parsed("--listen 127.0.0.1:0").unwrap();
        assert!(matches!(command, Command::Serve));
        assert_eq!(flags, [("listen".to_owned(), "127.0.0.1:0".to_owned())]);
    }

    #[test]
    fn every_changing_command_takes_yes_and_every_list_takes_output() {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        for line in [
            "setup-link --yes",
            "user create ann --email ann@example.org --name Ann --role manager --password-stdin --yes",
            "user set-password ann --password-stdin --yes",
            "user set-role ann admin --yes",
            "user suspend ann --yes",
            "user reinstate ann --yes",
            "user delete ann --yes",
            "user reset-link ann --yes",
            "user list --output json",
            "user list --q ann --role admin --status locked --sort -created_at",
            "user show ann --output json",
            "user import users.jsonl --dry-run --ignore phone,locked_until --yes",
            "user import -",
            "user export",
            "user export users.jsonl",
            &format!("sessions revoke {id} {id} --yes"),
            "sessions revoke-all --user ann --yes",
            "sessions revoke-all --yes",
            "sessions list --user ann --output json",
            "sessions list --output table",
            "sessions list --state ended --kind api --q curl",
            "keys list --output json",
            "keys rotate --yes",
            "config check",
            "config show --output json",
            "secret generate",
            "healthcheck",
            "dist prometheus",
            "dist grafana --metrics-listen :9464",
            "doctor --output json",
            "serve --data-dir /srv",
        ] {
            assert!(parsed(line).is_ok(), "{line}");
        }
    }

    #[test]
    fn usage_errors_exit_with_2() {
        for line in [
            "frobnicate",
            "--frobnicate",
            "user",
            "user create ann",
            "user set-role ann king",
            "user list --status gone",
            "user list --sort -name",
            "sessions list --state dead",
            "sessions revoke 7",
        ] {
            assert_eq!(parsed(line).err().map(|error| error.exit_code()), Some(i32::from(failure::USAGE)), "{line}");
        }
    }
}
