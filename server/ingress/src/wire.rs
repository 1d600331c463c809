//! What requests say, borrowed from their bodies.
//!
//! The same words as `ordermill-api`, read more strictly than a derive would: objects only as
//! objects (never as arrays), unknown and repeated fields refused, numbers only as whole numbers.
//! Whether the values make sense is decided in [`crate::convert`].

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

/// A text, borrowed unless it was written with escapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor<'a>(PhantomData<Text<'a>>);

        impl<'de: 'a, 'a> Visitor<'de> for TextVisitor<'a> {
            type Value = Text<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'a>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'a>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(TextVisitor(PhantomData))
    }
}

/// A whole number that is not negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Whole(pub(crate) u64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WholeVisitor;

        impl Visitor<'_> for WholeVisitor {
            type Value = Whole;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number that is not negative")
            }

            fn visit_u64<E>(self, number: u64) -> Result<Whole, E> {
                Ok(Whole(number))
            }
        }

        deserializer.deserialize_u64(WholeVisitor)
    }
}

/// A whole number that may be negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signed(pub(crate) i64);

impl<'de> Deserialize<'de> for Signed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SignedVisitor;

        impl Visitor<'_> for SignedVisitor {
            type Value = Signed;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }

            fn visit_i64<E>(self, number: i64) -> Result<Signed, E> {
                Ok(Signed(number))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Signed, E> {
                let too_large = |_| E::invalid_value(de::Unexpected::Unsigned(number), &self);
                i64::try_from(number).map(Signed).map_err(too_large)
            }
        }

        deserializer.deserialize_i64(SignedVisitor)
    }
}

/// What a field may do when it is missing: be refused, or be absent.
trait Part: Sized {
    fn missing<E: de::Error>(name: &'static str) -> Result<Self, E> {
        Err(E::missing_field(name))
    }
}

impl Part for Text<'_> {}
impl Part for Whole {}
impl Part for Signed {}
impl<T> Part for Vec<T> {}
impl<T> Part for Option<T> {
    fn missing<E: de::Error>(_: &'static str) -> Result<Self, E> {
        Ok(None)
    }
}

macro_rules! objects {
    ($($(#[$doc:meta])* $name:ident { $($word:literal => $field:ident: $type:ty,)+ })+) => { $(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub(crate) struct $name<'a> {
            $(pub(crate) $field: $type,)+
            _body: PhantomData<&'a [u8]>,
        }

        impl<'de: 'a, 'a> Deserialize<'de> for $name<'a> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Fields<'a>(PhantomData<&'a [u8]>);

                impl<'de: 'a, 'a> Visitor<'de> for Fields<'a> {
                    type Value = $name<'a>;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("an object")
                    }

                    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<$name<'a>, M::Error> {
                        $(let mut $field: Option<$type> = None;)+
                        while let Some(word) = map.next_key::<Text<'de>>()? {
                            match &*word {
                                $($word if $field.is_none() => $field = Some(map.next_value()?),)+
                                $($word => return Err(de::Error::duplicate_field($word)),)+
                                unknown => return Err(de::Error::unknown_field(unknown, &[$($word),+])),
                            }
                        }
                        Ok($name {
                            $($field: match $field { Some(value) => value, None => Part::missing($word)? },)+
                            _body: PhantomData,
                        })
                    }
                }

                deserializer.deserialize_map(Fields(PhantomData))
            }
        }
    )+ };
}

objects! {
    /// An amount of money.
    Money {
        "amount" => amount: Whole,
        "currency" => currency: Text<'a>,
    }

    /// A line of a new order or of a credit; only the former has a price.
    Line {
        "sku" => sku: Text<'a>,
        "quantity" => quantity: Whole,
        "unit_price" => unit_price: Option<Money<'a>>,
    }

    /// A new order.
    Order {
        "customer" => customer: Option<Text<'a>>,
        "reference" => reference: Option<Text<'a>>,
        "lines" => lines: Vec<Line<'a>>,
        "payment_terms" => payment_terms: Option<Text<'a>>,
        "expires_in_seconds" => expires_in_seconds: Option<Whole>,
    }

    /// A line of an import: an order or a credit.
    ImportLine {
        "type" => kind: Option<Text<'a>>,
        "customer" => customer: Option<Text<'a>>,
        "reference" => reference: Text<'a>,
        "lines" => lines: Vec<Line<'a>>,
        "payment_terms" => payment_terms: Option<Text<'a>>,
        "expires_in_seconds" => expires_in_seconds: Option<Whole>,
        "fulfilled" => fulfilled: Option<bool>,
        "placed_at" => placed_at: Option<Text<'a>>,
        "restock" => restock: Option<bool>,
    }

    /// A wish to cancel.
    Cancellation {
        "reason" => reason: Option<Text<'a>>,
    }

    /// Something that happened to a payment.
    Payment {
        "action" => action: Text<'a>,
        "amount" => amount: Option<Money<'a>>,
    }

    /// Units of a line in a fulfilment or return.
    LineUnits {
        "line" => line: Whole,
        "quantity" => quantity: Whole,
    }

    /// A shipment.
    Fulfillment {
        "lines" => lines: Option<Vec<LineUnits<'a>>>,
        "tracking" => tracking: Option<Text<'a>>,
    }

    /// A return.
    Return {
        "lines" => lines: Option<Vec<LineUnits<'a>>>,
        "restock" => restock: Option<bool>,
        "reason" => reason: Option<Text<'a>>,
    }

    /// An item as it should be.
    PutItem {
        "on_hand" => on_hand: Whole,
        "backorder" => backorder: Option<bool>,
    }

    /// Where a shard shall go.
    MoveShard {
        "to" => to: Text<'a>,
    }

    /// Where a shard shall be split.
    SplitShard {
        "at" => at: Option<Whole>,
    }

    /// How much may change by itself.
    ChangeRebalancing {
        "policy" => policy: Option<Text<'a>>,
        "moves_at_once" => moves_at_once: Option<Whole>,
    }

    /// The format that the store shall be in.
    RaiseFormat {
        "format" => format: Whole,
    }

    /// A change of an item's quantity.
    Adjustment {
        "delta" => delta: Signed,
        "reason" => reason: Option<Text<'a>>,
    }
}

/// An object that says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Nothing;

impl<'de> Deserialize<'de> for Nothing {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NothingVisitor;

        impl<'de> Visitor<'de> for NothingVisitor {
            type Value = Nothing;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object without fields")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Nothing, M::Error> {
                match map.next_key::<Text<'de>>()? {
                    Some(unknown) => Err(de::Error::unknown_field(&unknown, &[])),
                    None => Ok(Nothing),
                }
            }
        }

        deserializer.deserialize_map(NothingVisitor)
    }
}

impl<'a> Order<'a> {
    /// An order that was read as something larger.
    pub(crate) fn new(
        customer: Option<Text<'a>>,
        reference: Option<Text<'a>>,
        lines: Vec<Line<'a>>,
        payment_terms: Option<Text<'a>>,
        expires_in_seconds: Option<Whole>,
    ) -> Self {
        Self { customer, reference, lines, payment_terms, expires_in_seconds, _body: PhantomData }
    }
}
