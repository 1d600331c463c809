//! Locks of transactions that will never end, as a process leaves them that dies in the middle.
//!
//! Says to the store the first half of a commit, which no client says without the second. The messages are
//! written field by field: they are few, and TiKV's definitions would be a build step.

use bytes::{Buf as _, BufMut as _};
use ordermill_transactional::Timestamp;
use tonic::Status;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;

use super::Cluster;
use super::pd::Region;

impl Cluster {
    /// Leaves a lock on `key` for an hour, of a transaction that began at `start` and whose first key, which
    /// tells whether it has committed, is `first`. Nothing is written there.
    pub async fn leave_lock(&self, start: Timestamp, key: &[u8], first: &[u8]) {
        let region = self.pd.region(key).await.expect("PD knows the region");
        let leader = region.leader.as_ref().expect("the region has a leader");
        let address = self.pd.store(leader.store_id).await.expect("PD knows the store");
        let url = tonic::transport::Endpoint::from_shared(format!("http://{address}")).expect("an address");
        let mut store = Grpc::new(url.connect().await.expect("the store accepts"));
        let answer = prewrite(&mut store, request(&region, start, key, first)).await.expect("the store answers");
        // Errors would be fields of it; what else may be there belongs to other kinds of commit.
        assert!(answer.is_empty(), "the store left no lock: {answer:?}");
    }
}

async fn prewrite(store: &mut Grpc<Channel>, message: Vec<u8>) -> Result<Vec<u8>, Status> {
    store.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let path = PathAndQuery::from_static("/tikvpb.Tikv/KvPrewrite");
    Ok(store.unary(tonic::Request::new(message), path, AsItIs).await?.into_inner())
}

/// The message `PrewriteRequest` with one value to be put.
fn request(region: &Region, start: Timestamp, key: &[u8], first: &[u8]) -> Vec<u8> {
    const HOUR_MS: u64 = 3_600_000;
    let leader = region.leader.as_ref().expect("the region has a leader");
    let epoch = Message::default().number(1, region.epoch.conf_ver).number(2, region.epoch.version);
    let peer = Message::default().number(1, leader.id).number(2, leader.store_id);
    let context = Message::default().number(1, region.id).bytes(2, &epoch.0).bytes(3, &peer.0);
    let mutation = Message::default().bytes(2, key).bytes(3, b"never committed");
    let request = Message::default().bytes(1, &context.0).bytes(2, &mutation.0).bytes(3, first);
    request.number(4, start.0).number(5, HOUR_MS).number(9, 1).0
}

/// A protobuf message as it is put together.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn number(mut self, field: u8, value: u64) -> Self {
        self.0.push(field << 3);
        self.varint(value);
        self
    }

    fn bytes(mut self, field: u8, value: &[u8]) -> Self {
        self.0.push(field << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend(value);
        self
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

/// Sends and takes messages as bytes.
struct AsItIs;

impl Codec for AsItIs {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for AsItIs {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, message: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&message);
        Ok(())
    }
}

impl Decoder for AsItIs {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut message = vec![0; buffer.remaining()];
        buffer.copy_to_slice(&mut message);
        Ok(Some(message))
    }
}
