//! gnome-calls under Xvfb, registered at kamailio over TLS, its sound through a PulseAudio of the
//! test's own: a phone of other people that speaks SDES, sends no 180 and knows no telephone-event.
//!
//! ```text
//! speech ─▶ paplay ─▶ sink "mouth" ─▶ its monitor ─▶ gnome-calls ═SIP, SRTP═ offhook
//! what it heard (WAV) ◀─ parec ◀─ monitor of sink "ear" ◀───────┘      driven by D-Bus, as its own windows drive it
//! ```

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use testkit::process::{ChildProcess, TestDir};

pub(crate) struct Gnome {
    dir: PathBuf,
    env: Vec<(&'static str, String)>,
    _pulse: ChildProcess,
    _screen: ChildProcess,
    session: ChildProcess,
    sound: Vec<ChildProcess>,
}

/// A program that goes before others where that is allowed: its sound has no time to lose, and it
/// asks for none itself.
fn ahead(program: &str) -> Command {
    let mut command = Command::new("nice");
    command.args(["-n", "-11", program]);
    command
}

impl Gnome {
    /// Starts it as this user of the registrar at this port.
    pub(crate) fn start(dir: &TestDir, user: &str, registrar: u16) -> Self {
        let dir = dir.join("gnome");
        let run = dir.join("run");
        for folder in [
            ".config/calls",
            ".config/glib-2.0/settings",
            ".local/share",
            ".cache",
            "run",
        ] {
            std::fs::create_dir_all(dir.join(folder)).unwrap();
        }
        std::os::unix::fs::chown(&run, None, None).unwrap();
        std::fs::set_permissions(&run, std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .unwrap();
        std::fs::write(
            dir.join(".config/calls/sip-account.cfg"),
            format!(
                "[sip-0]\nId=sip-0\nHost=127.0.0.1\nUser={user}\nDisplayName=Gnome\nProtocol=TLS\n\
                 Port={registrar}\nAutoConnect=true\n\
                 DirectMode=false\nLocalPort=0\nMediaEncryption=2\n"
            ),
        )
        .unwrap();
        std::fs::write(
            dir.join(".config/glib-2.0/settings/keyfile"),
            "[org/gnome/Calls]\nalways-allow-sdes=true\nautoload-plugins=['sip']\n\
             preferred-audio-codecs=['PCMU']\n",
        )
        .unwrap();
        let socket = dir.join("native");
        // A null sink that rewinds (for a stream that asks for less delay) lets its monitor stand
        // still meanwhile. That monitor is the clock of all gnome-calls plays: it would be late for
        // the rest of the call, and drop what it is late for.
        std::fs::write(
            dir.join("bench.pa"),
            format!(
                "load-module module-native-protocol-unix auth-anonymous=1 socket={}\n\
                 load-module module-null-sink sink_name=ear rate=48000 channels=1 norewinds=1\n\
                 load-module module-null-sink sink_name=mouth rate=48000 channels=1 norewinds=1\n",
                socket.display()
            ),
        )
        .unwrap();
        // A screen's number is the machine's, whatever the network namespace.
        let screen = format!(":{}", 100 + std::process::id() % 30_000);
        let text = |path: PathBuf| path.display().to_string();
        let env = vec![
            ("HOME", text(dir.clone())),
            ("XDG_CONFIG_HOME", text(dir.join(".config"))),
            ("XDG_DATA_HOME", text(dir.join(".local/share"))),
            ("XDG_CACHE_HOME", text(dir.join(".cache"))),
            ("XDG_RUNTIME_DIR", text(run)),
            ("DISPLAY", screen.clone()),
            ("GDK_BACKEND", "x11".into()),
            ("GSETTINGS_BACKEND", "keyfile".into()),
            ("NO_AT_BRIDGE", "1".into()),
            // Its own names of domains, given one by one, let nothing through.
            ("G_MESSAGES_DEBUG", "all".into()),
            // Its library writes down what it receives and sends.
            ("TPORT_LOG", "1".into()),
            ("PULSE_SERVER", format!("unix:{}", socket.display())),
            ("PULSE_SINK", "ear".into()),
            ("PULSE_SOURCE", "mouth.monitor".into()),
        ];
        let mut pulse = ahead("pulseaudio");
        pulse
            .args([
                "-n",
                "--daemonize=no",
                "--exit-idle-time=-1",
                "--use-pid-file=no",
                "-F",
            ])
            .arg(dir.join("bench.pa"))
            .envs(env.iter().cloned());
        let pulse = ChildProcess::start(&mut pulse, &dir.join("pulse.log"));
        let mut xvfb = Command::new("Xvfb");
        xvfb.args([&screen, "-screen", "0", "640x480x24", "-nolisten", "tcp"]);
        let xvfb = ChildProcess::start(&mut xvfb, &dir.join("xvfb.log"));
        let end = Instant::now() + Duration::from_secs(15);
        let display = format!("/tmp/.X11-unix/X{}", &screen[1..]);
        while !(socket.exists() && Path::new(&display).exists()) {
            assert!(Instant::now() < end, "pulseaudio or Xvfb does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        std::fs::write(
            dir.join("session.sh"),
            format!(
                "echo -n x | gnome-keyring-daemon --unlock --components=secrets\n\
                 echo -n secret{user} | secret-tool store --label=x xdg:schema sm.puri.Calls \
                 server 127.0.0.1 username {user} protocol sip\n\
                 echo \"$DBUS_SESSION_BUS_ADDRESS\" > {0}/bus.new && mv {0}/bus.new {0}/bus\n\
                 echo $$ > {0}/pid\nexec gnome-calls -d -vv\n",
                dir.display()
            ),
        )
        .unwrap();
        let mut session = ahead("dbus-run-session");
        session
            .args(["--", "bash"])
            .arg(dir.join("session.sh"))
            .envs(env.iter().cloned());
        let session = ChildProcess::start(&mut session, &dir.join("log"));
        let gnome = Self {
            dir,
            env,
            _pulse: pulse,
            _screen: xvfb,
            session,
            sound: Vec::new(),
        };
        gnome.wait_log("REGISTER successful", Duration::from_secs(40));
        gnome
    }

    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.dir.join("log")).unwrap_or_default())
            .into_owned()
    }

    fn wait_log(&self, what: &str, limit: Duration) {
        let end = Instant::now() + limit;
        while !self.log().contains(what) {
            assert!(
                Instant::now() < end,
                "gnome-calls: no {what:?} within {limit:?}:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// One method call on its bus; whether it worked.
    fn bus(&self, path: &str, method: &str, arguments: &[&str]) -> bool {
        let address = std::fs::read_to_string(self.dir.join("bus")).unwrap_or_default();
        let mut command = Command::new("gdbus");
        command
            .args([
                "call",
                "--session",
                "--dest",
                "org.gnome.Calls",
                "--object-path",
                path,
                "--method",
                method,
            ])
            .args(arguments)
            .envs(self.env.iter().cloned())
            .env("DBUS_SESSION_BUS_ADDRESS", address.trim());
        command.output().is_ok_and(|output| output.status.success())
    }

    /// Dials, as its dial pad does.
    pub(crate) fn dial(&self, address: &str) {
        let parameter = format!("[<'{address}'>]");
        let dialled = self.bus(
            "/org/gnome/Calls",
            "org.freedesktop.Application.ActivateAction",
            &["dial", &parameter, "{}"],
        );
        assert!(
            dialled,
            "gnome-calls does not dial {address}:\n{}",
            self.log()
        );
    }

    /// Takes the first call it has, which rings.
    pub(crate) fn accept(&self) {
        self.accept_number(1);
    }

    /// Takes the call of this number, counted from its start.
    pub(crate) fn accept_number(&self, number: u32) {
        let end = Instant::now() + Duration::from_secs(10);
        let path = format!("/org/gnome/Calls/Call/{number}");
        while !self.bus(&path, "org.gnome.Calls.Call.Accept", &[]) {
            assert!(
                Instant::now() < end,
                "nothing rings at gnome-calls:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Speaks into its microphone, and records its loudspeaker.
    pub(crate) fn speak(&mut self, says: &Path) {
        let mut play = ahead("paplay");
        play.args(["-d", "mouth"])
            .arg(says)
            .envs(self.env.iter().cloned());
        let mut record = ahead("parec");
        record
            .args([
                "-d",
                "ear.monitor",
                "--rate=16000",
                "--channels=1",
                "--file-format=wav",
            ])
            .arg(self.dir.join("heard.wav"))
            .envs(self.env.iter().cloned())
            .env_remove("PULSE_SOURCE");
        self.sound = vec![
            ChildProcess::start(&mut play, &self.dir.join("play.log")),
            ChildProcess::start(&mut record, &self.dir.join("record.log")),
        ];
    }

    /// What its loudspeaker played so far.
    pub(crate) fn heard(&self) -> PathBuf {
        self.dir.join("heard.wav")
    }

    /// What it said itself of sound it could not take in: that is lost before it came to any phone.
    pub(crate) fn starved(&self) -> Option<String> {
        let log = self.log();
        log.lines()
            .find(|line| line.contains("Can't record audio fast enough"))
            .map(str::to_owned)
    }

    /// Ends it; with it its bus ends, and all that was started on that.
    pub(crate) fn quit(&mut self) {
        self.sound.clear();
        let pid = std::fs::read_to_string(self.dir.join("pid"))
            .ok()
            .and_then(|text| text.trim().parse().ok());
        if let Some(pid) = pid.filter(|_| !self.session.has_ended()) {
            nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(pid),
                nix::sys::signal::Signal::SIGTERM,
            )
            .ok();
            self.session.wait(Duration::from_secs(4));
        }
    }
}

impl Drop for Gnome {
    fn drop(&mut self) {
        self.quit();
    }
}
