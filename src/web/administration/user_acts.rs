//! What administrators do to one account, but for another role. `GET` says what will happen, `POST` of the same URL does it.

use actix_web::{HttpRequest, web};
use askama::Template;

use super::act::{Act, Words};
use super::user::{UserForm, user_page};
use crate::domain::audit::Client;
use crate::domain::{Error, User, UserId};
use crate::http::client_address::ClientInfo;
use crate::http::current_user::CurrentUser;
use crate::http::flash::{self, LinkToken, Notice};
use crate::http::forms::{Form, Sent};
use crate::http::parameters::PathParam;
use crate::http::step_up::SteppedUp;
use crate::services::accounts::{links, lookup};
use crate::services::administration::user_acts;
use crate::services::authentication::lockout;
use crate::services::sessions::{account, everyone};
use crate::services::{RecentAuthContext, Services};
use crate::web::form_errors::FormErrors;
use crate::web::layout::{self, AdminLayout, account_of, page};
use crate::web::time_tag::TimeTag;
use crate::web::{Answer, Nothing, see_other};

impl Act {
    /// Does it; says what the next page tells, and where that is.
    async fn perform(
        self,
        services: &Services,
        auth: &RecentAuthContext,
        user: UserId,
        client: &Client,
    ) -> Result<(Notice, String), Error> {
        let own_page = format!("/admin/users/{user}");
        Ok(match self {
            Self::Suspend => {
                user_acts::suspend(services, auth, user, client).await?;
                (Notice::UserSuspended, own_page)
            }
            Self::Reinstate => {
                user_acts::reinstate(services, auth, user, client).await?;
                (Notice::UserReinstated, own_page)
            }
            Self::ResetLink => {
                let link = links::issue_reset(services, auth, user, client).await?;
                (Notice::ResetLink(user, LinkToken(link.token().to_owned())), own_page)
            }
            Self::EndSessions => {
                let ended = everyone::end_of_account(services, auth, user, client).await?;
                (Notice::SessionsEnded(ended), own_page)
            }
            Self::Delete => {
                user_acts::delete(services, auth, user, client).await?;
                (Notice::UserDeleted, "/admin/users".to_owned())
            }
        })
    }
}

#[derive(Template)]
#[template(path = "administration/act.html")]
struct ActPage {
    layout: AdminLayout,
    subject: AccountSummary,
    act: Act,
    words: Words,
}

/// The account that the act is about, so that nobody takes one for another.
pub(super) struct AccountSummary {
    pub id: UserId,
    pub username: String,
    pub name: Option<String>,
    pub email: String,
    pub last_sign_in: Option<TimeTag>,
}

impl AccountSummary {
    pub(super) fn new(user: &User, services: &Services) -> Self {
        Self {
            id: user.id,
            username: user.username.as_str().to_owned(),
            name: user.name.clone(),
            email: user.email.as_str().to_owned(),
            last_sign_in: super::last_sign_in(user, services.clock.now()),
        }
    }
}

/// What every act is asked with.
pub(super) type Asked = (HttpRequest, web::Data<Services>, SteppedUp, PathParam<UserId>, ClientInfo);

/// `GET /admin/users/{id}/suspend`.
pub async fn suspend_page(asked: Asked) -> Answer {
    ask(asked, Act::Suspend).await
}

/// `POST /admin/users/{id}/suspend`.
pub async fn suspend(asked: Asked, form: Form<Nothing>) -> Answer {
    perform(asked, Act::Suspend, form).await
}

/// `GET /admin/users/{id}/reinstate`.
pub async fn reinstate_page(asked: Asked) -> Answer {
    ask(asked, Act::Reinstate).await
}

/// `POST /admin/users/{id}/reinstate`.
pub async fn reinstate(asked: Asked, form: Form<Nothing>) -> Answer {
    perform(asked, Act::Reinstate, form).await
}

/// `GET /admin/users/{id}/reset-link`.
pub async fn reset_link_page(asked: Asked) -> Answer {
    ask(asked, Act::ResetLink).await
}

/// `POST /admin/users/{id}/reset-link`.
pub async fn reset_link(asked: Asked, form: Form<Nothing>) -> Answer {
    perform(asked, Act::ResetLink, form).await
}

/// `GET /admin/users/{id}/end-sessions`.
pub async fn end_sessions_page(asked: Asked) -> Answer {
    ask(asked, Act::EndSessions).await
}

/// `POST /admin/users/{id}/end-sessions`.
pub async fn end_sessions(asked: Asked, form: Form<Nothing>) -> Answer {
    perform(asked, Act::EndSessions, form).await
}

/// `GET /admin/users/{id}/delete`.
pub async fn delete_page(asked: Asked) -> Answer {
    ask(asked, Act::Delete).await
}

/// `POST /admin/users/{id}/delete`.
pub async fn delete(asked: Asked, form: Form<Nothing>) -> Answer {
    perform(asked, Act::Delete, form).await
}

/// `POST /admin/users/{id}/unlock`: managers do it, and it takes nothing away. So it asks nothing.
pub async fn unlock(
    request: HttpRequest,
    services: web::Data<Services>,
    current: CurrentUser,
    PathParam(id): PathParam<UserId>,
    ClientInfo(client): ClientInfo,
    Form(sent): Form<Nothing>,
) -> Answer {
    let reader = account_of(&services, &current).await?;
    let Sent::Good(Nothing {}) = sent else {
        let (user, form) = (lookup::by_id(&services.database, id).await?, UserForm::default());
        return user_page(&request, &services, &current, &reader, user, &form, FormErrors::stale(), None).await;
    };
    lockout::unlock(&services, &current.auth_context(&reader), id, &client).await?;
    flash::set(&request, Notice::UserUnlocked);
    Ok(see_other(&format!("/admin/users/{id}")))
}

async fn ask((request, services, recent, PathParam(id), _): Asked, act: Act) -> Answer {
    let reader = account_of(&services, &recent.user).await?;
    act_page(&request, &services, &recent.user, &reader, id, act, FormErrors::none()).await
}

async fn perform(
    (request, services, recent, PathParam(id), ClientInfo(client)): Asked,
    act: Act,
    Form(sent): Form<Nothing>,
) -> Answer {
    let reader = account_of(&services, &recent.user).await?;
    let Sent::Good(Nothing {}) = sent else {
        return act_page(&request, &services, &recent.user, &reader, id, act, FormErrors::stale()).await;
    };
    match act.perform(&services, &recent.auth_context(&reader), id, &client).await {
        Ok((notice, next)) => {
            flash::set(&request, notice);
            Ok(see_other(&next))
        }
        Err(error) => act_page(&request, &services, &recent.user, &reader, id, act, FormErrors::of(error)?).await,
    }
}

async fn act_page(
    request: &HttpRequest,
    services: &Services,
    current: &CurrentUser,
    reader: &User,
    id: UserId,
    act: Act,
    form_errors: FormErrors,
) -> Answer {
    let user = lookup::by_id(&services.database, id).await?;
    if !current.auth_context(reader).reaches(&user) {
        return Err(Error::Forbidden.into());
    }
    let (_, counts) = account::live(services, id, 1).await?;
    let status = form_errors.status;
    let template = ActPage {
        words: act.words(&user, user.id == reader.id, counts.into()),
        act,
        subject: AccountSummary::new(&user, services),
        layout: AdminLayout::new(reader, current, request, "/admin/users", form_errors),
    };
    page(status, &template)
}
