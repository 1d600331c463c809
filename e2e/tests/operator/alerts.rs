//! Alerts and the dashboard speak of what is measured, and every alert has a page that says what to do.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ordermill_e2e::variable;
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every word of ours in a text: the names of what is measured.
fn measurements(text: &str) -> BTreeSet<String> {
    let words = text.split(|character: char| !character.is_ascii_alphanumeric() && character != '_');
    let ours = words.filter(|word| word.starts_with("ordermill_"));
    ours.map(|word| word.strip_suffix("_bucket").unwrap_or(word).to_owned()).collect()
}

fn sources(directory: &Path, all: &mut String) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn alerts_are_rules_of_prometheus_about_what_is_measured_and_each_has_a_page() {
    let path = "charts/ordermill/files/alerts.yaml";
    let checked =
        Command::new(variable("ORDERMILL_PROMTOOL")).args(["check", "rules"]).arg(root().join(path)).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));

    let text = read(path);
    let rules: Value = serde_saphyr::from_str(&text).unwrap();
    let index = read("docs/runbooks/README.md");
    let mut pages = BTreeSet::from(["README.md".to_owned()]);
    for rule in rules["groups"][0]["rules"].as_array().unwrap() {
        let page = format!("{}.md", rule["alert"].as_str().unwrap());
        let url = rule["annotations"]["runbook_url"].as_str().unwrap();
        assert!(url.ends_with(&format!("/docs/runbooks/{page}")), "{url}");
        assert!(read(&format!("docs/runbooks/{page}")).contains(rule["expr"].as_str().unwrap()), "{page}");
        assert!(index.contains(&format!("({page})")), "{page} is not in the list");
        pages.insert(page);
    }
    let there = fs::read_dir(root().join("docs/runbooks")).unwrap();
    let there: BTreeSet<String> = there.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(there, pages);

    let mut code = String::new();
    for directory in ["server", "operator/src"] {
        sources(&root().join(directory), &mut code);
    }
    let unknown = |name: &String| !code.contains(&format!("\"{name}\""));
    let named = measurements(&text).into_iter().chain(measurements(&read("charts/ordermill/files/dashboard.json")));
    assert_eq!(named.filter(unknown).collect::<Vec<_>>(), Vec::<String>::new());
}
