//! A sound card for peers that know only sound servers: PulseAudio with null sinks.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use testkit::process::{ChildProcess, TestDir};

/// A PulseAudio daemon of the test's own with two null sinks, paced in real time, and an ALSA
/// configuration that knows nothing else.
pub struct NullSink {
    /// The ALSA configuration that knows only this server.
    pub alsa_config: PathBuf,
    server: String,
    home: PathBuf,
    pulse: ChildProcess,
}

impl NullSink {
    /// Starts it. ALSA PCM `ear` plays into the sink `ear`; ALSA PCM `mic` hears what is played
    /// into the sink `mouth`.
    pub fn start(dir: &TestDir) -> Self {
        let dir = dir.join("pulse");
        std::fs::create_dir_all(dir.join("run")).unwrap();
        let socket = dir.join("native");
        let server = format!("unix:{}", socket.display());
        let script = dir.join("bench.pa");
        std::fs::write(
            &script,
            format!(
                "load-module module-native-protocol-unix auth-anonymous=1 socket={}\n\
                 load-module module-null-sink sink_name=ear rate=48000 channels=1 norewinds=1\n\
                 load-module module-null-sink sink_name=mouth rate=48000 channels=1 norewinds=1\n",
                socket.display()
            ),
        )
        .unwrap();
        let alsa_config = dir.join("asound.conf");
        std::fs::write(
            &alsa_config,
            format!(
                "pcm.ear {{ type pulse server \"{server}\" device \"ear\" }}\n\
                 pcm.mic {{ type pulse server \"{server}\" device \"mouth.monitor\" }}\n\
                 pcm.!default {{ type pulse server \"{server}\" device \"ear\" }}\n\
                 ctl.!default {{ type pulse server \"{server}\" }}\n"
            ),
        )
        .unwrap();
        let mut command = Command::new("pulseaudio");
        command
            .args([
                "-n",
                "--daemonize=no",
                "--exit-idle-time=-1",
                "--use-pid-file=no",
                "-F",
            ])
            .arg(&script);
        command
            .env("HOME", &dir)
            .env("XDG_RUNTIME_DIR", dir.join("run"));
        let pulse = ChildProcess::start(&mut command, &dir.join("log"));
        let end = Instant::now() + Duration::from_secs(20);
        while !socket.exists() {
            assert!(
                Instant::now() < end,
                "pulseaudio does not start:\n{}",
                std::fs::read_to_string(dir.join("log")).unwrap()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        Self {
            alsa_config,
            server,
            home: dir,
            pulse,
        }
    }

    /// Arguments and environment that make this the sound card of an emulated machine (QEMU).
    pub fn qemu(&self) -> (Vec<String>, Vec<(String, String)>) {
        let card = format!(
            "pa,id=card,server={},out.name=ear,in.name=mouth.monitor,\
             out.latency=80000,in.latency=80000",
            self.server
        );
        let env = vec![
            ("PULSE_SERVER".to_owned(), self.server.clone()),
            ("HOME".to_owned(), self.home.display().to_string()),
        ];
        (vec!["-audiodev".to_owned(), card], env)
    }

    /// The server stands still for so long.
    pub fn stall(&self, time: Duration) {
        self.pulse.stall(time);
    }

    /// Speaks a file into the sink `mouth`.
    pub fn speak(&self, file: &Path) -> ChildProcess {
        self.client("paplay", &["--device=mouth"], file)
    }

    /// Records what is played into the sink `ear`.
    pub fn listen(&self, file: &Path) -> ChildProcess {
        let format = [
            "--device=ear.monitor",
            "--format=s16le",
            "--rate=48000",
            "--channels=1",
            "--file-format=wav",
        ];
        self.client("parec", &format, file)
    }

    fn client(&self, program: &str, arguments: &[&str], file: &Path) -> ChildProcess {
        let mut command = Command::new(program);
        command
            .arg("--latency-msec=40")
            .args(arguments)
            .arg(file)
            .env("PULSE_SERVER", &self.server)
            .env("HOME", &self.home)
            .env("XDG_RUNTIME_DIR", self.home.join("run"));
        ChildProcess::start(&mut command, &file.with_extension(program))
    }
}
