//! One-time links: made, looked at (never consumed by a GET), used up by a POST.

use chrono::TimeDelta;

use crate::domain::audit::Client;
use crate::domain::keys::Secret;
use crate::domain::link::{LinkPurpose, OneTimeLink};
use crate::domain::{Error, Event, Timestamp, User, UserId};
use crate::services::authorization::{Authorized, Subject, authorize_admin_on};
use crate::services::{RecentAuthContext, Result, Services};
use crate::settings::Settings;
use crate::storage::accounts::links::{self, Link};
use crate::storage::accounts::users;
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
