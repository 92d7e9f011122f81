//! What pages and API share: who is calling and from where, cookies, forgery, headers, limits, problems.

pub mod authenticate;
pub mod client_address;
pub mod cookie_guard;
pub mod csrf;
pub mod current_user;
pub mod flash;
pub mod forms;
pub mod headers;
pub mod limits;
pub mod problem;
pub mod request_id;
pub mod session_cookie;
pub mod session_store;
