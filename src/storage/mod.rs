//! SQL and Redis: rows and records in, domain types out. Plain query functions over a connection.
//!
//! The rooms are those of [`crate::services`], in the same order; what stands beside them is how a database is reached, and
//! what more than one of them asks of it.

pub mod accounts;
pub mod administration;
mod any_connection;
pub mod audit;
pub mod authentication;
pub mod database;
pub mod database_time;
mod functions;
pub mod installation;
pub mod leases;
mod migrations;
mod open_error;
mod pool;
pub mod postgres;
pub mod readiness;
pub mod schema;
pub mod sessions;
mod sqlite_file;
mod text_search;
pub mod types;

pub use database::Database;

use crate::domain::Error;

/// What a query gives back, or why it could not be answered.
pub type Result<T> = std::result::Result<T, Error>;
