//! PD and a store that speaks TiKV's protocol, built from Go modules for the tests that need real ones.
//!
//! What is built lies outside the checkout, under the user's cache directory, and is built again only when
//! its module changes. Never touches a module of the checkout, nor settings of Go.

use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::run;

/// Which PD and which store the tests run against; what is not named is built.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Addresses of a running PD with its stores, for every test that need not stop them: they stay, and keep keys of
    /// clusters with random numbers. Tests that stop servers go on to start their own; say with which.
    #[arg(long, value_name = "ADDRESS[,ADDRESS]")]
    pub(crate) pd: Option<String>,
    /// A PD server to start where a test wants one of its own.
    #[arg(long, value_name = "PATH")]
    pub(crate) pd_server: Option<PathBuf>,
    /// A TiKV server to start where a test wants one of its own.
    #[arg(long, value_name = "PATH")]
    pub(crate) tikv_server: Option<PathBuf>,
    /// How many stores each such cluster has; several need a real TiKV: the store that is built is for one.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=9))]
    pub(crate) tikv_stores: u8,
}

impl Default for Arguments {
    fn default() -> Self {
        Self { pd: None, pd_server: None, tikv_server: None, tikv_stores: 1 }
    }
}

/// A server, and how it is built.
pub(crate) struct Server {
    /// Its name and that of its file.
    pub(crate) name: &'static str,
    /// The directory of its module.
    pub(crate) module: &'static str,
    /// The command's package.
    pub(crate) package: &'static str,
    /// What `go build` is told besides.
    pub(crate) flags: &'static [&'static str],
}

/// A real PD.
const PD: Server = Server {
    name: "pd-server",
    module: "tests/servers/pd",
    package: "github.com/tikv/pd/cmd/pd-server",
    // Both servers link symbols that newer linkers of Go keep to themselves. Without a version of its own, PD
    // refuses stores that tell theirs.
    flags: &[
        "-tags=without_dashboard",
        "-ldflags=-checklinkname=0 -s -w -X github.com/tikv/pd/pkg/versioninfo.PDReleaseVersion=v6.6.0",
    ],
};
/// A store that speaks TiKV's protocol; no registry ships TiKV itself.
const STORE: Server = Server {
    name: "unistore-server",
    module: "tests/servers/unistore",
    package: "github.com/ngaut/unistore/cmd/unistore-server",
    flags: &["-ldflags=-checklinkname=0 -s -w"],
};

/// The first Go whose linker knows `-checklinkname`.
const GO_MIN: u32 = 23;

/// Builds what is not built yet and prints where it is.
pub(crate) fn run() -> Result<()> {
    for server in [&PD, &STORE] {
        println!("{}", path(server)?.display());
    }
    Ok(())
}

/// The environment that tells the tests what to start, built where it is not named.
pub(crate) fn environment(arguments: &Arguments) -> Result<Vec<(&'static str, OsString)>> {
    if arguments.tikv_stores > 1 && arguments.tikv_server.is_none() {
        bail!("--tikv-stores {} needs --tikv-server: the store that is built is for one", arguments.tikv_stores);
    }
    let place = |named: &Option<PathBuf>, server: &Server| match named {
        Some(path) => fs::canonicalize(path).with_context(|| format!("{} is not there", path.display())),
        None => path(server),
    };
    let mut environment = vec![
        ("ORDERMILL_PD_SERVER", place(&arguments.pd_server, &PD)?.into()),
        ("ORDERMILL_TIKV_SERVER", place(&arguments.tikv_server, &STORE)?.into()),
    ];
    environment.push(("ORDERMILL_TIKV_STORES", arguments.tikv_stores.to_string().into()));
    environment.extend(arguments.pd.as_ref().map(|pd| ("ORDERMILL_PD", pd.into())));
    Ok(environment)
}

/// Says which servers the tests run against, and which tests.
pub(crate) fn describe(arguments: &Arguments) {
    let named = |path: &Option<PathBuf>, built: &Server| {
        path.as_ref().map_or_else(|| format!("{}, built here", built.name), |path| path.display().to_string())
    };
    let (pd, store) = (named(&arguments.pd_server, &PD), named(&arguments.tikv_server, &STORE));
    let stores = arguments.tikv_stores;
    match &arguments.pd {
        Some(addresses) => eprintln!(
            "==> PD at {addresses} serves every test that need not stop it: conformance, members, their administration, \
             and of the faults those of members. Faults of PD and of stores, networks that are cut and TLS are tried on \
             servers that the tests start: PD {pd}; {stores} x {store}"
        ),
        None => eprintln!("==> each test starts its own servers: PD {pd}; {stores} x {store}"),
    }
}

/// Where a server is; built first if it is not there.
pub(crate) fn path(server: &Server) -> Result<PathBuf> {
    let module = run::root().join(server.module);
    let directory = cache()?.join(format!("{:016x}", fingerprint(server, &module)?));
    let path = directory.join(server.name);
    if !path.is_file() {
        fs::create_dir_all(&directory).with_context(|| format!("{} cannot be made", directory.display()))?;
        build(server, &module, &path)?;
    }
    Ok(path)
}

/// Where the sources of a Go module are that one of the checkout requires; fetched first if they are not there.
pub(crate) fn sources(module: &str, path: &str) -> Result<PathBuf> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Fetched {
        dir: PathBuf,
    }
    check_go()?;
    let mut go = Command::new("go");
    // The sums that are committed have to do here as well.
    go.current_dir(run::root().join(module)).env("GOWORK", "off").env("GOFLAGS", "-mod=readonly");
    let output = go.args(["mod", "download", "-json", path]).output().context("go cannot be started")?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("{path} cannot be fetched: {said}{}", String::from_utf8_lossy(&output.stderr));
    }
    let fetched: Fetched = serde_json::from_str(&said).with_context(|| format!("where {path} is: {said}"))?;
    Ok(fetched.dir)
}

/// Where servers are kept that were built or installed for the tests.
pub(crate) fn cache() -> Result<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
    Ok(cache.context("neither XDG_CACHE_HOME nor HOME names a directory")?.join("ordermill/servers"))
}

/// Tells one state of a module from another. Another compiler of this file may count otherwise, which costs
/// a build.
fn fingerprint(server: &Server, module: &Path) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    (server.package, server.flags).hash(&mut hasher);
    // Those that there are: a module of ours that needs no other has no sums.
    for path in ["go.mod", "go.sum", "tools.go", "main.go"].map(|name| module.join(name)) {
        if !path.exists() {
            continue;
        }
        fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?.hash(&mut hasher);
    }
    Ok(hasher.finish())
}

/// Builds beside the place and moves there: whoever looks finds a whole file or none.
fn build(server: &Server, module: &Path, path: &Path) -> Result<()> {
    check_go()?;
    eprintln!("Building {} (the first time takes minutes) …", server.name);
    let fresh = path.with_extension(std::process::id().to_string());
    let mut go = Command::new("go");
    // The sums that are committed have to do: nothing is written to the checkout.
    go.current_dir(module).env("CGO_ENABLED", "0").env("GOWORK", "off").args(["build", "-mod=readonly"]);
    go.args(server.flags).arg("-o").arg(&fresh).arg(server.package);
    run::check(go)?;
    fs::rename(&fresh, path).with_context(|| format!("{} cannot be written", path.display()))
}

/// Says what is missing before Go does in its own words.
fn check_go() -> Result<()> {
    let help = format!(
        "Go 1.{GO_MIN} or newer builds the servers that the tests run against (`apt-get install golang-go`, \
         where that is new enough, or https://go.dev/dl). A PD and a store that are there already can be named with \
         --pd-server and --tikv-server"
    );
    let version = match Command::new("go").args(["env", "GOVERSION"]).output() {
        Ok(output) => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        Err(error) if error.kind() == ErrorKind::NotFound => bail!("Go is not installed: {help}"),
        Err(error) => return Err(error).context("go cannot be started"),
    };
    let minor =
        version.strip_prefix("go1.").and_then(|rest| rest.split(['.', 'r', 'b', '-', ' ']).next()?.parse().ok());
    // One whose version reads otherwise is newer than this line.
    if minor.is_some_and(|minor: u32| minor < GO_MIN) {
        bail!("{version} is too old: {help}");
    }
    Ok(())
}
