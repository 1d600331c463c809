//! Frames over a stream: a length of 4 bytes, big-endian, then that many bytes; never more than the
//! bound, in either direction.

use std::io;

use bytes::{Bytes, BytesMut};
use futures::{SinkExt, StreamExt};
use ordermill_station::limits;
use prost::Message as _;
use tokio::io::{ReadHalf, WriteHalf};
use tokio_util::codec::{FramedRead, FramedWrite, LengthDelimitedCodec, LengthDelimitedCodecError};

use crate::measure::Measures;
use crate::network::Stream;
use crate::outbox::{Outbox, Outgoing};
use crate::wire::Frame;

/// Bytes that an envelope takes at most around the request, answer or mail in it.
pub(crate) const ENVELOPE_BYTES: usize = 64;

/// Both halves of a connection.
pub(crate) struct Frames {
    pub(crate) reading: Reading,
    pub(crate) writing: Writing,
}

/// The half that frames come in by.
pub(crate) struct Reading(FramedRead<ReadHalf<Box<dyn Stream>>, LengthDelimitedCodec>);

/// The half that frames go out by.
pub(crate) struct Writing(FramedWrite<WriteHalf<Box<dyn Stream>>, LengthDelimitedCodec>);

impl Frames {
    /// Frames over `stream`; those that come in are held to the bound of a first frame.
    pub(crate) fn over(stream: Box<dyn Stream>) -> Self {
        let (reading, writing) = tokio::io::split(stream);
        let codec = |bytes| LengthDelimitedCodec::builder().max_frame_length(bytes).new_codec();
        let mut writing = FramedWrite::new(writing, codec(u32::MAX as usize));
        writing.set_backpressure_boundary(limits::PEER_WRITE_BYTES);
        Self { reading: Reading(FramedRead::new(reading, codec(limits::PEER_HELLO_BYTES))), writing: Writing(writing) }
    }
}

impl Reading {
    /// Holds frames that come in to `bytes` from now on.
    pub(crate) fn allow(&mut self, bytes: usize) {
        self.0.decoder_mut().set_max_frame_length(bytes);
    }

    /// The next frame; `None` when the other side has ended the connection.
    pub(crate) async fn next(&mut self, measures: &Measures) -> io::Result<Option<Frame>> {
        let Some(bytes) = self.0.next().await else { return Ok(None) };
        let bytes: BytesMut = bytes.map_err(|error| self.explain(error))?;
        measures.read(bytes.len());
        let frame = Frame::decode(bytes.freeze());
        let frame = frame.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("no frame: {error}")))?;
        Ok(Some(frame))
    }

    fn explain(&self, error: io::Error) -> io::Error {
        if error.get_ref().and_then(|inner| inner.downcast_ref::<LengthDelimitedCodecError>()).is_none() {
            return error;
        }
        let bound = self.0.decoder().max_frame_length();
        io::Error::new(error.kind(), format!("a frame of more than {bound} bytes has come in"))
    }
}

impl Writing {
    /// Writes one frame.
    pub(crate) async fn send(&mut self, frame: &Frame) -> io::Result<()> {
        self.0.send(encoded(frame)).await
    }

    /// Writes what queues, as much at once as has queued. Frames that `admit` takes out are not
    /// written. Ends when the connection fails.
    pub(crate) async fn send_all(
        &mut self,
        outbox: &Outbox,
        measures: &Measures,
        mut admit: impl FnMut(&mut Vec<Outgoing>),
        mut written: impl FnMut(),
    ) -> io::Error {
        loop {
            let mut frames = outbox.take().await;
            admit(&mut frames);
            if let Err(error) = self.send_frames(frames, measures).await {
                return error;
            }
            written();
        }
    }

    async fn send_frames(&mut self, frames: Vec<Outgoing>, measures: &Measures) -> io::Result<()> {
        if frames.is_empty() {
            return Ok(());
        }
        measures.wrote(frames.len(), frames.iter().map(|frame| frame.bytes.len()).sum());
        for frame in frames {
            self.0.feed(frame.bytes).await?;
        }
        SinkExt::<Bytes>::flush(&mut self.0).await
    }
}

/// The bytes of a frame.
pub(crate) fn encoded(frame: &Frame) -> Bytes {
    frame.encode_to_vec().into()
}
