//! The event feed, printed.

use ordermill_api::{Event, EventData};

use super::{Context, Done, Failure};
use crate::args::{EventCommand, TailArgs};
use crate::feed::{self, Told};
use crate::money;
use crate::output::Format;
use crate::progress::stderr;

pub(super) async fn run(context: &mut Context, command: EventCommand) -> Result<Done, Failure> {
    let EventCommand::Tail(args) = command;
    if args.follow { follow(context, args).await } else { tail(context, args).await }
}

async fn tail(context: &mut Context, args: TailArgs) -> Result<Done, Failure> {
    let mut after = args.after.clone();
    loop {
        let page = context.client.events(after.as_deref(), args.limit).await?;
        for event in page.events.iter().filter(|event| wanted(&args, event)) {
            print(context, event)?;
        }
        context.out.flush()?;
        if page.events.is_empty() && after.as_ref() == Some(&page.next) {
            context.note(&format!("to go on later: --after {}", page.next));
            return Ok(Done::Well);
        }
        after = Some(page.next);
    }
}

async fn follow(context: &mut Context, args: TailArgs) -> Result<Done, Failure> {
    let client = context.client.clone();
    let told = |told: Told<'_>| -> Result<(), Failure> {
        match told {
            Told::Event(event) if wanted(&args, event) => {
                print(context, event)?;
                context.out.flush()?;
            }
            Told::Event(_) => {}
            Told::Away(why) if !context.quiet => stderr(&format!("waiting for the server: {why}")),
            Told::Back if !context.quiet => stderr("the server is back"),
            Told::Away(_) | Told::Back => {}
        }
        Ok(())
    };
    feed::follow(&client, args.after.clone(), told).await?;
    Ok(Done::Well)
}

fn wanted(args: &TailArgs, event: &Event) -> bool {
    args.types.as_ref().is_none_or(|types| types.contains(&event.r#type))
}

fn print(context: &mut Context, event: &Event) -> Result<(), Failure> {
    let line = match context.out.format {
        // A wire type is always JSON.
        Format::Json => serde_json::to_string(event).expect("a wire type is always JSON"),
        Format::Table => text(event),
    };
    context.out.bytes(line.as_bytes())?;
    context.out.bytes(b"\n")?;
    Ok(())
}

/// An event as a line.
fn text(event: &Event) -> String {
    let what = match &event.data {
        EventData::Order(order) => {
            let customer = order.customer.as_deref().unwrap_or("guest");
            let reference = order.reference.as_deref().map(|text| format!(", {text}")).unwrap_or_default();
            format!("version {}, {customer}{reference}, {}", order.version, money::display(&order.total))
        }
        EventData::Item(item) => {
            let backordered =
                if item.backordered > 0 { format!(", {} backordered", item.backordered) } else { String::new() };
            format!("version {}, {} on hand, {} held{backordered}", item.version, item.on_hand, item.held)
        }
    };
    format!("{}  {:<36}  {:<26}  {what}", event.time, event.r#type, event.subject)
}
