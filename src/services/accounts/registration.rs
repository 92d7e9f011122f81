//! People who create their own account, in a browser or by a program.

use super::new_account::NewAccount;
use crate::domain::audit::Client;
use crate::domain::device::clean_device_name;
use crate::domain::{Actor, Error, Event, Role, User, UserId};
use crate::services::sessions::draft::{self, SessionDraft, end_replaced};
use crate::services::sessions::tokens::{self, IssuedTokens};
use crate::services::{Caller, Result, Services, SignedIn};
use crate::settings::Registration;
use crate::storage::audit::{self, Entry};

impl Services {
    /// Whether `/register` is open: the setting says so and an administrator exists.
    pub async fn registration_open(&self) -> Result<bool> {
        Ok(self.settings.registration == Registration::Open && self.administrator_exists().await?)
    }

    /// Creates the account with role `user` and signs in. `replaces` is the browser's earlier session, which ends.
    pub async fn register(&self, account: NewAccount, replaces: Option<&Caller>, client: &Client) -> Result<SignedIn> {
        let draft = || draft::browser(self, false, client);
        let (user, draft) = self.open_account(account, draft, replaces, client).await?;
        Ok(draft.into_signed_in(user))
    }

    /// What a registration of any kind does.
    pub(in crate::services) async fn open_account(
        &self,
        account: NewAccount,
        draft: impl FnOnce() -> SessionDraft,
        replaces: Option<&Caller>,
        client: &Client,
    ) -> Result<(User, SessionDraft)> {
        if !self.registration_open().await? {
            return Err(Error::RegistrationClosed);
        }
        let (checked, hash) = self.check_account(&account).await?;
        let draft = draft();
        let (client, now) = (client.clone(), self.clock.now());
        let replaced = replaces.cloned();
        let (draft, user) = self
            .database
            .write(move |connection| {
                let user = checked.insert(connection, UserId::new(now), Role::User, Some(&hash), now)?;
                let actor = Actor::user(&user);
                audit::append(connection, &Entry::success(Event::UserRegistered, &actor, &user, &client), now)?;
                draft.insert(connection, &user)?;
                let entry = Entry::success(Event::SignInSuccess, &actor, &user, &client);
                audit::append(connection, &entry.session(draft.session_id()), now)?;
                end_replaced(connection, replaced.as_ref(), &actor, now)?;
                Ok((draft.clone(), user))
            })
            .await?;
        draft::invalidate_replaced(&self.sessions, replaces).await;
        Ok((draft.noted(user), draft))
    }

    /// Creates the account with role `user` and opens a session of kind `api`.
    ///
    /// # Errors
    /// As [`Services::register`].
    pub async fn register_program(
        &self,
        account: NewAccount,
        device_name: Option<&str>,
        client: &Client,
    ) -> Result<IssuedTokens> {
        let device = device_name.and_then(clean_device_name);
        let draft = || draft::program(self, device, client);
        let (user, draft) = self.open_account(account, draft, None, client).await?;
        tokens::issue(self, draft.token_family(&user), 0, user).await
    }
}
