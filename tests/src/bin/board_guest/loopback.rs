//! The other side of the loopback card: what the phone's microphone hears is said here, what its
//! ear plays is recorded here.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use board::audio::{AudioRequest, Period, open};

#[derive(Default)]
struct Shared {
    say: Mutex<VecDeque<i16>>,
    heard: Mutex<Vec<i16>>,
    xruns: AtomicU64,
    done: AtomicBool,
}

/// A mouth and an ear at one of the phone's cards.
pub(crate) struct Loopback {
    rate_hz: u32,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Loopback {
    /// Opens the far side of the handset's card and begins to listen.
    pub(crate) fn open() -> Self {
        Self::open_cable(0, 48_000)
    }

    /// The same on another of the card's cables, at the rate the phone has there.
    pub(crate) fn open_cable(cable: u32, rate_hz: u32) -> Self {
        let name = format!("hw:Loopback,1,{cable}");
        let request = AudioRequest {
            capture: name.clone(),
            playback: name,
            rate_hz,
            codec_rate_hz: rate_hz,
            period_ms: 10,
            periods: 12,
            microphone_channel: types::MicrophoneChannel::Mix,
        };
        let mut card = open(&request).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(card.format().rate_hz, rate_hz);
        let shared = Arc::new(Shared::default());
        let inside = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            hurry();
            let mut period = vec![0; card.format().period_frames];
            while !inside.done.load(Ordering::SeqCst) {
                match card.read(&mut period).unwrap() {
                    Period::Ready => {
                        inside.heard.lock().unwrap().extend_from_slice(&period);
                        let mut say = inside.say.lock().unwrap();
                        for sample in &mut period {
                            *sample = say.pop_front().unwrap_or(0);
                        }
                        drop(say);
                        card.write(&period).unwrap();
                    }
                    Period::NotYet => std::thread::sleep(Duration::from_millis(2)),
                    Period::Xrun { lost_frames } => {
                        inside.xruns.fetch_add(1, Ordering::SeqCst);
                        println!("loopback: {lost_frames} frames lost");
                    }
                }
            }
        });
        Self {
            rate_hz,
            shared,
            thread: Some(thread),
        }
    }

    /// Frames a second.
    pub(crate) fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    /// Over- and underruns of this side: the guest stood still for longer than its buffer.
    pub(crate) fn xruns(&self) -> u64 {
        self.shared.xruns.load(Ordering::SeqCst)
    }

    /// Says this into the microphone; returns at once.
    pub(crate) fn say(&self, sound: &[i16]) {
        self.shared.say.lock().unwrap().extend(sound);
    }

    /// Everything heard so far.
    pub(crate) fn heard(&self) -> Vec<i16> {
        self.shared.heard.lock().unwrap().clone()
    }

    /// Listens for a while from now on.
    pub(crate) fn listen(&self, time: Duration) -> Vec<i16> {
        let from = self.shared.heard.lock().unwrap().len();
        let wanted = from + (time.as_secs_f64() * f64::from(self.rate_hz)) as usize;
        let end = Instant::now() + time * 4;
        while self.shared.heard.lock().unwrap().len() < wanted && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
        self.shared.heard.lock().unwrap()[from..].to_vec()
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        self.shared.done.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // Its panic was printed when it happened; the test will have failed by what it did not
            // hear.
            let _ = thread.join();
        }
    }
}

/// Real time for this thread, below the phone's own audio thread: the guest has one processor, and
/// sound waits for no one.
#[expect(unsafe_code, reason = "sched_setscheduler(2)")]
fn hurry() {
    let parameter = libc::sched_param { sched_priority: 20 };
    // SAFETY: the parameter lives through the call. Refused, the thread stays as it was.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameter) };
}
