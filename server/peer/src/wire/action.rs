//! Commands: a tenant, an idempotency key and an action. Also the messages between shards, which
//! are actions of the shard that they go to.

use ordermill_journal as stored;
use ordermill_journal::Unreadable;
use ordermill_order::hold::{Message, Report};
use ordermill_order::rows::{Timer, TimerKind};
use ordermill_order::{Action, Command};
use ordermill_shard::convert::{id_of, id_to, message_of, message_to};

use super::credit::{CreditWire, credit_of, credit_to};
use super::identity::{KeyWire, key_of, key_to};
use super::new_order::{NewOrderWire, new_order_of, new_order_to};
use super::step::{StepWire, step_of, step_to};
use super::{present, short_of, unreadable};

/// A command.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct CommandWire {
    /// Tenant.
    #[prost(string, tag = "1")]
    tenant: String,
    /// Idempotency key.
    #[prost(message, optional, tag = "2")]
    key: Option<KeyWire>,
    /// What to do.
    #[prost(message, optional, tag = "3")]
    action: Option<ActionWire>,
}

/// What a command does.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ActionWire {
    /// Exactly one.
    #[prost(oneof = "ActionKind", tags = "1, 2, 3, 4, 5, 6, 7, 8")]
    kind: Option<ActionKind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum ActionKind {
    #[prost(message, tag = "1")]
    Create(NewOrderWire),
    #[prost(message, tag = "2")]
    Step(StepWire),
    #[prost(message, tag = "3")]
    Credit(CreditWire),
    #[prost(message, tag = "4")]
    PutItem(PutItemWire),
    #[prost(message, tag = "5")]
    AdjustItem(AdjustItemWire),
    /// A claim or a report.
    #[prost(message, tag = "6")]
    Message(MessageWire),
    #[prost(message, tag = "7")]
    Noted(NotedWire),
    #[prost(message, tag = "8")]
    Timer(TimerWire),
}

/// An item that is set.
#[derive(Clone, PartialEq, prost::Message)]
struct PutItemWire {
    #[prost(string, tag = "1")]
    sku: String,
    #[prost(uint64, tag = "2")]
    on_hand: u64,
    #[prost(bool, tag = "3")]
    backorder: bool,
    #[prost(uint64, optional, tag = "4")]
    if_version: Option<u64>,
}

/// An item whose quantity changes.
#[derive(Clone, PartialEq, prost::Message)]
struct AdjustItemWire {
    #[prost(string, tag = "1")]
    sku: String,
    #[prost(sint64, tag = "2")]
    delta: i64,
}

/// A claim or a report, as an outbox stores it, with what stands in its key there.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct MessageWire {
    /// Order id, 16 bytes big-endian.
    #[prost(bytes = "vec", tag = "1")]
    order: Vec<u8>,
    /// Index of the line, from 0.
    #[prost(uint32, tag = "2")]
    line: u32,
    /// The message.
    #[prost(message, optional, tag = "3")]
    message: Option<stored::OutboxRow>,
}

/// A note that a report was heard.
#[derive(Clone, PartialEq, prost::Message)]
struct NotedWire {
    #[prost(uint32, tag = "1")]
    slot: u32,
    /// Order id, 16 bytes big-endian.
    #[prost(bytes = "vec", tag = "2")]
    order: Vec<u8>,
    #[prost(uint32, tag = "3")]
    line: u32,
    #[prost(uint32, tag = "4")]
    revision: u32,
}

/// A timer: exactly one of the last two.
#[derive(Clone, PartialEq, prost::Message)]
struct TimerWire {
    /// Milliseconds since the Unix epoch.
    #[prost(uint64, tag = "1")]
    due_ms: u64,
    #[prost(uint32, tag = "2")]
    slot: u32,
    /// Order whose reservation ends: its id, 16 bytes big-endian.
    #[prost(bytes = "vec", optional, tag = "3")]
    expire: Option<Vec<u8>>,
    /// Item whose backordered lines are filled: its SKU.
    #[prost(string, optional, tag = "4")]
    fill: Option<String>,
}

pub(super) fn command_of(wire: CommandWire) -> Result<Command, Unreadable> {
    Ok(Command {
        tenant: wire.tenant.into(),
        idempotency: wire.key.map(key_of).transpose()?,
        action: action_of(present("a command", wire.action)?)?,
    })
}

pub(super) fn command_to(command: Command) -> CommandWire {
    let Command { tenant, idempotency, action } = command;
    CommandWire { tenant: tenant.as_ref().to_owned(), key: idempotency.map(key_to), action: Some(action_to(action)) }
}

pub(super) fn action_of(wire: ActionWire) -> Result<Action, Unreadable> {
    let what = "an action";
    Ok(match present(what, wire.kind)? {
        ActionKind::Create(new) => Action::Create(Box::new(new_order_of(new)?)),
        ActionKind::Step(step) => {
            let (id, if_version, step) = step_of(step)?;
            Action::Step { id, if_version, step }
        }
        ActionKind::Credit(credit) => Action::Credit(Box::new(credit_of(credit)?)),
        ActionKind::PutItem(PutItemWire { sku, on_hand, backorder, if_version }) => {
            Action::PutItem { sku: sku.into(), on_hand, backorder, if_version }
        }
        ActionKind::AdjustItem(AdjustItemWire { sku, delta }) => Action::AdjustItem { sku: sku.into(), delta },
        ActionKind::Message(wire) => match between_shards_of(wire)? {
            Message::Claim(claim) => Action::Claim(claim),
            Message::Report(report) => Action::Report(report),
        },
        ActionKind::Noted(NotedWire { slot, order, line, revision }) => Action::Noted {
            slot: short_of(what, slot)?,
            order: id_of(what, &order)?,
            line: short_of(what, line)?,
            revision,
        },
        ActionKind::Timer(timer) => Action::Timer(timer_of(timer)?),
    })
}

pub(super) fn action_to(action: Action) -> ActionWire {
    let kind = match action {
        Action::Create(new) => ActionKind::Create(new_order_to(*new)),
        Action::Step { id, if_version, step } => ActionKind::Step(step_to(id, if_version, step)),
        Action::Credit(credit) => ActionKind::Credit(credit_to(*credit)),
        Action::PutItem { sku, on_hand, backorder, if_version } => {
            ActionKind::PutItem(PutItemWire { sku: sku.into(), on_hand, backorder, if_version })
        }
        Action::AdjustItem { sku, delta } => ActionKind::AdjustItem(AdjustItemWire { sku: sku.into(), delta }),
        Action::Claim(claim) => ActionKind::Message(between_shards_to(&Message::Claim(claim))),
        Action::Report(report) => ActionKind::Message(between_shards_to(&Message::Report(report))),
        Action::Noted { slot, order, line, revision } => {
            ActionKind::Noted(NotedWire { slot: slot.into(), order: id_to(order), line: line.into(), revision })
        }
        Action::Timer(timer) => ActionKind::Timer(timer_to(timer)),
    };
    ActionWire { kind: Some(kind) }
}

fn between_shards_of(wire: MessageWire) -> Result<Message, Unreadable> {
    let what = "a message between shards";
    message_of(id_of(what, &wire.order)?, short_of(what, wire.line)?, present(what, wire.message)?)
}

fn between_shards_to(message: &Message) -> MessageWire {
    MessageWire { order: id_to(message.order()), line: message.line().into(), message: Some(message_to(message)) }
}

pub(super) fn report_of(wire: MessageWire) -> Result<Report, Unreadable> {
    match between_shards_of(wire)? {
        Message::Report(report) => Ok(report),
        Message::Claim(_) => Err(unreadable("a report", "it is a claim")),
    }
}

pub(super) fn report_to(report: Report) -> MessageWire {
    between_shards_to(&Message::Report(report))
}

fn timer_of(wire: TimerWire) -> Result<Timer, Unreadable> {
    let what = "a timer";
    let kind = match (wire.expire, wire.fill) {
        (Some(id), None) => TimerKind::Expire(id_of(what, &id)?),
        (None, Some(sku)) => TimerKind::Fill(sku.into()),
        _ => return Err(unreadable(what, "this version does not know its kind")),
    };
    Ok(Timer { due_ms: wire.due_ms, slot: short_of(what, wire.slot)?, what: kind })
}

fn timer_to(timer: Timer) -> TimerWire {
    let Timer { due_ms, slot, what } = timer;
    let (expire, fill) = match what {
        TimerKind::Expire(id) => (Some(id_to(id)), None),
        TimerKind::Fill(sku) => (None, Some(sku.into())),
    };
    TimerWire { due_ms, slot: slot.into(), expire, fill }
}
