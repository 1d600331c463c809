//! What a load needs: the page that tells of it is the model's, and the command says the same.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;

use orderctl::capacity::{Costs, Question, page};
use serde_json::Value;

const BEGIN: &str = "<!-- Written by `cargo xtask codegen`: what follows is computed. -->\n";
const END: &str = "<!-- Computed up to here. -->\n";

/// What is written into docs/capacity.md; `cargo xtask codegen` writes it anew, with ORDERMILL_CODEGEN set.
#[test]
fn the_page_is_what_the_model_computes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/capacity.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let fresh = format!("{before}{BEGIN}\n{}{END}{after}", page::generated(&Costs::measured()));
    if std::env::var_os("ORDERMILL_CODEGEN").is_some() {
        std::fs::write(&path, &fresh).unwrap();
        return;
    }
    assert!(text == fresh, "docs/capacity.md is not what would be computed: run `cargo xtask codegen`");
}

fn orderctl(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_orderctl")).arg("capacity").args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_command_answers_without_a_server() {
    let plan: Value = serde_json::from_str(&orderctl(&["--rate", "12000", "--output", "json"])).unwrap();
    let computed = Question { orders_per_s: 12_000.0, average_per_s: 4_000.0, ..Question::default() };
    // Through a text as well: not every number is read as the one that was written.
    let text = serde_json::to_string(&computed.plan(&Costs::measured())).unwrap();
    assert_eq!(plan, serde_json::from_str::<Value>(&text).unwrap());
    let priced = orderctl(&["--price-cpu-hour", "0.04", "--output", "table"]);
    for told in ["members", "raft writes per order", "a million orders", "USED UP"] {
        assert!(priced.contains(told), "{told}: {priced}");
    }
}

#[test]
fn more_orders_and_more_lines_never_need_less() {
    let costs = Costs::measured();
    let plan = |orders_per_s, lines| {
        Question { orders_per_s, average_per_s: orders_per_s / 3.0, lines, ..Question::default() }.plan(&costs)
    };
    for (less, more) in [(plan(100.0, 2.0), plan(12_000.0, 2.0)), (plan(36_000.0, 2.0), plan(36_000.0, 8.5))] {
        assert!(more.members >= less.members && more.stores >= less.stores && more.shards >= less.shards);
        assert!(more.raft_writes_per_s > less.raft_writes_per_s && more.rows_gib > less.rows_gib);
    }
    // What ends first ends first: no rate below it is beyond anything.
    let bounds = plan(36_000.0, 2.0).bounds;
    assert!(bounds.windows(2).all(|pair| pair[0].orders_per_s <= pair[1].orders_per_s), "{bounds:?}");
}
