//! Sound under load: a call at the smallest period while every processor computes and the disk is
//! written. What the machine does to the audio thread is printed, beside what it does to a thread
//! of the same priority that only sleeps; what the phone can help is asserted.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use offhook_tests::desk_phone::{DeskPhone, Setup};
use offhook_tests::speech::{Speaker, speech};
use offhook_tests::vcard::VirtualCard;
use testkit::process::TestDir;

/// Every processor computes, and a file is written, until it is dropped.
struct Load {
    over: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Load {
    fn begin(dir: &TestDir) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let mut threads: Vec<_> = (0..processors)
            .map(|_| {
                let over = Arc::clone(&over);
                std::thread::spawn(move || {
                    let mut x = 1_u64;
                    while !over.load(Ordering::Relaxed) {
                        for _ in 0..10_000 {
                            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        }
                        std::hint::black_box(x);
                    }
                })
            })
            .collect();
        let (path, stop) = (dir.join("written"), Arc::clone(&over));
        threads.push(std::thread::spawn(move || {
            let block = vec![0x5a; 1 << 20];
            while !stop.load(Ordering::Relaxed) {
                let mut file = std::fs::File::create(&path).unwrap();
                for _ in 0..16 {
                    file.write_all(&block).unwrap();
                }
                file.sync_all().unwrap();
            }
        }));
        Self { over, threads }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Up to how many ms late a wake-up is of a class; those of the phone's status. What is later than
/// the last of them is of the seventh.
const CLASSES_MS: [f64; 6] = [0.1, 0.25, 0.5, 1.0, 2.0, 5.0];

/// A thread of the audio thread's priority that sleeps 2 ms at a time: what it is late by is the
/// machine's doing.
struct Sleeper {
    over: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Option<[u64; 7]>>,
}

impl Sleeper {
    fn begin() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            become_realtime().then_some(())?;
            let mut classes = [0; 7];
            let mut due = Instant::now();
            while !stop.load(Ordering::Relaxed) {
                due += Duration::from_millis(2);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                let late = due.elapsed().as_secs_f64() * 1000.0;
                let class = CLASSES_MS.iter().take_while(|ms| late > **ms).count();
                classes[class] += 1;
            }
            Some(classes)
        });
        Self { over, thread }
    }

    /// Wake-ups by lateness; `None`: it got no real-time priority.
    fn end(self) -> Option<[u64; 7]> {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// Gives the calling thread the audio thread's priority.
#[expect(unsafe_code, reason = "sched_setscheduler(2), which nix does not have")]
fn become_realtime() -> bool {
    const AUDIO_PRIORITY: i32 = 60;
    // SAFETY: a structure of numbers, for which zero is valid.
    let mut wanted: libc::sched_param = unsafe { std::mem::zeroed() };
    wanted.sched_priority = AUDIO_PRIORITY;
    // SAFETY: it is read only, and outlives the call.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const wanted) == 0 }
}

/// What the kernel counted of the audio thread.
#[derive(Debug, Clone, Copy)]
struct Counted {
    minor_faults: u64,
    major_faults: u64,
    voluntary: u64,
    involuntary: u64,
}

fn counted(pid: u32) -> Counted {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let task = tasks
        .map(|task| task.unwrap().path())
        .find(|task| {
            std::fs::read_to_string(task.join("comm")).is_ok_and(|n| n.trim() == "offhook-audio")
        })
        .expect("an audio thread");
    let stat = std::fs::read_to_string(task.join("stat")).unwrap();
    // After the name in parentheses: state is the third field of proc(5).
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .collect();
    let field = |number: usize| fields[number - 3].parse().unwrap();
    let status = std::fs::read_to_string(task.join("status")).unwrap();
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim().parse().unwrap()
    };
    Counted {
        minor_faults: field(10),
        major_faults: field(12),
        voluntary: of("voluntary_ctxt_switches:"),
        involuntary: of("nonvoluntary_ctxt_switches:"),
    }
}

#[test]
fn a_call_at_the_smallest_period_under_load() {
    let name = "a_call_at_the_smallest_period_under_load";
    let dir = TestDir::new("real-time");
    let card = match VirtualCard::new(dir.path(), "") {
        Ok(card) => card,
        Err(why) => return testkit::skipped(name, &why),
    };
    let seconds = std::env::var("OFFHOOK_REAL_TIME_SECONDS");
    let seconds: u64 = seconds.map_or(10, |text| text.parse().unwrap());
    let r = DeskPhone::start(
        &dir,
        "r",
        Setup {
            auto_answer: true,
            microphone: Some(speech(&dir, Speaker::Bob, 16_000, 1)),
            ..Setup::default()
        },
    );
    let l = DeskPhone::start(
        &dir,
        "l",
        Setup {
            devices: Some(("phone".into(), "phone".into())),
            card: "period_ms = 2\nperiods = 4\n",
            env: vec![(
                "ALSA_CONFIG_PATH".into(),
                card.alsa_config().display().to_string(),
            )],
            speed: vec![("1".into(), format!("sip:r@127.0.0.1:{}", r.sip_port))],
            ..Setup::default()
        },
    );
    l.call("1#");
    // RTCP's first report is made after five seconds: what it runs is in memory then.
    std::thread::sleep(Duration::from_secs(8));
    let load = Load::begin(&dir);
    std::thread::sleep(Duration::from_secs(2));
    let sleeper = Sleeper::begin();
    let (before, status_before, began) = (counted(l.pid()), l.status(), Instant::now());
    std::thread::sleep(Duration::from_secs(seconds));
    let (after, status) = (counted(l.pid()), l.status());
    let machine = sleeper.end();
    let took = began.elapsed().as_secs_f64();
    drop(load);
    let difference = |path: &str| {
        let of = |status: &serde_json::Value| status.pointer(path).unwrap().as_u64().unwrap();
        of(&status) - of(&status_before)
    };
    let classes: Vec<u64> = (0..7)
        .map(|class| difference(&format!("/audio/wake_ups/{class}")))
        .collect();
    let periods: u64 = classes.iter().sum();
    println!(
        "{took:.0} s of 2 ms periods under load, real-time priority {}: {} over- and underruns, \
         {} periods began late",
        status["audio"]["rt"],
        difference("/audio/xruns"),
        difference("/counters/late_cycles"),
    );
    println!("periods by lateness, up to 0.1, 0.25, 0.5, 1, 2, 5 ms and later: {classes:?}");
    println!("a thread that only sleeps, of the same priority: {machine:?}");
    let faults = (
        after.minor_faults - before.minor_faults,
        after.major_faults - before.major_faults,
    );
    println!(
        "page faults {} minor, {} major; switches {} voluntary, {} involuntary",
        faults.0,
        faults.1,
        after.voluntary - before.voluntary,
        after.involuntary - before.involuntary,
    );
    assert_eq!(l.state(), "talking");
    assert_eq!(status["counters"]["device_losses"], 0);
    assert!(
        periods as f64 > took * 250.0,
        "{periods} periods in {took:.1} s"
    );
    if let Some([.., late, very_late]) = machine
        && status["audio"]["rt"] == true
        && late + very_late == 0
    {
        assert_eq!(difference("/audio/xruns"), 0, "the machine was never late");
    }
    if status["audio"]["rt"] == true {
        assert_eq!(faults.1, 0, "the audio thread waited for the disk");
        // What restarts a card is not run in a steady state, and its pages are touched then.
        if difference("/audio/xruns") == 0 {
            assert_eq!(faults.0, 0, "the audio thread waited for memory");
        }
    } else {
        testkit::skipped(
            "page faults of the audio thread",
            "no real-time rights here",
        );
    }
    l.hang_up();
    l.assert_usable();
}
