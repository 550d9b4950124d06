//! kamailio as registrar and record-routing proxy, digest without a database: every user's password
//! is `secret` + user, where a test wants no other.

use std::ffi::OsString;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use testkit::namespace::Namespace;
use testkit::process::{ChildProcess, TestDir, port_block};

use crate::certificates::Issued;

/// What of kamailio's configuration differs from test to test.
pub struct KamailioSetup<'a> {
    /// Name of its folder; each kamailio of a test has its own.
    pub name: &'a str,
    /// Of the digest.
    pub algorithm: &'a str,
    /// Every user's password begins with it, and ends with the user.
    pub secret: &'a str,
    /// It listens here; its domain and realm stay `127.0.0.1`.
    pub address: &'a str,
    /// It speaks TLS besides, by this certificate.
    pub certificate: Option<&'a Issued>,
    /// It runs in this network.
    pub namespace: Option<&'a Namespace>,
    /// Longest lifetime of a registration, in seconds.
    pub max_expires_s: u32,
    /// Flow-Timer of its answers to REGISTER (RFC 5626 section 4.4), in seconds.
    pub flow_timer_s: Option<u32>,
    /// It sends media by the rtpengine that is controlled here.
    pub rtpengine: Option<SocketAddr>,
    /// Equal users of several domains are several users.
    pub several_domains: bool,
}

impl Default for KamailioSetup<'_> {
    fn default() -> Self {
        Self {
            name: "kamailio",
            algorithm: "MD5",
            secret: "secret",
            address: "127.0.0.1",
            certificate: None,
            namespace: None,
            max_expires_s: 60,
            flow_timer_s: None,
            rtpengine: None,
            several_domains: false,
        }
    }
}

/// A running kamailio.
pub struct Kamailio {
    /// Its UDP and TCP port.
    pub port: u16,
    dir: PathBuf,
    config: PathBuf,
    process: ChildProcess,
    address: String,
    /// Words before a command that put it into kamailio's network.
    inside: Vec<OsString>,
}

impl Kamailio {
    /// Starts it without TLS on the loopback; `algorithm` is the digest's.
    pub fn start(dir: &TestDir, algorithm: &str) -> Self {
        let setup = KamailioSetup {
            algorithm,
            ..KamailioSetup::default()
        };
        Self::start_as(dir, &setup)
    }

    /// With TLS besides, on `tls_port`, by this certificate.
    pub fn start_tls(dir: &TestDir, algorithm: &str, certificate: &Issued) -> Self {
        let setup = KamailioSetup {
            algorithm,
            certificate: Some(certificate),
            ..KamailioSetup::default()
        };
        Self::start_as(dir, &setup)
    }

    /// Listening on this address; its domain and realm stay `127.0.0.1`.
    pub fn start_at(dir: &TestDir, algorithm: &str, address: &str) -> Self {
        let setup = KamailioSetup {
            algorithm,
            address,
            ..KamailioSetup::default()
        };
        Self::start_as(dir, &setup)
    }

    /// Starts it as the test wants it.
    pub fn start_as(dir: &TestDir, setup: &KamailioSetup<'_>) -> Self {
        let port = port_block();
        let dir = dir.join(setup.name);
        std::fs::create_dir_all(&dir).unwrap();
        let config = dir.join("kamailio.cfg");
        std::fs::write(&config, configuration(setup, port)).unwrap();
        let inside = setup.namespace.map_or_else(Vec::new, |namespace| {
            let command = namespace.command("");
            let words = std::iter::once(command.get_program()).chain(command.get_args());
            let words: Vec<OsString> = words.map(ToOwned::to_owned).collect();
            // The last word is the program.
            words[..words.len() - 1].to_vec()
        });
        let process = Self::spawn(&dir, &config, &inside);
        let kamailio = Self {
            port,
            dir,
            config,
            process,
            address: setup.address.to_owned(),
            inside,
        };
        kamailio.wait_up();
        kamailio
    }

    fn spawn(dir: &Path, config: &Path, inside: &[OsString]) -> ChildProcess {
        let mut command = command(inside, "kamailio");
        // -DD: stays in the foreground, so that it ends with the test; small memories: there are
        // ten of us
        command
            .args(["-DD", "-E", "-m", "32", "-M", "8", "-Y"])
            .arg(dir)
            .arg("-f")
            .arg(config);
        ChildProcess::start(&mut command, &dir.join("log"))
    }

    fn wait_up(&self) {
        let end = Instant::now() + Duration::from_secs(8);
        while !self.accepts() {
            assert!(
                Instant::now() < end,
                "kamailio does not start:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Whether a TCP connection to it opens.
    fn accepts(&self) -> bool {
        if self.inside.is_empty() {
            return TcpStream::connect((self.address.as_str(), self.port)).is_ok();
        }
        let connect = format!("exec 3<>/dev/tcp/{}/{}", self.address, self.port);
        let done = command(&self.inside, "bash")
            .args(["-c", &connect])
            .output();
        done.is_ok_and(|done| done.status.success())
    }

    /// Where it speaks TLS.
    pub fn tls_port(&self) -> u16 {
        self.port + 1
    }

    /// The `[[account]]` of a user who comes by TLS, for a domain of its own: what its certificate
    /// must be for.
    pub fn account_tls(&self, user: &str, domain: &str) -> String {
        format!(
            "[[account]]\nuser = {user:?}\ndomain = {domain:?}\npassword = \"secret{user}\"\n\
             registrar = \"127.0.0.1:{0}\"\n\
             outbound_proxy = \"127.0.0.1:{0}\"\ntransport = \"tls\"\nexpires_s = 60\n",
            self.tls_port()
        )
    }

    /// Its output so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// Its address and port.
    pub fn at(&self) -> String {
        format!("{}:{}", self.address, self.port)
    }

    /// The registrar dies; its registrations with it.
    pub fn stop(&mut self) {
        self.process.terminate(Duration::from_secs(5));
    }

    /// Starts it again, on the same port.
    pub fn restart(&mut self) {
        self.process = Self::spawn(&self.dir, &self.config, &self.inside);
        self.wait_up();
    }

    /// The `[[account]]` of a user of one of several domains, with more lines.
    pub fn account_in(&self, domain: &str, user: &str, more: &str) -> String {
        format!(
            "[[account]]\nuser = {user:?}\ndomain = {domain:?}\npassword = \"secret{user}\"\n\
             registrar = \"{1}:{0}\"\noutbound_proxy = \"{1}:{0}\"\nexpires_s = 60\n{more}\n",
            self.port, self.address
        )
    }

    /// The `[[account]]` of a user.
    pub fn account(&self, user: &str, password: &str, transport: &str) -> String {
        format!(
            "[[account]]\nuser = {user:?}\ndomain = \"127.0.0.1\"\npassword = {password:?}\n\
             registrar = \"{1}:{0}\"\noutbound_proxy = \"{1}:{0}\"\n\
             transport = {transport:?}\nexpires_s = 60\n",
            self.port, self.address
        )
    }
}

/// A program in a network.
fn command(inside: &[OsString], program: &str) -> Command {
    let Some((first, words)) = inside.split_first() else {
        return Command::new(program);
    };
    let mut command = Command::new(first);
    command.args(words).arg(program);
    command
}

/// `kamailio.cfg`.
fn configuration(setup: &KamailioSetup<'_>, port: u16) -> String {
    let (address, algorithm) = (setup.address, setup.algorithm);
    let secret = setup.secret.replace('\\', "\\\\").replace('"', "\\\"");
    let max_expires_s = setup.max_expires_s;
    let use_domain = u8::from(setup.several_domains);
    let modules = [
        "/usr/lib/x86_64-linux-gnu/kamailio/modules",
        "/usr/lib/aarch64-linux-gnu/kamailio/modules",
    ];
    let modules = modules
        .iter()
        .find(|path| Path::new(path).exists())
        .expect("kamailio's modules are installed");
    let (listen_tls, load_tls) = match setup.certificate {
        None => (String::new(), String::new()),
        Some(issued) => (
            format!(
                "enable_tls=yes\ntcp_connection_lifetime=3600\nlisten=tls:127.0.0.1:{}\n",
                port + 1
            ),
            format!(
                "loadmodule \"tls.so\"\nmodparam(\"tls\", \"tls_method\", \"TLSv1.2+\")\n\
                 modparam(\"tls\", \"certificate\", \"{}\")\n\
                 modparam(\"tls\", \"private_key\", \"{}\")\n\
                 modparam(\"tls\", \"verify_certificate\", 0)\n",
                issued.chain.display(),
                issued.key.display()
            ),
        ),
    };
    // Contacts of phones that come by TLS lead back by the connection they came by.
    let (load_nat, fix_contact, use_alias, fix_register, replies) = match setup.certificate {
        None => ("", "", "", "", ""),
        Some(_) => (
            "loadmodule \"nathelper.so\"\nmodparam(\"nathelper|registrar\", \"received_avp\", \
             \"$avp(received)\")\n",
            "if (is_method(\"INVITE|UPDATE\")) add_contact_alias();",
            "handle_ruri_alias();",
            "fix_nated_register();",
            "onreply_route { add_contact_alias(); }\n",
        ),
    };
    let flow_timer = setup.flow_timer_s.map_or_else(String::new, |s| {
        format!("append_to_reply(\"Flow-Timer: {s}\\r\\n\");")
    });
    // The relay puts its own addresses into offer and answer, and forgets the call at its end.
    let (load_relay, relay, relay_replies) = match setup.rtpengine {
        None => (String::new(), "", ""),
        Some(control) => (
            format!(
                "loadmodule \"rtpengine.so\"\n\
                 modparam(\"rtpengine\", \"rtpengine_sock\", \"udp:{control}\")\n"
            ),
            "rtpengine_manage(\"replace-origin replace-session-connection\");",
            "onreply_route { rtpengine_manage(\"replace-origin replace-session-connection\"); }\n",
        ),
    };
    format!(
        r#"#!KAMAILIO
debug=1
log_stderror=yes
children=1
tcp_children=1
listen=udp:{address}:{port}
listen=tcp:{address}:{port}
{listen_tls}mpath="{modules}/"
{load_tls}loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
modparam("usrloc", "db_mode", 0)
modparam("usrloc", "use_domain", {use_domain})
modparam("registrar", "max_expires", {max_expires_s})
modparam("auth", "algorithm", "{algorithm}")
modparam("auth", "qop", "auth")
{load_nat}{load_relay}request_route {{
    if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
    {fix_contact}
    if (has_totag()) {{
        if (loose_route()) {{ {use_alias} {relay} t_relay(); exit; }}
        if (is_method("ACK")) {{ if (t_check_trans()) t_relay(); exit; }}
        sl_send_reply("404", "Not Here"); exit;
    }}
    if (is_method("CANCEL")) {{ {relay} if (t_check_trans()) t_relay(); exit; }}
    if (is_method("REGISTER")) {{
        if (!pv_www_authenticate("127.0.0.1", "{secret}$au", "0")) {{ www_challenge("127.0.0.1", "1"); exit; }}
        {fix_register} {flow_timer} save("location"); exit;
    }}
    if (!pv_proxy_authenticate("127.0.0.1", "{secret}$au", "0")) {{ proxy_challenge("127.0.0.1", "1"); exit; }}
    record_route();
    if (!lookup("location")) {{ sl_send_reply("404", "Not Found"); exit; }}
    {relay}
    t_relay();
}}
{replies}{relay_replies}"#
    )
}

impl Drop for Kamailio {
    /// Asked, not killed: its children would go on without it.
    fn drop(&mut self) {
        self.stop();
    }
}
