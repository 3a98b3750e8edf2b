//! A panic anywhere, in whatever task or thread, ends the process; but for one in the reconcile of an object, which ends that reconcile.
//!
//! A process that goes on without one of its tasks looks healthy while the work of that task stands still, and nobody knows in what state the panic left what tasks
//! share. The next process, or the other replica, takes everything up from the journals. A reconcile is different: nobody waits for it, its object says that it was
//! given up, and it is tried again. If it ended the process, one object of one district would end it again and again, for all districts.

use futures::FutureExt as _;
use std::{
    cell::Cell,
    future::{Future, poll_fn},
    panic::{self, AssertUnwindSafe, PanicHookInfo},
    thread,
};

/// Exit code of a process that has panicked.
pub const EXIT_CODE: i32 = 101;

thread_local! {
    /// Whether this thread is in what [`contained`] polls.
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// Sets [`CONTAINED`] until it is dropped, also by a panic.
struct Within;

impl Within {
    fn enter() -> Self {
        CONTAINED.set(true);
        Self
    }
}

impl Drop for Within {
    fn drop(&mut self) {
        CONTAINED.set(false);
    }
}

/// Work for one object. A panic in it, though not in tasks that it starts, ends it and not the process.
///
/// # Errors
/// What it panicked with.
pub fn contained<F: Future>(work: F) -> impl Future<Output = thread::Result<F::Output>> {
    let mut work = Box::pin(AssertUnwindSafe(work).catch_unwind());
    poll_fn(move |context| {
        let _within = Within::enter();
        work.as_mut().poll(context)
    })
}

/// From now on a panic is logged with its reason and ends the process. Called once, before any task is started.
pub fn end_the_process() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |panicked| {
        // To standard error as it is, also if what panicked was the log itself.
        print(panicked);
        let thread = thread::current();
        let place = panicked.location().map(ToString::to_string).unwrap_or_default();
        if CONTAINED.get() {
            tracing::error!(place, "panicked: {}: the reconcile of an object ends", reason(panicked));
            return;
        }
        tracing::error!(
            thread = thread.name().unwrap_or_default(),
            place,
            "panicked: {}: the process ends, and another goes on from the journals",
            reason(panicked)
        );
        std::process::exit(EXIT_CODE);
    }));
}

fn reason<'a>(panicked: &'a PanicHookInfo<'_>) -> &'a str {
    panicked.payload_as_str().unwrap_or("without a text")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Output};

    /// Says to the test program, started again, what is to panic.
    const VARIABLE: &str = "P861_TEST_PANICS";
    const REASON: &str = "index 3 of 2";

    fn panics() {
        panic!("{REASON}");
    }

    /// Panics as told. Does nothing in the test program itself.
    #[test]
    fn panics_if_told() {
        let Ok(place) = std::env::var(VARIABLE) else { return };
        tracing_subscriber::fmt().with_writer(std::io::stderr).init();
        end_the_process();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        match place.as_str() {
            "task" => drop(runtime.spawn(async move { panics() })),
            "detached task in a task" => drop(runtime.spawn(async move { drop(tokio::spawn(async move { panics() })) })),
            "blocking" => drop(runtime.spawn_blocking(panics)),
            "thread" => drop(thread::Builder::new().name("pump".into()).spawn(panics)),
            "caught" => drop(panic::catch_unwind(panics)),
            "reconcile" => {
                let panicked = runtime.block_on(async { runtime.spawn(contained(async { panics() })).await.expect("it goes on") });
                assert!(panicked.is_err());
            }
            "task of a reconcile" => drop(runtime.spawn(contained(async move { drop(tokio::spawn(async move { panics() })) }))),
            "nothing" => {}
            other => unreachable!("{other}"),
        }
        // It goes on for as long as it is let.
        thread::sleep(std::time::Duration::from_secs(if matches!(place.as_str(), "nothing" | "reconcile") { 0 } else { 60 }));
        std::process::exit(0);
    }

    fn started_again(place: &str) -> (Output, String) {
        let program = std::env::current_exe().expect("this program");
        let output = Command::new(program).args(["--exact", "panics::tests::panics_if_told", "--nocapture"]).env(VARIABLE, place).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output, said)
    }

    #[test]
    fn fault_e21_a_panic_in_any_task_or_thread_ends_the_process_with_its_reason_in_the_log() {
        for place in ["task", "detached task in a task", "task of a reconcile", "blocking", "thread", "caught"] {
            let (output, said) = started_again(place);
            assert_eq!(output.status.code(), Some(EXIT_CODE), "{place}: {said}");
            assert!(
                said.contains("ERROR") && said.contains(&format!("panicked: {REASON}: the process ends")) && said.contains("panics.rs:"),
                "{place}: {said}"
            );
        }
        assert_eq!(started_again("nothing").0.status.code(), Some(0));
        let (output, said) = started_again("reconcile");
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(said.contains("ERROR") && said.contains(&format!("panicked: {REASON}: the reconcile of an object ends")), "{said}");
    }
}
