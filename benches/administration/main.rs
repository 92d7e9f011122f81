//! Whether the pages of administrators, and the lists of the API, are as fast with a million sessions as with a thousand.
//!
//! ```console
//! $ benches/run.sh                     # everything: some minutes for each pair of stores
//! $ cargo bench --bench administration -- --backend sqlite
//! ```
//!
//! For each backend two production servers are started in this process, on a small and on a large instance
//! ([`seed`]), and asked for the same by turns ([`calls`], [`measure`]). Half of the answers of the large one may take
//! no longer than one and a half times what half of those of the small one take, and 20 ms. A call that takes longer
//! makes the exit status 1.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark fails by panicking")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints what it measured")]

mod acts;
mod calls;
mod instance;
mod measure;
mod people;
mod seed;
mod sql;
#[path = "../../tests/portcullis/support/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the tests use the rest")]
mod support;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::instance::Instance;
use crate::seed::Size;
use crate::support::Backend;

const SMALL: Size = Size { users: 100, sessions: 1_000, events: 2_000 };

/// Measures the pages of administrators on a small and on a large instance.
#[derive(Parser)]
struct Options {
    /// Only this one.
    #[arg(long, value_enum)]
    backend: Option<Choice>,
    /// Of the large instance, as the next two.
    #[arg(long, default_value_t = 100_000)]
    users: u64,
    #[arg(long, default_value_t = 1_000_000)]
    sessions: u64,
    #[arg(long, default_value_t = 2_000_000)]
    events: u64,
    /// Only calls whose path contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Keeps the data here for the next time, which takes it as it is. Nothing is ended then.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// What `cargo bench` adds.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Choice {
    Sqlite,
    /// With Redis.
    Postgres,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let mut over = 0;
    for (choice, backend) in [(Choice::Sqlite, Backend::Sqlite), (Choice::Postgres, Backend::PostgresRedis)] {
        if options.backend.is_none_or(|only| only == choice) {
            over += measure(backend, &options).await;
        }
    }
    if over == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Says how many calls take too long.
async fn measure(backend: Backend, options: &Options) -> usize {
    let Options { users, sessions, events, .. } = *options;
    let keep = options.keep.as_deref();
    eprintln!("{backend:?}, small");
    let mut small = Instance::start(backend, "small", SMALL, keep).await;
    eprintln!("{backend:?}, large");
    let mut large = Instance::start(backend, "large", Size { users, sessions, events }, keep).await;

    println!("\n## {backend:?}: {users} users, {sessions} sessions, {events} events\n");
    let over = measure::compare(&mut small, &mut large, &options.only).await;
    println!();
    acts::export(&large).await;
    if keep.is_none() {
        println!("- The first sweep of what has expired and what is old: {:.1} s.", large.sweep.as_secs_f64());
        acts::end_of_one(&mut large).await;
        acts::end_of_all(&mut large).await;
    }
    over
}
