//! Answers to `ctl`.

use std::time::{Duration, Instant};

use control::api;

use super::Driver;
use crate::ctl::{Asked, Reply, Request, lines};

/// Readers of events at once.
const MAX_LISTENERS: usize = 16;

impl Driver {
    pub(super) fn serve(&mut self, asked: Asked) {
        let now = Instant::now();
        let line = |reply: api::Reply| Reply::Line(reply.to_json(), Duration::ZERO);
        let reply = match asked.request {
            Request::Action(action) => match self.control.handle_action(&action, now) {
                Ok(busy) => Reply::Line(api::Reply::done().to_json(), busy),
                Err(error) => line(api::Reply::refused(error)),
            },
            Request::Status => {
                self.tell_figures();
                line(api::Reply::Status(Box::new(self.control.status(now))))
            }
            Request::Stats => {
                self.tell_figures();
                line(api::Reply::Stats(Box::new(self.control.stats())))
            }
            Request::Events => {
                if self.listeners.len() >= MAX_LISTENERS {
                    self.listeners.retain(|listener| !listener.is_closed());
                }
                if self.listeners.len() >= MAX_LISTENERS {
                    line(api::Reply::refused(format!(
                        "{MAX_LISTENERS} others listen already"
                    )))
                } else {
                    let (tell, told) = lines();
                    self.listeners.push(tell);
                    Reply::Lines(told)
                }
            }
            Request::Bundle(file) => {
                let (parts, state_dir) = (self.bundle(), self.config.control.state_dir.clone());
                let target = file.clone();
                let written = self
                    .storage
                    .run(move |files| files.write_atomic(&target, &parts.pack(&state_dir)?));
                tokio::spawn(async move {
                    let reply = match written.await {
                        Ok(()) => api::Reply::written(file),
                        Err(error) => api::Reply::refused(format!("{}: {error}", file.display())),
                    };
                    let _ = asked
                        .reply
                        .send(Reply::Line(reply.to_json(), Duration::ZERO));
                });
                return;
            }
            Request::Refresh => {
                self.refresh(now);
                line(api::Reply::done())
            }
            Request::Quit => {
                if self.farewell.is_none() {
                    self.say_farewell();
                }
                line(api::Reply::done())
            }
        };
        // Who asked may be gone.
        let _ = asked.reply.send(reply);
    }
}
