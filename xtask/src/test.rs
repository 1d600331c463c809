//! `cargo xtask test`: everything that can be tested, suite by suite, with the time each took.

use std::ffi::OsStr;
use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::executables::{self, Executable};
use crate::servers::Arguments;
use crate::{kubernetes, run, servers, tidy};

/// A name and what to run.
type Suite = (&'static str, fn(&Arguments) -> Result<()>);

const CHECKS: &[Suite] = &[
    ("formatting", |_| run::cargo(&["fmt", "--all", "--check"])),
    ("tidy", |_| tidy::run()),
    ("clippy", |_| run::cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "--deny", "warnings"])),
    ("what is shipped, by itself", |_| {
        let packages = SHIPPED.iter().flat_map(|name| ["--package", name]);
        run::cargo(&["check", "--locked"].into_iter().chain(packages).collect::<Vec<_>>())
    }),
    ("dependencies", |_| dependencies()),
];

/// What is shipped, and what measures it.
const SHIPPED: [&str; 4] = ["ordermill", "orderctl", "ordermill-operator", "ordermill-bench"];
/// The crates whose tests start real processes, and machines.
const PROCESSES: &str = "ordermill-tests";
const KUBERNETES_TESTS: &str = "ordermill-e2e";
const SIMULATION: &str = "ordermill-simulation";
/// The tests that want nodes.
const NODES_TESTS: &str = "cluster";

/// Tests that need nothing but this process, and the examples in documentation.
const UNIT: Suite = ("unit and property tests", |_| {
    let here = |test: &Executable| ![PROCESSES, KUBERNETES_TESTS].contains(&test.package.as_str());
    executables::run(&executables::build()?, here, |_| {})?;
    run::cargo(&["test", "--workspace", "--locked", "--doc"])
});

/// The shared store and whole clusters on it with steps left out: their tests have to notice. A build of its own, so that no
/// other one can leave anything out.
const PLANTED: Suite =
    ("planted faults", |_| run::cargo(&["test", "--locked", "--package", SIMULATION, "--features", "planted-faults"]));

/// PD and a store for the tests after it: a step of its own, as the first time it builds them.
const SERVERS: Suite = ("servers for the tests", |arguments| servers::environment(arguments).map(drop));

/// Tests that run real stores, real processes and real files.
const BLACK_BOX: Suite = ("black-box tests", |arguments| processes(arguments, |_| true));

/// Of those the ones that run on a PD and a store, whoever's they are.
const ON_TIKV: Suite =
    ("tests on a PD and a store", |arguments| processes(arguments, |module| TESTS_ON_TIKV.contains(&module)));

/// Those of its modules that are wanted, one after the other: some look at how long things take.
fn processes(arguments: &Arguments, wanted: impl Fn(&str) -> bool) -> Result<()> {
    servers::describe(arguments);
    let environment = servers::environment(arguments)?;
    let all = executables::build()?;
    let tests =
        all.iter().find(|test| test.package == PROCESSES && !test.is_unit).context("there are no such tests")?;
    executables::run_by_module(tests, wanted, |command| {
        command.envs(environment.iter().map(|(name, value)| (name, value)));
    })
}

/// Runs tests that start the binaries and what `environment` names, with `arguments` of their runner's.
fn started<N: AsRef<OsStr>, V: AsRef<OsStr>>(
    environment: impl IntoIterator<Item = (N, V)>,
    arguments: &[&str],
    wanted: impl Fn(&Executable) -> bool,
) -> Result<()> {
    let environment: Vec<_> = environment.into_iter().collect();
    executables::run(&executables::build()?, wanted, |command| {
        command.envs(environment.iter().map(|(name, value)| (name, value))).args(arguments);
    })
}

/// The modules of these tests: the store's conformance, processes, faults.
const TESTS_ON_TIKV: &[&str] = &[
    "tikv_conformance",
    "tikv_service",
    "tikv_store",
    "members",
    "membership",
    "cluster_admin",
    "faults",
    "network",
    "tikv_tls",
    "migrate",
];

/// A control plane for the tests after it.
const KUBERNETES: Suite = ("a Kubernetes for the tests", |_| kubernetes::whole().map(drop));

/// The CRD and the operator on a real API server.
const OPERATOR: Suite = ("the operator on Kubernetes", |arguments| {
    let started_from = kubernetes::environment()?.map(|(name, place)| (name, place.into()));
    let environment = servers::environment(arguments)?.into_iter().chain(started_from);
    started(environment, &[], |test| test.package == KUBERNETES_TESTS && test.target != NODES_TESTS)
});

/// Orders on a Kubernetes with nodes: brought up for it unless it is up, and ended unless it was. Needs root.
const NODES: Suite = ("orders on Kubernetes", |arguments| {
    let started_from = kubernetes::whole()?.into_iter().map(|(name, place)| (name, place.into()));
    let environment = servers::environment(arguments)?.into_iter().chain(started_from);
    // How long everything took is worth seeing when it went well, too.
    started(environment, &["--nocapture"], |test| test.package == KUBERNETES_TESTS && test.target == NODES_TESTS)
});

/// One short round of the benchmark: that it works, that what it leaves passes the audit, that no ratio has collapsed.
const BENCHMARK: Suite = ("a short benchmark", |_| run::bench(&["all", "--short"].map(str::to_owned)));

/// Runs all suites; with `fast` those that take no more than a few minutes, with `tikv` those on a PD and a store. Of
/// these, `only` those whose names have such words.
#[expect(clippy::disallowed_methods, reason = "a chore may look at the clock")]
pub(crate) fn run(fast: bool, tikv: bool, only: Option<&str>, servers: &Arguments) -> Result<()> {
    let mut suites = match (fast, tikv) {
        (_, true) => vec![SERVERS, ON_TIKV],
        (true, false) => [CHECKS, &[UNIT, PLANTED]].concat(),
        (false, false) => {
            [CHECKS, &[UNIT, PLANTED, SERVERS, BLACK_BOX, KUBERNETES, OPERATOR, BENCHMARK, NODES]].concat()
        }
    };
    suites.retain(|(name, _)| only.is_none_or(|words| name.contains(words)));
    if suites.is_empty() {
        bail!("no suite has {:?} in its name", only.unwrap_or_default());
    }
    let mut times: Vec<(&str, Duration)> = Vec::new();
    for (name, suite) in suites {
        println!("==> {name}");
        std::io::stdout().flush()?;
        let begun = Instant::now();
        let result = suite(servers);
        times.push((name, begun.elapsed()));
        // To the other stream: the last lines of this one stay the test runners' own.
        eprintln!(
            "==> {name} {} after {} s",
            if result.is_ok() { "passed" } else { "failed" },
            begun.elapsed().as_secs()
        );
        result?;
    }
    for (name, time) in times {
        eprintln!("==> {name}: {} s", time.as_secs());
    }
    Ok(())
}

/// Licences, bans and sources, where cargo-deny is installed; it is not needed to build or test.
fn dependencies() -> Result<()> {
    let installed = run::command("cargo-deny", &["--version"]).output().is_ok_and(|output| output.status.success());
    if !installed {
        println!("cargo-deny is not installed (`cargo install cargo-deny`): licences and sources are not checked");
        return Ok(());
    }
    run::check(run::command("cargo-deny", &["check", "bans", "licenses", "sources"]))
}
