//! Histories: many clients on two nodes do all that changes who is signed in, while the stores, the nodes and the lines
//! between them fail. Each request and its answer is recorded; then the [checker](check) judges.
//!
//! - [`act`]: a history, made of a seed. [`shrink`]: the shortest that still fails.
//! - [`cluster`]: the servers, and what is done to them. [`scene`], [`browser`], [`program`]: who asks. [`run`]: all at once.
//! - [`record`]: what was seen. [`check`]: what must hold of it.
//!
//! `TEST_SEED=<n>` runs one history again, a few times, for chance has its part in it; `TEST_LONG` runs a thousand of each
//! pair of stores, which is an hour.

mod act;
mod browser;
mod check;
mod cluster;
mod patches;
mod program;
mod record;
mod run;
mod scene;
mod shrink;

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rstest::rstest;

use self::act::History;
use self::check::{check, count_revoked};
use self::cluster::Cluster;
use self::record::Record;
use crate::support::stores::Backend;
use crate::support::{PostgresRedis, Sqlite, SqliteRedis, long};

/// At the same time, each on a cluster of its own: most of a history is waiting.
const AT_ONCE: u64 = 4;
/// So often a history is run before it is believed to hold, where it has failed before.
const TRIES: usize = 4;
/// What is spent on making a failure short.
const PATIENCE: Duration = Duration::from_secs(120);

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_every_history_what_ended_is_dead_and_nobody_else_is_signed_out(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let count = if long() { 1000 } else { 30 };
    match std::env::var("TEST_SEED") {
        Ok(seed) => {
            let seed = seed.parse().expect("TEST_SEED is a number");
            run_seeds(backend, vec![seed; 2 * TRIES]).await;
        }
        Err(_) => {
            let each = (0..AT_ONCE).map(|first| run_seeds(backend, (first..count).step_by(AT_ONCE as usize).collect()));
            let revoked: usize = join_all(each).await.into_iter().sum();
            println!("{backend:?}: {revoked} requests have shown what had ended");
            assert!(revoked as u64 > count, "nothing was shown");
        }
    }
}

/// One after the other; says how many requests have shown what had ended.
async fn run_seeds(backend: Backend, seeds: Vec<u64>) -> usize {
    let cluster = Cluster::new(backend).await;
    let mut revoked = 0;
    for seed in seeds {
        let history = History::of(seed, backend, long());
        let record = run::run(&cluster, &history).await;
        if !check(&record).is_empty() {
            fail(&cluster, history, record).await;
        } else {
            revoked += count_revoked(&record);
        }
    }
    revoked
}

/// Makes it as short as it gets, and tells.
async fn fail(cluster: &Cluster, history: History, record: Record) {
    let (seed, start) = (history.seed, Instant::now());
    // In the log of who waits for the short one.
    println!("{:?}, TEST_SEED={seed}:\n{}", cluster.backend, told(&record));
    let mut last = record;
    let shortest = shrink::shrink(history, async |shorter| {
        for _ in 0..TRIES {
            if start.elapsed() > PATIENCE {
                return false;
            }
            let record = run::run(cluster, shorter).await;
            if !check(&record).is_empty() {
                last = record;
                return true;
            }
        }
        false
    })
    .await;
    panic!("on {:?}, TEST_SEED={seed}, this history fails:\n{shortest}\n{}", cluster.backend, told(&last));
}

/// The violations, and all that happened.
fn told(record: &Record) -> String {
    let mut lines = Vec::new();
    for violation in check(record) {
        lines.push(format!("{:?}", violation.rule));
        let places = [Some(violation.shown_by), violation.against];
        lines.extend(places.into_iter().flatten().map(|place| format!("    {}", record.entries[place])));
    }
    let entries = record.entries.iter().map(|entry| (entry.began, entry.to_string()));
    let faults = record.faults.iter().map(|(at, what)| (*at, format!("{:>6} ms: {what}", at.as_millis())));
    let mut all: Vec<_> = entries.chain(faults).collect();
    all.sort_by_key(|(at, _)| *at);
    lines.extend(all.into_iter().map(|(_, line)| line));
    lines.join("\n")
}
