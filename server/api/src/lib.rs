//! The words of the HTTP API: what is sent, what comes back, and the problems it can name.
//!
//! Wire types only: no rule about orders lives here, and no wire type is ever stored.

mod cluster;
mod event;
mod import;
mod item;
mod order;
mod problem;
mod time;

pub use cluster::{
    ChangeRebalancing, Cluster, ClusterChange, ClusterCoordinator, ClusterMember, ClusterShard, FormatChange, Health,
    MemberFormats, MemberList, MemberLoad, MemberState, MoveShard, RaiseFormat, Rebalancing, RebalancingPolicy,
    ServerInfo, ShardJournal, ShardPage, ShardState, SplitShard,
};
pub use event::{Event, EventData, EventPage, ItemChanged};
pub use import::{Credit, CreditLine, CreditMatch, ImportLine, ImportResult, ImportStatus, NewImportOrder};
pub use item::{Adjustment, Item, ItemPage, PutItem};
pub use order::{
    CancelOutcome, CancelResult, Cancellation, Cancelled, Fulfillment, FulfillmentLine, Line, Money, NewFulfillment,
    NewLine, NewOrder, NewPayment, NewReturn, Order, OrderPage, Payment, PaymentAction, PaymentStatus, PaymentTerms,
    Return, Status,
};
pub use problem::{InvalidField, PROBLEM_BASE, Problem, ProblemKind};
pub use time::Time;
