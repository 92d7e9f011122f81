//! `/api/v1/sessions/revoke`: many sessions ended at once.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, ObjectBuilder, RefBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::everyone::user_id;
use crate::api::{Answer, not_null};
use crate::domain::{Error, FieldError, SessionId, UserId};
use crate::http::bearer::ApiUser;
use crate::http::client_address::ClientInfo;
use crate::http::json::Json;
use crate::http::problem::Problem;
use crate::http::require_role::{Manager, RequireRole};
use crate::http::step_up::SteppedUp;
use crate::services::Services;
use crate::services::sessions::everyone::{self, MOST_SELECTED};

/// Which sessions end: exactly one of these.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokeBody {
    #[serde(default, deserialize_with = "not_null")]
    ids: Option<Vec<String>>,
    #[serde(default, deserialize_with = "not_null")]
    user_id: Option<String>,
    #[serde(default, deserialize_with = "not_null")]
    all: Option<bool>,
}

/// Exactly one of its fields is there, which no derived schema says.
impl PartialSchema for RevokeBody {
    fn schema() -> RefOr<Schema> {
        let ids = ArrayBuilder::new()
            .items(Ref::from_schema_name(SessionId::name()))
            .min_items(Some(1))
            .max_items(Some(MOST_SELECTED))
            .description(Some("These: all, or where one is out of reach, none."));
        let user_id =
            RefBuilder::new().ref_location_from_schema_name(UserId::name()).description(Some("All of this account."));
        let all = ObjectBuilder::new()
            .schema_type(Type::Boolean)
            .enum_values(Some([true]))
            .description(Some("Everyone’s but the caller’s own session; a manager’s call ends those of users alone."));
        ObjectBuilder::new()
            .description(Some("Which sessions end: exactly one of these."))
            .property("ids", ids)
            .property("user_id", user_id)
            .property("all", all)
            .min_properties(Some(1))
            .max_properties(Some(1))
            .additional_properties(Some(AdditionalProperties::FreeForm(false)))
            .into()
    }
}

impl ToSchema for RevokeBody {}

/// What a [`RevokeBody`] asks for.
enum RevokeTarget {
    Selected(Vec<SessionId>),
    User(UserId),
    Everyone,
}

impl RevokeBody {
    fn target(self) -> Result<RevokeTarget, Error> {
        let refuse = |field, message| Err(Error::Invalid(FieldError::new(field, "invalid", message).into()));
        match (self.ids, self.user_id, self.all) {
            (Some(ids), None, None) if !(1..=MOST_SELECTED).contains(&ids.len()) => {
                refuse("ids", "Name 1 to 200 sessions.")
            }
            (Some(ids), None, None) => {
                let parse =
                    |id: &String| FieldError::parse("ids", id, "Write the ids of sessions, as the lists show them.");
                let ids = ids.iter().map(parse).collect::<Result<_, _>>();
                Ok(RevokeTarget::Selected(ids.map_err(|error| Error::Invalid(error.into()))?))
            }
            (None, Some(user), None) => {
                Ok(RevokeTarget::User(user_id(&user).map_err(|error| Error::Invalid(error.into()))?))
            }
            (None, None, Some(true)) => Ok(RevokeTarget::Everyone),
            (None, None, Some(false)) => refuse("all", "Write true, or leave it out."),
            (None, None, None) => refuse("ids", "Write ids, user_id, or all: true."),
            (ids, ..) => refuse(if ids.is_some() { "ids" } else { "user_id" }, "Write one of ids, user_id and all."),
        }
    }
}

/// How many sessions ended.
#[derive(Serialize, ToSchema)]
pub struct Revoked {
    /// Of those that were meant.
    pub(in crate::api) revoked: u64,
}

/// `POST /api/v1/sessions/revoke`.
#[utoipa::path(
    post, path = "/api/v1/sessions/revoke", tag = "sessions", operation_id = "revoke_sessions",
    summary = "End the selected sessions, all of an account, or all; but the first needs a recent password",
    request_body = RevokeBody,
    responses(
        (status = 200, description = "Those that had not ended before are counted", body = Revoked),
        (status = 401, description = "`reauthentication_required`, `invalid_token`, `not_signed_in`"),
    ),
    security(("bearer" = []))
)]
pub async fn revoke(
    services: web::Data<Services>,
    RequireRole { user: manager, .. }: RequireRole<Manager, ApiUser>,
    recent: Option<SteppedUp<ApiUser>>,
    ClientInfo(client): ClientInfo,
    Json(body): Json<RevokeBody>,
) -> Answer {
    let target = body.target()?;
    let recent = || recent.map(|recent| recent.auth_context()).ok_or(Error::ReauthenticationRequired);
    let revoked = match target {
        RevokeTarget::Selected(ids) => {
            everyone::end_selected(&services, &manager.auth_context(), &ids, &client).await?
        }
        RevokeTarget::User(user) => match everyone::end_of_account(&services, &recent()?, user, &client).await {
            Err(Error::NotFound) => return Err(no_such_account()),
            other => other?,
        },
        RevokeTarget::Everyone => everyone::end_all(&services, &recent()?, Some(&manager.caller()), &client).await?,
    };
    Ok(HttpResponse::Ok().json(Revoked { revoked }))
}

fn no_such_account() -> Problem {
    Error::Invalid(FieldError::new("user_id", "unknown", "There is no account with this id.").into()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_way_to_say_which_sessions_is_taken() {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        let target = |ids: Option<&[&str]>, user: Option<&str>, all| {
            let ids = ids.map(|ids| ids.iter().map(|&id| id.to_owned()).collect());
            let body = RevokeBody { ids, user_id: user.map(str::to_owned), all };
            body.target().map_err(|error| match error {
                Error::Invalid(errors) => errors.iter().next().unwrap().field.to_string(),
                other => other.to_string(),
            })
        };
        assert!(matches!(target(Some(&[id]), None, None), Ok(RevokeTarget::Selected(ids)) if ids.len() == 1));
        assert!(matches!(target(None, Some(id), None), Ok(RevokeTarget::User(_))));
        assert!(matches!(target(None, None, Some(true)), Ok(RevokeTarget::Everyone)));
        for (ids, user, all, field) in [
            (None, None, None, "ids"),
            (None, None, Some(false), "all"),
            (None, Some(id), Some(false), "user_id"),
            (Some(&[][..]), None, None, "ids"),
            (Some(&["*"][..]), None, None, "ids"),
            (None, Some("ada"), None, "user_id"),
            (Some(&[id][..]), None, Some(true), "ids"),
            (Some(&[id][..]), Some(id), None, "ids"),
            (None, Some(id), Some(true), "user_id"),
        ] {
            assert_eq!(target(ids, user, all).err().as_deref(), Some(field), "{ids:?} {user:?} {all:?}");
        }
    }
}
