//! A new version comes to a deployment of two nodes: one after the other is taken out of nginx, stopped, started again and
//! put back, while people and programs go on.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use portcullis::domain::Clock;
use rstest::rstest;

use crate::support::nginx::Nginx;
use crate::support::program::Running;
use crate::support::stores::Stores;
use crate::support::*;

/// People, and as many programs.
const CLIENTS: usize = 4;

/// A node as its operator has it: the program, and its process.
struct Node {
    program: Program,
    running: Running,
}

impl Node {
    async fn start(program: Program) -> Self {
        let running = program.serve().await;
        let node = Self { program, running };
        node.is_ready().await;
        node
    }

    fn place(&self) -> String {
        self.program.address().to_string()
    }

    async fn restart(&mut self) {
        assert_eq!(self.running.terminate().code(), Some(0), "{}", self.running.stderr());
        self.running = self.program.serve().await;
        self.is_ready().await;
    }

    async fn is_ready(&self) {
        eventually("ready", Duration::from_secs(30), async || {
            raw::get(self.program.address(), b"/readyz", &[]).await.status == 200
        })
        .await;
    }
}

/// What everybody's requests came to. A request without an answer ends the test.
#[derive(Default)]
struct Tally {
    requests: AtomicUsize,
    over: AtomicBool,
}

impl Tally {
    fn expect(&self, page: Page, status: u16) -> Page {
        self.requests.fetch_add(1, Ordering::Relaxed);
        page.expect(status)
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

async fn person(mut browser: Browser, number: usize, tally: &Tally) {
    let name = format!("person{number}");
    browser.register(&name).await.expect_redirect("/account");
    let mut round = 0;
    while !tally.is_over() {
        round += 1;
        tally.expect(browser.get("/account").await, 200);
        let called = format!("{name} the {round}th");
        browser.submit("/account/profile", &[("name", &called)]).await.expect_redirect("/account/profile");
        let page = tally.expect(browser.get("/account/profile").await, 200);
        assert_eq!(page.value("name"), Some(called));
        tally.expect(browser.get("/account/sessions").await, 200);
    }
}

async fn program(mut client: ApiClient, number: usize, tally: &Tally) {
    let name = format!("program{number}");
    let account = serde_json::json!({ "username": name, "email": format!("{name}@example.com"), "password": PASSWORD });
    client.keep(&client.post("/api/v1/auth/register", &account).await.expect(201));
    while !tally.is_over() {
        tally.expect(client.get("/api/v1/me").await, 200);
        tally.expect(client.refresh().await, 200);
        let mut other = client.clone();
        other.sign_in(&name).await;
        tally.expect(other.get("/api/v1/me").await, 200);
        let token = serde_json::json!({ "refresh_token": other.refresh_token });
        tally.expect(other.post("/api/v1/auth/logout", &token).await, 204);
        other.expect_dead().await;
    }
}

#[rstest]
#[tokio::test]
async fn nodes_behind_nginx_are_replaced_under_load_and_no_request_fails(
    #[values(SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let rounds = if long() { 20 } else { 2 };
    let stores = Stores::new(backend).await;
    let proxy_folder = folder::Folder::new();
    // It reads of its servers once they are there.
    let nginx = Nginx::before(&["127.0.0.1:1"], &proxy_folder).await;
    let origin = format!("http://127.0.0.1:{}", nginx.port());
    let program_of_node = || {
        let shared = stores.settings().into_iter().chain([
            ("public_url".to_owned(), origin.clone()),
            ("trusted_proxies".to_owned(), "127.0.0.1".to_owned()),
            ("api_rate".to_owned(), "100000/1s".to_owned()),
        ]);
        shared.fold(Program::with_administrator(), |program, (key, value)| program.set(&key, &value))
    };
    let mut nodes = [Node::start(program_of_node()).await, Node::start(program_of_node()).await];
    let places = [nodes[0].place(), nodes[1].place()];
    let both = [places[0].as_str(), places[1].as_str()];
    nginx.turn_to(&both).await;

    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, nginx.port()));
    let tally = Tally::default();
    let browser = || Browser::new(address, &origin, &Clock::default());
    let people = join_all((0..CLIENTS).map(|number| person(browser(), number, &tally)));
    let programs = join_all((0..CLIENTS).map(|number| program(ApiClient::to(address), number, &tally)));
    let roll_out = async {
        for _ in 0..rounds {
            for (at, node) in nodes.iter_mut().enumerate() {
                nginx.turn_to(&[both[1 - at]]).await;
                let before = tally.requests.load(Ordering::Relaxed);
                node.restart().await;
                nginx.turn_to(&both).await;
                eventually("the others went on", Duration::from_secs(30), async || {
                    tally.requests.load(Ordering::Relaxed) > before + 2 * CLIENTS
                })
                .await;
            }
        }
        tally.over.store(true, Ordering::Relaxed);
    };
    tokio::join!(people, programs, roll_out);
    println!("{} requests in {rounds} rounds, none failed", tally.requests.load(Ordering::Relaxed));
}
