//! The self-test on an image, where init starts the phone again whenever it ends: the guide's
//! commands hold the script that runs it, word by word.
//!
//! ```text
//! init's loop ─▶ script `phone` ─▶ offhook run        STOP ─▶ quit ─▶ selftest ─▶ CONT ─▶ offhook run again
//! ```

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use offhook_tests::desk_phone::binary;
use testkit::process::TestDir;

const SCRIPT: &str = "buildroot/board/offhook/rootfs-overlay/usr/lib/offhook/phone";

/// The block of the guide that stops the phone for a self-test.
fn commands_of_the_guide(root: &Path) -> String {
    let page = std::fs::read_to_string(root.join("docs/guide/src/troubleshooting.md")).unwrap();
    let mut blocks = page.split("```sh\n").skip(1);
    let block = blocks.find(|block| block.starts_with("kill -STOP"));
    block.unwrap().split("```").next().unwrap().to_owned()
}

#[test]
fn the_guides_commands_hold_the_phone_for_a_self_test() {
    let dir = TestDir::new("first-hour-hold");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let at = |part: &str| dir.join(part).display().to_string();
    for folder in ["run/offhook", "var", "card", "bin", "lib"] {
        std::fs::create_dir_all(dir.join(folder)).unwrap();
    }
    // The image's own script, with its folders here.
    let script = std::fs::read_to_string(root.join(SCRIPT)).unwrap();
    let script = script.replace("/usr/lib/offhook", &at("lib"));
    let script = script.replace("/dev/kmsg", &at("phone.log"));
    std::fs::write(dir.join("lib/phone"), script).unwrap();
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(dir.join("lib/phone"), mode).unwrap();
    let paths = "/usr/sbin:/usr/bin:/sbin:/bin";
    let environment = format!(
        "PATH={}:{paths}; export PATH\nCARD={}\nBOARD=sim\nlog() {{ echo \"$*\" >>{}; }}\n",
        at("bin"),
        at("card"),
        at("ended")
    );
    std::fs::write(dir.join("lib/env.sh"), environment).unwrap();
    std::fs::write(dir.join("ended"), "").unwrap();
    std::fs::write(
        dir.join("card/offhook.toml"),
        "[network]\nbind = \"127.0.0.1\"\n",
    )
    .unwrap();
    symlink(binary(), dir.join("bin/offhook")).unwrap();
    // The image's: that of other systems finds no scripts.
    symlink("/bin/busybox", dir.join("bin/pidof")).unwrap();

    let commands = commands_of_the_guide(&root);
    assert!(commands.contains("/boot/offhook") && commands.contains("$(cat /etc/offhook/board)"));
    let commands = commands.replace("/boot/offhook", &at("card"));
    let commands = commands.replace("$(cat /etc/offhook/board)", "sim");
    let (held, freed) = commands.split_once("kill -CONT").unwrap();
    let up = |what: &str| {
        format!(
            "n=0; until offhook ctl status >/dev/null 2>&1; do n=$((n+1)); [ $n -lt 150 ] || \
             exit 1; sleep 0.1; done; echo {what}\n"
        )
    };
    let shell = format!(
        "mount --bind {run} /run && mount --bind {var} /var/lib && ip link set lo up || exit 77\n\
         PATH={bin}:$PATH\n(while :; do {lib}/phone; done) </dev/null >/dev/null 2>&1 &\n\
         {up}{held}echo \"ended meanwhile: [$(cat {ended})]\"\n\
         offhook ctl status >/dev/null 2>&1 && echo STILL-THERE\nkill -CONT{freed}{again}",
        run = at("run"),
        var = at("var"),
        bin = at("bin"),
        lib = at("lib"),
        ended = at("ended"),
        up = up("runs"),
        again = up("runs-again"),
    );
    let mut command = Command::new("unshare");
    command.args(["-mnpf", "--mount-proc", "sh", "-c", &shell]);
    let done = command.output().unwrap();
    let said =
        String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    if done.status.code() == Some(77) || said.contains("unshare failed") {
        testkit::skip::skipped("first_hour_hold", "no namespace is allowed here");
        return;
    }
    println!("{said}");
    let expected = [
        "runs\n",
        "self-test of Simulated desk phone",
        "7 network    ok",
        // Init's loop waits for the script, which is held.
        "ended meanwhile: []",
        "runs-again",
    ];
    let mut rest = said.as_str();
    for part in expected {
        let at = rest.find(part);
        let at = at.unwrap_or_else(|| panic!("no {part:?}:\n{said}"));
        rest = &rest[at..];
    }
    assert!(!said.contains("STILL-THERE"), "{said}");
    let ended = std::fs::read_to_string(dir.join("ended")).unwrap();
    assert_eq!(ended, "phone: ended with 0\n");
}
