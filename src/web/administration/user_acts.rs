//! What administrators do to one account, but for another role. `GET` says what will happen, `POST` of the same URL does it.

use actix_web::{HttpRequest, web};
use askama::Template;

use crate::domain::audit::Client;
use crate::domain::{Error, User, UserId};
use crate::http::client_address::ClientInfo;
use crate::http::current_user::CurrentUser;
use crate::http::flash::{self, LinkToken, Notice};
use crate::http::forms::Form;
use crate::http::parameters::PathParam;
use crate::http::step_up::SteppedUp;
use crate::services::accounts::{links, lookup};
use crate::services::administration::user_acts;
use crate::services::authentication::lockout;
use crate::services::sessions::counts::OpenSessions;
use crate::services::sessions::{account, everyone};
use crate::services::{RecentAuthContext, Services};
use crate::web::form_errors::FormErrors;
use crate::web::layout::{self, AdminLayout, account_of, page};
use crate::web::sessions::counts;
use crate::web::time_tag::TimeTag;
use crate::web::{Answer, Nothing, see_other};

/// What can be done to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::web) enum Act {
    Suspend,
    Reinstate,
    ResetLink,
    EndSessions,
    Delete,
}

/// What the page of an act says.
struct Words {
    title: String,
    /// The word of the button, where there is something to do; and of the link that leaves everything as it is.
    button: Option<String>,
    cancel: &'static str,
    consequences: Vec<String>,
    /// Many or for good: red.
    destructive: bool,
}

impl Act {
    pub(in crate::web) const ALL: [Self; 5] =
        [Self::Suspend, Self::Reinstate, Self::ResetLink, Self::EndSessions, Self::Delete];

    /// What it does, before the name of the account.
    pub(in crate::web) fn verb(self) -> &'static str {
        match self {
            Self::Suspend => "suspend",
            Self::Reinstate => "reinstate",
            Self::ResetLink => "make a reset link for",
            Self::EndSessions => "end all sessions of",
            Self::Delete => "delete",
        }
    }

    /// The last part of its URL.
    pub(in crate::web) fn path(self) -> &'static str {
        match self {
            Self::Suspend => "suspend",
            Self::Reinstate => "reinstate",
            Self::ResetLink => "reset-link",
            Self::EndSessions => "end-sessions",
            Self::Delete => "delete",
        }
    }

    /// What is said to the reader of the page; `own`: whose account it is.
    fn words(self, user: &User, own: bool, sessions: OpenSessions) -> Words {
        let username = &user.username;
        let ends = counts::ends(sessions);
        let say = |title: String, button: String, cancel, consequences: &[&str]| Words {
            title,
            button: Some(button),
            cancel,
            consequences: consequences.iter().map(|&words| words.to_owned()).collect(),
            destructive: matches!(self, Self::Suspend | Self::EndSessions | Self::Delete),
        };
        let mut words = match self {
            Self::Suspend => say(
                format!("Suspend {username}?"),
                format!("Suspend {username}"),
                "Keep it active",
                &[
                    &ends,
                    match own {
                        true => "Signing in is refused until another administrator reinstates the account.",
                        false => "Signing in is refused until you reinstate the account.",
                    },
                    "The profile, the password and the role are kept.",
                ],
            ),
            Self::Reinstate => say(
                format!("Reinstate {username}?"),
                format!("Reinstate {username}"),
                "Keep it suspended",
                &[
                    "The owner of the account can sign in again, with the same password.",
                    "Sessions that the suspension ended don’t come back.",
                ],
            ),
            Self::ResetLink => say(
                format!("Make a reset link for {username}?"),
                "Make a link".to_owned(),
                "Cancel",
                &[
                    "You get a link to hand over. It works once, for 24 hours; earlier ones stop working.",
                    match user.is_active() {
                        true => {
                            "The password stays as it is until the owner of the account chooses another. That ends all \
                             its sessions."
                        }
                        false => SUSPENDED_STAYS_SO,
                    },
                ],
            ),
            Self::EndSessions if sessions.total().value == 0 => Words {
                button: None,
                destructive: false,
                ..say(format!("End all sessions of {username}?"), String::new(), "Back", &[&ends])
            },
            Self::EndSessions => say(
                format!("End all sessions of {username}?"),
                format!("End {}", counts::sessions(sessions.total())),
                "Keep them",
                &[&ends, "The owner of the account can sign in again at once."],
            ),
            Self::Delete => say(
                format!("Delete {username}?"),
                format!("Delete {username}"),
                "Keep the account",
                &[
                    &ends,
                    "The account is gone, with its profile and its password. This can’t be undone.",
                    "The username and the e-mail are free for somebody else.",
                    &format!("The audit log keeps the events, under the name {username}."),
                ],
            ),
        };
        if own && words.destructive {
            words.consequences.insert(0, SIGNS_YOU_OUT.to_owned());
        }
        words
    }

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

/// What ends one's own session.
pub(in crate::web) const SIGNS_YOU_OUT: &str = "This signs you out.";

/// What no reset link changes.
const SUSPENDED_STAYS_SO: &str =
    "The account is suspended and stays so: also with the new password, signing in is refused until you reinstate it.";

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
pub async fn suspend(asked: Asked, Form(Nothing {}): Form<Nothing>) -> Answer {
    perform(asked, Act::Suspend).await
}

/// `GET /admin/users/{id}/reinstate`.
pub async fn reinstate_page(asked: Asked) -> Answer {
    ask(asked, Act::Reinstate).await
}

/// `POST /admin/users/{id}/reinstate`.
pub async fn reinstate(asked: Asked, Form(Nothing {}): Form<Nothing>) -> Answer {
    perform(asked, Act::Reinstate).await
}

/// `GET /admin/users/{id}/reset-link`.
pub async fn reset_link_page(asked: Asked) -> Answer {
    ask(asked, Act::ResetLink).await
}

/// `POST /admin/users/{id}/reset-link`.
pub async fn reset_link(asked: Asked, Form(Nothing {}): Form<Nothing>) -> Answer {
    perform(asked, Act::ResetLink).await
}

/// `GET /admin/users/{id}/end-sessions`.
pub async fn end_sessions_page(asked: Asked) -> Answer {
    ask(asked, Act::EndSessions).await
}

/// `POST /admin/users/{id}/end-sessions`.
pub async fn end_sessions(asked: Asked, Form(Nothing {}): Form<Nothing>) -> Answer {
    perform(asked, Act::EndSessions).await
}

/// `GET /admin/users/{id}/delete`.
pub async fn delete_page(asked: Asked) -> Answer {
    ask(asked, Act::Delete).await
}

/// `POST /admin/users/{id}/delete`.
pub async fn delete(asked: Asked, Form(Nothing {}): Form<Nothing>) -> Answer {
    perform(asked, Act::Delete).await
}

/// `POST /admin/users/{id}/unlock`: managers do it, and it takes nothing away. So it asks nothing.
pub async fn unlock(
    request: HttpRequest,
    services: web::Data<Services>,
    current: CurrentUser,
    PathParam(id): PathParam<UserId>,
    ClientInfo(client): ClientInfo,
    Form(Nothing {}): Form<Nothing>,
) -> Answer {
    let reader = account_of(&services, &current).await?;
    lockout::unlock(&services, &current.auth_context(&reader), id, &client).await?;
    flash::set(&request, Notice::UserUnlocked);
    Ok(see_other(&format!("/admin/users/{id}")))
}

async fn ask((request, services, recent, PathParam(id), _): Asked, act: Act) -> Answer {
    let reader = account_of(&services, &recent.user).await?;
    act_page(&request, &services, &recent.user, &reader, id, act, FormErrors::none()).await
}

async fn perform((request, services, recent, PathParam(id), ClientInfo(client)): Asked, act: Act) -> Answer {
    let reader = account_of(&services, &recent.user).await?;
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
