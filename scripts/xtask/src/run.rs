//! Child processes with their output collected.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Instant;

/// How a child process ended.
pub(crate) struct Finished {
    pub(crate) success: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) seconds: f64,
}

impl Finished {
    /// Both streams, one after the other.
    pub(crate) fn output(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// Runs a command to its end with nothing on its standard input.
pub(crate) fn run(command: &mut Command) -> Finished {
    let began = Instant::now();
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            return Finished {
                success: false,
                stdout: String::new(),
                stderr: format!("{command:?}: {error}\n"),
                seconds: 0.0,
            };
        }
    };
    let read = |stream: Option<Box<dyn Read + Send>>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(mut stream) = stream {
                // A stream that breaks off has said what it had to say.
                let _ = stream.read_to_end(&mut bytes);
            }
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let stdout = read(child.stdout.take().map(|s| Box::new(s) as Box<_>));
    let stderr = read(child.stderr.take().map(|s| Box::new(s) as Box<_>));
    let status = child.wait();
    Finished {
        success: status.as_ref().is_ok_and(std::process::ExitStatus::success),
        stdout: stdout.join().unwrap_or_default(),
        stderr: {
            let mut text = stderr.join().unwrap_or_default();
            if let Ok(status) = status
                && status.code().is_none()
            {
                text.push_str("ended by ");
                text.push_str(&status.to_string());
            }
            text
        },
        seconds: began.elapsed().as_secs_f64(),
    }
}

/// Whether a program can be started with these arguments and succeeds.
pub(crate) fn works(program: &str, arguments: &[&str]) -> bool {
    run(Command::new(program).args(arguments)).success
}
