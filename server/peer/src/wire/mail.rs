//! Mail between shards.

use ordermill_delivery::Mail;
use ordermill_journal::Unreadable;

use super::action::{ActionWire, action_of, action_to};
use super::{present, short_of};

/// Mail, in order.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct MailWire {
    #[prost(message, repeated, tag = "1")]
    letters: Vec<LetterWire>,
}

/// One piece of mail.
#[derive(Clone, PartialEq, prost::Message)]
struct LetterWire {
    /// Tenant.
    #[prost(string, tag = "1")]
    tenant: String,
    /// The slot that it goes to.
    #[prost(uint32, tag = "2")]
    slot: u32,
    /// What the shard there shall do.
    #[prost(message, optional, tag = "3")]
    action: Option<ActionWire>,
    /// The sender's slot, when it waits for a note.
    #[prost(uint32, optional, tag = "4")]
    note_to: Option<u32>,
}

fn letter_of(wire: LetterWire) -> Result<Mail, Unreadable> {
    let what = "a piece of mail";
    Ok(Mail {
        tenant: wire.tenant.into(),
        slot: short_of(what, wire.slot)?,
        action: action_of(present(what, wire.action)?)?,
        note_to: wire.note_to.map(|slot| short_of(what, slot)).transpose()?,
    })
}

fn letter_to(mail: Mail) -> LetterWire {
    let Mail { tenant, slot, action, note_to } = mail;
    LetterWire {
        tenant: tenant.as_ref().to_owned(),
        slot: slot.into(),
        action: Some(action_to(action)),
        note_to: note_to.map(Into::into),
    }
}

/// The pieces that can be read, in order, and how many cannot: a newer version may send what this
/// one does not know, and sends it again.
pub(crate) fn mail_of(wire: MailWire) -> (Vec<Mail>, usize) {
    let all = wire.letters.len();
    let mail: Vec<Mail> = wire.letters.into_iter().filter_map(|letter| letter_of(letter).ok()).collect();
    let lost = all - mail.len();
    (mail, lost)
}

pub(crate) fn mail_to(mail: Vec<Mail>) -> MailWire {
    MailWire { letters: mail.into_iter().map(letter_to).collect() }
}
