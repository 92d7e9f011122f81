//! The rules and the dashboard of `portcullis dist`, and the documentation, beside what is served.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Watched;
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

#[test]
fn the_rules_are_such_as_prometheus_reads_and_the_dashboard_such_as_grafana_imports() {
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
        balanced(rule["expr"].as_str().unwrap());
    }

    let dashboard: Value = serde_json::from_str(&program.run(&["dist", "grafana"]).stdout).unwrap();
    assert!(dashboard["schemaVersion"].as_i64() >= Some(36) && dashboard["title"] == "Portcullis", "{dashboard}");
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_i64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
    for target in panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap()) {
        balanced(target["expr"].as_str().unwrap());
    }
}

/// As a parser would begin to look at it.
fn balanced(expression: &str) {
    for (open, close) in [('(', ')'), ('{', '}'), ('[', ']')] {
        assert_eq!(expression.matches(open).count(), expression.matches(close).count(), "{expression}");
    }
    assert_eq!(expression.matches('"').count() % 2, 0, "{expression}");
}
