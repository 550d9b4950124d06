//! Answers to `ctl`.

use std::time::{Duration, Instant};

use serde_json::json;

use super::Driver;
use crate::ctl::{Asked, Order, Reply, lines};

/// Readers of events at once.
const MAX_LISTENERS: usize = 16;

impl Driver {
    pub(super) fn serve(&mut self, asked: Asked) {
        let now = Instant::now();
        let line = |value: serde_json::Value| Reply::Line(value.to_string(), Duration::ZERO);
        let reply = match asked.order {
            Order::Do(request) => match self.control.handle_request(&request, now) {
                Ok(busy) => Reply::Line(json!({"ok": true}).to_string(), busy),
                Err(error) => line(json!({"ok": false, "error": error})),
            },
            Order::Status => {
                self.tell_figures();
                match serde_json::to_string(&self.control.status(now)) {
                    Ok(status) => Reply::Line(status, Duration::ZERO),
                    Err(error) => line(json!({"ok": false, "error": error.to_string()})),
                }
            }
            Order::Stats => {
                self.tell_figures();
                line(self.control.stats())
            }
            Order::Events => {
                if self.listeners.len() >= MAX_LISTENERS {
                    self.listeners.retain(|listener| !listener.is_closed());
                }
                if self.listeners.len() >= MAX_LISTENERS {
                    line(
                        json!({"ok": false, "error": format!("{MAX_LISTENERS} others listen already")}),
                    )
                } else {
                    let (tell, told) = lines();
                    self.listeners.push(tell);
                    Reply::Lines(told)
                }
            }
            Order::Bundle(file) => {
                let (parts, state_dir) = (self.bundle(), self.config.control.state_dir.clone());
                let target = file.clone();
                let written = self
                    .storage
                    .run(move |files| files.write_atomic(&target, &parts.pack(&state_dir)?));
                tokio::spawn(async move {
                    let reply = match written.await {
                        Ok(()) => json!({"ok": true, "file": file}),
                        Err(error) => {
                            json!({"ok": false, "error": format!("{}: {error}", file.display())})
                        }
                    };
                    let _ = asked
                        .reply
                        .send(Reply::Line(reply.to_string(), Duration::ZERO));
                });
                return;
            }
            Order::Refresh => {
                self.refresh(now);
                line(json!({"ok": true}))
            }
            Order::Quit => {
                if self.farewell.is_none() {
                    self.say_farewell();
                }
                line(json!({"ok": true}))
            }
        };
        // Who asked may be gone.
        let _ = asked.reply.send(reply);
    }
}
