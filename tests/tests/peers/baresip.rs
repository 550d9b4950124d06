//! baresip, with WAV files as its microphone and a recording of what it decoded.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use offhook_tests::desk_phone::DeskPhone;
use testkit::namespace::Namespace;
use testkit::process::{ChildProcess, TestDir, port_block};

pub(crate) struct Baresip {
    pub(crate) sip_port: u16,
    dir: PathBuf,
    control: TcpStream,
    pending: Vec<u8>,
    process: ChildProcess,
}

/// The file of what a user's baresip plays.
const PLAYED: &str = "played.wav";

/// How a baresip is started.
struct Launch<'a> {
    /// Another network, and its address there.
    network: Option<(&'a Namespace, &'a str)>,
    /// First of its ports.
    base: u16,
    dir: PathBuf,
    /// Its `accounts`.
    accounts: &'a str,
    microphone: &'a Path,
    /// ALSA's name of what it plays on, and where that is defined.
    player: &'a str,
    alsa_config: &'a Path,
    /// More lines of its configuration.
    more: &'a str,
}

/// A connection to this port of the loopback, in this network.
fn connect(network: Option<&Namespace>, port: u16) -> std::io::Result<TcpStream> {
    std::thread::scope(|scope| {
        let opened = scope.spawn(|| {
            if let Some(network) = network {
                network.enter();
            }
            TcpStream::connect(("127.0.0.1", port))
        });
        opened.join().unwrap()
    })
}

impl Baresip {
    /// Starts it with one codec (baresip's own notation, `PCMU/8000/1`) and a microphone at that
    /// codec's rate.
    pub(crate) fn start(
        dir: &TestDir,
        codec: &str,
        microphone: &Path,
        sound: &offhook_tests::null_sink::NullSink,
    ) -> Self {
        Self::start_with(dir, codec, microphone, sound, "", "")
    }

    /// [`Baresip::start`] with more parameters of its account (`;mediaenc=dtls_srtp`) and more
    /// lines of its configuration.
    pub(crate) fn start_with(
        dir: &TestDir,
        codec: &str,
        microphone: &Path,
        sound: &offhook_tests::null_sink::NullSink,
        account: &str,
        more: &str,
    ) -> Self {
        Self::start_at(None, dir, codec, microphone, sound, account, more)
    }

    /// [`Baresip::start_with`] in another network, with this address there.
    pub(crate) fn start_at(
        network: Option<(&Namespace, &str)>,
        dir: &TestDir,
        codec: &str,
        microphone: &Path,
        sound: &offhook_tests::null_sink::NullSink,
        account: &str,
        more: &str,
    ) -> Self {
        let ip = network.map_or("127.0.0.1", |(_, ip)| ip);
        let base = port_block();
        let accounts = format!(
            "<sip:bob@{ip}:{base}>;regint=0;audio_codecs={codec};\
             answermode=auto{account}\n"
        );
        let setup = Launch {
            network,
            base,
            dir: dir.join("baresip"),
            accounts: &accounts,
            microphone,
            player: "ear",
            alsa_config: &sound.alsa_config,
            more,
        };
        Self::launch(setup)
    }

    /// A user of a registrar, who answers by hand; `account` is the line of its `accounts`. All
    /// that is played since its call was established, or taken back from hold, is in
    /// [`Baresip::played`].
    pub(crate) fn start_user(
        dir: PathBuf,
        account: &str,
        microphone: &Path,
        sound: &offhook_tests::null_sink::NullSink,
    ) -> Self {
        std::fs::create_dir_all(&dir).unwrap();
        let alsa_config = dir.join("asound.conf");
        let text = format!(
            "<{}>\npcm.recorded {{ type file slave.pcm \"ear\" file {:?} format \"wav\" }}\n",
            sound.alsa_config.display(),
            dir.join(PLAYED),
        );
        std::fs::write(&alsa_config, text).unwrap();
        Self::launch(Launch {
            network: None,
            base: port_block(),
            dir,
            accounts: account,
            microphone,
            player: "recorded",
            alsa_config: &alsa_config,
            more: "",
        })
    }

    fn launch(setup: Launch<'_>) -> Self {
        let Launch {
            network, base, dir, ..
        } = setup;
        let ip = network.map_or("127.0.0.1", |(_, ip)| ip);
        std::fs::create_dir_all(dir.join("snd")).unwrap();
        let modules = [
            "/usr/lib/baresip/modules",
            "/usr/lib/x86_64-linux-gnu/baresip/modules",
            "/usr/lib/aarch64-linux-gnu/baresip/modules",
        ];
        let modules = modules
            .iter()
            .find(|path| Path::new(path).exists())
            .expect("baresip's modules are installed");
        let config = format!(
            "sip_listen {ip}:{base}\nnet_interface {ip}\nrtp_ports {}-{}\n\
             audio_source aufile,{}\naudio_player alsa,{}\naudio_alert alsa,ear\n\
             snd_path {}\nmodule_path {modules}\nmodule g711.so\nmodule g722.so\nmodule opus.so\n\
             module aufile.so\nmodule alsa.so\nmodule sndfile.so\n\
             {}module_app account.so\nmodule_app menu.so\nmodule_app ctrl_tcp.so\n\
             ctrl_tcp_listen 127.0.0.1:{}\n",
            base + 10,
            base + 59,
            setup.microphone.display(),
            setup.player,
            dir.join("snd").display(),
            setup.more,
            base + 100,
        );
        std::fs::write(dir.join("config"), config).unwrap();
        std::fs::write(dir.join("accounts"), setup.accounts).unwrap();
        std::fs::write(dir.join("contacts"), "").unwrap();
        let mut command = match network {
            Some((namespace, _)) => namespace.command("baresip"),
            None => Command::new("baresip"),
        };
        command
            .arg("-f")
            .arg(&dir)
            .env("HOME", &dir)
            .env("ALSA_CONFIG_PATH", setup.alsa_config)
            .env("PULSE_LATENCY_MSEC", "40");
        let process = ChildProcess::start(&mut command, &dir.join("log"));
        let end = Instant::now() + Duration::from_secs(8);
        let control = loop {
            match connect(network.map(|(namespace, _)| namespace), base + 100) {
                Ok(stream) => break stream,
                Err(error) => assert!(
                    Instant::now() < end,
                    "baresip does not start: {error}\n{}",
                    std::fs::read_to_string(dir.join("log")).unwrap()
                ),
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        control
            .set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        Self {
            sip_port: base,
            dir,
            control,
            pending: Vec::new(),
            process,
        }
    }

    pub(crate) fn command(&mut self, command: &str, params: &str) {
        let text = json!({"command": command, "params": params, "token": "t"}).to_string();
        self.control
            .write_all(format!("{}:{text},", text.len()).as_bytes())
            .unwrap();
    }

    /// A desk phone's speed dial `1`, which calls it.
    pub(crate) fn speed_dial(&self) -> Vec<(String, String)> {
        let address = format!("sip:bob@127.0.0.1:{}", self.sip_port);
        vec![("1".to_owned(), address)]
    }

    /// A call between it and a desk phone with that speed dial, up to both ends' word for it.
    pub(crate) fn establish(&mut self, desk: &DeskPhone, from_baresip: bool) {
        if from_baresip {
            self.command("dial", &format!("sip:phone@127.0.0.1:{}", desk.sip_port));
            desk.wait_state("ringing");
            desk.lift();
            desk.wait_state("talking");
        } else {
            desk.call("1#");
        }
        self.wait_event("CALL_ESTABLISHED", Duration::from_secs(5));
    }

    /// An event that came meanwhile.
    pub(crate) fn poll_event(&mut self) -> Option<Value> {
        let mut buffer = [0; 4096];
        if let Ok(n) = self.control.read(&mut buffer) {
            self.pending.extend_from_slice(&buffer[..n]);
        }
        std::iter::from_fn(|| self.next_message()).find(|message| message["event"] == true)
    }

    /// Waits for an event of this type.
    pub(crate) fn wait_event(&mut self, kind: &str, limit: Duration) -> Value {
        let end = Instant::now() + limit;
        loop {
            while let Some(message) = self.next_message() {
                if message["type"] == *kind {
                    return message;
                }
            }
            assert!(
                Instant::now() < end,
                "baresip: no {kind} within {limit:?}\n{}",
                self.log()
            );
            let mut buffer = [0; 4096];
            if let Ok(n) = self.control.read(&mut buffer) {
                self.pending.extend_from_slice(&buffer[..n]);
            }
        }
    }

    /// One netstring from what was read.
    fn next_message(&mut self) -> Option<Value> {
        let colon = self.pending.iter().position(|&b| b == b':')?;
        let length: usize = std::str::from_utf8(&self.pending[..colon])
            .ok()?
            .trim()
            .parse()
            .ok()?;
        if self.pending.len() < colon + 1 + length + 1 {
            return None;
        }
        let message = serde_json::from_slice(&self.pending[colon + 1..colon + 1 + length]).unwrap();
        self.pending.drain(..colon + length + 2);
        Some(message)
    }

    /// What baresip decoded and gave to its loudspeaker.
    pub(crate) fn heard(&self) -> PathBuf {
        let mut dumps: Vec<_> = std::fs::read_dir(self.dir.join("snd"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.to_string_lossy().ends_with("-dec.wav"))
            .collect();
        dumps.sort();
        dumps
            .pop()
            .unwrap_or_else(|| panic!("baresip recorded nothing\n{}", self.log()))
    }

    /// What a user's baresip played in its call, since it was established or taken back from hold.
    pub(crate) fn played(&self) -> PathBuf {
        self.dir.join(PLAYED)
    }

    pub(crate) fn log(&self) -> String {
        let log = std::fs::read_to_string(self.dir.join("log")).unwrap_or_default();
        log.lines()
            .filter(|line| !line.contains("audio="))
            .collect::<Vec<_>>()
            .join("\n")
    }

    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// It stands still for so long.
    pub(crate) fn stall(&self, time: Duration) {
        self.process.stall(time);
    }

    /// Ends it so that its recordings are closed.
    pub(crate) fn quit(&mut self) {
        self.process.terminate(Duration::from_secs(4));
    }
}
