//! The pictures of the display: a phone of the simulation does what a person would do, its display
//! is drawn, and each picture is compared byte by byte with the one that the guide shows.
//!
//! ```text
//! world (virtual time) ─▶ Control::screen ─▶ display::render ─▶ PNG ─▶ docs/guide/src/display/*.png (compared, or written)
//! ```

use std::io::Write as _;

use display::{Body, Frame, Icon, Screen};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use offhook_tests::world::{PhoneId, Setup, World, secs};
use phone::State;

use crate::repository;

/// A display of 0.96 inches, and one of 2.8.
const SMALL: (u32, u32) = (128, 64);
const LARGE: (u32, u32) = (320, 240);

/// A PNG of two grey levels (RFC 2083): each pixel `scale` times as large, with an edge of one.
fn png(frame: &Frame, scale: u32) -> Vec<u8> {
    let (width, height) = ((frame.width() + 2) * scale, (frame.height() + 2) * scale);
    let mut rows = Vec::new();
    for y in 0..height {
        rows.push(0);
        let mut row = vec![0_u8; (width as usize).div_ceil(8)];
        for x in 0..width {
            let (from_x, from_y) = ((x / scale).wrapping_sub(1), (y / scale).wrapping_sub(1));
            if frame.is_lit(from_x, from_y) {
                row[x as usize / 8] |= 0x80 >> (x % 8);
            }
        }
        rows.extend(row);
    }
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::best());
    packed.write_all(&rows).unwrap();
    let mut header = Vec::new();
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    // One bit of grey, deflate, no interlacing.
    header.extend([1, 0, 0, 0, 0]);
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, bytes) in [
        (b"IHDR", header),
        (b"IDAT", packed.finish().unwrap()),
        (b"IEND", Vec::new()),
    ] {
        file.extend((bytes.len() as u32).to_be_bytes());
        let chunk = [&kind[..], &bytes].concat();
        file.extend(&chunk);
        file.extend(crc32fast::hash(&chunk).to_be_bytes());
    }
    file
}

/// The pictures so far, by name.
#[derive(Default)]
struct Album(Vec<(String, Vec<u8>)>);

impl Album {
    fn add(&mut self, name: &str, screen: &Screen, (width, height): (u32, u32)) {
        let scale = if width < 200 { 3 } else { 1 };
        let frame = display::render(screen, width, height);
        self.0.push((name.to_owned(), png(&frame, scale)));
    }

    fn compare(&self) {
        let folder = repository().join("docs/guide/src/display");
        if std::env::var_os("OFFHOOK_WRITE_PAGES").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            for (name, bytes) in &self.0 {
                std::fs::write(folder.join(format!("{name}.png")), bytes).unwrap();
            }
            return;
        }
        let page = std::fs::read_to_string(repository().join("docs/guide/src/display.md"));
        let page = page.unwrap();
        for (name, bytes) in &self.0 {
            let found = std::fs::read(folder.join(format!("{name}.png"))).unwrap_or_default();
            assert!(
                found == *bytes,
                "{name}.png is out of date; run `make docs`"
            );
            assert!(
                page.contains(&format!("display/{name}.png")),
                "{name} is not shown"
            );
        }
        let count = std::fs::read_dir(folder).unwrap().count();
        assert_eq!(count, self.0.len(), "pictures that no screen has any more");
    }
}

/// A phone with a display, a far end, and what is drawn of it.
struct Photographer {
    world: World,
    album: Album,
}

const L: PhoneId = PhoneId(0);
const R: PhoneId = PhoneId(1);
const S: PhoneId = PhoneId(2);

impl Photographer {
    fn new() -> Self {
        let users = [("101", "one"), ("102", "two"), ("103", "three")];
        let mut world = World::new("display", 1);
        world.add_registrar(&users);
        for (user, password) in users {
            let account = Setup::default()
                .account_with(user, password, "10.0.0.100", "name = \"Home\"\n")
                .toml("dial", "digit_map = \"[1-9]xx\"")
                .toml("phone", "language = \"en\"\nspeech = false")
                .toml(
                    "dial.contacts",
                    "\"Anna Berg\" = \"102\"\n\"Jörg Müller\" = \"103\"\n\"Łucja Żak\" = \"204\"\n\
                     \"Юлия Орлова\" = \"205\"\n\"Door\" = \"206\"\n\"Work\" = \"207\"",
                );
            world.phone(account);
        }
        world.until("registered", secs(5), |world| {
            world[L].status(world.now())["lines"][0]["registered"] == true
        });
        world.add_display(L);
        Self {
            world,
            album: Album::default(),
        }
    }

    fn picture(&mut self, name: &str) {
        let (screen, _) = self.world.screen(L);
        self.album.add(name, &screen, SMALL);
    }

    fn both_sizes(&mut self, name: &str) {
        self.picture(name);
        let (screen, _) = self.world.screen(L);
        self.album.add(&format!("{name}-large"), &screen, LARGE);
    }

    /// With the handset down, from the clock.
    fn menu(&mut self, keys: &str, name: &str) {
        self.world.press(L, keys);
        self.picture(name);
        self.world.press(L, "****");
    }
}

#[test]
fn the_pictures_of_the_display_are_those_of_the_guide() {
    let mut with = Photographer::new();
    with.both_sizes("clock");
    with.world.lift(L);
    with.world.run(secs(1));
    with.picture("dial");
    with.world.press(L, "10");
    with.picture("dialling");
    with.world.press(L, "2");
    with.world.expect_state(L, State::Ringback, secs(5));
    with.picture("it-rings");
    with.world.lift(R);
    with.world.expect_state(L, State::Talking, secs(5));
    with.world.run(secs(75));
    with.both_sizes("talking");
    with.world.press_function(L, types::FunctionKey::Mute);
    with.picture("muted");
    with.world.press_function(L, types::FunctionKey::Mute);
    with.world.call(S, "101");
    with.world.run(secs(2));
    with.picture("call-waiting");
    with.world.hang_up(S);
    with.world.run(secs(2));
    with.world.hang_up(L);
    with.world.hang_up(R);
    with.world.expect_state(L, State::Idle, secs(5));

    with.world.call(S, "101");
    with.world.expect_state(L, State::Ringing, secs(5));
    with.picture("ringing");
    with.world.hang_up(S);
    with.world.expect_state(L, State::Idle, secs(5));
    with.picture("missed");

    with.world.press(L, "5");
    with.both_sizes("menu");
    with.world.press(L, "*");
    with.menu("55", "calls");
    with.menu("555", "call");
    with.menu("585", "phone-book");
    with.menu("5855", "lift-to-call");
    with.menu("5885", "volume");
    with.menu("58855", "earpiece");
    with.menu("58885", "ringing-settings");
    with.menu("588885", "network");
    with.menu("566#", "about");

    with.world.lift(R);
    with.world.call(L, "102");
    with.world.expect_state(L, State::Busy, secs(5));
    with.picture("busy");
    with.world.hang_up(L);
    with.world.hang_up(R);
    with.world.expect_state(L, State::Idle, secs(5));
    with.world.set_config_fault(L, 2);
    with.world.lift(L);
    with.world.press(L, "*78");
    with.world.run(secs(4));
    with.world.hang_up(L);
    with.world.expect_state(L, State::Idle, secs(5));
    with.picture("notices");

    // The words of a call depend on its keys: these are an example's.
    let words = Screen {
        title: "Home".to_owned(),
        icons: vec![Icon::Encrypted, Icon::Quality(4)],
        body: Body::Call {
            name: "Anna Berg".to_owned(),
            number: "102".to_owned(),
            time: "0:12".to_owned(),
            lines: vec!["acorn velvet oxygen puma relay".to_owned()],
        },
    };
    with.album.add("words", &words, SMALL);
    with.album.compare();
}
