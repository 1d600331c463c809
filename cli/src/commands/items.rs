//! Commands about items.

use std::path::Path;

use ordermill_api::{Adjustment, Item, PutItem};

use super::{Context, Done, Failure};
use crate::args::{FromCsv, ItemCommand, Pages, SetItem};
use crate::import::{InputError, csv, input};
use crate::output::{Widths, grouped, items};
use crate::progress::{Meter, stderr};
use crate::stock;

/// How many refused items are shown.
const SHOWN_REFUSED: usize = 20;

pub(super) async fn run(context: &mut Context, command: ItemCommand) -> Result<Done, Failure> {
    match command {
        ItemCommand::Set(SetItem { file: Some(file), .. }) => set_file(context, &file).await,
        ItemCommand::Set(SetItem { sku, on_hand, backorder, .. }) => {
            let (Some(sku), Some(on_hand)) = (sku, on_hand) else {
                return Err(Failure::Usage("give a SKU and --on-hand, or --file".to_owned()));
            };
            let item = context.client.put_item(&sku, &PutItem { on_hand, backorder }).await?;
            show(context, &item)
        }
        ItemCommand::Adjust { sku, delta, reason, key } => {
            let adjustment = Adjustment { delta, reason };
            let item = context.client.adjust_item(&sku, &adjustment, key.as_deref()).await?;
            show(context, &item)
        }
        ItemCommand::Get { sku } => {
            let item = context.client.item(&sku).await?;
            show(context, &item)
        }
        ItemCommand::List(pages) => list(context, pages).await,
        ItemCommand::FromCsv(args) => from_csv(context, *args).await,
    }
}

fn show(context: &mut Context, item: &Item) -> Result<Done, Failure> {
    context.out.one(item, |item| items::table(std::slice::from_ref(item), &mut Widths::default()))?;
    Ok(Done::Well)
}

async fn list(context: &mut Context, pages: Pages) -> Result<Done, Failure> {
    let (client, size) = (context.client.clone(), pages.page_size);
    let read = async |token: Option<&str>| {
        let page = client.items(size, token).await?;
        Ok((page.items, page.next_page_token))
    };
    context.list(pages, read, items::table).await
}

async fn set_file(context: &mut Context, file: &Path) -> Result<Done, Failure> {
    let wanted =
        stock::read(super::open(file)?).map_err(|reason| Failure::Usage(format!("{}: {reason}", file.display())))?;
    set_many(context, wanted).await
}

async fn from_csv(context: &mut Context, args: FromCsv) -> Result<Done, Failure> {
    let options = args.csv.options().map_err(Failure::Usage)?;
    let options = options.ok_or_else(|| Failure::Usage("say which column is what with --map".to_owned()))?;
    let input = input::Input::from_arg(&args.file);
    let source = input.open().map_err(|error| InputError::Io(error).of(&input))?;
    let demand = csv::stock::demand(source, &options).map_err(|error| error.of(&input))?;
    let backorder = args.backorder;
    let wanted: Vec<_> = demand
        .into_iter()
        .map(|(sku, units)| stock::Wanted { sku, item: PutItem { on_hand: args.factor.of(units), backorder } })
        .collect();
    if args.dry_run {
        return print_csv(context, &wanted);
    }
    set_many(context, wanted).await
}

fn print_csv(context: &mut Context, wanted: &[stock::Wanted]) -> Result<Done, Failure> {
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    let rows = wanted
        .iter()
        .map(|wanted| [wanted.sku.clone(), wanted.item.on_hand.to_string(), wanted.item.backorder.to_string()]);
    let head = ["sku", "on_hand", "backorder"].map(str::to_owned);
    for row in std::iter::once(head).chain(rows) {
        writer.write_record(row).map_err(InputError::Csv)?;
    }
    let text = writer.into_inner().map_err(|error| Failure::Usage(error.to_string()))?;
    context.out.bytes(&text)?;
    context.out.flush()?;
    Ok(Done::Well)
}

async fn set_many(context: &mut Context, wanted: Vec<stock::Wanted>) -> Result<Done, Failure> {
    let total = wanted.len() as u64;
    let units: u64 = wanted.iter().map(|wanted| wanted.item.on_hand).sum();
    let mut meter = Meter::new(Some(total), context.quiet);
    let refused = stock::set(&context.client, wanted, &mut meter).await?;
    for refused in refused.iter().take(SHOWN_REFUSED) {
        stderr(&format!("refused {}: {}", refused.sku, refused.error));
    }
    let set = total - refused.len() as u64;
    context.note(&format!("{} items set, {} refused, {} units wanted", grouped(set), refused.len(), grouped(units)));
    Ok(if refused.is_empty() { Done::Well } else { Done::SomeRefused })
}
