//! What `offhook help` prints: each command with an example that works as it stands.

use std::fmt::Write;

/// One command's page.
pub(crate) struct Page {
    pub(crate) name: &'static str,
    pub(crate) usage: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) details: &'static str,
    pub(crate) example: &'static str,
}

/// What `offhook ctl` can say.
pub(crate) const CTL_VERBS: &[&str] = &[
    "lift", "hang-up", "press", "flash", "rotary", "verify", "status", "stats", "events",
    "refresh", "bundle", "quit",
];

/// All commands, in the order of the help page.
pub(crate) const COMMANDS: &[Page] = &[
    Page {
        name: "run",
        usage: "offhook run [--config FILE | --card DIR] [--board PROFILE]",
        summary: "the firmware: what the image starts at boot",
        details: "Reads /etc/offhook/offhook.toml unless told otherwise. A file with errors leaves the last good configuration\n\
                  in use (`ctl status` says so). --board overrides [board] profile. Ends on SIGTERM or `offhook ctl quit`:\n\
                  calls are ended, registrations withdrawn, bell lines low, within two seconds.\n\
                  --card names the folder the card's first partition is mounted on: offhook.toml is read there and status.txt\n\
                  written. slot-good, beside the control socket, appears when sound, configuration and a minute have proven it.\n\
                  Exit code 10: start me anew, the configuration changed. 11: start the board anew.",
        example: "offhook run --config /etc/offhook/offhook.toml",
    },
    Page {
        name: "provision",
        usage: "offhook provision [--config FILE | --card DIR] [--board PROFILE] --emit FOLDER",
        summary: "write the files of the system (network, Wi-Fi, clock, SSH) the configuration asks for",
        details: "Decides as `run` does: a file with errors gives the last good one or the defaults. FOLDER is made anew; secrets\n\
                  are readable by their owner only. docs/image.md tells what the files hold.",
        example: "offhook provision --card /boot/offhook --board rpi3 --emit /run/offhook/system",
    },
    Page {
        name: "sim",
        usage: "offhook sim [--config FILE] [--headless]",
        summary: "the same phone with a simulated board, on a terminal",
        details: "Space lifts and hangs up, 0-9 * # are the keypad, f is flash, q quits. Without --config it lives on\n\
                  127.0.0.1:5062 with an echo phone (`offhook echo`) on speed dial 1. --headless leaves the terminal alone.",
        example: "offhook sim --headless",
    },
    Page {
        name: "echo",
        usage: "offhook echo [--config FILE] [--bind ADDR] [--sip-port N] [--rtp-ports A-B] [--socket PATH]",
        summary: "a second, automatic phone that answers and plays back what it hears",
        details: "Lives on 127.0.0.1:5072 with RTP ports 21000-21099 unless told otherwise. With --socket, `offhook ctl` can\n\
                  watch it.",
        example: "offhook echo --bind 127.0.0.1 --sip-port 5072 --rtp-ports 21000-21099",
    },
    Page {
        name: "selftest",
        usage: "offhook selftest [--config FILE | --card DIR] [--board PROFILE]",
        summary: "a walk by ear through speaker, microphone, keys, hook, lamps, bell and network",
        details: "As many beeps as the number of the step, then the step. Also by holding # at power-up, or by star code (*98). Stop a\n\
                  running phone first: it holds the card. Exit code 0: all is well, as far as the phone can tell. 1: it is not.",
        example: "offhook selftest --board sim",
    },
    Page {
        name: "fetch",
        usage: "offhook fetch [--config FILE | --card DIR] [--board PROFILE] [--most BYTES] URL FILE",
        summary: "download a file by the phone's own rules: proven origin, bounded, whole or not at all",
        details: "https is judged by provision.ca, tls.ca or the system's authorities; http only with provision.allow_http. Never from https\n\
                  to http. The ETag is kept in FILE.etag. Exit code 0: FILE is new. 3: nothing new. 1: it did not work.",
        example: "offhook fetch --card /boot/offhook https://updates.example.net/rpi3.raucb /data/update.raucb",
    },
    Page {
        name: "check",
        usage: "offhook check FILE",
        summary: "validate a configuration: file:line:column, what, and the mend",
        details: "Exit code 0: no errors. 1: errors, all of them, one a line.",
        example: "offhook check /etc/offhook/offhook.toml",
    },
    Page {
        name: "fingerprint",
        usage: "offhook fingerprint [--config FILE | --card DIR]",
        summary: "the SHA-256 of this phone's certificate, as other phones pin it",
        details: "Write it as `fingerprint` under `[[tls.pin]]` in the other phone's offhook.toml. The certificate is made at the\n\
                  phone's first start (or now), and stays.",
        example: "offhook fingerprint --config /etc/offhook/offhook.toml",
    },
    Page {
        name: "ctl",
        usage: "offhook ctl [--socket PATH] VERB",
        summary: "drive and watch a running phone over its local socket",
        details: "lift, hang-up, flash    as the hand does\n\
                  press KEYS              0-9 * # A-D, a comma is a pause of 500 ms\n\
                  rotary DIGITS           as a rotary dial does\n\
                  verify CALL             its key words were compared and are the same: trust that phone\n\
                  status                  the whole phone as one JSON object\n\
                  stats                   every figure of every stream\n\
                  events                  JSON lines as things happen, with CLOCK_MONOTONIC seconds\n\
                  refresh                 look again at what DHCP, the image and the provisioning server say\n\
                  bundle [FILE]           support bundle without secrets, ./offhook-support.tar.gz unless named\n\
                  quit                    orderly shutdown",
        example: "offhook ctl --socket /run/offhook/ctl.sock press 1#",
    },
    Page {
        name: "graph",
        usage: "offhook graph [--socket PATH] [--svg]",
        summary: "the audio path as it is wired now, with live counters",
        details: "Prints Graphviz DOT; with --svg a drawing of its own layout, no other program needed.",
        example: "offhook graph --socket /run/offhook/ctl.sock --svg",
    },
    Page {
        name: "reboot",
        usage: "offhook reboot [--once]",
        summary: "restart the board; --once: into its other slot, on trial",
        details: "For the image's own scripts: nothing is asked, calls end. --once gives the Raspberry Pi's firmware its flag\n\
                  `tryboot` with the restart.",
        example: "offhook reboot --once",
    },
    Page {
        name: "tryout",
        usage: "offhook tryout [--speech FILE.wav] [--keep FOLDER]",
        summary: "one measured call to an echo phone, all on this machine",
        details: "Starts a simulated phone and an echo phone on loopback, lifts, dials, speaks FILE.wav (or a generated,\n\
                  speech-like signal), records the ear, hangs up, and prints what it measured. Exit code 0: the speech came\n\
                  back. --keep leaves recordings, logs and configurations in FOLDER.",
        example: "offhook tryout",
    },
    Page {
        name: "version",
        usage: "offhook version",
        summary: "the version of this program",
        details: "",
        example: "offhook version",
    },
    Page {
        name: "help",
        usage: "offhook help [COMMAND]",
        summary: "this page, or one command's",
        details: "",
        example: "offhook help ctl",
    },
];

/// A line that works.
pub(crate) fn example(command: &str) -> &'static str {
    COMMANDS
        .iter()
        .find(|page| page.name == command)
        .map_or("offhook help", |page| page.example)
}

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
        let _ = writeln!(out, "    {:<8} {}", page.name, page.summary);
    }
    out.push_str("\nExamples:\n");
    for page in COMMANDS {
        let _ = writeln!(out, "    {}", page.example);
    }
    out.push_str("\nExit codes: 0 done, 1 it did not work, 2 the command line is wrong.\n");
    out
}
