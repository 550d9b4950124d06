//! Asterisk as registrar and media server. Debian's stable release has none: it runs out of a
//! folder with Debian's development release that `tests/asterisk.sh` makes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use testkit::namespace::Namespace;
use testkit::process::{ChildProcess, TestDir, port_block};

use crate::certificates::{Authority, Wish};

/// The loopback address it listens on where no other is given.
const ADDRESS: &str = "127.0.0.1";
/// Where the test's files are, as it sees them.
const INSIDE: &str = "/mnt";
/// Names of the authority that signed its certificate, and of that.
const AUTHORITY: &str = "asterisk";
const SERVER: &str = "server";
/// Lines of an endpoint whose media is encrypted by a handshake.
const DTLS: &str = "media_encryption = dtls\ndtls_auto_generate_cert = yes\n\
                    dtls_verify = fingerprint\ndtls_setup = actpass\n";
/// Who has an account, and what is special about it.
const USERS: [(&str, &[&str]); 17] = [
    ("101", &[]),
    ("102", &[]),
    ("103", &[]),
    // Behind a router: it is called and answered with ICE.
    ("104", &["ice_support = yes\nrtp_symmetric = no\n", ROUTED]),
    // Encrypted, and nothing else.
    ("111", &["media_encryption = sdes\n", ROUTED]),
    ("121", &[DTLS, ROUTED]),
    ("131", &[DTLS, "use_avpf = yes\n", ROUTED]),
    (
        "132",
        &["media_encryption = sdes\nuse_avpf = yes\n", ROUTED],
    ),
    ("133", &["use_avpf = yes\n", ROUTED]),
    // Encrypted where the far end takes it, in RTP/AVP.
    ("134", &[OPTIMISTIC, ROUTED]),
    // Media goes from phone to phone; Asterisk says so by re-INVITE, by UPDATE.
    (
        "141",
        &["direct_media = yes\ndirect_media_method = invite\n", WIDE],
    ),
    (
        "142",
        &["direct_media = yes\ndirect_media_method = invite\n", WIDE],
    ),
    (
        "143",
        &["direct_media = yes\ndirect_media_method = update\n", WIDE],
    ),
    // Provisional responses are acknowledged, or there is no call.
    ("145", &["100rel = required\n"]),
    // Media may go from phone to phone, and is encrypted.
    (
        "151",
        &["media_encryption = sdes\ndirect_media = yes\n", ROUTED],
    ),
    (
        "152",
        &["media_encryption = sdes\ndirect_media = yes\n", ROUTED],
    ),
    ("153", &[DTLS, "direct_media = yes\n", ROUTED]),
];
/// Lines of an endpoint that offers keys in RTP/AVP.
const OPTIMISTIC: &str = "media_encryption = sdes\nmedia_encryption_optimistic = yes\n";
/// Answers go where requests came from.
const ROUTED: &str = "force_rport = yes\nrewrite_contact = yes\n";
/// Opus before the others.
const WIDE: &str = "allow = !all,opus,g722,ulaw\n";

/// A running Asterisk; each of its users has the password `secret` and its number.
pub struct Asterisk<'a> {
    /// Its UDP and TCP port for SIP; the next one is for TLS.
    pub port: u16,
    address: &'a str,
    namespace: Option<&'a Namespace>,
    root: PathBuf,
    files: PathBuf,
    process: ChildProcess,
}

impl<'a> Asterisk<'a> {
    /// Starts it out of the folder `OFFHOOK_ASTERISK` names; none where that is not set.
    pub fn start(dir: &TestDir) -> Option<Self> {
        Self::start_at(dir, ADDRESS, None)
    }

    /// The same at another address, which may be in another network.
    pub fn start_at(
        dir: &TestDir,
        address: &'a str,
        namespace: Option<&'a Namespace>,
    ) -> Option<Self> {
        let root = PathBuf::from(std::env::var_os("OFFHOOK_ASTERISK")?);
        let port = port_block();
        let files = dir.join("asterisk");
        std::fs::create_dir_all(&files).unwrap();
        let wish = Wish {
            addresses: vec![address.to_owned()],
            ..Wish::default()
        };
        Authority::new(&files, AUTHORITY).issue(SERVER, &wish);
        for (name, text) in configuration(address, port) {
            std::fs::write(files.join(name), text).unwrap();
        }
        let process = Self::spawn(&root, &files, namespace);
        let asterisk = Self {
            port,
            address,
            namespace,
            root,
            files,
            process,
        };
        asterisk.wait_up();
        Some(asterisk)
    }

    fn spawn(root: &Path, files: &Path, namespace: Option<&Namespace>) -> ChildProcess {
        let mut command = inside(root, files, namespace);
        command.args(["asterisk", "-f", "-C", "/mnt/asterisk.conf"]);
        ChildProcess::start(&mut command, &files.join("log"))
    }

    fn wait_up(&self) {
        let end = Instant::now() + Duration::from_secs(30);
        while !self.ask("core waitfullybooted").contains("fully booted") {
            assert!(
                Instant::now() < end,
                "Asterisk does not start:\n{}",
                std::fs::read_to_string(self.files.join("log")).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Starts it again, on the same port.
    pub fn restart(&mut self) {
        self.process = Self::spawn(&self.root, &self.files, self.namespace);
        self.wait_up();
    }

    /// What it says to a command of its console.
    pub fn ask(&self, command: &str) -> String {
        let mut asking = inside(&self.root, &self.files, self.namespace);
        let asking = asking.args(["asterisk", "-C", "/mnt/asterisk.conf", "-rx", command]);
        let output = asking.output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// It stands still for so long: what is heard meanwhile does not go by it.
    pub fn stall(&self, time: Duration) {
        self.process.stall(time);
    }

    /// Has it write what its user agent thinks into a file of its own.
    pub fn explain(&self) {
        self.ask("core set debug 1 res_pjsip_session.so");
        self.ask("logger add channel /mnt/explained debug");
    }

    /// How often it ended a call because the ACK came while an offer of its own in an UPDATE was
    /// not answered yet: it takes that for an ACK without the answer it lacks. Only what it wrote
    /// after `explain` counts.
    pub fn calls_ended_by_an_ack(&self) -> usize {
        let file = std::fs::read(self.files.join("explained")).unwrap_or_default();
        let text = String::from_utf8_lossy(&file);
        text.matches("Ending session due to incomplete SDP negotiation")
            .count()
    }

    /// Has it write each SIP message into a file of its own.
    pub fn record_signalling(&self) {
        self.ask("logger add channel /mnt/signalling verbose");
        self.ask("pjsip set logger on");
    }

    /// With which status codes this user refused the calls of Asterisk. Only what came after
    /// `record_signalling` counts.
    pub fn refusals_by(&self, user: &str) -> Vec<u16> {
        let file = std::fs::read(self.files.join("signalling")).unwrap_or_default();
        refusals(&String::from_utf8_lossy(&file), user)
    }

    /// Its version, as `22.10.1`.
    pub fn version(&self) -> String {
        let said = self.ask("core show version");
        let number = |rest: &str| {
            let version = rest
                .split(|c: char| !c.is_ascii_digit() && c != '.')
                .next()?;
            (!version.is_empty()).then(|| version.to_owned())
        };
        said.split("Asterisk ").find_map(number).unwrap_or_default()
    }

    /// The `[[account]]` of a user.
    pub fn account(&self, user: &str, transport: &str) -> String {
        format!(
            "[[account]]\nuser = {user:?}\ndomain = \"{}:{}\"\npassword = \"secret{user}\"\n\
             transport = {transport:?}\n",
            self.address, self.port
        )
    }

    /// The `[[account]]` of a user who comes by TLS.
    pub fn account_tls(&self, user: &str) -> String {
        format!(
            "[[account]]\nuser = {user:?}\ndomain = {0:?}\npassword = \"secret{user}\"\n\
             registrar = \"{0}:{1}\"\noutbound_proxy = \"{0}:{1}\"\ntransport = \"tls\"\n",
            self.address,
            self.port + 1
        )
    }

    /// The `[tls]` that trusts it.
    pub fn trusted(&self) -> String {
        let file = self.files.join(format!("{AUTHORITY}-ca.pem"));
        format!("[tls]\nca = \"{}\"\n", file.display())
    }

    /// Ends it; its registrations are kept in its database.
    pub fn stop(&mut self) {
        self.process.terminate(Duration::from_secs(10));
    }
}

impl Drop for Asterisk<'_> {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A program of that folder, in a file system of its own where the test's files are, too.
fn inside(root: &Path, files: &Path, namespace: Option<&Namespace>) -> Command {
    let mut command = match namespace {
        Some(namespace) => namespace.command("unshare"),
        None => Command::new("unshare"),
    };
    let script = "mount -t proc proc \"$0/proc\" && mount --bind \"$1\" \"$0/mnt\" && root=$0 && \
                  shift && exec chroot \"$root\" \"$@\"";
    command
        .args(["-m", "bash", "-c", script])
        .args([root, files]);
    command
}

fn configuration(address: &str, port: u16) -> Vec<(&'static str, String)> {
    let directories = format!(
        "[directories]\nastetcdir => {INSIDE}\nastdbdir => {INSIDE}\nastrundir => {INSIDE}\n\
         astlogdir => {INSIDE}\nastspooldir => {INSIDE}\nastkeydir => {INSIDE}\n\
         astmoddir => /usr/lib/x86_64-linux-gnu/asterisk/modules\n\
         astvarlibdir => /var/lib/asterisk\nastdatadir => /usr/share/asterisk\n"
    );
    let mut phones = format!(
        "[udp]\ntype = transport\nprotocol = udp\nbind = {address}:{port}\n\
         [tcp]\ntype = transport\nprotocol = tcp\nbind = {address}:{port}\n\
         [tls]\ntype = transport\nprotocol = tls\nbind = {address}:{}\nmethod = tlsv1_2\n\
         cert_file = {INSIDE}/{SERVER}.pem\npriv_key_file = {INSIDE}/{SERVER}.key\n",
        port + 1
    );
    for (user, more) in USERS {
        let more = more.concat();
        // Asterisk asks every other second whether the phone is there, and wants every call to be
        // refreshed as soon as RFC 4028 allows.
        let text = format!(
            "[{user}]\ntype = endpoint\ncontext = phones\nauth = {user}\naors = {user}\n\
             disallow = all\nallow = g722,ulaw\ndirect_media = no\nmailboxes = {user}@default\n\
             timers = always\ntimers_sess_expires = 90\n{more}\
             [{user}]\ntype = auth\nauth_type = userpass\nusername = {user}\n\
             password = secret{user}\n\
             [{user}]\ntype = aor\nmax_contacts = 1\nremove_existing = yes\nqualify_frequency = 2\n"
        );
        phones.push_str(&text);
    }
    // 600 repeats what it hears; 610 makes a tone before any answer; 620 has the caller call 103
    // (REFER); 640 takes a message for 101. 700 parks a call at 701 or 702. Lamps of phones follow
    // their calls.
    let dial_plan = "[phones]\nexten => 600,1,Answer()\n same => n,Echo()\n\
                     exten => 610,1,Progress()\n same => n,Playtones(1004)\n same => n,Wait(5)\n\
                     same => n,Hangup(17)\n\
                     exten => 620,1,Answer()\n same => n,Wait(1)\n\
                     same => n,Transfer(sip:103@ADDRESS)\n same => n,Wait(3)\n same => n,Hangup()\n\
                     exten => 640,1,Answer()\n same => n,VoiceMail(101@default,s)\n\
                     exten => _1XX,1,Dial(PJSIP/${EXTEN},20)\n\
                     exten => _1XX,hint,PJSIP/${EXTEN}\n\
                     include => parkedcalls\n";
    let parking = "[general]\nparkeddynamic = no\n[default]\nparkext => 700\n\
                   parkpos => 701-702\ncontext => parkedcalls\nparkinghints = yes\n\
                   parkingtime => 60\n";
    let mailboxes = USERS
        .map(|(user, _)| format!("{user} => 1234,{user}\n"))
        .concat();
    let voicemail =
        format!("[general]\nformat = wav\nminsecs = 0\nmaxsilence = 0\n[default]\n{mailboxes}");
    let modules = "[modules]\nautoload = yes\nnoload = chan_alsa.so\nnoload = chan_console.so\n\
                   noload = chan_iax2.so\nnoload = pbx_dundi.so\nnoload = res_hep.so\n\
                   noload = app_voicemail_odbc.so\nnoload = app_voicemail_imap.so\n";
    vec![
        ("asterisk.conf", directories),
        ("pjsip.conf", phones),
        (
            "extensions.conf",
            dial_plan.replace("ADDRESS", &format!("{ADDRESS}:{port}")),
        ),
        ("res_parking.conf", parking.to_owned()),
        ("voicemail.conf", voicemail),
        ("modules.conf", modules.to_owned()),
        (
            "rtp.conf",
            "[general]\nrtpstart = 40000\nrtpend = 40999\nicesupport = yes\n".to_owned(),
        ),
        (
            "logger.conf",
            "[general]\n[logfiles]\nconsole => warning,error\n".to_owned(),
        ),
    ]
}

/// The codes of the final responses to INVITE, in messages as Asterisk writes them, that came from
/// the phones of a user. A phone is called by the name of its Contact, which it registers.
fn refusals(written: &str, user: &str) -> Vec<u16> {
    fn header<'a>(message: &'a str, name: &str) -> &'a str {
        let found = message.lines().find_map(|line| line.strip_prefix(name));
        found.unwrap_or_default()
    }
    fn called(address: &str) -> &str {
        let user = address.split("sip:").nth(1).unwrap_or_default();
        user.split('@').next().unwrap_or_default()
    }
    let received = written.split("<--- Received SIP ").skip(1);
    let received = received.filter_map(|text| text.split("<---").next());
    let (mut contacts, mut codes) = (Vec::new(), Vec::new());
    for message in received {
        let to = called(header(message, "To:"));
        let method = header(message, "CSeq:").split(' ').next_back();
        if message.starts_with("request") && method == Some("REGISTER") && to == user {
            contacts.push(called(header(message, "Contact:")));
        } else if method == Some("INVITE") && contacts.contains(&to) {
            let code = header(message, "SIP/2.0 ").split(' ').next();
            let code = code.and_then(|code| code.parse::<u16>().ok());
            codes.extend(code.filter(|code| *code >= 300));
        }
    }
    codes
}
