//! From power to a call, and what a start survives: a wrong file, a damaged data partition, a dead
//! phone, a crashed kernel.

use std::time::{Duration, Instant};

use offhook_tests::desk_phone::{DeskPhone, Setup};
use offhook_tests::kamailio::Kamailio;
use offhook_tests::null_sink::NullSink;
use offhook_tests::speech::{Speaker, assert_heard, speech};
use testkit::measure::{level_dbfs, peak_near, share_of_power};
use testkit::process::TestDir;

use crate::gpio::Lamp;
use crate::machine::{Machine, Plugs};
use crate::network::{TestNetwork, samples_8k};

/// Longest start: an emulated processor on a machine that has other work, too.
pub(crate) const BOOT_LIMIT: Duration = Duration::from_secs(120);
const SOON: Duration = Duration::from_secs(30);

/// A network, or the reason why this test is skipped.
macro_rules! network {
    ($test:expr, $number:expr) => {
        match TestNetwork::new($number) {
            Ok(network) => network,
            Err(why) => {
                eprintln!("SKIPPED: {}: no tap device can be made here: {why}", $test);
                return;
            }
        }
    };
}

/// Sectors written to the card since it was switched on.
fn written(machine: &mut Machine) -> u64 {
    let text = machine.shell("cat /sys/block/vda/stat");
    text.split_whitespace()
        .nth(6)
        .and_then(|word| word.parse().ok())
        .expect("the seventh field")
}

/// What `docs/budgets.md` says of one start.
struct Figures {
    tone_s: f64,
    used_kb: u64,
    phone_kb: u64,
}

fn figures(what: &str, machine: &mut Machine, heard: &[i16], lead_s: f64) -> Figures {
    let first = heard
        .windows(160)
        .step_by(80)
        .position(|part| level_dbfs(part) > -40.0);
    // Read by `cat` alone: a stock Debian need not have more.
    let kb = |text: &str, key: &str| -> u64 {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(key))
            .unwrap_or_else(|| panic!("no {key} in {text}"));
        line.trim()
            .trim_end_matches(" kB")
            .parse()
            .unwrap_or_else(|error| panic!("{line}: {error}"))
    };
    let memory = machine.shell("cat /proc/meminfo");
    let phone = machine.shell("cat /proc/$(pidof offhook | cut -d' ' -f1)/status");
    let figures = Figures {
        tone_s: first.expect("a tone was heard") as f64 / 100.0 - lead_s,
        used_kb: kb(&memory, "MemTotal:") - kb(&memory, "MemAvailable:"),
        phone_kb: kb(&phone, "VmRSS:"),
    };
    println!(
        "FIGURE {what}: dial tone {:.1} s after power, {} kB of memory in use, {} kB of it the \
         phone's",
        figures.tone_s, figures.used_kb, figures.phone_kb
    );
    figures
}

/// The machine that measured, and the day.
fn here_and_now() -> String {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let names: Vec<_> = cpus
        .lines()
        .filter_map(|line| line.strip_prefix("model name")?.split(": ").nth(1))
        .collect();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let date = std::process::Command::new("date")
        .arg("+%F")
        .output()
        .expect("date runs");
    format!(
        "{} × {}, load {}, {}",
        names.len(),
        names.first().unwrap_or(&"unknown processor"),
        load.split(' ').next().unwrap_or("unknown"),
        String::from_utf8_lossy(&date.stdout).trim()
    )
}

/// The same phone on a stock Debian, started in the same run: what the image is measured beside.
/// Written to `docs/budgets.md` when `OFFHOOK_WRITE_PAGES` is set (`make bench-image`).
#[test]
fn sooner_than_a_stock_debian() {
    let folder = crate::card::built("offhook.img").with_file_name("stock");
    if !folder.join("disk.img").exists() {
        eprintln!(
            "SKIPPED: sooner_than_a_stock_debian: no {} (tests/image/stock.sh)",
            folder.display()
        );
        return;
    }
    let dir = TestDir::new("image-stock");
    let sink = NullSink::start(&dir);
    let mut plugs = Plugs::default();
    (plugs.sound, plugs.env) = sink.qemu();
    // Off hook from the first moment: the dial tone is the sign that the phone is ready.
    plugs.lifted = true;
    let disk = dir.join("disk.img");
    let copied = std::process::Command::new("cp")
        .arg("--sparse=always")
        .arg(folder.join("disk.img"))
        .arg(&disk)
        .status();
    assert!(copied.unwrap().success());
    let mut image = Machine::new(&dir, "image", plugs.clone());
    // A card without any setting would ask for some instead of going on with the dial tone.
    image
        .card
        .write("offhook.toml", b"[phone]\ncountry = \"us\"\n");
    // Both as they are after their first start.
    image.power();
    image.wait_state("dial_tone", BOOT_LIMIT);
    image.shell("sync");
    image.cut();
    let mut stock = Machine::new(&dir, "stock", plugs);
    stock.start(&folder, &disk);
    stock.wait_up(BOOT_LIMIT * 3);
    stock.shell("sync");
    stock.cut();
    let mut found = Vec::new();
    for (what, machine) in [("the image", &mut image), ("stock Debian", &mut stock)] {
        let ear = dir.join("ear.wav");
        let listening = sink.listen(&ear);
        let since = Instant::now();
        if what == "the image" {
            machine.power();
        } else {
            machine.start(&folder, &disk);
        }
        machine.wait_up(BOOT_LIMIT * 3);
        machine.wait_state("dial_tone", BOOT_LIMIT);
        std::thread::sleep(Duration::from_secs(2));
        drop(listening);
        let lead = machine.since().duration_since(since).as_secs_f64();
        found.push(figures(what, machine, &samples_8k(&ear), lead));
        machine.cut();
    }
    let [image, stock] = &found[..] else {
        panic!("two were measured")
    };
    let size = |name: &str| {
        std::fs::read_to_string(folder.with_file_name("sizes"))
            .ok()
            .and_then(|text| {
                let line = text.lines().find(|line| line.starts_with(name))?.to_owned();
                line.split(' ').nth(1)?.parse::<f64>().ok()
            })
    };
    let mb = |bytes: Option<f64>| {
        bytes.map_or("–".to_owned(), |bytes| format!("{:.1} MB", bytes / 1e6))
    };
    let page = format!(
        "\n## The image\n\nBeside a stock Debian, both in QEMU (`virt`, one emulated Cortex-A53, \
         512 MB), in one run of `make bench-image`\n({}):\n\
         the same kernel, the same phone, off hook from the start. Debian is systemd, udev, \
         ifupdown and DHCP, nothing else; its root holds\n\
         every module of its kernel. An emulated processor is slower than a board's; compare the \
         columns.\n\n| | image | stock Debian |\n|---|---|---|\n\
         | dial tone after power | {:.1} s | {:.1} s |\n| memory in use then | {:.1} MB | {:.1} MB \
         |\n| of it the phone | {:.1} MB | {:.1} MB |\n\
         | root file system | {} | {} |\n| kernel | {} | the same |\n\
         | signed update (kernel and root) | {} | – |\n",
        here_and_now(),
        image.tone_s,
        stock.tone_s,
        image.used_kb as f64 / 1e3,
        stock.used_kb as f64 / 1e3,
        image.phone_kb as f64 / 1e3,
        stock.phone_kb as f64 / 1e3,
        mb(size("root")),
        mb(size("stock")),
        mb(size("kernel")),
        mb(size("bundle")),
    );
    println!("{page}");
    if std::env::var_os("OFFHOOK_WRITE_PAGES").is_some() {
        let path = crate::card::root().join("docs/budgets.md");
        let before = std::fs::read_to_string(&path).unwrap_or_else(|_| "# Budgets\n".to_owned());
        // Only its own section; the other budgets are `make bench`'s.
        let (head, tail) = before
            .split_once("\n## The image")
            .map_or((before.as_str(), ""), |(head, old)| {
                (head, old.find("\n## ").map_or("", |at| &old[at..]))
            });
        std::fs::write(&path, format!("{head}{page}{tail}")).unwrap();
    }
    assert!(
        image.tone_s < stock.tone_s,
        "the image took {:.1} s to its dial tone, Debian {:.1} s",
        image.tone_s,
        stock.tone_s
    );
}

/// The card is written to a folder, the handset lifted, keys pressed: a phone.
#[test]
fn from_the_card_to_a_call() {
    let mut network = network!("from_the_card_to_a_call", 1);
    let dir = TestDir::new("image-call");
    network.serve_dhcp(&dir, "");
    let kamailio = Kamailio::start_at(&dir, "MD5", &network.host);
    let (alice, bob) = (
        speech(&dir, Speaker::Alice, 48000, 1),
        speech(&dir, Speaker::Bob, 16000, 1),
    );
    // The far end speaks from its own start on, which is long before the call: for ten minutes, so
    // that it is not done by then.
    let long = dir.join("bob-for-long.wav");
    let repeated = std::process::Command::new("sox")
        .arg(&bob)
        .arg(&long)
        .args(["repeat", "12"])
        .status();
    assert!(repeated.expect("sox runs").success());
    let far = DeskPhone::start(
        &dir,
        "far",
        Setup {
            microphone: Some(long),
            auto_answer: true,
            bind: network.host.clone(),
            speed: vec![("1".to_owned(), format!("sip:101@{}", network.phone))],
            ..Setup::default()
        },
    );
    let sink = NullSink::start(&dir);
    let mut plugs = Plugs {
        tap: Some(network.tap.clone()),
        ..Plugs::default()
    };
    (plugs.sound, plugs.env) = sink.qemu();
    let mut machine = Machine::new(&dir, "phone", plugs);
    machine.card.write(
        "offhook.toml",
        format!(
            "[phone]\ncountry = \"de\"\n{}[codecs]\norder = [\"pcmu\"]\n[call]\ndirect = true\n\
             [dial.speed]\n507 = \"sip:far@{}:{}\"\n",
            kamailio.account("101", "secret101", "udp"),
            network.host,
            far.sip_port
        )
        .as_bytes(),
    );
    assert_eq!(machine.power(), "a");
    machine.wait_state("idle", BOOT_LIMIT);
    // Registered by the account on the card, and the lamp says so.
    machine.wait("registration", "offhook ctl status", SOON, |text| {
        text.contains("\"registered\":true")
    });
    machine.wait_lamp(Lamp::Line, true, SOON);

    // Nothing writes while nothing happens: the start's own words (status, registration) are soon
    // on the card, then it is left alone.
    let end = Instant::now() + Duration::from_secs(120);
    let mut before = written(&mut machine);
    loop {
        std::thread::sleep(Duration::from_secs(15));
        let now = written(&mut machine);
        if now == before {
            break;
        }
        assert!(
            Instant::now() < end,
            "the idle phone goes on writing to its card: {before}, {now} sectors"
        );
        before = now;
    }

    // Lifted: dial tone, the German one at 425 Hz, and nothing else is heard; before it and after
    // it silence.
    let ear = dir.join("ear.wav");
    let listening = sink.listen(&ear);
    let listens_since = Instant::now();
    std::thread::sleep(Duration::from_secs(2));
    let lifted = listens_since.elapsed().as_secs_f64();
    machine.hook(true);
    machine.wait_state("dial_tone", SOON);
    machine.wait_lamp(Lamp::InUse, true, SOON);
    std::thread::sleep(Duration::from_secs(4));
    machine.hook(false);
    machine.wait_state("idle", SOON);
    machine.wait_lamp(Lamp::InUse, false, SOON);
    std::thread::sleep(Duration::from_secs(2));
    drop(listening);
    let heard = samples_8k(&ear);
    let loud: Vec<_> = heard
        .chunks_exact(160)
        .map(|part| level_dbfs(part) > -40.0)
        .collect();
    let first = loud
        .iter()
        .position(|&loud| loud)
        .expect("dial tone is heard");
    let last = loud
        .iter()
        .rposition(|&loud| loud)
        .expect("dial tone is heard");
    println!(
        "dial tone: {:.2} s after the line was pulled, for {:.2} s",
        first as f64 / 50.0 - lifted,
        (last - first) as f64 / 50.0
    );
    assert!(
        first as f64 / 50.0 > lifted - 0.5,
        "a tone before the handset was lifted"
    );
    assert!(
        loud.len() - last > 25,
        "the tone goes on after the handset was put down"
    );
    // An emulated card misses a period when its machine was busy: looked at is a second without
    // such a gap.
    let gaps = loud[first..last].iter().filter(|&&loud| !loud).count();
    let whole = loud
        .windows(60)
        .position(|part| part.iter().all(|&loud| loud));
    let whole = whole.expect("more than a second of dial tone without a gap") + 5;
    let tone = &heard[whole * 160..(whole + 50) * 160];
    let (hz, _) = peak_near(tone, 8000, 425.0, 20.0);
    println!(
        "dial tone: {hz:.1} Hz, {:.1} dBFS, {:.3} of the power; silent for {gaps} of {} parts of \
         20 ms",
        level_dbfs(tone),
        share_of_power(tone, 8000, &[hz]),
        last - first
    );
    assert!(gaps * 5 < last - first, "the dial tone is in pieces");
    assert!((hz - 425.0).abs() < 2.0, "the dial tone is {hz} Hz");
    assert!(
        share_of_power(tone, 8000, &[hz]) > 0.9,
        "there is more than a dial tone"
    );

    // Lifted, dialled with a person, talked.
    machine.hook(true);
    machine.wait_state("dial_tone", SOON);
    for key in "507".chars() {
        machine.press(key);
    }
    machine.press('#');
    machine.wait_state("talking", SOON);
    machine.wait_lamp(Lamp::InUse, true, SOON);
    let ear = dir.join("ear-in-call.wav");
    let listening = sink.listen(&ear);
    let speaking = sink.speak(&alice);
    std::thread::sleep(Duration::from_secs(9));
    let far_ear = far.ear_now();
    drop(listening);
    drop(speaking);
    let status = machine.wait_state("talking", SOON);
    println!("call: {}\nsound: {}", status["calls"][0], status["audio"]);
    machine.hook(false);
    machine.wait_state("idle", SOON);
    far.wait_state("idle");
    machine.wait_lamp(Lamp::InUse, false, SOON);
    assert_heard(
        &dir,
        "the far end heard what was said into the handset",
        &alice,
        &far_ear,
    );
    assert_heard(&dir, "the handset heard the far end", &bob, &ear);

    // The other way round: the bell swings, both of its lines and never both high; lifting stops it
    // and answers.
    assert_eq!(machine.bell(100), (0, 0), "the bell moves by itself");
    far.lift();
    far.wait_state("dial_tone");
    far.press("1");
    machine.wait_state("ringing", SOON);
    // One second in five: looked at until it is that second.
    let end = Instant::now() + SOON;
    let changes = loop {
        let (changes, both) = machine.bell(300);
        assert_eq!(both, 0, "both lines of the bell were high");
        if changes > 10 {
            break changes;
        }
        assert!(Instant::now() < end, "the bell does not swing");
    };
    println!("bell: seen to change {changes} times in 300 looks");
    machine.hook(true);
    machine.wait_state("talking", SOON);
    far.wait_state("talking");
    assert_eq!(machine.bell(100), (0, 0), "the bell goes on in the call");
    machine.hook(false);
    machine.wait_state("idle", SOON);
    far.hang_up();
    far.wait_state("idle");
}

/// The status file on the card, once it says this.
fn status_with(machine: &mut Machine, what: &str) -> String {
    machine.wait(
        &format!("status.txt with {what:?}"),
        "cat /boot/offhook/status.txt",
        SOON,
        |text| text.contains(what),
    )
}

#[test]
fn a_wrong_file_is_reported_last_good_in_use() {
    let dir = TestDir::new("image-wrong");
    let mut machine = Machine::new(&dir, "phone", Plugs::default());
    machine.card.write(
        "offhook.toml",
        b"[phone]\ncountry = \"fr\"\nname = \"first\"\n",
    );
    machine.power();
    machine.wait_state("idle", BOOT_LIMIT);
    machine.wait(
        "a kept configuration",
        "cat /var/lib/offhook/last-good.toml",
        SOON,
        |text| text.contains("first"),
    );
    machine.cut();
    machine.card.write(
        "offhook.toml",
        b"[phone]\ncountry = \"fr\"\nname = \"second\"\nvolume = 11\n",
    );
    machine.power();
    machine.wait_state("idle", BOOT_LIMIT);
    let text = status_with(&mut machine, "volume");
    assert!(text.contains("line 4"), "no line is named:\n{text}");
    // The partition is read-only again, and what a computer reads is whole.
    machine.wait_card_closed();
    machine.shell("grep -q first /var/lib/offhook/last-good.toml");
    machine.cut();
    assert_eq!(machine.card.check_fat(dir.path()), "");
    let read = machine
        .card
        .read("status.txt")
        .expect("status.txt is on the card");
    assert!(read.contains("volume"), "{read}");
}

#[test]
fn a_damaged_data_partition_formats_itself() {
    let dir = TestDir::new("image-damaged");
    let mut machine = Machine::new(&dir, "phone", Plugs::default());
    machine.power();
    machine.wait_state("idle", BOOT_LIMIT);
    machine.shell("echo kept >/data/offhook/mark && sync");
    machine.cut();
    // A power cut alone loses nothing that was synced.
    machine.power();
    machine.wait_state("idle", BOOT_LIMIT);
    assert_eq!(machine.shell("cat /data/offhook/mark").trim(), "kept");
    machine.cut();
    machine.card.damage(7, &vec![0x5a; 96 << 20]);
    machine.power();
    machine.wait_state("idle", BOOT_LIMIT);
    machine.shell(
        "grep ' /data ext4 rw' /proc/mounts && ! [ -e /data/offhook/mark ] && echo new \
                   >/data/offhook/mark && sync",
    );
    let text = machine.shell("cat /run/offhook/image");
    assert!(text.contains("has been formatted"), "{text}");
    machine.cut();
    machine.power();
    machine.wait_state("idle", BOOT_LIMIT);
    assert_eq!(
        machine
            .shell("cat /data/offhook/mark; cat /run/offhook/image | grep -c formatted || true")
            .trim(),
        "new\n0"
    );
}

#[test]
fn init_restarts_the_phone_watchdog_the_board() {
    let dir = TestDir::new("image-watchdog");
    let mut machine = Machine::new(&dir, "phone", Plugs::default());
    machine.power();
    machine.wait_state("idle", BOOT_LIMIT);
    let first = machine.shell("pidof offhook").trim().to_owned();
    machine.shell("kill -9 $(pidof offhook)");
    machine.wait("another phone", "pidof offhook", SOON, |text| {
        !text.trim().is_empty() && text.trim() != first
    });
    machine.wait_state("idle", SOON);
    // Stopped, not dead: no one feeds the watchdog, and init cannot know.
    machine.shell("kill -STOP $(pidof offhook)");
    let since = Instant::now();
    machine.wait_reset(Duration::from_secs(90));
    println!(
        "reset {:.0} s after the phone stopped",
        since.elapsed().as_secs_f64()
    );
    machine.power();
    machine.wait_state("idle", BOOT_LIMIT);
}

#[test]
fn a_crash_is_kept() {
    let dir = TestDir::new("image-crash");
    let plugs = Plugs {
        warm_reset: true,
        ..Plugs::default()
    };
    let mut machine = Machine::new(&dir, "phone", plugs);
    machine.power();
    machine.wait_state("idle", BOOT_LIMIT);
    machine.shell("echo 'the last words' >/dev/kmsg");
    machine
        .ask("echo c >/proc/sysrq-trigger", Duration::from_secs(3))
        .ok();
    machine.forget_shell();
    machine.wait(
        "a crash log",
        "cat /data/offhook/crash/*",
        BOOT_LIMIT,
        |text| text.contains("the last words"),
    );
    machine.shell("[ $(ls /data/offhook/crash | wc -l) = 1 ] && [ -z \"$(ls /sys/fs/pstore)\" ]");
}
