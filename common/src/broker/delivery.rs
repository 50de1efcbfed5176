//! A delivered message and its acknowledgement.
//!
//! Owns the receipt. Does not own which queue to consume (see `consumer`) or what becomes of the job.
//! Invariant: a delivery that is dropped without an answer is released, so a panic costs no prefetch.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use lapin::{
    Acker,
    options::{BasicAckOptions, BasicNackOptions},
};
use tokio::{runtime::Handle, sync::mpsc};

use super::message::Message;
use crate::job::envelope::{Envelope, EnvelopeError};

/// How long an answer may take to be written before its connection counts as gone.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// The connection that brought a delivery is gone: the broker delivers the message again.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the connection of this delivery is lost; the broker delivers the message again")]
pub struct DeliveryLost;

/// A message a worker holds until it is acknowledged or released.
#[derive(Debug)]
pub struct Delivery {
    /// The job, or why the message is none. What is no job is dead-lettered and then acknowledged.
    pub job: Result<Envelope, EnvelopeError>,
    /// The message as it came, for dead-lettering.
    pub message: Message,
    /// The queue it came from.
    pub queue: Arc<str>,
    /// The routing key it was published under.
    pub routing_key: String,
    /// Whether it may have been delivered before.
    pub redelivered: bool,
    /// How often it was delivered before without being acknowledged.
    pub delivery_count: u64,
    /// Its acknowledgement.
    pub receipt: Receipt,
}

impl Delivery {
    pub(super) fn new(delivery: lapin::message::Delivery, queue: Arc<str>, held: mpsc::Sender<()>) -> Self {
        let message = Message { properties: delivery.properties, body: delivery.data };
        Self {
            job: message.decode(),
            delivery_count: message.delivery_count(),
            message,
            queue,
            routing_key: delivery.routing_key.into(),
            redelivered: delivery.redelivered,
            receipt: Receipt { acker: delivery.acker, held: Mutex::new(Some(held)) },
        }
    }

    /// Acknowledges: the message is done with. Call it after the result is durable.
    ///
    /// # Errors
    /// When the connection is lost or the delivery was answered before.
    pub async fn ack(&self) -> Result<(), DeliveryLost> {
        self.receipt.ack().await
    }

    /// Releases: the broker delivers the message again, here or elsewhere.
    ///
    /// # Errors
    /// When the connection is lost, which releases it as well, or the delivery was answered before.
    pub async fn release(&self) -> Result<(), DeliveryLost> {
        self.receipt.release().await
    }
}

/// The right to answer one delivery, once.
#[derive(Debug)]
pub struct Receipt {
    acker: Acker,
    /// Keeps the connection open until the last delivery is answered.
    held: Mutex<Option<mpsc::Sender<()>>>,
}

impl Receipt {
    /// Acknowledges; see [`Delivery::ack`].
    ///
    /// # Errors
    /// When the connection is lost or the delivery was answered before.
    pub async fn ack(&self) -> Result<(), DeliveryLost> {
        let answer = answered(self.acker.ack(BasicAckOptions::default())).await;
        self.let_go();
        answer
    }

    /// Releases; see [`Delivery::release`].
    ///
    /// # Errors
    /// When the connection is lost or the delivery was answered before.
    pub async fn release(&self) -> Result<(), DeliveryLost> {
        let answer = release(&self.acker).await;
        self.let_go();
        answer
    }

    /// Whether an answer would still reach the broker.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.acker.usable()
    }

    fn let_go(&self) -> Option<mpsc::Sender<()>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        let Ok(runtime) = Handle::try_current() else { return };
        if self.acker.usable() {
            let (acker, held) = (self.acker.clone(), self.let_go());
            runtime.spawn(async move {
                // Lost means that the broker requeues it anyway.
                let _ = release(&acker).await;
                drop(held);
            });
        }
    }
}

async fn release(acker: &Acker) -> Result<(), DeliveryLost> {
    answered(acker.nack(BasicNackOptions { requeue: true, multiple: false })).await
}

/// lapin answers `false` where nothing was sent, and may never answer once the server closed the connection.
async fn answered(answer: impl Future<Output = lapin::Result<bool>>) -> Result<(), DeliveryLost> {
    match tokio::time::timeout(ANSWER_TIMEOUT, answer).await {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false) | Err(_)) | Err(_) => Err(DeliveryLost),
    }
}
