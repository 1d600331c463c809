//! Which column is what.

use std::str::FromStr;

use csv::ByteRecord;
use serde::Serialize;

use crate::import::InputError;

/// What a column can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// The order's or credit's own number; its rows make one order.
    Reference,
    /// The item.
    Sku,
    /// Units.
    Quantity,
    /// Price of one unit.
    UnitPrice,
    /// Who ordered; empty for a guest.
    Customer,
    /// When the order was placed.
    PlacedAt,
}

/// How many fields there are.
const FIELDS: usize = 6;
/// The names of the fields, in the order of [`Field`].
const NAMES: [(&str, Field); FIELDS] = [
    ("reference", Field::Reference),
    ("sku", Field::Sku),
    ("quantity", Field::Quantity),
    ("unit_price", Field::UnitPrice),
    ("customer", Field::Customer),
    ("placed_at", Field::PlacedAt),
];
/// What an order cannot do without.
pub(super) const FOR_ORDERS: &[Field] = &[Field::Reference, Field::Sku, Field::Quantity, Field::UnitPrice];
/// What stock cannot be counted without.
pub(super) const FOR_STOCK: &[Field] = &[Field::Sku, Field::Quantity];

/// Which column is what: `reference=InvoiceNo,sku=StockCode,…`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Mapping(Vec<(Field, String)>);

impl FromStr for Mapping {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut mapping = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, column) =
                part.split_once('=').ok_or_else(|| format!("{part:?} is not of the form field=Column"))?;
            let (name, column) = (name.trim(), column.trim());
            let Some((_, field)) = NAMES.iter().find(|(known, _)| *known == name) else {
                let known: Vec<_> = NAMES.iter().map(|(known, _)| *known).collect();
                return Err(format!("there is no field {name:?}; fields are {}", known.join(", ")));
            };
            if mapping.column(*field).is_some() {
                return Err(format!("{name} is mapped twice"));
            }
            if column.is_empty() {
                return Err(format!("{name} is mapped to nothing"));
            }
            mapping.0.push((*field, column.to_owned()));
        }
        Ok(mapping)
    }
}

impl Mapping {
    /// The column of `field`.
    pub fn column(&self, field: Field) -> Option<&str> {
        self.0.iter().find(|(mapped, _)| *mapped == field).map(|(_, column)| column.as_str())
    }
}

/// Where each field stands in a row.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Columns([Option<usize>; FIELDS]);

impl Columns {
    /// Finds the columns of `mapping` in the head of a file; `needed` ones must be mapped.
    pub(super) fn find(mapping: &Mapping, head: &ByteRecord, needed: &[Field]) -> Result<Self, InputError> {
        let mut columns = Self::default();
        for (name, field) in NAMES {
            let Some(column) = mapping.column(field) else {
                if needed.contains(&field) {
                    return Err(InputError::Unmapped { field: name, head: names(head) });
                }
                continue;
            };
            let found = head.iter().position(|name| name.trim_ascii() == column.as_bytes());
            if found.is_none() {
                return Err(InputError::NoColumn { column: column.to_owned(), head: names(head) });
            }
            columns.0[field as usize] = found;
        }
        Ok(columns)
    }

    /// The text of `field` in `record`, without blanks around it. Empty when there is none.
    pub(super) fn get<'r>(&self, field: Field, record: &'r ByteRecord) -> &'r [u8] {
        self.0[field as usize].and_then(|index| record.get(index)).unwrap_or_default().trim_ascii()
    }

    /// Whether `field` is mapped.
    pub(super) fn has(&self, field: Field) -> bool {
        self.0[field as usize].is_some()
    }
}

fn names(head: &ByteRecord) -> String {
    let names: Vec<_> = head.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_names_each_field_once() {
        let mapping: Mapping = "reference=InvoiceNo, sku=Stock Code,quantity=Quantity".parse().unwrap();
        assert_eq!(mapping.column(Field::Sku), Some("Stock Code"));
        assert_eq!(mapping.column(Field::Customer), None);
        for (text, why) in
            [("sku", "field=Column"), ("colour=X", "no field"), ("sku=A,sku=B", "twice"), ("sku=", "nothing")]
        {
            let error = text.parse::<Mapping>().unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn missing_columns_are_named_with_those_there_are() {
        let head = ByteRecord::from(vec!["InvoiceNo", " StockCode "]);
        let mapping: Mapping = "reference=InvoiceNo,sku=StockCode".parse().unwrap();
        let columns = Columns::find(&mapping, &head, &[Field::Sku]).unwrap();
        assert_eq!(columns.get(Field::Sku, &ByteRecord::from(vec!["1", " x "])), b"x");
        assert_eq!(columns.get(Field::Sku, &ByteRecord::from(vec!["1"])), b"");
        let error = Columns::find(&mapping, &head, FOR_ORDERS).unwrap_err();
        assert!(error.to_string().contains("quantity"), "{error}");
        let mapping: Mapping = "sku=Code".parse().unwrap();
        let error = Columns::find(&mapping, &head, &[Field::Sku]).unwrap_err();
        assert!(error.to_string().contains("InvoiceNo"), "{error}");
    }
}
