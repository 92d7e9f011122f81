//! Many people at once: who is signed in, and what must never work again.

use std::time::Duration;

use portcullis::domain::audit::Client;
use portcullis::services::accounts::lookup;
use portcullis::services::administration::user_acts;
use portcullis::services::sessions::{account, everyone};

use super::spawn::command_line;
use super::{Browser, Deadline, TestServer};

/// People who are signed in, and cookies that must never work again.
#[derive(Default)]
pub struct Crowd {
    people: Vec<Person>,
    /// Who has another password by now, and stays.
    settled: Vec<Person>,
    ended: Vec<(String, Browser)>,
}

impl Crowd {
    /// Signs so many people in, each on the node whose turn it is, and lets each visit every node: copies everywhere.
    pub async fn gather(nodes: &[&TestServer], count: usize) -> Self {
        let mut crowd = Self::default();
        crowd.join(nodes, count, 0).await;
        crowd
    }

    /// So many more, whose names tell the round.
    pub async fn join(&mut self, nodes: &[&TestServer], count: usize, round: usize) {
        for number in 0..count {
            let name = format!("person{round}x{number}");
            let node = nodes[number % nodes.len()];
            node.create_user(&name).await;
            let mut browser = nodes[0].browser().at(node);
            browser.sign_in(&name).await;
            self.people.push(Person { name, browser });
        }
        self.all_visit(nodes).await;
    }

    /// Everyone looks at a page on every node, so that Redis has copies.
    async fn all_visit(&mut self, nodes: &[&TestServer]) {
        for person in &mut self.people {
            for node in nodes {
                person.browser.go_to(node);
                assert!(person.browser.is_signed_in().await, "{}", person.name);
            }
        }
    }

    /// Ends so many sessions in all the ways there are, on each node by turns.
    pub async fn end(&mut self, nodes: &[&TestServer], count: usize) {
        let (auth, client) = (command_line(), Client::default());
        for number in 0..count {
            let node = nodes[number % nodes.len()];
            let mut person = self.people.remove(0);
            person.browser.go_to(node);
            let before = person.browser.clone();
            let user = lookup::find(&node.services.database, &person.name).await.unwrap().id;
            let how =
                ["sign-out", "suspension", "password", "one by an administrator", "all of the account"][number % 5];
            match number % 5 {
                0 => {
                    person.browser.sign_out().await;
                }
                1 => {
                    user_acts::suspend(&node.services, &auth, user, &client).await.unwrap();
                }
                2 => {
                    person.browser.change_password().await;
                }
                3 => {
                    let sessions = account::live(&node.services, user, 10).await.unwrap().0;
                    for session in sessions {
                        everyone::end_one(&node.services, &auth, session.id, &client).await.unwrap();
                    }
                }
                _ => {
                    everyone::end_of_account(&node.services, &auth, user, &client).await.unwrap();
                }
            }
            self.ended.push((format!("{} ({how})", person.name), before));
            if number % 5 == 2 {
                // The session that changed its password lives on, with a new secret.
                self.settled.push(person);
            }
        }
    }

    /// Waits until no node repeats on its Redis what was ended so far: the feed is read ten seconds back, by the
    /// database's clock. From then on only what a node believes keeps old copies out.
    pub async fn be_forgotten_by_the_feed(&self) {
        tokio::time::sleep(Duration::from_millis(10_500)).await;
    }

    /// Waits until what has ended has ended everywhere, which takes a second at most.
    pub async fn is_known_to_have_ended(&self, nodes: &[&TestServer]) {
        let second = Deadline::second();
        for (name, browser) in &self.ended {
            for node in nodes {
                let mut thief = browser.with_cookie(&browser.cookie().unwrap()).at(node);
                second.expect_soon(&format!("{name} has ended"), async || !thief.is_signed_in().await).await;
            }
        }
    }

    /// Nothing that ended works, and everyone else is signed in, on each node; asked twice, for the first answer may
    /// have made a copy that the second believes.
    pub async fn judge(&mut self, nodes: &[&TestServer], what: &str) {
        for round in 1..=2 {
            for node in nodes {
                for (name, browser) in &self.ended {
                    let mut thief = browser.with_cookie(&browser.cookie().unwrap()).at(node);
                    assert!(!thief.is_signed_in().await, "{what}, round {round}: {name} is back");
                }
                for person in self.people.iter_mut().chain(&mut self.settled) {
                    person.browser.go_to(node);
                    let signed_in = person.browser.is_signed_in().await;
                    assert!(signed_in, "{what}, round {round}: {} was signed out", person.name);
                }
            }
        }
    }
}

struct Person {
    name: String,
    browser: Browser,
}
