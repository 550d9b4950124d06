//! SIP on a byte stream: however the bytes are cut into pieces, the same frames come out.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sip::stream::StreamReader;

fn frames(pieces: &[&[u8]]) -> Vec<String> {
    let mut reader = StreamReader::default();
    let mut frames = Vec::new();
    for piece in pieces {
        reader.push(piece);
        while let Some(frame) = reader.poll() {
            let is_end = frame.is_err();
            frames.push(format!("{frame:?}"));
            if is_end {
                return frames;
            }
        }
    }
    frames
}

fuzz_target!(|data: &[u8]| {
    let Some((&cut, bytes)) = data.split_first() else {
        return;
    };
    // A single CR LF is a frame or the half of one, depending on what follows it in the same
    // piece: the cut stays out of runs of line ends.
    let cut = usize::from(cut) * bytes.len() / 256;
    let is_line_end = |at: usize| matches!(bytes.get(at), Some(b'\r' | b'\n'));
    if is_line_end(cut) || cut.checked_sub(1).is_some_and(is_line_end) {
        frames(&[bytes]);
        return;
    }
    let (first, second) = bytes.split_at(cut);
    assert_eq!(frames(&[bytes]), frames(&[first, second]));
});
