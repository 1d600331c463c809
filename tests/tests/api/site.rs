//! What a server says of itself: health, measurements, and a page that needs nothing from elsewhere.

use std::collections::BTreeMap;

use ordermill_api::Health;
use ordermill_tests::process::Http;
use serde_json::json;

use super::{SHARDS, Shop, order};

#[tokio::test]
async fn the_description_is_served_and_needs_nothing_from_elsewhere() {
    let shop = Shop::open(1, &[]).await;
    let committed = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
    let committed = std::fs::read_to_string(committed).expect("the description is committed");
    let served = shop.http.get("/openapi.json").await.expect(200);
    assert_eq!(served.header("content-type"), "application/json");
    assert!(served.body == committed, "what is served is not docs/openapi.json");

    let page = shop.http.get("/docs").await.expect(200);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(page.header("content-security-policy").contains("default-src 'none'"));
    let foreign = foreign_references(&page.body);
    assert!(foreign.is_empty(), "the page refers to {foreign:?}");
    // Whatever else the page loads is served here, and as frugal.
    for path in local_references(&page.body) {
        let loaded = shop.http.get(&path).await.expect(200);
        let foreign = foreign_references(&loaded.body);
        assert!(path == "/openapi.json" || foreign.is_empty(), "{path} refers to {foreign:?}");
    }
    let health: Health = shop.http.get("/healthz").await.expect(200).json();
    let ready: Health = shop.http.get("/readyz").await.expect(200).json();
    assert_eq!((&*health.status, &*ready.status), ("ok", "ok"));
    shop.close().await;
}

/// What a text refers to on other hosts.
fn foreign_references(text: &str) -> Vec<&str> {
    let marks = ["http://", "https://", "\"//", "'//", "(//", "=//", "ws://", "wss://"];
    let found = marks.iter().flat_map(|mark| text.match_indices(mark));
    found.map(|(at, _)| text[at..].lines().next().unwrap_or_default()).collect()
}

/// What a page loads from where it came from.
fn local_references(text: &str) -> Vec<String> {
    let marks = ["src=\"/", "href=\"/", "fetch(\"/", "fetch('/", "url(/"];
    let path = |(at, mark): (usize, &str)| {
        let rest = &text[at + mark.len() - 1..];
        rest.split(['"', '\'', ')', '#']).next().unwrap_or_default().to_owned()
    };
    marks.iter().flat_map(|mark| text.match_indices(mark)).map(path).collect()
}

#[test]
fn references_are_found() {
    let page = "<script src=\"/a.js\"></script><link href=\"https://cdn.example/x.css\"><img src='//x/y'> url(//z)";
    assert_eq!(foreign_references(page).len(), 3);
    assert_eq!(local_references(page)[0], "/a.js");
}

/// One measurement: its labels and its value.
type Sample = (BTreeMap<String, String>, f64);

/// Parses the text format of Prometheus strictly; every sample must belong to a known type.
fn parse(text: &str) -> BTreeMap<String, Vec<Sample>> {
    let mut types: BTreeMap<&str, &str> = BTreeMap::new();
    let mut all: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
    assert!(text.ends_with('\n'), "the last line ends");
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type has a name");
            assert!(["counter", "gauge", "histogram", "summary"].contains(&kind), "{line}");
            assert_eq!(types.insert(name, kind), None, "{line} is there twice");
            continue;
        }
        if line.starts_with("# HELP ") {
            continue;
        }
        let (key, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
        let (name, labels) = key.split_once('{').unwrap_or((key, "}"));
        let labels = labels.strip_suffix('}').unwrap_or_else(|| panic!("labels do not end: {line}"));
        let label = |pair: &str| {
            let (name, value) = pair.split_once("=\"").unwrap_or_else(|| panic!("no label: {line}"));
            (name.to_owned(), value.trim_end_matches('"').to_owned())
        };
        let labels = labels.split("\",").filter(|pair| !pair.is_empty()).map(label).collect();
        let stem = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        let kind = types.get(name).or_else(|| types.get(stem));
        assert!(kind.is_some(), "no type is told of {name}");
        all.entry(name.to_owned()).or_default().push((labels, value));
    }
    all
}

/// Checks that every histogram's buckets rise and end with its count.
fn check_histograms(samples: &BTreeMap<String, Vec<Sample>>) {
    for (name, buckets) in samples.iter().filter(|(name, _)| name.ends_with("_bucket")) {
        let mut series: BTreeMap<BTreeMap<String, String>, Vec<(f64, f64)>> = BTreeMap::new();
        for (labels, value) in buckets {
            let mut labels = labels.clone();
            let bound = labels.remove("le").expect("a bucket has a bound");
            let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().expect("a bound is a number") };
            series.entry(labels).or_default().push((bound, *value));
        }
        let counts = &samples[&name.replace("_bucket", "_count")];
        for (labels, buckets) in series {
            assert!(buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{name} {labels:?}: {buckets:?}");
            let count = counts.iter().find(|(of, _)| *of == labels).map(|(_, count)| *count);
            assert_eq!(
                buckets.last().copied().map(|(bound, count)| (bound, Some(count))),
                Some((f64::INFINITY, count))
            );
        }
    }
}

async fn measured(http: &Http) -> BTreeMap<String, Vec<Sample>> {
    let answer = http.get("/metrics").await.expect(200);
    assert!(answer.header("content-type").starts_with("text/plain; version=0.0.4"));
    let samples = parse(&answer.body);
    check_histograms(&samples);
    samples
}

/// The sum of a station's samples.
fn of_station(samples: &BTreeMap<String, Vec<Sample>>, name: &str, station: &str) -> f64 {
    let of = |(labels, _): &&Sample| labels.get("station").is_some_and(|label| label == station);
    samples.get(name).into_iter().flatten().filter(of).map(|(_, value)| value).sum()
}

#[tokio::test]
async fn every_station_measures_rate_errors_latency_and_queue_delay() {
    for shards in SHARDS {
        let shop = Shop::open(shards, &[("tea", 5)]).await;
        let before = measured(&shop.http).await;
        for _ in 0..10 {
            shop.place(&order("ann", &[("tea", 1)])).await;
        }
        shop.http.put("/v1/items/tea", &json!({"on_hand": -1})).await.expect(400);
        shop.http.post("/v1/orders", &order("ann", &[("none", 1)]), &[]).await.expect(422);
        let after = measured(&shop.http).await;
        let moved = |name: &str, station: &str| {
            let (before, after) = (of_station(&before, name, station), of_station(&after, name, station));
            assert!(after > before, "{name} of {station} has not moved: {before}, then {after}");
        };
        for station in ["ingress", "admission", "routing", "shard", "order", "journal"] {
            moved("ordermill_station_calls_total", station);
        }
        for station in ["ingress", "routing", "shard", "order", "journal"] {
            moved("ordermill_station_seconds_count", station);
            moved("ordermill_station_seconds_sum", station);
        }
        for station in ["shard", "journal"] {
            moved("ordermill_station_queue_seconds_count", station);
        }
        for station in ["ingress", "routing"] {
            moved("ordermill_station_errors_total", station);
        }
        let requests = |samples: &BTreeMap<String, Vec<Sample>>, status: &str| -> f64 {
            let of = |(labels, _): &&Sample| labels["route"] == "/v1/orders" && labels["status"] == status;
            samples.get("ordermill_http_requests_total").into_iter().flatten().filter(of).map(|(_, value)| value).sum()
        };
        let statuses = ["201", "422"].map(|status| requests(&after, status) - requests(&before, status));
        assert!(statuses[0] > 9.5 && statuses[0] < 10.5 && statuses[1] > 0.5 && statuses[1] < 1.5, "{statuses:?}");
        shop.close().await;
    }
}
