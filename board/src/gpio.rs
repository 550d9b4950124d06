//! GPIO lines of Linux: found by number or name, on a chip found by path, name or label.
//!
//! ```text
//! gpiocdev ─┬▶ EdgeInput    edges with kernel timestamps, kernel debounce, sequence numbers
//!           ├▶ GpioPin      matrix rows and columns, lamps, as embedded-hal pins
//!           └▶ BellLines    two lines in one call; a panic makes them low
//! ```

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Once, Weak};
use std::time::{Duration, Instant};

use embedded_hal::digital::{ErrorKind, ErrorType, InputPin, OutputPin};
use gpiocdev::line::{
    Bias as LineBias, Drive as LineDrive, EdgeDetection, EdgeKind, Offset, Value, Values,
};
use gpiocdev::{Chip, Request};
use nix::time::{ClockId, clock_gettime};
use serde::Deserialize;

use crate::rights;
use crate::ringer::RingerLines;
use crate::{BoardError, Edge, EdgeLine};

/// Who holds our lines, in `gpioinfo`.
const CONSUMER: &str = "offhook";

/// A pull resistor in the chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bias {
    /// To the supply: contacts to ground.
    PullUp,
    /// To ground: contacts to the supply.
    PullDown,
    /// None: there are resistors on the board.
    Off,
}

impl From<Bias> for LineBias {
    fn from(bias: Bias) -> Self {
        match bias {
            Bias::PullUp => Self::PullUp,
            Bias::PullDown => Self::PullDown,
            Bias::Off => Self::Disabled,
        }
    }
}

/// Which level of a line is active.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActiveLevel {
    /// Ground.
    Low,
    /// Supply.
    High,
}

/// A line by its number on the chip or by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineName {
    /// Number on the chip.
    Number(Offset),
    /// Name given by the device tree, e.g. `GPIO17`.
    Name(String),
}

impl fmt::Display for LineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Name(name) => write!(f, "`{name}`"),
        }
    }
}

/// A line that exists and was free when looked at.
#[derive(Debug, Clone)]
pub struct FoundLine {
    /// What it is for, for messages.
    device: String,
    chip: PathBuf,
    chip_name: String,
    offset: Offset,
}

/// Finds a line and checks that it is free. `device` is what it is for, e.g. `[hook]`.
pub fn find(device: &str, chip: &str, line: &LineName) -> Result<FoundLine, BoardError> {
    let wrong = |problem: String, help: String| BoardError::Line {
        device: device.to_owned(),
        line: line.to_string(),
        chip: format!("`{chip}`"),
        problem,
        help,
    };
    let (path, opened) = find_chip(chip).map_err(|(problem, help)| wrong(problem, help))?;
    let info = opened
        .info()
        .map_err(|e| wrong(e.to_string(), "is it a GPIO chip?".to_owned()))?;
    let found = match line {
        LineName::Number(number) if *number < info.num_lines => opened.line_info(*number).ok(),
        LineName::Number(_) => None,
        LineName::Name(name) => opened.find_line_info(name),
    };
    let Some(found) = found else {
        let help = match line {
            LineName::Number(_) => format!(
                "the chip has lines 0 to {}",
                info.num_lines.saturating_sub(1)
            ),
            LineName::Name(_) => "`gpioinfo` lists the names of all lines".to_owned(),
        };
        return Err(wrong("does not exist".to_owned(), help));
    };
    if found.used {
        let holder = if found.consumer.is_empty() {
            "the kernel".to_owned()
        } else {
            format!("`{}`", found.consumer)
        };
        return Err(wrong(
            format!("is held by {holder}"),
            "stop that program or driver, or give another line under [hardware]".to_owned(),
        ));
    }
    Ok(FoundLine {
        device: device.to_owned(),
        chip: path,
        chip_name: chip.to_owned(),
        offset: found.offset,
    })
}

/// Raspberry Pi: lines 2 to 27 lead to the header; 0 and 1 ask a HAT who it is, those above are the
/// board's own.
const HEADER: std::ops::RangeInclusive<u32> = 2..=27;

/// Every line of a chip that no one holds. On a Raspberry Pi only those of its header.
pub fn free_lines(device: &str, chip: &str) -> Result<Vec<(u32, FoundLine)>, BoardError> {
    let wrong = |problem: String, help: String| BoardError::Device {
        device: format!("GPIO chip `{chip}`"),
        problem,
        help,
    };
    let (_, opened) = find_chip(chip).map_err(|(problem, help)| wrong(problem, help))?;
    let info = opened
        .info()
        .map_err(|e| wrong(e.to_string(), "is it a GPIO chip?".to_owned()))?;
    let is_pi = info.label.starts_with("pinctrl-bcm") || info.label.starts_with("pinctrl-rp1");
    let lines = (0..info.num_lines).filter(|line| !is_pi || HEADER.contains(line));
    let free = lines.filter_map(|line| {
        let found = find(device, chip, &LineName::Number(line)).ok()?;
        Some((line, found))
    });
    Ok(free.collect())
}

fn find_chip(wanted: &str) -> Result<(PathBuf, Chip), (String, String)> {
    let paths = gpiocdev::chip::chips().unwrap_or_default();
    if paths.is_empty() {
        let help = "this machine has no /dev/gpiochip*: use `--board sim`, or a kernel with GPIO"
            .to_owned();
        return Err(("there are no GPIO chips".to_owned(), help));
    }
    let mut others = Vec::new();
    let mut locked_out = false;
    for path in paths {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let by_path = path.as_os_str() == wanted || name == wanted;
        match Chip::from_path(&path).and_then(|chip| Ok((chip.info()?, chip))) {
            Ok((info, chip)) if by_path || info.label == wanted => return Ok((path, chip)),
            Ok((info, _)) => others.push(format!("{name} ({})", info.label)),
            Err(e) if by_path => return Err((e.to_string(), rights::help("gpio"))),
            Err(_) => {
                locked_out |= rights::is_locked_out(&path);
                others.push(format!("{name} (cannot be opened)"));
            }
        }
    }
    // The chip that is meant may be one of those.
    if locked_out {
        let problem = format!("no right to open {}", others.join(", "));
        return Err((problem, rights::help("gpio")));
    }
    Err((
        "there is no such chip".to_owned(),
        format!("the chips on this machine are {}", others.join(", ")),
    ))
}

impl FoundLine {
    fn refused(&self, error: &dyn fmt::Display) -> BoardError {
        BoardError::Line {
            device: self.device.clone(),
            line: self.offset.to_string(),
            chip: format!("`{}`", self.chip_name),
            problem: format!("the kernel refuses it: {error}"),
            help: "see `gpioinfo`; the line may be in use, or the chip cannot do what is asked \
                   (bias, edges)"
                .to_owned(),
        }
    }
}

/// An input whose edges the kernel counts and stamps.
pub struct EdgeInput {
    request: Request,
    offset: Offset,
    device: String,
    /// The same moment on both clocks: the kernel's stamps become `Instant`s by it.
    anchor: (Instant, Duration),
    /// Sequence number the next edge should have.
    expected: Option<u32>,
    /// Edges the kernel dropped because we came late.
    lost: u64,
    kernel_debounce: bool,
}

impl EdgeInput {
    /// Takes the line. `debounce` is asked of the kernel; see [`EdgeInput::is_debounced`].
    pub fn open(
        line: &FoundLine,
        active: ActiveLevel,
        bias: Option<Bias>,
        debounce: Duration,
    ) -> Result<Self, BoardError> {
        let request = |debounce: Duration| {
            let mut builder = Request::builder();
            builder
                .on_chip(&line.chip)
                .with_consumer(CONSUMER)
                .with_kernel_event_buffer_size(64);
            builder
                .with_line(line.offset)
                .as_input()
                .with_edge_detection(EdgeDetection::BothEdges);
            if active == ActiveLevel::Low {
                builder.as_active_low();
            }
            if let Some(bias) = bias {
                builder.with_bias(LineBias::from(bias));
            }
            if !debounce.is_zero() {
                builder.with_debounce_period(debounce);
            }
            builder.request()
        };
        let (request, kernel_debounce) = match request(debounce) {
            Ok(done) => (done, !debounce.is_zero()),
            // An old kernel may refuse the debouncing alone: then it is ours to do.
            Err(_) if !debounce.is_zero() => (
                request(Duration::ZERO).map_err(|e| line.refused(&e))?,
                false,
            ),
            Err(e) => return Err(line.refused(&e)),
        };
        let monotonic =
            clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
        let anchor = (Instant::now(), monotonic);
        Ok(Self {
            request,
            offset: line.offset,
            device: line.device.clone(),
            anchor,
            expected: None,
            lost: 0,
            kernel_debounce,
        })
    }

    /// The kernel debounces: its edges are final.
    pub fn is_debounced(&self) -> bool {
        self.kernel_debounce
    }

    /// Edges the kernel had to drop. Harmless: the level is read after each burst.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    fn gone(&self, error: &dyn fmt::Display) -> BoardError {
        BoardError::Gone {
            device: format!("{} (GPIO line {})", self.device, self.offset),
            problem: error.to_string(),
        }
    }
}

impl EdgeLine for EdgeInput {
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.request.as_fd())
    }

    fn level(&mut self) -> Result<bool, BoardError> {
        self.request
            .value(self.offset)
            .map(|value| value == Value::Active)
            .map_err(|e| self.gone(&e))
    }

    fn next_edge(&mut self) -> Result<Option<Edge>, BoardError> {
        if !self.request.has_edge_event().map_err(|e| self.gone(&e))? {
            return Ok(None);
        }
        let event = self.request.read_edge_event().map_err(|e| self.gone(&e))?;
        if let Some(expected) = self.expected {
            self.lost += u64::from(event.line_seqno.wrapping_sub(expected));
        }
        self.expected = Some(event.line_seqno.wrapping_add(1));
        let stamp = Duration::from_nanos(event.timestamp_ns);
        let (instant, monotonic) = self.anchor;
        let at = instant + stamp.saturating_sub(monotonic);
        Ok(Some(Edge {
            level: event.kind == EdgeKind::Rising,
            at,
        }))
    }
}

/// How an output drives its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Drive {
    /// High and low.
    PushPull,
    /// Low only; high is letting go.
    OpenDrain,
}

/// A line as an embedded-hal pin; high is active, whatever the level on the wire.
#[derive(Debug)]
pub struct GpioPin {
    request: Request,
    offset: Offset,
}

/// What the kernel said of a pin.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct GpioPinError(gpiocdev::Error);

impl embedded_hal::digital::Error for GpioPinError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

impl ErrorType for GpioPin {
    type Error = GpioPinError;
}

impl GpioPin {
    fn set(&self, value: Value) -> Result<(), GpioPinError> {
        let set = self.request.set_value(self.offset, value);
        set.map(drop).map_err(GpioPinError)
    }

    fn value(&self) -> Result<Value, GpioPinError> {
        self.request.value(self.offset).map_err(GpioPinError)
    }
}

impl OutputPin for GpioPin {
    fn set_low(&mut self) -> Result<(), GpioPinError> {
        self.set(Value::Inactive)
    }

    fn set_high(&mut self) -> Result<(), GpioPinError> {
        self.set(Value::Active)
    }
}

impl InputPin for GpioPin {
    fn is_low(&mut self) -> Result<bool, GpioPinError> {
        self.value().map(|value| value == Value::Inactive)
    }

    fn is_high(&mut self) -> Result<bool, GpioPinError> {
        self.value().map(|value| value == Value::Active)
    }
}

/// Takes a line as an output, inactive at first.
pub fn output(line: &FoundLine, drive: Drive, active: ActiveLevel) -> Result<GpioPin, BoardError> {
    let mut builder = Request::builder();
    builder
        .on_chip(&line.chip)
        .with_consumer(CONSUMER)
        .with_line(line.offset)
        .as_output(Value::Inactive)
        .with_drive(match drive {
            Drive::PushPull => LineDrive::PushPull,
            Drive::OpenDrain => LineDrive::OpenDrain,
        });
    if active == ActiveLevel::Low {
        builder.as_active_low();
    }
    let request = builder.request().map_err(|e| line.refused(&e))?;
    Ok(GpioPin {
        request,
        offset: line.offset,
    })
}

/// Takes a line as an input; active is high.
pub fn input(line: &FoundLine, bias: Option<Bias>) -> Result<GpioPin, BoardError> {
    let mut builder = Request::builder();
    builder
        .on_chip(&line.chip)
        .with_consumer(CONSUMER)
        .with_line(line.offset)
        .as_input();
    if let Some(bias) = bias {
        builder.with_bias(LineBias::from(bias));
    }
    let request = builder.request().map_err(|e| line.refused(&e))?;
    Ok(GpioPin {
        request,
        offset: line.offset,
    })
}

/// Lines that a panic makes low.
static GUARDED: Mutex<Vec<Weak<Request>>> = Mutex::new(Vec::new());
static HOOKED: Once = Once::new();

/// One or two ringer lines on one chip.
pub struct BellLines {
    request: Arc<Request>,
    a: Offset,
    b: Option<Offset>,
    device: String,
}

impl BellLines {
    /// Takes the lines, low. From now on a panic anywhere in the process makes them low before
    /// anything else happens.
    pub fn open(a: &FoundLine, b: Option<&FoundLine>) -> Result<Self, BoardError> {
        if let Some(b) = b.filter(|b| b.chip != a.chip) {
            return Err(b.refused(&"both lines of a bell must be on one chip, to be set together"));
        }
        let mut builder = Request::builder();
        let offsets: Vec<Offset> = std::iter::once(a)
            .chain(b)
            .map(|line| line.offset)
            .collect();
        builder
            .on_chip(&a.chip)
            .with_consumer(CONSUMER)
            .with_lines(&offsets)
            .as_output(Value::Inactive);
        let request = Arc::new(builder.request().map_err(|e| a.refused(&e))?);
        if let Ok(mut guarded) = GUARDED.lock() {
            guarded.retain(|line| line.strong_count() > 0);
            guarded.push(Arc::downgrade(&request));
        }
        HOOKED.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                make_all_low();
                before(info);
            }));
        });
        Ok(Self {
            request,
            a: a.offset,
            b: b.map(|b| b.offset),
            device: a.device.clone(),
        })
    }
}

fn make_all_low() {
    // `try_lock`: the panic may have come from within.
    let Ok(guarded) = GUARDED.try_lock() else {
        return;
    };
    for request in guarded.iter().filter_map(Weak::upgrade) {
        let mut values = Values::default();
        for &offset in request.config().lines() {
            values.set(offset, Value::Inactive);
        }
        // Nothing more can be done for a line that refuses.
        let _ = request.set_values(&values);
    }
}

impl RingerLines for BellLines {
    fn set(&mut self, a: bool, b: bool) -> Result<(), BoardError> {
        let mut values = Values::default();
        values.set(self.a, a.into());
        if let Some(offset) = self.b {
            values.set(offset, b.into());
        }
        self.request
            .set_values(&values)
            .map_err(|e| BoardError::Gone {
                device: self.device.clone(),
                problem: e.to_string(),
            })
    }
}
