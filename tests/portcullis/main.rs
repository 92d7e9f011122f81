//! Black-box tests: the production server, real stores, actors who use it.
//!
//! - [`support`]: the server under test, its stores, and who uses it: `Browser`, `Chromium`, the binary itself.
//! - The other modules: a file per feature. A test is named by the sentence that it shows.
//!
//! `tests/run.sh` brings what the tests need. A test whose store or browser is missing fails and says so.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "the test harness keeps it")]

mod support;

mod access;
mod admin_audit;
mod admin_journey;
mod admin_rules;
mod admin_sessions;
mod admin_users;
mod api;
mod api_access;
mod api_admin;
mod api_document;
mod architecture;
mod as_typed;
mod audit_export;
mod audit_filter;
mod audit_trail;
mod cases;
mod client_address;
mod command_line;
mod conformance;
mod connection_strings;
mod cookies;
mod dashboard;
mod database_schema;
mod ends;
mod ends_of_tokens;
mod first_run;
mod flood;
mod foreign_clients;
mod forgery;
mod forms;
mod found_as_typed;
mod headers;
mod held_requests;
mod histories;
mod hostile_input;
mod journey;
mod killed;
mod last_administrator;
mod layers;
mod limits;
mod links;
mod listen;
mod lockout;
mod maintenance;
mod many_sessions;
mod matrix;
mod metrics;
mod output;
mod pages;
mod passwords;
mod places;
mod postgres_errors;
mod postgres_failover;
mod postgres_pooler;
mod postgres_settings;
mod protocol_model;
mod readiness;
mod readme;
mod reads;
mod redis;
mod redis_errors;
mod redis_failover;
mod redis_memory;
mod redis_switch;
mod refresh;
mod remembered;
mod repeats;
mod roll_out;
mod schemathesis;
mod sessions;
mod settings;
mod shared_limits;
mod sign_in;
mod sign_out;
mod slow_clients;
mod stale_forms;
mod static_files;
mod stores_down;
mod transfer;
mod two_clocks;
mod typed_forms;
