//! The production server, on a thread of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use chrono::{TimeDelta, Timelike as _};
use portcullis::domain::audit::Client;
use portcullis::domain::{Actor, Clock, Role, User, UserId};
use portcullis::services::accounts::new_account::NewAccount;
use portcullis::services::accounts::{links, lookup, registration, setup};
use portcullis::services::administration::user_acts;
use portcullis::services::authentication::sign_in;
use portcullis::services::sessions::own;
use portcullis::services::{Caller, RecentAuthContext, RecentProof, Services, SignedIn};
use portcullis::settings::{self, Sources};
use portcullis::startup;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::api_client::ApiClient;
use super::browser::{Browser, session_cookie};
use super::port::Port;
use super::stores::{Backend, Stores};
use super::{KEEPER, PASSWORD, eventually};

/// One running node. Dropping it stops the node; its stores go with the last node on them.
pub struct TestServer {
    pub address: SocketAddr,
    pub public_url: String,
    pub clock: Clock,
    pub services: Services,
    pub stores: Arc<Stores>,
    /// What the test set beyond the defaults, for a second node.
    settings: Vec<(String, String)>,
    handle: startup::Handle,
    thread: Option<JoinHandle<()>>,
    /// Kept from others. A server that shall listen elsewhere does not use it.
    _port: Port,
}

impl TestServer {
    /// A server with the administrator [`KEEPER`], so that registration is open.
    pub async fn start(backend: Backend) -> Self {
        Self::with(backend, &[]).await
    }

    /// The same with settings of the test's own; a later pair of the same key wins.
    pub async fn with(backend: Backend, settings: &[(&str, &str)]) -> Self {
        Self::on(Stores::new(backend).await, settings).await
    }

    /// The same on given stores.
    pub async fn on(stores: Stores, settings: &[(&str, &str)]) -> Self {
        let server = Self::without_administrator(stores, settings).await;
        if setup::administrator_exists(&server.services.database).await.expect("an answer") {
            return server;
        }
        let link = links::issue_setup(&server.services).await.expect("a setup link");
        let token = link.url.rsplit('/').next().expect("a token");
        let administrator = setup::complete(&server.services, token, new_account(KEEPER), &Client::default()).await;
        administrator.expect("the administrator, who stays signed in");
        server
    }

    /// A server as it is after its very first start.
    pub async fn without_administrator(stores: Stores, settings: &[(&str, &str)]) -> Self {
        let settings = settings.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        Self::run(Arc::new(stores), settings, Clock::adjustable()).await
    }

    /// Another node on the same stores, with the same settings and the same clock.
    pub async fn second_node(&self) -> Self {
        self.second_node_with(&[]).await
    }

    /// Another node on the same stores that differs in these settings.
    pub async fn second_node_with(&self, settings: &[(&str, &str)]) -> Self {
        self.second_node_by(self.clock.clone(), settings).await
    }

    /// The same by another clock.
    pub async fn second_node_by(&self, clock: Clock, settings: &[(&str, &str)]) -> Self {
        let mut all = self.settings.clone();
        all.push(("public_url".to_owned(), self.public_url.clone()));
        all.extend(settings.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())));
        Self::run(self.stores.clone(), all, clock).await
    }

    async fn run(stores: Arc<Stores>, settings: Vec<(String, String)>, clock: Clock) -> Self {
        // Not chosen by the server, since `public_url` names it.
        let reserved = Port::reserve();
        let port = reserved.number();
        let defaults = [
            ("listen", format!("127.0.0.1:{port}")),
            ("public_url", format!("http://127.0.0.1:{port}")),
            ("database_pool", "4".to_owned()),
            // The cheapest that Argon2 allows: the tests hash a thousand passwords.
            ("argon2_memory_kib", "64".to_owned()),
            ("argon2_iterations", "1".to_owned()),
            ("login_rate", "1000/1s".to_owned()),
            ("lockout_threshold", "1000".to_owned()),
            ("shutdown_timeout", "0s".to_owned()),
        ];
        let defaults = defaults.map(|(key, value)| (key.to_owned(), value));
        let mut all: Vec<_> = defaults.into_iter().chain(stores.settings()).collect();
        for (key, value) in &settings {
            all.retain(|(other, _)| other != key);
            all.push((key.clone(), value.clone()));
        }
        let pairs: Vec<_> = all.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let loaded = settings::load(&Sources::of_pairs(&pairs)).unwrap_or_else(|error| panic!("{error}"));
        let public_url = loaded.settings.public_url.as_str().to_owned();

        let (started, running) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn({
            let clock = clock.clone();
            move || {
                actix_web::rt::System::new().block_on(async move {
                    let services = startup::services(loaded, clock).await.unwrap_or_else(|error| panic!("{error}"));
                    let server = startup::Server::bind(services.clone()).unwrap_or_else(|error| panic!("{error}"));
                    let address = server.address().expect("an address");
                    let _ = started.send((address, server.handle(), services));
                    server.run().await.expect("the server runs");
                });
            }
        });
        let (address, handle, mut services) = running.await.expect("the server starts");
        // It listens before it has prepared its keys: what a test then takes away would not be there for that.
        answers(address).await;
        // What a test does by itself, however busy the machine is, is no request that must be answered in time.
        services.database = services.database.with_long_timeout();
        Self { address, public_url, clock, services, stores, settings, handle, thread: Some(thread), _port: reserved }
    }

    // --- people --------------------------------------------------------------------------------------------------

    pub fn browser(&self) -> Browser {
        Browser::new(self.address, &self.public_url, &self.clock)
    }

    /// A browser in which `name`, whose account is created here, is signed in.
    pub async fn newcomer(&self, name: &str) -> Browser {
        self.create_user(name).await;
        self.signed_in(name).await
    }

    /// A browser in which `name` has signed in just now.
    pub async fn signed_in(&self, name: &str) -> Browser {
        let mut browser = self.browser();
        browser.sign_in(name).await;
        browser
    }

    /// A program that `name` has signed in just now.
    pub async fn program(&self, name: &str) -> ApiClient {
        let mut program = ApiClient::new(self);
        program.sign_in(name).await;
        program
    }

    /// An account with [`PASSWORD`], as registration makes it, and signed out again.
    pub async fn create_user(&self, name: &str) -> User {
        let registered = registration::register(&self.services, new_account(name), None, &Client::default()).await;
        let SignedIn { user, handle, .. } = registered.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let caller = Caller { user_id: user.id, session_id: handle.session_id, role: user.role };
        own::sign_out(&self.services, &caller, &Client::default()).await.expect("signed out");
        user
    }

    /// An account of a given role.
    pub async fn create(&self, name: &str, role: Role) -> User {
        let user = self.create_user(name).await;
        let changed = user_acts::set_role(&self.services, &command_line(), user.id, role, &Client::default()).await;
        changed.expect("the role is set")
    }

    /// `user`, as they were read a moment ago, in a session in which the password was entered just now.
    pub async fn stepped_up(&self, user: &User) -> RecentAuthContext {
        let (name, client) = (user.username.as_str(), Client::default());
        let signed_in = sign_in::browser(&self.services, name, &PASSWORD.into(), false, None, &client).await;
        let handle = signed_in.unwrap_or_else(|error| panic!("{name}: {error:?}")).handle;
        let session = own::load(&self.services, &handle).await.expect("an answer").expect("a live session");
        let proof = RecentProof::of(&self.services, &session).expect("a recent entry");
        RecentAuthContext::signed_in(Actor::user(user), user.role, &proof)
    }

    pub async fn id_of(&self, name: &str) -> UserId {
        lookup::find(&self.services.database, name).await.unwrap_or_else(|error| panic!("{name}: {error:?}")).id
    }

    /// Moves the clock, by less than a session lives, where the hour and with it maybe the day would end under the test.
    pub fn stay_within_the_hour(&self) {
        if self.clock.now().minute() >= 50 {
            self.clock.advance(TimeDelta::minutes(10));
        }
    }

    /// Waits until it says that it has all it needs.
    pub async fn is_ready(&self) {
        let mut browser = self.browser();
        eventually("ready", Duration::from_secs(30), async || browser.get("/readyz").await.status == 200).await;
    }

    /// The name of the session cookie here.
    pub fn session_cookie(&self) -> &'static str {
        session_cookie(&self.public_url)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.handle.stop();
        if let Some(thread) = self.thread.take() {
            let outcome = thread.join();
            if outcome.is_err() && !std::thread::panicking() {
                panic!("the server panicked");
            }
        }
    }
}

/// Who acts on the command line.
pub fn command_line() -> RecentAuthContext {
    RecentAuthContext::command_line()
}

fn new_account(name: &str) -> NewAccount {
    NewAccount {
        username: name.to_owned(),
        email: format!("{name}@example.com"),
        name: None,
        password: PASSWORD.into(),
    }
}

/// Waits until the server answers, or has ended.
async fn answers(address: SocketAddr) {
    let ask = async {
        let mut connection = tokio::net::TcpStream::connect(address).await?;
        connection.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
        connection.read_to_end(&mut Vec::new()).await
    };
    ask.await.ok();
}
