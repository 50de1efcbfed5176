use futures::FutureExt;

use super::{batches::MAX_OVERTAKING, *};

/// Submits an image that is written or fails.
async fn submit(embedder: &Embedder, written: Result<(), ()>) -> Option<Pending> {
    embedder.admit(Priority::Bulk).await.unwrap().submit(|_| written).ok()
}

#[tokio::test]
async fn failed_image_leaves_the_others_in_their_places() {
    let (embedder, mut batches) = connect_without_model(3);
    let _first = submit(&embedder, Ok(())).await.unwrap();
    assert!(submit(&embedder, Err(())).await.is_none());
    let (_third, fourth) = (submit(&embedder, Ok(())).await.unwrap(), submit(&embedder, Ok(())).await);
    for (want, taken) in [(vec![0, 2], 3), (vec![0], 1)] {
        let Batch { memory, answers } = batches.next_beside(0).unwrap();
        assert_eq!(answers.iter().map(|answer| answer.index).collect::<Vec<_>>(), want);
        assert_eq!(memory.taken(), taken);
        batches.give_back(memory);
    }
    assert!(batches.next_beside(0).is_none());
    drop(fourth);
    drop(submit(&embedder, Ok(())).await);
    assert!(batches.next_beside(0).is_none(), "the only image of the batch was cancelled");
    drop(embedder);
    assert!(batches.next().is_none());
}

#[tokio::test]
async fn every_admission_ends() {
    let (embedder, mut batches) = connect_without_model(2);
    let free = || embedder.0.collector.permits[Priority::Bulk as usize].available_permits();
    let all = free();
    drop(embedder.admit(Priority::Bulk).await.unwrap());
    assert!(submit(&embedder, Err(())).await.is_none());
    assert_eq!(free(), all);
    let _answered = submit(&embedder, Ok(())).await.unwrap();
    drop(submit(&embedder, Ok(())).await);
    assert_eq!(free(), all - 2);
    while let Some(Batch { memory, answers }) = batches.next_beside(0) {
        for answer in answers {
            answer.send(Err(EmbedError::Failed("test".to_owned())));
        }
        batches.give_back(memory);
    }
    assert_eq!(free(), all);
}

#[tokio::test]
async fn batch_waits_for_images_that_are_being_written() {
    let (embedder, mut batches) = connect_without_model(4);
    let admission = embedder.admit(Priority::Bulk).await.unwrap();
    let (start, started) = std::sync::mpsc::channel();
    let writing = std::thread::spawn(move || {
        admission.submit(|bytes| {
            start.send(()).unwrap();
            std::thread::sleep(Duration::from_millis(30));
            bytes.fill(1);
            Ok::<_, Infallible>(())
        })
    });
    started.recv().unwrap();
    assert_eq!(batches.next().unwrap().answers.len(), 1);
    assert!(writing.join().unwrap().is_ok());
}

#[tokio::test]
async fn callers_learn_that_the_model_thread_has_ended() {
    let (embedder, batches) = connect_without_model(2);
    let (pending, admission) =
        (submit(&embedder, Ok(())).await.unwrap(), embedder.admit(Priority::Bulk).await.unwrap());
    drop(batches);
    assert_eq!(pending.embedding().await, Err(EmbedError::Gone));
    let Ok(late) = admission.submit(|_| Ok::<_, Infallible>(()));
    assert_eq!(late.embedding().await, Err(EmbedError::Gone));
    assert_eq!(embedder.admit(Priority::Bulk).await.err(), Some(EmbedError::Gone));
}

#[tokio::test]
async fn interactive_images_overtake_bulk_images_up_to_a_limit() {
    let (embedder, mut batches) = connect_without_model(3);
    let mut waiting = Vec::new();
    for _ in 0..6 {
        waiting.push(submit(&embedder, Ok(())).await);
    }
    let mut order = Vec::new();
    for _ in 0..MAX_OVERTAKING + 3 {
        // One image at a time: the next one comes while a batch is computed.
        let admission = embedder.admit(Priority::Interactive).await.unwrap();
        waiting.push(admission.submit(|_| Ok::<_, ()>(())).ok());
        let Batch { memory, answers } = batches.next_beside(0).unwrap();
        order.push(answers.len());
        batches.give_back(memory);
    }
    // Bulk batches have three images, the first interactive batches one.
    let mut want = vec![1; MAX_OVERTAKING as usize];
    want.extend([3, 2, 1]);
    assert_eq!(order, want);
}

#[tokio::test]
async fn interactive_images_are_admitted_beside_any_number_of_bulk_images() {
    let (embedder, _batches) = connect_without_model(2);
    let mut bulk = Vec::new();
    while let Some(admission) = embedder.admit(Priority::Bulk).now_or_never() {
        bulk.push(admission.unwrap());
    }
    assert!(embedder.admit(Priority::Interactive).now_or_never().is_some());
    assert_eq!(embedder.stage().depth(), bulk.len() as u64);
}

#[tokio::test]
async fn a_bulk_batch_that_waits_for_more_images_has_its_turn() {
    let (embedder, mut batches) = connect_without_model(3);
    let _more = embedder.expect_items(9, Priority::Bulk);
    let _bulk = submit(&embedder, Ok(())).await;
    let mut waiting = Vec::new();
    let mut bulk_left = Vec::new();
    for _ in 0..=MAX_OVERTAKING {
        let admission = embedder.admit(Priority::Interactive).await.unwrap();
        waiting.push(admission.submit(|_| Ok::<_, ()>(())).ok());
        let Batch { memory, .. } = batches.next_beside(0).unwrap();
        batches.give_back(memory);
        bulk_left.push(embedder.0.collector.lock().lanes[Priority::Bulk as usize].batches.len());
    }
    let mut want = vec![1; MAX_OVERTAKING as usize];
    want.push(0);
    assert_eq!(bulk_left, want);
}

#[tokio::test]
async fn batches_shrink_to_what_fits() {
    let (embedder, mut batches) = connect_without_model(4);
    let mut waiting = Vec::new();
    let mut sizes = Vec::new();
    for limit in [4, 2, 3] {
        batches.limit(limit);
        for _ in 0..4 {
            waiting.push(submit(&embedder, Ok(())).await);
        }
        while let Some(Batch { memory, answers }) = batches.next_beside(0) {
            sizes.push(answers.len());
            batches.give_back(memory);
        }
    }
    assert_eq!(sizes, [4, 2, 2, 2, 2], "a limit never grows");
}

#[tokio::test]
async fn reason_of_the_model_threads_end_is_kept() {
    let (embedder, batches) = connect_without_model(2);
    assert_eq!(embedder.failure(), None);
    batches.fail("the GPU failed: ECC".to_owned());
    batches.fail("a consequence".to_owned());
    drop(batches);
    assert_eq!(embedder.failure().as_deref(), Some("the GPU failed: ECC"));
    let (embedder, batches) = connect_without_model(2);
    drop(batches);
    assert_eq!(embedder.failure().as_deref(), Some("the model thread has ended"));
}
