//! What is done about each error of PostgreSQL: one function from its SQLSTATE. `docs/postgresql-errors.md` is the same
//! as a table, for operators.

use diesel::result::{DatabaseErrorInformation, DatabaseErrorKind, Error as QueryError};
use tokio_postgres::error::{DbError, Error, SqlState};

use super::super::open_error::OpenError;

/// What helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// This server, or what we keep of it, is no longer good: all connections are thrown away and made anew, the name
    /// resolved again. A transaction that was not being committed is made once more on the new one.
    ConnectAnew,
    /// Another transaction was in the way: the same transaction once more, within the deadline of who waits for it.
    TryAgain,
    /// Nothing that this program can do: 503, and the log says what PostgreSQL said.
    TellOperator,
    /// What was asked can't be answered by any server: 500.
    OurFault,
}

impl Remedy {
    /// For every SQLSTATE, also one that no PostgreSQL of today has.
    pub fn of(code: &str) -> Self {
        let (class, _) = code.split_at_checked(2).unwrap_or((code, ""));
        match (class, code) {
            // "Cached plan must not change result type": another version has migrated the database meanwhile.
            (_, "0A000") => Self::ConnectAnew,
            // A pooler gave us a session that is not the one in which we prepared.
            (_, "26000" | "42P05") => Self::ConnectAnew,
            // Read only: a standby now, or fenced. The others are ends of one session.
            (_, "25006" | "25P03" | "25P04") => Self::ConnectAnew,
            (_, "40003") => Self::ConnectAnew,
            (_, "53300") => Self::ConnectAnew,
            (_, "40002") => Self::OurFault,
            (_, "55P03" | "55006") => Self::TryAgain,
            (_, "55P04") => Self::OurFault,
            // Someone has changed the schema, or what we may do in it.
            (_, "42501" | "42P01" | "42703" | "42704" | "42883") => Self::TellOperator,
            // A statement took longer than it may, or someone has cancelled it.
            (_, "57014") => Self::TellOperator,
            (_, "0P000" | "22P05") => Self::TellOperator,
            ("08" | "57", _) => Self::ConnectAnew,
            ("40" | "72", _) => Self::TryAgain,
            (
                "00" | "01" | "02" | "03" | "0A" | "0B" | "0F" | "0L" | "0P" | "0Z" | "10" | "20" | "21" | "22" | "23"
                | "24" | "25" | "26" | "27" | "2B" | "2D" | "2F" | "34" | "3B" | "42" | "44" | "54",
                _,
            ) => Self::OurFault,
            // 09, 28, 38, 39, 3D, 3F, 53, 55, 58, F0, HV, P0, XX, and what else a pooler or an extension may say.
            _ => Self::TellOperator,
        }
    }

    /// A connection that ends without a word counts as an end of the server.
    pub(super) fn of_error(error: &Error) -> Self {
        error.code().map_or(Self::ConnectAnew, |code| Self::of(code.code()))
    }
}

/// The error as Diesel has it. Its text ends with the SQLSTATE.
pub(super) fn query_error(error: &Error) -> QueryError {
    let Some(cause) = error.as_db_error() else {
        let kind = if error.is_closed() {
            DatabaseErrorKind::ClosedConnection
        } else {
            DatabaseErrorKind::UnableToSendCommand
        };
        return QueryError::DatabaseError(kind, Box::new(text(error)));
    };
    let kind = match *cause.code() {
        SqlState::UNIQUE_VIOLATION => DatabaseErrorKind::UniqueViolation,
        SqlState::FOREIGN_KEY_VIOLATION => DatabaseErrorKind::ForeignKeyViolation,
        SqlState::RESTRICT_VIOLATION => DatabaseErrorKind::RestrictViolation,
        SqlState::EXCLUSION_VIOLATION => DatabaseErrorKind::ExclusionViolation,
        SqlState::T_R_SERIALIZATION_FAILURE => DatabaseErrorKind::SerializationFailure,
        SqlState::READ_ONLY_SQL_TRANSACTION => DatabaseErrorKind::ReadOnlyTransaction,
        SqlState::NOT_NULL_VIOLATION => DatabaseErrorKind::NotNullViolation,
        SqlState::CHECK_VIOLATION => DatabaseErrorKind::CheckViolation,
        _ => DatabaseErrorKind::Unknown,
    };
    let message = format!("{} (SQLSTATE {})", cause.message(), cause.code().code());
    QueryError::DatabaseError(kind, Box::new(Information { message, cause: cause.clone() }))
}

/// The same, at the start.
pub(super) fn failed(error: &(dyn std::error::Error + 'static)) -> OpenError {
    OpenError::Unreachable(text(error))
}

/// With its causes: tokio-postgres says "error connecting to server" and keeps the reason in the source.
pub(super) fn text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

struct Information {
    message: String,
    cause: DbError,
}

impl DatabaseErrorInformation for Information {
    fn message(&self) -> &str {
        &self.message
    }

    fn details(&self) -> Option<&str> {
        self.cause.detail()
    }

    fn hint(&self) -> Option<&str> {
        self.cause.hint()
    }

    fn table_name(&self) -> Option<&str> {
        self.cause.table()
    }

    fn column_name(&self) -> Option<&str> {
        self.cause.column()
    }

    fn constraint_name(&self) -> Option<&str> {
        self.cause.constraint()
    }

    fn statement_position(&self) -> Option<i32> {
        None
    }
}
