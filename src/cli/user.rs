//! `portcullis user`.

mod export;
mod import;
mod list;

use clap::Subcommand;

use super::ask::{PasswordInput, Yes};
use super::output::{self, Output};
use super::{Failure, one_of};
use crate::domain::audit::Client;
use crate::domain::link::OneTimeLink;
use crate::domain::{Error, Role, User, username};
use crate::services::accounts::new_account::NewAccount;
use crate::services::accounts::{links, lookup, passwords};
use crate::services::administration::{user_acts, users};
use crate::services::authentication::lockout;
use crate::services::{RecentAuthContext, Services};

#[derive(Subcommand)]
pub enum Command {
    /// Create an account, and print the link with which its owner chooses a password, unless that comes from stdin.
    Create {
        #[arg(help = username_rule())]
        username: String,
        /// As name@example.com; good for signing in too.
        #[arg(long)]
        email: String,
        /// What the person is called.
        #[arg(long)]
        name: Option<String>,
        /// What the account may do; each role can do all that the one before it can.
        #[arg(long, value_parser = role(), default_value = Role::User.as_str())]
        role: Role,
        #[command(flatten)]
        password: PasswordInput,
        #[command(flatten)]
        yes: Yes,
    },
    /// List accounts.
    List {
        #[command(flatten)]
        search: list::Search,
        #[command(flatten)]
        output: Output,
    },
    /// Show one account.
    Show {
        #[command(flatten)]
        target: AccountArgument,
        #[command(flatten)]
        output: Output,
    },
    /// Set a password. Ends all sessions of the account.
    SetPassword {
        #[command(flatten)]
        target: AccountArgument,
        #[command(flatten)]
        password: PasswordInput,
        #[command(flatten)]
        yes: Yes,
    },
    /// Set what an account may do.
    SetRole {
        #[command(flatten)]
        target: AccountArgument,
        /// Each can do all that the one before it can.
        #[arg(value_parser = role())]
        role: Role,
        #[command(flatten)]
        yes: Yes,
    },
    /// Keep an account from signing in. Ends all its sessions.
    Suspend {
        #[command(flatten)]
        target: AccountArgument,
        #[command(flatten)]
        yes: Yes,
    },
    /// Let a suspended account sign in again.
    Reinstate {
        #[command(flatten)]
        target: AccountArgument,
        #[command(flatten)]
        yes: Yes,
    },
    /// End a lock that failed sign-ins have brought about.
    Unlock {
        #[command(flatten)]
        target: AccountArgument,
        #[command(flatten)]
        yes: Yes,
    },
    /// Delete an account for good. Ends all its sessions.
    Delete {
        #[command(flatten)]
        target: AccountArgument,
        #[command(flatten)]
        yes: Yes,
    },
    /// Print a link with which the account's owner chooses a new password; earlier ones are void.
    ResetLink {
        #[command(flatten)]
        target: AccountArgument,
        #[command(flatten)]
        yes: Yes,
    },
    /// Create accounts from JSON Lines, with the password hashes of another system.
    Import(import::Arguments),
    /// Write all accounts with their password hashes as JSON Lines, good for `user import`.
    Export(export::Arguments),
}

/// The account that a command is about.
#[derive(clap::Args)]
pub struct AccountArgument {
    /// Username, e-mail or id.
    user: String,
}

fn username_rule() -> String {
    let signs = username::signs();
    format!(
        "{} to {} ASCII letters, digits and `{signs}`, beginning with a letter",
        username::MIN_LENGTH,
        username::MAX_LENGTH
    )
}

fn role() -> impl clap::builder::TypedValueParser<Value = Role> {
    one_of(Role::ALL, Role::as_str)
}

pub async fn run(command: Command, services: &Services) -> Result<String, Failure> {
    let (auth, client) = (&RecentAuthContext::command_line(), &Client::default());
    match command {
        Command::Create { username, email, name, role, password, yes: _ } => {
            if password.password_stdin {
                let account = NewAccount { username, email, name, password: password.read()? };
                let user = users::create_with_password(services, auth, account, role, client).await?;
                return Ok(format!("Created {} with this password.\n", user.username.as_str()));
            }
            let name = name.as_deref();
            let (user, link) = users::create(services, auth, &username, &email, name, role, client).await?;
            Ok(handed_over(&user, &link))
        }
        Command::List { search, output } => list::run(services, search, output.format).await,
        Command::Show { target, output } => {
            let user = target.find(services).await?;
            list::show(&user, lockout::locked_until(services, user.id).await?, output.format)
        }
        Command::SetPassword { target, password, yes: _ } => {
            let user = target.find(services).await?;
            let user = passwords::set(services, auth, user.id, &password.read()?, client).await?;
            Ok(format!("Set the password of {}; all its sessions are ended.\n", user.username.as_str()))
        }
        Command::SetRole { target, role, yes: _ } => {
            let user = user_acts::set_role(services, auth, target.find(services).await?.id, role, client).await?;
            Ok(format!("{} is now {}.\n", user.username.as_str(), user.role))
        }
        Command::Suspend { target, yes } => {
            let user = target.find(services).await?;
            yes.confirm(&format!("Suspend {}, and end all its sessions?", user.username.as_str()))?;
            let user = user_acts::suspend(services, auth, user.id, client).await?;
            Ok(format!("Suspended {}; all its sessions are ended.\n", user.username.as_str()))
        }
        Command::Reinstate { target, yes: _ } => {
            let user = user_acts::reinstate(services, auth, target.find(services).await?.id, client).await?;
            Ok(format!("{} can sign in again.\n", user.username.as_str()))
        }
        Command::Unlock { target, yes: _ } => {
            let user = lockout::unlock(services, auth, target.find(services).await?.id, client).await?;
            Ok(format!("{} is not locked any more.\n", user.username.as_str()))
        }
        Command::Delete { target, yes } => {
            let user = target.find(services).await?;
            let (name, email) = (user.username.as_str(), user.email.as_str());
            yes.confirm(&format!("Delete the account {name} ({email}) for good?"))?;
            user_acts::delete(services, auth, user.id, client).await?;
            Ok(format!("Deleted {name}.\n"))
        }
        Command::ResetLink { target, yes: _ } => {
            let user = target.find(services).await?;
            let link = links::issue_reset(services, auth, user.id, client).await?;
            Ok(handed_over(&user, &link))
        }
        Command::Import(arguments) => import::run(arguments, services).await,
        Command::Export(arguments) => export::run(arguments, services).await,
    }
}

impl AccountArgument {
    async fn find(&self, services: &Services) -> Result<User, Failure> {
        find(services, &self.user).await
    }
}

/// The account of that username, e-mail or id.
async fn find(services: &Services, name: &str) -> Result<User, Failure> {
    lookup::find(&services.database, name).await.map_err(|error| match error {
        Error::NotFound => {
            Failure::Failed(format!("there is no account \"{name}\": `portcullis user list` shows them all"))
        }
        error => error.into(),
    })
}

/// The same where the account may be left out.
pub async fn find_optional(services: &Services, name: Option<&str>) -> Result<Option<User>, Failure> {
    match name {
        Some(name) => find(services, name).await.map(Some),
        None => Ok(None),
    }
}

fn handed_over(user: &User, link: &OneTimeLink) -> String {
    format!(
        "Give this link to {}, who chooses a password there. It is good once, until {}:\n{}\n",
        user.username.as_str(),
        output::moment(link.expires_at),
        link.url
    )
}
