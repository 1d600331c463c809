//! Imports: many commands at once, each to its shard, in their order.

use std::collections::BTreeMap;

use futures::future::join_all;
use ordermill_order::{Action, Command, Outcome};
use ordermill_peer::{Answer, Failure, Request};
use ordermill_station::limits;

use crate::router::slot_of;
use crate::shards::is_known;
use crate::{Error, Router};

/// Commands of one shard, with their places in the import.
type Group = (Vec<usize>, Vec<Command>);

/// What became of a command.
enum Asked {
    Answered(Result<Outcome, Error>),
    /// Its shard does not have its slot any more, or is not served there: nothing has happened.
    Elsewhere(Box<Command>),
}

/// The same answer to all commands of a shard.
fn refused(error: Error, count: usize) -> Vec<Asked> {
    (0..count).map(|_| Asked::Answered(Err(error.clone()))).collect()
}

impl Router {
    /// Applies many `Create` and `Credit` commands in their order, waits until every order is
    /// decided, and answers in the same order. Waits for room instead of answering `Busy`.
    pub async fn import(&self, commands: Vec<Command>) -> Vec<Result<Outcome, Error>> {
        let began = self.inner.clock.elapsed();
        let mut results: Vec<Option<Result<Outcome, Error>>> = (0..commands.len()).map(|_| None).collect();
        let mut left = Vec::with_capacity(commands.len());
        for (index, command) in commands.into_iter().enumerate() {
            match &command.action {
                Action::Create(new) => match self.check_items(&command.tenant, new).await {
                    Ok(()) => left.push((index, command)),
                    Err(error) => results[index] = Some(Err(error)),
                },
                _ => left.push((index, command)),
            }
        }
        // Shards move and are split meanwhile: what one does not have any more is sorted anew.
        for _ in 0..limits::IMPORT_CUTS {
            for (index, asked) in self.import_once(std::mem::take(&mut left)).await {
                match asked {
                    Asked::Answered(result) => results[index] = Some(result),
                    Asked::Elsewhere(command) => left.push((index, *command)),
                }
            }
            left.sort_by_key(|(index, _)| *index);
            if left.is_empty() {
                break;
            }
        }
        for (index, command) in left {
            results[index] = Some(self.apply_decided(command).await);
        }
        self.measure(began, None);
        let results = results.into_iter().map(|result| result.expect("every command was refused or applied"));
        results.collect()
    }

    /// Asks every shard for its commands, all shards at once.
    async fn import_once(&self, commands: Vec<(usize, Command)>) -> Vec<(usize, Asked)> {
        let view = self.inner.shards.view();
        let mut groups: BTreeMap<usize, Group> = BTreeMap::new();
        for (index, command) in commands {
            let (indexes, commands) = groups.entry(view.index_of(slot_of(&command))).or_default();
            indexes.push(index);
            commands.push(command);
        }
        let asked = groups.into_values().map(async |(indexes, commands)| {
            let outcomes = self.import_group(commands).await;
            indexes.into_iter().zip(outcomes).collect::<Vec<_>>()
        });
        join_all(asked).await.into_iter().flatten().collect()
    }

    /// Commands of one shard.
    async fn import_group(&self, commands: Vec<Command>) -> Vec<Asked> {
        let shards = &self.inner.shards;
        let slot = slot_of(&commands[0]);
        let deadline = self.inner.clock.elapsed() + limits::SETTLE_WAIT;
        // Only where a shard may move can there be a second time.
        let again = shards.cluster().is_some().then(|| commands.clone());
        let count = commands.len();
        let request = Request::ApplyMany { slot, hops: 0, wait: limits::SETTLE_WAIT, commands };
        let outcomes = match shards.ask(slot, request).await {
            Ok(Answer::AppliedMany(Ok(outcomes))) => outcomes,
            Ok(Answer::AppliedMany(Err(failure))) => return refused(failure.into(), count),
            Ok(other) => unreachable!("commands were sent: {other:?}"),
            Err(error) => return refused(error, count),
        };
        let Some(again) = again else {
            return outcomes.into_iter().map(|outcome| Asked::Answered(outcome.map_err(Error::from))).collect();
        };
        let mut results = Vec::with_capacity(count);
        for (outcome, command) in outcomes.into_iter().zip(again) {
            results.push(match outcome {
                Err(Failure::NotOwner { .. }) => Asked::Elsewhere(Box::new(command)),
                Err(Failure::Unknown(_)) if is_known(&command) => Asked::Answered(self.apply_decided(command).await),
                Ok(Outcome::Order { order, replayed }) => {
                    Asked::Answered(self.decision(&command.tenant, order, replayed, deadline).await)
                }
                other => Asked::Answered(other.map_err(Error::from)),
            });
        }
        results
    }

    async fn apply_decided(&self, command: Command) -> Result<Outcome, Error> {
        self.decided(slot_of(&command), command, limits::SETTLE_WAIT).await
    }
}
