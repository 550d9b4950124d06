//! The threads that work on files. A thread costs some tenths of a millisecond, and a start reads
//! some twenty files: one that is done waits a moment for the next.
//!
//! ```text
//! run ─▶ an idle worker? ── its channel ─▶ work ─▶ idle again ─▶ hand the outcome over
//!            └─ none: a new thread ──────────▲        └─ another is idle, or a second passes: ends
//! ```

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Work; what it returns hands its outcome over, and is called when the worker is idle again, so
/// that the caller's next work finds it so.
pub(super) type Work = Box<dyn FnOnce() -> HandOver + Send>;
type HandOver = Box<dyn FnOnce() + Send>;

/// How long an idle worker waits.
const IDLE_TIME: Duration = Duration::from_secs(1);

/// The workers of this process.
pub(super) static WORKERS: Workers = Workers::new();

/// Ends the thread that waits for the next file, if there is one, and returns when it is gone. To
/// be called where a process must have one thread: before it gives up rights that each thread
/// holds for itself.
pub fn end_idle_worker() {
    WORKERS.end_idle();
}

/// What a worker is asked for.
enum Task {
    /// To do this. Its own thread's handle is kept here while it works.
    Do(Work, JoinHandle<()>),
    End,
}

/// A worker that waits.
struct Idle {
    tasks: Sender<Task>,
    thread: JoinHandle<()>,
}

/// Who does the work: as many threads as there is work at once, and one more that is idle.
pub(super) struct Workers {
    /// The idle worker, if there is one. Tasks are sent under the lock, so that a worker that is
    /// about to end knows whether one was.
    idle: Mutex<Option<Idle>>,
}

impl Workers {
    const fn new() -> Self {
        Self {
            idle: Mutex::new(None),
        }
    }

    /// Has `work` done by a worker.
    pub(super) fn run(&'static self, work: Work) -> io::Result<()> {
        let mut idle = self.idle();
        let Idle { tasks, thread } = match idle.take() {
            Some(worker) => worker,
            None => self.start()?,
        };
        // A worker ends only when asked to, or when it has left its place here.
        let _ = tasks.send(Task::Do(work, thread));
        Ok(())
    }

    fn start(&'static self) -> io::Result<Idle> {
        let (tasks, own_tasks) = channel();
        let own = tasks.clone();
        let thread = std::thread::Builder::new()
            .name("offhook-file".into())
            .stack_size(128 * 1024)
            .spawn(move || self.work_on(&own, &own_tasks))?;
        Ok(Idle { tasks, thread })
    }

    fn end_idle(&self) {
        let mut idle = self.idle();
        if let Some(Idle { tasks, thread }) = idle.take() {
            let _ = tasks.send(Task::End);
            // It may want the lock to learn of it.
            drop(idle);
            let _ = thread.join();
        }
    }

    fn work_on(&self, own: &Sender<Task>, tasks: &Receiver<Task>) {
        let mut task = tasks.recv().ok();
        while let Some(Task::Do(work, thread)) = task {
            let hand_over = work();
            let waits = self.become_idle(own, thread);
            hand_over();
            task = waits.then(|| self.next_task(tasks)).flatten();
        }
    }

    /// Whether this worker is now the one that waits.
    fn become_idle(&self, own: &Sender<Task>, thread: JoinHandle<()>) -> bool {
        let mut idle = self.idle();
        let waits = idle.is_none();
        if waits {
            let tasks = own.clone();
            *idle = Some(Idle { tasks, thread });
        }
        waits
    }

    /// What an idle worker is asked for; none where no one wants it: it is idle no longer.
    fn next_task(&self, tasks: &Receiver<Task>) -> Option<Task> {
        if let Ok(task) = tasks.recv_timeout(IDLE_TIME) {
            return Some(task);
        }
        let mut idle = self.idle();
        let late = tasks.try_recv().ok();
        if late.is_none() {
            // Its own: another's is here only after this one's was taken, with a task sent.
            *idle = None;
        }
        late
    }

    /// What the lock guards is whole between two statements: a panic elsewhere harms nothing.
    fn idle(&self) -> MutexGuard<'_, Option<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;
    use std::thread::ThreadId;

    use super::*;

    fn workers() -> &'static Workers {
        Box::leak(Box::new(Workers::new()))
    }

    /// The thread that did it, awaited.
    fn worker_of(workers: &'static Workers) -> ThreadId {
        let (done, outcome) = sync_channel(1);
        let work = move || -> HandOver {
            let worker = std::thread::current().id();
            Box::new(move || done.send(worker).unwrap())
        };
        workers.run(Box::new(work)).unwrap();
        outcome.recv().unwrap()
    }

    #[test]
    fn one_worker_does_what_follows_each_other() {
        let workers = workers();
        let first = worker_of(workers);
        for _ in 0..1000 {
            assert_eq!(worker_of(workers), first);
        }
    }

    #[test]
    fn none_waits_once_it_was_ended() {
        let workers = workers();
        let first = worker_of(workers);
        workers.end_idle();
        assert!(workers.idle().is_none());
        workers.end_idle();
        assert_ne!(worker_of(workers), first);
    }

    /// Work that hangs holds up nothing, and when it ends there is one idle worker, not two.
    #[test]
    fn a_worker_that_hangs_is_not_asked_again() {
        let workers = workers();
        let (release, stuck) = sync_channel::<()>(0);
        let (done, outcome) = sync_channel(1);
        let hangs = move || -> HandOver {
            let _ = stuck.recv();
            let worker = std::thread::current().id();
            Box::new(move || done.send(worker).unwrap())
        };
        workers.run(Box::new(hangs)).unwrap();
        let other = worker_of(workers);
        assert_eq!(worker_of(workers), other);
        drop(release);
        assert_ne!(outcome.recv().unwrap(), other);
        assert_eq!(worker_of(workers), other);
    }

    #[test]
    fn an_idle_worker_ends_and_another_begins() {
        let workers = workers();
        let first = worker_of(workers);
        // Wall clock: the worker waits for a second.
        std::thread::sleep(IDLE_TIME + Duration::from_millis(500));
        assert!(workers.idle().is_none(), "it still waits");
        assert_ne!(worker_of(workers), first);
    }
}
