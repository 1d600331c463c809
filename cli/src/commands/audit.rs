//! The audit, printed.

use super::{Context, Done, Failure};
use crate::args::AuditArgs;
use crate::audit::{Config, Report, run as audit};
use crate::progress::{Meter, stderr};

pub(super) async fn run(context: &mut Context, args: &AuditArgs) -> Result<Done, Failure> {
    let config = Config { settle: args.settle, page_size: args.page_size, listed: args.list };
    let report = audit(&context.client, config, Meter::new(None, context.quiet)).await?;
    context.out.one(&report, Report::table)?;
    if report.violations_total > 0 {
        return Ok(Done::Violations);
    }
    if !report.is_clean() {
        stderr("not everything came to rest: audit again when less is going on, or with a longer --settle");
        return Ok(Done::Unfinished);
    }
    Ok(Done::Well)
}
