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
/// How long connections on which nothing runs stay open when a server stops: what a client sends just then is answered.
pub const PARTING: Duration = Duration::from_secs(1);
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
/// Bytes of a journal that are read for an event that is wanted, ...
pub const FEED_EVENT_BYTES: usize = 2 << 10;
/// ... and for a few of them at least.
pub const FEED_READ_BYTES: usize = 16 << 10;
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
/// Rows one look of the sweep shows of those that may be expired idempotency keys and tombstones.
pub const SWEEP_ROWS: usize = 2_000;
/// Ticks of one pass of the sweep over all slots of a shard, about four hours: what may be forgotten is
/// kept so much longer, and a store that is asked over a network is asked seldom.
pub const SWEEP_TICKS: u32 = 28_800;

/// Bytes of changed rows of one process that may wait for a flush before a flush begins.
pub const FLUSH_BYTES: usize = 48 << 20;
/// Bytes of changed rows above which shards that have more than their share take no more creates
/// until a flush ends, as a multiple of [`FLUSH_BYTES`].
pub const FLUSH_BACKLOG_FACTOR: usize = 3;
/// Changed rows above which they are sorted on a thread of their own: fewer take less time than the way there.
pub const SORT_ASIDE_ROWS: usize = 1_000;
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
/// Shards that a cluster can have had in all: one of every slot, and all from which those were split.
pub const SHARD_IDS: u32 = 2 * SLOTS;
/// Slots of a band: timers and outbox rows of a band lie together, so that finding what is due
/// takes one scan per band instead of one per slot.
pub const BAND_SLOTS: u32 = 1_024;
/// Shards of an embedded store unless asked otherwise (docs/decisions/0002-shard-count.md).
pub const SHARDS_DEFAULT: u32 = 1;

/// Longest wait for one call of a shared store's service. What was sent may go on all the same.
pub const STORE_CALL: Duration = Duration::from_secs(5);
/// Longest wait for a call that collects garbage, which visits every region.
pub const STORE_GARBAGE_CALL: Duration = Duration::from_mins(10);
/// How long a shared store tries again what fails before it says so: longer than electing a leader takes.
pub const STORE_PATIENCE: Duration = Duration::from_secs(15);
/// How long a shared store looks for evidence of a write that it has sent before it says that the outcome
/// is unknown: the shard then stops, which costs more than waiting.
pub const STORE_EVIDENCE: Duration = Duration::from_secs(30);
/// Pause of a shared store before it tries again, at first; it doubles.
pub const STORE_BACKOFF: Duration = Duration::from_millis(5);
/// Longest pause of a shared store before it tries again.
pub const STORE_BACKOFF_MAX: Duration = Duration::from_millis(500);
/// Age above which a timestamp that was taken in advance is dropped.
pub const STORE_TIMESTAMP_AGE: Duration = Duration::from_secs(1);
/// Age of the last evidence that a number is free above which the trim mark is asked too: a number is
/// free again once its record was trimmed.
pub const STORE_SLOW: Duration = Duration::from_secs(10);
/// How long an owner deletes no records after it has taken over: twice [`STORE_SLOW`], so that whoever
/// still tries to write one of their numbers asks the trim mark first.
pub const STORE_TRIM_AFTER: Duration = Duration::from_secs(20);
/// Looks that meet a gap in a journal, each at a new timestamp, before it counts as damage.
pub const STORE_GAP_LOOKS: u32 = 8;
/// Records of a page that is read from a shared store while their size is not known: three of the
/// largest stay below the 4 MiB that an answer may have.
pub const STORE_PAGE_RECORDS: u32 = 3;
/// Records of such a page at most.
pub const STORE_PAGE_RECORDS_MAX: u32 = 128;
/// Bytes that such a page is meant to have, by the largest record seen so far.
pub const STORE_PAGE_BYTES: usize = 1 << 20;
/// Rows that are read from a shared store with one call: most are below 1 KiB, so an answer stays below
/// 4 MiB. Where it does not, fewer are read.
pub const STORE_ROWS: usize = 256;
/// Bytes of keys and values of a transaction with several rows: above 16,384 it would need two phases.
pub const STORE_FLUSH_BYTES: usize = 16_000;
/// Slots that share a flush number, and whose rows a transaction may hold together; a power of two. Stored keys
/// depend on it. More would need fewer transactions, as long as all these slots lie in one region: they do up
/// to some 256 GB in all, at 256 MB a region.
pub const STORE_FLUSH_SLOTS: u32 = 64;
/// Transactions of a flush, and calls that read them back, that are under way at once.
pub const STORE_FLUSH_IN_FLIGHT: usize = 16;
/// Transactions of a flush for which the guard is read once.
pub const STORE_FLUSH_ROUND: usize = 64;
/// Records that one transaction deletes.
pub const STORE_TRIM_RECORDS: u64 = 64;
/// Bytes of a coordination value: what is larger is none.
pub const STORE_VALUE_BYTES: usize = 1 << 20;
/// Bytes of a coordination value's name: it is part of a key.
pub const STORE_NAME_BYTES: usize = 1 << 10;
/// Age at least of what a shared store lets its service forget: whoever was away for longer has to end.
pub const STORE_GARBAGE_LAG: Duration = Duration::from_hours(1);
/// Rows of a page of a move from one store to another: some hundred KiB, and hundreds of transactions.
pub const MIGRATE_ROWS: usize = 4_096;
/// Calls without an answer, one after another, after which the connection is made anew ...
pub const STORE_RECONNECT_AFTER: u32 = 6;
/// ... or how long a work has had no answer, whatever others have: one server of several may be gone, and PD always
/// answers. Longer than a new leader of a region takes, and than one call may wait ...
pub const STORE_RECONNECT_LATE: Duration = Duration::from_secs(6);
/// ... which such a work waits for no longer than this ...
pub const STORE_RECONNECT_WAIT: Duration = Duration::from_secs(1);
/// ... at most this often.
pub const STORE_RECONNECT_PAUSE: Duration = Duration::from_secs(5);
/// Bytes of one frame between members: the largest order, a chunk of an import or a page of rows fits.
/// A page that is larger is cut; anything else is refused.
pub const PEER_FRAME_BYTES: usize = 8 << 20;
/// Bytes of the first frame of a connection between members, before it is known who speaks.
pub const PEER_HELLO_BYTES: usize = 4 << 10;
/// Requests of one connection between members that have no answer yet: two seconds' worth of what a
/// member passes on at peak; beyond that the other side is the bottleneck and callers hear `Busy`.
pub const PEER_IN_FLIGHT: usize = 8_192;
/// Beats and administration in flight beyond [`PEER_IN_FLIGHT`]: a busy member is not a dead one.
pub const PEER_IN_FLIGHT_URGENT: usize = 64;
/// Bytes of requests, or of answers, that wait to be written to one connection between members.
pub const PEER_QUEUE_BYTES: usize = 32 << 20;
/// Bytes of mail that wait to be written to one connection: reserved room; what does not fit is sent
/// again by the outbox that it comes from.
pub const PEER_MAIL_BYTES: usize = 8 << 20;
/// Pieces of mail in one frame: some 50 KiB, so that requests behind it do not wait long.
pub const PEER_MAIL_PER_FRAME: usize = 256;
/// Bytes of frames that are written to a connection between members at once.
pub const PEER_WRITE_BYTES: usize = 256 << 10;
/// Longest time until a connection to a member is made and both have introduced themselves.
pub const PEER_DIAL: Duration = Duration::from_secs(2);
/// Pause after a connection to a member could not be made; doubles with each further failure.
pub const PEER_BACKOFF: Duration = Duration::from_millis(50);
/// Longest such pause: a member that has come back is found within it.
pub const PEER_BACKOFF_MAX: Duration = Duration::from_secs(1);
/// How often a connection between members is looked at; one that is idle then carries a ping.
pub const PEER_PING: Duration = Duration::from_millis(500);
/// Silence after which a connection between members counts as dead: several pings without an answer.
/// Longer than what detects a dead member by its beats, which then hangs up.
pub const PEER_SILENCE: Duration = Duration::from_secs(3);
/// How long a connection to a member is kept that nobody uses.
pub const PEER_IDLE: Duration = Duration::from_mins(1);
/// Connections of other members served at once: each has one, so this is far above any cluster.
pub const PEER_CONNECTIONS: usize = 1_024;
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
/// Pause of a process that starts while the store is away before it tries again.
pub const JOIN_AGAIN: Duration = Duration::from_secs(1);
/// How often joining tries to read or make the map.
pub const JOIN_TRIES: u32 = 10;
/// How long a new coordinator waits before it gives away shards that nobody owns: members that start
/// together then share them.
pub const GATHER: Duration = Duration::from_millis(500);
/// Moves of shards under way at once unless an administrator says otherwise: the rest of the shards serve undisturbed.
pub const MOVES_AT_ONCE: usize = 8;
/// The most that an administrator can ask for.
pub const MOVES_AT_ONCE_MAX: usize = 256;
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
/// Members with the highest loads that are looked at for a move that helps.
pub const LEVELLED_AT_ONCE: usize = 32;
/// Beats over which a shard's load is smoothed: about four seconds of them.
pub const LOAD_BEATS: u64 = 16;
/// Members of a cluster: beats of more are not heard.
pub const MEMBERS: usize = 1_000;
/// Requests of administrators that wait for the coordinator's next map.
pub const ADMIN_WAITING: usize = 64;
/// Members that a refusal names; of others it says how many they are.
pub const MEMBERS_NAMED: usize = 3;
/// Longest wait for the answer to a request of an administrator.
pub const ADMIN_DEADLINE: Duration = Duration::from_secs(5);
/// Pause between two questions for a newer map, while somebody waits for one.
pub const REFRESH_PAUSE: Duration = Duration::from_millis(50);
/// Shards of a store that several processes share, unless asked otherwise: enough for as many
/// processes, and for splits to be rare.
pub const SHARDS_DEFAULT_SHARED: u32 = 64;
/// Shards of a store that several processes share at most: the map of all is one value of the store, and goes to every
/// member with every change.
pub const SHARDS_SHARED_MAX: u32 = 8_192;
/// Pause before a shard is taken over again whose owner here has stopped.
pub const TAKE_OVER_AGAIN: Duration = Duration::from_millis(200);
/// Longest search for a shard's owner before a request is refused: longer than an unplanned takeover.
pub const OWNER_WAIT: Duration = Duration::from_secs(5);
/// How long to wait for news of a shard's owner before asking again without.
pub const LOOK_FOR_OWNER: Duration = Duration::from_millis(50);
/// How often the journals of shards that other members serve are looked at, while somebody follows the
/// feed.
pub const FEED_LOOK: Duration = Duration::from_millis(100);
/// Longest wait for another member to say how far its shards are: without an answer their journals are
/// looked at.
pub const NUMBERS_DEADLINE: Duration = Duration::from_millis(500);
/// How far a member's clock may be from the store's: a shard's time never goes back, so one clock that is
/// far ahead would leave its mark for ever.
pub const CLOCK_OFF: Duration = Duration::from_secs(5);
/// How often a member compares its clock with the store's: one timestamp each.
pub const CLOCK_LOOK: Duration = Duration::from_secs(1);
/// Records behind a shard's mark that one stale read looks at to find the first that changes anything: the
/// first records of owners that took over from each other.
pub const STALE_LOOKS: u32 = 4;
/// Between two looks of the coordinator for journals of split shards that may be let go.
pub const SPLIT_TRIM_LOOK: Duration = Duration::from_secs(15);
/// Times that an import's commands are sorted by shard anew, because one was split or moved meanwhile, before
/// each goes alone.
pub const IMPORT_CUTS: usize = 3;
/// How often the member that coordinates lets a shared store's service forget old versions: what is kept
/// longer costs room only.
pub const STORE_GARBAGE_INTERVAL: Duration = Duration::from_mins(10);
/// How often a member looks whether it is its turn to do so.
pub const STORE_GARBAGE_LOOK: Duration = Duration::from_secs(5);
/// How often files of API keys and certificates are looked at: a mounted Secret itself takes up to a minute to change.
pub const FILES_LOOK: Duration = Duration::from_secs(5);
