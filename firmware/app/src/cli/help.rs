//! What `offhook help` prints: each command with a working example.

use std::fmt::Write;

/// One command's page.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) name: &'static str,
    pub(crate) usage: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) details: &'static str,
    pub(crate) example: &'static str,
    /// Options that take a value, without their dashes.
    pub(crate) values: &'static [&'static str],
    /// Options that take none.
    pub(crate) flags: &'static [&'static str],
    /// Most plain arguments.
    pub(crate) plain: usize,
}

/// The one verb of `offhook ctl` that asks a question of its own: is the phone idle.
pub(crate) const IDLE: &str = "idle";

/// What `offhook ctl` can ask for.
pub(crate) fn ctl_verbs() -> impl Iterator<Item = &'static str> {
    control::api::COMMANDS.into_iter().chain([IDLE])
}

/// All commands, in the order of the help page.
pub(crate) const COMMANDS: &[Page] = &[
    Page {
        name: "run",
        usage: "offhook run [--config FILE | --card DIR] [--board PROFILE] [--confine]",
        summary: "the firmware: what the image starts at boot",
        details: "Reads /etc/offhook/offhook.toml unless another is given. A file with errors \
                  leaves the last good configuration\n\
                  in use (`ctl status` says so). --board overrides [board] profile. Ends on \
                  SIGTERM or `offhook ctl quit`:\n\
                  calls are ended, registrations withdrawn, bell lines low, within two seconds.\n\
                  --card names the folder the card's first partition is mounted on: offhook.toml \
                  is read there and status.txt\n\
                  written. slot-good, beside the control socket, appears when a minute went by \
                  with sound, a good configuration and no fault.\n\
                  Exit code 10: restart the phone, its configuration changed. 11: restart the \
                  board.\n\
                  --confine gives up every right that is not needed once the board is open \
                  (docs/security.md); a process\n\
                  forked off before writes on the card.",
        example: "offhook run --config /etc/offhook/offhook.toml",
        values: &["config", "card", "board"],
        flags: &["confine"],
        plain: 0,
    },
    Page {
        name: "provision",
        usage: "offhook provision [--config FILE | --card DIR] [--board PROFILE] --emit FOLDER",
        summary: "write the files of the system (network, Wi-Fi, clock, SSH) the configuration \
                  asks for",
        details: "Decides as `run` does: a file with errors gives the last good one or the \
                  defaults. FOLDER is replaced; secrets\n\
                  are readable by their owner only. docs/image.md says what the files hold.",
        example: "offhook provision --card /boot/offhook --board rpi3 --emit /run/offhook/system",
        values: &["config", "card", "board", "emit"],
        flags: &[],
        plain: 0,
    },
    #[cfg(feature = "tools")]
    Page {
        name: "sim",
        usage: "offhook sim [--config FILE] [--headless]",
        summary: "the same phone with a simulated board, on a terminal",
        details: "Space lifts and hangs up, 0-9 * # are the keypad, f is flash, q quits. Without \
                  --config it uses\n\
                  127.0.0.1:5062 with an echo phone (`offhook echo`) on speed dial 1. --headless \
                  does without the terminal.",
        example: "offhook sim --headless",
        values: &["config"],
        flags: &["headless"],
        plain: 0,
    },
    #[cfg(feature = "tools")]
    Page {
        name: "echo",
        usage: "offhook echo [--config FILE] [--bind ADDR] [--sip-port N] [--rtp-ports A-B] \
                [--socket PATH]",
        summary: "a second, automatic phone that answers and plays back what it hears",
        details: "Uses 127.0.0.1:5072 with RTP ports 21000-21099 unless another is given. With \
                  --socket, `offhook ctl` can\n\
                  watch it.",
        example: "offhook echo --bind 127.0.0.1 --sip-port 5072 --rtp-ports 21000-21099",
        values: &["config", "bind", "sip-port", "rtp-ports", "socket"],
        flags: &[],
        plain: 0,
    },
    Page {
        name: "selftest",
        usage: "offhook selftest [--wiring] [--config FILE | --card DIR] [--board PROFILE]",
        summary: "tests speaker, microphone, keys, hook, lamps, bell and network, by ear",
        details: "Each step begins with as many beeps as its number. Also started by holding # at \
                  power-up, or by star code (*95#).\n\
                  Stop a running phone first: it holds the card. Exit code 0: everything the phone \
                  can check works. 1: something does not.\n\
                  --wiring: asks to lift, press and dial, finds out which line is what, and prints \
                  the lines for offhook.toml\n\
                  (also into wiring.toml and status.txt on the card). Also started by holding 0 at \
                  power-up.",
        example: "offhook selftest --board sim",
        values: &["config", "card", "board"],
        flags: &["wiring"],
        plain: 0,
    },
    Page {
        name: "fetch",
        usage: "offhook fetch [--config FILE | --card DIR] [--board PROFILE] [--most BYTES] URL \
                FILE",
        summary: "download a file: proven origin, bounded size, complete or not at all",
        details: "https servers need a certificate by provision.ca, tls.ca or the system's \
                  authorities; http only with provision.allow_http. Never from https\n\
                  to http. The ETag is kept in FILE.etag. Exit code 0: FILE is new. 3: nothing \
                  new. 1: failed.",
        example: "offhook fetch --card /boot/offhook https://updates.example.net/rpi3.raucb \
                  /data/update.raucb",
        values: &["config", "card", "board", "most"],
        flags: &[],
        plain: 2,
    },
    Page {
        name: "check",
        usage: "offhook check FILE [--try [--stun HOST[:PORT]]] [--json]",
        summary: "check a configuration: file:line:column, what is wrong, how to fix it",
        details: "--try also tries what the file says, without ringing anyone: sound card, GPIO \
                  lines, name servers,\n\
                  each account's server (UDP, TCP or TLS with its certificate), registration and \
                  its removal, NAT, and sound both\n\
                  ways by a call to dial.echo_test, where that is set; the STUN servers are \
                  asked what the internet\n\
                  sees of this machine (--stun: that one instead). One line each: ✓ works, ! \
                  should be known, ✗ does\n\
                  not work, with what to do. --json prints one object instead.\n\
                  Exit code 0: no errors. 1: errors, one a line, or something that does not work.",
        example: "offhook check /etc/offhook/offhook.toml --try",
        values: &["stun"],
        flags: &["try", "json"],
        plain: 1,
    },
    Page {
        name: "setup",
        usage: "offhook setup [--output FILE] [--provider ID] [--server HOST[:PORT]] [--user NAME] \
                [--auth-user NAME]\n\
                [--password-file FILE] [--outbound-proxy HOST] [--transport udp|tcp|tls] \
                [--country CODE]\n\
                [--board PROFILE] [--sound PCM] [--ringer bell|buzzer|sound|none] [--force] \
                [--no-try]",
        summary: "write a first offhook.toml, with a comment for each line, and try it",
        details: "What no flag says is asked at the terminal. Without a terminal a missing flag is \
                  an error, but for what has a default:\n\
                  board, sound and ringer, and country and server where the provider's recipe \
                  names them. The providers and PBXs it\n\
                  knows, with their IDs: docs/guide/src/providers.md. A file that is there is kept \
                  unless --force is given.\n\
                  Exit code 0: the file is written and everything in it works. 1: something does \
                  not, and the line says what to do.",
        example: "offhook setup --provider kamailio --server pbx.example.org --user 101 \
                  --password-file password.txt --country de",
        values: &[
            "output",
            "provider",
            "server",
            "user",
            "auth-user",
            "password-file",
            "outbound-proxy",
            "transport",
            "country",
            "board",
            "sound",
            "ringer",
        ],
        flags: &["force", "no-try"],
        plain: 0,
    },
    Page {
        name: "fingerprint",
        usage: "offhook fingerprint [--config FILE | --card DIR] [--board PROFILE]",
        summary: "the SHA-256 of this phone's certificate, as other phones pin it",
        details: "Write it as `fingerprint` under `[[tls.pin]]` in the other phone's offhook.toml. \
                  The certificate is made at the\n\
                  phone's first start (or now), and stays.",
        example: "offhook fingerprint --config /etc/offhook/offhook.toml",
        values: &["config", "card", "board"],
        flags: &[],
        plain: 0,
    },
    Page {
        name: "ctl",
        usage: "offhook ctl [--socket PATH] [--csv] VERB",
        summary: "drive and watch a running phone over its local socket",
        details: "lift, hang-up, flash    as a user does\n\
                  press KEYS              0-9 * # A-D, a comma is a pause of 500 ms\n\
                  rotary DIGITS           as a rotary dial does\n\
                  key NAME                a key beside the keypad: volume-up, volume-down, mute, \
                  hands-free, feature-1 to feature-8\n\
                  mute on|off             the microphone\n\
                  volume OF=DB            earpiece, speaker, ringer or microphone, above or below \
                  the configuration's\n\
                  dial NUMBER             lifts where the handset is down, and dials a number or \
                  address\n\
                  answer, reject          the call that rings or waits\n\
                  transfer NUMBER         connects the far end with a number, and is out of it\n\
                  conference              connects the call on hold and the one in the hand\n\
                  message NUMBER TEXT     sends a text message; an event says whether it was \
                  taken\n\
                  history [--csv]         calls and received messages, the newest first; --csv: \
                  for a spreadsheet\n\
                  screen                  what the display shows\n\
                  codes                   the star codes that can be dialled\n\
                  verify CALL             its authentication words were compared and match: trust \
                  that phone\n\
                  status                  the whole phone as one JSON object\n\
                  stats                   every counter of every stream\n\
                  quality                 how the call sounds, second by second (see `report`)\n\
                  events                  JSON lines as things happen, with CLOCK_MONOTONIC \
                  seconds\n\
                  refresh                 look again at what DHCP, the image and the provisioning \
                  server say\n\
                  bundle [FILE]           support bundle without secrets, ./offhook-support.tar.gz \
                  unless named\n\
                  capture FILE [SECONDS]  headers of RTP and RTCP, no sound and no keys, as pcap; \
                  30 s unless given\n\
                  idle                    exit code 0: no one is on the phone. 3: it is in use. 1: \
                  no phone answers\n\
                  quit                    orderly shutdown",
        example: "offhook ctl --socket /run/offhook/ctl.sock press 1#",
        values: &["socket"],
        flags: &["csv"],
        plain: 256,
    },
    #[cfg(feature = "tools")]
    Page {
        name: "graph",
        usage: "offhook graph [--socket PATH] [--svg]",
        summary: "the audio path as it is connected now, with live counters",
        details: "Prints Graphviz DOT; with --svg a drawing, no other program needed.",
        example: "offhook graph --socket /run/offhook/ctl.sock --svg",
        values: &["socket"],
        flags: &["svg"],
        plain: 0,
    },
    Page {
        name: "report",
        usage: "offhook report [CALL] [--socket PATH] [--svg | --text]",
        summary: "how a call sounds, second by second: the one that is on, or was last",
        details: "CALL is its number, as `offhook ctl status` shows it. Quality, delay, jitter, \
                  loss and levels of the last\n\
                  minute, a line a second; with --svg as a drawing.",
        example: "offhook report --svg",
        values: &["socket"],
        flags: &["svg", "text"],
        plain: 1,
    },
    Page {
        name: "reboot",
        usage: "offhook reboot [--once]",
        summary: "restart the board; --once: into its other slot, on trial",
        details: "For the image's own scripts: no confirmation, calls end. --once gives the \
                  Raspberry Pi's firmware its flag\n\
                  `tryboot` with the restart.",
        example: "offhook reboot --once",
        values: &[],
        flags: &["once"],
        plain: 0,
    },
    Page {
        name: "lldp",
        usage: "offhook lldp --interface NAME --name HOST FILE",
        summary: "ask the switch for the voice VLAN (LLDP-MED)",
        details: "The image runs it beside the phone, as root. Announces a telephone on this \
                  interface and ends with 0 when the VLAN\n\
                  that the switch names is another one than FILE says, which it writes first \
                  (docs/image.md).",
        example: "offhook lldp --interface eth0 --name offhook /run/offhook/lldp",
        values: &["interface", "name"],
        flags: &[],
        plain: 1,
    },
    Page {
        name: "update-agent",
        usage: "offhook update-agent [--config FILE | --card DIR] [--board PROFILE] --slot a|b \
                [--most BYTES] [--state DIR] [--run DIR]\n\
                [--scripts DIR] [--keyring FILE]",
        summary: "install signed updates, try the other slot, keep it or roll back",
        details: "The image runs it beside the phone. Bundles come from update.raucb on the card \
                  or from [update] url; the file\n\
                  ledger below --state says what became of each. Needs rauc, offhook-slot and the \
                  image's scripts `note` and `restart`.",
        example: "offhook update-agent --card /boot/offhook --board rpi3 --slot a",
        values: &[
            "config", "card", "board", "slot", "most", "state", "run", "scripts", "keyring",
        ],
        flags: &[],
        plain: 0,
    },
    #[cfg(feature = "tools")]
    Page {
        name: "demo",
        usage: "offhook demo [--speech FILE.wav] [--keep FOLDER]",
        summary: "one measured call to an echo phone, all on this machine",
        details: "Starts a simulated phone and an echo phone on loopback, lifts, dials, speaks \
                  FILE.wav (or a generated,\n\
                  speech-like signal), records the ear, hangs up, and prints what it measured. \
                  Exit code 0: the speech came\n\
                  back. --keep leaves recordings, logs and configurations in FOLDER.",
        example: "offhook demo",
        values: &["speech", "keep"],
        flags: &[],
        plain: 0,
    },
    Page {
        name: "version",
        usage: "offhook version",
        summary: "the version of this program",
        details: "",
        example: "offhook version",
        values: &[],
        flags: &[],
        plain: 0,
    },
    Page {
        name: "help",
        usage: "offhook help [COMMAND]",
        summary: "this page, or one command's",
        details: "",
        example: "offhook help ctl",
        values: &[],
        flags: &[],
        plain: 1,
    },
];

/// The page of one command, or of all.
pub(crate) fn text(about: Option<&str>) -> String {
    let mut out = String::new();
    if let Some(page) = about.and_then(|name| COMMANDS.iter().find(|page| page.name == name)) {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{}\n    {}", page.usage, page.summary);
        if !page.details.is_empty() {
            let _ = writeln!(out, "\n{}", page.details);
        }
        let _ = writeln!(out, "\nExample: {}", page.example);
        return out;
    }
    out.push_str("offhook: a SIP desk phone\n\n");
    for page in COMMANDS {
        let _ = writeln!(out, "    {:<12} {}", page.name, page.summary);
    }
    out.push_str("\nExamples:\n");
    for page in COMMANDS {
        let _ = writeln!(out, "    {}", page.example);
    }
    out.push_str("\nExit codes: 0 done, 1 failed, 2 the command line is wrong.\n");
    out
}
