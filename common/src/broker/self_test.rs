//! The probe: round trips that show the broker does what the job protocol rests on.
//!
//! Owns the private exchanges and queues it uses, which vanish by themselves if it is interrupted. Does
//! not own the topology's queues: it never touches one.
//!
//! What is shown: a message that rested in a delay queue comes back under its own routing key; a full
//! queue refuses publishes; and a message whose dead-lettering finds no target is kept, not dropped. The
//! last two are one experiment: an expired message that still fills its queue was kept.

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

/// How long a probe message rests.
const REST_MS: i64 = 20;
/// How long after its time a kept message is looked for, so that a broker that drops it has done so.
const GRACE: Duration = Duration::from_millis(80);
/// How long the broker may take to notice that a queue is full, or to bring a message back.
const PATIENCE: Duration = Duration::from_secs(5);
/// What the broker deletes by itself should this program die first.
const EXPIRES_MS: i64 = 10_000;
const ROUTING_KEY: &str = "probe.v1";

/// Checks that the broker does what the job protocol rests on, and returns how long that took.
///
/// # Errors
/// [`BrokerError::Unfit`] when it does not; otherwise as [`Publisher::connect`](super::Publisher::connect).
pub async fn probe(config: &BrokerConfig) -> Result<Duration, BrokerError> {
    let endpoint = Endpoint::new(config)?;
    let link = endpoint.connect(Purpose::Probe, &[], ReconnectPolicy::ReturnPermanent).await?;
    let started = Instant::now();
    let names = Names::new();
    let probing = async {
        let (returning, keeping) = (link.confirming_channel().await?, link.confirming_channel().await?);
        let findings = tokio::try_join!(comes_back(&returning, &names), keeps(&keeping, &names))?;
        names.delete(&keeping).await?;
        Ok(findings)
    };
    let findings: lapin::Result<_> = probing.await;
    let elapsed = started.elapsed();
    link.close().await;
    let unfit = |what: &str| BrokerError::Unfit { address: endpoint.address(), what: what.to_owned() };
    match findings {
        Ok((Ok(()), Ok(()))) => Ok(elapsed),
        Ok((Err(what), _) | (_, Err(what))) => Err(unfit(what)),
        Err(error) if error.is_amqp_soft_error() => Err(unfit(&error.to_string())),
        Err(error) => Err(endpoint.classify(&error)),
    }
}

/// Nothing, or what the broker does not do.
type Finding = Result<(), &'static str>;

/// The private names of one probe.
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

fn resting_queue(name: &str, to: &str, max_bytes: i64, bindings: Vec<Binding>) -> Queue {
    let mut arguments = delay_arguments(REST_MS, to, max_bytes);
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

async fn comes_back(channel: &Channel, names: &Names) -> lapin::Result<Finding> {
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
    declare_queue(channel, &resting_queue(&names.delay, &names.exit, 1 << 20, vec![entry])).await?;
    let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
    let mut deliveries = channel.basic_consume(back, "".into(), options, none).await?;
    if publish(channel, &names.entry, ROUTING_KEY).await? != Confirmation::Ack(None) {
        return Ok(Err("a quorum queue with a message TTL takes no messages"));
    }
    match timeout(PATIENCE, deliveries.next()).await {
        Ok(Some(Ok(delivery))) if delivery.routing_key.as_str() == ROUTING_KEY => Ok(Ok(())),
        Ok(Some(Ok(_))) => Ok(Err("a delayed message loses its routing key")),
        Ok(Some(Err(error))) => Err(error),
        Ok(None) | Err(_) => Ok(Err("a delayed message does not come back")),
    }
}

async fn keeps(channel: &Channel, names: &Names) -> lapin::Result<Finding> {
    // The exit takes nothing under this queue's name, so its dead letters have no target; one message fills it.
    declare_queue(channel, &resting_queue(&names.keep, &names.exit, 1, Vec::new())).await?;
    let deadline = Instant::now() + PATIENCE;
    while !publish(channel, "", &names.keep).await?.is_nack() {
        if Instant::now() > deadline {
            return Ok(Err("a full queue does not refuse publishes"));
        }
    }
    sleep(Duration::from_millis(REST_MS.unsigned_abs()) + GRACE).await;
    if publish(channel, "", &names.keep).await?.is_nack() {
        Ok(Ok(()))
    } else {
        Ok(Err("dead-lettering is not at-least-once: an expired message without a target is dropped"))
    }
}
