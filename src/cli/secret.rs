//! `portcullis secret`.

use clap::Subcommand;

use crate::domain::keys::Secret;

#[derive(Subcommand)]
pub enum Command {
    /// Print 256 random bits, good for secret_key and jwt_secret.
    Generate,
}

pub fn run(command: &Command) -> String {
    match command {
        Command::Generate => Secret::generate().reveal() + "\n",
    }
}
