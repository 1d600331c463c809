//! Who stands at an end of a connection.

/// A member, as it introduces itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The cluster that it belongs to: the first part of every key.
    pub cluster: u32,
    /// Which run of the member: another one each time it starts.
    pub incarnation: u64,
    /// What people call it.
    pub name: String,
}
