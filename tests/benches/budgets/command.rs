//! What starts each phone: its configuration, and the command.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use media::Codec;

use crate::subject::{Hand, PhoneOptions, binary, python};

fn codec_names(codec: Codec) -> (&'static str, &'static str) {
    match codec {
        Codec::Opus => ("opus", "opus/48000/2"),
        Codec::G722 => ("g722", "G722/16000/1"),
        Codec::Pcmu => ("pcmu", "PCMU/8000/1"),
        Codec::Pcma => ("pcma", "PCMA/8000/1"),
    }
}

pub(crate) fn offhook(dir: &Path, port: u16, options: &PhoneOptions<'_>) -> (Command, Hand) {
    let socket = dir.join("ctl.sock");
    let (codec, first) = (codec_names(options.codec).0, (port | 1).saturating_add(1));
    let (capture, playback) = cards("phone", options);
    let period = options
        .period_ms
        .map_or_else(String::new, |ms| format!("period_ms = {ms}\n"));
    let mut text = format!(
        "[phone]\ncountry = \"de\"\n[network]\nbind = \"127.0.0.1\"\nsip_port = {port}\n\
         rtp_ports = [{first}, {}]\n\
         [control]\nsocket = \"{}\"\nstate_dir = \"{}\"\n[board]\nprofile = \"sim\"\n\
         [board.audio]\ncapture = \"{capture}\"\nplayback = \"{playback}\"\n{period}[codecs]\n\
         order = [\"{codec}\"]\n[call]\ndirect = true\n",
        first + 49,
        socket.display(),
        dir.join("state").display(),
    );
    if options.answers {
        text.push_str("auto_answer = 20\n");
    }
    if options.encrypted {
        text.push_str(
            "[encryption]\nmode = \"required\"\nkeying = [\"sdes\"]\nsdes_over_clear = true\n",
        );
    }
    if let Some(registrar) = options.registrar {
        let domain = registrar.ip();
        let _ = write!(
            text,
            "[[account]]\nuser = \"bench\"\ndomain = \"{domain}\"\npassword = \"x\"\n\
             registrar = \"{registrar}\"\n"
        );
    }
    let config = dir.join("offhook.toml");
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(binary());
    command.arg("run").arg("--config").arg(config);
    (command, Hand::Ctl(socket))
}

/// The names of microphone and ear: of the cards in the bench's asound.conf, or of the server.
fn cards(name: &str, options: &PhoneOptions<'_>) -> (String, String) {
    if options.sound_server.is_some() {
        return ("mic".to_owned(), "ear".to_owned());
    }
    let card = options
        .card_hz
        .map_or_else(|| name.to_owned(), |hz| format!("{name}{hz}"));
    (card.clone(), card)
}

pub(crate) fn baresip(dir: &Path, port: u16, options: &PhoneOptions<'_>) -> (Command, Hand) {
    let (source, player) = cards("soft", options);
    let control = testkit::process::free_port();
    let modules = [
        "/usr/lib/baresip/modules",
        "/usr/lib/x86_64-linux-gnu/baresip/modules",
        "/usr/lib/aarch64-linux-gnu/baresip/modules",
    ];
    let modules = modules
        .iter()
        .find(|path| Path::new(path).exists())
        .unwrap_or(&modules[0]);
    let config = format!(
        "sip_listen 127.0.0.1:{port}\nnet_interface 127.0.0.1\nrtp_ports {}-{}\n\
         audio_source alsa,{source}\naudio_player alsa,{player}\naudio_alert alsa,{player}\n\
         module_path {modules}\nmodule g711.so\nmodule g722.so\nmodule opus.so\nmodule plc.so\n\
         module alsa.so\n\
         {}module_app account.so\nmodule_app menu.so\nmodule_app ctrl_tcp.so\n\
         ctrl_tcp_listen 127.0.0.1:{control}\n",
        (port | 1).saturating_add(1),
        ((port | 1).saturating_add(1)) + 49,
        if options.encrypted {
            "module srtp.so\n"
        } else {
            ""
        },
    );
    std::fs::write(dir.join("config"), config).unwrap();
    let answers = if options.answers { "auto" } else { "manual" };
    let account = match options.registrar {
        Some(registrar) => {
            format!("<sip:bench@{registrar}>;auth_pass=x;regint=60;answermode={answers}\n")
        }
        None => format!(
            "<sip:phone@127.0.0.1:{port}>;regint=0;audio_codecs={};answermode={answers}{}\n",
            codec_names(options.codec).1,
            if options.encrypted {
                ";mediaenc=srtp-mand"
            } else {
                ""
            },
        ),
    };
    std::fs::write(dir.join("accounts"), account).unwrap();
    std::fs::write(dir.join("contacts"), "").unwrap();
    let mut command = Command::new("baresip");
    command.arg("-f").arg(dir).env("HOME", dir);
    (command, Hand::Netstring(control))
}

/// linphonec knows ALSA's `default` alone, so that is the card it is to have.
pub(crate) fn linphone(dir: &Path, port: u16, options: &PhoneOptions<'_>) -> Option<Command> {
    if !options.answers || options.registrar.is_some() || options.counting.is_some() {
        return None;
    }
    let (capture, playback) = cards("phone", options);
    let known = options
        .sound_server
        .map(Path::to_owned)
        .or_else(|| std::env::var_os("ALSA_CONFIG_PATH").map(PathBuf::from))?;
    let asound = format!(
        "{}\npcm.capture_part {{ type plug slave.pcm \"{capture}\" }}\n\
         pcm.playback_part {{ type plug slave.pcm \"{playback}\" }}\n\
         pcm.!default {{ type asym capture.pcm \"capture_part\" \
         playback.pcm \"playback_part\" }}\n",
        std::fs::read_to_string(known).ok()?
    );
    let alsa_config = dir.join("asound.conf");
    std::fs::write(&alsa_config, asound).unwrap();
    std::fs::create_dir_all(dir.join(".local/share/linphone")).unwrap();
    let mime = options.codec.rtpmap();
    let (name, rest) = mime.split_once('/')?;
    let (rate, channels) = rest.split_once('/').unwrap_or((rest, "1"));
    let card = "ALSA Unknown: default";
    let settings = format!(
        "[sip]\nsip_port={port}\nsip_tcp_port=0\nsip_tls_port=0\nbind_address=127.0.0.1\n\
         use_ipv6=0\ndefault_proxy=-1\nmedia_encryption={}\nmedia_encryption_mandatory={}\n\
         [rtp]\naudio_rtp_port={}\n[sound]\nechocancellation=0\nplayback_dev_id={card}\n\
         capture_dev_id={card}\nringer_dev_id={card}\n[audio_codec_0]\nmime={name}\nrate={rate}\n\
         channels={channels}\nenabled=1\n",
        if options.encrypted { "srtp" } else { "none" },
        u8::from(options.encrypted),
        (port | 1).saturating_add(1),
    );
    let file = dir.join("linphonerc");
    std::fs::write(&file, settings).unwrap();
    let mut command = Command::new("linphonec");
    command.arg("-a").arg("-c").arg(file);
    command
        .env("HOME", dir)
        .env("ALSA_CONFIG_PATH", alsa_config);
    Some(command)
}

pub(crate) fn pjsua(port: u16, options: &PhoneOptions<'_>, ear: &Path) -> Option<Command> {
    // Its packaged build has no Opus, and a null card cannot ring for a key.
    if options.codec == Codec::Opus
        || options.encrypted
        || !options.answers
        || options.registrar.is_some()
        || options.counting.is_some()
        || options.sound_server.is_some()
    {
        return None;
    }
    let mut command = Command::new(python()?);
    command
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/budgets/pjsua.py"))
        .arg(port.to_string())
        .arg(options.microphone.map_or("-".as_ref(), Path::as_os_str))
        .arg(ear);
    Some(command)
}
