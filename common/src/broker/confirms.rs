//! The task behind a publisher: sends publishes and resolves them with the broker's confirms.
//!
//! Owns the publishing connection and the matching of confirms and returns to publishes. Invariants:
//! - One task makes all publishes of a channel, since lapin assigns the delivery tag and queues the frames in two
//!   separate steps.
//! - Confirms are pipelined and arrive in the order in which lapin resolved them; [`ReturnedMessages`] relies on it.
//! - A publish in flight on a lost connection fails; it is not retried here.

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
    connection::{Endpoint, Purpose, ReconnectPolicy, wait_before_reconnecting},
    link::Link,
    message::Message,
    returns::{MessageKey, PublishOutcome, ReturnedMessages},
};

/// A message to publish, with its slot in the window of publishes in flight.
#[derive(Debug)]
pub(super) struct Publication {
    pub(super) message: Message,
    pub(super) exchange: String,
    pub(super) routing_key: String,
    pub(super) reply: oneshot::Sender<Result<(), PublishError>>,
    pub(super) _slot: OwnedSemaphorePermit,
}

impl Publication {
    fn complete(self, outcome: PublishOutcome) {
        let Self { exchange, routing_key, reply, .. } = self;
        // The receiver is gone if the publish timed out.
        let _ = reply.send(match outcome {
            PublishOutcome::Confirmed => Ok(()),
            PublishOutcome::Unroutable => Err(PublishError::Unroutable { exchange, routing_key }),
            PublishOutcome::Rejected => Err(PublishError::Full { exchange, routing_key }),
        });
    }
}

/// The open connection; `None` while reconnecting.
pub(super) type CurrentConnection = Arc<RwLock<Option<Arc<Connection>>>>;

/// Owns the publishing connection until `stop` is cancelled.
pub(super) struct PublisherTask {
    pub(super) endpoint: Endpoint,
    pub(super) queue: mpsc::UnboundedReceiver<Publication>,
    pub(super) current: CurrentConnection,
    pub(super) stop: CancellationToken,
}

/// An open connection and its channel in confirm mode.
pub(super) struct Session {
    link: Link,
    channel: Channel,
}

impl Session {
    pub(super) async fn open(endpoint: &Endpoint, policy: ReconnectPolicy) -> Result<Self, BrokerError> {
        loop {
            let link = endpoint.connect(Purpose::Publish, &[], policy).await?;
            let opened = endpoint.answered(&link, link.confirming_channel()).await;
            match opened.and_then(|opened| opened.map_err(|error| endpoint.classify(&error))) {
                Ok(channel) => return Ok(Self { link, channel }),
                Err(error) => endpoint.wait_after_refusal(error, policy).await?,
            }
        }
    }
}

/// Why a session ended.
enum SessionEnd {
    Lost(String),
    Stopped,
}

impl PublisherTask {
    pub(super) async fn run(mut self, mut session: Session) {
        loop {
            let since = Instant::now();
            self.set_current(Some(session.link.connection()));
            let end = self.serve(&session).await;
            self.set_current(None);
            session.link.close().await;
            let SessionEnd::Lost(reason) = end else { return };
            tracing::warn!(%reason, "publishing connection to RabbitMQ lost; reconnecting");
            let reopening = async {
                wait_before_reconnecting(since.elapsed()).await;
                Session::open(&self.endpoint, ReconnectPolicy::RetryAll).await
            };
            session = tokio::select! {
                opened = reopening => match opened {
                    Ok(session) => session,
                    Err(error) => return tracing::error!(%error, "cannot reconnect to RabbitMQ; publishing stopped"),
                },
                () = self.stop.cancelled() => return,
            };
        }
    }

    fn set_current(&self, connection: Option<Arc<Connection>>) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = connection;
    }

    async fn serve(&mut self, Session { link, channel }: &Session) -> SessionEnd {
        let mut confirms = FuturesUnordered::new();
        let mut returns = ReturnedMessages::default();
        let mut blocked = link.blocked();
        loop {
            let may_publish = !*blocked.borrow_and_update();
            tokio::select! {
                biased;
                Some((publication, confirmed)) = confirms.next() => match confirmed {
                    Ok(confirmation) => resolve(&mut returns, publication, confirmation, confirms.is_empty()),
                    // Dropping `confirms` closes the reply channels: callers see `PublishError::Disconnected`.
                    Err(error) => return SessionEnd::Lost(lapin::Error::to_string(&error)),
                },
                () = link.lost() => return SessionEnd::Lost(link.reason()),
                () = self.stop.cancelled() => return SessionEnd::Stopped,
                changed = blocked.changed() => if changed.is_err() { return SessionEnd::Lost(link.reason()) },
                Some(publication) = self.queue.recv(), if may_publish => {
                    // Skip a publish that timed out in the queue.
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

fn resolve(
    returns: &mut ReturnedMessages<Publication>,
    publication: Publication,
    confirmation: Confirmation,
    last: bool,
) {
    let acknowledged = confirmation.is_ack();
    let returned = confirmation.take_message().map(|message| MessageKey {
        exchange: message.exchange.to_string(),
        routing_key: message.routing_key.to_string(),
        id: message.properties.message_id().as_ref().map(ToString::to_string),
    });
    if !acknowledged {
        returns.add_return(returned);
        publication.complete(PublishOutcome::Rejected);
    } else if returned.is_none() && returns.is_empty() {
        publication.complete(PublishOutcome::Confirmed);
    } else {
        let key = MessageKey {
            exchange: publication.exchange.clone(),
            routing_key: publication.routing_key.clone(),
            id: publication.message.id().map(str::to_owned),
        };
        returns.resolve(key, publication, returned, last, Publication::complete);
    }
}
