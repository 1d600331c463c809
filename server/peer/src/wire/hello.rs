//! The first frame of each side.

use crate::Hello;

/// The version of the protocol that this build speaks best. What protobuf bears without one (a new
/// field, a new kind that is only used once all know it) is no new version.
pub(crate) const PROTOCOL: u32 = 1;
/// The oldest version of the protocol that this build still speaks.
pub(crate) const PROTOCOL_OLDEST: u32 = 1;

/// Who speaks, and how.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct HelloWire {
    /// The version that the sender speaks best; 0 is none.
    #[prost(uint32, tag = "1")]
    pub(crate) protocol: u32,
    /// The oldest version that it still speaks.
    #[prost(uint32, tag = "2")]
    pub(crate) oldest: u32,
    /// Cluster.
    #[prost(uint32, tag = "3")]
    cluster: u32,
    /// Incarnation.
    #[prost(fixed64, tag = "4")]
    incarnation: u64,
    /// Name.
    #[prost(string, tag = "5")]
    name: String,
}

pub(crate) fn hello_of(wire: HelloWire) -> Hello {
    Hello { cluster: wire.cluster, incarnation: wire.incarnation, name: wire.name }
}

pub(crate) fn hello_to(hello: &Hello) -> HelloWire {
    let Hello { cluster, incarnation, name } = hello;
    HelloWire {
        protocol: PROTOCOL,
        oldest: PROTOCOL_OLDEST,
        cluster: *cluster,
        incarnation: *incarnation,
        name: name.clone(),
    }
}
