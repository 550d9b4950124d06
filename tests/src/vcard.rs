//! The virtual sound card of `tests/vcard/vcard.c`: built, configured and given its faults from
//! here.
//!
//! ```text
//! VirtualCard::new ─▶ plugin + asound.conf + a file of shared memory (the "wire")
//! program under test (ALSA_CONFIG_PATH): pcm `phone` ═cable═ pcm `far`: the test, or a second phone
//! VirtualCard::{xrun, unplug, plug} ─▶ the head of the wire ─▶ the plugin
//! ```

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which end of the cable: the PCM names are `phone` and `far`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// `pcm.phone`
    Phone,
    /// `pcm.far`
    Far,
}

/// Which stream of a side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Speaker.
    Playback,
    /// Microphone.
    Capture,
}

/// Two virtual cards on one cable, in a directory of their own.
#[derive(Debug)]
pub struct VirtualCard {
    config: PathBuf,
    wire: File,
}

impl VirtualCard {
    /// Builds the plugin if need be and lays two cards into `dir`, which must exist. `more` is
    /// added to the ALSA configuration; `WIRE` in it becomes the path of the shared memory. `Err`
    /// returns why it cannot be: for a SKIPPED line.
    pub fn new(dir: &Path, more: &str) -> Result<Self, String> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let plugins = here.join("../target/vcard");
        let built = Command::new("sh")
            .arg(here.join("vcard/build.sh"))
            .arg(&plugins)
            .output();
        let built = built.map_err(|e| format!("no shell to build the virtual card: {e}"))?;
        if !built.status.success() {
            return Err(format!(
                "the virtual card does not build: {}",
                String::from_utf8_lossy(&built.stderr)
            ));
        }
        let plugin = plugins
            .join("libasound_module_pcm_vcard.so")
            .canonicalize()
            .map_err(|e| e.to_string())?;
        let wire_path = dir.join("wire");
        let wire = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&wire_path)
            .map_err(|e| e.to_string())?;
        let wire_name = wire_path.display().to_string();
        let config = dir.join("asound.conf");
        let text = format!(
            "pcm_type.vcard {{ lib \"{}\" }}\n\
             pcm.phone {{ type vcard file \"{wire_name}\" side 0 }}\n\
             pcm.far {{ type vcard file \"{wire_name}\" side 1 }}\n{}",
            plugin.display(),
            more.replace("WIRE", &wire_name),
        );
        std::fs::write(&config, text).map_err(|e| e.to_string())?;
        Ok(Self { config, wire })
    }

    /// The cards that another process laid into `dir`.
    pub fn at(dir: &Path) -> io::Result<Self> {
        let wire = File::options()
            .read(true)
            .write(true)
            .open(dir.join("wire"))?;
        Ok(Self {
            config: dir.join("asound.conf"),
            wire,
        })
    }

    /// Another cable in the same directory, its file called so; the configuration given to
    /// [`VirtualCard::new`] has the cards on it.
    pub fn cable(&self, name: &str) -> io::Result<Self> {
        let wire = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(self.config.with_file_name(name))?;
        Ok(Self {
            config: self.config.clone(),
            wire,
        })
    }

    /// What `ALSA_CONFIG_PATH` of the program under test must be.
    pub fn alsa_config(&self) -> &Path {
        &self.config
    }

    /// Makes one over- or underrun.
    pub fn xrun(&self, side: Side, stream: Stream) -> io::Result<()> {
        let offset = fault(side) + 4 + stream_offset(stream);
        let count = self.get(offset)?;
        self.put(offset, count + 1)
    }

    /// Over- and underruns the program made by itself, because it or the machine was late.
    pub fn own_xruns(&self, side: Side) -> io::Result<u32> {
        Ok(self.get(fault(side) + 20)? + self.get(fault(side) + 24)?)
    }

    /// Pulls the side's device out: every call fails from now on, and so does opening it.
    pub fn unplug(&self, side: Side) -> io::Result<()> {
        self.put(fault(side), 1)
    }

    /// Puts it back.
    pub fn plug(&self, side: Side) -> io::Result<()> {
        self.put(fault(side), 0)
    }

    fn get(&self, offset: u64) -> io::Result<u32> {
        let mut bytes = [0; 4];
        match self.wire.read_exact_at(&mut bytes, offset) {
            Ok(()) => Ok(u32::from_ne_bytes(bytes)),
            // No one has opened a card yet.
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            Err(e) => Err(e),
        }
    }

    fn put(&self, offset: u64, value: u32) -> io::Result<()> {
        self.wire.write_all_at(&value.to_ne_bytes(), offset)
    }
}

/// Where `struct wire` has the faults of a side: magic and padding, then seven words a side.
fn fault(side: Side) -> u64 {
    match side {
        Side::Phone => 8,
        Side::Far => 8 + 28,
    }
}

fn stream_offset(stream: Stream) -> u64 {
    match stream {
        Stream::Playback => 0,
        Stream::Capture => 4,
    }
}
