//! `/admin/users/new`: an account without a password, and the link with which its owner chooses one.

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::roles;
use super::typed::{TypedQuery, password_first};
use crate::domain::audit::Client;
use crate::domain::{Error, FieldError, Role, User};
use crate::http::client_address::ClientInfo;
use crate::http::current_user::CurrentUser;
use crate::http::flash::{self, LinkToken, Notice};
use crate::http::forms::{Form, Sent, sender};
use crate::http::parameters::Query;
use crate::http::problem::wants_json;
use crate::http::step_up::SteppedUp;
use crate::services::Services;
use crate::services::administration::users;
use crate::web::field::Field;
use crate::web::form_errors::FormErrors;
use crate::web::layout::{self, AdminLayout, account_of, page};
use crate::web::list::Choice;
use crate::web::{Answer, see_other};

const PATH: &str = "/admin/users/new";

#[derive(Template)]
#[template(path = "administration/new_user.html")]
struct NewUserPage {
    layout: AdminLayout,
    username: Field,
    email: Field,
    name: Field,
    roles: Vec<Choice>,
}

/// What the form says, as it was typed.
#[derive(Default, serde::Deserialize)]
pub struct NewUserForm {
    #[serde(default)]
    username: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    role: String,
}

/// `GET /admin/users/new`.
pub async fn show(
    request: HttpRequest,
    services: web::Data<Services>,
    recent: SteppedUp,
    Query(query): Query<TypedQuery>,
) -> Answer {
    let reader = account_of(&services, &recent.user).await?;
    let (form, form_errors) = query.form::<NewUserForm>(&services, &recent.user, PATH);
    new_page(&request, &reader, &recent.user, &form, form_errors)
}

/// `POST /admin/users/new`: goes on to the new account's page, which shows the link with which its owner chooses a
/// password. Where the password is asked for first, what was typed is kept.
pub async fn create(
    request: HttpRequest,
    services: web::Data<Services>,
    current: CurrentUser,
    recent: Result<SteppedUp, actix_web::Error>,
    ClientInfo(client): ClientInfo,
    Form(sent): Form<NewUserForm>,
) -> Result<HttpResponse, actix_web::Error> {
    match recent {
        Ok(recent) => Ok(create_user(&request, &services, &recent, client, sent).await?),
        Err(refusal) if wants_json(&request) => Err(refusal),
        Err(_) => {
            let (Sent::Good(form) | Sent::Stale(form)) = sent;
            let NewUserForm { username, email, name, role } = &form;
            let fields = [("username", &**username), ("email", email), ("name", name), ("role", role)];
            Ok(password_first(&services, &current, PATH, &fields))
        }
    }
}

async fn create_user(
    request: &HttpRequest,
    services: &Services,
    recent: &SteppedUp,
    client: Client,
    sent: Sent<NewUserForm>,
) -> Answer {
    let reader = account_of(services, &recent.user).await?;
    let form = match sent {
        Sent::Good(form) => form,
        Sent::Stale(form) => return new_page(request, &reader, &recent.user, &form, FormErrors::stale()),
    };
    let auth = recent.auth_context(&reader);
    let client = sender(request, client);
    let created = match parse_role(&form.role) {
        Ok(role) => users::create(services, &auth, &form.username, &form.email, Some(&form.name), role, &client).await,
        Err(error) => Err(error),
    };
    match created {
        Ok((user, link)) => {
            flash::set(request, Notice::ResetLink(user.id, LinkToken(link.token().to_owned())));
            Ok(see_other(&format!("/admin/users/{}", user.id)))
        }
        Err(error) => new_page(request, &reader, &recent.user, &form, FormErrors::of(error)?),
    }
}

/// A role that a form names; none is the least.
fn parse_role(text: &str) -> Result<Role, Error> {
    if text.is_empty() { Ok(Role::User) } else { known_role(text) }
}

/// A role that a form must name.
pub(super) fn known_role(text: &str) -> Result<Role, Error> {
    FieldError::parse("role", text, "Choose one of the roles.").map_err(|error| Error::Invalid(error.into()))
}

fn new_page(
    request: &HttpRequest,
    reader: &User,
    current: &CurrentUser,
    form: &NewUserForm,
    form_errors: FormErrors,
) -> Answer {
    let status = form_errors.status;
    let template = NewUserPage {
        username: Field::new_username(&form.username)
            .of_another()
            .refused(&form_errors)
            .autofocus(!form_errors.is_some()),
        email: Field::email(&form.email).of_another().refused(&form_errors),
        name: Field::name(&form.name).of_another().refused(&form_errors),
        roles: roles(Some(form.role.parse().unwrap_or(Role::User))),
        layout: AdminLayout::new(reader, current, request, "/admin/users", form_errors),
    };
    page(status, &template)
}
