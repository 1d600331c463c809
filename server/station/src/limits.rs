//! Every bound of the engine, in one place, with its unit and its reason.
//!
//! A bound that an operator may want to move is a setting of the same name; the constant here is
//! its default. Nothing else in the engine holds a number that limits something.

use std::time::Duration;

/// Lines of one order. Beyond this an order is a file: send it as several orders.
pub const LINES_PER_ORDER: usize = 2_000;
/// Units in one line: far above any real line, far below overflow when 2,000 of them are summed.
pub const QUANTITY_MAX: u64 = 1_000_000_000;
/// Largest amount, in minor units: 2^53 - 1, so that a JSON reader with doubles loses nothing.
pub const AMOUNT_MAX: u64 = 9_007_199_254_740_991;
/// Units of one item on hand or adjusted: the same reason as [`AMOUNT_MAX`].
pub const ON_HAND_MAX: u64 = 9_007_199_254_740_991;
/// Bytes of a customer, SKU, reference or idempotency key: they become keys in the store.
pub const IDENTIFIER_BYTES: usize = 128;
/// Bytes of a free text such as a tracking code or a reason.
pub const TEXT_BYTES: usize = 512;
/// Fulfilments, and returns, of one order: the order's row must stay small.
pub const STEPS_PER_ORDER: usize = 1_000;
/// Longest reservation: one year.
pub const RESERVATION_SECONDS_MAX: u64 = 366 * 24 * 3600;

/// Bytes of a request body (not of an import, which is a stream).
pub const BODY_BYTES: usize = 1 << 20;
/// Bytes of one line of an import: one order of 2,000 lines fits.
pub const IMPORT_LINE_BYTES: usize = 1 << 20;
/// Lines of an import that are parsed and submitted together.
pub const IMPORT_CHUNK_LINES: usize = 256;
/// Bytes of an import that are parsed and submitted together.
pub const IMPORT_CHUNK_BYTES: usize = 64 << 10;
/// Chunks of one import that may be under way: two keep parser and shard busy at once.
pub const IMPORT_CHUNKS_IN_FLIGHT: usize = 16;
/// Longest wait for the next bytes of a request's body.
pub const BODY_IDLE: Duration = Duration::from_secs(30);
/// Longest wait for a request's head.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// Connections served at once.
pub const CONNECTIONS: usize = 20_000;
/// Longest wait of a create for its settlement before it answers 202.
pub const SETTLE_WAIT: Duration = Duration::from_secs(30);
/// Longest graceful stop before connections are cut.
pub const DRAIN: Duration = Duration::from_secs(20);

/// Rows of one page unless asked otherwise.
pub const PAGE_DEFAULT: usize = 100;
/// Rows of one page at most.
pub const PAGE_MAX: usize = 1_000;
/// Rows that one request for a page may look at before it hands back a token.
pub const PAGE_ROWS_SCANNED: usize = 20_000;
/// Bytes of the records read for one page of the event feed.
pub const FEED_PAGE_BYTES: usize = 1 << 20;
/// Longest wait of the feed for something new before it sends a comment to keep the line open.
pub const FEED_KEEPALIVE: Duration = Duration::from_secs(15);

/// Commands waiting for one shard, per class.
pub const MAILBOX: usize = 16_384;
/// Messages between shards waiting for one shard: reserved room ahead of creates.
pub const MAILBOX_MESSAGES: usize = 65_536;
/// Commands of one batch.
pub const BATCH_COMMANDS: usize = 4_096;
/// Bytes at which a batch closes, measured command by command.
pub const BATCH_BYTES: usize = 256 << 10;
/// Bytes of one journal record: what a TiKV transaction of one mutation carries well.
pub const RECORD_BYTES: usize = 1 << 20;
/// Outbox rows of one shard above which creates are refused.
pub const OUTBOX_ROWS: usize = 100_000;
/// Backordered lines that one command may fill; the rest follow by timer.
pub const FILL_STEPS: usize = 256;
/// Orders of a customer that one credit may look at, newest first.
pub const CREDIT_ORDERS: usize = 5_000;
/// Timers that one tick turns into commands.
pub const TIMERS_PER_TICK: usize = 1_024;
/// How often a shard looks for timers that are due and messages to send again, and tries a flush
/// that has failed again.
pub const TICK: Duration = Duration::from_millis(500);
/// Age at which an unanswered message between shards is sent again.
pub const REDELIVER_AFTER: Duration = Duration::from_secs(2);
/// Rows one tick of the sweep may look at for expired idempotency keys and tombstones.
pub const SWEEP_ROWS: usize = 2_000;

/// Bytes of changed rows of one process that may wait for a flush before a flush begins.
pub const FLUSH_BYTES: usize = 48 << 20;
/// Bytes of changed rows above which shards that have more than their share take no more creates
/// until a flush ends, as a multiple of [`FLUSH_BYTES`].
pub const FLUSH_BACKLOG_FACTOR: usize = 3;
/// Longest time a changed row waits for a flush: bounds the replay after a crash.
pub const FLUSH_INTERVAL: Duration = Duration::from_secs(10);
/// Bytes of clean rows kept in memory by one process.
pub const CACHE_BYTES: u64 = 128 << 20;
/// Bytes of the row engine's block cache.
pub const ENGINE_CACHE_BYTES: u64 = 64 << 20;
/// Bytes of one segment of the embedded journal.
pub const SEGMENT_BYTES: u64 = 64 << 20;
/// Bytes of one block of the embedded journal: what is fsynced together.
pub const BLOCK_BYTES: usize = 8 << 20;
/// Free bytes below which the embedded store refuses writes.
pub const FREE_BYTES_MIN: u64 = 128 << 20;
/// How long journal records stay after the checkpoint: the event feed reaches back this far.
pub const JOURNAL_RETENTION: Duration = Duration::from_hours(24);
/// How long an idempotency key is remembered.
pub const IDEMPOTENCY_RETENTION: Duration = Duration::from_hours(24);

/// Queue delay above which creates are refused.
pub const SHED_CREATES: Duration = Duration::from_secs(1);
/// Queue delay above which steps of accepted orders are refused too.
pub const SHED_STEPS: Duration = Duration::from_secs(5);
/// What a refused client is told to wait.
pub const RETRY_AFTER_SECONDS: u64 = 1;

/// Slots of the partition space: fixed for ever, keys depend on it.
pub const SLOTS: u32 = 65_536;
/// Slots of a band: timers and outbox rows of a band lie together, so that finding what is due
/// takes one scan per band instead of one per slot.
pub const BAND_SLOTS: u32 = 1_024;
/// Shards of an embedded store unless asked otherwise (docs/decisions/0002-shard-count.md).
pub const SHARDS_DEFAULT: u32 = 1;

/// How often a member beats to the coordinator, and the coordinator renews its place in the store:
/// four lost in a row make a silence.
pub const BEAT: Duration = Duration::from_millis(250);
/// Shortest pause between two beats of a member that has news: news of one moment go together.
pub const BEAT_GAP: Duration = Duration::from_millis(20);
/// How often a member looks who coordinates: one small read each.
pub const LOOK: Duration = Duration::from_millis(200);
/// How long the coordinator's value must stand still before another takes its place, and how long a
/// coordinator keeps its place without a renewal.
pub const COORDINATOR_SILENCE: Duration = Duration::from_secs(1);
/// Silence after which a member counts as gone: four beats and some delay.
pub const MEMBER_SILENCE: Duration = Duration::from_millis(1_200);
/// How long a member may beat without reaching the store before it counts as gone: longer than a
/// silence, since what it serves may go on meanwhile.
pub const MEMBER_WITHOUT_STORE: Duration = Duration::from_secs(3);
/// Longest time between two successful calls that counts as time in which silence was heard: a
/// process that stood still has heard nothing.
pub const ATTENTION_GAP: Duration = Duration::from_millis(500);
/// Longest wait for one call of the coordination: a beat, or a small value of the store. Well below
/// [`COORDINATOR_SILENCE`], so that a coordinator is back in time when the store answers again.
pub const COORDINATION_DEADLINE: Duration = Duration::from_millis(400);
/// Pause after a call of the coordination that has failed.
pub const COORDINATION_RETRY: Duration = Duration::from_millis(100);
/// How often joining tries to read or make the map.
pub const JOIN_TRIES: u32 = 10;
/// How long a new coordinator waits before it gives away shards that nobody owns: members that start
/// together then share them.
pub const GATHER: Duration = Duration::from_millis(500);
/// Moves of shards under way at once: the rest of the shards serve undisturbed.
pub const MOVES_AT_ONCE: usize = 8;
/// How long a moved shard stays where it is, unless its owner is gone or drains.
pub const SETTLE: Duration = Duration::from_secs(10);
/// Share of its processors above which a member counts as overloaded, in thousandths.
pub const OVERLOAD_BUSY_PERMILLE: u32 = 700;
/// Queue delay above which a member counts as overloaded: far below [`SHED_CREATES`], so that shards
/// move before anything is refused.
pub const OVERLOAD_QUEUE_DELAY: Duration = Duration::from_millis(50);
/// Load of a member, in hundredths of the average, above which shards move for load.
pub const LOAD_SPREAD_PERCENT: u64 = 125;
/// What a move for load must take off the highest load, in hundredths of it.
pub const LOAD_GAIN_PERCENT: u64 = 15;
/// Beats over which a shard's load is smoothed: about four seconds of them.
pub const LOAD_BEATS: u64 = 16;
/// Members of a cluster: beats of more are not heard.
pub const MEMBERS: usize = 1_000;
/// Requests of administrators that wait for the coordinator's next map.
pub const ADMIN_WAITING: usize = 64;
/// Longest wait for the answer to a request of an administrator.
pub const ADMIN_DEADLINE: Duration = Duration::from_secs(5);
/// Pause between two questions for a newer map, while somebody waits for one.
pub const REFRESH_PAUSE: Duration = Duration::from_millis(50);
