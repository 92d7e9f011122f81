//! Every URL, and who may call it: this page is the access policy. What is not opened here by name is closed, and what is
//! sensitive can't be done by a route that asks for no recent password here.

use std::sync::LazyLock;

use actix_web::dev::ResourceDef;
use actix_web::http::header::LOCATION;
use actix_web::middleware::from_fn;
use actix_web::{HttpRequest, HttpResponse, guard, web};

use crate::domain::Role;
use crate::http::access::require;
pub use crate::http::access::{Access, Route, StepUp};
use crate::http::bearer::{self, ApiUser};
use crate::http::current_user::CurrentUser;
use crate::http::limits::Limits;
use crate::http::principal::Principal;
use crate::http::problem::Problem;
use crate::http::{authenticate, cors, csrf, health, session_store};
use crate::services::Services;
use crate::web::administration::{user_acts, user_role};

/// The handlers of the pages, by the names that the table has for their files.
mod pages {
    pub use crate::web::accounts::{activity, overview as account, password, profile, register, reset, setup};
    pub use crate::web::authentication::{confirm, login, logout};
    pub use crate::web::sessions::own as sessions;
    pub use crate::web::{assets, change_password_url, docs, home};
}

/// Those of the pages that administer.
mod admin {
    pub use crate::web::administration::{dashboard, new_user, settings, user, users};
    pub use crate::web::audit;
    pub use crate::web::sessions::{end as end_sessions, everyone as sessions, keys};
}

/// Those of the API.
mod api {
    pub use crate::api::accounts::{me, registration};
    pub use crate::api::administration::{stats, user_acts, users};
    pub use crate::api::authentication::auth;
    pub use crate::api::sessions::{everyone as sessions, keys, oauth, own, revoke, tokens, well_known};
    pub use crate::api::{audit, document};
}

/// Writes the table twice: as [`ALL`], and as the functions that register it, one for each area; all paths of an
/// area begin with its own. A method in `method(access)` asks for more than its path. `_recent` asks for a password that was
/// entered within `reauthentication_window`; `_recent_within` leaves that to the handler, which first looks at what is asked
/// for. `limited` routes look at a password or create an account, and share `login_rate`.
macro_rules! routes {
    ($($area:ident at $base:literal {
        $($path:literal $access:ident { $($method:ident $(($stricter:ident))? $handler:path),+ } $($limited:ident)?)+
    })+) => {
        /// Every route there is.
        pub const ALL: &[Route] = &[$($($(Route {
            method: routes!(@name $method),
            path: concat!($base, $path),
            access: routes!(@access $access $($stricter)?),
        },)+)+)+];

        /// The paths where `login_rate` counts what comes with a body.
        pub const LIMITED: &[&str] = &[$($($(routes!(@limited $limited concat!($base, $path)),)?)+)+];

        $(fn $area(config: &mut web::ServiceConfig, limits: &Limits) {
            let _ = limits; // of use to some areas only
            $(config.service(routes!(@limit limits $($limited)? => routes!(@guard $access =>
                web::resource($path)$(.route(guarded(
                    routes!(@method $method).to($handler),
                    routes!(@access $access),
                    routes!(@access $access $($stricter)?),
                )))+)));)+
        })+
    };
    (@name get) => { "GET" };
    (@name post) => { "POST" };
    (@name put) => { "PUT" };
    (@name patch) => { "PATCH" };
    (@name delete) => { "DELETE" };
    // Whoever may read may ask for the head alone.
    (@method get) => { web::route().guard(guard::Any(guard::Get()).or(guard::Head())) };
    (@method post) => { web::post() };
    (@method put) => { web::put() };
    (@method patch) => { web::patch() };
    (@method delete) => { web::delete() };
    (@access everyone) => { Access::Everyone };
    (@access user) => { Access::SignedIn(Role::User, StepUp::Never) };
    (@access manager) => { Access::SignedIn(Role::Manager, StepUp::Never) };
    (@access manager_recent) => { Access::SignedIn(Role::Manager, StepUp::AtTheDoor) };
    (@access manager_recent_within) => { Access::SignedIn(Role::Manager, StepUp::Within) };
    (@access admin) => { Access::SignedIn(Role::Admin, StepUp::Never) };
    (@access admin_recent) => { Access::SignedIn(Role::Admin, StepUp::AtTheDoor) };
    (@access admin_recent_within) => { Access::SignedIn(Role::Admin, StepUp::Within) };
    (@access bearer_user) => { Access::Bearer(Role::User, StepUp::Never) };
    (@access bearer_manager) => { Access::Bearer(Role::Manager, StepUp::Never) };
    (@access bearer_manager_recent_within) => { Access::Bearer(Role::Manager, StepUp::Within) };
    (@access bearer_admin) => { Access::Bearer(Role::Admin, StepUp::Never) };
    (@access bearer_admin_recent) => { Access::Bearer(Role::Admin, StepUp::AtTheDoor) };
    (@access $access:ident $stricter:ident) => { routes!(@access $stricter) };
    (@guard everyone => $resource:expr) => { $resource };
    // The role alone: of a password a method asks, so that one that the path does not have is refused as such.
    (@guard $access:ident => $resource:expr) => {
        $resource.wrap(from_fn(|request, next| async move {
            match routes!(@access $access) {
                Access::Bearer(role, _) => require::<ApiUser>(role, StepUp::Never, request, next).await,
                Access::SignedIn(role, _) => require::<CurrentUser>(role, StepUp::Never, request, next).await,
                Access::Everyone => Ok(next.call(request).await?.map_into_boxed_body()),
            }
        }))
    };
    // Outside, so that no work is done for who comes too often.
    (@limit $limits:ident => $resource:expr) => { $resource };
    (@limit $limits:ident limited => $resource:expr) => {{
        let limit = $limits.login.clone();
        $resource.wrap(from_fn(move |request, next| limit.clone().guard(request, next)))
    }};
    (@limited limited $path:expr) => { $path };
}

routes! {
    // Without a session: these never ask the session store.
    bare at "" {
        "/livez" everyone { get health::livez }
        "/readyz" everyone { get health::readyz }
        "/version" everyone { get health::version }
        "/static/{file}" everyone { get pages::assets::serve }
        "/favicon.ico" everyone { get pages::assets::favicon }
        "/.well-known/change-password" everyone { get pages::change_password_url }
        "/.well-known/jwks.json" everyone { get api::well_known::jwks }
        "/.well-known/oauth-authorization-server" everyone { get api::well_known::metadata }
        "/openapi.json" everyone { get api::document::show }
        "/docs" everyone { get pages::docs::show }
    }
    with_session at "" {
        "/" everyone { get pages::home }
        // The token in the path decides.
        "/setup/{token}" everyone { get pages::setup::show, post pages::setup::submit } limited
        "/reset/{token}" everyone { get pages::reset::show, post pages::reset::submit } limited
        "/register" everyone { get pages::register::show, post pages::register::submit } limited
        "/login" everyone { get pages::login::show, post pages::login::submit } limited
        // Who is signed out already is shown so, not asked to sign in.
        "/logout" everyone { get pages::logout::show, post pages::logout::submit }
        "/confirm" user { get pages::confirm::show, post pages::confirm::submit } limited
        "/account" user { get pages::account::show }
        "/account/profile" user { get pages::profile::show, post pages::profile::submit } limited
        "/account/password" user { get pages::password::show, post pages::password::submit } limited
        "/account/sessions" user { get pages::sessions::show }
        "/account/sessions/{id}/end" user { post pages::sessions::end }
        "/account/sessions/end-others" user { post pages::sessions::end_others }
        "/account/activity" user { get pages::activity::show }
        "/admin" manager { get admin::dashboard::show }
        "/admin/sessions" manager { get admin::sessions::show }
        "/admin/sessions/end" manager_recent_within { get admin::end_sessions::ask, post admin::end_sessions::end }
        "/admin/sessions/{id}/end" manager { get admin::end_sessions::ask_one, post admin::end_sessions::end_one }
        "/admin/audit" manager { get admin::audit::show }
        "/admin/audit/export" manager { get admin::audit::export }
        "/admin/keys" admin { get admin::keys::show }
        "/admin/keys/rotate" admin_recent { get admin::keys::ask, post admin::keys::rotate }
        "/admin/settings" admin { get admin::settings::show }
        "/admin/users" manager { get admin::users::show }
        "/admin/users/new" admin_recent { get admin::new_user::show, post(admin_recent_within) admin::new_user::create }
        "/admin/users/{id}" manager { get admin::user::show, post(admin_recent_within) admin::user::update }
        "/admin/users/{id}/role" admin_recent { get user_role::ask, post(admin_recent_within) user_role::change }
        "/admin/users/{id}/suspend" admin_recent { get user_acts::suspend_page, post user_acts::suspend }
        "/admin/users/{id}/reinstate" admin_recent { get user_acts::reinstate_page, post user_acts::reinstate }
        "/admin/users/{id}/unlock" manager { post user_acts::unlock }
        "/admin/users/{id}/reset-link" admin_recent { get user_acts::reset_link_page, post user_acts::reset_link }
        "/admin/users/{id}/end-sessions" manager_recent {
            get user_acts::end_sessions_page, post user_acts::end_sessions
        }
        "/admin/users/{id}/delete" admin_recent { get user_acts::delete_page, post user_acts::delete }
    }
    // Access tokens instead of sessions: no cookie but that of a refresh token is looked at.
    json at "/api/v1" {
        "/auth/register" everyone { post api::registration::register } limited
        "/auth/login" everyone { post api::auth::login } limited
        // The refresh token decides, or for signing out any token of the session.
        "/auth/refresh" everyone { post api::tokens::refresh }
        "/auth/logout" everyone { post api::tokens::logout }
        "/auth/confirm" bearer_user { post api::auth::confirm } limited
        "/whoami" everyone { get api::me::whoami }
        "/me" bearer_user { get api::me::show, patch api::me::update } limited
        "/me/password" bearer_user { put api::me::change_password } limited
        "/me/sessions" bearer_user { get api::own::list, delete api::own::end_others }
        "/me/sessions/{id}" bearer_user { delete api::own::end }
        "/me/activity" bearer_user { get api::me::activity }
        "/users" bearer_manager { get api::users::list, post(bearer_admin_recent) api::users::create }
        "/users/{id}" bearer_manager {
            get api::users::show,
            patch(bearer_admin_recent) api::users::update,
            delete(bearer_admin_recent) api::users::delete
        }
        "/users/{id}/role" bearer_admin_recent { put api::user_acts::set_role }
        "/users/{id}/suspend" bearer_admin_recent { post api::user_acts::suspend }
        "/users/{id}/reinstate" bearer_admin_recent { post api::user_acts::reinstate }
        "/users/{id}/reset-link" bearer_admin_recent { post api::user_acts::reset_link }
        "/users/{id}/unlock" bearer_manager { post api::user_acts::unlock }
        "/users/{id}/sessions" bearer_manager {
            get api::user_acts::sessions, delete(bearer_manager_recent_within) api::user_acts::end_sessions
        }
        "/sessions" bearer_manager { get api::sessions::list }
        "/sessions/revoke" bearer_manager_recent_within { post api::revoke::revoke }
        "/sessions/{id}" bearer_manager { get api::sessions::show, delete api::sessions::end }
        "/audit" bearer_manager { get api::audit::list }
        "/stats" bearer_manager { get api::stats::show }
        "/keys" bearer_admin { get api::keys::list }
        "/keys/rotate" bearer_admin_recent { post api::keys::rotate }
    }
    oauth at "/oauth" {
        // The token in the form decides.
        "/token" everyone { post api::oauth::token }
        "/revoke" everyone { post api::oauth::revoke }
        "/introspect" bearer_manager { post api::oauth::introspect }
    }
}

/// What a method asks of its caller beyond the role that its path asks.
fn guarded(route: actix_web::Route, path: Access, method: Access) -> actix_web::Route {
    fn guard<P: Principal>(route: actix_web::Route, role: Role, step_up: StepUp) -> actix_web::Route {
        route.wrap(from_fn(move |request, next| require::<P>(role, step_up, request, next)))
    }
    match method {
        Access::SignedIn(role, step_up) if step_up != StepUp::Never || method != path => {
            guard::<CurrentUser>(route, role, step_up)
        }
        Access::Bearer(role, step_up) if step_up != StepUp::Never || method != path => {
            guard::<ApiUser>(route, role, step_up)
        }
        _ => route,
    }
}

/// Registers every route. The session middleware wraps the pages only, CORS the API only.
pub fn configure(config: &mut web::ServiceConfig, services: &Services, limits: &Limits) {
    bare(config, limits);
    config.service(
        web::scope("/api/v1")
            .wrap(limits.api.middleware())
            .wrap(from_fn(bearer::identify))
            .wrap(cors::middleware(&services.settings))
            .configure(|config| json(config, limits))
            .default_service(web::to(nothing)),
    );
    config.service(
        web::scope("/oauth")
            .wrap(limits.api.middleware())
            .wrap(from_fn(bearer::identify))
            .configure(|config| oauth(config, limits))
            .default_service(web::to(nothing)),
    );
    config.service(
        web::scope("")
            .wrap(from_fn(csrf::same_origin))
            .wrap(session_store::identity_middleware())
            .wrap(from_fn(authenticate::authenticate))
            .wrap(session_store::session_middleware(services))
            .wrap(from_fn(authenticate::carry))
            .configure(|config| with_session(config, limits))
            .default_service(web::to(nothing)),
    );
}

async fn nothing(request: HttpRequest) -> Result<HttpResponse, Problem> {
    without_slash(&request).ok_or_else(Problem::not_found)
}

/// Sends who asked for the address of a page with a slash behind it to that address.
fn without_slash(request: &HttpRequest) -> Option<HttpResponse> {
    static READABLE: LazyLock<Vec<ResourceDef>> = LazyLock::new(|| {
        ALL.iter().filter(|route| route.method == "GET").map(|route| ResourceDef::new(route.path)).collect()
    });
    let path = request.path().strip_suffix('/').filter(|_| request.method().is_safe())?;
    READABLE.iter().any(|resource| resource.is_match(path)).then(|| {
        let location = match request.query_string() {
            "" => path.to_owned(),
            query => format!("{path}?{query}"),
        };
        HttpResponse::SeeOther().insert_header((LOCATION, location)).finish()
    })
}
