//! Many rows at once, in the words of either database. Blocks.

use std::fmt::Write as _;

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, SqliteConnection};
use portcullis::domain::Timestamp;
use tokio::runtime::Runtime;
use uuid::Uuid;

/// Rows in one statement: more are not faster.
const ROWS: usize = 500;

/// A connection of its own to a server's database, so that those of the server stay as they are.
pub enum Connection {
    Sqlite(SqliteConnection),
    Postgres(tokio_postgres::Client, Runtime),
}

impl Connection {
    pub fn open(url: &str) -> Self {
        if let Some(path) = url.strip_prefix("sqlite://") {
            let mut connection = Self::Sqlite(SqliteConnection::establish(path).expect("the SQLite file"));
            connection.execute("PRAGMA busy_timeout = 60000; PRAGMA synchronous = OFF; PRAGMA cache_size = -1000000");
            return connection;
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let connected = runtime.block_on(tokio_postgres::connect(url, tokio_postgres::NoTls));
        let (client, connection) = connected.expect("PostgreSQL");
        runtime.spawn(connection);
        Self::Postgres(client, runtime)
    }

    pub fn execute(&mut self, sql: &str) {
        let failed = |error: String| panic!("{error}: {}", sql.chars().take(300).collect::<String>());
        match self {
            Self::Sqlite(connection) => connection.batch_execute(sql).unwrap_or_else(|error| failed(error.to_string())),
            Self::Postgres(client, runtime) => {
                runtime.block_on(client.batch_execute(sql)).unwrap_or_else(|error| failed(error.to_string()));
            }
        }
    }

    /// Lets the database settle as it does by itself in time.
    pub fn settle(&mut self) {
        self.execute(match self {
            // The autovacuum. SQLite knows no statistics, for the server never asks it to make any.
            Self::Postgres(..) => "VACUUM ANALYZE",
            Self::Sqlite(_) => "PRAGMA wal_checkpoint(TRUNCATE)",
        });
    }
}

/// A value of a row.
#[derive(Clone, Copy)]
pub enum Cell<'a> {
    Null,
    Id(Uuid),
    Text(&'a str),
    Number(i64),
    Moment(Timestamp),
    Bytes(&'a [u8]),
    Flag(bool),
}

impl Cell<'_> {
    /// The cell of a value that may be absent.
    pub fn of<T>(value: Option<T>, cell: impl FnOnce(T) -> Self) -> Self {
        value.map_or(Self::Null, cell)
    }
}

/// Inserts into one table, in one transaction.
pub struct Rows<'c> {
    connection: &'c mut Connection,
    head: String,
    statement: String,
    waiting: usize,
}

impl<'c> Rows<'c> {
    /// `columns` as they stand between the brackets of an `INSERT`.
    pub fn of(connection: &'c mut Connection, table: &str, columns: &str) -> Self {
        connection.execute("BEGIN");
        let head = format!("INSERT INTO {table} ({columns}) VALUES ");
        Self { connection, statement: head.clone(), head, waiting: 0 }
    }

    pub fn add(&mut self, cells: &[Cell<'_>]) {
        let postgres = matches!(self.connection, Connection::Postgres(..));
        self.statement.push_str(if self.waiting == 0 { "(" } else { ",(" });
        for (index, cell) in cells.iter().enumerate() {
            if index > 0 {
                self.statement.push(',');
            }
            literal(&mut self.statement, *cell, postgres).expect("a String takes everything");
        }
        self.statement.push(')');
        self.waiting += 1;
        if self.waiting == ROWS {
            self.send();
        }
    }

    /// Writes what is left and commits.
    pub fn finish(mut self) {
        if self.waiting > 0 {
            self.send();
        }
        self.connection.execute("COMMIT");
    }

    fn send(&mut self) {
        self.connection.execute(&self.statement);
        self.statement.clone_from(&self.head);
        self.waiting = 0;
    }
}

fn literal(sql: &mut String, cell: Cell<'_>, postgres: bool) -> std::fmt::Result {
    match cell {
        Cell::Null => write!(sql, "NULL"),
        Cell::Number(number) => write!(sql, "{number}"),
        Cell::Flag(flag) => write!(sql, "{flag}"),
        Cell::Text(text) => write!(sql, "'{}'", text.replace('\'', "''")),
        Cell::Id(id) if postgres => write!(sql, "'{id}'"),
        Cell::Id(id) => write!(sql, "x'{}'", id.simple()),
        Cell::Moment(at) if postgres => write!(sql, "'{}'", at.to_rfc3339()),
        Cell::Moment(at) => write!(sql, "{}", at.timestamp_millis()),
        Cell::Bytes(bytes) => {
            sql.push_str(if postgres { "'\\x" } else { "x'" });
            bytes.iter().try_for_each(|byte| write!(sql, "{byte:02x}"))?;
            write!(sql, "'")
        }
    }
}
