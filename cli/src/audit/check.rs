//! What an order and an item must say of themselves, whatever else is going on.

use ordermill_api::{FulfillmentLine, Item, Line, Order, Status};

use super::{Findings, Subject};

const LINE_SUM: &str = "quantity = requested + held + backordered + fulfilled + cancelled";
const TOTAL: &str = "total = sum of quantity * price";

/// An item's own numbers.
pub(super) fn item(item: &Item, findings: &mut Findings) {
    let subject = || Subject::Item(item.sku.clone());
    if item.held > item.on_hand {
        findings.add(subject, "held <= on hand", format!("held {}, on hand {}", item.held, item.on_hand));
    }
    if i128::from(item.available) != i128::from(item.on_hand) - i128::from(item.held) {
        let found = format!("available {}, on hand {}, held {}", item.available, item.on_hand, item.held);
        findings.add(subject, "available = on hand - held", found);
    }
    let expected = i128::from(item.received) - i128::from(item.fulfilled) + i128::from(item.restocked);
    if i128::from(item.on_hand) != expected {
        let found = format!(
            "on hand {}, received {}, fulfilled {}, restocked {}",
            item.on_hand, item.received, item.fulfilled, item.restocked
        );
        findings.add(subject, "on hand = received - fulfilled + restocked", found);
    }
}

/// An order's own numbers.
pub(super) fn order(order: &Order, findings: &mut Findings) {
    let id = order.id.as_deref().unwrap_or("without an id");
    let subject = || Subject::Order(id.to_owned());
    let mut total = 0u128;
    for line in &order.lines {
        line_sums(id, line, findings);
        total += u128::from(line.quantity) * u128::from(line.unit_price.amount);
        if line.unit_price.currency != order.total.currency {
            let found =
                format!("line {} in {}, total in {}", line.line, line.unit_price.currency, order.total.currency);
            findings.add(subject, "one currency", found);
        }
    }
    if total != u128::from(order.total.amount) {
        findings.add(subject, TOTAL, format!("total {}, sum {total}", order.total.amount));
    }
    let shipped = order.fulfillments.iter().map(|shipment| &shipment.lines[..]);
    steps(order, "fulfilled = sum of shipments", shipped, |line| line.fulfilled, findings);
    let returned = order.returns.iter().map(|returned| &returned.lines[..]);
    steps(order, "returned = sum of returns", returned, |line| line.returned, findings);
    let restocked = order.returns.iter().filter(|returned| returned.restocked).map(|returned| &returned.lines[..]);
    steps(order, "restocked = sum of restocked returns", restocked, |line| line.restocked, findings);
    let requested = order.lines.iter().any(|line| line.requested > 0);
    if requested && order.status != Status::Pending {
        let found = format!("units are requested and the order is {}", crate::output::word(&order.status));
        findings.add(subject, "requested only while pending", found);
    }
}

fn line_sums(id: &str, line: &Line, findings: &mut Findings) {
    let subject = || Subject::Order(id.to_owned());
    let parts = [line.requested, line.held, line.backordered, line.fulfilled, line.cancelled];
    if parts.iter().map(|units| u128::from(*units)).sum::<u128>() != u128::from(line.quantity) {
        let [requested, held, backordered, fulfilled, cancelled] = parts;
        let found = format!(
            "line {}: {} = {requested} + {held} + {backordered} + {fulfilled} + {cancelled}",
            line.line, line.quantity
        );
        findings.add(subject, LINE_SUM, found);
    }
    for (rule, small, large) in [
        ("returned <= fulfilled", line.returned, line.fulfilled),
        ("restocked <= returned", line.restocked, line.returned),
    ] {
        if small > large {
            findings.add(subject, rule, format!("line {}: {small} and {large}", line.line));
        }
    }
}

/// Compares what a line says with the sum of the steps that name it.
fn steps<'a>(
    order: &Order,
    rule: &'static str,
    steps: impl Iterator<Item = &'a [FulfillmentLine]>,
    of_line: impl Fn(&Line) -> u64,
    findings: &mut Findings,
) {
    let mut sums = vec![0u128; order.lines.len()];
    let mut strays = 0u128;
    for part in steps.flatten() {
        let index = (part.line as usize).wrapping_sub(1);
        *sums.get_mut(index).unwrap_or(&mut strays) += u128::from(part.quantity);
    }
    let subject = || Subject::Order(order.id.clone().unwrap_or_default());
    if strays > 0 {
        findings.add(subject, rule, format!("{strays} units of lines that do not exist"));
    }
    for (line, sum) in order.lines.iter().zip(sums) {
        if u128::from(of_line(line)) != sum {
            findings.add(subject, rule, format!("line {}: {}, sum {sum}", line.line, of_line(line)));
        }
    }
}
