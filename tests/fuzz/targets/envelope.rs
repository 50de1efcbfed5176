//! Decodes arbitrary AMQP messages, and checks that a decoded job survives the round trip.
#![no_main]

use common::{
    broker::{DeadLetterInfo, Message},
    job::discard::DiscardReason,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some(message) = Message::from_wire(bytes) else { return };
    let info = DeadLetterInfo {
        reason: DiscardReason::Rejected,
        error: "it is odd".to_owned(),
        worker: None,
        origin: Some("subwatch.embed.v1".to_owned()),
    };
    let (_, _) = (message.dead_letter_info(), message.delivery_count());
    let dead_letter = message.dead_letter(&info);
    assert_eq!(dead_letter.dead_letter_info(), info);
    let Ok(job) = message.decode() else { return };
    let (encoded, encoded_dead_letter) =
        Message::encode_with_dead_letter(&job, &info).expect("a decoded job can be encoded");
    assert_eq!(encoded.decode().as_ref(), Ok(&job));
    assert_eq!(encoded_dead_letter.decode().as_ref(), Ok(&job));
    assert_eq!(dead_letter.decode().as_ref(), Ok(&job), "a dead letter can be requeued");
});
