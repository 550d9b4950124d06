//! Answers to `ctl`.

use std::time::{Duration, Instant};

use control::api;

use super::Driver;
use super::service::MAX_LISTENERS;
use crate::ctl::{CtlRequest, Reply, Request};

impl Driver {
    pub(super) fn handle_request(&mut self, asked: CtlRequest) {
        let now = Instant::now();
        let line = |reply: api::Reply| Reply::Line(reply.to_json(), Duration::ZERO);
        let reply = match asked.request {
            Request::Action(action) => match self.control.handle_action(&action, now) {
                Ok(busy) => Reply::Line(api::Reply::done().to_json(), busy),
                Err(error) => line(api::Reply::refused(error)),
            },
            Request::Status => line(api::Reply::Status(Box::new(self.status(now)))),
            Request::History => line(api::Reply::History {
                ok: true,
                history: self.control.history().cloned().collect(),
            }),
            Request::HistoryCsv => line(api::Reply::HistoryCsv {
                ok: true,
                csv: self.control.history_csv(),
            }),
            Request::Screen => line(match self.control.screen(now) {
                Some((screen, brightness)) => api::Reply::Screen {
                    ok: true,
                    brightness: brightness.as_str(),
                    lines: screen.lines(),
                    title: screen.title,
                },
                None => api::Reply::refused(
                    "this phone has no display; [hardware.display] describes one",
                ),
            }),
            Request::Quality(call) => line(match self.control.quality(call) {
                Some(quality) => api::Reply::Quality {
                    ok: true,
                    quality: Box::new(quality),
                },
                None => api::Reply::refused("there is no call of which anything was heard"),
            }),
            Request::Codes => line(api::Reply::Codes {
                ok: true,
                codes: self.control.codes(),
            }),
            Request::Stats => {
                self.sound.report_to(&mut self.control);
                self.report_hardware();
                line(api::Reply::Stats(Box::new(self.control.stats())))
            }
            Request::Events => match self.service.listen() {
                Some(events) => Reply::Lines(events),
                None => line(api::Reply::refused(format!(
                    "{MAX_LISTENERS} others listen already"
                ))),
            },
            Request::Bundle(file) => {
                // Packing and writing take their time: the reply is sent when they are done.
                let parts = self.bundle();
                let written = self.housekeeping.bundle_to_file(parts, file.clone());
                tokio::spawn(async move {
                    let reply = match written.await {
                        Ok(()) => api::Reply::written(file),
                        Err(error) => api::Reply::refused(format!("{}: {error}", file.display())),
                    };
                    // The client may have closed its connection.
                    let _ = asked
                        .reply
                        .send(Reply::Line(reply.to_json(), Duration::ZERO));
                });
                return;
            }
            Request::Capture { file, seconds } => {
                let length = Duration::from_secs(seconds.into());
                match self.sound.capture_headers(length) {
                    None => line(api::Reply::refused("a capture is under way")),
                    Some(headers) => {
                        let written = self.housekeeping.capture_to_file(headers, file.clone());
                        tokio::spawn(async move {
                            let reply = match written.await {
                                Ok(()) => api::Reply::written(file),
                                Err(error) => {
                                    api::Reply::refused(format!("{}: {error}", file.display()))
                                }
                            };
                            // The client may have closed its connection.
                            let _ = asked
                                .reply
                                .send(Reply::Line(reply.to_json(), Duration::ZERO));
                        });
                        return;
                    }
                }
            }
            Request::Refresh => {
                self.housekeeping.refresh(now);
                line(api::Reply::done())
            }
            Request::Quit => {
                self.shut_down();
                line(api::Reply::done())
            }
        };
        // The client may have closed its connection.
        let _ = asked.reply.send(reply);
    }
}
