//! The desk behind a publisher: one task that sends publishes and hands out their confirms.
//!
//! Owns the publishing connection and the pairing of the broker's answers with publishes. Does not own
//! what is published. Invariants: all publishes of a channel are made from one task, since lapin counts
//! delivery tags and queues frames in two steps; confirms are pipelined and arrive in the order lapin
//! resolved them, which [`Returns`] needs; a publish whose connection is lost fails, it is not repeated.

use std::sync::{Arc, PoisonError, RwLock};

use futures::{StreamExt, stream::FuturesUnordered};
use lapin::{Channel, Confirmation, Connection, options::BasicPublishOptions};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    BrokerError, PublishError,
    connection::{Endpoint, Patience, Purpose, rest_after},
    link::Link,
    message::Message,
    returns::{Answer, Key, Returns},
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

/// The connection of the moment, if there is one.
pub(super) type Current = Arc<RwLock<Option<Arc<Connection>>>>;

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
