//! Frames that wait to be written to one connection. Bounded by bytes; never waits for the other
//! side on behalf of who puts something in.

use std::collections::VecDeque;

use bytes::Bytes;
use ordermill_station::limits;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// What has room of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Goes ahead of the others: beats, administration, pings.
    Urgent,
    /// Requests and answers, in order with mail.
    Call,
    /// Mail, in order with requests and answers.
    Mail,
}

/// A frame on its way out.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) class: Class,
    /// The request that it is, or 0.
    pub(crate) id: u64,
    /// The frame, encoded.
    pub(crate) bytes: Bytes,
}

/// Why a frame was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// There is no room in its class.
    Full,
    /// The connection has ended or takes nothing more.
    Closed,
}

#[derive(Debug, Default)]
struct Queue {
    urgent: VecDeque<Outgoing>,
    others: VecDeque<Outgoing>,
    call_bytes: usize,
    mail_bytes: usize,
    urgent_bytes: usize,
    closed: bool,
}

impl Queue {
    fn bytes_of(&mut self, class: Class) -> &mut usize {
        match class {
            Class::Urgent => &mut self.urgent_bytes,
            Class::Call => &mut self.call_bytes,
            Class::Mail => &mut self.mail_bytes,
        }
    }
}

/// The queue of one connection.
#[derive(Debug)]
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    /// Something has been put in.
    more: Notify,
    /// Something has been taken out.
    room: Notify,
    queue_bytes: usize,
    mail_bytes: usize,
}

impl Outbox {
    /// A queue for so many bytes of requests or answers, and of mail.
    pub(crate) fn new(queue_bytes: usize, mail_bytes: usize) -> Self {
        Self { queue: Mutex::default(), more: Notify::new(), room: Notify::new(), queue_bytes, mail_bytes }
    }

    /// Puts a frame in if its class has room.
    pub(crate) fn offer(&self, frame: Outgoing) -> Result<(), Refused> {
        let bound = if frame.class == Class::Mail { self.mail_bytes } else { self.queue_bytes };
        let mut queue = self.queue.lock();
        if queue.closed {
            return Err(Refused::Closed);
        }
        let bytes = queue.bytes_of(frame.class);
        if *bytes + frame.bytes.len() > bound {
            return Err(Refused::Full);
        }
        self.put(&mut queue, frame);
        Ok(())
    }

    /// Puts a frame in whether there is room or not: for answers, whose requests were let in by
    /// [`Self::has_room`].
    pub(crate) fn put_always(&self, frame: Outgoing) {
        let mut queue = self.queue.lock();
        if !queue.closed {
            self.put(&mut queue, frame);
        }
    }

    fn put(&self, queue: &mut Queue, frame: Outgoing) {
        *queue.bytes_of(frame.class) += frame.bytes.len();
        let lane = if frame.class == Class::Urgent { &mut queue.urgent } else { &mut queue.others };
        lane.push_back(frame);
        self.more.notify_one();
    }

    /// Returns when there is room for answers. One waits at a time.
    pub(crate) async fn has_room(&self) {
        loop {
            {
                let queue = self.queue.lock();
                if queue.closed || queue.call_bytes < self.queue_bytes {
                    return;
                }
            }
            self.room.notified().await;
        }
    }

    /// Takes what has queued, up to what one write holds but at least one frame; waits for that one.
    /// One waits at a time.
    pub(crate) async fn take(&self) -> Vec<Outgoing> {
        loop {
            let frames = self.take_now();
            if !frames.is_empty() {
                return frames;
            }
            self.more.notified().await;
            // Who else is ready to put something in does so first, and it goes out together: with 16
            // callers and more that halves the processor time of a call.
            tokio::task::yield_now().await;
        }
    }

    fn take_now(&self) -> Vec<Outgoing> {
        let mut queue = self.queue.lock();
        let (mut frames, mut taken) = (Vec::new(), 0);
        while taken < limits::PEER_WRITE_BYTES {
            let Some(frame) = queue.urgent.pop_front().or_else(|| queue.others.pop_front()) else { break };
            taken += frame.bytes.len();
            *queue.bytes_of(frame.class) -= frame.bytes.len();
            frames.push(frame);
        }
        if !frames.is_empty() {
            self.room.notify_one();
        }
        frames
    }

    /// Forgets what has queued and takes nothing more.
    pub(crate) fn close(&self) {
        *self.queue.lock() = Queue { closed: true, ..Queue::default() };
        self.room.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(class: Class, id: u64, len: usize) -> Outgoing {
        Outgoing { class, id, bytes: vec![0; len].into() }
    }

    #[tokio::test]
    async fn classes_have_room_of_their_own_and_urgent_ones_go_first() {
        let outbox = Outbox::new(10, 5);
        assert_eq!(outbox.offer(frame(Class::Call, 1, 6)), Ok(()));
        assert_eq!(outbox.offer(frame(Class::Call, 2, 5)), Err(Refused::Full));
        assert_eq!(outbox.offer(frame(Class::Mail, 0, 5)), Ok(()));
        assert_eq!(outbox.offer(frame(Class::Mail, 0, 1)), Err(Refused::Full));
        assert_eq!(outbox.offer(frame(Class::Call, 3, 4)), Ok(()));
        assert_eq!(outbox.offer(frame(Class::Urgent, 4, 9)), Ok(()));
        let taken: Vec<u64> = outbox.take().await.iter().map(|frame| frame.id).collect();
        assert_eq!(taken, [4, 1, 0, 3]);
        assert_eq!(outbox.offer(frame(Class::Call, 5, 10)), Ok(()));
        outbox.close();
        assert_eq!(outbox.offer(frame(Class::Call, 6, 1)), Err(Refused::Closed));
        assert!(outbox.take_now().is_empty());
    }
}
