//! One-time links: made, looked at (never consumed by a GET), used up by a POST.

use chrono::TimeDelta;

use crate::domain::audit::Client;
use crate::domain::form_seed::{FormSeed, REPEAT_GRACE, may_repeat};
use crate::domain::keys::Secret;
use crate::domain::link::{LinkPurpose, OneTimeLink};
use crate::domain::{Error, Event, NameKey, Timestamp, User, UserId};
use crate::services::authorization::{Authorized, Subject, authorize_admin_on};
use crate::services::{RecentAuthContext, Result, Services};
use crate::settings::Settings;
use crate::storage::accounts::links::{self, Link};
use crate::storage::accounts::users::{self, StoredUser};
use crate::storage::audit::{self, Entry};
use crate::storage::database::AnyConnection;

/// How long an owner has to choose a password.
pub(in crate::services) const RESET_LINK_TTL: TimeDelta = TimeDelta::hours(24);
/// How long the first administrator's link is good.
const SETUP_LINK_TTL: TimeDelta = TimeDelta::minutes(60);

fn url(settings: &Settings, purpose: LinkPurpose, token: &str) -> String {
    format!("{}{}{token}", settings.public_url.as_str(), purpose.path())
}

/// A link that is about to be stored.
pub(in crate::services) struct Issued {
    token: Secret,
    expires_at: Timestamp,
}

impl Issued {
    pub(in crate::services) fn new(expires_at: Timestamp) -> Self {
        Self { token: Secret::generate(), expires_at }
    }

    /// The first link of an account, which the form that creates it is given again when it comes again.
    pub(in crate::services) fn of_new_account(user: UserId, client: &Client, expires_at: Timestamp) -> Self {
        let token = client.form.as_ref().map_or_else(Secret::generate, |form| form.link_token(user));
        Self { token, expires_at }
    }

    pub(in crate::services) fn reset_link(&self, settings: &Settings) -> OneTimeLink {
        self.link(settings, LinkPurpose::Reset)
    }

    fn link(&self, settings: &Settings, purpose: LinkPurpose) -> OneTimeLink {
        OneTimeLink { url: url(settings, purpose, &self.token.reveal()), expires_at: self.expires_at }
    }

    /// Stores it as the one reset link of the account.
    pub(in crate::services) fn store_for(&self, connection: &mut AnyConnection, user: UserId) -> Result<()> {
        links::replace(connection, LinkPurpose::Reset, Some(user), self.token.hash(), self.expires_at)
    }
}

/// Whatever link was handed out for the account no longer opens anything.
pub(in crate::services) fn void_reset_links(connection: &mut AnyConnection, user: UserId) -> Result<()> {
    links::void(connection, LinkPurpose::Reset, Some(user))
}

/// Uses a link up; of several who try at once, one gets it.
pub(in crate::services) fn consume(
    connection: &mut AnyConnection,
    purpose: LinkPurpose,
    token: &str,
    now: Timestamp,
) -> Result<Link> {
    let token = Secret::parse(token).ok_or(Error::LinkGone)?;
    links::consume(connection, purpose, token.hash(), now)?.ok_or(Error::LinkGone)
}

/// A link with which the account's owner chooses a password; earlier ones of the account are void.
pub async fn issue_reset(
    services: &Services,
    auth: &RecentAuthContext,
    subject: impl Into<Subject>,
    client: &Client,
) -> Result<OneTimeLink> {
    auth.require(crate::domain::Role::Admin)?;
    let (auth, client, now) = (auth.clone(), client.clone(), services.clock.now());
    let subject = subject.into();
    let issued = Issued::new(now + RESET_LINK_TTL);
    let link = issued.reset_link(&services.settings);
    services
        .database
        .write(move |connection| {
            let Authorized { actor, user } = authorize_admin_on(connection, &auth, &subject)?;
            issued.store_for(connection, user.id)?;
            let entry = Entry::success(Event::PasswordResetLink, &actor, &user, &client);
            audit::append(connection, &entry, now)
        })
        .await?;
    Ok(link)
}

/// The account of that name with its first link, where the form that comes again has created it a moment ago.
pub(in crate::services) async fn created_by(
    services: &Services,
    username: &str,
    client: &Client,
) -> Result<Option<(User, OneTimeLink)>> {
    let (Some(form), Some(key)) = (client.form.clone(), NameKey::of_typed(username)) else { return Ok(None) };
    let now = services.clock.now();
    let found = services
        .database
        .read(move |connection| {
            let Some(StoredUser { user, .. }) = users::by_name(connection, &key)? else { return Ok(None) };
            let token = form.link_token(user.id);
            let link = links::find(connection, LinkPurpose::Reset, token.hash(), now)?;
            Ok(link.map(|link| (user, Issued { token, expires_at: link.expires_at })))
        })
        .await?;
    let found = found.filter(|(user, _)| may_repeat(user.created_at, now));
    Ok(found.map(|(user, issued)| (user, issued.reset_link(&services.settings))))
}

/// Notes for [`reset_by`] which form has used up a reset link of the account.
pub(in crate::services) fn note_reset(
    connection: &mut AnyConnection,
    user: UserId,
    client: &Client,
    now: Timestamp,
) -> Result<()> {
    let Some(form) = &client.form else { return Ok(()) };
    links::replace(connection, LinkPurpose::ResetDone, Some(user), form.mark(), now + REPEAT_GRACE)
}

/// The account whose password the form that comes again has set a moment ago.
pub(in crate::services) async fn reset_by(services: &Services, client: &Client) -> Result<Option<User>> {
    let Some(mark) = client.form.as_ref().map(FormSeed::mark) else { return Ok(None) };
    let now = services.clock.now();
    services
        .database
        .read(move |connection| {
            let done = links::find(connection, LinkPurpose::ResetDone, mark, now)?;
            let Some(user) = done.and_then(|done| done.user_id) else { return Ok(None) };
            Ok(users::by_id(connection, user)?.map(|found| found.user))
        })
        .await
}

/// The link with that token.
pub fn reset_url(settings: &Settings, token: &str) -> String {
    url(settings, LinkPurpose::Reset, token)
}

/// Whose link it is and until when; [`Error::LinkGone`] if used, replaced, expired or unknown.
pub async fn find_reset(services: &Services, token: &str) -> Result<(User, Timestamp)> {
    let token = Secret::parse(token).ok_or(Error::LinkGone)?;
    let now = services.clock.now();
    services
        .database
        .read(move |connection| {
            let link = links::find(connection, LinkPurpose::Reset, token.hash(), now)?.ok_or(Error::LinkGone)?;
            let user = link.user_id.ok_or(Error::LinkGone)?;
            Ok((users::by_id(connection, user)?.ok_or(Error::NotFound)?.user, link.expires_at))
        })
        .await
}

/// A link that creates the first administrator; earlier ones are void.
pub async fn issue_setup(services: &Services) -> Result<OneTimeLink> {
    let issued = Issued::new(services.clock.now() + SETUP_LINK_TTL);
    let link = issued.link(&services.settings, LinkPurpose::Setup);
    services
        .database
        .write(move |connection| {
            let token = issued.token.hash();
            links::replace(connection, LinkPurpose::Setup, None, token, issued.expires_at)
        })
        .await?;
    Ok(link)
}

/// Until when the link is good; [`Error::LinkGone`] likewise, and once an administrator exists.
pub async fn find_setup(services: &Services, token: &str) -> Result<Timestamp> {
    let token = Secret::parse(token).ok_or(Error::LinkGone)?;
    let now = services.clock.now();
    services
        .database
        .read(move |connection| {
            if users::administrator_exists(connection)? {
                return Err(Error::LinkGone);
            }
            let link = links::find(connection, LinkPurpose::Setup, token.hash(), now)?;
            Ok(link.ok_or(Error::LinkGone)?.expires_at)
        })
        .await
}
