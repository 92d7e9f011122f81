//! `/admin/users/{id}/role`: another role for an account.

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::new_user::known_role;
use super::user_acts::{AccountSummary, Asked};
use super::{GIVES_UP, roles};
use crate::domain::audit::Client;
use crate::domain::{Error, Role, User, UserId};
use crate::http::client_address::ClientInfo;
use crate::http::current_user::{CurrentUser, confirm_url};
use crate::http::flash::{self, Notice};
use crate::http::forms::{Form, Sent};
use crate::http::parameters::{PathParam, Query};
use crate::http::problem::{Problem, wants_json};
use crate::http::step_up::SteppedUp;
use crate::services::Services;
use crate::services::accounts::lookup;
use crate::services::administration::user_acts;
use crate::web::form_errors::FormErrors;
use crate::web::layout::{self, AdminLayout, account_of, page};
use crate::web::list::Choice;
use crate::web::{Answer, next, see_other};

#[derive(Template)]
#[template(path = "administration/role.html")]
struct RolePage {
    layout: AdminLayout,
    subject: AccountSummary,
    /// Whether the account is the reader's own.
    own: bool,
    roles: Vec<Choice>,
}

/// The role that is chosen, in the query as in the form.
#[derive(serde::Deserialize)]
pub struct RoleChoice {
    #[serde(default)]
    role: String,
}

/// `GET /admin/users/{id}/role?role=…`.
pub async fn ask((request, services, recent, PathParam(id), _): Asked, Query(choice): Query<RoleChoice>) -> Answer {
    let reader = account_of(&services, &recent.user).await?;
    let user = lookup::by_id(&services.database, id).await?;
    let chosen = choice.role.parse().unwrap_or(user.role);
    role_page(&request, &services, &recent.user, &reader, &user, chosen, FormErrors::none())
}

/// `POST /admin/users/{id}/role`. Where the password is asked for first, the choice is kept.
pub async fn change(
    request: HttpRequest,
    services: web::Data<Services>,
    recent: Result<SteppedUp, actix_web::Error>,
    PathParam(id): PathParam<UserId>,
    ClientInfo(client): ClientInfo,
    Form(sent): Form<RoleChoice>,
) -> Result<HttpResponse, actix_web::Error> {
    let (form, stale) = match sent {
        Sent::Good(form) => (form, false),
        Sent::Stale(form) => (form, true),
    };
    let chosen = known_role(&form.role);
    let recent = match (recent, &chosen) {
        (Ok(recent), _) => recent,
        (Err(_), Ok(role)) if !wants_json(&request) => {
            return Ok(see_other(&confirm_url(&format!("/admin/users/{id}/role?role={role}"))));
        }
        (Err(refusal), _) => return Err(refusal),
    };
    if stale {
        let reader = account_of(&services, &recent.user).await?;
        let user = lookup::by_id(&services.database, id).await.map_err(Problem::from)?;
        let chosen = chosen.unwrap_or(user.role);
        return Ok(role_page(&request, &services, &recent.user, &reader, &user, chosen, FormErrors::stale())?);
    }
    Ok(change_role(&request, &services, &recent, id, chosen, &client).await?)
}

async fn change_role(
    request: &HttpRequest,
    services: &Services,
    recent: &SteppedUp,
    id: UserId,
    chosen: Result<Role, Error>,
    client: &Client,
) -> Answer {
    let reader = account_of(services, &recent.user).await?;
    let changed = match chosen {
        Ok(role) => user_acts::set_role(services, &recent.auth_context(&reader), id, role, client).await,
        Err(error) => Err(error),
    };
    match changed {
        Ok(changed) => {
            flash::set(request, Notice::RoleChanged);
            // Whoever gave the own role up may not look at the account's page any more.
            let shut_out = changed.id == reader.id && !changed.role.reaches(Role::Manager);
            Ok(see_other(&if shut_out { next::DEFAULT.to_owned() } else { format!("/admin/users/{id}") }))
        }
        Err(error) => {
            let form_errors = FormErrors::of(error)?;
            let user = lookup::by_id(&services.database, id).await?;
            role_page(request, services, &recent.user, &reader, &user, user.role, form_errors)
        }
    }
}

fn role_page(
    request: &HttpRequest,
    services: &Services,
    current: &CurrentUser,
    reader: &User,
    user: &User,
    chosen: Role,
    form_errors: FormErrors,
) -> Answer {
    let status = form_errors.status;
    let template = RolePage {
        subject: AccountSummary::new(user, services),
        own: user.id == reader.id,
        roles: roles(Some(chosen)),
        layout: AdminLayout::new(reader, current, request, "/admin/users", form_errors),
    };
    page(status, &template)
}
