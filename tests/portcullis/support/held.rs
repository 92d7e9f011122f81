//! What two transactions do to each other, one step at a time: one is held up, on PostgreSQL, until the other has come
//! to where it waits too.

use std::sync::mpsc;
use std::time::Duration;

use diesel::RunQueryDsl as _;
use diesel::sql_types::BigInt;
use portcullis::domain::Error;
use portcullis::storage::Database;
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
        let writer = database.clone().patient();
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
        Self { release, holder, database: database.clone() }
    }

    /// Waits until so many transactions wait, for this table or for one another.
    pub async fn is_waited_for_by(&self, count: i64) {
        let ask = async || self.database.read(waiting).await.expect("an answer") == count;
        eventually(&format!("{count} wait"), Duration::from_secs(3), ask).await;
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
