//! The tables of docs/capacity.md, and the same for a terminal.
//!
//! `cargo xtask codegen` writes them into the page; a test holds the page to them.

use std::fmt::Write as _;

use super::{Costs, Plan, Prices, Question};

/// A row: what, how much, of which unit or how it comes about.
type Row = (&'static str, String, &'static str);

/// A number for people: three digits that count, thousands apart.
pub fn number(value: f64) -> String {
    let digits = match value.abs() {
        large if large >= 100.0 => 0,
        some if some >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.digits$}");
    let (whole, part) = text.split_once('.').map_or((text.as_str(), None), |(whole, part)| (whole, Some(part)));
    let whole = whole.parse::<u64>().map_or(whole.to_owned(), crate::output::grouped);
    part.map_or(whole.clone(), |part| format!("{whole}.{part}"))
}

/// What a plan says, row by row.
pub fn rows(plan: &Plan) -> Vec<Row> {
    let mut rows = vec![
        ("members", plan.members.to_string(), "pods"),
        ("their processors in use", number(plan.member_cpus_used), "at the peak"),
        ("shards", plan.shards.to_string(), ""),
        ("stores", plan.stores.to_string(), "the most of the next three, and one for each copy"),
        ("… for raft writes", plan.stores_for_writes.to_string(), ""),
        ("… for bytes written", plan.stores_for_bytes.to_string(), ""),
        ("… for room", plan.stores_for_room.to_string(), ""),
        ("commands per order", number(plan.commands_per_order), "its own, its holds, their answers"),
        ("commands per append", number(plan.commands_per_append), "what queues during an append shares the next"),
        ("raft writes per order", number(plan.raft_writes_per_order), "appends and flushes"),
        ("reads per order", number(plan.reads_per_order), "read-backs, and rows not in memory"),
        ("CPU of members per order", number(plan.cpu_us_per_order), "µs"),
        ("raft writes", number(plan.raft_writes_per_s), "per second, before copies"),
        ("timestamps", number(plan.timestamps_per_s), "per second"),
        ("members to stores", number(plan.to_stores_mib_per_s), "MiB/s"),
        ("stores to members", number(plan.from_stores_mib_per_s), "MiB/s"),
        ("between members", number(plan.between_members_mib_per_s), "MiB/s"),
        ("between stores", number(plan.between_stores_mib_per_s), "MiB/s"),
        ("journals", number(plan.journal_gib), "GiB, all copies"),
        ("rows of orders", number(plan.rows_gib), "GiB, all copies"),
    ];
    if let Some(price) = plan.price_per_million {
        rows.push(("a million orders", number(price), "in the currency of the prices"));
    }
    rows
}

/// A plan for a terminal.
pub fn shown(plan: &Plan) -> String {
    let rows = rows(plan).into_iter().map(|(what, much, of)| vec![what.to_owned(), much, of.to_owned()]);
    let bounds =
        plan.bounds.iter().map(|bound| vec![number(bound.orders_per_s), bound.what.clone(), bound.then.clone()]);
    format!(
        "{}\n\n{}",
        crate::output::columns(&["needed", "amount", "of"], rows),
        crate::output::columns(&["orders/s", "used up", "then"], bounds)
    )
}

fn table(out: &mut String, head: &[String], rows: impl IntoIterator<Item = Vec<String>>) {
    writeln!(out, "| {} |", head.join(" | ")).expect("a text takes everything");
    writeln!(out, "|{}", "---|".repeat(head.len())).expect("a text takes everything");
    for row in rows {
        writeln!(out, "| {} |", row.join(" | ")).expect("a text takes everything");
    }
    out.push('\n');
}

/// The generated part of docs/capacity.md.
pub fn generated(costs: &Costs) -> String {
    let mut out = String::new();
    let at = |orders_per_s: f64, lines: f64| Question {
        orders_per_s,
        average_per_s: orders_per_s / 3.0,
        lines,
        ..Question::default()
    };
    let loads = [(12_000.0, 2.0), (36_000.0, 2.0), (120_000.0, 2.0), (36_000.0, 8.5)];
    let plans: Vec<Plan> = loads.iter().map(|&(rate, lines)| at(rate, lines).plan(costs)).collect();
    let head = |first: &str| {
        let of = loads.iter().map(|(rate, lines)| format!("{} orders/s of {lines} lines", number(*rate)));
        std::iter::once(first.to_owned()).chain(of).collect::<Vec<_>>()
    };

    out.push_str("### What it needs\n\n");
    let all: Vec<Vec<Row>> = plans.iter().map(rows).collect();
    let names = all.first().into_iter().flatten().enumerate();
    table(
        &mut out,
        &head("needed"),
        names.map(|(row, (what, _, of))| {
            let name = if of.is_empty() { (*what).to_owned() } else { format!("{what} ({of})") };
            std::iter::once(name).chain(all.iter().map(|rows| rows[row].1.clone())).collect()
        }),
    );

    out.push_str("### What a million orders cost\n\nAs a sum: so many times the price of each.\n\n");
    let units = [
        ("a processor for an hour", Prices { cpu_hour: 1.0, gib_month: 0.0, traffic_gib: 0.0 }),
        ("a GiB on a store's disk for a month", Prices { cpu_hour: 0.0, gib_month: 1.0, traffic_gib: 0.0 }),
        ("a GiB between machines", Prices { cpu_hour: 0.0, gib_month: 0.0, traffic_gib: 1.0 }),
    ];
    table(
        &mut out,
        &head("price of"),
        units.map(|(name, prices)| {
            let price = |&(rate, lines): &(f64, f64)| {
                let plan = Question { prices: Some(prices), ..at(rate, lines) }.plan(costs);
                plan.price_per_million.map(number).unwrap_or_default()
            };
            std::iter::once(name.to_owned()).chain(loads.iter().map(price)).collect()
        }),
    );

    out.push_str(
        "### What ends first\n\nPlanned for 36,000 orders/s of 2 lines, as the rate rises and nothing is added.\n\n",
    );
    table(
        &mut out,
        &["orders/s".to_owned(), "used up".to_owned(), "then".to_owned()],
        plans[1].bounds.iter().map(|bound| vec![number(bound.orders_per_s), bound.what.clone(), bound.then.clone()]),
    );

    out.push_str("### The model beside the measurement\n\n");
    write!(
        out,
        "One member, {} shards, on {}. An append takes as long as it did there: a third of an order's median time, which \
         has three appends one after the other.\n\n",
        costs.shards, costs.machine
    )
    .expect("a text takes everything");
    let head = [
        "lines",
        "orders/s",
        "appends, measured",
        "computed",
        "raft writes, measured",
        "computed",
        "CPU, µs, measured",
        "computed",
    ];
    table(
        &mut out,
        &head.map(str::to_owned),
        costs.measured.iter().map(|measured| {
            let plan = Question {
                orders_per_s: measured.orders_per_s,
                lines: measured.lines,
                shards: Some(costs.shards),
                append_ms: measured.p50_ms / 3.0,
                ..Question::default()
            }
            .plan(costs);
            vec![
                number(measured.lines),
                number(measured.orders_per_s),
                number(measured.appends),
                number(plan.appends_per_order),
                number(measured.raft_writes),
                number(plan.raft_writes_per_order),
                number(measured.cpu_us),
                number(plan.cpu_us_per_order),
            ]
        }),
    );
    out
}
