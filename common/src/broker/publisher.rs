//! Publishing: persistent, mandatory, confirmed, through a bounded window.
//!
//! Owns what a publish promises. Does not own the connection's upkeep (see `confirms`)
//! or when a job is published again. Invariant: `Ok` means that the broker holds the message on disk in
//! its queue; an error means that it may or may not.

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, SystemTime},
};

use lapin::{Connection, options::QueueDeclareOptions, types::FieldTable};
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::timeout,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    BrokerConfig, BrokerError, PublishError,
    confirms::{Current, Publication, PublisherTask, Session},
    connection::{Endpoint, ReconnectPolicy},
    dead_letter::DeadLetterInfo,
    message::Message,
};
use crate::{
    job::envelope::Envelope,
    topology::{DEAD_LETTER_EXCHANGE, DEAD_LETTER_ROUTING_KEY, DelayTier, Route},
};

/// How long a question about a queue may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// A handle for publishing. Clones share one connection, which is replaced whenever it is lost; it closes
/// when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Publisher {
    publications: mpsc::UnboundedSender<Publication>,
    window: Arc<Semaphore>,
    current: Current,
    app_id: Arc<str>,
    timeout: Duration,
    /// Ends the task behind this handle when the last clone is dropped.
    _stop: Arc<DropGuard>,
}

impl Publisher {
    /// Connects and declares the topology, waiting for a broker that is down and saying so.
    ///
    /// # Errors
    /// When waiting would not help: a bad URL, refused credentials, a missing virtual host, a queue that
    /// exists with other properties.
    pub async fn connect(config: &BrokerConfig) -> Result<Self, BrokerError> {
        let endpoint = Endpoint::new(config)?;
        let session = Session::open(&endpoint, ReconnectPolicy::ReturnPermanent).await?;
        let (publications, queue) = mpsc::unbounded_channel();
        let (current, stop) = (Current::default(), CancellationToken::new());
        let desk = PublisherTask { endpoint, queue, current: current.clone(), stop: stop.clone() };
        tokio::spawn(desk.run(session));
        Ok(Self {
            _stop: Arc::new(stop.drop_guard()),
            publications,
            window: Arc::new(Semaphore::new(config.publish_window.max(1))),
            current,
            app_id: config.name.as_str().into(),
            timeout: config.publish_timeout,
        })
    }

    /// Publishes a job and waits for the broker's confirm.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn publish(&self, envelope: &Envelope, route: &Route) -> Result<(), PublishError> {
        self.send(self.encode(envelope)?, route.exchange().to_owned(), route.routing_key()).await
    }

    /// Publishes a job so that it comes to `routing_key` after the tier's delay. A retry passes the key it
    /// came under, and raises the envelope's attempt first.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn delay(
        &self,
        envelope: &Envelope,
        tier: DelayTier,
        routing_key: &str,
    ) -> Result<(), PublishError> {
        self.send(self.encode(envelope)?, tier.name(), routing_key.to_owned()).await
    }

    /// Hands a message, job or not, over to the dead. The caller acknowledges it afterwards.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn dead_letter(&self, message: &Message, note: &DeadLetterInfo) -> Result<(), PublishError> {
        self.send(message.dead(note), DEAD_LETTER_EXCHANGE.to_owned(), DEAD_LETTER_ROUTING_KEY.to_owned()).await
    }

    /// Hands a job that was not received over to the dead.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn discard(&self, envelope: &Envelope, note: &DeadLetterInfo) -> Result<(), PublishError> {
        self.dead_letter(&self.encode(envelope)?, note).await
    }

    /// Returns how many messages are ready in a queue; nothing when there is no such queue, or the broker
    /// does not answer.
    pub async fn queue_depth(&self, queue: &str) -> Option<u32> {
        let connection = self.connection()?;
        let asking = async {
            // A passive declaration of a queue that is not there closes its channel, so it has one of its own.
            let channel = connection.create_channel().await?;
            let options = QueueDeclareOptions::durable().passive();
            let declared = channel.queue_declare(queue.into(), options, FieldTable::default()).await?;
            channel.close(200, "OK".into()).await?;
            Ok::<_, lapin::Error>(declared.message_count())
        };
        timeout(ANSWER_TIMEOUT, asking).await.ok()?.ok()
    }

    /// Whether the publishing connection is open.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connection().is_some_and(|connection| connection.status().connected())
    }

    fn connection(&self) -> Option<Arc<Connection>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn encode(&self, envelope: &Envelope) -> Result<Message, PublishError> {
        Message::encode(envelope, &self.app_id, SystemTime::now()).map_err(PublishError::Oversized)
    }

    async fn send(
        &self,
        message: Message,
        exchange: String,
        routing_key: String,
    ) -> Result<(), PublishError> {
        let sending = async {
            let place = self.window.clone().acquire_owned().await.expect("the window is never closed");
            let (reply, confirmed) = oneshot::channel();
            let publication = Publication { message, exchange, routing_key, reply, _place: place };
            self.publications.send(publication).map_err(|_| PublishError::Disconnected)?;
            confirmed.await.unwrap_or(Err(PublishError::Disconnected))
        };
        timeout(self.timeout, sending).await.unwrap_or(Err(PublishError::Timeout(self.timeout)))
    }
}
