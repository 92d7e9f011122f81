//! Portcullis: a self-hosted sign-in server.
//!
//! One sign-in is one session record. The cookie carries its secret, tokens carry its id; ending the record ends
//! them all, on every node. SQL holds the truth, Redis (where there is one) a copy that each request asks.
//!
//! The layers, each calling only those after it:
//!
//! - [`startup`], [`routes`]: the server put together; every URL and who may call it.
//! - [`web`] (pages), [`api`] (JSON), [`cli`]: the edges. They extract, call a service and answer. [`representations`]: what the
//!   last two show of accounts and sessions.
//! - [`http`]: what the edges share: who is calling, from where, cookies, CSRF, headers, limits, problems.
//! - [`services`]: one function for each thing that the server can do. The audit log is written here.
//! - [`storage`]: SQL and Redis. Rows in, domain types out.
//! - [`domain`]: types and rules. No web server, no database.
//! - [`settings`], [`telemetry`]: the one declaration of all settings; logs.

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
