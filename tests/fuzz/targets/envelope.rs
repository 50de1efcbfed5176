//! Messages as a stranger may send them: AMQP properties and a body. What is a job survives its way back.
#![no_main]

use common::{
    broker::{DeadLetterInfo, Message},
    job::discard::DiscardReason,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some(message) = Message::from_wire(bytes) else { return };
    let note = DeadLetterInfo {
        reason: DiscardReason::Rejected,
        error: "it is odd".to_owned(),
        worker: None,
        origin: Some("subwatch.embed.v1".to_owned()),
    };
    let (_, _) = (message.dead_letter_info(), message.delivery_count());
    let letter = message.letter(&note);
    assert_eq!(letter.dead_letter_info(), note);
    let Ok(job) = message.decode() else { return };
    let (written, dead) = Message::written(&job, &note).expect("what was accepted can be written");
    assert_eq!(written.decode().as_ref(), Ok(&job));
    assert_eq!(dead.decode().as_ref(), Ok(&job));
    assert_eq!(letter.decode().as_ref(), Ok(&job), "a dead letter can be sent again");
});
