//! `orderctl`: reads the command line and hands it on.

use std::process::ExitCode;

use clap::Parser as _;
use orderctl::{args, commands};

fn main() -> ExitCode {
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // When nobody reads the help, nothing is lost.
            let _ = error.print();
            // Not clap's 2: that says that lines were refused.
            return if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            orderctl::progress::stderr(&format!("error: cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(commands::run(cli));
    // A thread may still wait for standard input.
    runtime.shutdown_background();
    code
}
