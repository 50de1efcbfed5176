//! A delivered message and its acknowledgement.
//!
//! Invariant: a delivery that is dropped unanswered is released, so a panic leaks no prefetch slot.

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

/// Time limit for sending an ack or nack; after it, the connection counts as lost.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// The connection of a delivery is lost: the broker redelivers the message.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the connection of this delivery is lost; RabbitMQ will redeliver the message")]
pub struct DeliveryLost;

/// A received message, in flight until it is acknowledged or released.
#[derive(Debug)]
pub struct Delivery {
    /// The decoded job. The caller dead-letters a message that cannot be decoded.
    pub job: Result<Envelope, EnvelopeError>,
    /// The message as received, for dead-lettering.
    pub message: Message,
    pub queue: Arc<str>,
    pub routing_key: String,
    pub redelivered: bool,
    /// Earlier deliveries that were not acknowledged.
    pub delivery_count: u64,
    pub receipt: Receipt,
}

impl Delivery {
    pub(super) fn new(delivery: lapin::message::Delivery, queue: Arc<str>, guard: mpsc::Sender<()>) -> Self {
        let message = Message { properties: delivery.properties, body: delivery.data };
        Self {
            job: message.decode(),
            delivery_count: message.delivery_count(),
            message,
            queue,
            routing_key: delivery.routing_key.into(),
            redelivered: delivery.redelivered,
            receipt: Receipt { acker: delivery.acker, guard: Mutex::new(Some(guard)) },
        }
    }

    /// Acknowledges the message. Call it after the result is durable.
    ///
    /// # Errors
    /// If the connection is lost or the delivery was answered before.
    pub async fn ack(&self) -> Result<(), DeliveryLost> {
        self.receipt.ack().await
    }

    /// Releases the message: the broker requeues it and redelivers it to any consumer.
    ///
    /// # Errors
    /// If the connection is lost, which requeues the message too, or the delivery was answered before.
    pub async fn release(&self) -> Result<(), DeliveryLost> {
        self.receipt.release().await
    }
}

/// The right to answer one delivery, once.
#[derive(Debug)]
pub struct Receipt {
    acker: Acker,
    /// Keeps the connection open until the last delivery is answered.
    guard: Mutex<Option<mpsc::Sender<()>>>,
}

impl Receipt {
    /// See [`Delivery::ack`].
    ///
    /// # Errors
    /// If the connection is lost or the delivery was answered before.
    pub async fn ack(&self) -> Result<(), DeliveryLost> {
        let answer = answered(self.acker.ack(BasicAckOptions::default())).await;
        self.take_guard();
        answer
    }

    /// See [`Delivery::release`].
    ///
    /// # Errors
    /// If the connection is lost or the delivery was answered before.
    pub async fn release(&self) -> Result<(), DeliveryLost> {
        let answer = release(&self.acker).await;
        self.take_guard();
        answer
    }

    /// Whether an ack or nack can still reach the broker.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.acker.usable()
    }

    fn take_guard(&self) -> Option<mpsc::Sender<()>> {
        self.guard.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        let Ok(runtime) = Handle::try_current() else { return };
        if self.acker.usable() {
            let (acker, guard) = (self.acker.clone(), self.take_guard());
            runtime.spawn(async move {
                // On an error, the connection is lost and the broker requeues the message anyway.
                let _ = release(&acker).await;
                drop(guard);
            });
        }
    }
}

async fn release(acker: &Acker) -> Result<(), DeliveryLost> {
    answered(acker.nack(BasicNackOptions { requeue: true, multiple: false })).await
}

/// lapin returns `false` if nothing was sent, and may never return after the server closed the connection.
async fn answered(answer: impl Future<Output = lapin::Result<bool>>) -> Result<(), DeliveryLost> {
    match tokio::time::timeout(ANSWER_TIMEOUT, answer).await {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false) | Err(_)) | Err(_) => Err(DeliveryLost),
    }
}
