//! Calls of the service: each with a timeout and a measurement; what fails is tried again for a while.
//!
//! Never decides what a failed write has done: whoever sent it looks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use ordermill_station::{clock, limits};
use ordermill_store::Error;

use crate::keys::{self, Range};
use crate::measure::{Call, Measures};
use crate::service::{Failure, Mutation, Service, Timestamp};

/// The service, called with care.
#[derive(Debug)]
pub(crate) struct Calls {
    service: Arc<dyn Service>,
    clock: clock::Shared,
    pub(crate) measures: Measures,
    /// Calls without an answer since the last answer.
    unanswered: AtomicU32,
    /// When the connection was made anew, in milliseconds of the clock's time; 0: never.
    reconnected_ms: AtomicU64,
    /// The next of a row of numbers that spread retries of many processes.
    spread: AtomicU64,
}

impl Calls {
    pub(crate) fn new(service: Arc<dyn Service>, clock: clock::Shared, seed: u64) -> Self {
        Self {
            service,
            clock,
            measures: Measures::new(),
            unanswered: AtomicU32::new(0),
            reconnected_ms: AtomicU64::new(0),
            spread: AtomicU64::new(seed),
        }
    }

    pub(crate) async fn timestamp(&self) -> Result<Timestamp, Failure> {
        self.call(Call::Timestamp, self.service.timestamp()).await
    }

    pub(crate) async fn begin(&self) -> Result<Timestamp, Failure> {
        self.call(Call::Begin, self.service.begin()).await
    }

    pub(crate) async fn insert(&self, start: Timestamp, key: Bytes, value: Bytes) -> Result<(), Failure> {
        self.measures.carried(Call::Insert, key.len() + value.len());
        self.call(Call::Insert, self.service.insert(start, key, value)).await
    }

    pub(crate) async fn write(&self, start: Timestamp, mutations: Vec<Mutation>) -> Result<(), Failure> {
        let bytes = |(key, value): &Mutation| key.len() + value.as_ref().map_or(0, Bytes::len);
        self.measures.carried(Call::Write, mutations.iter().map(bytes).sum());
        self.call(Call::Write, self.service.write(start, mutations)).await
    }

    pub(crate) async fn get(&self, at: Timestamp, key: Bytes) -> Result<Option<Bytes>, Failure> {
        let done = self.call(Call::Get, self.service.get(at, key.clone())).await;
        if let Ok(Some(value)) = &done {
            self.measures.carried(Call::Get, key.len() + value.len());
        }
        self.unlocked(done, || Some(keys::only(&key))).await
    }

    pub(crate) async fn get_many(&self, at: Timestamp, keys: Vec<Bytes>) -> Result<Vec<Option<Bytes>>, Failure> {
        let wanted = keys.len();
        let done = self.call(Call::GetMany, self.service.get_many(at, keys.clone())).await;
        let range = || Some((keys.iter().min()?.clone(), keys::after(keys.iter().max()?)));
        let found = self.unlocked(done, range).await?;
        let read = keys.iter().zip(&found).filter_map(|(key, value)| Some(key.len() + value.as_ref()?.len()));
        self.measures.carried(Call::GetMany, read.sum());
        if found.len() == wanted {
            return Ok(found);
        }
        Err(Failure::Unavailable(format!("{} answers to {wanted} keys", found.len())))
    }

    pub(crate) async fn scan(&self, at: Timestamp, range: Range, limit: u32) -> Result<Vec<(Bytes, Bytes)>, Failure> {
        let (from, to) = range.clone();
        let done = self.call(Call::Scan, self.service.scan(at, from, to, limit)).await;
        if let Ok(rows) = &done {
            self.measures.carried(Call::Scan, rows.iter().map(|(key, value)| key.len() + value.len()).sum());
        }
        self.unlocked(done, || Some(range)).await
    }

    /// If a lock was in the way of a read, it is not in the way of the next one.
    async fn unlocked<T>(
        &self,
        done: Result<T, Failure>,
        range: impl FnOnce() -> Option<Range> + Send,
    ) -> Result<T, Failure> {
        if let Err(Failure::Locked(_)) = done
            && let Some(range) = range()
            && let Err(error) = self.clean_up(range).await
        {
            tracing::debug!(%error, "a lock in the way was not cleaned up");
        }
        done
    }

    /// Ends the transactions that left locks in `range` before now.
    pub(crate) async fn clean_up(&self, range: Range) -> Result<(), Failure> {
        let before = self.timestamp().await?;
        self.call(Call::CleanUp, self.service.clean_up(before, range.0, range.1)).await
    }

    pub(crate) async fn collect_garbage(&self, at: Timestamp) -> Result<(), Failure> {
        let done = self.timed(Call::CollectGarbage, limits::STORE_GARBAGE_CALL, self.service.collect_garbage(at));
        done.await
    }

    async fn call<T>(
        &self,
        call: Call,
        running: impl Future<Output = Result<T, Failure>> + Send,
    ) -> Result<T, Failure> {
        let done = self.timed(call, limits::STORE_CALL, running).await;
        match &done {
            Err(Failure::Unavailable(_)) => {
                let unanswered = self.unanswered.fetch_add(1, Ordering::Relaxed) + 1;
                if unanswered >= limits::STORE_RECONNECT_AFTER {
                    self.reconnect().await;
                }
            }
            _ => self.unanswered.store(0, Ordering::Relaxed),
        }
        done
    }

    async fn timed<T>(
        &self,
        call: Call,
        timeout: Duration,
        running: impl Future<Output = Result<T, Failure>> + Send,
    ) -> Result<T, Failure> {
        let begun = self.clock.elapsed();
        let late = |_| Err(Failure::Unavailable(format!("no answer within {} s", timeout.as_secs())));
        let done = tokio::time::timeout(timeout, running).await.unwrap_or_else(late);
        self.measures.called(call, self.clock.elapsed().saturating_sub(begun), done.as_ref().err());
        done
    }

    /// Makes the connection anew, unless that was done a moment ago.
    async fn reconnect(&self) {
        let now_ms = (self.clock.elapsed().as_millis() as u64).max(1);
        let last_ms = self.reconnected_ms.load(Ordering::Relaxed);
        let rested = now_ms.saturating_sub(last_ms) >= limits::STORE_RECONNECT_PAUSE.as_millis() as u64;
        let mine = (last_ms == 0 || rested)
            && self.reconnected_ms.compare_exchange(last_ms, now_ms, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if !mine {
            return;
        }
        self.unanswered.store(0, Ordering::Relaxed);
        tracing::warn!("the store's service does not answer: connecting anew");
        if let Err(error) = self.timed(Call::Reconnect, limits::STORE_CALL, self.service.reconnect()).await {
            tracing::warn!(%error, "connecting anew failed");
        }
    }

    /// Tries of `work` that go on for `long` from now.
    pub(crate) fn patience(&self, work: &'static str, long: Duration) -> Patience<'_> {
        Patience { calls: self, work, long, until: self.clock.elapsed() + long, tries: 0, gaps: 0 }
    }

    /// A number between 0 and 1 that differs from the ones before (SplitMix64).
    fn spread(&self) -> f64 {
        let mut z = self.spread.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) as f64 / u64::MAX as f64
    }
}

/// Why one try did not end with an answer.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The service failed: try again.
    Failure(Failure),
    /// A journal showed a number and not the one before it: look again at a new timestamp.
    Gap(String),
    /// Trying again changes nothing.
    Final(Error),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

/// How long something is tried again, and how often it was.
#[derive(Debug)]
pub(crate) struct Patience<'a> {
    calls: &'a Calls,
    work: &'static str,
    long: Duration,
    until: Duration,
    tries: u32,
    gaps: u32,
}

impl Patience<'_> {
    /// Tries that have failed so far.
    pub(crate) fn tries(&self) -> u32 {
        self.tries
    }

    /// Something went on: the time begins anew.
    pub(crate) fn prolong(&mut self) {
        self.until = self.calls.clock.elapsed() + self.long;
    }

    /// Begins anew altogether.
    pub(crate) fn renew(&mut self) {
        self.prolong();
        self.tries = 0;
    }

    /// Returns when it is time for the next try. The error with which to end otherwise: `Unavailable` when
    /// the time is over, `Corrupt` after too many gaps.
    pub(crate) async fn again<T: Into<Trouble>>(&mut self, trouble: T) -> Result<(), Error> {
        let trouble = trouble.into();
        let unanswered = matches!(trouble, Trouble::Failure(Failure::Unavailable(_)));
        let failure = match trouble {
            Trouble::Final(error) => return Err(error),
            Trouble::Failure(failure) => failure,
            Trouble::Gap(text) => {
                self.gaps += 1;
                if self.gaps >= limits::STORE_GAP_LOOKS {
                    return Err(Error::Corrupt(text));
                }
                Failure::Unavailable(text)
            }
        };
        let now = self.calls.clock.elapsed();
        if now >= self.until {
            return Err(Error::Unavailable(format!("{failure}; tried for {} s", self.long.as_secs())));
        }
        if unanswered && now + self.long >= self.until + limits::STORE_RECONNECT_LATE {
            // Who does not answer at all must not keep the next try from being made.
            let _ = tokio::time::timeout(limits::STORE_RECONNECT_WAIT, self.calls.reconnect()).await;
        }
        self.calls.measures.tried_again(self.work);
        let pause = limits::STORE_BACKOFF.saturating_mul(1 << self.tries.min(10)).min(limits::STORE_BACKOFF_MAX);
        self.tries += 1;
        tokio::time::sleep(pause.mul_f64(0.5 + self.calls.spread() / 2.0)).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    /// A store that cannot be reached until the connection is made anew, and a PD that always answers.
    #[derive(Debug)]
    struct Gone {
        clock: Arc<clock::Manual>,
        reconnected: AtomicBool,
    }

    #[async_trait::async_trait]
    impl Service for Gone {
        async fn timestamp(&self) -> Result<Timestamp, Failure> {
            Ok(Timestamp(1))
        }

        async fn begin(&self) -> Result<Timestamp, Failure> {
            Ok(Timestamp(1))
        }

        async fn get(&self, _at: Timestamp, _key: Bytes) -> Result<Option<Bytes>, Failure> {
            if self.reconnected.load(Ordering::Relaxed) {
                return Ok(None);
            }
            self.clock.advance(Duration::from_secs(1));
            Err(Failure::Unavailable("nobody is there".to_owned()))
        }

        async fn reconnect(&self) -> Result<(), Failure> {
            self.reconnected.store(true, Ordering::Relaxed);
            Ok(())
        }

        async fn insert(&self, _start: Timestamp, _key: Bytes, _value: Bytes) -> Result<(), Failure> {
            unreachable!("nothing is written here")
        }

        async fn write(&self, _start: Timestamp, _mutations: Vec<Mutation>) -> Result<(), Failure> {
            unreachable!("nothing is written here")
        }

        async fn get_many(&self, _at: Timestamp, _keys: Vec<Bytes>) -> Result<Vec<Option<Bytes>>, Failure> {
            unreachable!("one key is read here")
        }

        async fn scan(&self, _at: Timestamp, _: Bytes, _: Bytes, _: u32) -> Result<Vec<(Bytes, Bytes)>, Failure> {
            unreachable!("one key is read here")
        }

        async fn clean_up(&self, _before: Timestamp, _from: Bytes, _to: Bytes) -> Result<(), Failure> {
            unreachable!("there are no locks")
        }

        async fn collect_garbage(&self, _at: Timestamp) -> Result<(), Failure> {
            unreachable!("there is no garbage")
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_work_without_an_answer_connects_anew_although_pd_answers() {
        let clock = clock::Manual::at(1_000_000);
        let service = Arc::new(Gone { clock: clock.clone(), reconnected: AtomicBool::new(false) });
        let calls = Calls::new(service, clock, 1);
        let mut patience = calls.patience("test", Duration::from_secs(30));
        loop {
            let at = calls.timestamp().await.unwrap();
            match calls.get(at, Bytes::from_static(b"key")).await {
                Ok(found) => break assert_eq!(found, None),
                Err(failure) => patience.again(failure).await.unwrap(),
            }
        }
        assert!(patience.tries() <= 7, "{}", patience.tries());
    }
}
