//! The desk behind a publisher: one task that sends publishes and hands out their confirms.
//!
//! Owns the publishing connection and the pairing of the broker's answers with publishes. Does not own
//! what is published. Invariants: all publishes of a channel are made from one task, since lapin counts
//! delivery tags and queues frames in two steps; confirms are pipelined and arrive in the order lapin
//! resolved them, which [`Returns`] needs; a publish whose connection is lost fails, it is not repeated.

use std::sync::{Arc, PoisonError};

use futures::{StreamExt, stream::FuturesUnordered};
use lapin::{Channel, Confirmation, Connection, options::BasicPublishOptions};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    BrokerError,
    codec::Message,
    connection::{Endpoint, Patience, Purpose, rest_after},
    link::Link,
    publisher::{Current, PublishError},
};

/// A message on its way, with its place in the window.
#[derive(Debug)]
pub(super) struct Publication {
    pub(super) message: Message,
    pub(super) exchange: String,
    pub(super) routing_key: String,
    pub(super) reply: oneshot::Sender<Result<(), PublishError>>,
    pub(super) _place: OwnedSemaphorePermit,
}

impl Publication {
    fn answer(self, answer: Answer) {
        let Self { exchange, routing_key, reply, .. } = self;
        // Nobody waits any more where the publish timed out.
        let _ = reply.send(match answer {
            Answer::Confirmed => Ok(()),
            Answer::Unroutable => Err(PublishError::Unroutable { exchange, routing_key }),
            Answer::Refused => Err(PublishError::Full { exchange, routing_key }),
        });
    }
}

/// The task that owns the publishing connection, until it is told to stop.
pub(super) struct Desk {
    pub(super) endpoint: Endpoint,
    pub(super) queue: mpsc::UnboundedReceiver<Publication>,
    pub(super) current: Current,
    pub(super) stop: CancellationToken,
}

/// An open connection with its confirming channel.
pub(super) struct Session {
    link: Link,
    channel: Channel,
}

impl Session {
    pub(super) async fn open(endpoint: &Endpoint, patience: Patience) -> Result<Self, BrokerError> {
        loop {
            let link = endpoint.connect(Purpose::Publish, &[], patience).await?;
            match link.confirming_channel().await {
                Ok(channel) => return Ok(Self { link, channel }),
                Err(error) => endpoint.rest_after_refusal(&error, patience).await?,
            }
        }
    }
}

/// Why the desk stopped serving a session.
enum End {
    Lost(String),
    Stopped,
}

impl Desk {
    pub(super) async fn run(mut self, mut session: Session) {
        loop {
            let since = Instant::now();
            self.announce(Some(session.link.connection()));
            let end = self.serve(&session).await;
            self.announce(None);
            session.link.close().await;
            let End::Lost(reason) = end else { return };
            tracing::warn!("publishing to RabbitMQ is interrupted ({reason}), connecting again");
            let reopening = async {
                rest_after(since.elapsed()).await;
                Session::open(&self.endpoint, Patience::RetryAll).await
            };
            session = tokio::select! {
                opened = reopening => match opened {
                    Ok(session) => session,
                    Err(error) => return tracing::error!("publishing to RabbitMQ ends: {error}"),
                },
                () = self.stop.cancelled() => return,
            };
        }
    }

    fn announce(&self, connection: Option<Arc<Connection>>) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = connection;
    }

    async fn serve(&mut self, Session { link, channel }: &Session) -> End {
        let mut confirms = FuturesUnordered::new();
        let mut returns = Returns::default();
        let mut blocked = link.blocked();
        loop {
            let may_publish = !*blocked.borrow_and_update();
            tokio::select! {
                biased;
                Some((publication, confirmed)) = confirms.next() => match confirmed {
                    Ok(confirmation) => settle(&mut returns, publication, confirmation, confirms.is_empty()),
                    // Dropping everything in flight tells the publishers that the connection is lost.
                    Err(error) => return End::Lost(lapin::Error::to_string(&error)),
                },
                () = link.lost() => return End::Lost(link.reason()),
                () = self.stop.cancelled() => return End::Stopped,
                changed = blocked.changed() => if changed.is_err() { return End::Lost(link.reason()) },
                Some(publication) = self.queue.recv(), if may_publish => {
                    // A publish that timed out in the queue is not sent any more.
                    if !publication.reply.is_closed() {
                        confirms.push(publish(channel, publication));
                    }
                }
            }
        }
    }
}

async fn publish(channel: &Channel, publication: Publication) -> (Publication, lapin::Result<Confirmation>) {
    let confirmed = async {
        let exchange = publication.exchange.as_str().into();
        let routing_key = publication.routing_key.as_str().into();
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        let Message { properties, body } = &publication.message;
        channel.basic_publish(exchange, routing_key, options, body, properties.clone()).await?.await
    }
    .await;
    (publication, confirmed)
}

fn settle(
    returns: &mut Returns<Publication>,
    publication: Publication,
    confirmation: Confirmation,
    last: bool,
) {
    let acknowledged = confirmation.is_ack();
    let returned = confirmation.take_message().map(|message| Key {
        exchange: message.exchange.to_string(),
        routing_key: message.routing_key.to_string(),
        id: message.properties.message_id().as_ref().map(ToString::to_string),
    });
    if !acknowledged {
        returns.note(returned);
        publication.answer(Answer::Refused);
    } else if returned.is_none() && returns.is_quiet() {
        publication.answer(Answer::Confirmed);
    } else {
        let key = Key {
            exchange: publication.exchange.clone(),
            routing_key: publication.routing_key.clone(),
            id: publication.message.id().map(str::to_owned),
        };
        returns.settle(key, publication, returned, last, Publication::answer);
    }
}

/// What the broker says about a publish.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Answer {
    Confirmed,
    Unroutable,
    Refused,
}

/// What a returned message is recognised by. Publishes that share a key are the same job on the same route.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Key {
    exchange: String,
    routing_key: String,
    id: Option<String>,
}

/// Finds out which publishes the broker returned.
///
/// The broker sends a return before the confirm of the same publish, but confirms of others may come in
/// between, and lapin hands each return to whichever confirm it resolves next. So a return counts for the
/// publish it names. A confirm that came with another's return is undecided, for its own may be waiting
/// behind that one; a later confirm without a return, or none left in flight, shows that none was.
struct Returns<P> {
    unclaimed: Vec<Key>,
    undecided: Vec<(Key, P)>,
}

impl<P> Default for Returns<P> {
    fn default() -> Self {
        Self { unclaimed: Vec::new(), undecided: Vec::new() }
    }
}

impl<P> Returns<P> {
    fn is_quiet(&self) -> bool {
        self.unclaimed.is_empty() && self.undecided.is_empty()
    }

    /// Takes a return that came with something that needs no decision.
    fn note(&mut self, returned: Option<Key>) {
        self.unclaimed.extend(returned);
    }

    /// Takes the confirm of `publication` and the return that came with it, and answers what is decided.
    fn settle(
        &mut self,
        key: Key,
        publication: P,
        returned: Option<Key>,
        last: bool,
        mut answer: impl FnMut(P, Answer),
    ) {
        let none_waits = returned.is_none() || last;
        self.unclaimed.extend(returned);
        self.undecided.push((key, publication));
        let unclaimed = &mut self.unclaimed;
        let is_returned = |(key, _): &mut (Key, P)| {
            let position = unclaimed.iter().position(|returned| returned == key);
            position.map(|index| unclaimed.swap_remove(index)).is_some()
        };
        for (_, publication) in self.undecided.extract_if(.., is_returned) {
            answer(publication, Answer::Unroutable);
        }
        if none_waits {
            for (_, publication) in self.undecided.drain(..) {
                answer(publication, Answer::Confirmed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    fn key(id: usize) -> Key {
        Key {
            exchange: "subwatch.jobs".to_owned(),
            routing_key: "embed.v1".to_owned(),
            id: Some(id.to_string()),
        }
    }

    proptest! {
        /// Plays lapin: returns queue up before their publish is confirmed, and each confirm takes the first.
        #[test]
        fn every_return_finds_its_publish(
            unroutable in prop::collection::vec(any::<bool>(), 1..40),
            order in prop::collection::vec(any::<prop::sample::Index>(), 40),
            early in prop::collection::vec(0_usize..40, 40),
        ) {
            let mut to_return: VecDeque<usize> = (0..unroutable.len()).filter(|id| unroutable[*id]).collect();
            let mut waiting = VecDeque::new();
            let mut in_flight: Vec<usize> = (0..unroutable.len()).collect();
            let (mut returns, mut answers) = (Returns::default(), Vec::new());
            for (index, early) in order.iter().zip(early) {
                if in_flight.is_empty() {
                    break;
                }
                let id = in_flight.swap_remove(index.index(in_flight.len()));
                while to_return.contains(&id) || waiting.len() < early.min(to_return.len()) {
                    waiting.extend(to_return.pop_front().map(key));
                }
                let last = in_flight.is_empty();
                returns.settle(key(id), id, waiting.pop_front(), last, |id, answer| answers.push((id, answer)));
            }
            prop_assert!(returns.is_quiet());
            prop_assert_eq!(answers.len(), unroutable.len());
            for (id, answer) in answers {
                let want = if unroutable[id] { Answer::Unroutable } else { Answer::Confirmed };
                prop_assert_eq!(answer, want, "{}", id);
            }
        }
    }

    #[test]
    fn a_confirm_with_anothers_return_waits_until_its_own_can_be_ruled_out() {
        let (mut returns, mut answers) = (Returns::default(), Vec::new());
        let mut settle = |id, returned, last| {
            returns.settle(key(id), id, returned, last, |id, answer| answers.push((id, answer)));
            std::mem::take(&mut answers)
        };
        assert_eq!(settle(2, Some(key(1)), false), []);
        assert_eq!(settle(1, Some(key(3)), false), [(1, Answer::Unroutable)]);
        assert_eq!(settle(4, None, false), [(2, Answer::Confirmed), (4, Answer::Confirmed)]);
        assert_eq!(settle(3, None, true), [(3, Answer::Unroutable)]);
    }
}
