//! Signing in and out.

use secrecy::SecretString;

use super::lockout::Authenticated;
use crate::domain::audit::Client;
use crate::domain::device::clean_device_name;
use crate::domain::{Actor, Event, User};
use crate::services::sessions::draft::{self, SessionDraft, end_replaced};
use crate::services::sessions::tokens::{self, IssuedTokens};
use crate::services::{Caller, Result, Services, SignedIn};
use crate::storage::accounts::users::{self, StoredUser};
use crate::storage::audit::{self, Entry};

impl Services {
    /// Checks the password of the account with that username or e-mail, and opens a session.
    /// `replaces` is the browser's earlier session, which ends.
    ///
    /// Unknown name, wrong password, no password yet and suspended account are one answer; see [`super::lockout`].
    pub async fn sign_in(
        &self,
        name: &str,
        password: &SecretString,
        remember: bool,
        replaces: Option<&Caller>,
        client: &Client,
    ) -> Result<SignedIn> {
        let draft = || draft::browser(self, remember, client);
        let (user, draft) = self.open_session(name, password, draft, replaces, client).await?;
        Ok(draft.into_signed_in(user))
    }

    /// What a sign-in of any kind does. The session's time begins when the password has been checked.
    pub(in crate::services) async fn open_session(
        &self,
        name: &str,
        password: &SecretString,
        draft: impl FnOnce() -> SessionDraft,
        replaces: Option<&Caller>,
        client: &Client,
    ) -> Result<(User, SessionDraft)> {
        // Read before the password is checked, epoch included: an "end all" that comes between is seen by the insert.
        let Authenticated { account: StoredUser { user, password_hash }, outdated } =
            self.check_credentials(name, password, client).await?;
        let rehashed = if outdated { Some(self.hasher.hash(password).await?) } else { None };

        let draft = draft();
        let (subject, client) = (user.clone(), client.clone());
        let replaced = replaces.cloned();
        let draft = self
            .database
            .write(move |connection| {
                draft.insert(connection, &subject)?;
                if let Some((old, new)) = password_hash.as_ref().zip(rehashed.as_ref()) {
                    users::rehash(connection, subject.id, old, new)?;
                }
                let actor = Actor::user(&subject);
                let entry = Entry::success(Event::SignInSuccess, &actor, &subject, &client);
                audit::append(connection, &entry.session(draft.session_id()), draft.opened_at())?;
                end_replaced(connection, replaced.as_ref(), &actor, draft.opened_at())?;
                Ok(draft.clone())
            })
            .await?;
        draft::invalidate_replaced(&self.sessions, replaces).await;
        Ok((draft.noted(user), draft))
    }

    /// Checks the password and opens a session of kind `api`. `device_name` goes before what the user agent says.
    ///
    /// # Errors
    /// As [`Services::sign_in`].
    pub async fn sign_in_program(
        &self,
        name: &str,
        password: &SecretString,
        device_name: Option<&str>,
        client: &Client,
    ) -> Result<IssuedTokens> {
        let device = device_name.and_then(clean_device_name);
        let draft = || draft::program(self, device, client);
        let (user, draft) = self.open_session(name, password, draft, None, client).await?;
        tokens::issue(self, draft.token_family(&user), 0, user).await
    }
}
