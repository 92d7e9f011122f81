//! What takes long by its nature: told, not judged.

use std::cell::Cell;
use std::time::{Duration, Instant};

use portcullis::services::sessions::counts;

use crate::instance::{Instance, VISITOR};
use crate::measure::{Percentiles, millis};
use crate::support::spawn::command_line;
use crate::support::{Browser, PASSWORD};

/// An export of the whole audit log: how fast it comes, and what it costs in memory.
pub async fn export(instance: &Instance) {
    let before = resident();
    let start = Instant::now();
    let url = format!("http://{}/admin/audit/export?format=csv", instance.server.address);
    let client = reqwest::Client::builder().no_proxy().build().expect("an HTTP client");
    let request = client.get(url).header("cookie", instance.administrator.cookie_header());
    let mut answer = request.send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let (mut first, mut bytes, mut most) = (None, 0, before);
    while let Some(chunk) = answer.chunk().await.expect("the next piece") {
        first.get_or_insert(start.elapsed());
        bytes += chunk.len();
        most = most.max(resident());
    }
    println!(
        "- Export of the whole audit log: first bytes after {}, {} MiB in {:.1} s; the process grew by {} MiB meanwhile.",
        millis(first.unwrap_or_default()),
        bytes / MIB,
        start.elapsed().as_secs_f64(),
        (most - before) / MIB
    );
}

/// Ends all sessions of the account that has very many.
pub async fn end_of_one(instance: &mut Instance) {
    let path = format!("/admin/users/{}/end-sessions", instance.doomed);
    let took = confirm(&mut instance.administrator.clone(), &path).await;
    println!("- Ending all {} sessions of one account: {}.", instance.size.heavy(), took);
}

/// Ends everyone's, while others want something too.
pub async fn end_of_all(instance: &mut Instance) {
    let sessions = counts::open(&instance.server.services, &command_line()).await;
    let sessions = sessions.expect("figures").total().value;
    let (took, meanwhile) =
        meanwhile(instance, confirm(&mut instance.administrator.clone(), "/admin/sessions/end?all=1")).await;
    println!("- Ending everyone's sessions, about {sessions}: {took}. {meanwhile}");
}

/// Opens a page that asks, and says yes; how long that took, and what came of it where it was not done in time.
async fn confirm(browser: &mut Browser, path: &str) -> String {
    let page = browser.get(path).await.expect(200);
    let form = page.form(path.split('?').next().unwrap_or(path));
    let start = Instant::now();
    let status = browser.submit_form(form, &[]).await.status;
    let took = millis(start.elapsed());
    if status == 303 { took } else { format!("{took}, answered {status}") }
}

/// Does something, while somebody loads a page and somebody signs in again and again; says what these saw.
async fn meanwhile<T>(instance: &Instance, work: impl Future<Output = T>) -> (T, String) {
    let done = Cell::new(false);
    let work = async {
        let result = work.await;
        done.set(true);
        result
    };
    let mut reader = instance.administrator.clone();
    let pages = repeat(&done, async || reader.get("/admin/users").await.status == 200);
    let sign_ins = repeat(&done, async || {
        let fields = [("username", VISITOR), ("password", PASSWORD)];
        instance.server.browser().post("/login", &fields).await.status == 303
    });
    let (result, pages, sign_ins) = tokio::join!(work, pages, sign_ins);
    (result, format!("Meanwhile pages took {pages}, sign-ins {sign_ins}."))
}

/// Does it until `done`; says how long it took, and how often it was refused.
async fn repeat(done: &Cell<bool>, mut act: impl AsyncFnMut() -> bool) -> String {
    let (mut times, mut refused) = (Vec::new(), 0);
    while !done.get() {
        let start = Instant::now();
        if !act().await {
            refused += 1;
        }
        times.push(start.elapsed());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (count, longest) = (times.len(), times.iter().max().copied().unwrap_or_default());
    let Percentiles { p50, .. } = Percentiles::of(times);
    format!("{} (p50 of {count}; the longest {}; {refused} refused)", millis(p50), millis(longest))
}

const MIB: usize = 1024 * 1024;

/// Bytes of memory that this process, servers and clients, has.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    kib.unwrap_or_default() * 1024
}
