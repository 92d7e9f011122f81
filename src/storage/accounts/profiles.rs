//! What accounts are called: each username and each e-mail belongs to one of them.

use diesel::prelude::*;

use crate::domain::lookup::search_text;
use crate::domain::{EmailAddress, Error, FieldError, FieldErrors, User, UserId, Username};
use crate::storage::Result;
use crate::storage::database::{AnyConnection, MultiBackend};
use crate::storage::schema::users;
use crate::storage::sessions::changes::{self, Change};

/// Inserts the account; [`Error::Taken`] names each field that belongs to another. `password_hash` is a PHC string or
/// another form of [`crate::domain::password_hash`].
pub fn insert(connection: &mut AnyConnection, new: &User, password_hash: Option<&str>) -> Result<()> {
    refuse_taken(connection, new)?;
    diesel::insert_into(users::table)
        .values((
            users::id.eq(new.id),
            users::username.eq(new.username.as_str()),
            users::username_key.eq(new.username.key().as_str()),
            users::email.eq(new.email.as_str()),
            users::email_key.eq(new.email.key().as_str()),
            users::name.eq(new.name.as_deref()),
            users::role.eq(new.role),
            users::status.eq(new.status),
            users::epoch.eq(new.epoch),
            users::rev.eq(1),
            users::password_hash.eq(password_hash),
            users::password_changed_at.eq(new.password_changed_at),
            users::created_at.eq(new.created_at),
            users::last_sign_in_at.eq(new.last_sign_in_at),
            users::search_text.eq(search_text(&new.username, &new.email, new.name.as_deref())),
        ))
        .execute(connection)
        .map_err(raced_for_a_name)?;
    Ok(())
}

/// [`Error::Taken`] names each field of a new account that belongs to another; the id also to a deleted one.
pub fn refuse_taken(connection: &mut AnyConnection, new: &User) -> Result<()> {
    let mut taken = taken_names(connection, None, &new.username, &new.email)?;
    let of_id: Option<UserId> = users::table.find(new.id).select(users::id).first(connection).optional()?;
    if of_id.is_some() {
        taken.push(FieldError::new("id", "taken", "An account has, or had, this id."));
    }
    refuse(taken)
}

/// Changes username, e-mail and name; [`Error::Taken`] names each field that belongs to another.
pub fn update(
    connection: &mut AnyConnection,
    id: UserId,
    username: &Username,
    email: &EmailAddress,
    name: Option<&str>,
) -> Result<()> {
    refuse(taken_names(connection, Some(id), username, email)?)?;
    diesel::update(users::table.find(id))
        .set((
            users::username.eq(username.as_str()),
            users::username_key.eq(username.key().as_str()),
            users::email.eq(email.as_str()),
            users::email_key.eq(email.key().as_str()),
            users::name.eq(name),
            users::search_text.eq(search_text(username, email, name)),
            users::rev.eq(users::rev + 1),
        ))
        .execute(connection)
        .map_err(raced_for_a_name)?;
    changes::append(connection, Change::User(id))
}

fn refuse(taken: FieldErrors) -> Result<()> {
    if taken.is_empty() { Ok(()) } else { Err(Error::Taken(taken)) }
}

/// Which of the two names belong to another account than `but`.
fn taken_names(
    connection: &mut AnyConnection,
    but: Option<UserId>,
    username: &Username,
    email: &EmailAddress,
) -> Result<FieldErrors> {
    let mut taken = FieldErrors::default();
    let of_username = owner(connection, users::username_key.eq(username.key().as_str().to_owned()))?;
    if of_username.is_some() && of_username != but {
        taken.push(FieldError::new("username", "taken", format!("The username “{username}” is taken.")));
    }
    let of_email = owner(connection, users::email_key.eq(email.key().as_str().to_owned()))?;
    if of_email.is_some() && of_email != but {
        taken.push(FieldError::new("email", "taken", "An account with this e-mail exists."));
    }
    Ok(taken)
}

fn owner<P>(connection: &mut AnyConnection, key: P) -> QueryResult<Option<UserId>>
where
    P: BoxableExpression<users::table, MultiBackend, SqlType = diesel::sql_types::Nullable<diesel::sql_types::Bool>>
        + 'static,
{
    let key: Box<dyn BoxableExpression<users::table, MultiBackend, SqlType = _>> = Box::new(key);
    users::table.filter(key).select(users::id).first(connection).optional()
}

/// Two who ask for one name at the same moment both pass the check; the constraint decides.
fn raced_for_a_name(error: diesel::result::Error) -> Error {
    use diesel::result::{DatabaseErrorKind, Error as QueryError};
    match error {
        QueryError::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => Error::Taken(
            FieldError::new("username", "taken", "The username or the e-mail was taken a moment ago.").into(),
        ),
        other => other.into(),
    }
}
