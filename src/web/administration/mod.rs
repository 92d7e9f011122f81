//! Pages that administer: managers look and help, administrators change. The route table says which is whose; the
//! services say who reaches whom.

mod act;
pub mod chart;
pub mod dashboard;
pub mod new_user;
pub mod settings;
mod typed;
pub mod user;
pub mod user_acts;
pub mod user_role;
pub mod users;

pub(in crate::web) use self::act::Act;
use crate::domain::{Role, User};
use crate::services::AuthContext;
use crate::web::list::Choice;
use crate::web::time_tag::{TimeTag, time_tag};

/// What an administrator who takes another role gives up.
const GIVES_UP: &str = "This is your own account. As a manager you can no longer change accounts, keys or \
                                   settings; as a user you lose access to the administration. Only another \
                                   administrator can give it back.";

/// All roles, of which one is chosen.
fn roles(chosen: Option<Role>) -> Vec<Choice> {
    let choice = |role: &Role| Choice { value: role.as_str(), title: role.title(), selected: chosen == Some(*role) };
    Role::ALL.iter().map(choice).collect()
}

/// The last sign-in of an account, if there was one.
fn last_sign_in(user: &User, now: crate::domain::Timestamp) -> Option<TimeTag> {
    user.last_sign_in_at.map(|at| time_tag(at, now))
}

/// Whether the reader may do to the account what only administrators do.
fn administers(auth: &AuthContext) -> bool {
    auth.role.reaches(Role::Admin)
}
