//! Beats and requests as they travel between members, and their conversions.
//!
//! Protobuf messages: members of two builds understand each other during an upgrade, so numbers are never
//! reused and unknown fields are skipped. The only file that knows both forms.

use std::time::Duration;

use bytes::Bytes;
use ordermill_store::ShardId;
use prost::Message as _;

use crate::admin::{Reply, Request};
use crate::beat::{Answer, Beat};
use crate::election::Coordinator;
use crate::map::{Formats, Incarnation, Levelling, Member};
use crate::overview::{Heard, Told};
use crate::report::{ProcessReport, ShardReport, ShardState};

#[derive(Clone, PartialEq, prost::Message)]
struct BeatMessage {
    #[prost(fixed64, tag = "1")]
    incarnation: u64,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, tag = "3")]
    address: String,
    #[prost(uint32, tag = "4")]
    format_min: u32,
    #[prost(uint32, tag = "5")]
    format_max: u32,
    #[prost(bool, tag = "6")]
    draining: bool,
    #[prost(bool, tag = "7")]
    leaving: bool,
    #[prost(bool, tag = "8")]
    was_draining: bool,
    #[prost(bool, tag = "9")]
    was_cordoned: bool,
    #[prost(uint64, tag = "10")]
    map_version: u64,
    #[prost(uint64, tag = "11")]
    term: u64,
    #[prost(uint64, tag = "12")]
    store_silence_ms: u64,
    #[prost(message, repeated, tag = "13")]
    shards: Vec<ShardMessage>,
    #[prost(uint32, tag = "14")]
    busy_permille: u32,
    #[prost(uint64, tag = "15")]
    queue_delay_us: u64,
    #[prost(uint32, tag = "16")]
    moves: u32,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct ShardMessage {
    #[prost(uint32, tag = "1")]
    shard: u32,
    /// 0: starting; 1: serving; 2: stopping; 3: sealed.
    #[prost(uint32, tag = "2")]
    state: u32,
    #[prost(uint64, tag = "3")]
    epoch: u64,
    #[prost(uint64, tag = "4")]
    committed: u64,
    #[prost(uint64, tag = "5")]
    checkpoint_lag: u64,
    #[prost(uint64, tag = "6")]
    queue_delay_us: u64,
    #[prost(uint64, tag = "7")]
    commands_per_s: u64,
    #[prost(uint64, tag = "8")]
    unflushed_bytes: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct CoordinatorMessage {
    #[prost(uint64, tag = "1")]
    term: u64,
    #[prost(fixed64, tag = "2")]
    incarnation: u64,
    #[prost(string, tag = "3")]
    address: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct AnswerMessage {
    /// 0: elsewhere; 1: heard; 2: unfit.
    #[prost(uint32, tag = "1")]
    kind: u32,
    #[prost(uint64, tag = "2")]
    term: u64,
    #[prost(uint64, tag = "3")]
    version: u64,
    #[prost(bytes = "bytes", optional, tag = "4")]
    map: Option<Bytes>,
    #[prost(uint32, tag = "5")]
    format: u32,
    #[prost(message, optional, tag = "6")]
    coordinator: Option<CoordinatorMessage>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct RequestMessage {
    /// 1: drain; 2: cordon; 3: uncordon; 4: move; 5: rebalance; 6: raise the format; 7: an overview, which
    /// changes nothing; 8: split; 9: how much may change by itself.
    #[prost(uint32, tag = "1")]
    kind: u32,
    #[prost(fixed64, tag = "2")]
    member: u64,
    #[prost(uint32, tag = "3")]
    shard: u32,
    #[prost(uint32, tag = "4")]
    format: u32,
    #[prost(uint32, optional, tag = "5")]
    at: Option<u32>,
    #[prost(uint32, optional, tag = "6")]
    levelling: Option<u32>,
    #[prost(uint32, optional, tag = "7")]
    moves_at_once: Option<u32>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ReplyMessage {
    /// 0: elsewhere; 1: done; 2: refused; 3: unavailable; 4: an overview.
    #[prost(uint32, tag = "1")]
    kind: u32,
    #[prost(uint64, tag = "2")]
    version: u64,
    #[prost(string, tag = "3")]
    text: String,
    #[prost(message, optional, tag = "4")]
    coordinator: Option<CoordinatorMessage>,
    #[prost(bytes = "bytes", tag = "5")]
    map: Bytes,
    #[prost(message, repeated, tag = "6")]
    heard: Vec<HeardMessage>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct HeardMessage {
    #[prost(fixed64, tag = "1")]
    member: u64,
    #[prost(uint64, tag = "2")]
    ago_ms: u64,
    #[prost(message, repeated, tag = "3")]
    shards: Vec<ShardMessage>,
    #[prost(uint32, tag = "4")]
    busy_permille: u32,
    #[prost(uint64, tag = "5")]
    queue_delay_us: u64,
    #[prost(uint32, tag = "6")]
    moves: u32,
}

/// The kind of request that asks for an overview.
const OVERVIEW: u32 = 7;

/// The request for an overview.
pub(crate) fn ask_for_overview() -> Bytes {
    RequestMessage { kind: OVERVIEW, ..RequestMessage::default() }.encode_to_vec().into()
}

/// Whether `body` is the request for an overview.
pub(crate) fn asks_for_overview(body: &Bytes) -> bool {
    RequestMessage::decode(body.clone()).is_ok_and(|message| message.kind == OVERVIEW)
}

fn heard_message(heard: Heard) -> HeardMessage {
    HeardMessage {
        member: heard.member.0,
        ago_ms: heard.ago.as_millis() as u64,
        shards: heard.shards.iter().map(shard_message).collect(),
        busy_permille: heard.process.busy_permille,
        queue_delay_us: micros(heard.process.queue_delay),
        moves: heard.process.moves,
    }
}

fn heard(message: HeardMessage) -> Heard {
    Heard {
        member: Incarnation(message.member),
        ago: Duration::from_millis(message.ago_ms),
        shards: message.shards.into_iter().map(shard_report).collect(),
        process: ProcessReport {
            busy_permille: message.busy_permille,
            queue_delay: Duration::from_micros(message.queue_delay_us),
            moves: message.moves,
        },
    }
}

fn micros(time: Duration) -> u64 {
    time.as_micros() as u64
}

fn shard_message(report: &ShardReport) -> ShardMessage {
    ShardMessage {
        shard: report.shard.0,
        state: match report.state {
            ShardState::Starting => 0,
            ShardState::Serving => 1,
            ShardState::Stopping => 2,
            ShardState::Sealed => 3,
        },
        epoch: report.epoch,
        committed: report.committed,
        checkpoint_lag: report.checkpoint_lag,
        queue_delay_us: micros(report.queue_delay),
        commands_per_s: report.commands_per_s,
        unflushed_bytes: report.unflushed_bytes,
    }
}

fn shard_report(message: ShardMessage) -> ShardReport {
    ShardReport {
        shard: ShardId(message.shard),
        state: match message.state {
            1 => ShardState::Serving,
            2 => ShardState::Stopping,
            3 => ShardState::Sealed,
            // A state of a later build, too, means that the shard does not serve yet.
            _ => ShardState::Starting,
        },
        epoch: message.epoch,
        committed: message.committed,
        checkpoint_lag: message.checkpoint_lag,
        queue_delay: Duration::from_micros(message.queue_delay_us),
        commands_per_s: message.commands_per_s,
        unflushed_bytes: message.unflushed_bytes,
    }
}

fn coordinator_message(coordinator: Coordinator) -> CoordinatorMessage {
    let Coordinator { term, incarnation, address } = coordinator;
    CoordinatorMessage { term, incarnation: incarnation.0, address }
}

fn coordinator(message: CoordinatorMessage) -> Coordinator {
    let CoordinatorMessage { term, incarnation, address } = message;
    Coordinator { term, incarnation: Incarnation(incarnation), address }
}

impl Beat {
    pub(crate) fn encode(&self) -> Bytes {
        let message = BeatMessage {
            incarnation: self.member.incarnation.0,
            name: self.member.name.clone(),
            address: self.member.address.clone(),
            format_min: self.member.formats.min,
            format_max: self.member.formats.max,
            draining: self.draining,
            leaving: self.leaving,
            was_draining: self.was_draining,
            was_cordoned: self.was_cordoned,
            map_version: self.map_version,
            term: self.term,
            store_silence_ms: self.store_silence.as_millis() as u64,
            shards: self.shards.iter().map(shard_message).collect(),
            busy_permille: self.process.busy_permille,
            queue_delay_us: micros(self.process.queue_delay),
            moves: self.process.moves,
        };
        message.encode_to_vec().into()
    }

    pub(crate) fn decode(bytes: Bytes) -> Option<Self> {
        let message = BeatMessage::decode(bytes).ok().filter(|message| message.incarnation != 0)?;
        let formats = Formats { min: message.format_min, max: message.format_max };
        let (incarnation, name, address) = (Incarnation(message.incarnation), message.name, message.address);
        Some(Self {
            member: Member { incarnation, name, address, formats },
            draining: message.draining,
            leaving: message.leaving,
            was_draining: message.was_draining,
            was_cordoned: message.was_cordoned,
            map_version: message.map_version,
            term: message.term,
            store_silence: Duration::from_millis(message.store_silence_ms),
            shards: message.shards.into_iter().map(shard_report).collect(),
            process: ProcessReport {
                busy_permille: message.busy_permille,
                queue_delay: Duration::from_micros(message.queue_delay_us),
                moves: message.moves,
            },
        })
    }
}

impl Answer {
    pub(crate) fn encode(self) -> Bytes {
        let message = match self {
            Self::Elsewhere(known) => {
                AnswerMessage { coordinator: known.map(coordinator_message), ..AnswerMessage::default() }
            }
            Self::Heard { term, version, map } => {
                AnswerMessage { kind: 1, term, version, map, ..AnswerMessage::default() }
            }
            Self::Unfit { format } => AnswerMessage { kind: 2, format, ..AnswerMessage::default() },
        };
        message.encode_to_vec().into()
    }

    pub(crate) fn decode(bytes: Bytes) -> Option<Self> {
        let message = AnswerMessage::decode(bytes).ok()?;
        Some(match message.kind {
            0 => Self::Elsewhere(message.coordinator.map(coordinator)),
            1 => Self::Heard { term: message.term, version: message.version, map: message.map },
            2 => Self::Unfit { format: message.format },
            _ => return None,
        })
    }
}

impl Request {
    pub(crate) fn encode(self) -> Bytes {
        let none = RequestMessage::default();
        let message = match self {
            Self::Drain(member) => RequestMessage { kind: 1, member: member.0, ..none },
            Self::Cordon(member) => RequestMessage { kind: 2, member: member.0, ..none },
            Self::Uncordon(member) => RequestMessage { kind: 3, member: member.0, ..none },
            Self::Move { shard, to } => RequestMessage { kind: 4, member: to.0, shard: shard.0, ..none },
            Self::Rebalance => RequestMessage { kind: 5, ..none },
            Self::RaiseFormat(format) => RequestMessage { kind: 6, format, ..none },
            Self::Rebalancing { levelling, moves_at_once } => {
                let levelling = levelling.map(Levelling::number);
                RequestMessage { kind: 9, levelling, moves_at_once, ..none }
            }
            Self::Split { shard, at } => RequestMessage { kind: 8, shard: shard.0, at: at.map(u32::from), ..none },
        };
        message.encode_to_vec().into()
    }

    pub(crate) fn decode(bytes: Bytes) -> Option<Self> {
        let message = RequestMessage::decode(bytes).ok()?;
        let RequestMessage { kind, member, shard, format, at, levelling, moves_at_once } = message;
        let member = Incarnation(member);
        Some(match kind {
            1 => Self::Drain(member),
            2 => Self::Cordon(member),
            3 => Self::Uncordon(member),
            4 => Self::Move { shard: ShardId(shard), to: member },
            5 => Self::Rebalance,
            6 => Self::RaiseFormat(format),
            8 => Self::Split { shard: ShardId(shard), at: at.map(u16::try_from).transpose().ok()? },
            9 => {
                // Another one of a later build cannot be carried out.
                let levelling = match levelling {
                    Some(number) => Some(Levelling::numbered(number)?),
                    None => None,
                };
                Self::Rebalancing { levelling, moves_at_once }
            }
            _ => return None,
        })
    }
}

impl Reply {
    pub(crate) fn encode(self) -> Bytes {
        let none = ReplyMessage::default();
        let message = match self {
            Self::Elsewhere(known) => ReplyMessage { coordinator: known.map(coordinator_message), ..none },
            Self::Done { version } => ReplyMessage { kind: 1, version, ..none },
            Self::Refused(text) => ReplyMessage { kind: 2, text, ..none },
            Self::Unavailable(text) => ReplyMessage { kind: 3, text, ..none },
            Self::Overview(Told { coordinator, map, heard }) => ReplyMessage {
                kind: 4,
                coordinator: Some(coordinator_message(coordinator)),
                map,
                heard: heard.into_iter().map(heard_message).collect(),
                ..none
            },
        };
        message.encode_to_vec().into()
    }

    pub(crate) fn decode(bytes: Bytes) -> Option<Self> {
        let message = ReplyMessage::decode(bytes).ok()?;
        Some(match message.kind {
            0 => Self::Elsewhere(message.coordinator.map(coordinator)),
            1 => Self::Done { version: message.version },
            2 => Self::Refused(message.text),
            3 => Self::Unavailable(message.text),
            4 => Self::Overview(Told {
                coordinator: coordinator(message.coordinator?),
                map: message.map,
                heard: message.heard.into_iter().map(heard).collect(),
            }),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat() -> Beat {
        let formats = Formats { min: 1, max: 2 };
        let shard = ShardReport {
            shard: ShardId(3),
            state: ShardState::Serving,
            epoch: 4,
            committed: 5,
            checkpoint_lag: 6,
            queue_delay: Duration::from_micros(7),
            commands_per_s: 8,
            unflushed_bytes: 9,
        };
        Beat {
            member: Member { incarnation: Incarnation(1), name: "n".into(), address: "a".into(), formats },
            draining: true,
            leaving: false,
            was_draining: true,
            was_cordoned: false,
            map_version: 10,
            term: 11,
            store_silence: Duration::from_millis(12),
            shards: vec![shard],
            process: ProcessReport { busy_permille: 13, queue_delay: Duration::from_micros(14), moves: 15 },
        }
    }

    #[test]
    fn golden_bytes() {
        // Builds of two versions talk to each other: a change here is a change of the protocol.
        let hex: String = beat().encode().iter().map(|byte| format!("{byte:02x}")).collect();
        let shard = "08031001180420052806300738084009";
        let expected = format!("09010000000000000012016e1a01612001280230014001500a580b600c6a10{shard}700d780e80010f");
        assert_eq!(hex, expected);
    }

    #[test]
    fn everything_comes_back_as_it_was() {
        assert_eq!(Beat::decode(beat().encode()), Some(beat()));
        let known = Coordinator { term: 4, incarnation: Incarnation(5), address: "b".into() };
        let map = Some(Bytes::from_static(b"map"));
        let answers = [
            Answer::Elsewhere(None),
            Answer::Elsewhere(Some(known.clone())),
            Answer::Heard { term: 1, version: 2, map },
            Answer::Unfit { format: 3 },
        ];
        answers.into_iter().for_each(|one| assert_eq!(Answer::decode(one.clone().encode()), Some(one)));
        let member = Incarnation(9);
        let requests = [
            Request::Drain(member),
            Request::Cordon(member),
            Request::Uncordon(member),
            Request::Move { shard: ShardId(2), to: member },
            Request::Rebalance,
            Request::RaiseFormat(7),
            Request::Rebalancing { levelling: Some(Levelling::Paused), moves_at_once: None },
            Request::Rebalancing { levelling: None, moves_at_once: Some(3) },
            Request::Split { shard: ShardId(2), at: None },
            Request::Split { shard: ShardId(2), at: Some(0) },
        ];
        requests.into_iter().for_each(|one| assert_eq!(Request::decode(one.encode()), Some(one)));
        let process = ProcessReport { busy_permille: 1, queue_delay: Duration::from_micros(2), moves: 3 };
        let told = Heard { member, ago: Duration::from_millis(4), shards: beat().shards, process };
        let overview = Told { coordinator: known.clone(), map: Bytes::from_static(b"map"), heard: vec![told] };
        let replies = [
            Reply::Overview(overview),
            Reply::Elsewhere(Some(known)),
            Reply::Done { version: 3 },
            Reply::Refused("no".into()),
            Reply::Unavailable("later".into()),
        ];
        replies.into_iter().for_each(|one| assert_eq!(Reply::decode(one.clone().encode()), Some(one)));
        assert!(asks_for_overview(&ask_for_overview()) && !asks_for_overview(&Request::Rebalance.encode()));
    }

    #[test]
    fn what_is_no_beat_is_not_taken_for_one() {
        assert_eq!(Beat::decode(Bytes::from_static(b"\xff\xff")), None);
        assert_eq!(Beat::decode(Bytes::new()), None, "nobody has no incarnation");
    }
}
