//! The storage thread: one job after the other, each awaited no longer than its deadline.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::Files;

/// A job that is not done this long after it was queued is reported as [`StorageError::Late`].
const DEADLINE: Duration = Duration::from_secs(30);
/// Jobs that may wait. A phone makes a handful an hour.
const QUEUE: usize = 16;
/// Of each thread that writes, in bytes.
const STACK: usize = 256 * 1024;
/// The end of the process waits this long for jobs that were queued before it.
const FINISH: Duration = Duration::from_secs(2);

type Job = Box<dyn FnOnce(&dyn Files) + Send>;

/// Why a job was not done, or is not known to be done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StorageError {
    /// The file system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Too much waits already.
    #[error("storage is busy: {QUEUE} writes are waiting; is the card worn out?")]
    Busy,
    /// No answer in time. The job is skipped if it has not begun.
    #[error("storage did not answer within {} s; is the card worn out?", .0.as_secs())]
    Late(Duration),
    /// The thread ended.
    #[error("the storage thread has ended; restart the phone")]
    Ended,
}

/// A handle to the storage thread; the thread ends with the last one.
#[derive(Clone)]
pub(crate) struct Storage {
    jobs: SyncSender<Job>,
    files: Arc<dyn Files>,
    deadline: Duration,
    /// A job beside the queue is under way.
    aside: Arc<AtomicBool>,
}

/// Waits for what was queued, at the end of the process.
#[derive(Debug)]
pub(crate) struct Finish(Receiver<()>);

impl Storage {
    /// Starts the thread.
    pub(crate) fn start(files: Arc<dyn Files>) -> io::Result<(Self, Finish)> {
        Self::with_deadline(files, DEADLINE)
    }

    fn with_deadline(files: Arc<dyn Files>, deadline: Duration) -> io::Result<(Self, Finish)> {
        let (jobs, queue) = sync_channel::<Job>(QUEUE);
        let (running, finish) = sync_channel(1);
        let own = Arc::clone(&files);
        std::thread::Builder::new()
            .name("offhook-storage".into())
            .stack_size(STACK)
            .spawn(move || {
                for job in queue {
                    job(own.as_ref());
                }
                drop::<SyncSender<()>>(running);
            })?;
        let storage = Self {
            jobs,
            files,
            deadline,
            aside: Arc::default(),
        };
        Ok((storage, Finish(finish)))
    }

    /// Does `work` on a thread of its own, beside the queue: for a file on another medium, which
    /// must not wait for a card that hangs. One at a time.
    pub(crate) fn run_aside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Files) -> io::Result<T> + Send + 'static,
    ) -> impl Future<Output = Result<T, StorageError>> + Send + 'static {
        let (reply, outcome) = oneshot::channel();
        let (files, aside, deadline) = (
            Arc::clone(&self.files),
            Arc::clone(&self.aside),
            self.deadline,
        );
        let free = !aside.swap(true, Ordering::Relaxed);
        let spawned = free.then(|| {
            std::thread::Builder::new()
                .name("offhook-aside".into())
                .stack_size(STACK)
                .spawn({
                    let aside = Arc::clone(&aside);
                    move || {
                        let done = work(files.as_ref());
                        aside.store(false, Ordering::Relaxed);
                        // No one may be waiting.
                        let _ = reply.send(done);
                    }
                })
        });
        async move {
            match spawned {
                None => return Err(StorageError::Busy),
                Some(Err(error)) => {
                    aside.store(false, Ordering::Relaxed);
                    return Err(error.into());
                }
                Some(Ok(_)) => {}
            }
            match tokio::time::timeout(deadline, outcome).await {
                Ok(Ok(outcome)) => Ok(outcome?),
                Ok(Err(_)) => Err(StorageError::Ended),
                Err(_) => Err(StorageError::Late(deadline)),
            }
        }
    }

    /// Queues `work`, which is done whether or not somebody waits for the future. The future ends
    /// with its outcome, or after the deadline. A job that has not begun by then is skipped,
    /// because it was already reported as failed.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Files) -> io::Result<T> + Send + 'static,
    ) -> impl Future<Output = Result<T, StorageError>> + Send + 'static {
        let (reply, outcome) = oneshot::channel();
        let (queued_at, deadline) = (Instant::now(), self.deadline);
        let queued = self.jobs.try_send(Box::new(move |files| {
            if queued_at.elapsed() < deadline {
                // No one may be waiting.
                let _ = reply.send(work(files));
            }
        }));
        async move {
            if queued.is_err() {
                return Err(StorageError::Busy);
            }
            match tokio::time::timeout(deadline, outcome).await {
                Ok(Ok(outcome)) => Ok(outcome?),
                Ok(Err(_)) if queued_at.elapsed() < deadline => Err(StorageError::Ended),
                Ok(Err(_)) | Err(_) => Err(StorageError::Late(deadline)),
            }
        }
    }
}

impl Finish {
    /// Waits until the thread has done what was queued, but not for ever. All handles must be gone.
    pub(crate) fn wait(self) {
        if self.0.recv_timeout(FINISH) == Err(RecvTimeoutError::Timeout) {
            tracing::error!("storage does not answer: what waits to be written is lost");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Remembers what it was asked to write.
    #[derive(Clone, Default)]
    struct Recorder {
        written: Arc<Mutex<Vec<PathBuf>>>,
    }

    impl Files for Recorder {
        fn write_atomic(&self, path: &Path, _: &[u8]) -> io::Result<()> {
            self.written.lock().unwrap().push(path.to_owned());
            Ok(())
        }

        fn write_card(&self, card: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
            self.write_atomic(&card.join(name), bytes)
        }

        fn factory_reset(&self, state_dir: &Path, _: Option<&Path>) -> io::Result<()> {
            self.write_atomic(state_dir, &[])
        }
    }

    #[tokio::test]
    async fn jobs_run_in_order_and_report() {
        let files = Recorder::default();
        let (storage, finish) = Storage::start(Arc::new(files.clone())).unwrap();
        let first = storage.run(|files| files.write_atomic(Path::new("a"), b""));
        let second = storage.run(|files| files.write_card(Path::new("card"), "b", b""));
        let failed = storage.run(|_| Err::<(), _>(io::ErrorKind::StorageFull.into()));
        assert!(first.await.is_ok() && second.await.is_ok());
        assert!(matches!(failed.await, Err(StorageError::Io(_))));
        drop(storage);
        finish.wait();
        assert_eq!(
            *files.written.lock().unwrap(),
            [Path::new("a"), Path::new("card/b")]
        );
    }

    #[tokio::test]
    async fn a_stuck_device_is_reported_at_the_deadline() {
        let (release, stuck) = sync_channel::<()>(0);
        let files = Recorder::default();
        let deadline = Duration::from_millis(50);
        let (storage, finish) = Storage::with_deadline(Arc::new(files.clone()), deadline).unwrap();
        let first = storage.run(move |_| {
            let _ = stuck.recv();
            Ok(())
        });
        let second = storage.run(|files| files.write_atomic(Path::new("late"), b""));
        assert!(matches!(first.await, Err(StorageError::Late(_))));
        assert!(matches!(second.await, Err(StorageError::Late(_))));
        drop(release);
        drop(storage);
        finish.wait();
        assert!(files.written.lock().unwrap().is_empty(), "done after all");
    }

    #[tokio::test]
    async fn files_elsewhere_do_not_wait_for_a_stuck_device() {
        let (release, stuck) = sync_channel::<()>(0);
        let files = Recorder::default();
        let (storage, finish) = Storage::start(Arc::new(files.clone())).unwrap();
        let first = storage.run(move |_| {
            let _ = stuck.recv();
            Ok(())
        });
        let beside = storage.run_aside(|files| files.write_atomic(Path::new("tmp"), b""));
        assert!(beside.await.is_ok());
        let (hold, held) = sync_channel::<()>(0);
        let slow = storage.run_aside(move |_| {
            let _ = held.recv();
            Ok(())
        });
        let third = storage.run_aside(|_| Ok(()));
        assert!(
            matches!(third.await, Err(StorageError::Busy)),
            "one at a time"
        );
        drop(hold);
        assert!(slow.await.is_ok());
        assert!(storage.run_aside(|_| Ok(())).await.is_ok());
        drop(release);
        assert!(first.await.is_ok());
        drop(storage);
        finish.wait();
        assert_eq!(*files.written.lock().unwrap(), [Path::new("tmp")]);
    }

    #[tokio::test]
    async fn a_full_queue_is_refused() {
        let (release, stuck) = sync_channel::<()>(0);
        let (storage, finish) = Storage::start(Arc::new(Recorder::default())).unwrap();
        let first = storage.run(move |_| {
            let _ = stuck.recv();
            Ok(())
        });
        let mut refused = false;
        let mut waiting = Vec::new();
        for _ in 0..=QUEUE + 1 {
            waiting.push(storage.run(|_| Ok(())));
        }
        drop(release);
        for outcome in waiting {
            refused |= matches!(outcome.await, Err(StorageError::Busy));
        }
        assert!(first.await.is_ok() && refused);
        drop(storage);
        finish.wait();
    }
}
