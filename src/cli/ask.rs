//! Questions to the person at the terminal.

use std::io::{BufRead, IsTerminal as _, Read as _};

use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};

use super::{Failure, output};

/// Longest password that is read from stdin, in bytes: far above what the policy takes.
const MAX_PASSWORD_INPUT: u64 = 4096;

/// Taken by every command that changes something.
#[derive(Args)]
pub struct Yes {
    /// Ask nothing.
    #[arg(long)]
    yes: bool,
}

impl Yes {
    /// Asks before something is destroyed. Anything but a yes is a failure.
    pub fn confirm(&self, question: &str) -> Result<(), Failure> {
        let stdin = std::io::stdin();
        self.confirm_on(question, stdin.is_terminal(), stdin.lock())
    }

    fn confirm_on(&self, question: &str, is_terminal: bool, mut input: impl BufRead) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        if !is_terminal {
            return Err(Failure::Usage(format!(
                "{question} There is no terminal to ask on: say --yes if you mean it. Nothing was changed."
            )));
        }
        output::ask(&format!("{question} [y/N] "))?;
        let mut answer = String::new();
        input.read_line(&mut answer).map_err(unreadable)?;
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Failure::Failed("nothing was changed".to_owned())),
        }
    }
}

/// Where a new password comes from.
#[derive(Args)]
pub struct PasswordInput {
    /// Read the account's password from stdin.
    #[arg(long)]
    pub password_stdin: bool,
}

impl PasswordInput {
    /// The password from stdin without its last line end, or asked for twice.
    pub fn read(&self) -> Result<SecretString, Failure> {
        if self.password_stdin {
            let mut text = String::new();
            std::io::stdin().take(MAX_PASSWORD_INPUT).read_to_string(&mut text).map_err(unreadable)?;
            let line = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
            return Ok(line.into());
        }
        if !std::io::stdin().is_terminal() {
            return Err(Failure::Usage(
                "there is no terminal to ask for the password: use --password-stdin".to_owned(),
            ));
        }
        let ask = |prompt: &str| rpassword::prompt_password(prompt).map(SecretString::from).map_err(unreadable);
        let password = ask("New password: ")?;
        if password.expose_secret() == ask("The same again: ")?.expose_secret() {
            Ok(password)
        } else {
            Err(Failure::Failed("the two passwords differ: nothing was changed".to_owned()))
        }
    }
}

fn unreadable(error: std::io::Error) -> Failure {
    Failure::Failed(format!("the answer can't be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_destroys_and_without_a_terminal_only_the_flag_is_one() {
        let status = |yes, is_terminal, answer: &str| {
            let outcome = Yes { yes }.confirm_on("Delete?", is_terminal, answer.as_bytes());
            outcome.map_or_else(|failure| failure.exit_code(), |()| 0)
        };
        assert_eq!((status(false, true, "y\n"), status(false, true, "YES\n")), (0, 0));
        assert_eq!((status(false, true, "\n"), status(false, true, ""), status(false, true, "yep\n")), (1, 1, 1));
        assert_eq!((status(false, false, "y\n"), status(true, false, "")), (2, 0));
    }
}
