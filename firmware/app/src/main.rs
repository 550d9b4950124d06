//! `offhook`: the firmware of a SIP desk phone.

fn main() {}
