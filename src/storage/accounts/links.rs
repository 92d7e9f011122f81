//! One-time links. A row is a link that is still good: using it up or replacing it deletes the row.

use diesel::prelude::*;

use crate::domain::keys::SecretHash;
use crate::domain::link::LinkPurpose;
use crate::domain::{Timestamp, UserId};
use crate::storage::Result;
use crate::storage::database::AnyConnection;
use crate::storage::schema::one_time_links;

/// A link that is still good.
pub struct Link {
    pub user_id: Option<UserId>,
    pub expires_at: Timestamp,
}

/// Puts a new link in the place of every earlier one for the same purpose and account.
pub fn replace(
    connection: &mut AnyConnection,
    purpose: LinkPurpose,
    user_id: Option<UserId>,
    token: SecretHash,
    expires_at: Timestamp,
) -> Result<()> {
    void(connection, purpose, user_id)?;
    diesel::insert_into(one_time_links::table)
        .values((
            one_time_links::token_hash.eq(token.0.to_vec()),
            one_time_links::purpose.eq(purpose),
            one_time_links::user_id.eq(user_id),
            one_time_links::expires_at.eq(expires_at),
        ))
        .execute(connection)?;
    Ok(())
}

/// Makes every link for that purpose and account useless.
pub fn void(connection: &mut AnyConnection, purpose: LinkPurpose, user_id: Option<UserId>) -> Result<()> {
    let links = one_time_links::table.filter(one_time_links::purpose.eq(purpose));
    match user_id {
        Some(user_id) => diesel::delete(links.filter(one_time_links::user_id.eq(user_id))).execute(connection)?,
        None => diesel::delete(links.filter(one_time_links::user_id.is_null())).execute(connection)?,
    };
    Ok(())
}

/// The link, without using it up.
pub fn find(
    connection: &mut AnyConnection,
    purpose: LinkPurpose,
    token: SecretHash,
    now: Timestamp,
) -> Result<Option<Link>> {
    let row: Option<(Option<UserId>, Timestamp)> = one_time_links::table
        .find(token.0.to_vec())
        .filter(one_time_links::purpose.eq(purpose))
        .filter(one_time_links::expires_at.gt(now))
        .select((one_time_links::user_id, one_time_links::expires_at))
        .first(connection)
        .optional()?;
    Ok(row.map(|(user_id, expires_at)| Link { user_id, expires_at }))
}

/// Uses the link up: of several who try at once, one gets it.
pub fn consume(
    connection: &mut AnyConnection,
    purpose: LinkPurpose,
    token: SecretHash,
    now: Timestamp,
) -> Result<Option<Link>> {
    let Some(link) = find(connection, purpose, token, now)? else { return Ok(None) };
    let deleted = diesel::delete(one_time_links::table.find(token.0.to_vec())).execute(connection)?;
    Ok((deleted == 1).then_some(link))
}

/// Forgets links that have expired.
pub fn prune(connection: &mut AnyConnection, now: Timestamp) -> Result<usize> {
    Ok(diesel::delete(one_time_links::table.filter(one_time_links::expires_at.le(now))).execute(connection)?)
}
