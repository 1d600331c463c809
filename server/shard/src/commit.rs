//! What follows an append, or a proof that nothing was left out: the rows count, the callers are answered, the
//! messages go out.

use std::sync::atomic::Ordering;

use ordermill_delivery::Mail;
use ordermill_order::{Action, Outcome, Refusal, Reservation};
use ordermill_store::Error as StoreError;
use tokio::sync::oneshot;

use crate::handle::{Error, Reply, Sink, from_store};
use crate::task::{Appending, Service};

impl Service {
    pub(crate) fn finish(&mut self, done: Appending, result: Result<(), StoreError>) -> Result<(), StoreError> {
        let Appending { closed, answers, began, .. } = done;
        if let Err(error) = result {
            self.shard_station.failed(error.kind());
            tracing::warn!(shard = %self.config.id, %error, "a record was not appended");
            let (failure, stays) =
                (from_store(&error), matches!(error, StoreError::Full(_) | StoreError::Unavailable(_)));
            // What was built on the record has surely not happened, whatever became of the record.
            let built = if stays { failure.clone() } else { Error::NotServed };
            for (sink, _) in self.give_up_built() {
                reply(sink, Reply::failed(built.clone()));
            }
            for (sink, _) in answers {
                reply(sink, Reply::failed(failure.clone()));
            }
            return if stays { Ok(()) } else { Err(error) };
        }
        let Some(closed) = closed else {
            self.answer(answers);
            return Ok(());
        };
        self.number += 1;
        for (key, value) in &closed.changes {
            self.next_timer.note_row(key, value.as_ref());
        }
        self.committed.commit(closed.changes);
        for key in &closed.removed {
            self.outstanding.answered(key);
        }
        let now = self.clock.elapsed();
        for (key, entry) in closed.sent {
            if !closed.removed.contains(&key) {
                self.peers.deliver(self.outstanding.sent(key, entry, now));
            }
        }
        self.committed_number.send_replace(self.number);
        self.shard_station.called(answers.len() as u64);
        self.gauges.commands.fetch_add(answers.len() as u64, Ordering::Relaxed);
        self.shard_station.took(now.saturating_sub(began));
        self.answer(answers);
        for (id, order) in closed.decided {
            for waiting in self.settling.remove(&id).into_iter().flatten() {
                let _ = waiting.send(order.clone());
            }
        }
        Ok(())
    }

    pub(crate) fn answer(&mut self, answers: Vec<(Sink, Result<Outcome, Refusal>)>) {
        for (sink, result) in answers {
            match sink {
                Sink::Mail(mail) => {
                    if let Some(answer) = answer_to(mail, result) {
                        self.peers.deliver(answer);
                    }
                }
                sink => {
                    let settled = match &result {
                        Ok(Outcome::Order { order, .. }) if order.reservation == Reservation::Undecided => {
                            let (sender, receiver) = oneshot::channel();
                            self.settling.entry(order.id).or_default().push(sender);
                            Some(receiver)
                        }
                        _ => None,
                    };
                    reply(sink, Reply { outcome: result.map_err(Error::from), settled });
                }
            }
        }
    }
}

fn reply(sink: Sink, answer: Reply) {
    match sink {
        // A caller that has gone away needs no answer.
        Sink::One(sender) => drop(sender.send(answer)),
        Sink::Part(all, index) => all.put(index, answer),
        Sink::Mail(_) | Sink::None => {}
    }
}

/// What the sender of mail is to be told.
fn answer_to(mail: Mail, result: Result<Outcome, Refusal>) -> Option<Mail> {
    match (result, mail.action) {
        (Ok(Outcome::Report(report)), _) => {
            Some(Mail { slot: report.order.slot(), tenant: mail.tenant, action: Action::Report(report), note_to: None })
        }
        (Ok(_), Action::Report(report)) => {
            let slot = mail.note_to?;
            let (order, line, revision) = (report.order, report.line, report.revision);
            let action = Action::Noted { slot, order, line, revision };
            Some(Mail { slot, tenant: mail.tenant, action, note_to: None })
        }
        _ => None,
    }
}
