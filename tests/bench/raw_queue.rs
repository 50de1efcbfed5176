//! `raw-queue COUNT`: messages per second through a quorum queue, with nothing but lapin and RabbitMQ.
//!
//! Publishes persistent messages of 512 bytes with confirms on one connection, and at once consumes and acknowledges
//! them on another. Prints one line of JSON. `SUBWATCH_AMQP_URL` is the server's URL.

use std::{io::Write as _, time::Instant};

use anyhow::{Context as _, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
        QueueDeclareOptions, QueueDeleteOptions,
    },
    types::{AMQPValue, FieldTable},
};

const QUEUE: &str = "bench.raw";
const BODY: [u8; 512] = [b'x'; 512];
/// Unconfirmed publishes, and unacknowledged deliveries.
const WINDOW: u16 = 1024;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let count =
        std::env::args().nth(1).and_then(|text| text.parse::<usize>().ok()).filter(|count| *count > 0);
    let count = count.context("usage: raw-queue COUNT, with a count of messages above 0")?;
    #[expect(clippy::disallowed_methods, reason = "this program has one setting")]
    let url = std::env::var("SUBWATCH_AMQP_URL").context("set SUBWATCH_AMQP_URL to the URL of RabbitMQ")?;
    let publisher = channel(&url).await?;
    let consumer = channel(&url).await?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    publisher.queue_declare(QUEUE.into(), durable, arguments).await?;
    publisher.confirm_select(ConfirmSelectOptions::default()).await?;
    consumer.basic_qos(WINDOW, BasicQosOptions::default()).await?;

    let began = Instant::now();
    tokio::try_join!(publish(&publisher, count), consume(&consumer, count))?;
    let seconds = began.elapsed().as_secs_f64();
    publisher.queue_delete(QUEUE.into(), QueueDeleteOptions::default()).await?;
    let line = serde_json::json!({"messages": count, "seconds": seconds, "messages_per_second": count as f64 / seconds});
    writeln!(std::io::stdout(), "{line}").context("cannot write to standard output")
}

async fn channel(url: &str) -> anyhow::Result<Channel> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    Ok(connection.create_channel().await?)
}

async fn publish(channel: &Channel, count: usize) -> anyhow::Result<()> {
    let persistent = BasicProperties::default().with_delivery_mode(2);
    let publish = |_| {
        let options = BasicPublishOptions::default();
        channel.basic_publish("".into(), QUEUE.into(), options, &BODY, persistent.clone())
    };
    // In order, as lapin assigns delivery tags: each confirm is awaited after later messages are sent.
    let sent = stream::iter(0..count).then(publish);
    sent.try_buffer_unordered(usize::from(WINDOW))
        .map_err(anyhow::Error::from)
        .try_for_each(|confirmation| async move {
            ensure!(confirmation.is_ack(), "RabbitMQ refused a message");
            Ok(())
        })
        .await
}

async fn consume(channel: &Channel, count: usize) -> anyhow::Result<()> {
    let options = BasicConsumeOptions::default();
    let mut deliveries =
        channel.basic_consume(QUEUE.into(), "bench".into(), options, FieldTable::default()).await?;
    for _ in 0..count {
        let delivery = deliveries.next().await.context("RabbitMQ ended the consumer")??;
        delivery.ack(BasicAckOptions::default()).await?;
    }
    Ok(())
}
