//! Small files with every kind of dirt.

use std::io::Cursor;

use ordermill_api::{Credit, ImportLine, Money, NewImportOrder, NewLine, Time};

use super::*;
use crate::import::chunk::{Chunk, LocalRefusal};
use crate::import::input::Position;

const MAP: &str = "reference=InvoiceNo,sku=StockCode,quantity=Quantity,unit_price=UnitPrice,customer=CustomerID,placed_at=InvoiceDate";
const HEAD: &str = "InvoiceNo,StockCode,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n";

fn options() -> Options {
    let mut options = Options::new(MAP.parse().unwrap(), "GBP");
    options.decimal_prices = true;
    options.credit_prefix = Some("C".into());
    options.skip_skus = "POST,BANK CHARGES,gift_*".parse().unwrap();
    options
}

fn source(text: &str) -> Source {
    Source { reader: Box::new(Cursor::new(text.to_owned())), position: Position::default(), live: false }
}

struct Made {
    lines: Vec<ImportLine>,
    rows: Vec<u64>,
    refusals: Vec<LocalRefusal>,
    report: Report,
}

fn make(rows: &str, options: &Options) -> Made {
    make_after(rows, options, 0)
}

fn make_after(rows: &str, options: &Options, skip: u64) -> Made {
    let mut chunks: Vec<Chunk> = Vec::new();
    let mut emit = |chunk| {
        chunks.push(chunk);
        Flow::Continue
    };
    let report = produce(source(&format!("{HEAD}{rows}")), options, skip, &mut emit).unwrap();
    assert_eq!(report.accounted(), report.rows, "{report:?}");
    let mut made = Made { lines: Vec::new(), rows: Vec::new(), refusals: Vec::new(), report };
    for chunk in chunks {
        assert_eq!(chunk.first_line, skip + 1 + made.lines.len() as u64);
        for line in chunk.bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            made.lines.push(serde_json::from_slice(line).unwrap());
        }
        assert_eq!(chunk.last_answered, skip + made.lines.len() as u64);
        made.rows.extend(chunk.rows);
        made.refusals.extend(chunk.refusals);
    }
    assert_eq!(made.rows.len(), made.lines.len());
    made
}

fn line(sku: &str, quantity: u64, amount: u64) -> NewLine {
    NewLine { sku: sku.into(), quantity, unit_price: Money { amount, currency: "GBP".into() } }
}

fn order(made: &Made, index: usize) -> &NewImportOrder {
    match &made.lines[index] {
        ImportLine::Order(order) => order,
        ImportLine::Credit(credit) => panic!("a credit: {credit:?}"),
    }
}

fn credit(made: &Made, index: usize) -> &Credit {
    match &made.lines[index] {
        ImportLine::Credit(credit) => credit,
        ImportLine::Order(order) => panic!("an order: {order:?}"),
    }
}

#[test]
fn rows_of_one_reference_are_one_order() {
    let rows = "536365,85123A,6,2010-12-01T08:26:00Z,2.55,17850,United Kingdom\n\
                536365,71053,6,2010-12-01T08:27:00Z,3.39,17850,United Kingdom\n\
                536366,22633,6,2010-12-01T08:28:00Z,1.8500,,\"Rep, of\"\n";
    let made = make(rows, &options());
    assert_eq!(made.lines.len(), 2);
    let first = order(&made, 0);
    assert_eq!((first.reference.as_str(), first.customer.as_deref()), ("536365", Some("17850")));
    assert_eq!(first.lines, [line("85123A", 6, 255), line("71053", 6, 339)]);
    assert_eq!((first.placed_at, first.fulfilled), (Some(Time(1_291_191_960_000)), false));
    assert_eq!((order(&made, 1).customer.as_deref(), &order(&made, 1).lines[..]), (None, &[line("22633", 6, 185)][..]));
    assert_eq!(made.rows, [2, 4]);
    assert_eq!((made.report.orders, made.report.order_rows), (2, 3));
}

#[test]
fn credits_turn_quantities_round() {
    let rows = "C536379,POST,-1,2010-12-01,27.50,14527,UK\n\
                C536379,85123A,-2,2010-12-01,nonsense,14527,UK\n\
                C536379,71053,3,2010-12-01,1.00,14527,UK\n\
                C536380,POST,-1,2010-12-01,1.00,14527,UK\n";
    let made = make(rows, &options());
    assert_eq!(made.lines.len(), 1);
    assert_eq!(credit(&made, 0).reference, "C536379");
    assert_eq!(
        credit(&made, 0).lines.iter().map(|l| (l.sku.as_str(), l.quantity)).collect::<Vec<_>>(),
        [("85123A", 2)]
    );
    let report = &made.report;
    assert_eq!((report.credits, report.credit_rows, report.positive_credit), (1, 1, 1));
    assert_eq!((report.skipped_sku, report.empty), (2, 1));
    // Without a prefix they are orders whose every row is a write-off.
    let plain = Options { credit_prefix: None, skip_skus: pattern::List::default(), ..options() };
    let made = make("C536379,85123A,-2,2010-12-01,1,14527,UK\n", &plain);
    assert_eq!((made.lines.len(), made.report.written_off, made.report.empty), (0, 1, 1));
}

#[test]
fn dirty_rows_fall_under_their_rule() {
    let rows = "1,85123A,6,2010-12-01,2.55,17850.0,UK\n\
                1,85123A,-6,2010-12-01,0,17850.0,UK\n\
                1,B,1,2010-12-01,-11062.06,17850.0,UK\n\
                1,71053,0,2010-12-01,1.00,17850.0,UK\n\
                1,22633,4,2010-12-01,0.0,17850.0,UK\n\
                1,gift_0001_20,1,2010-12-01,0.001,17850.0,UK\n";
    let made = make(rows, &options());
    assert_eq!(order(&made, 0).lines, [line("85123A", 6, 255), line("22633", 4, 0)]);
    assert_eq!(order(&made, 0).customer.as_deref(), Some("17850.0"), "a customer's id stays as it is");
    let report = &made.report;
    assert_eq!((report.written_off, report.negative_price, report.zero_quantity), (1, 1, 1));
    assert_eq!((report.free_rows, report.skipped_sku, report.zero_price), (1, 1, 0));
    let strict = Options { zero_price: ZeroPrice::Skip, ..options() };
    let report = make(rows, &strict).report;
    assert_eq!((report.zero_price, report.free_rows, report.order_rows), (1, 0, 1));
}

#[test]
fn the_same_sku_is_merged_at_the_same_price_only() {
    let rows = "1,85123A,6,,2.55,1,UK\n1,85123A,1,,2.50,1,UK\n1,85123A,4,,2.55,1,UK\n1,85123a,4,,2.55,1,UK\n";
    let made = make(rows, &options());
    assert_eq!(order(&made, 0).lines, [line("85123A", 10, 255), line("85123A", 1, 250), line("85123a", 4, 255)]);
    assert_eq!((made.report.order_rows, made.report.merged_rows), (3, 1));
}

#[test]
fn a_row_that_cannot_be_understood_refuses_its_reference() {
    for (bad, why) in [
        ("1,85123A,6,,0.001,1,UK", "more decimals"),
        ("1,85123A,six,,1.00,1,UK", "whole number"),
        ("1,,6,,1.00,1,UK", "sku is empty"),
        ("1,85123A,6,,1.00,2,UK", "two customers"),
        ("1,85123A,6,,,1,UK", "price"),
        ("1,85123A", "quantity"),
    ] {
        let made = make(&format!("1,71053,1,,1.00,1,UK\n{bad}\n2,71053,1,,1.00,1,UK\n"), &options());
        assert_eq!((made.lines.len(), made.report.refused, made.report.refused_rows), (1, 1, 2), "{bad}");
        let refusal = &made.refusals[0];
        assert_eq!((refusal.row, refusal.reference.as_deref(), refusal.before_line), (3, Some("1"), 1), "{bad}");
        assert!(refusal.reason.contains(why), "{bad}: {}", refusal.reason);
    }
    let made = make("1,71053,1,yesterday,1.00,1,UK\n,71053,1,,1.00,1,UK\n", &options());
    assert_eq!((made.lines.len(), made.report.refused, made.report.refused_rows), (0, 2, 2));
    let reasons: Vec<_> = made.refusals.iter().map(|refusal| refusal.reason.as_str()).collect();
    assert!(reasons.iter().any(|reason| reason.contains("yesterday")), "{reasons:?}");
    assert!(reasons.iter().any(|reason| reason.contains("reference is empty")), "{reasons:?}");
}

#[test]
fn minor_units_are_taken_unless_decimals_are_announced() {
    let minor = Options { decimal_prices: false, ..options() };
    assert_eq!(order(&make("1,71053,1,,255,1,UK\n", &minor), 0).lines[0].unit_price.amount, 255);
    let made = make("1,71053,1,,2.55,1,UK\n", &minor);
    assert!(made.refusals[0].reason.contains("--decimal-prices"), "{}", made.refusals[0].reason);
}

#[test]
fn a_reference_that_comes_again_is_refused_unless_it_is_still_open() {
    let rows = "1,a,1,,1,7,UK\nC2,b,-1,,1,8,UK\n1,c,1,,1,7,UK\n1,d,1,,1,7,UK\n";
    let made = make(rows, &options());
    assert_eq!((made.lines.len(), made.report.refused, made.report.refused_rows), (2, 1, 2));
    assert_eq!((made.refusals[0].row, made.refusals[0].before_line), (4, 3));
    let made = make(rows, &Options { open_references: 2, ..options() });
    assert_eq!((made.lines.len(), made.report.refused), (2, 0));
    assert_eq!(order(&made, 0).lines.len(), 3);
    assert_eq!(made.rows, [2, 3]);
}

#[test]
fn a_resumed_file_makes_the_same_lines_after_those_that_are_done() {
    let rows = "1,a,1,,1,7,UK\n2,b,x,,1,8,UK\n3,c,1,,1,7,UK\n4,d,y,,1,7,UK\n5,e,1,,1,7,UK\n";
    let whole = make(rows, &options());
    assert_eq!(whole.refusals.iter().map(|refusal| refusal.before_line).collect::<Vec<_>>(), [2, 3]);
    let rest = make_after(rows, &options(), 2);
    assert_eq!(rest.lines, whole.lines[2..]);
    assert_eq!(rest.refusals, whole.refusals[1..]);
    assert_eq!(rest.report, whole.report);
}

#[test]
fn orders_may_be_marked_as_fulfilled() {
    let options = Options { fulfilled: true, delimiter: b';', ..options() };
    let text = format!("{HEAD}1,71053,1,,2.55,1,UK\n").replace(',', ";");
    let mut bytes = Vec::new();
    let mut emit = |chunk: Chunk| {
        bytes.extend_from_slice(&chunk.bytes);
        Flow::Continue
    };
    produce(source(&text), &options, 0, &mut emit).unwrap();
    let ImportLine::Order(order) = serde_json::from_slice(&bytes).unwrap() else { panic!("a credit") };
    assert!(order.fulfilled);
}

#[test]
fn stock_is_what_the_orders_want_times_a_factor() {
    let rows = "1,b,10,,1.00,7,UK\n1,POST,1,,1.00,7,UK\nC2,b,-5,,1.00,7,UK\n3,a,3,,1.00,8,UK\n3,b,1,,1.00,8,UK\n\
                4,a,-2,,0,8,UK\n";
    let demand = stock::demand(source(&format!("{HEAD}{rows}")), &options()).unwrap();
    assert_eq!(demand, [("a".to_owned(), 3), ("b".to_owned(), 11)]);
}

#[test]
fn the_report_shows_what_happened_and_nothing_else() {
    let table = make("1,a,1,,1,7,UK\n", &options()).report.table();
    assert!(table.contains("rows read"), "{table}");
    assert!(table.contains("orders"), "{table}");
    assert!(!table.contains("write"), "{table}");
}
