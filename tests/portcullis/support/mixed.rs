//! All that people and programs ask for, from many of them at once.

use futures_util::future::join_all;
use serde_json::json;

use super::{ApiClient, Browser, KEEPER, PASSWORD, Page, TestServer};

/// What came of it.
#[derive(Default)]
pub struct Tally {
    pub requests: usize,
    /// Answers that are the server's fault.
    pub failures: Vec<String>,
}

impl Tally {
    fn note(&mut self, page: Page) -> Page {
        self.requests += 1;
        if page.status >= 500 {
            self.failures.push(format!("{} {}: {}", page.path, page.status, page.excerpt()));
        }
        page
    }
}

/// At least so many requests from so many clients, each with an account of its own and one that all share.
pub async fn mixed_requests(server: &TestServer, clients: usize, requests: usize) -> Tally {
    server.create_user("shared").await;
    for number in 0..clients {
        server.create_user(&format!("client{number}")).await;
    }
    let each = requests.div_ceil(clients);
    let tallies = join_all((0..clients).map(|number| {
        let (browser, program, keeper) = (server.browser(), ApiClient::new(server), ApiClient::new(server));
        client(browser, program, keeper, number, each)
    }))
    .await;
    tallies.into_iter().fold(Tally::default(), |mut all, one| {
        all.requests += one.requests;
        all.failures.extend(one.failures);
        all
    })
}

async fn client(
    mut browser: Browser,
    mut program: ApiClient,
    mut keeper: ApiClient,
    number: usize,
    requests: usize,
) -> Tally {
    let mut tally = Tally::default();
    let name = format!("client{number}");
    let sign_in = |name: &str| json!({ "username": name, "password": PASSWORD });
    let answer = tally.note(keeper.post("/api/v1/auth/login", &sign_in(KEEPER)).await);
    if answer.status != 200 {
        tally.failures.push(format!("{KEEPER}: {}", answer.status));
        return tally;
    }
    keeper.keep(&answer);
    let mut id = String::new();
    let mut round = 0;
    while tally.requests < requests {
        round += 1;
        let fields = [("username", name.as_str()), ("password", PASSWORD)];
        tally.note(browser.post("/login", &fields).await);
        let answer = tally.note(program.post("/api/v1/auth/login", &sign_in(&name)).await);
        if answer.status == 200 {
            id = answer.json()["user"]["id"].as_str().unwrap_or_default().to_owned();
            program.keep(&answer);
        }
        tally.note(program.post("/api/v1/auth/login", &sign_in("shared")).await);
        tally.note(program.refresh().await);
        tally.note(program.get("/api/v1/me/sessions").await);
        tally.note(browser.get("/account").await);
        tally.note(browser.get("/account/sessions").await);
        tally.note(keeper.get(&format!("/api/v1/users?q={name}")).await);
        tally.note(keeper.get("/api/v1/sessions?limit=20").await);
        tally.note(keeper.get("/api/v1/audit?limit=20").await);
        let role = ["manager", "user"][round % 2];
        tally.note(keeper.json("PUT", &format!("/api/v1/users/{id}/role"), &json!({ "role": role })).await);
        tally.note(program.refresh().await);
        tally.note(browser.post("/login", &[("username", name.as_str()), ("password", "not the password")]).await);
        tally.note(keeper.delete(&format!("/api/v1/users/{id}/sessions")).await);
        tally.note(program.get("/api/v1/me").await);
        if let Some(token) = tally.note(browser.get("/login").await).csrf_token() {
            tally.note(browser.post("/logout", &[("csrf_token", &token)]).await);
        }
        let fresh = format!("new{number}x{round}");
        let account = json!({ "username": fresh, "email": format!("{fresh}@example.com"), "password": PASSWORD });
        let answer = tally.note(program.post("/api/v1/auth/register", &account).await);
        if answer.status == 201 {
            program.keep(&answer);
            tally.note(program.post("/api/v1/auth/logout", &json!({ "refresh_token": program.refresh_token })).await);
        }
    }
    tally
}
