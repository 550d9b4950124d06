//! The display's own thread: a bus is slow, and a display that hangs must not hold up a call.
//!
//! ```text
//! control thread ── Screen, Brightness (the newest counts) ─▶ drawn ─▶ Panel ─▶ bus
//!        ▲──────────────── what is wrong with it ◀──────────────┘  (tried again every 5 s)
//! ```

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use board::display::{Light, Panel, Picture};
use control::Brightness;
use display::Screen;

/// A display that failed is tried again so often.
const RETRY: Duration = Duration::from_secs(5);
/// At the end it may take so long to go dark.
const LAST: Duration = Duration::from_millis(300);
/// More than drawing needs.
const STACK: usize = 128 * 1024;

/// What is to be shown, and how that goes.
#[derive(Debug, Default)]
struct Wanted {
    /// Not shown yet.
    next: Option<(Screen, Brightness)>,
    fault: Option<String>,
    ended: bool,
}

#[derive(Debug, Default)]
struct Shared {
    wanted: Mutex<Wanted>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A handle to the thread; dropped, the display goes dark.
pub(super) struct Display {
    shared: Arc<Shared>,
    /// Handed over last.
    last: Option<(Screen, Brightness)>,
    done: Receiver<()>,
}

impl Display {
    /// Starts the thread.
    pub(super) fn start(panel: Box<dyn Panel>) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (running, done) = sync_channel::<()>(1);
        let own = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("offhook-display".into())
            .stack_size(STACK)
            .spawn(move || {
                run(panel, &own);
                drop(running);
            })?;
        Ok(Self {
            shared,
            last: None,
            done,
        })
    }

    /// Shows this from now on. Does not wait.
    pub(super) fn show(&mut self, next: (Screen, Brightness)) {
        if self.last.as_ref() == Some(&next) {
            return;
        }
        self.last = Some(next.clone());
        self.shared.lock().next = Some(next);
        self.shared.changed.notify_one();
    }

    /// What is wrong with the display.
    pub(super) fn fault(&self) -> Option<String> {
        self.shared.lock().fault.clone()
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        self.shared.changed.notify_one();
        if self.done.recv_timeout(LAST) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("the display does not answer: it shows what it showed last");
        }
    }
}

fn run(mut panel: Box<dyn Panel>, shared: &Shared) {
    let mut shown: Option<(Screen, Brightness)> = None;
    loop {
        let mut wanted = shared.lock();
        while wanted.next.is_none() && !wanted.ended {
            if wanted.fault.is_none() {
                let changed = shared.changed.wait(wanted);
                wanted = changed.unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let changed = shared.changed.wait_timeout(wanted, RETRY);
            let (again, timeout) = changed.unwrap_or_else(PoisonError::into_inner);
            wanted = again;
            if timeout.timed_out() {
                break;
            }
        }
        if wanted.ended {
            drop(wanted);
            if let Some((screen, _)) = &shown {
                let _ = put(panel.as_mut(), screen, Light::Off);
            }
            return;
        }
        let next = wanted.next.take();
        let before = wanted.fault.clone();
        drop(wanted);
        shown = next.or(shown);
        let Some((screen, brightness)) = &shown else {
            continue;
        };
        let light = match brightness {
            Brightness::Full => Light::Full,
            Brightness::Dim => Light::Dim,
            Brightness::Dark => Light::Off,
        };
        let fault = put(panel.as_mut(), screen, light);
        match &fault {
            Some(fault) if before.as_ref() != Some(fault) => {
                tracing::error!("{fault}; the phone goes on without it");
            }
            None if before.is_some() => tracing::info!("the display answers again"),
            Some(_) | None => {}
        }
        shared.lock().fault = fault;
    }
}

fn put(panel: &mut dyn Panel, screen: &Screen, light: Light) -> Option<String> {
    let (width, height) = panel.size();
    let frame = display::render(screen, width, height);
    let picture = Picture::new(width, height, frame.bits());
    panel
        .show(&picture, light)
        .err()
        .map(|error| error.to_string())
}

#[cfg(test)]
mod tests;
