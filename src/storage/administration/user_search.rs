//! Lists of accounts, page by page: by what comes after the last one shown, never by how many were shown before.

use diesel::dsl::count_star;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use crate::domain::text::text_enum;
use crate::domain::{Role, Timestamp, User, UserId, UserStatus};
use crate::storage::Result;
use crate::storage::accounts::users::{Row, StoredUser};
use crate::storage::authentication::lockouts::{self, Rule};
use crate::storage::database::{AnyConnection, MultiBackend};
use crate::storage::schema::{sessions, users};
use crate::storage::sessions::open::{of_present_epoch, open_in_index};
use crate::storage::text_search::{contains, few_candidates};

text_enum!(
    /// The order of a list of accounts, as the parameter `sort` names it.
    UserSort {
        Username = "username",
        UsernameDescending = "-username",
        Oldest = "created_at",
        Newest = "-created_at",
    }
);

/// Which accounts.
#[derive(Clone, Debug, Default)]
pub struct UserFilter {
    /// A part of username, e-mail or name, in [`crate::domain::lookup::search_form`]; empty finds all.
    pub text: String,
    pub role: Option<Role>,
    pub status: Option<UserStatus>,
    /// Only those that are locked.
    pub locked: bool,
}

impl UserFilter {
    /// Whether it leaves out nobody.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty() && self.role.is_none() && self.status.is_none() && !self.locked
    }
}

/// The last account of the page before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserPosition {
    /// The canonical form of its username, where the list is by username.
    Username(String),
    Creation(Timestamp, UserId),
}

impl UserPosition {
    /// Where `user` stands in a list of that order.
    pub fn of(user: &User, sort: UserSort) -> Self {
        match sort {
            UserSort::Username | UserSort::UsernameDescending => {
                Self::Username(user.username.key().as_str().to_owned())
            }
            UserSort::Oldest | UserSort::Newest => Self::Creation(user.created_at, user.id),
        }
    }
}

/// An account in a list.
#[derive(Clone, Debug)]
pub struct FoundUser {
    pub user: User,
    /// Open sessions; those that expired since the last sweep are among them.
    pub sessions: i64,
    pub locked_until: Option<Timestamp>,
}

/// At most `limit` accounts after `after`; `rule` says which of them are locked.
pub fn search(
    connection: &mut AnyConnection,
    filter: &UserFilter,
    sort: UserSort,
    after: Option<&UserPosition>,
    limit: i64,
    rule: Rule,
) -> Result<Vec<FoundUser>> {
    let few = if filter.text.is_empty() { None } else { few_candidates(connection, &filter.text)? };
    let open_sessions = sessions::table
        .filter(sessions::user_id.eq(users::id))
        .filter(open_in_index())
        .filter(of_present_epoch())
        .select(count_star())
        .single_value();
    let mut query = users::table
        .filter(users::deleted_at.is_null())
        // Says nothing new, but lets an index of usernames begin where they do, also backwards.
        .filter(users::username_key.is_not_null())
        .select((Row::as_select(), open_sessions))
        .limit(limit)
        .into_boxed::<MultiBackend>();
    if !filter.text.is_empty() {
        query = query.filter(users::search_text.like(contains(&filter.text)).escape('\\'));
    }
    if filter.locked {
        query = query.filter(users::id.eq_any(lockouts::locked(rule)));
    }
    if let Some(candidates) = few {
        query = query.filter(users::id.eq_any(candidates));
        // Written so that no index serves them: SQLite, which knows no statistics, would walk all of a role to find these.
        if let Some(role) = filter.role {
            query = query.filter(users::role.concat("").eq(role.as_str()));
        }
        if let Some(status) = filter.status {
            query = query.filter(users::status.concat("").eq(status.as_str()));
        }
    } else {
        if let Some(role) = filter.role {
            query = query.filter(users::role.eq(role));
        }
        if let Some(status) = filter.status {
            query = query.filter(users::status.eq(status));
        }
    }
    query = match sort {
        UserSort::Username => query.order(users::username_key.asc()),
        UserSort::UsernameDescending => query.order(users::username_key.desc()),
        UserSort::Oldest => query.order((users::created_at.asc(), users::id.asc())),
        UserSort::Newest => query.order((users::created_at.desc(), users::id.desc())),
    };
    // Each range is one that an index can begin at; those of one moment are told apart by id.
    query = match (sort, after) {
        (_, None) => query,
        (UserSort::Username, Some(UserPosition::Username(key))) => query.filter(users::username_key.gt(key.clone())),
        (_, Some(UserPosition::Username(key))) => query.filter(users::username_key.lt(key.clone())),
        (UserSort::Oldest, Some(UserPosition::Creation(at, id))) => {
            query.filter(users::created_at.ge(*at)).filter(users::created_at.gt(*at).or(users::id.gt(*id)))
        }
        (_, Some(UserPosition::Creation(at, id))) => {
            query.filter(users::created_at.le(*at)).filter(users::created_at.lt(*at).or(users::id.lt(*id)))
        }
    };
    let rows: Vec<(Row, Option<i64>)> = query.load(connection)?;
    let mut found: Vec<_> = rows
        .into_iter()
        .map(|(row, sessions)| FoundUser {
            user: StoredUser::from(row).user,
            sessions: sessions.unwrap_or(0),
            locked_until: None,
        })
        .collect();
    let ids: Vec<_> = found.iter().map(|found| found.user.id).collect();
    for (id, until) in lockouts::locks_of(connection, &ids, rule)? {
        if let Some(found) = found.iter_mut().find(|found| found.user.id == id) {
            found.locked_until = found.locked_until.max(Some(until));
        }
    }
    Ok(found)
}

#[derive(QueryableByName)]
struct Total {
    #[diesel(sql_type = BigInt)]
    total: i64,
}

/// How many accounts there are. Many are not counted by PostgreSQL, which reads every row for it: it estimates how many
/// are in an index that has no deleted ones.
pub fn total(connection: &mut AnyConnection) -> Result<i64> {
    let query = match connection {
        AnyConnection::Postgres(_) => {
            "SELECT CASE WHEN reltuples > 10000 THEN reltuples::bigint \
             ELSE (SELECT count(*) FROM users WHERE deleted_at IS NULL) END AS total \
             FROM pg_class WHERE oid = 'users_created'::regclass"
        }
        AnyConnection::Sqlite(_) => "SELECT count(*) AS total FROM users WHERE deleted_at IS NULL",
    };
    Ok(diesel::sql_query(query).get_result::<Total>(connection)?.total)
}

/// How many accounts were created since `since`.
pub fn new_users(connection: &mut AnyConnection, since: Timestamp) -> Result<i64> {
    let new = users::table.filter(users::deleted_at.is_null()).filter(users::created_at.ge(since));
    Ok(new.select(count_star()).first(connection)?)
}
