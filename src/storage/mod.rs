//! SQL and Redis: rows and records in, domain types out. Plain query functions over a connection.

mod any_connection;
pub mod audit;
pub mod audit_search;
pub mod database;
pub mod failing_addresses;
pub mod former_usernames;
mod functions;
pub mod installation;
pub mod leases;
pub mod links;
pub mod lockouts;
mod migrations;
mod open_error;
mod pool;
pub mod postgres;
pub mod readiness;
pub mod schema;
pub mod sessions;
pub mod signing_keys;
pub mod stats;
pub mod types;
pub mod user_search;
pub mod users;

pub use database::Database;
