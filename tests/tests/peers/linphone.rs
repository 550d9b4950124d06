//! linphonec, registered at kamailio over TLS, SDES mandatory, with WAV files for a sound card.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command};
use std::time::{Duration, Instant};

use testkit::process::{ChildProcess, TestDir, port_block};

/// What it does with a call that comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answers {
    /// It answers by itself.
    AtOnce,
    /// It rings with sound of its own (183), until somebody has it answer.
    WithEarlyMedia,
}

/// Whom it wants to refresh a call (RFC 4028) that somebody makes to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refresher {
    Itself,
    Caller,
}

/// What of its configuration differs from test to test.
pub(crate) struct LinphoneSetup {
    pub(crate) answers: Answers,
    /// It has session timers, of 90 s.
    pub(crate) session_timer: Option<Refresher>,
}

impl Default for LinphoneSetup {
    fn default() -> Self {
        Self {
            answers: Answers::AtOnce,
            session_timer: None,
        }
    }
}

pub(crate) struct Linphone {
    dir: PathBuf,
    keys: ChildStdin,
    process: ChildProcess,
}

impl Linphone {
    /// Starts it as this user. It speaks and records.
    ///
    /// It does not look at the server's certificate: its mbedTLS knows no certificates for
    /// addresses, and what it would find there matters to no test.
    pub(crate) fn start(
        dir: &TestDir,
        user: &str,
        registrar: u16,
        says: &Path,
        setup: &LinphoneSetup,
    ) -> Self {
        let dir = dir.join(format!("linphone-{user}"));
        std::fs::create_dir_all(dir.join(".local/share/linphone")).unwrap();
        let base = port_block();
        let interval =
            "session_expires_enabled=1\nsession_expires_value=90\nsession_expires_min_value=90\n";
        let timer = match setup.session_timer {
            None => String::new(),
            Some(Refresher::Itself) => interval.to_owned(),
            Some(Refresher::Caller) => format!("{interval}session_expires_refresher_value=2\n"),
        };
        let rc = format!(
            "[sip]\nsip_port=0\nsip_tcp_port=0\nsip_tls_port={base}\nmedia_encryption=srtp\n\
             media_encryption_mandatory=1\nincoming_calls_early_media={}\n{timer}\
             verify_server_certs=0\nverify_server_cn=0\ndefault_proxy=0\nuse_ipv6=0\n[rtp]\n\
             audio_rtp_port={}\n\
             [sound]\nechocancellation=0\n[audio_codec_0]\nmime=PCMU\nrate=8000\nchannels=1\n\
             enabled=1\n\
             [proxy_0]\nreg_proxy=<sip:127.0.0.1:{registrar};transport=tls>\n\
             reg_identity=sip:{user}@127.0.0.1\nreg_expires=60\n\
             reg_sendregister=1\npublish=0\n[auth_info_0]\nusername={user}\npasswd=secret{user}\n\
             realm=127.0.0.1\n",
            u8::from(setup.answers == Answers::WithEarlyMedia),
            base + 10,
        );
        std::fs::write(dir.join("rc"), rc).unwrap();
        let mut command = Command::new("linphonec");
        command
            .args(["-c"])
            .arg(dir.join("rc"))
            .args(["-d", "5", "-l"])
            .arg(dir.join("log"))
            .args((setup.answers == Answers::AtOnce).then_some("-a"))
            .env("HOME", &dir);
        let (process, keys) = ChildProcess::start_with_stdin(&mut command, &dir.join("out"));
        let mut linphone = Self { dir, keys, process };
        linphone.say("soundcard use files");
        linphone.say(&format!(
            "record {}",
            linphone.dir.join("heard.wav").display()
        ));
        linphone.say(&format!("play {}", says.display()));
        linphone.wait_log("[LinphoneRegistrationOk]", Duration::from_secs(20));
        linphone
    }

    /// One line of its console.
    pub(crate) fn say(&mut self, line: &str) {
        writeln!(self.keys, "{line}").unwrap();
    }

    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.dir.join("log")).unwrap_or_default())
            .into_owned()
    }

    /// Waits until its log says this.
    pub(crate) fn wait_log(&self, what: &str, limit: Duration) {
        let end = Instant::now() + limit;
        while !self.log().contains(what) {
            let log = self.log();
            let tail: Vec<_> = log.lines().rev().take(40).collect();
            assert!(
                Instant::now() < end,
                "linphonec: no {what:?} within {limit:?}:\n{}",
                tail.join("\n")
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// How many requests of this method passed it, in either direction, whose User-Agent begins
    /// like this.
    pub(crate) fn requests(&self, method: &str, user_agent: &str) -> usize {
        let log = self.log().replace('\r', "");
        let wanted = format!("\nUser-Agent: {user_agent}");
        let start = format!("\n{method} sip:");
        let requests = log.split(start.as_str()).skip(1);
        let heads = requests.filter_map(|rest| rest.split("\n\n").next());
        heads.filter(|head| head.contains(&wanted)).count()
    }

    /// What it heard; ends it, so that its recording is closed.
    pub(crate) fn heard(&mut self) -> PathBuf {
        self.say("terminate");
        std::thread::sleep(Duration::from_millis(500));
        self.say("quit");
        self.process.wait(Duration::from_secs(6));
        self.dir.join("heard.wav")
    }
}
