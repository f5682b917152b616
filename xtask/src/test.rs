//! `cargo xtask test`: every test there is, each on a ground that can bear it.
//!
//! The phases: tidy (format and lints); offline (no root, no kernel needed); here (the
//! kernel tests named `here::`, on this kernel); dhcp (the DHCP process, on this kernel); full (all kernel tests, on a kernel that
//! has every kind of link, but those named `without_ipv6::`); without IPv6 (those, on a kernel that has
//! none). How output is counted is in `libtest.rs`, what a sandbox is
//! in `sandbox.rs`.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::cargo::{self, Artifact};
use crate::error::{Error, Trying};
use crate::ground::Ground;
use crate::libtest::{Tally, names};
use crate::logs::Logs;
use crate::process::{Ended, Stream, mortal, output};
use crate::sandbox::{DEFAULT_LIMIT, Job};
use crate::workplace::Workplace;
use crate::{netns, packages, uml, uml_command};

/// The integration test that needs a kernel.
const KERNEL_TEST: &str = "netns";
const NO_KERNEL_TEST: &str = "the integration test `netns` is gone, or lists no tests";
/// The integration test that needs network namespaces and DHCP servers, several tests at once.
const DHCP_TEST: &str = "dhcp";
/// Tests in it whose names begin so need only what every kernel has.
const HERE: &str = "here::";
/// And those whose names begin so a kernel without IPv6.
const WITHOUT_IPV6: &str = "without_ipv6::";

/// Runs all phases; 1 if something failed, or was skipped against the wish.
pub(crate) fn run(args: Vec<OsString>) -> Result<u8, Error> {
    let wishes = Wishes::read(args)?;
    let run = Run { workplace: Workplace::open("test")?, wishes };
    let mut total = Tally::default();
    if run.wishes.tidy {
        total.add(run.phase("tidy", Run::tidy));
    }
    total.add(run.tests());
    for skipped in &total.skipped {
        println!("skipped: {skipped}");
    }
    let bad = total.failed > 0 || (run.wishes.forbid_skips && !total.skipped.is_empty());
    if bad {
        println!("the logs are in {}", run.workplace.path().display());
    }
    println!("{}", total.line());
    Ok(u8::from(bad))
}

/// The command line.
struct Wishes {
    tidy: bool,
    forbid_skips: bool,
    filter: Option<String>,
    limit: Duration,
}

impl Wishes {
    fn read(args: Vec<OsString>) -> Result<Self, Error> {
        let mut wishes = Self { tidy: true, forbid_skips: false, filter: None, limit: DEFAULT_LIMIT };
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            match arg.to_str() {
                Some("--no-tidy") => wishes.tidy = false,
                Some("--forbid-skips") => wishes.forbid_skips = true,
                Some("--filter") => {
                    let word = args.next().and_then(|word| word.into_string().ok());
                    let word = word.ok_or_else(|| Error::Usage("test: filter by what?".into()))?;
                    wishes.filter = Some(word);
                }
                Some("--limit") => wishes.limit = uml_command::seconds(&args.next().unwrap_or_default())?,
                _ => {
                    return Err(Error::Usage(format!("test: not understood: {}", arg.display())));
                }
            }
        }
        Ok(wishes)
    }

    fn want(&self, name: &str) -> bool {
        self.filter.as_ref().is_none_or(|filter| name.contains(filter.as_str()))
    }
}

struct Run {
    workplace: Workplace,
    wishes: Wishes,
}

impl Run {
    /// Runs a phase, says how long it took; a phase that could not run has failed.
    fn phase(&self, name: &str, work: impl FnOnce(&Self) -> Result<Tally, Error>) -> Tally {
        println!("== {name}");
        let start = Instant::now();
        let tally = work(self).unwrap_or_else(|error| {
            println!("{name}: {error}");
            Tally::failure()
        });
        println!("== {name}: {}, {:.1} s", tally.line(), start.elapsed().as_secs_f32());
        tally
    }

    /// Format and lints; they count only when they fail.
    fn tidy(&self) -> Result<Tally, Error> {
        let steps: [(&str, &str, &[&str]); 2] = [
            ("fmt", "rustfmt", &["fmt", "--all", "--check"]),
            ("clippy", "clippy", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
        ];
        let mut tally = Tally::default();
        for (name, component, args) in steps {
            cargo::ensure_component(name, component);
            let logs = Logs::new(&self.workplace, name);
            let ended = logs.run(&mut cargo::cargo(args), self.wishes.limit)?;
            if ended != Ended::With(0) {
                tally.add(Tally::failure());
                logs.print(ended);
            }
        }
        Ok(tally)
    }

    /// Builds every test and runs it.
    fn tests(&self) -> Tally {
        let mut built = Built::default();
        let mut total = self.phase("build", |run| {
            built = run.build()?;
            Ok(Tally::default())
        });
        if total.failed > 0 {
            return total;
        }
        // Also of the offline tests some compare with these, and would be skipped.
        for needed in [packages::FOR_TESTS, &packages::FOR_NETNS] {
            if let Err(error) = packages::ensure(needed) {
                println!("some tests will be skipped: {error}");
            }
        }
        total.add(self.phase("offline", |run| run.offline(&built)));
        if let Some(dhcp_test) = &built.dhcp_test {
            total.add(self.phase("dhcp", |run| run.dhcp(dhcp_test, &built.bin)));
        }
        match &built.kernel_test {
            Some(kernel_test) => total.add(self.kernel(kernel_test, &built.bin)),
            None => total.add(self.phase("full", |_| Err(Error::Failed(NO_KERNEL_TEST.into())))),
        }
        total
    }

    fn build(&self) -> Result<Built, Error> {
        let log = self.workplace.file("build.json");
        let mut all = cargo::artifacts(&["test", "--no-run", "--workspace"], &log)?;
        // cargo builds a package's programs only if it has integration tests.
        if !["vdsm-netd", "vdsm-dhcp", "vdsm-tool"]
            .iter()
            .all(|name| all.iter().any(|it| it.is_program() && it.name == *name))
        {
            all.extend(cargo::artifacts(&["build", "--bins"], &log)?);
        }
        let programs: Vec<_> = all.iter().filter(|it| it.is_program()).map(|it| it.executable.clone()).collect();
        let bin = self.workplace.programs(&programs)?;
        let (kernel, offline): (Vec<_>, Vec<_>) =
            all.into_iter().filter(Artifact::is_test).partition(|it| it.is_integration_test(KERNEL_TEST));
        let (dhcp, offline): (Vec<_>, Vec<_>) = offline.into_iter().partition(|it| it.is_integration_test(DHCP_TEST));
        let mut kernel_test = kernel.into_iter().next();
        if let Some(test) = &mut kernel_test {
            let copy = bin.join("kernel-test");
            fs::copy(&test.executable, &copy).trying("copy the kernel tests")?;
            test.executable = copy;
        }
        Ok(Built { bin, offline, dhcp_test: dhcp.into_iter().next(), kernel_test })
    }

    /// One executable after the other, and the examples in the documentation.
    fn offline(&self, built: &Built) -> Result<Tally, Error> {
        let deadline = Instant::now() + self.wishes.limit;
        let filter = self.wishes.filter.as_slice();
        let mut tally = Tally::default();
        for (number, test) in built.offline.iter().enumerate() {
            let mut command = mortal(&test.executable);
            command.args(filter).current_dir(&test.package).env("CARGO_MANIFEST_DIR", &test.package);
            tally.add(self.one(&mut command, &format!("offline-{number}-{}", test.name), built, deadline)?);
        }
        let mut examples = cargo::cargo(&["test", "--quiet", "--doc", "--workspace", "--"]);
        examples.args(filter);
        tally.add(self.one(&mut examples, "offline-documentation", built, deadline)?);
        Ok(tally)
    }

    fn one(&self, command: &mut Command, name: &str, built: &Built, deadline: Instant) -> Result<Tally, Error> {
        let logs = Logs::new(&self.workplace, name);
        command.env("VDSM_BIN_DIR", &built.bin).env("VDSM_SKIP_FILE", &logs.notes);
        let ended = logs.run(command, deadline.saturating_duration_since(Instant::now()))?;
        Ok(logs.tally(None, ended))
    }

    /// They wait for clocks mostly, so that several run at once.
    fn dhcp(&self, test: &Artifact, bin: &Path) -> Result<Tally, Error> {
        let mut list = Command::new(&test.executable);
        let mut tests = names(&output(list.args(["--list", "--format", "terse"])).unwrap_or_default());
        tests.retain(|name| self.wishes.want(name));
        if tests.is_empty() {
            return Ok(Tally::default());
        }
        packages::ensure(&packages::FOR_DHCP)?;
        if let Some(why) = netns::refusal() {
            return Ok(Tally::skipping(&tests, &format!("no name space here: {why}")));
        }
        Ok(self.shard(Ground::Namespace, "dhcp", &tests, test, bin, None))
    }

    /// The kernel tests: some here, and all where every kind of link is.
    fn kernel(&self, test: &Artifact, bin: &Path) -> Tally {
        let mut list = Command::new(&test.executable);
        let list = output(list.args(["--list", "--format", "terse"])).unwrap_or_default();
        let mut all = names(&list);
        if all.is_empty() {
            return self.phase("full", |_| Err(Error::Failed(NO_KERNEL_TEST.into())));
        }
        all.retain(|name| self.wishes.want(name));
        if all.is_empty() {
            return Tally::default();
        }
        let (without_ipv6, all): (Vec<_>, Vec<_>) = all.into_iter().partition(|name| name.starts_with(WITHOUT_IPV6));
        let (here, rest): (Vec<_>, Vec<_>) = all.iter().cloned().partition(|name| name.starts_with(HERE));
        let ground = Ground::find();
        // Without it, its tests say that they are skipped.
        if let Err(error) = packages::ensure_resolved() {
            println!("{error}");
        }
        let mut total = Tally::default();
        // Where this kernel is the full ground they are among all.
        if !here.is_empty() && !matches!(ground, Ok(Ground::Namespace)) {
            total.add(self.phase("here", |run| {
                packages::ensure(&packages::FOR_NETNS)?;
                Ok(match netns::refusal() {
                    Some(why) => Tally::skipping(&here, &format!("no name space here: {why}")),
                    None => run.shard(Ground::Namespace, "here", &here, test, bin, None),
                })
            }));
        }
        if !all.is_empty() {
            total.add(self.phase("full", |run| {
                Ok(match &ground {
                    Ok(ground) => run.shards(*ground, &all, test, bin),
                    Err(error) => Tally::skipping(&rest, &error.to_string()),
                })
            }));
        }
        if !without_ipv6.is_empty() {
            total.add(self.phase("without IPv6", |run| {
                Ok(match Ground::without_ipv6() {
                    Ok(ground) => run.shard(ground, "without-ipv6", &without_ipv6, test, bin, None),
                    Err(error) => Tally::skipping(&without_ipv6, &error.to_string()),
                })
            }));
        }
        total
    }

    /// All of them, on as many grounds at once as we have CPUs, but two at most.
    fn shards(&self, ground: Ground, all: &[String], test: &Artifact, bin: &Path) -> Tally {
        let cpus = uml::cpus();
        let count = cpus.len().min(2).min(all.len());
        println!("on {}, {} tests in {count} parts", ground.describe(), all.len());
        let part = |index: usize| -> Vec<String> { all.iter().skip(index).step_by(count).cloned().collect() };
        let mut total = Tally::default();
        std::thread::scope(|scope| {
            let runs: Vec<_> = (0..count)
                .map(|index| {
                    let (names, cpu) = (part(index), cpus[index]);
                    scope.spawn(move || self.shard(ground, &format!("full-{index}"), &names, test, bin, Some(cpu)))
                })
                .collect();
            for run in runs {
                total.add(run.join().unwrap_or_else(|_| Tally::failure()));
            }
        });
        total
    }

    /// Some kernel tests on one ground, one after the other; those of DHCP several at once.
    fn shard(
        &self,
        ground: Ground,
        name: &str,
        tests: &[String],
        test: &Artifact,
        bin: &Path,
        cpu: Option<usize>,
    ) -> Tally {
        let outcome = self.workplace.directory(name).and_then(|shared| {
            let logs = Logs { notes: shared.join("notes"), ..Logs::new(&self.workplace, name) };
            let threads = if test.is_integration_test(DHCP_TEST) { "8" } else { "1" };
            let fixed = ["--test-threads", threads, "--exact"].map(OsString::from);
            let command = [test.executable.clone().into()].into_iter().chain(fixed);
            let command = command.chain(tests.iter().map(OsString::from)).collect();
            let mut job = Job::new(command, test.package.clone())
                .env("CARGO_MANIFEST_DIR", &test.package)
                .env("VDSM_BIN_DIR", bin)
                .env("VDSM_RESOLVED_DIR", packages::resolved_root()?)
                .env("VDSM_SKIP_FILE", &logs.notes)
                .env("VDSM_KILLED_CHANGES", std::env::var_os("VDSM_KILLED_CHANGES").unwrap_or_default());
            job.shared.push(shared);
            job.stdout = Stream::File(logs.stdout.clone());
            job.stderr = Stream::File(logs.stderr.clone());
            job.limit = self.wishes.limit;
            job.cpu = cpu;
            match ground.run(&job) {
                Ok(ended) => Ok(logs.tally(Some(tests.len()), ended)),
                Err(Error::Broken(why)) => {
                    println!("{name}: {why}");
                    Ok(logs.tally(Some(tests.len()), Ended::With(125)))
                }
                Err(error) => Err(error),
            }
        });
        match outcome {
            Ok(tally) => tally,
            Err(Error::NoGround(why)) => {
                println!("{name}: {why}");
                Tally::skipping(tests, &why)
            }
            Err(error) => {
                println!("{name}: {error}");
                Tally { failed: tests.len(), ..Tally::default() }
            }
        }
    }
}

/// What there is to run.
#[derive(Default)]
struct Built {
    /// Holds our programs, under their names.
    bin: PathBuf,
    offline: Vec<Artifact>,
    dhcp_test: Option<Artifact>,
    kernel_test: Option<Artifact>,
}
