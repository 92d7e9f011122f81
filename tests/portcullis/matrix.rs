//! Who may do what to whom: every route about one account or session × everyone, where the account is there. A route
//! without its line here fails the test. What is asked of no account in particular: `access.rs`, `api_access.rs`.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use portcullis::domain::Role;
use portcullis::domain::audit::Client;
use portcullis::routes;
use portcullis::services::accounts::lookup;
use portcullis::services::administration::user_acts;
use serde_json::Value;

use crate::support::*;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asker {
    Nobody,
    /// Whose account it is: a user.
    Owner,
    /// Another user.
    Other,
    /// About a user's account.
    Manager,
    /// About the account of another manager.
    Colleague,
    Administrator,
    /// An administrator who was suspended since.
    Suspended,
    /// An administrator who entered the password longer ago than `reauthentication_window`.
    LongAgo,
}

use Asker::*;

const ASKERS: [Asker; 8] = [Nobody, Owner, Other, Manager, Colleague, Administrator, Suspended, LongAgo];

/// A route, what is sent to it, and the status for each of [`ASKERS`].
struct Line {
    method: &'static str,
    path: &'static str,
    /// Fields of a form as a query, or JSON.
    body: &'static str,
    statuses: [u16; 8],
}

/// Not a status: the answer that sends to `/login`.
const SIGN_IN: u16 = 1;

/// Nor this: the answer that asks for the password first.
const CONFIRM: u16 = 2;

impl Line {
    /// A sensitive act: it needs a recent password.
    const fn sensitive(mut self) -> Self {
        self.statuses[ASKERS.len() - 1] = CONFIRM;
        self
    }
}

/// A page for managers and above, if the account is in reach.
const fn manager(method: &'static str, path: &'static str, status: u16) -> Line {
    Line { method, path, body: "", statuses: [SIGN_IN, 403, 403, status, 403, status, SIGN_IN, status] }
}

/// A page for administrators.
const fn admin(method: &'static str, path: &'static str, body: &'static str, status: u16) -> Line {
    Line { method, path, body, statuses: [SIGN_IN, 403, 403, 403, 403, status, SIGN_IN, status] }
}

/// The same for programs.
const fn api_manager(method: &'static str, path: &'static str, status: u16) -> Line {
    Line { method, path, body: "", statuses: [401, 403, 403, status, 403, status, 401, status] }
}

const fn api_admin(method: &'static str, path: &'static str, body: &'static str, status: u16) -> Line {
    Line { method, path, body, statuses: [401, 403, 403, 403, 403, status, 401, status] }
}

const TABLE: &[Line] = &[
    Line {
        method: "POST",
        path: "/account/sessions/{id}/end",
        body: "",
        statuses: [SIGN_IN, 303, 404, 404, 404, 404, SIGN_IN, 404],
    },
    manager("GET", "/admin/sessions/{id}/end", 200),
    manager("POST", "/admin/sessions/{id}/end", 303),
    // Whoever sees accounts sees all of them.
    Line { statuses: [SIGN_IN, 403, 403, 200, 200, 200, SIGN_IN, 200], ..manager("GET", "/admin/users/{id}", 200) },
    admin("POST", "/admin/users/{id}", "username=renamed&email=renamed%40example.org&name=", 303).sensitive(),
    admin("GET", "/admin/users/{id}/role", "", 200).sensitive(),
    admin("POST", "/admin/users/{id}/role", "role=manager", 303).sensitive(),
    admin("GET", "/admin/users/{id}/suspend", "", 200).sensitive(),
    admin("POST", "/admin/users/{id}/suspend", "", 303).sensitive(),
    admin("GET", "/admin/users/{id}/reinstate", "", 200).sensitive(),
    admin("POST", "/admin/users/{id}/reinstate", "", 303).sensitive(),
    manager("POST", "/admin/users/{id}/unlock", 303),
    admin("GET", "/admin/users/{id}/reset-link", "", 200).sensitive(),
    admin("POST", "/admin/users/{id}/reset-link", "", 303).sensitive(),
    manager("GET", "/admin/users/{id}/end-sessions", 200).sensitive(),
    manager("POST", "/admin/users/{id}/end-sessions", 303).sensitive(),
    admin("GET", "/admin/users/{id}/delete", "", 200).sensitive(),
    admin("POST", "/admin/users/{id}/delete", "", 303).sensitive(),
    Line {
        method: "DELETE",
        path: "/api/v1/me/sessions/{id}",
        body: "",
        statuses: [401, 204, 404, 404, 404, 404, 401, 404],
    },
    Line { statuses: [401, 403, 403, 200, 200, 200, 401, 200], ..api_manager("GET", "/api/v1/users/{id}", 200) },
    api_admin("PATCH", "/api/v1/users/{id}", r#"{"name":"Other"}"#, 200).sensitive(),
    api_admin("DELETE", "/api/v1/users/{id}", "", 204).sensitive(),
    api_admin("PUT", "/api/v1/users/{id}/role", r#"{"role":"manager"}"#, 200).sensitive(),
    api_admin("POST", "/api/v1/users/{id}/suspend", "", 200).sensitive(),
    api_admin("POST", "/api/v1/users/{id}/reinstate", "", 200).sensitive(),
    api_admin("POST", "/api/v1/users/{id}/reset-link", "", 200).sensitive(),
    api_manager("POST", "/api/v1/users/{id}/unlock", 200),
    Line {
        statuses: [401, 403, 403, 200, 200, 200, 401, 200],
        ..api_manager("GET", "/api/v1/users/{id}/sessions", 200)
    },
    api_manager("DELETE", "/api/v1/users/{id}/sessions", 200).sensitive(),
    Line { statuses: [401, 403, 403, 200, 200, 200, 401, 200], ..api_manager("GET", "/api/v1/sessions/{id}", 200) },
    api_manager("DELETE", "/api/v1/sessions/{id}", 204),
];

/// The same routes about nobody: method, path, body, and the status for nobody, a user, a manager, an administrator, and
/// one who signed in long ago. Who could act finds nobody there.
pub fn about_nobody() -> impl Iterator<Item = (&'static str, &'static str, &'static str, [u16; 5])> {
    TABLE.iter().map(|line| {
        let status = |asker| {
            let of_asker = ASKERS.iter().zip(line.statuses).find(|(other, _)| **other == asker);
            of_asker.map(|(_, status)| if matches!(status, 200..=204 | 303) { 404 } else { status }).expect("a column")
        };
        (line.method, line.path, line.body, [Nobody, Other, Manager, Administrator, LongAgo].map(status))
    })
}

/// The id of another in the path is no authority over them.
#[tokio::test]
async fn every_route_about_someone_answers_everyone_as_the_table_says() {
    let about: Vec<_> = routes::ALL.iter().filter(|route| route.path.contains("{id}")).collect();
    let declared: BTreeSet<_> = about.iter().map(|route| (route.method, route.path)).collect();
    let described: BTreeSet<_> = TABLE.iter().map(|line| (line.method, line.path)).collect();
    assert_eq!(declared, described, "routes and lines of the table in matrix.rs");

    let server = TestServer::start(Sqlite).await;
    for (name, role) in [
        ("other", Role::User),
        ("manuel", Role::Manager),
        ("adele", Role::Admin),
        ("sue", Role::Admin),
        ("olga", Role::Admin),
    ] {
        server.create(name, role).await;
    }
    let (olga, mut olgas) = (server.signed_in("olga").await, server.program("olga").await);
    server.clock.advance(TimeDelta::minutes(10) + TimeDelta::seconds(1));
    olgas.refresh().await.expect(200);
    let people = [server.signed_in("other").await, server.signed_in("manuel").await, server.signed_in("adele").await];
    let programs = [server.program("other").await, server.program("manuel").await, server.program("adele").await];
    let (sue, sues) = (server.signed_in("sue").await, server.program("sue").await);
    let id = server.id_of("sue").await;
    let token = { sue.clone().get("/account").await.csrf_token() };
    user_acts::suspend(&server.services, &spawn::command_line(), id, &Client::default()).await.unwrap();

    let mut wrong = Vec::new();
    for (number, line) in TABLE.iter().enumerate() {
        for (asker, expected) in ASKERS.into_iter().zip(line.statuses) {
            // Fresh for each, for there are acts that leave nothing.
            let name = format!("t{number}{asker:?}");
            let role = if asker == Colleague { Role::Manager } else { Role::User };
            let target = server.create(&name, role).await;
            let session = server.program(&name).await;
            let id = if line.path.contains("/users/") { target.id.to_string() } else { session.session_id.clone() };
            let path = line.path.replace("{id}", &id);
            let answer = if line.path.starts_with("/api/") {
                let program = match asker {
                    Nobody => ApiClient::new(&server),
                    Owner => session.clone(),
                    Other => programs[0].clone(),
                    Manager | Colleague => programs[1].clone(),
                    Administrator => programs[2].clone(),
                    Suspended => sues.clone(),
                    LongAgo => olgas.clone(),
                };
                let headers: &[_] = if line.body.is_empty() { &[] } else { &[("content-type", "application/json")] };
                let body = Some(line.body.as_bytes().to_vec()).filter(|body| !body.is_empty());
                program.send(line.method, &path, headers, body).await
            } else {
                let mut browser = match asker {
                    Nobody => server.browser(),
                    Owner => server.signed_in(&name).await,
                    Other => people[0].clone(),
                    Manager | Colleague => people[1].clone(),
                    Administrator => people[2].clone(),
                    Suspended => sue.clone(),
                    LongAgo => olga.clone(),
                };
                if line.method == "GET" {
                    browser.get(&path).await
                } else {
                    let token = match asker {
                        Suspended => token.clone(),
                        _ => browser.get("/account").await.csrf_token(),
                    };
                    let mut fields: Vec<(String, String)> =
                        url::form_urlencoded::parse(line.body.as_bytes()).into_owned().collect();
                    fields.extend(token.map(|token| ("csrf_token".to_owned(), token)));
                    let fields: Vec<_> = fields.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
                    browser.post(&path, &fields).await
                }
            };
            let seen = match answer.status {
                _ if answer.asks_to_sign_in() => SIGN_IN,
                _ if answer.asks_for_the_password() => CONFIRM,
                status => status,
            };
            if seen != expected {
                wrong.push(format!("{asker:?}: {} {}: {} {:?}", line.method, line.path, seen, answer.location()));
            }
            // Whoever was refused has changed nothing.
            if !matches!(seen, 200..=204 | 303) {
                let after = lookup::by_id(&server.services.database, target.id).await.unwrap();
                assert_eq!(
                    (after.version(), after.epoch),
                    (target.version(), target.epoch),
                    "{asker:?}: {}",
                    line.path
                );
                assert!(session.is_signed_in().await, "{asker:?}: {} {}", line.method, line.path);
            }
            if seen == 404 && line.path.starts_with("/api/") {
                assert_eq!(answer.json()["code"], Value::from("not_found"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
