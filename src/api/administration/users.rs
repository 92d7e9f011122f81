//! `/api/v1/users`: accounts, as managers find them and administrators edit them.

use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, IntoResponses, ToSchema};

use crate::api::listing::{ListQuery, PageParameters, UserPage, page};
use crate::api::{Answer, given, no_content, texts, user_shape, word};
use crate::domain::clock::rfc3339;
use crate::domain::link::OneTimeLink;
use crate::domain::{Error, FieldErrors, Role, User, UserId, UserStatus};
use crate::http::bearer::ApiUser;
use crate::http::client_address::ClientInfo;
use crate::http::if_match::{SeenUser, etag};
use crate::http::json::Json;
use crate::http::parameters::PathParam;
use crate::http::require_role::{Manager, RequireRole};
use crate::http::step_up::SteppedUp;
use crate::representations::UserShape;
use crate::services::Services;
use crate::services::accounts::lookup;
use crate::services::administration::user_acts;
use crate::services::administration::users::{self, UserChange, UserSearch, UserSort};

/// Which accounts, in which order.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct UserQuery {
    /// A part of the username, the e-mail or the name.
    #[param(value_type = Option<texts::SearchText>)]
    q: Option<String>,
    /// Only those that have just this role.
    #[param(value_type = Option<Role>)]
    role: Option<String>,
    /// Only those that are so; `locked` accounts are active or suspended too.
    #[param(value_type = Option<texts::StatusFilter>)]
    status: Option<String>,
    /// Newest first without it; with `-` in front it is backwards.
    #[param(value_type = Option<UserSort>)]
    sort: Option<String>,
}

impl UserQuery {
    /// # Errors
    /// Each word that isn't known.
    fn parse(self) -> Result<UserSearch, FieldErrors> {
        let mut errors = FieldErrors::default();
        let locked = self.status.as_deref() == Some(texts::LOCKED);
        let status = self.status.as_deref().filter(|_| !locked);
        let role = errors.check(word("role", self.role.as_deref(), Role::ALL));
        let status = errors.check(word("status", status, UserStatus::ALL));
        let sort = errors.check(word("sort", self.sort.as_deref(), UserSort::ALL));
        match (role, status, sort) {
            (Some(role), Some(status), Some(sort)) => Ok(UserSearch {
                text: self.q.unwrap_or_default(),
                role,
                status,
                locked,
                sort: sort.unwrap_or(UserSort::Newest),
            }),
            _ => Err(errors),
        }
    }
}

/// `GET /api/v1/users`.
#[utoipa::path(
    get, path = "/api/v1/users", tag = "users", operation_id = "list_users", summary = "Accounts, newest first",
    params(UserQuery, PageParameters),
    responses((
        status = 200, description = "A part of the accounts", body = UserPage,
        headers(("Link" = Option<String>, description = "The next page, where there is one (RFC 8288)")),
    )),
    security(("bearer" = []))
)]
pub async fn list(
    request: HttpRequest,
    services: web::Data<Services>,
    manager: RequireRole<Manager, ApiUser>,
    ListQuery { page: part, filter }: ListQuery<UserQuery>,
) -> Answer {
    let search = filter.parse().map_err(Error::Invalid)?;
    let found =
        users::search(&services, &manager.user.auth_context(), &search, part.cursor.as_deref(), part.limit).await?;
    let shapes = found.users.iter().map(|found| UserShape::new(&found.user, found.locked_until)).collect();
    Ok(page(&request, &services, part.limit, found.next, shapes))
}

/// Which account.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes what PathParam reads")]
pub struct UserPath {
    /// Of the account, as lists and answers show it.
    id: UserId,
}

/// `GET /api/v1/users/{id}`.
#[utoipa::path(
    get, path = "/api/v1/users/{id}", tag = "users", operation_id = "get_user", summary = "One account",
    params(UserPath),
    responses(
        (status = 200, description = "The account", body = UserShape, headers(("ETag" = String, description = "For If-Match"))),
        (status = 404, description = "`not_found`"),
    ),
    security(("bearer" = []))
)]
pub async fn show(
    services: web::Data<Services>,
    _: RequireRole<Manager, ApiUser>,
    PathParam(id): PathParam<UserId>,
) -> Answer {
    let user = lookup::by_id(&services.database, id).await?;
    answer(&services, HttpResponse::Ok(), &user).await
}

/// The account as it is now, with its `ETag`.
pub(super) async fn answer(services: &Services, mut response: HttpResponseBuilder, user: &User) -> Answer {
    let shape = user_shape(services, user).await?;
    Ok(response.insert_header(etag(user)).json(shape))
}

/// Who gets an account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUserBody {
    /// By which its owner signs in; nobody else’s.
    #[schema(value_type = texts::Username)]
    username: String,
    /// Nobody else’s: people sign in with it too.
    #[schema(value_type = texts::EmailAddress)]
    email: String,
    /// What the person is called.
    #[schema(value_type = Option<texts::DisplayName>)]
    name: Option<String>,
    /// `user` without it.
    #[schema(value_type = Option<Role>)]
    role: Option<String>,
}

/// A new account, and the link with which its owner chooses a password.
#[derive(Serialize, ToSchema)]
pub struct NewUser {
    /// The account, which nobody can sign in to until its owner has chosen a password.
    user: UserShape,
    /// To hand over: it works once.
    #[schema(format = "uri")]
    reset_url: String,
    /// Until when the link works.
    #[schema(format = DateTime)]
    expires_at: String,
}

/// `POST /api/v1/users`. Nobody chooses another’s password over the API.
#[utoipa::path(
    post, path = "/api/v1/users", tag = "users", operation_id = "create_user",
    summary = "Create an account, and get the link with which its owner chooses a password",
    request_body = NewUserBody,
    responses(
        (status = 201, description = "The account, and the link for its owner", body = NewUser, headers(
            ("ETag" = String, description = "For If-Match"),
            ("Location" = String, description = "The address of the account"),
        )),
        (status = 401, description = "`reauthentication_required`, `invalid_token`, `not_signed_in`"),
        (status = 409, description = "`taken`: the name or the e-mail is another’s"),
    ),
    security(("bearer" = []))
)]
pub async fn create(
    request: HttpRequest,
    services: web::Data<Services>,
    admin: SteppedUp<ApiUser>,
    ClientInfo(client): ClientInfo,
    Json(body): Json<NewUserBody>,
) -> Answer {
    let NewUserBody { username, email, name, role } = body;
    let role = word("role", role.as_deref(), Role::ALL).map_err(|error| Error::Invalid(error.into()))?;
    let role = role.unwrap_or(Role::User);
    let (user, link) =
        users::create(&services, &admin.auth_context(), &username, &email, name.as_deref(), role, &client).await?;
    let location = format!("{}{}/{}", services.settings.public_url.as_str(), request.path(), user.id);
    let shape = user_shape(&services, &user).await?;
    let OneTimeLink { url: reset_url, expires_at } = link;
    Ok(HttpResponse::Created().insert_header(etag(&user)).insert_header((LOCATION, location)).json(NewUser {
        user: shape,
        reset_url,
        expires_at: rfc3339(expires_at),
    }))
}

/// For an act on what the account is now, and nothing newer.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes the header that SeenUser reads")]
pub struct IfMatch {
    /// The `ETag` that the account had when the act was decided on.
    #[param(rename = "If-Match", value_type = texts::EntityTags, required = false)]
    if_match: Option<String>,
}

/// What every act of an administrator on an account may be refused with.
#[derive(IntoResponses)]
pub enum Refusals {
    /// `reauthentication_required`, `invalid_token`, `not_signed_in`
    #[response(status = 401)]
    Unauthorized,
    /// `not_found`
    #[response(status = 404)]
    NotFound,
    /// `precondition_failed`: the account was changed meanwhile
    #[response(status = 412)]
    Stale,
}

/// What shall change; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserBody {
    /// Null or empty removes it.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<texts::DisplayName>)]
    name: Option<Option<String>>,
    /// Another one voids the account’s reset link.
    #[schema(value_type = Option<texts::EmailAddress>)]
    email: Option<String>,
    /// By which its owner signs in; nobody else’s.
    #[schema(value_type = Option<texts::Username>)]
    username: Option<String>,
}

/// `PATCH /api/v1/users/{id}`.
#[utoipa::path(
    patch, path = "/api/v1/users/{id}", tag = "users", operation_id = "update_user",
    summary = "Change the name, the e-mail or the username of an account",
    params(UserPath, IfMatch),
    request_body = UserBody,
    responses(
        (status = 200, description = "The account as it is now", body = UserShape, headers(("ETag" = String, description = "For If-Match"))),
        Refusals,
        (status = 409, description = "`taken`: the name or the e-mail is another’s"),
    ),
    security(("bearer" = []))
)]
pub async fn update(
    services: web::Data<Services>,
    admin: SteppedUp<ApiUser>,
    SeenUser(subject): SeenUser,
    ClientInfo(client): ClientInfo,
    Json(body): Json<UserBody>,
) -> Answer {
    let UserBody { name, email, username } = body;
    let change = UserChange { name: name.map(Option::unwrap_or_default), email, username };
    let user = users::update(&services, &admin.auth_context(), subject, change, &client).await?;
    answer(&services, HttpResponse::Ok(), &user).await
}

/// `DELETE /api/v1/users/{id}`.
#[utoipa::path(
    delete, path = "/api/v1/users/{id}", tag = "users", operation_id = "delete_user",
    summary = "Delete an account for good; all its sessions and tokens end",
    params(UserPath, IfMatch),
    responses(
        (status = 204, description = "The account is gone, and its names are free"),
        Refusals,
        (status = 409, description = "`last_admin`"),
    ),
    security(("bearer" = []))
)]
pub async fn delete(
    services: web::Data<Services>,
    admin: SteppedUp<ApiUser>,
    SeenUser(subject): SeenUser,
    ClientInfo(client): ClientInfo,
) -> Answer {
    user_acts::delete(&services, &admin.auth_context(), subject, &client).await?;
    no_content()
}
