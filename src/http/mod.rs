//! What pages and API share: who is calling and from where, cookies, forgery, headers, limits, problems.
//!
//! A request passes these, outermost first; the last `wrap` of actix-web is the outermost:
//!
//! 1. [`request_log::log`]: an id, for the answer and all that is logged; where `/metrics` is served, it is counted too.
//! 2. [`headers::add`]: on every answer, errors included.
//! 3. [`problem::render`]: each error answer becomes `application/problem+json` with the request id. A renderer of
//!    pages belongs right inside it and takes the [`problem::Problem`] with [`problem::take`].
//! 4. [`cookie_guard::guard`]: the only reader of the `Cookie` header and the only writer of our cookies.
//! 5. [`parameters::check_target`]: no NUL, only UTF-8 in path and query.
//! 6. the scope of the pages alone: [`authenticate::carry`], [`session_store::session_middleware`],
//!    [`authenticate::authenticate`] (which reads the body of a form that comes with a cookie that was replaced),
//!    [`session_store::identity_middleware`], [`csrf::same_origin`]. Static files and health never ask the store.
//! 7. the scopes of the API: [`cors::middleware`], [`bearer::identify`], [`limits::ByPrincipal`]. No session cookie there.
//!
//! Roles and recent passwords are asked in one place, [`access`], for pages and API alike. A middleware that refuses gives back `Ok(response)`: an `Err` would pass by those outside it, and so lose headers.
//! [`site::Site`] is in the app's data; it and [`limits::Limits`] are made outside the `App` factory, or each
//! worker would have its own. Routes that look at a password pass [`limits::LoginLimit`] before all else of their own.

pub mod accept;
pub mod access;
pub mod api_document;
pub mod authenticate;
pub mod bearer;
mod body;
pub mod client_address;
pub mod cookie_guard;
mod cookie_session;
pub mod cookies;
pub mod cors;
pub mod csrf;
pub mod current_user;
pub mod device_cookie;
pub mod draining;
pub mod fields;
pub mod flash;
pub mod forms;
pub mod headers;
pub mod health;
pub mod if_match;
pub mod json;
pub mod limits;
pub mod parameters;
pub mod principal;
pub mod problem;
mod repeat;
pub mod request_id;
pub mod request_log;
pub mod request_metrics;
pub mod require_role;
pub mod selection;
pub mod session_cookie;
pub mod session_store;
pub mod site;
pub mod step_up;
