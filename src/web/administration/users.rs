//! `/admin/users`: accounts, found by a part of a name.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use askama::Template;
use url::form_urlencoded;

use super::{administers, last_sign_in, roles};
use crate::domain::{Error, Role, Timestamp, UserId, UserStatus};
use crate::http::current_user::CurrentUser;
use crate::http::parameters::Query;
use crate::services::Services;
use crate::services::administration::users::{self, FoundUser, UserPage, UserSearch, UserSort};
use crate::web::Answer;
use crate::web::form_errors::FormErrors;
use crate::web::layout::{self, AdminLayout, account_of, page};
use crate::web::list::Choice;
use crate::web::number::number;
use crate::web::time_tag::{TimeTag, date};

/// Accounts on a page.
const PAGE: u16 = 50;

#[derive(Template)]
#[template(path = "administration/users.html")]
struct UsersPage {
    layout: AdminLayout,
    /// Whether the reader may make accounts.
    administers: bool,
    q: String,
    roles: Vec<Choice>,
    statuses: Vec<Choice>,
    sorts: Vec<Choice>,
    by_username: Column,
    by_creation: Column,
    filtered: bool,
    users: Vec<UserRow>,
    /// "1 to 50 of 1,284".
    range: String,
    /// Where the first page is, on a later one.
    first: Option<String>,
    next: Option<String>,
}

/// A head of the table that sorts by its column.
struct Column {
    /// For `aria-sort`, where the list is sorted by it.
    sorted: Option<&'static str>,
    href: String,
}

/// An account in the list.
struct UserRow {
    id: UserId,
    username: String,
    name: Option<String>,
    email: String,
    role: &'static str,
    active: bool,
    locked: bool,
    has_password: bool,
    sessions: String,
    last_sign_in: Option<TimeTag>,
    created: TimeTag,
}

impl UserRow {
    fn new(found: FoundUser, now: Timestamp) -> Self {
        let FoundUser { user, sessions, locked_until } = found;
        Self {
            id: user.id,
            username: user.username.as_str().to_owned(),
            email: user.email.as_str().to_owned(),
            role: user.role.title(),
            active: user.is_active(),
            locked: locked_until.is_some(),
            has_password: user.has_password,
            sessions: number(sessions.unsigned_abs()),
            last_sign_in: last_sign_in(&user, now),
            created: date(user.created_at),
            name: user.name,
        }
    }
}

/// The query of the list. What it doesn't know is as if it were not there.
#[derive(serde::Deserialize)]
pub struct UsersQuery {
    #[serde(default)]
    q: String,
    #[serde(default)]
    role: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    sort: String,
    cursor: Option<String>,
}

/// The order of a fresh page.
const DEFAULT_SORT: UserSort = UserSort::Username;

/// `GET /admin/users?q=…&role=…&status=…&sort=…&cursor=…`. A cursor that is none of this list shows its first page.
pub async fn show(
    request: HttpRequest,
    services: web::Data<Services>,
    current: CurrentUser,
    Query(query): Query<UsersQuery>,
) -> Answer {
    let reader = account_of(&services, &current).await?;
    let auth = current.auth_context(&reader);
    let search = UserSearch {
        text: query.q.trim().to_owned(),
        role: query.role.parse().ok(),
        status: query.status.parse().ok(),
        locked: query.status == LOCKED,
        sort: query.sort.parse().unwrap_or(DEFAULT_SORT),
    };
    let mut cursor = query.cursor.as_deref().filter(|cursor| !cursor.is_empty());
    let found = match users::search(&services, &auth, &search, cursor, PAGE).await {
        // Longer than anything that could be found.
        Err(Error::Invalid(errors)) if errors.of("q").is_some() => UserPage::default(),
        Err(Error::Invalid(_)) => {
            cursor = None;
            users::search(&services, &auth, &search, None, PAGE).await?
        }
        other => other?,
    };
    let now = services.clock.now();
    let template = UsersPage {
        administers: administers(&auth),
        roles: roles(search.role),
        statuses: statuses(&search),
        sorts: sorts(search.sort),
        by_username: column(&search, UserSort::Username, UserSort::UsernameDescending),
        by_creation: column(&search, UserSort::Newest, UserSort::Oldest),
        filtered: !search.text.is_empty() || search.role.is_some() || status_word(&search).is_some(),
        range: range(&found),
        first: cursor.map(|_| list_url(&search, search.sort, None)),
        next: found.next.as_deref().map(|next| list_url(&search, search.sort, Some(next))),
        users: found.users.into_iter().map(|found| UserRow::new(found, now)).collect(),
        layout: AdminLayout::new(&reader, &current, &request, "/admin/users", FormErrors::none()),
        q: search.text,
    };
    page(StatusCode::OK, &template)
}

/// What `status` may also be: an account can be active, or suspended, and locked too.
const LOCKED: &str = "locked";

fn statuses(search: &UserSearch) -> Vec<Choice> {
    let chosen = status_word(search);
    let choice = |(value, title)| Choice { value, title, selected: chosen == Some(value) };
    let [active, suspended] = [UserStatus::Active, UserStatus::Suspended].map(UserStatus::as_str);
    [(active, "Active"), (LOCKED, "Locked"), (suspended, "Suspended")].map(choice).into()
}

/// The `status` of the query that was asked for.
fn status_word(search: &UserSearch) -> Option<&'static str> {
    if search.locked { Some(LOCKED) } else { search.status.map(UserStatus::as_str) }
}

/// For those who don't see the heads of the table.
fn sorts(chosen: UserSort) -> Vec<Choice> {
    let choice = |sort: &UserSort| Choice {
        value: sort.as_str(),
        title: match sort {
            UserSort::Username => "Username A–Z",
            UserSort::UsernameDescending => "Username Z–A",
            UserSort::Newest => "Newest first",
            UserSort::Oldest => "Oldest first",
        },
        selected: chosen == *sort,
    };
    UserSort::ALL.iter().map(choice).collect()
}

/// The same accounts in another order, or on another page.
fn list_url(search: &UserSearch, sort: UserSort, cursor: Option<&str>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    let parts = [
        ("q", Some(search.text.as_str()).filter(|text| !text.is_empty())),
        ("role", search.role.map(Role::as_str)),
        ("status", status_word(search)),
        ("sort", Some(sort.as_str()).filter(|_| sort != DEFAULT_SORT)),
        ("cursor", cursor),
    ];
    query.extend_pairs(parts.into_iter().filter_map(|(name, value)| Some((name, value?))));
    match query.finish() {
        query if query.is_empty() => "/admin/users".to_owned(),
        query => format!("/admin/users?{query}"),
    }
}

/// Sorts in the first order, or in the second where it is sorted by the first already.
fn column(search: &UserSearch, first: UserSort, second: UserSort) -> Column {
    let sorted = [first, second].contains(&search.sort).then_some(match search.sort {
        UserSort::Username | UserSort::Oldest => "ascending",
        UserSort::UsernameDescending | UserSort::Newest => "descending",
    });
    Column { sorted, href: list_url(search, if search.sort == first { second } else { first }, None) }
}

/// Which of how many the page shows, as far as that is known.
fn range(found: &UserPage) -> String {
    let last = found.before + found.users.len() as u64;
    let (from, to) = (number(found.before + 1), number(last));
    match (&found.next, found.total) {
        (None, _) if found.before == 0 && last == 1 => "1 account".to_owned(),
        (None, _) => format!("{from} to {to} of {to}"),
        // Counted when the page was asked for, or estimated: never fewer than there are.
        (Some(_), Some(total)) => format!("{from} to {to} of {}", number(total.unsigned_abs().max(last + 1))),
        (Some(_), None) => format!("{from} to {to}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(text: &str, sort: UserSort) -> UserSearch {
        UserSearch { text: text.to_owned(), role: Some(Role::Admin), status: None, locked: false, sort }
    }

    #[test]
    fn links_of_the_list_keep_what_was_searched_for_and_escape_it() {
        let search = search("a&b=\"<", UserSort::Username);
        let url = list_url(&search, UserSort::Newest, Some("c"));
        assert_eq!(url, "/admin/users?q=a%26b%3D%22%3C&role=admin&sort=-created_at&cursor=c");
        let none = UserSearch { text: String::new(), role: None, ..search };
        assert_eq!(list_url(&none, UserSort::Username, None), "/admin/users");
    }

    #[test]
    fn a_column_that_sorts_turns_around() {
        let by_name = column(&search("", UserSort::Username), UserSort::Username, UserSort::UsernameDescending);
        assert_eq!(
            (by_name.sorted, by_name.href.as_str()),
            (Some("ascending"), "/admin/users?role=admin&sort=-username")
        );
        let other = column(&search("", UserSort::Username), UserSort::Newest, UserSort::Oldest);
        assert_eq!((other.sorted, other.href.as_str()), (None, "/admin/users?role=admin&sort=-created_at"));
    }
}
