//! The broker self-test: checks the RabbitMQ features that the job protocol depends on.
//!
//! It uses private exchanges and queues, which expire if the test is interrupted, and never touches the topology's.
//!
//! It checks that a message in a delay queue is dead-lettered with its routing key, that a full queue rejects publishes,
//! and that a message without a dead-letter target is kept. The last two are one experiment: an expired message that
//! still fills its queue was kept.

use std::time::Duration;

use futures::StreamExt;
use lapin::{
    BasicProperties, Channel, Confirmation,
    options::{
        BasicConsumeOptions, BasicPublishOptions, ExchangeDeclareOptions, ExchangeDeleteOptions,
        QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
    },
    types::FieldTable,
};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::{
    BrokerConfig, BrokerError,
    connection::{Endpoint, Purpose, ReconnectPolicy, declare_queue},
};
use crate::topology::{Argument, Binding, Queue, delay_arguments};

/// Delay of a test message.
const DELAY_MS: i64 = 20;
/// Wait after a message's expiry before checking that it was kept, so that a broker that drops it has dropped it.
const GRACE: Duration = Duration::from_millis(80);
/// Time limit for the broker to notice that a queue is full, or to redeliver a delayed message.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The broker deletes unused test queues after this, if this program dies first.
const EXPIRES_MS: i64 = 10_000;
const ROUTING_KEY: &str = "probe.v1";

/// Checks that the broker supports the job protocol, and returns how long the check took.
///
/// # Errors
/// [`BrokerError::Unsupported`] if it does not; otherwise as [`Publisher::connect`](super::Publisher::connect).
pub async fn probe(config: &BrokerConfig) -> Result<Duration, BrokerError> {
    let endpoint = Endpoint::new(config)?;
    let link = endpoint.connect(Purpose::Probe, &[], ReconnectPolicy::ReturnPermanent).await?;
    let started = Instant::now();
    let names = Names::new();
    let probing = async {
        let (returning, keeping) = (link.confirming_channel().await?, link.confirming_channel().await?);
        let results =
            tokio::try_join!(check_delay_queue(&returning, &names), check_full_queue(&keeping, &names))?;
        names.delete(&keeping).await?;
        Ok(results)
    };
    let results: Result<lapin::Result<_>, BrokerError> = endpoint.answered(&link, probing).await;
    let elapsed = started.elapsed();
    link.close().await;
    let unsupported =
        |reason: &str| BrokerError::Unsupported { address: endpoint.address(), reason: reason.to_owned() };
    match results? {
        Ok((Ok(()), Ok(()))) => Ok(elapsed),
        Ok((Err(reason), _) | (_, Err(reason))) => Err(unsupported(reason)),
        Err(error) if error.is_amqp_soft_error() => Err(unsupported(&error.to_string())),
        Err(error) => Err(endpoint.classify(&error)),
    }
}

/// Whether the broker has a capability; `Err` describes the lack.
type Capability = Result<(), &'static str>;

/// Names of the exchanges and queues of one self-test.
struct Names {
    entry: String,
    delay: String,
    exit: String,
    keep: String,
}

impl Names {
    fn new() -> Self {
        let name = |part: &str| format!("subwatch.probe.{part}.{}", Uuid::new_v4());
        Self { entry: name("entry"), delay: name("delay"), exit: name("exit"), keep: name("keep") }
    }

    async fn delete(&self, channel: &Channel) -> lapin::Result<()> {
        for queue in [&self.delay, &self.keep] {
            channel.queue_delete(queue.as_str().into(), QueueDeleteOptions::default()).await?;
        }
        for exchange in [&self.entry, &self.exit] {
            channel.exchange_delete(exchange.as_str().into(), ExchangeDeleteOptions::default()).await?;
        }
        Ok(())
    }
}

fn delay_queue(name: &str, to: &str, max_bytes: i64, bindings: Vec<Binding>) -> Queue {
    let mut arguments = delay_arguments(DELAY_MS, to, max_bytes);
    arguments.push(("x-expires", Argument::Number(EXPIRES_MS)));
    Queue { name: name.to_owned(), arguments, bindings }
}

async fn declare_exchange(channel: &Channel, name: &str, kind: lapin::ExchangeKind) -> lapin::Result<()> {
    let options = ExchangeDeclareOptions { auto_delete: true, ..Default::default() };
    channel.exchange_declare(name.into(), kind, options, FieldTable::default()).await
}

async fn publish(channel: &Channel, exchange: &str, routing_key: &str) -> lapin::Result<Confirmation> {
    let options = BasicPublishOptions { mandatory: true, immediate: false };
    let properties = BasicProperties::default().with_delivery_mode(2);
    channel.basic_publish(exchange.into(), routing_key.into(), options, b"probe", properties).await?.await
}

async fn check_delay_queue(channel: &Channel, names: &Names) -> lapin::Result<Capability> {
    declare_exchange(channel, &names.entry, lapin::ExchangeKind::Fanout).await?;
    declare_exchange(channel, &names.exit, lapin::ExchangeKind::Topic).await?;
    let back =
        channel.queue_declare("".into(), QueueDeclareOptions::exclusive(), FieldTable::default()).await?;
    let (back, none) = (back.name().clone(), FieldTable::default());
    let binding = QueueBindOptions::default();
    channel
        .queue_bind(back.clone(), names.exit.as_str().into(), ROUTING_KEY.into(), binding, none.clone())
        .await?;
    let entry = Binding { exchange: names.entry.clone(), routing_key: String::new() };
    declare_queue(channel, &delay_queue(&names.delay, &names.exit, 1 << 20, vec![entry])).await?;
    let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
    let mut deliveries = channel.basic_consume(back, "".into(), options, none).await?;
    if publish(channel, &names.entry, ROUTING_KEY).await? != Confirmation::Ack(None) {
        return Ok(Err("quorum queues do not support a message TTL"));
    }
    match timeout(TIMEOUT, deliveries.next()).await {
        Ok(Some(Ok(delivery))) if delivery.routing_key.as_str() == ROUTING_KEY => Ok(Ok(())),
        Ok(Some(Ok(_))) => Ok(Err("a dead-lettered message loses its routing key")),
        Ok(Some(Err(error))) => Err(error),
        Ok(None) | Err(_) => Ok(Err("an expired message is not dead-lettered")),
    }
}

async fn check_full_queue(channel: &Channel, names: &Names) -> lapin::Result<Capability> {
    // No queue is bound to the exit exchange for this queue's name, so its dead letters are unroutable. One message
    // fills the queue.
    declare_queue(channel, &delay_queue(&names.keep, &names.exit, 1, Vec::new())).await?;
    let deadline = Instant::now() + TIMEOUT;
    while !publish(channel, "", &names.keep).await?.is_nack() {
        if Instant::now() > deadline {
            return Ok(Err("a full queue does not reject publishes"));
        }
    }
    sleep(Duration::from_millis(DELAY_MS.unsigned_abs()) + GRACE).await;
    if publish(channel, "", &names.keep).await?.is_nack() {
        Ok(Ok(()))
    } else {
        Ok(Err("dead-lettering is not at-least-once: an unroutable expired message is dropped"))
    }
}
