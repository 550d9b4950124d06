//! The bytes a display gets, against models of the two controllers made from their data sheets.

use std::path::Path;
use std::sync::{Arc, Mutex};

use embedded_hal::i2c::{ErrorKind, ErrorType, I2c, NoAcknowledgeSource, Operation};
use testkit::process::TestDir;

use super::oled::{PAGES, WIDTH};
use super::*;
use crate::profile::Profile;

/// A controller on a bus: what its memory holds and what is seen.
#[derive(Debug)]
struct Controlled {
    columns: usize,
    /// The column of the memory that is the leftmost one seen.
    offset: usize,
    memory: Vec<[u8; PAGES]>,
    page: usize,
    column: usize,
    on: bool,
    pump: bool,
    contrast: u8,
    /// Segment remap and scan direction.
    mirrored: (bool, bool),
    plugged: bool,
    /// Bytes of pixels since the last look.
    data: usize,
    /// Commands that this controller does not have.
    unknown: Vec<u8>,
    sh1106: bool,
}

impl Controlled {
    fn new(controller: Controller) -> Self {
        let sh1106 = controller == Controller::Sh1106;
        let columns = if sh1106 { 132 } else { 128 };
        Self {
            columns,
            offset: if sh1106 { 2 } else { 0 },
            // After power-up the memory holds anything.
            memory: vec![[0x5a; PAGES]; columns],
            page: 0,
            column: 0,
            on: false,
            pump: false,
            contrast: 0x7f,
            mirrored: (false, false),
            plugged: true,
            data: 0,
            unknown: Vec::new(),
            sh1106,
        }
    }

    fn commands(&mut self, bytes: &[u8]) {
        let mut bytes = bytes.iter().copied();
        while let Some(command) = bytes.next() {
            let mut value = || bytes.next().expect("a command without its value");
            match command {
                0x00..=0x0f => self.column = self.column & 0xf0 | usize::from(command),
                0x10..=0x1f => self.column = self.column & 0x0f | usize::from(command & 0xf) << 4,
                0x20 if !self.sh1106 => assert_eq!(value(), 2, "addressed by page"),
                0x2e if !self.sh1106 => {}
                0x8d if !self.sh1106 => self.pump = value() == 0x14,
                0xad if self.sh1106 => self.pump = value() == 0x8b,
                0x40..=0x7f => assert_eq!(command, 0x40, "the first row"),
                0x81 => self.contrast = value(),
                0xa0 | 0xa1 => self.mirrored.0 = command == 0xa1,
                0xc0 | 0xc8 => self.mirrored.1 = command == 0xc8,
                0xa4 | 0xa6 => {}
                0xa8 => assert_eq!(value(), 63, "64 rows"),
                0xd3 => assert_eq!(value(), 0, "no offset"),
                0xd5 | 0xd9 | 0xda | 0xdb => drop(value()),
                0xae | 0xaf => self.on = command == 0xaf,
                0xb0..=0xb7 => self.page = usize::from(command & 7),
                _ => self.unknown.push(command),
            }
        }
    }

    fn pixels(&mut self, bytes: &[u8]) {
        self.data += bytes.len();
        for byte in bytes {
            if self.sh1106 {
                // It does not go on at the beginning of a page.
                if self.column < self.columns {
                    self.memory[self.column][self.page] = *byte;
                    self.column += 1;
                }
            } else {
                self.memory[self.column][self.page] = *byte;
                self.column = (self.column + 1) % self.columns;
            }
        }
    }

    /// What a person sees of a display mounted as its maker meant it.
    fn sees(&self, x: usize, y: usize) -> bool {
        assert!(self.unknown.is_empty(), "{:x?}", self.unknown);
        let (mirrored_x, mirrored_y) = self.mirrored;
        // As modules are wired, upright is "remapped" both ways.
        let column = self.offset + if mirrored_x { x } else { WIDTH - 1 - x };
        let row = if mirrored_y { y } else { PAGES * 8 - 1 - y };
        self.on && self.pump && self.memory[column][row / 8] & (1 << (row % 8)) != 0
    }
}

#[derive(Debug, Clone)]
struct Bus(Arc<Mutex<Controlled>>);

#[derive(Debug, thiserror::Error)]
#[error("nothing answers at its address")]
struct NoAnswer;

impl embedded_hal::i2c::Error for NoAnswer {
    fn kind(&self) -> ErrorKind {
        ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address)
    }
}

impl ErrorType for Bus {
    type Error = NoAnswer;
}

impl I2c for Bus {
    fn transaction(&mut self, at: u8, operations: &mut [Operation<'_>]) -> Result<(), NoAnswer> {
        let mut device = self.0.lock().unwrap();
        if at != 0x3d || !device.plugged {
            return Err(NoAnswer);
        }
        for operation in operations {
            let Operation::Write(bytes) = operation else {
                panic!("a display is not read");
            };
            match bytes.split_first() {
                Some((0x00, commands)) => device.commands(commands),
                Some((0x40, pixels)) => device.pixels(pixels),
                _ => panic!("no control byte"),
            }
        }
        Ok(())
    }
}

fn described(toml: &str) -> Display {
    let text = format!("name = \"x\"\n[display]\naddress = 0x3d\n{toml}");
    let profile = Profile::parse("hardware.toml".as_ref(), &text);
    profile.unwrap_or_else(|e| panic!("{e}")).display.unwrap()
}

fn oled(toml: &str) -> (Oled<Bus>, Bus) {
    let display = described(toml);
    let bus = Bus(Arc::new(Mutex::new(Controlled::new(display.controller))));
    (Oled::new(bus.clone(), &display), bus)
}

/// Some pixels that are not symmetric, as rows of bits.
fn pattern(seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    (0..16 * 64).map(|_| next()).collect()
}

fn same(bits: &[u8], sees: impl Fn(u32, u32) -> bool) -> bool {
    let picture = Picture::new(128, 64, bits);
    (0..64).all(|y| (0..128).all(|x| picture.is_lit(x, y) == sees(x, y)))
}

#[test]
fn both_controllers_show_the_picture() {
    for controller in ["ssd1306", "sh1106"] {
        for rotation in [0, 180] {
            let toml = format!("controller = \"{controller}\"\nrotation = {rotation}");
            let (mut panel, bus) = oled(&toml);
            for seed in 0..20 {
                let bits = pattern(seed);
                let picture = Picture::new(128, 64, &bits);
                panel.show(&picture, Light::Full).unwrap();
                let device = bus.0.lock().unwrap();
                let seen = same(&bits, |x, y| {
                    let (x, y) = (x as usize, y as usize);
                    if rotation == 180 {
                        device.sees(127 - x, 63 - y)
                    } else {
                        device.sees(x, y)
                    }
                });
                assert!(seen, "{toml} {seed}");
                assert_eq!(device.contrast, 0xcf);
            }
        }
    }
}

#[test]
fn only_what_changed_is_sent() {
    let (mut panel, bus) = oled("controller = \"ssd1306\"");
    let mut bits = pattern(7);
    let sent = |bus: &Bus| std::mem::take(&mut bus.0.lock().unwrap().data);
    panel
        .show(&Picture::new(128, 64, &bits), Light::Full)
        .unwrap();
    assert_eq!(sent(&bus), 128 * 8);
    panel
        .show(&Picture::new(128, 64, &bits), Light::Full)
        .unwrap();
    assert_eq!(sent(&bus), 0);
    // Two pixels of row 20, five columns apart.
    bits[20 * 16 + 3] ^= 0x80;
    bits[20 * 16 + 3] ^= 0x04;
    panel
        .show(&Picture::new(128, 64, &bits), Light::Full)
        .unwrap();
    assert_eq!(sent(&bus), 6);
    let device = bus.0.lock().unwrap();
    assert!(same(&bits, |x, y| device.sees(x as usize, y as usize)));
}

#[test]
fn it_is_dimmed_and_switched_off_and_on_again() {
    let (mut panel, bus) = oled("controller = \"sh1106\"\ncontrast = 100");
    let bits = pattern(3);
    let mut look = |light| {
        panel.show(&Picture::new(128, 64, &bits), light).unwrap();
        let device = bus.0.lock().unwrap();
        (device.on, device.contrast)
    };
    assert_eq!(look(Light::Full), (true, 100));
    assert_eq!(look(Light::Dim), (true, 1));
    assert!(!look(Light::Off).0);
    assert_eq!(look(Light::Full), (true, 100));
}

#[test]
fn a_display_that_comes_back_is_set_up_again() {
    let (mut panel, bus) = oled("controller = \"ssd1306\"");
    let bits = pattern(5);
    let picture = Picture::new(128, 64, &bits);
    bus.0.lock().unwrap().plugged = false;
    let error = panel.show(&picture, Light::Full).unwrap_err();
    assert_eq!(
        error.to_string(),
        "[display] ssd1306 at address 0x3d failed: nothing answers at its address"
    );
    bus.0.lock().unwrap().plugged = true;
    panel.show(&picture, Light::Full).unwrap();
    // Unplugged and plugged in again: it has forgotten everything.
    *bus.0.lock().unwrap() = Controlled::new(Controller::Ssd1306);
    bus.0.lock().unwrap().plugged = false;
    assert!(panel.show(&picture, Light::Dim).is_err());
    bus.0.lock().unwrap().plugged = true;
    panel.show(&picture, Light::Full).unwrap();
    let device = bus.0.lock().unwrap();
    assert!(same(&bits, |x, y| device.sees(x as usize, y as usize)));
}

/// A file in place of a framebuffer's memory.
fn framebuffer(path: &Path, geometry: Geometry, rotation: Rotation) -> Framebuffer {
    let file = std::fs::File::options()
        .create(true)
        .truncate(true)
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let panel = Framebuffer::with_geometry(file, "a file", geometry, rotation);
    panel.unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn every_form_of_framebuffer_shows_the_picture() {
    let folder = TestDir::new("framebuffer");
    let path = folder.join("fb0");
    for bits in [1, 16, 24, 32] {
        for degrees in [0, 90, 180, 270] {
            let rotation = Rotation::from_degrees(degrees).unwrap();
            // The device's rows are longer than its pixels need.
            let (width, height) = if rotation.is_upright() {
                (64, 128)
            } else {
                (128, 64)
            };
            let geometry = Geometry {
                width,
                height,
                stride: (width * bits).div_ceil(8) + 12,
                bits,
            };
            let mut panel = framebuffer(&path, geometry, rotation);
            assert_eq!(panel.size(), (128, 64));
            let picture = pattern(bits + u32::from(degrees));
            panel
                .show(&Picture::new(128, 64, &picture), Light::Full)
                .unwrap();
            let memory = std::fs::read(&path).unwrap();
            let lit = |x: u32, y: u32| {
                let row = y as usize * geometry.stride as usize;
                if bits == 1 {
                    return memory[row + x as usize / 8] & (1 << (x % 8)) != 0;
                }
                let pixel = (bits / 8) as usize;
                memory[row + x as usize * pixel] == 0xff
            };
            // A display turned clockwise by so much: its left upper corner is seen elsewhere.
            let seen = same(&picture, |x, y| match degrees {
                0 => lit(x, y),
                90 => lit(63 - y, x),
                180 => lit(127 - x, 63 - y),
                _ => lit(y, 127 - x),
            });
            assert!(seen, "{bits} bits, {degrees} degrees");
            panel
                .show(&Picture::new(128, 64, &picture), Light::Off)
                .unwrap();
            assert!(std::fs::read(&path).unwrap().iter().all(|byte| *byte == 0));
        }
    }
}

#[test]
fn rows_that_did_not_change_are_not_written() {
    let geometry = Geometry {
        width: 128,
        height: 64,
        stride: 256,
        bits: 16,
    };
    let folder = TestDir::new("framebuffer-rows");
    let path = folder.join("fb0");
    let mut panel = framebuffer(&path, geometry, Rotation::None);
    let mut picture = pattern(1);
    panel
        .show(&Picture::new(128, 64, &picture), Light::Full)
        .unwrap();
    // Somebody else draws: what did not change stays theirs.
    std::fs::write(&path, vec![0x77; 256 * 64]).unwrap();
    picture[10 * 16] ^= 0xff;
    panel
        .show(&Picture::new(128, 64, &picture), Light::Full)
        .unwrap();
    let memory = std::fs::read(&path).unwrap();
    let written = (0..64).filter(|row| memory[row * 256] != 0x77);
    assert_eq!(written.collect::<Vec<_>>(), [10]);
}

#[test]
fn a_framebuffer_that_cannot_be_used_is_named() {
    let open = |path: &str| match Framebuffer::open(path.as_ref(), Rotation::None) {
        Ok(_) => panic!("{path} is no framebuffer"),
        Err(error) => error.to_string(),
    };
    assert_eq!(
        open("/nowhere/fb0"),
        "[display] /nowhere/fb0: No such file or directory (os error 2); load the display's \
         driver, or name another device"
    );
    assert!(open("/dev/null").contains("; this is no framebuffer; name one (/dev/fb0)"));
    let bus = LinuxI2c::open("/nowhere/i2c-1".as_ref()).unwrap_err();
    assert!(bus.to_string().contains("switch the bus on"), "{bus}");
}

#[test]
fn a_bus_that_is_none_is_an_error_of_the_display() {
    let bus = LinuxI2c::open("/dev/null".as_ref()).unwrap();
    let mut panel = Oled::new(bus, &described("controller = \"ssd1306\""));
    let bits = pattern(1);
    let error = panel
        .show(&Picture::new(128, 64, &bits), Light::Full)
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("[display] ssd1306 at address 0x3d failed: ")
    );
}

#[test]
fn what_a_display_cannot_be_is_refused() {
    for (text, wanted) in [
        (
            "controller = \"ssd1306\"\nrotation = 90",
            "hardware.toml: [display] rotation = 90; an OLED is mounted at 0 or 180",
        ),
        (
            "controller = \"framebuffer\"\nrotation = 45",
            "hardware.toml: [display] rotation = 45; it is 0, 90, 180 or 270",
        ),
        (
            "controller = \"sh1106\"\naddress = 0x7f",
            "hardware.toml: [display] address = 0x7f; that of a display is 0x3c or 0x3d, any on \
             the bus 0x08 to 0x77",
        ),
        (
            "controller = \"sh1106\"\n[gpio]\nchip = \"pinctrl-bcm2835\"\n[hook]\nline = 3",
            "hardware.toml:7:8: line 3 of [hook] is a wire of [display]'s bus; lines 2 and 3 are \
             the bus i2c-1; wire it to another line",
        ),
    ] {
        let text = format!("name = \"x\"\n[display]\n{text}\n");
        let error = Profile::parse("hardware.toml".as_ref(), &text).unwrap_err();
        assert_eq!(error.to_string(), wanted);
    }
}
