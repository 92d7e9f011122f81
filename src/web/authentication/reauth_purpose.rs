//! What the password is asked for again, as `/confirm` tells it.

use url::form_urlencoded;

use crate::domain::{Error, Role, User, UserId};
use crate::services::Services;
use crate::services::accounts::lookup;
use crate::web::administration::Act;
use crate::web::next;
use crate::web::sessions::everyone::LIST;

/// The act to which one goes on.
pub struct ReauthPurpose {
    /// As in "enter your password to …", and to whose account it is done.
    pub act: &'static str,
    pub whom: Option<String>,
    /// The page above it.
    pub above: String,
    /// The path of the tab to which it belongs.
    pub tab: &'static str,
}

impl ReauthPurpose {
    /// That of the page `next`; `None` where it is no page of an act, or none for the reader.
    pub async fn of(services: &Services, reader: &User, next: &str) -> Result<Option<Self>, Error> {
        let (path, query) = next.split_once('?').unwrap_or((next, ""));
        let Some(path) = path.strip_prefix("/admin/").filter(|_| reader.role.reaches(Role::Manager)) else {
            return Ok(None);
        };
        let (tab, act, of, above) = match path.split('/').collect::<Vec<_>>()[..] {
            ["keys", "rotate"] => ("/admin/keys", "rotate the signing keys", None, "/admin/keys".to_owned()),
            ["users", "new"] => ("/admin/users", "create an account", None, "/admin/users".to_owned()),
            ["users", id] => {
                ("/admin/users", "change the account of", Some(id.to_owned()), format!("/admin/users/{id}"))
            }
            ["users", id, act] => {
                let act = match Act::ALL.into_iter().find(|known| known.path() == act) {
                    Some(known) => known.verb(),
                    None if act == "role" => "change the role of",
                    None => return Ok(None),
                };
                ("/admin/users", act, Some(id.to_owned()), format!("/admin/users/{id}"))
            }
            ["sessions", "end"] => {
                let asked = |name: &str| {
                    let found = form_urlencoded::parse(query.as_bytes()).find(|(known, _)| known == name);
                    found.map(|(_, value)| value.into_owned())
                };
                let back = asked("next").unwrap_or_default();
                let back = next::or(LIST, &back, services.settings.public_url.as_str()).to_owned();
                match asked("user") {
                    Some(id) => (LIST, "end all sessions of", Some(id), back),
                    None => (LIST, "end all sessions", None, back),
                }
            }
            _ => return Ok(None),
        };
        let whom = match of.map(|id| id.parse::<UserId>()) {
            None => None,
            Some(Err(_)) => return Ok(None),
            Some(Ok(id)) => match lookup::by_id(&services.database, id).await {
                Ok(user) => Some(user.username.as_str().to_owned()),
                Err(Error::NotFound) => return Ok(None),
                Err(error) => return Err(error),
            },
        };
        Ok(Some(Self { act, whom, above, tab }))
    }
}
