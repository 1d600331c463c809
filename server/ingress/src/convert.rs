//! From the wire to the domain: everything that a request says is checked here against the limits,
//! and every field that does not fit is named.

use std::fmt;
use std::sync::Arc;

use ordermill_api::{InvalidField, Time};
use ordermill_order::command::Credit;
use ordermill_order::id::{Class, fingerprint, identity};
use ordermill_order::order::LineUnits;
use ordermill_order::payment::{PaymentStep, Terms};
use ordermill_order::{Action, IdempotencyKey, NewLine, NewOrder, Partition, Step};
use ordermill_station::limits;

use crate::problem::{FIELDS_NAMED, Failure};
use crate::wire;

/// The fields that do not fit.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<InvalidField>);

impl Faults {
    /// Notes a field; those beyond the first few are left out.
    pub(crate) fn note(&mut self, field: impl fmt::Display, reason: impl Into<String>) {
        if self.0.len() < FIELDS_NAMED {
            self.0.push(InvalidField { field: field.to_string(), reason: reason.into() });
        }
    }

    fn note_if(&mut self, reason: Option<&'static str>, field: impl fmt::Display) {
        if let Some(reason) = reason {
            self.note(field, reason);
        }
    }

    /// Refuses the request if any field does not fit.
    pub(crate) fn check(self) -> Result<(), Failure> {
        if self.0.is_empty() { Ok(()) } else { Err(Failure::invalid_fields(self.0)) }
    }
}

/// What is wrong with a customer, SKU, reference, idempotency key or tenant.
pub(crate) fn identifier_fault(text: &str) -> Option<&'static str> {
    let bytes = text.as_bytes();
    if bytes.is_empty() {
        return Some("is empty");
    }
    if bytes.len() > limits::IDENTIFIER_BYTES {
        return Some("is longer than 128 bytes");
    }
    if bytes.iter().all(u8::is_ascii_graphic) {
        return None;
    }
    if text.chars().any(char::is_control) {
        return Some("contains a control character");
    }
    (text.trim() != text).then_some("begins or ends with white space")
}

/// What is wrong with a free text.
fn text_fault(text: &str) -> Option<&'static str> {
    if text.len() > limits::TEXT_BYTES {
        return Some("is longer than 512 bytes");
    }
    let control = |c: char| c.is_control() && c != '\n' && c != '\t';
    text.chars().any(control).then_some("contains a control character")
}

fn free_text(text: Option<wire::Text<'_>>, field: &str, faults: &mut Faults) -> Option<Box<str>> {
    let text = text?;
    faults.note_if(text_fault(&text), field);
    Some(text.0.into())
}

fn currency(text: &str) -> Option<[u8; 3]> {
    let code: [u8; 3] = text.as_bytes().try_into().ok()?;
    code.iter().all(u8::is_ascii_uppercase).then_some(code)
}

const CURRENCY_FAULT: &str = "is not three capital letters";
const AMOUNT_FAULT: &str = "is above 9007199254740991";
const QUANTITY_FAULT: &str = "is not from 1 to 1000000000";

fn quantity(quantity: u64, field: impl fmt::Display, faults: &mut Faults) -> u64 {
    if !(1..=limits::QUANTITY_MAX).contains(&quantity) {
        faults.note(field, QUANTITY_FAULT);
    }
    quantity
}

fn count_fault(lines: usize) -> Option<&'static str> {
    match lines {
        0 => Some("is empty: at least one line is needed"),
        1..=limits::LINES_PER_ORDER => None,
        _ => Some("has more than 2000 lines"),
    }
}

/// The identity under which a create is remembered.
pub(crate) fn create_key(tenant: &str, customer: Option<&str>, key: &str, body: &[u8]) -> IdempotencyKey {
    let scope = format!("POST /v1/orders\0{}", customer.unwrap_or_default());
    IdempotencyKey { key: identity(tenant, Class::Key, &scope, key), fingerprint: fingerprint(&[body]) }
}

/// The identity under which a request to `path` is remembered.
pub(crate) fn path_key(tenant: &str, path: &str, key: &str, body: &[u8]) -> IdempotencyKey {
    let scope = format!("POST {path}");
    IdempotencyKey { key: identity(tenant, Class::Key, &scope, key), fingerprint: fingerprint(&[body]) }
}

/// Where orders of `customer` live; those of a guest live by what is there to tell them apart.
fn partition(tenant: &str, customer: Option<&str>, key: Option<&str>, reference: Option<&str>) -> Partition {
    match (customer, key.or(reference)) {
        (Some(customer), _) => Partition::of(tenant, Class::Customer, customer),
        (None, Some(text)) => Partition::of(tenant, Class::Guest, text),
        (None, None) => Partition::of(tenant, Class::Guest, &format!("{:032x}", rand::random::<u128>())),
    }
}

/// An order to be placed; `key` is the request's idempotency key.
pub(crate) fn new_order(tenant: &str, key: Option<&str>, order: wire::Order<'_>) -> Result<NewOrder, Failure> {
    let mut faults = Faults::default();
    let new = checked_order(tenant, key, order, &mut faults);
    faults.check()?;
    Ok(new)
}

fn checked_order(tenant: &str, key: Option<&str>, order: wire::Order<'_>, faults: &mut Faults) -> NewOrder {
    let (customer, reference) = (order.customer.as_deref(), order.reference.as_deref());
    faults.note_if(customer.and_then(identifier_fault), "customer");
    faults.note_if(reference.and_then(identifier_fault), "reference");
    let (lines, currency) = order_lines(order.lines, faults);
    let terms = match order.payment_terms.as_deref() {
        None | Some("on_account") => Terms::OnAccount,
        Some("prepaid") => Terms::Prepaid,
        Some(_) => {
            faults.note("payment_terms", "is neither on_account nor prepaid");
            Terms::OnAccount
        }
    };
    let expires_in_seconds = order.expires_in_seconds.map(|seconds| seconds.0);
    if expires_in_seconds.is_some_and(|seconds| !(1..=limits::RESERVATION_SECONDS_MAX).contains(&seconds)) {
        faults.note("expires_in_seconds", "is not from 1 to 31622400");
    }
    let owner = customer.unwrap_or_default();
    NewOrder {
        partition: partition(tenant, customer, key, reference),
        reference: reference.map(|text| (text.into(), identity(tenant, Class::Reference, owner, text))),
        customer: customer.map(Into::into),
        lines,
        currency,
        terms,
        expires_in_ms: expires_in_seconds.map(|seconds| seconds.saturating_mul(1_000)),
        fulfilled: false,
        placed_ms: None,
    }
}

/// The lines of an order and the currency that they share.
fn order_lines(lines: Vec<wire::Line<'_>>, faults: &mut Faults) -> (Vec<NewLine>, [u8; 3]) {
    if let Some(reason) = count_fault(lines.len()) {
        faults.note("lines", reason);
        return (Vec::new(), [0; 3]);
    }
    let (mut shared, mut total, mut overflow) = (None, 0u64, false);
    let mut converted = Vec::with_capacity(lines.len());
    for (index, line) in lines.into_iter().enumerate() {
        faults.note_if(identifier_fault(&line.sku), format_args!("lines[{index}].sku"));
        let units = quantity(line.quantity.0, format_args!("lines[{index}].quantity"), faults);
        let Some(price) = line.unit_price else {
            faults.note(format_args!("lines[{index}].unit_price"), "is missing");
            continue;
        };
        let amount = price.amount.0;
        if amount > limits::AMOUNT_MAX {
            faults.note(format_args!("lines[{index}].unit_price.amount"), AMOUNT_FAULT);
        }
        match (currency(&price.currency), shared) {
            (None, _) => faults.note(format_args!("lines[{index}].unit_price.currency"), CURRENCY_FAULT),
            (Some(code), None) => shared = Some(code),
            (Some(code), Some(first)) if code == first => {}
            (Some(_), Some(first)) => faults.note(
                format_args!("lines[{index}].unit_price.currency"),
                format!("is not {}, the currency of the lines before: an order has one", show(first)),
            ),
        }
        match units.checked_mul(amount).and_then(|price| price.checked_add(total)) {
            Some(sum) if sum <= limits::AMOUNT_MAX => total = sum,
            _ if overflow => {}
            _ => {
                overflow = true;
                faults.note(format_args!("lines[{index}]"), "brings the total above 9007199254740991");
            }
        }
        converted.push(NewLine { sku: line.sku.0.into(), quantity: units, unit_price: amount });
    }
    (converted, shared.unwrap_or_default())
}

fn show(currency: [u8; 3]) -> String {
    String::from_utf8_lossy(&currency).into_owned()
}

/// What a line of an import asks for.
pub(crate) fn import_action(tenant: &Arc<str>, line: wire::ImportLine<'_>) -> Result<Action, Failure> {
    match line.kind.as_deref() {
        None | Some("order") => imported_order(tenant, line).map(|new| Action::Create(Box::new(new))),
        Some("credit") => credit(tenant, line).map(|credit| Action::Credit(Box::new(credit))),
        Some(_) => Err(Failure::invalid("type", "is neither order nor credit")),
    }
}

fn imported_order(tenant: &str, line: wire::ImportLine<'_>) -> Result<NewOrder, Failure> {
    let mut faults = Faults::default();
    if line.restock.is_some() {
        faults.note("restock", "belongs to a credit, not to an order");
    }
    let placed_ms = line.placed_at.as_deref().and_then(|text| match text.parse::<Time>() {
        Ok(time) => Some(time.0),
        Err(reason) => {
            faults.note("placed_at", reason);
            None
        }
    });
    let (customer, reference) = (line.customer, Some(line.reference));
    let (payment_terms, expires_in_seconds) = (line.payment_terms, line.expires_in_seconds);
    let order = wire::Order::new(customer, reference, line.lines, payment_terms, expires_in_seconds);
    let new = checked_order(tenant, None, order, &mut faults);
    faults.check()?;
    Ok(NewOrder { fulfilled: line.fulfilled.unwrap_or_default(), placed_ms, ..new })
}

fn credit(tenant: &str, line: wire::ImportLine<'_>) -> Result<Credit, Failure> {
    let mut faults = Faults::default();
    let (customer, reference) = (line.customer.as_deref(), &*line.reference);
    faults.note_if(customer.and_then(identifier_fault), "customer");
    faults.note_if(identifier_fault(reference), "reference");
    faults.note_if(count_fault(line.lines.len()), "lines");
    for (field, there) in [
        ("payment_terms", line.payment_terms.is_some()),
        ("expires_in_seconds", line.expires_in_seconds.is_some()),
        ("fulfilled", line.fulfilled.is_some()),
        ("placed_at", line.placed_at.is_some()),
    ] {
        if there {
            faults.note(field, "belongs to an order, not to a credit");
        }
    }
    for (index, line) in line.lines.iter().enumerate() {
        faults.note_if(identifier_fault(&line.sku), format_args!("lines[{index}].sku"));
        quantity(line.quantity.0, format_args!("lines[{index}].quantity"), &mut faults);
        if line.unit_price.is_some() {
            faults.note(format_args!("lines[{index}].unit_price"), "belongs to an order, not to a credit");
        }
    }
    faults.check()?;
    Ok(Credit {
        partition: partition(tenant, customer, None, Some(reference)),
        reference: identity(tenant, Class::Reference, customer.unwrap_or_default(), reference),
        lines: line.lines.iter().map(|line| ((*line.sku).into(), line.quantity.0)).collect(),
        customer: customer.map(Into::into),
        restock: line.restock.unwrap_or(true),
        candidates: Vec::new(),
    })
}

/// A wish to cancel.
pub(crate) fn cancellation(wish: wire::Cancellation<'_>) -> Result<Step, Failure> {
    let mut faults = Faults::default();
    let reason = free_text(wish.reason, "reason", &mut faults);
    faults.check()?;
    Ok(Step::Cancel { reason })
}

/// Something that happened to the payment.
pub(crate) fn payment(payment: wire::Payment<'_>) -> Result<Step, Failure> {
    let mut faults = Faults::default();
    let money = payment.amount.as_ref().map(|money| {
        if !(1..=limits::AMOUNT_MAX).contains(&money.amount.0) {
            faults.note("amount.amount", "is not from 1 to 9007199254740991");
        }
        let code = currency(&money.currency);
        if code.is_none() {
            faults.note("amount.currency", CURRENCY_FAULT);
        }
        (money.amount.0, code.unwrap_or_default())
    });
    let amount = money.map_or(0, |(amount, _)| amount);
    let (step, needs_amount) = match &*payment.action {
        "authorize" => (PaymentStep::Authorize(amount), true),
        "capture" => (PaymentStep::Capture(amount), true),
        "void" => (PaymentStep::Void, false),
        "refund" => (PaymentStep::Refund(amount), true),
        "fail" => (PaymentStep::Fail, false),
        "unknown" => (PaymentStep::Unknown, false),
        _ => {
            faults.note("action", "is none of authorize, capture, void, refund, fail, unknown");
            (PaymentStep::Void, money.is_some())
        }
    };
    match (needs_amount, money.is_some()) {
        (true, false) => faults.note("amount", "is missing: the action needs it"),
        (false, true) => faults.note("amount", "is given, but the action has none"),
        _ => {}
    }
    faults.check()?;
    Ok(Step::Pay(step, money.map(|(_, code)| code)))
}

/// A shipment.
pub(crate) fn fulfillment(shipment: wire::Fulfillment<'_>) -> Result<Step, Failure> {
    let mut faults = Faults::default();
    let lines = shipment.lines.map(|lines| line_units(&lines, &mut faults));
    let tracking = free_text(shipment.tracking, "tracking", &mut faults);
    faults.check()?;
    Ok(Step::Fulfil { lines, tracking })
}

/// A return.
pub(crate) fn returned(back: wire::Return<'_>) -> Result<Step, Failure> {
    let mut faults = Faults::default();
    let lines = back.lines.map(|lines| line_units(&lines, &mut faults));
    let reason = free_text(back.reason, "reason", &mut faults);
    faults.check()?;
    Ok(Step::Return { lines, restock: back.restock.unwrap_or(true), reason })
}

fn line_units(lines: &[wire::LineUnits<'_>], faults: &mut Faults) -> Vec<LineUnits> {
    faults.note_if(count_fault(lines.len()), "lines");
    let convert = |(index, line): (usize, &wire::LineUnits<'_>)| {
        if !(1..=limits::LINES_PER_ORDER as u64).contains(&line.line.0) {
            faults.note(format_args!("lines[{index}].line"), "is not from 1 to 2000");
        }
        let units = quantity(line.quantity.0, format_args!("lines[{index}].quantity"), faults);
        LineUnits { line: line.line.0.saturating_sub(1) as u16, units }
    };
    lines.iter().take(limits::LINES_PER_ORDER).enumerate().map(convert).collect()
}

/// A SKU that a path names.
pub(crate) fn sku(text: &str) -> Result<Box<str>, Failure> {
    match identifier_fault(text) {
        Some(reason) => Err(Failure::invalid("sku", reason)),
        None => Ok(text.into()),
    }
}

/// An item as it should be.
pub(crate) fn put_item(sku: Box<str>, item: &wire::PutItem<'_>, if_version: Option<u64>) -> Result<Action, Failure> {
    let on_hand = item.on_hand.0;
    if on_hand > limits::ON_HAND_MAX {
        return Err(Failure::invalid("on_hand", AMOUNT_FAULT));
    }
    Ok(Action::PutItem { sku, on_hand, backorder: item.backorder.unwrap_or_default(), if_version })
}

/// A change of an item's quantity.
pub(crate) fn adjustment(sku: Box<str>, adjustment: wire::Adjustment<'_>) -> Result<Action, Failure> {
    let mut faults = Faults::default();
    let delta = adjustment.delta.0;
    if delta.unsigned_abs() > limits::ON_HAND_MAX {
        faults.note("delta", "is not from -9007199254740991 to 9007199254740991");
    }
    free_text(adjustment.reason, "reason", &mut faults);
    faults.check()?;
    Ok(Action::AdjustItem { sku, delta })
}
