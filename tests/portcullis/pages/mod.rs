//! Every page, in each state that a person may meet: valid, accessible, within its policy, and deaf to what strangers
//! write.
//!
//! [`walk`] goes through them all; here they are looked at, by checkers that we did not write too. With
//! `TEST_SCREENSHOTS=<folder>` they are put there as pictures as well.

mod walk;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis::routes;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::support::gallery::{Gallery, Picture};
use crate::support::tools::{self, Dialogue};
use crate::support::*;

/// Routes whose answer to `GET` is no page of ours: they send on, or are for programs.
const NO_PAGES: &[&str] = &[
    "/",
    "/livez",
    "/readyz",
    "/version",
    "/static/{file}",
    "/favicon.ico",
    "/openapi.json",
    "/.well-known/change-password",
    "/.well-known/jwks.json",
    "/.well-known/oauth-authorization-server",
    "/admin/audit/export",
];

/// Widths that pages are made for, in CSS pixels: a desk, and the narrowest (WCAG 2.2, 1.4.10).
const DESK: u32 = 1280;
const NARROWEST: u32 = 320;

#[tokio::test]
async fn the_walk_meets_every_page_and_each_is_valid_html() {
    let pictures = pictures().await;
    let met: BTreeSet<_> = pictures.iter().filter(|picture| picture.page.status == 200).filter_map(route_of).collect();
    let pages = routes::ALL.iter().filter(|route| route.method == "GET" && !crate::api_access::is_api(route));
    let missing: Vec<_> =
        pages.map(|route| route.path).filter(|path| !NO_PAGES.contains(path) && !met.contains(path)).collect();
    assert!(missing.is_empty(), "pages that the walk does not meet: {missing:?}");

    let mut validator = Dialogue::start(tools::node(include_str!("../../foreign/html_validate.mjs")));
    let mut wrong = Vec::new();
    for Picture { title, page } in pictures.iter() {
        let findings = validator.ask(&json!(page.body).to_string());
        let findings: Vec<String> = serde_json::from_str(&findings).expect("findings");
        wrong.extend(findings.into_iter().map(|finding| format!("{title}: {finding}")));
    }
    expect_none(&wrong);
}

#[tokio::test]
async fn every_page_of_the_signed_in_leads_to_the_reference_of_the_api() {
    let pictures = pictures().await;
    let of_the_signed_in = pictures.iter().filter(|Picture { page, .. }| !page.texts(".lintel .who").is_empty());
    let mut met = 0;
    for Picture { title, page } in of_the_signed_in {
        assert_eq!(page.attributes("footer a", "href"), ["/docs"], "{title}");
        met += 1;
    }
    assert!(met > 50, "{met}");
}

fn expect_none(findings: &[String]) {
    let first = &findings[..findings.len().min(40)];
    assert!(findings.is_empty(), "{} findings, the first of them:\n{}", findings.len(), first.join("\n"));
}

/// The route that the page was asked for by: the literal one, before one with placeholders.
fn route_of(picture: &Picture) -> Option<&'static str> {
    let path = picture.page.path.split('?').next()?;
    let fits = |pattern: &str| {
        let (mut parts, mut wanted) = (path.split('/'), pattern.split('/'));
        wanted.by_ref().all(|wanted| parts.next().is_some_and(|part| wanted.starts_with('{') || part == wanted))
            && parts.next().is_none()
    };
    let known = |pattern: &&str| fits(pattern);
    let paths = || routes::ALL.iter().filter(|route| route.method == "GET").map(|route| route.path);
    paths().find(|pattern| *pattern == path).or_else(|| paths().find(known))
}

#[tokio::test]
async fn no_page_shuts_anyone_out_in_either_scheme_or_on_the_narrowest_screen() {
    let (gallery, pictures, chromium) = exhibition().await;
    let axe = tools::axe();
    let mut wrong = Vec::new();
    for (number, Picture { title, .. }) in pictures.iter().enumerate() {
        chromium.look(DESK, false).await;
        chromium.goto(&format!("/{number}")).await;
        chromium.run(&format!("{axe}; arguments[0]()"), vec![]).await;
        for (width, dark) in [(DESK, false), (DESK, true), (NARROWEST, false)] {
            chromium.look(width, dark).await;
            // Another scheme changes colours alone.
            let rules = if dark { json!({ "runOnly": ["color-contrast"] }) } else { json!({}) };
            for finding in findings(&chromium.run(RUN_AXE, vec![rules]).await) {
                wrong.push(format!("{number} {title}, {width} px{}: {finding}", if dark { ", dark" } else { "" }));
            }
            keep_screenshot(&chromium, number, title, width, dark).await;
        }
        for finding in findings(&chromium.run(FIND_CUT_OFF, vec![]).await) {
            wrong.push(format!("{number} {title}, {NARROWEST} px: cut off: {finding}"));
        }
    }
    expect_none(&wrong);
    chromium.quit().await;
    gallery.close().await;
}

/// Answers with the violations: which rule, and on which elements.
const RUN_AXE: &str = "
    const [options, done] = arguments;
    axe.run(document, { preload: false, resultTypes: ['violations'], ...options }).then(
        ({ violations }) => done(violations.flatMap(({ id, impact, nodes }) =>
            nodes.map(({ html, failureSummary }) => `${id} (${impact}): ${html} ${failureSummary}`))),
        (error) => done([String(error)]));";

/// Answers with what reaches beyond the screen, and with lists of things that scroll sideways: a table of figures may.
const FIND_CUT_OFF: &str = "
    const screen = document.documentElement.clientWidth;
    const cut = [...document.querySelectorAll('body *')].filter((element) => element.matches('.scroll:has(> .cards)')
        ? element.scrollWidth > element.clientWidth
        : element.childElementCount === 0 && element.getBoundingClientRect().right > screen + 1
            && !element.closest('.scroll, .hidden, svg'));
    arguments[0](cut.map((element) => element.outerHTML.slice(0, 200)));";

fn findings(answer: &Value) -> Vec<String> {
    serde_json::from_value(answer.clone()).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

#[tokio::test]
async fn what_strangers_write_runs_on_no_page_and_no_page_breaks_its_own_policy() {
    let (gallery, pictures, chromium) = exhibition().await;
    for (number, Picture { title, page }) in pictures.iter().enumerate() {
        assert!(page.header("content-security-policy").is_some_and(|policy| !policy.contains("unsafe")), "{title}");
        // A dialog that opens fails the next command.
        chromium.goto(&format!("/{number}")).await;
        let shown = chromium.title().await;
        assert!(shown.ends_with("· Portcullis"), "{title}: {shown}");
        assert_eq!(findings(&chromium.run(FIND_FOREIGN, vec![]).await), Vec::<String>::new(), "{title}");
        assert_eq!(chromium.console_errors().await, Vec::<String>::new(), "{title}");
    }
    chromium.quit().await;
    gallery.close().await;
}

/// Answers with what no template of ours has: handlers, addresses that are scripts, and elements that could bring them.
const FIND_FOREIGN: &str = "
    const foreign = [...document.querySelectorAll('*')].filter((element) =>
        element.matches('body script, img, iframe, object, embed, style, textarea, b, #broken, [style], [srcdoc]')
        || [...element.attributes].some(({ name, value }) => name.startsWith('on') || /^\\s*javascript:/i.test(value)
            && ['href', 'src', 'action', 'formaction'].includes(name)));
    arguments[0](foreign.map((element) => element.outerHTML));";

/// What the walk has seen, which is the same for all that look at it.
async fn pictures() -> Arc<Vec<Picture>> {
    static PICTURES: OnceCell<Arc<Vec<Picture>>> = OnceCell::const_new();
    PICTURES.get_or_init(async || Arc::new(walk::pictures().await)).await.clone()
}

/// All pages, and a browser in front of them.
async fn exhibition() -> (Gallery, Arc<Vec<Picture>>, Chromium) {
    let pictures = pictures().await;
    let gallery = Gallery::open(pictures.clone());
    let chromium = Chromium::open(&gallery.origin, true).await;
    (gallery, pictures, chromium)
}

async fn keep_screenshot(chromium: &Chromium, number: usize, title: &str, width: u32, dark: bool) {
    let Some(folder) = std::env::var_os("TEST_SCREENSHOTS") else { return };
    let scheme = if dark { "dark" } else { "light" };
    let name: String = title.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(60).collect();
    let picture = STANDARD.decode(chromium.screenshot().await).expect("base64");
    let folder = PathBuf::from(folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join(format!("{number:03}-{name}-{width}-{scheme}.png")), picture).expect("a file");
}
