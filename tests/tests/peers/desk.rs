//! Stories of `tests/desk/` in real time: `l` is the unmodified phone, `r` and `s` are baresip
//! where the story asks no more of them than a baresip can, else phones, too. All are users of one
//! kamailio, each story in a domain of its own.
//!
//! ```text
//! story ─▶ ctl: hook, keys ─▶ l ═══ kamailio ═══ baresip r, s ◀─ dial, accept, hangup
//!     ear of l (WAV), status, lamps ─▶ what it hears, shows │ events, what it decoded ─▶ the same
//! ```
//!
//! Several stories run side by side, because most of their time is waiting.

mod baresip_user;
mod hearing;
mod our_phone;

use std::any::Any;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use offhook_tests::kamailio::{Kamailio, KamailioSetup};
use offhook_tests::null_sink::NullSink;
use offhook_tests::speech::{Speaker, speech};
use offhook_tests::story::{NAMES, NUMBERS, Stage, Story};
use testkit::process::TestDir;

use baresip_user::BaresipUser;
use hearing::likeness;
use our_phone::OurPhone;

/// Stories at a time: what they and their phones do fits two processors beside other tests.
const AT_A_TIME: usize = 6;
/// Longest time for anything to happen: as in virtual time, and some for a busy machine.
const SOON: Duration = Duration::from_secs(10);
/// How long people talk before it is asked who heard whom.
const TALK: Duration = Duration::from_millis(5500);
/// Least correlation of a voice, and of one that is mixed with another; and the most of a voice
/// that is not heard: a silent line has 0.00. What lies between is neither, and fails both. (Who
/// hears another voice has 0.25 to 0.45 with any, so that a voice is asked for on a silent line.)
const HEARD: f64 = 0.8;
const MIXED: f64 = 0.45;
const NOT_HEARD: f64 = 0.1;

/// What all stories share.
struct Shared {
    kamailio: Kamailio,
    sound: NullSink,
    /// What each of `l`, `r` and `s` says.
    voices: [PathBuf; 3],
}

/// A telephone of a story.
enum Handset {
    Ours(Box<OurPhone>),
    Baresip(Box<BaresipUser>),
}

/// A story under way.
struct Play<'a> {
    shared: &'a Shared,
    dir: TestDir,
    handsets: [Handset; 3],
}

/// Whether a baresip can do all that a story asks of this one.
fn suits_baresip(story: &Story, name: &str) -> bool {
    let is_plain = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [who, "lifts" | "rings"] | [who, "calls" | "sees", _] if who == name => true,
            [who, "presses", keys] if who == name => keys.bytes().all(|key| key.is_ascii_digit()),
            [who, "hears", "busy" | "congestion" | "ringback"] if who == name => true,
            [who, "hangs", "up"] | [who, "does", "not", "ring"] if who == name => true,
            [who, "is", "idle"] if who == name => true,
            [who, "is", "heard", ..] | [who, "is", "not", "heard", ..] if who == name => true,
            [.., "talk"] | [_, "s", "pass" | "passes"] => true,
            [who, ..] | [_, who, ..] if who == name => false,
            ["lamp" | "the", _, "of", who, ..] => who != name,
            _ => true,
        }
    };
    story.settings(name).is_empty() && story.steps().all(is_plain)
}

impl<'a> Play<'a> {
    fn begin(story: &Story, shared: &'a Shared) -> Self {
        let dir = TestDir::new(&format!("desk-{}", story.name));
        let domain = format!("{}.test", story.name.replace('_', "-"));
        let handsets = [0, 1, 2].map(|index| {
            let (name, number) = (NAMES[index], NUMBERS[index]);
            let voice = &shared.voices[index];
            if index > 0 && suits_baresip(story, name) {
                let at = shared.kamailio.at();
                let sound = &shared.sound;
                let user = BaresipUser::start(&dir, name, [number, &domain, &at], voice, sound);
                return Handset::Baresip(Box::new(user));
            }
            let settings = story.settings(name);
            let account = settings.get("account").map_or("", String::as_str);
            let account = shared.kamailio.account_in(&domain, number, account);
            let ours = OurPhone::start(&dir, name, settings, account, voice);
            Handset::Ours(Box::new(ours))
        });
        let mut stage = Self {
            shared,
            dir,
            handsets,
        };
        for handset in &mut stage.handsets {
            match handset {
                Handset::Ours(phone) => phone.is_registered(SOON),
                Handset::Baresip(user) => user.is_registered(SOON),
            }
        }
        stage
    }

    fn index(name: &str, line: &str) -> usize {
        let found = NAMES.iter().position(|known| *known == name);
        found.unwrap_or_else(|| panic!("no phone is named {name}: {line}"))
    }

    fn step(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [length, "s", "pass" | "passes"] => {
                let length: f64 = length.parse().unwrap_or_else(|_| panic!("{line}"));
                std::thread::sleep(Duration::from_secs_f64(length));
            }
            [.., "talk"] => {
                let who = words
                    .iter()
                    .filter(|word| !matches!(**word, "and" | "talk"));
                let who: BTreeSet<usize> = who.map(|name| Self::index(name, line)).collect();
                self.talk(&who, line);
            }
            [from, "calls", number, "and", "talks"] => self.connect(from, number, line),
            [from, "is", "heard", "by", to] => {
                std::thread::sleep(TALK);
                let (from, to) = (Self::index(from, line), Self::index(to, line));
                let found = self.likeness(from, to);
                assert!(found > HEARD, "{line}: {found:.2}");
            }
            [from, "is", "not", "heard", "by", to] => {
                std::thread::sleep(TALK);
                let (from, to) = (Self::index(from, line), Self::index(to, line));
                let found = self.likeness(from, to);
                assert!(found < NOT_HEARD, "{line}: {found:.2}");
            }
            ["lamp", _, "of", name, ..]
            | ["the", "ear", "of", name, ..]
            | ["ctl", name, ..]
            | [name, ..] => match &mut self.handsets[Self::index(name, line)] {
                Handset::Ours(phone) => phone.step(&words, line),
                Handset::Baresip(user) => user.step(&words, line),
            },
            _ => panic!("not understood: {line}"),
        }
    }

    fn connect(&mut self, from: &str, number: &str, line: &str) {
        let to = NUMBERS.iter().position(|known| number.contains(known));
        let to = NAMES[to.unwrap_or_else(|| panic!("whose number is {number}?"))];
        self.step(&format!("{from} calls {number}"));
        self.step(&format!("{to} rings"));
        self.step(&format!("{to} lifts"));
        for name in [from, to] {
            match &mut self.handsets[Self::index(name, line)] {
                Handset::Ours(phone) => phone.step(&[name, "is", "talking"], line),
                Handset::Baresip(user) => user.is_talking(SOON),
            }
        }
    }

    /// Each hears the others. A jitter buffer and a peer that takes a call back from hold may need
    /// a moment more.
    fn talk(&mut self, who: &BTreeSet<usize>, line: &str) {
        let least = if who.len() > 2 { MIXED } else { HEARD };
        let pairs = who.iter().flat_map(|from| {
            let others = who.iter().filter(move |to| *to != from);
            others.map(move |to| (*from, *to))
        });
        let mut unheard: Vec<(usize, usize)> = pairs.collect();
        let mut found = Vec::new();
        for _ in 0..3 {
            std::thread::sleep(TALK);
            found.clear();
            unheard.retain(|&(from, to)| {
                let likeness = self.likeness(from, to);
                let is_heard = likeness > least;
                if !is_heard {
                    found.push(format!("{} → {}: {likeness:.2}", NAMES[from], NAMES[to]));
                }
                !is_heard
            });
            if unheard.is_empty() {
                return;
            }
        }
        panic!("{line}: {}", found.join(", "));
    }

    /// How like what `from` says the last seconds are of what `to` heard.
    fn likeness(&mut self, from: usize, to: usize) -> f64 {
        let said = &self.shared.voices[from];
        let heard = match &mut self.handsets[to] {
            Handset::Ours(phone) => phone.heard(),
            Handset::Baresip(user) => user.heard(),
        };
        likeness(&self.dir, said, &heard)
    }
}

fn text(panicked: &(dyn Any + Send)) -> String {
    let text = panicked.downcast_ref::<String>().cloned();
    text.or_else(|| {
        panicked
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
    })
    .unwrap_or_else(|| "it panicked".to_owned())
}

/// Plays a story to its end; why it did not come true.
fn play(story: &Story, shared: &Shared) -> Result<(), String> {
    let mut at = String::from("the phones register");
    let done = catch_unwind(AssertUnwindSafe(|| {
        let mut stage = Play::begin(story, shared);
        for line in story.steps() {
            line.clone_into(&mut at);
            stage.step(line);
        }
        "hangs up".clone_into(&mut at);
        for handset in &mut stage.handsets {
            match handset {
                Handset::Ours(phone) => phone.hangs_up(),
                Handset::Baresip(user) => user.ends(),
            }
        }
        for handset in &stage.handsets {
            if let Handset::Ours(phone) = handset {
                phone.has_no_call();
            }
        }
    }));
    done.map_err(|panicked| format!("{}: {at}: {}", story.name, text(&*panicked)))
}

#[test]
fn stories_with_kamailio_and_baresip() {
    let dir = TestDir::new("desk");
    let [l, r, s] = [Speaker::Alice, Speaker::Bob, Speaker::Carl];
    let shared = Shared {
        kamailio: Kamailio::start_as(
            &dir,
            &KamailioSetup {
                several_domains: true,
                ..KamailioSetup::default()
            },
        ),
        sound: NullSink::start(&dir),
        voices: [l, r, s].map(|speaker| speech(&dir, speaker, 8000, 1)),
    };
    let at_length = std::env::var_os("OFFHOOK_DESK_AT_LENGTH").is_some();
    let only = std::env::var("OFFHOOK_DESK_ONLY").ok();
    let mut stories = Story::all(&Story::folder());
    stories.retain(|story| {
        let played = story.is_played(Stage::RealTime)
            || at_length && story.is_played(Stage::RealTimeAtLength);
        played && only.as_ref().is_none_or(|only| story.name.contains(only))
    });
    let count = stories.len();
    let with_baresip = |story: &&Story| NAMES[1..].iter().any(|name| suits_baresip(story, name));
    let with_baresip = stories.iter().filter(with_baresip).count();
    let (queue, failed) = (Mutex::new(stories), Mutex::new(Vec::new()));
    let next = || queue.lock().unwrap().pop();
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some(story) = next() {
                    let began = Instant::now();
                    let done = play(&story, &shared);
                    let seconds = began.elapsed().as_secs_f64();
                    println!("story {} {done:?} {seconds:.1} s", story.name);
                    failed.lock().unwrap().extend(done.err());
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    println!(
        "{count} stories in real time, {with_baresip} of them with baresip, in {:.0} s",
        began.elapsed().as_secs_f64()
    );
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(only.is_some() || with_baresip * 5 > count * 4);
}
