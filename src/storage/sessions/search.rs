//! The list of all sessions, page by page, as fast with a million as with a thousand.
//!
//! A page without a search text walks an index in the order of the list. With one there are two ways. What matches
//! little is found by indexes of its own and sorted here. What matches much is met soon on a walk in the order of the
//! list. A walk that meets others too looks at no more than [`WALKED`] sessions, or [`SEARCHED`], and the page after
//! goes on where it stopped.

mod needle;

use diesel::prelude::*;

use self::needle::Needle;
use super::super::database::{AnyConnection, MultiBackend};
use super::super::functions::lower;
use super::super::schema::{sessions, users};
use super::open::{NearerLimit, nearer_limit, open, unexpired};
use super::rows::Row;
use crate::domain::cursor::cut;
use crate::domain::session_list::{ListedSession, Owner, Position, SessionFilter, SessionOrder, SessionState};
use crate::domain::{Role, Session, SessionId, Timestamp, UserId};
use crate::storage::Result;

/// So many sessions are looked at for one page.
const WALKED: i64 = 20_000;
/// The same where each is compared with a text, and its account too: that takes several times as long.
const SEARCHED: i64 = 3000;

/// A page, and after which session the next one begins, if there may be any.
pub struct Found {
    pub sessions: Vec<ListedSession>,
    pub next: Option<Position>,
}

type Columns = (Row, i64, i64, String, String, Role, Option<Timestamp>);
type Query<'a> =
    diesel::helper_types::IntoBoxed<'a, diesel::helper_types::InnerJoin<sessions::table, users::table>, MultiBackend>;

/// At most `limit` sessions after `after`.
pub fn page(
    connection: &mut AnyConnection,
    filter: &SessionFilter,
    after: Option<Position>,
    limit: usize,
    now: Timestamp,
) -> Result<Found> {
    let list = List { filter, after, now, limit: nearer_limit(connection) };
    let needle = filter.q.as_deref().map(Needle::new);
    // Among the sessions of one account there is nothing to find faster.
    let few = needle.as_ref().filter(|_| filter.user.is_none()).map(|needle| needle.few(connection)).transpose()?;
    let (mut found, stopped) = match (&needle, few.flatten()) {
        (Some(needle), Some(accounts)) => (list.sorted(connection, needle, &accounts)?, None),
        (None, _) if !list.meets_others() => (list.walk(connection, None, None, limit)?, None),
        (needle, _) => {
            let stop = list.end_of_walk(connection, if needle.is_some() { SEARCHED } else { WALKED })?;
            (list.walk(connection, needle.as_ref(), stop, limit)?, stop)
        }
    };
    let full = cut(&mut found, limit);
    let last = found.last().map(|met| list.position(met));
    Ok(Found { sessions: told(found), next: if full { last } else { stopped } })
}

/// A session as a list meets it.
struct Met {
    listed: ListedSession,
    /// Everyone's have ended, and the history does not tell it of this one yet.
    awaits_backfill: bool,
}

/// What the history does not tell of in full yet is left out until it does; so a page may be short.
fn told(met: Vec<Met>) -> Vec<ListedSession> {
    met.into_iter().filter(|met| !met.awaits_backfill).map(|met| met.listed).collect()
}

/// One list in its order.
struct List<'f> {
    filter: &'f SessionFilter,
    after: Option<Position>,
    now: Timestamp,
    /// The moment at which a session expires, in SQL.
    limit: NearerLimit,
}

impl List<'_> {
    /// What the filter asks for, but its text and its order.
    fn matching<'a>(&self) -> Query<'a> {
        let mut query = sessions::table.inner_join(users::table).into_boxed::<MultiBackend>();
        query = match self.filter.state {
            SessionState::Live => query.filter(open()).filter(unexpired(self.limit, self.now)),
            SessionState::Ended => query.filter(sessions::ended_at.is_not_null()),
            SessionState::All => query,
        };
        if let Some(kind) = self.filter.kind {
            query = match self.filter.order {
                SessionOrder::Activity => query.filter(sessions::kind.eq(kind)),
                // So that no index serves it: that of the kind would be read and sorted to its end.
                SessionOrder::End | SessionOrder::Beginning => {
                    query.filter(sessions::kind.concat("").eq(kind.as_str()))
                }
            };
        }
        if let Some(user) = self.filter.user {
            query = query.filter(sessions::user_id.eq(user));
        }
        let Some(Position { at, id }) = self.after else { return query };
        match self.filter.order {
            SessionOrder::Activity => query
                .filter(sessions::last_active_at.le(at))
                .filter(sessions::last_active_at.lt(at).or(sessions::id.lt(id))),
            SessionOrder::End => query
                .filter(sessions::ended_at.le(at))
                .filter(sessions::ended_at.lt(at).or(sessions::id.nullable().lt(id))),
            SessionOrder::Beginning => query.filter(sessions::id.lt(id)),
        }
    }

    /// Whether the index of the order has many that the filter doesn't ask for.
    fn meets_others(&self) -> bool {
        let of_some_kind = self.filter.kind.is_some();
        self.filter.user.is_none()
            && match self.filter.order {
                SessionOrder::Activity => false,
                SessionOrder::End => of_some_kind,
                SessionOrder::Beginning => of_some_kind || self.filter.state != SessionState::All,
            }
    }

    fn in_order<'a>(&self, query: Query<'a>) -> Query<'a> {
        match self.filter.order {
            SessionOrder::Activity => query.order((sessions::last_active_at.desc(), sessions::id.desc())),
            SessionOrder::End => query.order((sessions::ended_at.desc(), sessions::id.desc())),
            SessionOrder::Beginning => query.order(sessions::id.desc()),
        }
    }

    /// One more than `limit`, if there are so many, down to `stop`.
    fn walk(
        &self,
        connection: &mut AnyConnection,
        needle: Option<&Needle>,
        stop: Option<Position>,
        limit: usize,
    ) -> Result<Vec<Met>> {
        let mut query = self.in_order(self.matching()).limit(limit as i64 + 1);
        if let Some(needle) = needle {
            let account = users::search_text.like(needle.part.clone()).escape('\\');
            let client = sessions::address
                .like(needle.prefix.clone())
                .escape('\\')
                .or(lower(sessions::device).like(needle.prefix.clone()).escape('\\'));
            query = query.filter(account.or(client));
        }
        if let Some(Position { at, id }) = stop {
            query = match self.filter.order {
                SessionOrder::Activity => query.filter(sessions::last_active_at.ge(at)),
                SessionOrder::End => query.filter(sessions::ended_at.ge(at)),
                SessionOrder::Beginning => query.filter(sessions::id.ge(id)),
            };
        }
        let mut found = load(connection, query)?;
        // Of one moment, too, only what comes before the stop.
        found.retain(|met| stop.is_none_or(|stop| self.position(met) >= stop));
        Ok(found)
    }

    fn position(&self, met: &Met) -> Position {
        Position::of(&met.listed.session, self.filter.order)
    }

    /// Where a walk has looked at `most` sessions; `None` where the list ends before. From the index of the order alone.
    fn end_of_walk(&self, connection: &mut AnyConnection, most: i64) -> Result<Option<Position>> {
        let after = self.after;
        let mut all = sessions::table.into_boxed::<MultiBackend>();
        if let Some(user) = self.filter.user {
            all = all.filter(sessions::user_id.eq(user));
        }
        Ok(match self.filter.order {
            SessionOrder::Activity => {
                let mut live = all.filter(open());
                if let Some(Position { at, id }) = after {
                    let later = sessions::last_active_at.lt(at).or(sessions::id.lt(id));
                    live = live.filter(sessions::last_active_at.le(at)).filter(later);
                }
                let order = (sessions::last_active_at.desc(), sessions::id.desc());
                let last = live.order(order).select((sessions::last_active_at, sessions::id)).offset(most).limit(1);
                last.first(connection).optional()?.map(|(at, id)| Position { at, id })
            }
            SessionOrder::End => {
                let mut ended = all.filter(sessions::ended_at.is_not_null());
                if let Some(Position { at, id }) = after {
                    let later = sessions::ended_at.lt(at).or(sessions::id.nullable().lt(id));
                    ended = ended.filter(sessions::ended_at.le(at)).filter(later);
                }
                let order = (sessions::ended_at.desc(), sessions::id.desc());
                let last = ended.order(order).select((sessions::ended_at.assume_not_null(), sessions::id));
                last.offset(most).limit(1).first(connection).optional()?.map(|(at, id)| Position { at, id })
            }
            SessionOrder::Beginning => {
                let mut all = all;
                if let Some(Position { id, .. }) = after {
                    all = all.filter(sessions::id.lt(id));
                }
                let last = all.order(sessions::id.desc()).select(sessions::id).offset(most).limit(1);
                last.first(connection).optional()?.map(|id| Position { at: Timestamp::from_millis(0), id })
            }
        })
    }

    /// All that matches, by the index of each way to match. Their ids first: in one query with their accounts PostgreSQL
    /// would expect too many of them, and read all accounts.
    fn sorted(&self, connection: &mut AnyConnection, needle: &Needle, accounts: &[UserId]) -> Result<Vec<Met>> {
        let by_account = sessions::table.filter(sessions::user_id.eq_any(accounts)).select(sessions::id);
        let mut ids: Vec<SessionId> = by_account.load(connection)?;
        ids.extend(needle.addresses().select(sessions::id).load::<SessionId>(connection)?);
        ids.extend(needle.devices().select(sessions::id).load::<SessionId>(connection)?);
        ids.sort_unstable();
        ids.dedup();
        let mut found = load(connection, self.matching().filter(sessions::id.eq_any(ids)))?;
        found.sort_by_key(|met| std::cmp::Reverse(self.position(met)));
        Ok(found)
    }
}

fn load(connection: &mut AnyConnection, query: Query<'_>) -> Result<Vec<Met>> {
    let columns = (
        Row::as_select(),
        sessions::epoch,
        users::epoch,
        users::username,
        users::email,
        users::role,
        users::deleted_at,
    );
    let rows: Vec<Columns> = query.select(columns).load(connection)?;
    Ok(rows.into_iter().map(met).collect())
}

fn met((row, epoch, present, username, email, role, deleted_at): Columns) -> Met {
    let session = Session::from(row);
    let awaits_backfill = session.ended.is_none() && epoch < present;
    let owner = Owner { username, email, role, deleted: deleted_at.is_some() };
    Met { listed: ListedSession { session, owner }, awaits_backfill }
}

/// These sessions, in no order; unknown ids are left out.
pub fn by_ids(connection: &mut AnyConnection, ids: &[SessionId]) -> Result<Vec<ListedSession>> {
    let query = sessions::table.inner_join(users::table).filter(sessions::id.eq_any(ids.to_vec()));
    Ok(told(load(connection, query.into_boxed::<MultiBackend>())?))
}
