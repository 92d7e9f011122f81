//! One suite for the contract of sessions, run on each backend at the level of the services.
//!
//! - [`contract`]: what a session is, act by act. [`races`]: the same while others act too.
//! - [`memory`]: a Redis that forgets or remembers too much. [`nodes`]: what one node learns of another's acts.
//!   [`remembering`]: nodes that need not ask.
//! - [`redis_cluster`]: a Redis Cluster. [`administrators`]: the last one stays. [`everyone`]: the end of everyone's sessions.
//!
//! A [`TestCluster`] is the stores; each of its nodes is a whole set of services, as a process of its own would have.

mod administrators;
mod contract;
mod everyone;
mod memory;
mod nodes;
mod races;
mod redis_cluster;
mod remembering;

use std::ops::Deref;

use portcullis::domain::audit::Client;
use portcullis::domain::keys::SessionHandle;
use portcullis::domain::session::LiveSession;
use portcullis::domain::{Clock, Error, Role, User};
use portcullis::services::accounts::new_account::NewAccount;
use portcullis::services::accounts::{links, registration, setup};
use portcullis::services::administration::user_acts;
use portcullis::services::authentication::sign_in;
use portcullis::services::sessions::{self, own};
use portcullis::services::{Caller, RecentAuthContext, Services};
use portcullis::settings::{self, Sources};
use portcullis::startup;
use portcullis::storage::sessions::SessionStore;
use tokio::task::AbortHandle;

use crate::support::stores::{Backend, Stores};
use crate::support::{KEEPER, PASSWORD};

/// Stores, and the clock of every node on them. They have the administrator [`KEEPER`], so that registration is open.
struct TestCluster {
    stores: Stores,
    clock: Clock,
}

impl TestCluster {
    async fn new(backend: Backend) -> Self {
        Self::on(Stores::new(backend).await).await
    }

    async fn on(stores: Stores) -> Self {
        let cluster = Self { stores, clock: Clock::adjustable() };
        let node = cluster.witness().await.with_long_timeout();
        let link = links::issue_setup(&node).await.expect("a setup link");
        let token = link.url.rsplit('/').next().expect("a token");
        let administrator = setup::complete(&node, token, account(KEEPER), &Client::default()).await.expect("set up");
        let caller = Caller {
            user_id: administrator.user.id,
            session_id: administrator.handle.session_id,
            role: administrator.user.role,
        };
        own::sign_out(&node, &caller, &Client::default()).await.expect("signed out");
        cluster
    }

    /// A node that follows the feed, and asks each time: what Redis says is seen. Running servers also [remember](remembering).
    async fn node(&self) -> Node {
        self.node_with(&[]).await
    }

    async fn node_with(&self, settings: &[(&str, &str)]) -> Node {
        let mut node = self.node_without_feed_with(settings).await;
        if let SessionStore::Redis(store) = node.services.sessions.clone() {
            node.feed = Some(tokio::spawn(async move { store.follow_feed().await }).abort_handle());
        }
        node
    }

    /// A node that never reads the feed by itself.
    async fn node_without_feed(&self) -> Node {
        self.node_without_feed_with(&[]).await
    }

    async fn node_without_feed_with(&self, settings: &[(&str, &str)]) -> Node {
        let mut all = vec![
            // The cheapest that Argon2 allows: the tests hash a thousand passwords.
            ("argon2_memory_kib".to_owned(), "64".to_owned()),
            ("argon2_iterations".to_owned(), "1".to_owned()),
        ];
        all.extend(self.stores.settings());
        for (key, value) in settings {
            all.retain(|(other, _)| other != key);
            all.push(((*key).to_owned(), (*value).to_owned()));
        }
        self.start(all).await
    }

    /// A node on the same database that knows of no Redis: what it says is what SQL has, and what it does reaches
    /// others by the feed alone, as where a writer died after its commit.
    async fn witness(&self) -> Node {
        let mut settings = self.stores.settings();
        settings.retain(|(key, _)| !key.starts_with("redis"));
        settings.push(("argon2_memory_kib".to_owned(), "64".to_owned()));
        settings.push(("argon2_iterations".to_owned(), "1".to_owned()));
        self.start(settings).await
    }

    async fn start(&self, settings: Vec<(String, String)>) -> Node {
        let pairs: Vec<_> = settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let loaded = settings::load(&Sources::of_pairs(&pairs)).unwrap_or_else(|error| panic!("{error}"));
        let services = startup::services(loaded, self.clock.clone()).await.unwrap_or_else(|error| panic!("{error}"));
        Node { services, feed: None }
    }
}

/// One node. Dropping it stops its feed.
struct Node {
    services: Services,
    feed: Option<AbortHandle>,
}

impl Deref for Node {
    type Target = Services;
    fn deref(&self) -> &Services {
        &self.services
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(feed) = &self.feed {
            feed.abort();
        }
    }
}

impl Node {
    /// The same for acts that must be done, however busy the machine is.
    fn with_long_timeout(&self) -> Services {
        let mut services = self.services.clone();
        services.database = services.database.with_long_timeout();
        services
    }

    /// An account with [`PASSWORD`] that is signed in nowhere.
    async fn create(&self, name: &str) -> User {
        let registered =
            registration::register(&self.with_long_timeout(), account(name), None, &Client::default()).await;
        let registered = registered.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let caller = Caller { user_id: registered.user.id, session_id: registered.handle.session_id, role: Role::User };
        own::sign_out(&self.with_long_timeout(), &caller, &Client::default()).await.expect("signed out");
        registered.user
    }

    async fn opens(&self, name: &str) -> SessionHandle {
        try_sign_in(&self.with_long_timeout(), name).await.unwrap_or_else(|error| panic!("{name}: {error:?}"))
    }

    async fn view(&self, handle: &SessionHandle) -> Option<LiveSession> {
        view(&self.services, handle).await
    }

    async fn alive(&self, handle: &SessionHandle) -> bool {
        self.view(handle).await.is_some()
    }

    async fn role(&self, handle: &SessionHandle) -> Role {
        self.view(handle).await.expect("signed in").role
    }

    async fn caller(&self, handle: &SessionHandle) -> Caller {
        caller(&self.view(handle).await.expect("signed in"))
    }

    async fn ends_all(&self, user: &User) -> u64 {
        sessions::everyone::end_of_account(&self.with_long_timeout(), &keeper(), user.id, &Client::default())
            .await
            .expect("ended")
    }

    async fn sets_role(&self, user: &User, role: Role) {
        user_acts::set_role(&self.with_long_timeout(), &keeper(), user.id, role, &Client::default())
            .await
            .expect("the role is set");
    }
}

async fn try_sign_in(services: &Services, name: &str) -> Result<SessionHandle, Error> {
    let signed_in = sign_in::browser(services, name, &PASSWORD.into(), false, None, &Client::default()).await?;
    Ok(signed_in.handle)
}

/// What a request with that cookie learns. A store that is slow on a busy machine is asked again.
async fn view(services: &Services, handle: &SessionHandle) -> Option<LiveSession> {
    for _ in 0..400 {
        match own::load(services, handle).await {
            Ok(found) => return found,
            Err(Error::Unavailable(..)) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            Err(error) => panic!("{error:?}"),
        }
    }
    panic!("the stores are away")
}

fn caller(session: &LiveSession) -> Caller {
    Caller { user_id: session.user_id, session_id: session.id, role: session.role }
}

/// Who acts on the command line.
fn keeper() -> RecentAuthContext {
    RecentAuthContext::command_line()
}

fn account(name: &str) -> NewAccount {
    NewAccount {
        username: name.to_owned(),
        email: format!("{name}@example.com"),
        name: None,
        password: PASSWORD.into(),
    }
}
