//! `portcullis user list`, and `show`: accounts as tables and as JSON.

use super::super::output::{self, Format, Listing};
use super::super::{Failure, one_of};
use super::role;
use crate::domain::{Role, Timestamp, User, UserStatus};
use crate::representations::UserShape;
use crate::services::administration::users::{self, FoundUser, UserSearch, UserSort};
use crate::services::{RecentAuthContext, Services};

/// Which accounts a list shows, in which order.
#[derive(clap::Args)]
pub struct Search {
    /// Only those with this text in username, e-mail or name.
    #[arg(long, value_name = "TEXT")]
    q: Option<String>,
    /// Only those of this role.
    #[arg(long, value_parser = role())]
    role: Option<Role>,
    /// Only those of this status.
    #[arg(long, value_enum)]
    status: Option<Status>,
    /// What comes first; with a `-` it comes last.
    #[arg(long, value_parser = one_of(UserSort::ALL, UserSort::as_str), default_value = UserSort::Username.as_str(),
          allow_hyphen_values = true)]
    sort: UserSort,
}

/// What the list of the pages calls a status.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Status {
    Active,
    Suspended,
    /// By wrong passwords.
    Locked,
}

pub async fn run(services: &Services, search: Search, format: Format) -> Result<String, Failure> {
    let status = match search.status {
        Some(Status::Active) => Some(UserStatus::Active),
        Some(Status::Suspended) => Some(UserStatus::Suspended),
        Some(Status::Locked) | None => None,
    };
    let search = UserSearch {
        text: search.q.unwrap_or_default(),
        role: search.role,
        status,
        locked: search.status == Some(Status::Locked),
        sort: search.sort,
    };
    let titles = ["USERNAME", "E-MAIL", "NAME", "ROLE", "STATUS", "CREATED", "LAST SIGN-IN", "ID"];
    output::print_pages(Listing::new(format, titles), async |cursor| {
        let auth = RecentAuthContext::command_line();
        let page = users::search(services, &auth, &search, cursor.as_deref(), output::PAGE).await?;
        Ok((page.users.iter().map(row).collect(), page.next))
    })
    .await
}

fn row(found: &FoundUser) -> (UserShape, [String; 8]) {
    let FoundUser { user, locked_until, .. } = found;
    let cells = [
        user.username.as_str().to_owned(),
        user.email.as_str().to_owned(),
        user.name.clone().unwrap_or_default(),
        user.role.to_string(),
        if locked_until.is_some() { format!("{}, locked", user.status) } else { user.status.to_string() },
        output::moment(user.created_at),
        last_sign_in(user),
        user.id.to_string(),
    ];
    (UserShape::new(user, *locked_until), cells)
}

pub fn show(user: &User, locked_until: Option<Timestamp>, format: Format) -> Result<String, Failure> {
    match format {
        Format::Json => output::json(&UserShape::new(user, locked_until)),
        Format::Table => Ok(output::table(
            ["USERNAME", user.username.as_str()],
            [
                ["E-MAIL".to_owned(), user.email.as_str().to_owned()],
                ["NAME".to_owned(), user.name.clone().unwrap_or_default()],
                ["ROLE".to_owned(), user.role.to_string()],
                ["STATUS".to_owned(), user.status.to_string()],
                ["LOCKED UNTIL".to_owned(), locked_until.map_or_else(|| "not locked".to_owned(), output::moment)],
                ["CREATED".to_owned(), output::moment(user.created_at)],
                ["LAST SIGN-IN".to_owned(), last_sign_in(user)],
                ["ID".to_owned(), user.id.to_string()],
            ],
        )),
    }
}

fn last_sign_in(user: &User) -> String {
    user.last_sign_in_at.map_or_else(|| "never".to_owned(), output::moment)
}
