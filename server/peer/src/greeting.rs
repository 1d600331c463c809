//! How two members introduce themselves: each sends its hello; who was called may reject the
//! caller's instead.

use std::io;

use crate::Hello;
use crate::frames::Frames;
use crate::measure::Measures;
use crate::wire::{Body, Frame, HelloWire, PROTOCOL, PROTOCOL_OLDEST, hello_of, hello_to};

/// Introduces `ours` to the member that was called; answers how it introduces itself.
pub(crate) async fn introduce(frames: &mut Frames, ours: &Hello, measures: &Measures) -> io::Result<Hello> {
    frames.writing.send(&Frame::bare(Body::Hello(hello_to(ours)))).await?;
    match frames.reading.next(measures).await?.and_then(|frame| frame.body) {
        Some(Body::Hello(theirs)) => accept(ours, theirs).map_err(io::Error::other),
        Some(Body::Rejected(why)) => Err(io::Error::other(format!("it has rejected the connection: {why}"))),
        Some(_) => Err(io::Error::other("it has not introduced itself")),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Waits for the caller to introduce itself, and does so in turn.
pub(crate) async fn welcome(frames: &mut Frames, ours: &Hello, measures: &Measures) -> io::Result<Hello> {
    let theirs = match frames.reading.next(measures).await?.and_then(|frame| frame.body) {
        Some(Body::Hello(theirs)) => theirs,
        Some(_) => return Err(io::Error::other("it has not introduced itself")),
        None => return Err(io::ErrorKind::UnexpectedEof.into()),
    };
    match accept(ours, theirs) {
        Ok(theirs) => {
            frames.writing.send(&Frame::bare(Body::Hello(hello_to(ours)))).await?;
            Ok(theirs)
        }
        Err(why) => {
            frames.writing.send(&Frame::bare(Body::Rejected(why.clone()))).await?;
            Err(io::Error::other(why))
        }
    }
}

/// Whether the two may talk; if not, why.
fn accept(ours: &Hello, theirs: HelloWire) -> Result<Hello, String> {
    let (newest, oldest) = (theirs.protocol, theirs.oldest);
    let theirs = hello_of(theirs);
    if newest < PROTOCOL_OLDEST || PROTOCOL < oldest {
        let (name, own) = (&theirs.name, &ours.name);
        return Err(format!(
            "{name} speaks the protocol's versions {oldest} to {newest}, {own} {PROTOCOL_OLDEST} to {PROTOCOL}"
        ));
    }
    if theirs.cluster != ours.cluster {
        return Err(format!(
            "{} belongs to cluster {}, {} to cluster {}",
            theirs.name, theirs.cluster, ours.name, ours.cluster
        ));
    }
    Ok(theirs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_overlap_may_talk() {
        let ours = Hello { cluster: 7, incarnation: 1, name: "m-0".into() };
        let speaks = |protocol, oldest| {
            let mut wire = hello_to(&ours);
            (wire.protocol, wire.oldest) = (protocol, oldest);
            accept(&ours, wire)
        };
        assert_eq!(speaks(PROTOCOL, PROTOCOL_OLDEST), Ok(ours.clone()));
        assert_eq!(speaks(PROTOCOL + 1, PROTOCOL), Ok(ours.clone()), "a newer one that still speaks ours");
        assert!(speaks(PROTOCOL + 1, PROTOCOL + 1).is_err());
        assert!(speaks(PROTOCOL_OLDEST - 1, 0).is_err());
        let other = Hello { cluster: 8, ..ours.clone() };
        assert!(accept(&ours, hello_to(&other)).unwrap_err().contains("cluster 8"));
    }
}
