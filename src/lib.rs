//! Portcullis: a self-hosted sign-in server.
//!
//! One sign-in is one session record. The cookie carries its secret, tokens carry its id; ending the record ends
//! them all, on every node. SQL holds the truth, Redis (where there is one) a copy that requests ask.
//!
//! The layers, each calling only those after it:
//!
//! - [`cli`]: the command line; an edge like the next two, and what starts the server.
//! - [`startup`], [`routes`]: the server put together; every URL and who may call it.
//! - [`web`] (pages), [`api`] (JSON): the edges over HTTP. They extract, call a service and answer.
//! - [`http`]: what these two share: who is calling, from where, cookies, CSRF, headers, limits, problems.
//! - [`representations`]: accounts, sessions, events and keys as JSON, and the audit log as files, for all edges.
//! - [`services`]: one function for each thing that the server can do. The audit log is written here.
//! - [`storage`]: SQL and Redis. Rows in, domain types out.
//! - [`telemetry`], [`settings`]: logs, and what is counted; the one declaration of all settings.
//! - [`domain`]: types and rules. No web server, no database.
//!
//! `tests/portcullis/layers.rs` has the same as a table, and fails where a file imports from above.

pub mod api;
pub mod cli;
pub mod domain;
pub mod http;
pub mod representations;
pub mod routes;
pub mod services;
pub mod settings;
pub mod startup;
pub mod storage;
pub mod telemetry;
pub mod web;
