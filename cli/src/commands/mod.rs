//! What each command does: asks the server, prints the answer, says how it ended.

mod audit;
mod cluster;
mod events;
mod import;
mod items;
mod migrate;
mod orders;

use std::path::Path;
use std::process::ExitCode;
use std::{fs, io};

use clap::CommandFactory as _;

use crate::args::{Cli, Command, Global, Pages};
use crate::capacity::{Costs, page};
use crate::client::{self, Client};
use crate::output::{Out, Widths};
use crate::progress::stderr;

/// How a command ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// All is well.
    Well,
    /// Some lines or items were refused.
    SomeRefused,
    /// The audit found violations.
    Violations,
    /// It was told to stop.
    Interrupted,
    /// It could not finish what it was asked for, and has said so.
    Unfinished,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The server could not be asked, or said no.
    #[error(transparent)]
    Server(#[from] client::Error),
    /// An import ended before its end.
    #[error(transparent)]
    Import(#[from] crate::import::Error),
    /// An input cannot be read.
    #[error(transparent)]
    Input(#[from] crate::import::InputError),
    /// Standard output cannot be written.
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
    /// What was asked for makes no sense, or a file cannot be read.
    #[error("{0}")]
    Usage(String),
}

/// What every command needs.
pub(crate) struct Context {
    client: Client,
    out: Out,
    quiet: bool,
}

impl Context {
    fn new(global: &Global) -> Result<Self, Failure> {
        let unreadable = |path: &Path, error| Failure::Usage(format!("{} cannot be read: {error}", path.display()));
        let authority = global.ca.as_deref().map(|path| fs::read(path).map_err(|error| unreadable(path, error)));
        let authority = authority.transpose()?;
        let client = Client::new(&global.server, global.api_key.as_deref(), authority.as_deref(), global.timeout)?;
        Ok(Self { client, out: Out::new(global.output), quiet: global.quiet })
    }

    /// A note beside the answer.
    fn note(&self, text: &str) {
        if !self.quiet {
            stderr(text);
        }
    }

    /// Prints the rows of a page, or of all pages from there on; `read` reads the page of a token, and says
    /// which one comes after it.
    async fn list<T: serde::Serialize>(
        &mut self,
        pages: Pages,
        read: impl AsyncFn(Option<&str>) -> Result<(Vec<T>, Option<String>), client::Error>,
        table: fn(&[T], &mut Widths) -> String,
    ) -> Result<Done, Failure> {
        let mut token = pages.page_token;
        let mut widths = Widths::default();
        loop {
            let (rows, next) = read(token.as_deref()).await?;
            token = next;
            self.out.page(&rows, &mut widths, token.is_none(), table)?;
            match &token {
                None => return Ok(Done::Well),
                Some(token) if !pages.all => {
                    self.note(&format!("there are more: --all, or --page-token {token}"));
                    return Ok(Done::Well);
                }
                Some(_) => {}
            }
        }
    }
}

/// Does what the command line says, and tells what went wrong.
pub async fn run(cli: Cli) -> ExitCode {
    match dispatch(cli).await {
        Ok(done) => ExitCode::from(done.code()),
        // Whoever read our output has seen enough.
        Err(failure) if failure.is_broken_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            stderr(&format!("error: {failure}"));
            if let Some(advice) = failure.advice() {
                stderr(&format!("  {advice}"));
            }
            ExitCode::FAILURE
        }
    }
}

async fn dispatch(cli: Cli) -> Result<Done, Failure> {
    let global = cli.global;
    if let Command::Completion { shell } = cli.command {
        return completion(shell, &mut Out::new(global.output));
    }
    if let Command::Capacity(args) = &cli.command {
        let plan = args.question().plan(&Costs::measured());
        Out::new(global.output).one(&plan, page::shown)?;
        return Ok(Done::Well);
    }
    if let Command::Migrate(args) = &cli.command {
        return migrate::run(&global, args).await;
    }
    let mut context = Context::new(&global)?;
    match cli.command {
        Command::Items(command) => items::run(&mut context, command).await,
        Command::Order(command) => orders::run(&mut context, command).await,
        Command::Import(args) => import::run(&mut context, *args).await,
        Command::Convert(args) => import::convert(&mut context, &args.file, &args.csv, args.show_rejects),
        Command::Events(command) => events::run(&mut context, command).await,
        Command::Cluster(command) => cluster::run(&mut context, command).await,
        Command::Audit(args) => audit::run(&mut context, &args).await,
        Command::Capacity(_) | Command::Completion { .. } | Command::Migrate(_) => Ok(Done::Well),
    }
}

fn completion(shell: clap_complete::Shell, out: &mut Out) -> Result<Done, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "orderctl", &mut script);
    out.bytes(&script)?;
    out.flush()?;
    Ok(Done::Well)
}

impl Done {
    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Well => 0,
            Self::Unfinished => 1,
            Self::SomeRefused => 2,
            Self::Violations => 3,
            Self::Interrupted => 130,
        }
    }
}

impl Failure {
    fn is_broken_pipe(&self) -> bool {
        match self {
            Self::Output(error) | Self::Import(crate::import::Error::Output { cause: error, .. }) => {
                error.kind() == io::ErrorKind::BrokenPipe
            }
            _ => false,
        }
    }

    fn advice(&self) -> Option<String> {
        match self {
            Self::Server(error) | Self::Import(crate::import::Error::Server(error)) => error.advice(),
            Self::Import(crate::import::Error::GaveUp { .. }) => {
                Some("run the same command again to go on; --retry-for waits longer".to_owned())
            }
            _ => None,
        }
    }
}

/// Opens a file, or standard input for `-`.
fn open(path: &std::path::Path) -> Result<Box<dyn io::BufRead>, Failure> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(io::BufReader::new(io::stdin())));
    }
    match std::fs::File::open(path) {
        Ok(file) => Ok(Box::new(io::BufReader::new(file))),
        Err(error) => Err(Failure::Usage(format!("cannot read {}: {error}", path.display()))),
    }
}
