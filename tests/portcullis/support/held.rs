//! What several do to each other, one step at a time: one is held up until the others have come to where they wait too.
//! Transactions meet on PostgreSQL, by [`HeldTable`]; comparisons of passwords on every backend, by [`HeldHasher`].

use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use diesel::sql_types::BigInt;
use diesel::{QueryDsl as _, RunQueryDsl as _};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use portcullis::domain::Error;
use portcullis::services::Services;
use portcullis::storage::Database;
use portcullis::storage::schema::lockouts;
use tokio::task::JoinHandle;

use super::eventually;

/// A table to which nobody can write.
pub struct HeldTable {
    release: mpsc::Sender<()>,
    holder: JoinHandle<Result<(), Error>>,
    database: Database,
}

impl HeldTable {
    pub async fn new(database: &Database, table: &'static str) -> Self {
        let (entered, held) = tokio::sync::oneshot::channel();
        let mut entered = Some(entered);
        let (release, released) = mpsc::channel();
        let writer = database.clone().with_long_timeout();
        let holder = tokio::spawn(async move {
            let hold = writer.write(move |connection| {
                diesel::sql_query(format!("LOCK TABLE {table} IN SHARE MODE")).execute(connection)?;
                let _ = entered.take().map(|entered| entered.send(()));
                let _ = released.recv();
                Ok(())
            });
            hold.await
        });
        held.await.expect("the table is locked");
        Self { release, holder, database: database.clone().with_long_timeout() }
    }

    /// Waits until so many transactions wait, for this table or for one another.
    pub async fn is_waited_for_by(&self, count: i64) {
        let ask = async || self.database.read(waiting).await.expect("an answer") == count;
        eventually(&format!("{count} wait"), Duration::from_secs(20), ask).await;
    }

    /// Lets them go on.
    pub async fn release(self) {
        let _ = self.release.send(());
        self.holder.await.expect("no panic").expect("the table was locked");
    }
}

#[derive(diesel::QueryableByName)]
struct Waiting {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

fn waiting(connection: &mut portcullis::storage::database::AnyConnection) -> Result<i64, Error> {
    let query = "SELECT count(*) AS count FROM pg_stat_activity \
                 WHERE datname = current_database() AND wait_event_type = 'Lock'";
    Ok(diesel::sql_query(query).get_result::<Waiting>(connection)?.count)
}

/// What a node that is to be held by a [`HeldHasher`] is set to.
pub const ONE_HASHER: (&str, &str) = ("hash_concurrency", "1");

/// The one thread of a node that hashes, kept from it: who has told a password waits, having read the account. It goes
/// on when this is dropped.
pub struct HeldHasher {
    services: Services,
    waiting: Vec<BoxFuture<'static, Result<(), Error>>>,
    _release: mpsc::Sender<()>,
}

impl HeldHasher {
    pub async fn new(services: &Services) -> Self {
        assert_eq!(services.settings.hash_concurrency, 1, "set it to ONE_HASHER");
        let (entered, held) = tokio::sync::oneshot::channel();
        let (release, released) = mpsc::channel::<()>();
        let hasher = services.hasher.clone();
        let hold = async move {
            let wait = move || {
                let _ = entered.send(());
                let _ = released.recv();
            };
            hasher.run(wait).await
        };
        tokio::spawn(hold);
        held.await.expect("the thread is held");
        Self { services: services.clone(), waiting: Vec::new(), _release: release }
    }

    /// Takes all places of the queue, so that whoever comes from now on is refused.
    pub fn fill(&mut self) {
        loop {
            let hasher = self.services.hasher.clone();
            let mut job = async move { hasher.run(|| ()).await }.boxed();
            // It is in the queue from the first time that it is asked.
            match job.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Pending => self.waiting.push(job),
                Poll::Ready(Err(Error::Busy)) => return,
                Poll::Ready(outcome) => panic!("the thread is not held: {outcome:?}"),
            }
        }
    }

    /// Waits until there are so many guesses that were let through and not compared yet. Each has read the account.
    pub async fn is_waited_for_by(&self, count: i64) {
        eventually(&format!("{count} wait"), Duration::from_secs(20), async || guesses(&self.services).await == count)
            .await;
    }
}

/// How many guesses are under way.
pub async fn guesses(services: &Services) -> i64 {
    let pending = |connection: &mut _| Ok(lockouts::table.select(lockouts::pending).load::<i64>(connection)?);
    services.database.clone().with_long_timeout().read(pending).await.expect("an answer").into_iter().sum()
}
