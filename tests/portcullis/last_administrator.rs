//! There is always an administrator: what two of them do to each other at the same moment, each on another node.

use futures_util::future::{join, join3};
use portcullis::domain::audit::Client;
use portcullis::domain::{Error, Role, User};
use portcullis::services::accounts::lookup;
use portcullis::services::administration::user_acts;
use rstest::rstest;
use serde_json::json;

use crate::support::spawn::command_line;
use crate::support::*;

/// What one does to the other.
#[derive(Clone, Copy, Debug)]
enum Removal {
    Demote,
    Suspend,
    Delete,
}

const REMOVALS: [Removal; 3] = [Removal::Demote, Removal::Suspend, Removal::Delete];

/// Where.
#[derive(Clone, Copy, Debug)]
enum Door {
    Page,
    Api,
}

/// An administrator with a browser and a program.
struct Rival {
    user: User,
    browser: Browser,
    token: String,
    program: ApiClient,
}

impl Rival {
    async fn new(name: &str, node: &TestServer) -> Self {
        let user = node.create(name, Role::Admin).await;
        Self::of(user, node).await
    }

    async fn of(user: User, node: &TestServer) -> Self {
        let mut browser = node.signed_in(user.username.as_str()).await;
        let token = browser.get("/account").await.csrf_token().unwrap();
        let program = node.program(user.username.as_str()).await;
        Self { user, browser, token, program }
    }

    async fn does(&mut self, act: Removal, other: &User, door: Door) -> Page {
        match door {
            Door::Page => self.sends_form(act, other).await,
            Door::Api => self.calls(act, other).await,
        }
    }

    async fn calls(&self, act: Removal, other: &User) -> Page {
        let path = format!("/api/v1/users/{}", other.id);
        match act {
            Removal::Demote => self.program.json("PUT", &format!("{path}/role"), &json!({ "role": "user" })).await,
            Removal::Suspend => self.program.send("POST", &format!("{path}/suspend"), &[], None).await,
            Removal::Delete => self.program.delete(&path).await,
        }
    }

    /// Without looking at the page of the act first.
    async fn sends_form(&mut self, act: Removal, other: &User) -> Page {
        let (path, role) = match act {
            Removal::Demote => ("role", Some(("role", "user"))),
            Removal::Suspend => ("suspend", None),
            Removal::Delete => ("delete", None),
        };
        let mut fields = vec![("csrf_token", self.token.as_str())];
        fields.extend(role);
        self.browser.post(&format!("/admin/users/{}/{path}", other.id), &fields).await
    }
}

/// Whether the act was done; fails where the answer is neither that nor a refusal.
fn done(page: &Page) -> bool {
    match page.status {
        200 | 204 => true,
        303 => !page.asks_to_sign_in(),
        401 | 403 | 409 => false,
        status => panic!("{}: {status} {}", page.path, page.excerpt()),
    }
}

async fn is_administrator(server: &TestServer, user: &User) -> bool {
    match lookup::by_id(&server.services.database, user.id).await {
        Ok(user) => user.role == Role::Admin && user.is_active(),
        Err(Error::NotFound) => false,
        Err(error) => panic!("{error}"),
    }
}

#[rstest]
#[tokio::test]
async fn of_two_who_demote_each_other_a_hundred_times_one_is_left_each_time(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
    #[values(Door::Page, Door::Api)] door: Door,
) {
    let server = TestServer::start(backend).await;
    let other_node = server.second_node().await;
    let keeper = lookup::find(&server.services.database, KEEPER).await.unwrap();
    let (mut one, mut two) = (Rival::of(keeper, &server).await, Rival::new("adele", &other_node).await);
    for round in 0..100 {
        let (first, second) = (one.user.clone(), two.user.clone());
        // Now and then neither goes on before both have come to tell the other nodes.
        let held = match (backend, round % 20) {
            (PostgresRedis, 0) => Some(HeldTable::new(&server.services.database, "changes").await),
            _ => None,
        };
        let meet = async {
            if let Some(held) = held {
                held.is_waited_for_by(2).await;
                held.release().await;
            }
        };
        let (a, b, ()) =
            join3(one.does(Removal::Demote, &second, door), two.does(Removal::Demote, &first, door), meet).await;
        let what = format!("round {round}: {} and {}", a.status, b.status);
        let refused = if done(&a) { &b } else { &a };
        assert!(done(&a) != done(&b) && matches!(refused.status, 403 | 409), "{what}");
        let left = (is_administrator(&server, &first).await, is_administrator(&server, &second).await);
        assert_eq!(left, (done(&a), done(&b)), "{what}");
        for user in [&first, &second] {
            let raised =
                user_acts::set_role(&server.services, &command_line(), user.id, Role::Admin, &Client::default()).await;
            assert_eq!(raised.unwrap().role, Role::Admin);
        }
    }
    // Nobody was signed out by any of it.
    assert!(one.browser.is_signed_in().await && two.browser.is_signed_in().await);
}

#[rstest]
#[tokio::test]
async fn of_two_who_demote_suspend_or_delete_each_other_one_is_left_each_time(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    let other_node = server.second_node().await;
    let mut former = vec![lookup::find(&server.services.database, KEEPER).await.unwrap()];
    let pairs = REMOVALS.iter().flat_map(|one| REMOVALS.iter().map(move |other| (*one, *other)));
    for (round, (first, second)) in pairs.cycle().take(27).enumerate() {
        let mut one = Rival::new(&format!("one{round}"), &server).await;
        let mut two = Rival::new(&format!("two{round}"), &other_node).await;
        for user in former.drain(..) {
            // None but these two.
            let demoted =
                user_acts::set_role(&server.services, &command_line(), user.id, Role::User, &Client::default()).await;
            assert!(matches!(demoted, Ok(_) | Err(Error::NotFound)), "{demoted:?}");
        }
        let (a, b) = (one.user.clone(), two.user.clone());
        let doors =
            [(Door::Page, Door::Page), (Door::Page, Door::Api), (Door::Api, Door::Api)][round / REMOVALS.len().pow(2)];
        let (of_one, of_two) = join(one.does(first, &b, doors.0), two.does(second, &a, doors.1)).await;
        let what = format!("round {round}, {first:?} and {second:?}: {} and {}", of_one.status, of_two.status);
        assert!(done(&of_one) != done(&of_two), "{what}");
        let left = (is_administrator(&server, &a).await, is_administrator(&server, &b).await);
        assert_eq!(left, (done(&of_one), done(&of_two)), "{what}");
        former.extend([a, b]);
    }
}

/// On a new installation, where the command line made one.
#[tokio::test]
async fn the_only_one_stays_also_before_it_has_chosen_a_password() {
    let program = Program::new();
    let create = ["user", "create", "boss", "--email", "boss@example.com", "--role", "admin", "--yes"];
    assert_eq!(program.run(&create).code, Some(0));
    for act in [&["set-role", "boss", "user", "--yes"][..], &["suspend", "boss", "--yes"], &["delete", "boss", "--yes"]]
    {
        let refused = program.run(&[&["user"], act].concat());
        assert_eq!(refused.code, Some(1), "{act:?}");
        assert!(refused.stderr.contains("last active administrator"), "{act:?}: {}", refused.stderr);
    }
}

#[rstest]
#[tokio::test]
async fn the_last_one_can_not_go_by_any_act(#[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend) {
    let server = TestServer::start(backend).await;
    let keeper = lookup::find(&server.services.database, KEEPER).await.unwrap();
    // One who is suspended is none.
    let away = server.create("adele", Role::Admin).await;
    user_acts::suspend(&server.services, &command_line(), away.id, &Client::default()).await.unwrap();
    let mut rival = Rival::of(keeper.clone(), &server).await;
    for act in REMOVALS {
        let answer = rival.does(act, &keeper, Door::Api).await.expect(409);
        assert_eq!(answer.json()["code"], "last_admin");
        let page = rival.does(act, &keeper, Door::Page).await.expect(409);
        assert!(page.text().contains("This is the last active administrator."), "{}", page.text());
        assert!(page.text().contains("Make another account administrator first."), "{}", page.text());
        assert!(page.title().starts_with("Error: "));
    }
    assert!(rival.browser.is_signed_in().await && is_administrator(&server, &keeper).await);
    // With another one they may.
    user_acts::reinstate(&server.services, &command_line(), away.id, &Client::default()).await.unwrap();
    assert!(done(&rival.does(Removal::Demote, &keeper, Door::Page).await));
}
