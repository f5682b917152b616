//! Real scripts, and what becomes of them.

use std::os::unix::fs::symlink;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_json::json;

use super::*;

/// A folder of hooks. Only one at a time: a file that another thread's new child still holds open
/// for writing cannot be run (ETXTBSY).
struct Site {
    dir: TempDir,
    hooks: Hooks,
    _alone: MutexGuard<'static, ()>,
}

static ALONE: Mutex<()> = Mutex::new(());

impl Site {
    fn new() -> Site {
        Site::with_timeout(Duration::from_secs(60))
    }

    fn with_timeout(timeout: Duration) -> Site {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = tempfile::tempdir().unwrap();
        for folder in ["before_network_setup", "after_network_setup", "after_network_setup_fail"] {
            fs::create_dir_all(dir.path().join("hooks").join(folder)).unwrap();
        }
        let settings = Settings {
            hooks_dir: Some(dir.path().join("hooks")),
            run_dir: dir.path().join("run"),
            hook_timeout: timeout,
            max_request_bytes: 4096,
            ..Settings::default()
        };
        Site { hooks: Hooks::new(&settings), dir, _alone }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn before_dir(&self) -> PathBuf {
        self.path("hooks/before_network_setup")
    }

    /// A script of the shell that runs before a change.
    fn script(&self, name: &str, mode: u32, text: &str) -> &Site {
        let path = self.before_dir().join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        self
    }

    fn run(&self) -> Result<Asked, HookError> {
        let scripts = self.hooks.find();
        assert_eq!(scripts.warnings, [""; 0]);
        self.hooks.before(&scripts.before, asked())
    }

    /// What a script that fails leads to: all sentences.
    fn told(&self) -> Vec<String> {
        let folder = format!("{}/", fs::canonicalize(self.before_dir()).unwrap().display());
        self.run().unwrap_err().0.iter().map(|f| f.to_string().replace(&folder, "")).collect()
    }

    /// The names of the scripts that would run, and the warnings.
    fn found(&self) -> (Vec<String>, Vec<String>) {
        let root = format!("{}/", fs::canonicalize(self.dir.path()).unwrap().display());
        let scripts = self.hooks.find();
        let names = scripts.before.iter().map(|p| p.file_name().unwrap().to_str().unwrap().to_owned());
        (names.collect(), scripts.warnings.iter().map(|w| w.replace(&root, "")).collect())
    }
}

fn asked() -> Asked {
    Asked { networks: json!({ "n": { "nic": "eth0" } }), bondings: json!({}), options: json!({}) }
}

#[test]
fn each_script_gets_what_the_one_before_has_left_and_the_last_word_counts() {
    let site = Site::new();
    site.script("10", 0o755, r#"sed -i 's/eth0/eth1/' "$_hook_json""#);
    site.script("9", 0o755, r#"grep -q eth1 "$_hook_json" && sed s/eth1/eth2/ "$_hook_json" >"$_hook_json.new" && mv "$_hook_json.new" "$_hook_json""#);
    let rewritten = site.run().unwrap();
    assert_eq!(rewritten, Asked { networks: json!({ "n": { "nic": "eth2" } }), ..asked() });
    assert_eq!(fs::read_dir(site.path("run")).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn a_script_has_nothing_of_ours_but_the_request() {
    let site = Site::new();
    // What somebody has opened without close-on-exec.
    let open = File::open("/dev/zero").unwrap();
    nix::fcntl::fcntl(&open, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).unwrap();
    let out = site.path("out");
    site.script(
        "a",
        0o700,
        &format!(
            "exec >{}\nstat -c '%a %U' \"$_hook_json\" \"${{_hook_json%/*}}\"\nenv | cut -d= -f1 | sort\npwd\nreadlink /proc/$$/fd/0\n\
             ls -l /proc/$$/fd | grep -c /dev/zero\nps -o pgid= -p $$ | grep -qw $$ && echo leader",
            out.display()
        ),
    );
    site.run().unwrap();
    let said = fs::read_to_string(out).unwrap();
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name;
    // PWD, SHLVL and _ are the shell's own.
    let names: Vec<&str> = said.lines().filter(|l| !["PWD", "OLDPWD", "SHLVL", "_"].contains(l)).collect();
    let (private, folder) = (format!("600 {user}"), format!("700 {user}"));
    assert_eq!(names, [&private, &folder, "LANG", "PATH", "_hook_json", "/", "/dev/null", "0", "leader"], "{said}");
}

#[test]
fn one_is_an_error_with_which_the_next_goes_on_and_two_stops() {
    for (code, told) in [
        (1, vec!["a ended with exit code 1: no a", "b ended with exit code 3: no b"]),
        (2, vec!["a ended with exit code 2: no a"]),
        (7, vec!["a ended with exit code 7: no a"]),
    ] {
        let site = Site::new();
        site.script("a", 0o755, &format!("echo; echo no a >&2; exit {code}"));
        site.script("b", 0o755, "echo no b >&2; exit 3").script("c", 0o755, "exit 4");
        assert_eq!(site.told(), told);
        let words: Vec<&str> = told.iter().filter_map(|t| t.split(": ").last()).collect();
        assert_eq!(site.run().unwrap_err().to_string(), format!("Hook error: {}", words.join("\n")));
    }
}

#[test]
fn a_script_without_words_is_named() {
    let site = Site::new();
    site.script("a", 0o755, "kill -TERM $$").script("b", 0o755, "exit 4");
    assert_eq!(site.told(), ["a was killed by signal 15"]);
    site.script("a", 0o755, "exit 2");
    let message = site.run().unwrap_err().to_string();
    assert!(message.starts_with("Hook error: /") && message.ends_with("/a ended with exit code 2"), "{message}");
}

#[test]
fn what_is_no_request_any_more_is_told_with_the_script() {
    for (text, told) in [
        (
            "echo '{' >$_hook_json",
            "a left no request: this is not JSON: EOF while parsing an object at line 2 column 0",
        ),
        (
            r#"echo '{"request":{"networks":{"n":{},"n":{}},"bondings":{},"options":{}}}' >$_hook_json"#,
            r#"a left no request: duplicate key "n" in "request.networks""#,
        ),
        ("head -c 5000 /dev/zero >$_hook_json", "a left a request of more than 4096 bytes"),
        ("rm $_hook_json", "a has no readable request: No such file or directory (os error 2)"),
        (
            "ln -sf /etc/passwd $_hook_json",
            "a has no readable request: Too many levels of symbolic links (os error 40)",
        ),
        ("rm $_hook_json; mkfifo $_hook_json", "a has no readable request: it is no regular file any more"),
    ] {
        let site = Site::new();
        site.script("a", 0o755, text).script("b", 0o755, "exit 4");
        assert_eq!(site.told(), [told]);
    }
}

#[test]
fn a_script_that_takes_too_long_is_killed_with_its_children() {
    let site = Site::with_timeout(Duration::from_millis(200));
    let (started, out) = (Instant::now(), site.path("pids"));
    site.script("a", 0o755, &format!("sleep 300 & echo $! >{}; echo asleep >&2; wait", out.display()));
    assert_eq!(site.told(), ["a did not end within 0.2 s and was killed: asleep"]);
    assert!(started.elapsed() < Duration::from_secs(60));
    let child = fs::read_to_string(out).unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    // Somebody has to reap it first, or it is a zombie.
    let is_alive = || fs::read_to_string(format!("/proc/{}/stat", child.trim())).is_ok_and(|s| !s.contains(") Z "));
    while is_alive() {
        assert!(Instant::now() < end, "the child is still there");
    }
}

#[test]
fn a_child_left_in_the_background_holds_nobody() {
    let site = Site::new();
    let (started, out) = (Instant::now(), site.path("pid"));
    site.script("a", 0o755, &format!("sleep 300 & echo $! >{}", out.display()));
    assert_eq!(site.run().unwrap(), asked());
    assert!(started.elapsed() < Duration::from_secs(30));
    let child: i32 = fs::read_to_string(out).unwrap().trim().parse().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child), nix::sys::signal::Signal::SIGKILL)
        .expect("it may be meant to stay, and is alive");
}

#[test]
fn all_words_are_read_and_the_last_are_kept() {
    let site = Site::new();
    site.script("a", 0o755, "head -c 300000 /dev/zero | tr '\\0' x >&2; echo END >&2; exit 2");
    let HookError(failures) = site.run().unwrap_err();
    assert!(failures[0].stderr.ends_with("xEND") && failures[0].stderr.len() <= 4096);
}

#[test]
fn what_cannot_be_run_stops_the_change() {
    let site = Site::new();
    site.script("a", 0o755, "");
    fs::write(site.before_dir().join("a"), "#!/no/such/program\n").unwrap();
    assert_eq!(site.told(), ["a cannot be run: No such file or directory (os error 2)"]);
}

#[test]
fn what_strangers_could_have_written_is_left_alone_and_told() {
    let site = Site::new();
    assert_eq!(site.found(), (vec![], vec![]));
    site.script("50_b", 0o755, "").script("50_a", 0o500, "").script("notes", 0o644, "").script(".hidden", 0o755, "");
    fs::create_dir(site.before_dir().join("folder")).unwrap();
    site.script("group", 0o775, "").script("others", 0o757, "");
    symlink("/bin/true", site.before_dir().join("link")).unwrap();
    let not_run = |name, why| format!("the hook script hooks/before_network_setup/{name} is not run: it {why}");
    let writable = "can be written by its group or by others";
    let warnings = vec![not_run("group", writable), not_run("link", "is a symbolic link"), not_run("others", writable)];
    assert_eq!(site.found(), (vec!["50_a".into(), "50_b".into()], warnings));

    for folder in ["hooks", "hooks/before_network_setup"] {
        fs::set_permissions(site.path(folder), Permissions::from_mode(0o775)).unwrap();
        let (names, warnings) = site.found();
        assert!(names.is_empty());
        let [warning] = &warnings[..] else { panic!("{warnings:?}") };
        assert!(warning.ends_with(&format!("before_network_setup is run: {folder} {writable}")), "{warning}");
        fs::set_permissions(site.path(folder), Permissions::from_mode(0o755)).unwrap();
    }
    assert_eq!(site.found().0.len(), 2);
}

#[test]
fn where_there_is_no_folder_there_are_no_hooks() {
    let site = Site::new();
    fs::remove_dir_all(site.path("hooks")).unwrap();
    assert!(site.hooks.find().is_empty() && site.hooks.find().warnings.is_empty());
    let none = Hooks::new(&Settings { hooks_dir: None, ..Settings::default() });
    assert_eq!(none.find(), Scripts::default());
}
