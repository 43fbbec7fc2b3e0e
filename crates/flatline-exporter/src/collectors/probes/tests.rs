use super::blocking::{Blocking, NotDone};
use super::lookup::{Lookup, LookupError};
use super::{MAX_PROBES, Target, check};

fn targets(count: usize) -> Vec<Target> {
    (0..count).map(|number| format!("t{number}=tcp://127.0.0.1:1").parse().expect("a target")).collect()
}

#[test]
fn names_are_single_and_few() {
    assert!(check(&targets(MAX_PROBES)).is_ok());
    assert!(check(&targets(MAX_PROBES + 1)).is_err_and(|reason| reason.contains("more than 64")));
    let twice = [targets(1), targets(2)].concat();
    assert!(check(&twice).is_err_and(|reason| reason.contains("t0 is there twice")));
}

/// One in flight per probe: the second is refused while the first has not returned, and served afterwards.
#[test]
fn a_lookup_waits_for_no_other() {
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().expect("a runtime");
    runtime.block_on(async {
        // Until the release the only thread for what blocks is taken, so the first lookup can't have returned.
        let (release, released) = std::sync::mpsc::channel();
        let taken = tokio::task::spawn_blocking(move || released.recv());
        let lookup = Lookup::default();
        let name = || "127.0.0.1".to_owned();
        let (first, second, sent) = tokio::join!(
            biased;
            lookup.addresses(name(), 1),
            lookup.addresses(name(), 1),
            async { release.send(()) },
        );
        assert!(sent.is_ok() && taken.await.is_ok());
        assert_eq!(first.expect("an address").len(), 1);
        assert!(matches!(second, Err(LookupError::NotDone(NotDone::Busy))), "{second:?}");
        assert!(lookup.addresses(name(), 1).await.is_ok());
    });
}

/// The runtime has one thread: were the work done on it, nobody would come to release it.
#[tokio::test]
async fn what_blocks_keeps_nobody_else_from_running() {
    let judging = Blocking::default();
    let (release, released) = std::sync::mpsc::channel();
    let (began, begun) = tokio::sync::oneshot::channel();
    let first = tokio::spawn({
        let judging = judging.clone();
        async move { judging.run(move || (began.send(()), released.recv())).await }
    });
    begun.await.expect("it has begun");
    assert!(matches!(judging.run(|| ()).await, Err(NotDone::Busy)));
    // Whoever waited gives up, and it goes on nevertheless.
    first.abort();
    assert!(matches!(judging.run(|| ()).await, Err(NotDone::Busy)));
    release.send(()).expect("it waits");
    while judging.run(|| ()).await.is_err() {
        tokio::task::yield_now().await;
    }
    assert!(matches!(judging.run(|| panic!("as this test wants it")).await, Err::<(), _>(NotDone::Lost(_))));
    assert!(judging.run(|| ()).await.is_ok());
}
