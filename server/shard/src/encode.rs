//! Changed rows straight into a record's bytes: the same bytes that the stored messages would give,
//! without making them first. What is rare is still made as a message.

use std::ops::Range;

use ordermill_order::Order;
use ordermill_order::order::Line;
use ordermill_order::payment::Payment;
use ordermill_order::rows::{Idempotency, Referenced};
use ordermill_store::keys::RowKey;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, message};

use crate::convert::{self, Row};

/// Field of a record that holds its changes.
const CHANGES: u32 = 5;

/// Buffers that are used again from row to row.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    row: Vec<u8>,
    line: Vec<u8>,
}

fn put_number(tag: u32, number: u64, out: &mut Vec<u8>) {
    if number != 0 {
        encode_key(tag, WireType::Varint, out);
        encode_varint(number, out);
    }
}

fn put_bytes(tag: u32, bytes: &[u8], out: &mut Vec<u8>) {
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

impl Encoder {
    /// Writes a change behind what is in `out`; says where the row's bytes stand.
    pub(crate) fn put_change(&mut self, key: &RowKey, row: Option<&Row>, out: &mut Vec<u8>) -> Option<Range<usize>> {
        self.row.clear();
        if let Some(row) = row {
            self.put_row(row);
        }
        let field = |len: usize| 1 + encoded_len_varint(len as u64) + len;
        let len = field(key.len()) + row.map_or(0, |_| field(self.row.len()));
        encode_key(CHANGES, WireType::LengthDelimited, out);
        encode_varint(len as u64, out);
        put_bytes(1, key, out);
        row?;
        put_bytes(2, &self.row, out);
        Some(out.len() - self.row.len()..out.len())
    }

    fn put_row(&mut self, row: &Row) {
        match row {
            Row::Order(order) if is_plain(order) => self.put_order(order),
            Row::Reference(Referenced::Order(id)) => put_bytes(1, &id.0.to_be_bytes(), &mut self.row),
            Row::Idempotency(known) => put_idempotency(known, &mut self.row),
            other => convert::encode_row(other, &mut self.row),
        }
    }

    fn put_order(&mut self, order: &Order) {
        let out = &mut self.row;
        if let Some(customer) = &order.customer {
            put_bytes(1, customer.as_bytes(), out);
        }
        if let Some(reference) = &order.reference {
            put_bytes(2, reference.as_bytes(), out);
        }
        let currency = convert::currency_to(order.currency);
        if currency != 0 {
            encode_key(3, WireType::ThirtyTwoBit, out);
            out.extend_from_slice(&currency.to_le_bytes());
        }
        for line in &order.lines {
            self.line.clear();
            put_line(line, &mut self.line);
            put_bytes(4, &self.line, out);
        }
        put_number(5, u64::from(convert::reservation_to(order.reservation)), out);
        put_number(6, u64::from(convert::terms_to(order.terms)), out);
        put_number(11, u64::from(order.fulfil_at_once), out);
        if let Some(expires_ms) = order.expires_ms {
            encode_key(12, WireType::Varint, out);
            encode_varint(expires_ms, out);
        }
        put_number(13, order.version, out);
        put_number(14, order.created_ms, out);
        let after = order.updated_ms.wrapping_sub(order.created_ms) as i64;
        put_number(15, ((after << 1) ^ (after >> 63)) as u64, out);
    }
}

/// Nothing has happened yet that is told by a message of its own.
fn is_plain(order: &Order) -> bool {
    order.payment == Payment::default()
        && order.fulfillments.is_empty()
        && order.returns.is_empty()
        && order.cancellation.is_none()
}

fn put_line(line: &Line, out: &mut Vec<u8>) {
    if !line.sku.is_empty() {
        put_bytes(1, line.sku.as_bytes(), out);
    }
    let units = [
        line.quantity,
        line.unit_price,
        line.requested,
        line.held,
        line.backordered,
        line.fulfilled,
        line.cancelled,
        line.returned,
        line.restocked,
        u64::from(convert::reason_to(line.reason)),
        u64::from(line.operation),
        u64::from(line.revision),
    ];
    for (tag, number) in (2..).zip(units) {
        put_number(tag, number, out);
    }
    if let Some(claim) = line.in_flight {
        message::encode(14, &convert::units_to(claim.from), out);
        message::encode(15, &convert::units_to(claim.to), out);
    }
}

fn put_idempotency(known: &Idempotency, out: &mut Vec<u8>) {
    let (order, cancel) = convert::remembered_to(known.result);
    put_bytes(1, &known.fingerprint.to_be_bytes(), out);
    if let Some(id) = order {
        put_bytes(2, &id.0.to_be_bytes(), out);
    }
    put_number(3, u64::from(cancel), out);
    put_number(4, known.expires_ms, out);
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use ordermill_journal::Change;
    use ordermill_order::command::CancelOutcome;
    use ordermill_order::hold::Units;
    use ordermill_order::id::Partition;
    use ordermill_order::order::{Cancellation, InFlight};
    use ordermill_order::payment::Terms;
    use ordermill_order::rows::Remembered;
    use ordermill_order::{OrderId, Reason, Reservation};
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;
    use crate::Keys;
    use crate::convert::decode_row;

    fn line() -> impl Strategy<Value = Line> {
        let units = prop::collection::vec(any::<u16>(), 12);
        ("[a-zé]{0,12}", units, any::<bool>(), any::<bool>()).prop_map(|(sku, units, refused, in_flight)| {
            let unit = |at: usize| u64::from(units[at]);
            let claim = Units { open: unit(0), fulfilled: unit(1), restocked: 0 };
            Line {
                requested: unit(2),
                held: unit(3),
                backordered: unit(4),
                fulfilled: unit(5),
                cancelled: unit(6),
                returned: unit(7),
                restocked: unit(8),
                operation: unit(9) as u32,
                revision: unit(10) as u32,
                reason: refused.then_some(Reason::InsufficientStock),
                in_flight: in_flight.then_some(InFlight { from: Units::default(), to: claim }),
                ..Line::new(sku.into(), unit(0), unit(11))
            }
        })
    }

    prop_compose! {
        fn order()(
            lines in prop::collection::vec(line(), 0..4),
            texts in (prop::option::of("[a-z]{0,9}"), prop::option::of("[a-z]{0,9}")),
            times in (any::<u32>(), any::<u32>(), prop::option::of(any::<u32>())),
            flags in (any::<bool>(), any::<bool>(), any::<bool>()),
        ) -> Order {
            Order {
                id: OrderId::new(u64::from(times.0), Partition { slot: 9, hash: 8 }, 7),
                customer: texts.0.map(Into::into),
                reference: texts.1.map(Into::into),
                currency: *b"GBP",
                total: lines.iter().map(|line| line.quantity * line.unit_price).sum(),
                lines,
                reservation: if flags.0 { Reservation::Undecided } else { Reservation::Expired },
                terms: if flags.1 { Terms::Prepaid } else { Terms::OnAccount },
                payment: Payment { captured: u64::from(flags.2), ..Payment::default() },
                fulfillments: Vec::new(),
                returns: Vec::new(),
                cancellation: flags.2.then_some(Cancellation { reason: Some("why".into()), at_ms: 5 }),
                fulfil_at_once: flags.0,
                expires_ms: times.2.map(u64::from),
                version: u64::from(times.1),
                created_ms: u64::from(times.0),
                updated_ms: u64::from(times.1),
            }
        }
    }

    /// The row comes back, and its bytes are those of its message.
    fn check(key: &RowKey, row: &Row) -> Result<(), TestCaseError> {
        let mut out = Vec::new();
        let place = Encoder::default().put_change(key, Some(row), &mut out).expect("the row was written");
        let value = Bytes::copy_from_slice(&out[place]);
        let mut as_message = Vec::new();
        convert::encode_row(row, &mut as_message);
        prop_assert_eq!(&value[..], &as_message[..]);
        let change = Change { key: key.to_bytes(), value: Some(value.clone()) };
        let mut framed = Vec::new();
        message::encode(CHANGES, &change, &mut framed);
        prop_assert_eq!(change.encoded_len() + 2 + usize::from(change.encoded_len() > 127), framed.len());
        prop_assert_eq!(&out, &framed);
        let parts = ordermill_store::keys::decode(key).expect("a key");
        prop_assert_eq!(&decode_row(&parts, &value).expect("readable"), row);
        Ok(())
    }

    proptest! {
        #[test]
        fn orders_are_written_as_their_messages(order in order()) {
            let key = Keys { cluster: 1 }.order("t", order.id);
            check(&key, &Row::Order(order.into()))?;
        }

        #[test]
        fn what_is_remembered_is_written_as_its_message(fingerprint: u128, id: u128, expires_ms: u64, which in 0..3) {
            let id = OrderId(id);
            let result = [Remembered::Order(id), Remembered::Item, Remembered::Cancel(id, CancelOutcome::TooLate)][which as usize];
            let keys = Keys { cluster: 1 };
            check(&keys.idempotency("", 5, 6), &Row::Idempotency(Idempotency { fingerprint, result, expires_ms }))?;
            check(&keys.reference("", 5, 6), &Row::Reference(Referenced::Order(id)))?;
        }
    }
}
