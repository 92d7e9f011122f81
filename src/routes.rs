//! Every URL, and who may call it: this page is the access policy. What is not opened here by name is closed.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::{FromRequest, HttpResponse, guard, web};

use crate::domain::Role;
use crate::http::current_user::{Admin, CurrentUser, Manager, RequireRole};
use crate::http::limits::LoginLimit;
use crate::http::problem::Problem;
use crate::http::{authenticate, csrf, health, session_store};
use crate::services::Services;
use crate::web as pages;

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Also nobody.
    Everyone,
    /// Who is signed in with at least this role; a page sends a guest to `/login`.
    SignedIn(Role),
}

/// A line of the table, for tests that ask every route as everyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    pub method: &'static str,
    pub path: &'static str,
    pub access: Access,
}

/// Writes the table twice: as [`ALL`], and as the function that registers it. A method in `method(role)` asks for more
/// than its path. `limited` routes look at a password or create an account, and share `login_rate`.
macro_rules! routes {
    ($($area:ident { $($path:literal $access:ident { $($method:ident $(($stricter:ident))? $handler:path),+ } $($limited:ident)?)+ })+) => {
        /// Every route there is.
        pub const ALL: &[Route] = &[$($($(
            Route { method: routes!(@name $method), path: $path, access: routes!(@access $access $($stricter)?) },
        )+)+)+];

        $(fn $area(config: &mut web::ServiceConfig, limit: &LoginLimit) {
            let _ = limit; // of use to some areas only
            $(config.service(routes!(@wrap $access $($limited limit)? =>
                web::resource($path)$(.route(routes!(@role $($stricter)? => routes!(@method $method).to($handler))))+));)+
        })+
    };
    (@name get) => { "GET" };
    (@name post) => { "POST" };
    // Whoever may read may ask for the head alone.
    (@method get) => { web::route().guard(guard::Any(guard::Get()).or(guard::Head())) };
    (@method post) => { web::post() };
    (@access everyone) => { Access::Everyone };
    (@access user) => { Access::SignedIn(Role::User) };
    (@access manager) => { Access::SignedIn(Role::Manager) };
    (@access admin) => { Access::SignedIn(Role::Admin) };
    (@access $access:ident $stricter:ident) => { routes!(@access $stricter) };
    (@role => $route:expr) => { $route };
    (@role admin => $route:expr) => { $route.wrap(from_fn(only::<RequireRole<Admin>>)) };
    (@guard user => $resource:expr) => { $resource.wrap(from_fn(only::<CurrentUser>)) };
    (@guard manager => $resource:expr) => { $resource.wrap(from_fn(only::<RequireRole<Manager>>)) };
    (@guard admin => $resource:expr) => { $resource.wrap(from_fn(only::<RequireRole<Admin>>)) };
    (@wrap everyone => $resource:expr) => { $resource };
    (@wrap everyone limited $limit:ident => $resource:expr) => { $resource.wrap($limit.middleware()) };
    (@wrap $access:ident => $resource:expr) => { routes!(@guard $access => $resource) };
    (@wrap $access:ident limited $limit:ident => $resource:expr) => {
        routes!(@guard $access => $resource).wrap($limit.middleware())
    };
}

routes! {
    // Without a session: these never ask the session store.
    bare {
        "/livez" everyone { get health::livez }
        "/readyz" everyone { get health::readyz }
        "/version" everyone { get health::version }
        "/static/{file}" everyone { get pages::assets::serve }
        "/favicon.ico" everyone { get pages::assets::favicon }
        "/.well-known/change-password" everyone { get pages::change_password_url }
    }
    with_session {
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
    }
}

/// Registers every route; the session middleware wraps the pages only.
pub fn configure(config: &mut web::ServiceConfig, services: &Services, limit: &LoginLimit) {
    bare(config, limit);
    config.service(
        web::scope("")
            .wrap(from_fn(csrf::same_origin))
            .wrap(session_store::identity_middleware())
            .wrap(from_fn(authenticate::authenticate))
            .wrap(session_store::session_middleware(services))
            .configure(|config| with_session(config, limit))
            .default_service(web::to(|| async { Err::<HttpResponse, _>(Problem::not_found()) })),
    );
}

/// Closed by default: whom `Caller` refuses gets no further, whatever the handler asks for.
async fn only<Caller: FromRequest<Error = actix_web::Error>>(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let (inner, payload) = request.parts_mut();
    match Caller::from_request(inner, payload).await {
        Ok(_) => Ok(next.call(request).await?.map_into_boxed_body()),
        // Not as an `Err`, which would pass by the middleware outside.
        Err(refusal) => Ok(request.error_response(refusal)),
    }
}
