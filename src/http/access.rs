//! Who may call which route, as the route table says it.

use crate::domain::Role;

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Also nobody.
    Everyone,
    /// Who is signed in with at least this role; a page sends a guest to `/login`.
    SignedIn(Role),
    /// A program with an access token of at least this role.
    Bearer(Role),
}

/// A line of the table, for tests that ask every route as everyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    pub method: &'static str,
    pub path: &'static str,
    pub access: Access,
}
