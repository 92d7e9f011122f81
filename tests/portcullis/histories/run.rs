//! A history takes place: everyone does their part at the same time, and watchers use all that was ever given, whether it
//! shall be good or not.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::{join, join_all};
use portcullis::domain::Role;
use reqwest::Method;
use tokio::time::{sleep, sleep_until};

use super::act::{ACCOUNTS, Act, CLIENTS, Device, Dice, Fault, History, KEEPERS_ACCOUNT, Step};
use super::browser::Browser;
use super::cluster::Cluster;
use super::program::Program;
use super::record::{Account, Answer, Credential, Entry, Held, Kind, Record, Value};
use super::scene::{Scene, Sent, verdict};
use crate::support::Page;

/// From one use of what was given to the next, of each account.
const PACE: Duration = Duration::from_millis(40);
/// Until somebody tries again who was not answered.
const AGAIN: Duration = Duration::from_millis(300);
/// After which the other node must have heard of everything.
const SECOND: Duration = Duration::from_millis(1050);

/// Runs it, and says what was asked and answered.
pub async fn run(cluster: &Cluster, history: &History) -> Record {
    let scene = Scene::new(cluster).await;
    let over = AtomicBool::new(false);
    let start = Instant::now();
    let clients = (0..CLIENTS.len()).map(|client| run_client(&scene, history, client, start));
    let acts = async {
        join(join(join_all(clients), run_keeper(&scene, history, start)), run_faults(&scene, history, start)).await;
        over.store(true, Ordering::SeqCst);
    };
    let watchers = (0..ACCOUNTS).map(|account| watch(&scene, Account(account), history.seed, &over));
    join(acts, join_all(watchers)).await;
    judge(&scene, history).await;
    scene.recorder.finish()
}

async fn reach(start: Instant, at: u64) {
    sleep_until((start + Duration::from_millis(at)).into()).await;
}

async fn run_client(scene: &Scene<'_>, history: &History, number: usize, start: Instant) {
    let (account, device) = CLIENTS[number];
    let what = format!("{device:?} {number} of account {}", account.0);
    let mut browser = Browser::new(scene, account, what.clone());
    let mut program = Program::new(scene, account, what);
    for (at, step) in &history.steps {
        let Step::Client { client, node, act } = *step else { continue };
        if client == number {
            reach(start, *at).await;
            match device {
                Device::Browser => browser.act(act, node).await,
                Device::Program => program.act(act, node).await,
            }
        }
    }
}

async fn run_keeper(scene: &Scene<'_>, history: &History, start: Instant) {
    let mut keeper = Program::new(scene, KEEPERS_ACCOUNT, "The keeper".to_owned());
    keeper.sign_in(0).await;
    for (at, step) in &history.steps {
        if let Step::Keeper { node, act } = *step {
            reach(start, *at).await;
            keeper.administer(act, node).await;
        }
    }
}

async fn run_faults(scene: &Scene<'_>, history: &History, start: Instant) {
    for (at, step) in &history.steps {
        if let Step::Fault(fault) = *step {
            reach(start, *at).await;
            scene.cluster.inflict(fault, &scene.recorder).await;
        }
    }
}

/// Uses one thing after the other that was given to the account, on one node or the other.
async fn watch(scene: &Scene<'_>, account: Account, seed: u64, over: &AtomicBool) {
    let mut dice = Dice(seed ^ account.0 as u64);
    while !over.load(Ordering::SeqCst) {
        let given: Vec<_> = usable(scene).into_iter().filter(|(_, held, _)| held.account == account).collect();
        if !given.is_empty() {
            let (credential, held, text) = &given[dice.below(given.len() as u64) as usize];
            look(scene, *credential, *held, text, dice.node(), Answer::Unknown).await;
        }
        sleep(PACE).await;
    }
}

/// All that is used by being looked with: a refresh token would be used up.
fn usable(scene: &Scene<'_>) -> Vec<(Credential, Held, String)> {
    scene.recorder.given().into_iter().filter(|(_, held, _)| held.kind != Kind::RefreshToken).collect()
}

/// Whether it opens something, and for whom. `unanswered` is what it comes to where that is not said.
async fn look(
    scene: &Scene<'_>,
    credential: Credential,
    held: Held,
    text: &str,
    node: usize,
    unanswered: Answer,
) -> Answer {
    let what = format!("somebody with {:?} {} of session {}", held.kind, credential.0, held.session.0);
    let entry = Entry { shows: Some(credential), answer: unanswered, ..Entry::of(what, node) };
    let said = |page: &Page, done| match verdict(page, &[done]) {
        Answer::Unknown => unanswered,
        answer => answer,
    };
    if held.kind == Kind::Cookie {
        let sent = Sent { cookie: Some(text), ..Sent::default() };
        // From here one is led to the account, or to the sign-in.
        return scene.ask(Method::GET, "/", sent, entry, |entry, page| entry.answer = said(page, 303)).await.0;
    }
    let sent = Sent { bearer: Some(text), ..Sent::default() };
    let judge = |entry: &mut Entry, page: &Page| {
        entry.answer = said(page, 200);
        if entry.answer == Answer::Done {
            let role = page.json()["role"].as_str().and_then(|role| role.parse::<Role>().ok());
            entry.sees = role.map(|role| (held.account, Value::Role(role)));
        }
    };
    scene.ask(Method::GET, "/api/v1/me", sent, entry, judge).await.0
}

/// The same when all is well: what is not answered at last is a fault.
async fn look_well(scene: &Scene<'_>, credential: Credential, held: Held, text: &str, node: usize) {
    for _ in 0..10 {
        if look(scene, credential, held, text, node, Answer::Unknown).await != Answer::Unknown {
            return;
        }
        sleep(AGAIN).await;
    }
    look(scene, credential, held, text, node, Answer::Broken).await;
}

/// When all is well again: what ended does not work, what was acknowledged is there.
async fn judge(scene: &Scene<'_>, history: &History) {
    if history.ends_with_a_restart {
        scene.cluster.restart_all(&scene.recorder).await;
    }
    scene.cluster.recover().await;
    if let Some(last) = scene.recorder.last_revocation() {
        sleep_until((last + SECOND).into()).await;
    }
    let given = usable(scene);
    for node in 0..2 {
        join_all(given.iter().map(|(credential, held, text)| look_well(scene, *credential, *held, text, node))).await;
    }
    for number in 0..ACCOUNTS {
        let account = Account(number);
        let mut program = Program::new(scene, account, format!("A new program of account {number}"));
        for _ in scene.possible_passwords(account) {
            program.act(Act::SignIn { twice: false }, number % 2).await;
        }
        program.act(Act::Use, 1 - number % 2).await;
    }
    // Its fault is no other history's.
    scene.cluster.inflict(Fault::FlushScripts, &scene.recorder).await;
}
