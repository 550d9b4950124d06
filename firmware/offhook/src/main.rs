//! `offhook`: the firmware of a SIP desk phone.

fn main() -> std::process::ExitCode {
    offhook::realtime::let_alsa_go_unlocked();
    offhook::resident::keep_one_heap();
    offhook::cli::main(std::env::args_os().skip(1))
}
