//! The binary as it is called: exit codes, advice, and readers that go away.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

const MAP: [&str; 4] = ["--map", "reference=R,sku=S,quantity=Q,unit_price=P", "--currency", "GBP"];

fn orderctl() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orderctl"));
    command.env_remove("ORDERMILL_SERVER").env_remove("ORDERMILL_API_KEY");
    command
}

fn run(args: &[&str], input: &str) -> Output {
    let mut command = orderctl();
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// An address at which nobody listens: bound once, and let go.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn a_server_that_is_not_there_is_explained() {
    let output = run(&["items", "get", "A", "--server", &nobody()], "");
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    assert!(error.starts_with("error: cannot reach http://127.0.0.1:") && error.contains("ordermill serve"), "{error}");
    assert!(output.stdout.is_empty());
}

#[test]
fn what_makes_no_sense_is_a_failure_and_not_a_refusal() {
    for args in [&["fly"][..], &["items", "set"], &["order", "create"], &["import", "/nowhere/f.csv"]] {
        let output = run(args, "");
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(!output.stderr.is_empty() && !text(&output.stderr).contains("panicked"), "{args:?}");
    }
    assert_eq!(run(&["--help"], "").status.code(), Some(0));
}

#[test]
fn an_import_gives_up_in_time_and_says_how_to_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f.ndjson");
    std::fs::write(&file, "{}\n").unwrap();
    let output = run(&["import", file.to_str().unwrap(), "--retry-for", "300ms", "--server", &nobody()], "");
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    assert!(error.contains("waiting for the server") && error.contains("run the same command again"), "{error}");
    assert!(dir.path().join("f.ndjson.orderctl-import").exists());
}

#[test]
fn csv_from_standard_input_is_converted() {
    let args: Vec<_> = ["convert", "-", "--decimal-prices"].into_iter().chain(MAP).collect();
    let output = run(&args, "R,S,Q,P\n1,a,2,2.55\n");
    assert_eq!(output.status.code(), Some(0));
    let line = "{\"type\":\"order\",\"reference\":\"1\",\"lines\":[{\"sku\":\"a\",\"quantity\":2,\
                \"unit_price\":{\"amount\":255,\"currency\":\"GBP\"}}]}\n";
    assert_eq!(text(&output.stdout), line);
    assert!(text(&output.stderr).contains("rows read"));
    let output = run(&args, "R,S,Q,P\n1,a,2,2.555\n");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("refused row 2 (1)"), "{}", text(&output.stderr));
}

#[test]
fn stock_is_printed_without_a_server() {
    let args: Vec<_> = ["items", "from-csv", "-", "--dry-run", "--factor", "0.5"].into_iter().chain(MAP).collect();
    let output = run(&args, "R,S,Q,P\n1,a,2,255\n2,a,3,255\n");
    assert_eq!(text(&output.stdout), "sku,on_hand,backorder\na,3,false\n");
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let mut command = orderctl();
    command.args(["convert", "-", "-q"]).args(MAP);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let mut input = child.stdin.take().unwrap();
    let mut rows = String::from("R,S,Q,P\n");
    (0..20_000).for_each(|number| rows.push_str(&["r", &number.to_string(), ",a,2,255\n"].concat()));
    // It may have left before it has read everything.
    let _ = input.write_all(rows.as_bytes());
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
}

#[test]
fn completions_are_printed() {
    for shell in ["bash", "zsh", "fish"] {
        let output = run(&["completion", shell], "");
        assert!(output.status.success() && text(&output.stdout).contains("orderctl"), "{shell}");
    }
}
