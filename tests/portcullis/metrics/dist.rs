//! The rules and the dashboard of `portcullis dist`, and the documentation, beside what is served.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Scrape, Watched};
use crate::support::*;

/// The names of figures that a text has.
fn named(text: &str) -> BTreeSet<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !is_part(c)).filter(|word| word.starts_with("portcullis_")).collect()
}

#[tokio::test]
async fn the_rules_and_the_dashboard_name_only_series_that_are_served_and_the_documentation_each_figure() {
    let server = Watched::start(SqliteRedis).await;
    let now = server.scrape().await;
    let program = Program::new().set("metrics_listen", ":9999,[::1]:9464");
    let [rules, dashboard] = ["prometheus", "grafana"].map(|file| {
        let made = program.run(&["dist", file]);
        assert_eq!((made.code, made.stderr.as_str()), (Some(0), ""), "{made:?}");
        assert!(!program.folder.join("data").exists(), "something was made");
        made.stdout
    });
    for text in [&rules, &dashboard] {
        let unknown: Vec<_> = named(text).difference(&now.names()).copied().collect();
        assert!(unknown.is_empty() && named(text).len() > 5, "{unknown:?}");
    }
    assert!(rules.contains("targets: [\"localhost:9999\", \"[::1]:9464\"]"), "{rules}");
    assert!(Program::new().run(&["dist", "prometheus"]).stdout.contains("metrics_listen is unset"));

    let documented = include_str!("../../../docs/metrics.md");
    let rows = documented.lines().filter_map(|line| line.strip_prefix("| `")).map(|row| row.split("` |").next());
    let rows: BTreeSet<_> = rows.map(Option::unwrap_or_default).collect();
    let text = &now.text;
    let families =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).filter_map(|line| line.split(' ').next());
    let families: BTreeSet<_> = families.map(|name| name.strip_suffix("_total").unwrap_or(name)).collect();
    let alerts = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    assert_eq!(rows, families.into_iter().chain(alerts).collect());
}

#[tokio::test]
async fn the_rules_are_such_as_prometheus_reads_and_the_dashboard_such_as_grafana_imports() {
    let served = Watched::start(SqliteRedis).await.scrape().await;
    let program = Program::new();
    let script = "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)";
    program.file("rules.yml", &program.run(&["dist", "prometheus"]).stdout);
    let rules = std::fs::File::open(program.folder.join("rules.yml")).unwrap();
    let read = tools::python().args(["-c", script]).stdin(rules).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let rules: Value = serde_json::from_slice(&read.stdout).unwrap();
    for rule in rules["groups"][0]["rules"].as_array().unwrap() {
        let keys: BTreeSet<_> = rule.as_object().unwrap().keys().map(String::as_str).collect();
        assert!(keys.is_subset(&["alert", "expr", "for", "labels", "annotations"].into()), "{rule}");
        let text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
        assert!(text(&rule["expr"]) && text(&rule["alert"]), "{rule}");
        assert!(["summary", "description"].iter().all(|name| text(&rule["annotations"][name])), "{rule}");
        assert!(["warning", "critical"].contains(&rule["labels"]["severity"].as_str().unwrap()), "{rule}");
        assert_eq!(faults(rule["expr"].as_str().unwrap(), &served), [""; 0], "{rule}");
    }

    let dashboard: Value = serde_json::from_str(&program.run(&["dist", "grafana"]).stdout).unwrap();
    assert!(dashboard["schemaVersion"].as_i64() >= Some(36) && dashboard["title"] == "Portcullis", "{dashboard}");
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_i64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
    for target in panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap()) {
        assert_eq!(faults(target["expr"].as_str().unwrap(), &served), [""; 0], "{target}");
    }
}

#[tokio::test]
async fn an_expression_that_finds_nothing_or_is_none_is_found() {
    let served = Watched::start(Sqlite).await.scrape().await;
    for (expression, fault) in [
        ("sum(rate(portcullis_refreshes_total[5m])", "a bracket is not closed"),
        ("sum(rate(portcullis_refreshes_total[5m)])", "closes nothing: )"),
        ("portcullis_refreshes_total{outcome=\"reused}", "a bracket is not closed"),
        ("summe(portcullis_refreshes_total)", "no function: summe"),
        ("portcullis_refresh_total > 0", "not served: portcullis_refresh_total"),
        ("portcullis_refreshes_total{outcome=\"reuse\"}", "not served: portcullis_refreshes_total outcome=reuse"),
        ("portcullis_refreshes_total{result=\"reused\"}", "not served: portcullis_refreshes_total result=reused"),
        ("portcullis_sign_ins_total{outcome=~\"busy|late\"}", "not served: portcullis_sign_ins_total outcome=late"),
        (
            "portcullis_http_requests_total{route!=\"/ready\"}",
            "not served: portcullis_http_requests_total route=/ready",
        ),
        ("sum by (instance, shop) (portcullis_feed_age_seconds)", "no label: shop"),
    ] {
        assert_eq!(faults(expression, &served), [fault], "{expression}");
    }
}

/// What the rules and the dashboard use of PromQL's functions and words.
const FUNCTIONS: &[&str] =
    &["abs", "absent", "and", "by", "count", "histogram_quantile", "increase", "max", "or", "rate", "sum", "topk"];
/// Labels that Prometheus adds.
const ADDED: &[&str] = &["instance", "job", "le"];

/// Why Prometheus would not read this expression, or would find nothing by it whatever happens: each value that a label is
/// compared with must be one that is served.
fn faults(expression: &str, served: &Scrape) -> Vec<String> {
    let (mut faults, mut open, mut quoted) = (Vec::new(), Vec::new(), false);
    for c in expression.chars() {
        match c {
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' => open.push(')'),
            '[' => open.push(']'),
            '{' => open.push('}'),
            ')' | ']' | '}' if open.pop() != Some(c) => return vec![format!("closes nothing: {c}")],
            _ => {}
        }
    }
    if quoted || !open.is_empty() {
        return vec!["a bracket is not closed".to_owned()];
    }
    for [_, name] in captures(r"\b([a-z_]+)\s*\(", expression) {
        if !FUNCTIONS.contains(&name) {
            faults.push(format!("no function: {name}"));
        }
    }
    let has = |name: &str, label: &str, value: &str| {
        let of_label = format!("{label}=\"");
        served.series.keys().any(|series| {
            let (served_name, labels) = series.split_once('{').unwrap_or((series, ""));
            let values = labels.trim_end_matches('}').split("\",").filter_map(|pair| pair.strip_prefix(&of_label));
            served_name == name
                && (label.is_empty() || values.map(|found| found.trim_matches('"')).any(|found| is(value, found)))
        })
    };
    for [_, name, matchers] in captures(r"(portcullis_\w+)(?:\{([^}]*)\})?", expression) {
        if !has(name, "", "") {
            faults.push(format!("not served: {name}"));
        }
        for [_, label, values] in captures(r#"(\w+)\s*[=!]~?\s*=?~?"([^"]*)""#, matchers) {
            let values = values.split('|').filter(|_| !ADDED.contains(&label));
            let missing = values.filter(|value| !has(name, label, value));
            faults.extend(missing.map(|value| format!("not served: {name} {label}={value}")));
        }
    }
    let labels = |series: &str, label: &str| series.contains(&format!("{label}=\""));
    for [_, grouped] in captures(r"\bby\s*\(([^)]*)\)", expression) {
        for label in grouped.split(',').map(str::trim) {
            if !ADDED.contains(&label) && !served.series.keys().any(|series| labels(series, label)) {
                faults.push(format!("no label: {label}"));
            }
        }
    }
    faults
}

/// Whether it is that value, of which parts may be any characters.
fn is(pattern: &str, value: &str) -> bool {
    fancy_regex::Regex::new(&format!("^(?:{pattern})$")).unwrap().is_match(value).unwrap()
}

fn captures<'a, const N: usize>(pattern: &str, text: &'a str) -> Vec<[&'a str; N]> {
    let pattern = fancy_regex::Regex::new(pattern).unwrap();
    let found = pattern.captures_iter(text).map(Result::unwrap);
    found.map(|found| std::array::from_fn(|group| found.get(group).map_or("", |group| group.as_str()))).collect()
}
