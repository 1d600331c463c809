//! `orderctl capacity`: the load and what it shall run on.

use clap::Args;

use crate::capacity::{Prices, Question};

/// The load, and what it shall run on.
#[derive(Clone, Debug, Args)]
pub struct CapacityArgs {
    /// New orders per second at the peak.
    #[arg(long, default_value_t = 36_000.0, value_parser = positive, value_name = "ORDERS/S")]
    pub rate: f64,
    /// New orders per second over the whole day [default: a third of the peak].
    #[arg(long, value_parser = positive, value_name = "ORDERS/S")]
    pub average: Option<f64>,
    /// Lines of an order on average.
    #[arg(long, default_value_t = 2.0, value_parser = lines, value_name = "N")]
    pub lines: f64,
    /// Share of all orders that want the most wanted item, in percent.
    #[arg(long, default_value_t = 0.1, value_parser = percent, value_name = "PERCENT")]
    pub hottest: f64,
    /// Shards [default: as many as are advised].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(ordermill_station::limits::SHARDS_SHARED_MAX)))]
    pub shards: Option<u32>,
    /// Processors of a member.
    #[arg(long, default_value_t = 4.0, value_parser = positive, value_name = "N")]
    pub member_cpus: f64,
    /// How much of its processors a member may use at the peak, in percent.
    #[arg(long, default_value_t = 60.0, value_parser = percent, value_name = "PERCENT")]
    pub utilization: f64,
    /// How much faster its processors are than those of the measurement.
    #[arg(long, default_value_t = 1.0, value_parser = positive, value_name = "FACTOR")]
    pub cpu_factor: f64,
    /// How long TiKV takes for an append and its read-back, milliseconds.
    #[arg(long, default_value_t = 10.0, value_parser = positive, value_name = "MS")]
    pub append_ms: f64,
    /// How long journals are kept, hours.
    #[arg(long, default_value_t = 24.0, value_parser = positive, value_name = "HOURS")]
    pub retention: f64,
    /// How long orders are kept, days.
    #[arg(long, default_value_t = 90.0, value_parser = positive, value_name = "DAYS")]
    pub keep: f64,
    /// Copies of everything in TiKV.
    #[arg(long, default_value_t = 3.0, value_parser = positive, value_name = "N")]
    pub replicas: f64,
    /// Raft writes per second that one store bears: measure yours.
    #[arg(long, default_value_t = 20_000.0, value_parser = positive, value_name = "WRITES/S")]
    pub store_writes: f64,
    /// What one store can write to its disk, MiB per second: measure yours.
    #[arg(long, default_value_t = 200.0, value_parser = positive, value_name = "MIB/S")]
    pub store_disk: f64,
    /// How often a store writes a byte to its disk.
    #[arg(long, default_value_t = 10.0, value_parser = positive, value_name = "FACTOR")]
    pub write_amplification: f64,
    /// Room of a store's disk that may be used, GiB.
    #[arg(long, default_value_t = 2_000.0, value_parser = positive, value_name = "GIB")]
    pub store_room: f64,
    /// Processors of a store.
    #[arg(long, default_value_t = 8.0, value_parser = positive, value_name = "N")]
    pub store_cpus: f64,
    /// Timestamps per second that PD gives out: measure yours.
    #[arg(long, default_value_t = 200_000.0, value_parser = positive, value_name = "N")]
    pub pd_timestamps: f64,
    /// Price of a processor for an hour; with it the price of a million orders is told.
    #[arg(long, value_parser = price, value_name = "PRICE")]
    pub price_cpu_hour: Option<f64>,
    /// Price of a GiB on a store's disk for a month.
    #[arg(long, default_value_t = 0.0, value_parser = price, value_name = "PRICE", requires = "price_cpu_hour")]
    pub price_gib_month: f64,
    /// Price of a GiB between machines.
    #[arg(long, default_value_t = 0.0, value_parser = price, value_name = "PRICE", requires = "price_cpu_hour")]
    pub price_traffic_gib: f64,
}

fn within(text: &str, least: f64, most: f64) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "it is no number".to_owned())?;
    if (least..=most).contains(&value) { Ok(value) } else { Err(format!("{least} to {most} are possible")) }
}

fn positive(text: &str) -> Result<f64, String> {
    within(text, 1e-6, 1e12)
}

fn lines(text: &str) -> Result<f64, String> {
    within(text, 1.0, ordermill_station::limits::LINES_PER_ORDER as f64)
}

fn percent(text: &str) -> Result<f64, String> {
    within(text, 1e-6, 100.0)
}

fn price(text: &str) -> Result<f64, String> {
    within(text, 0.0, 1e12)
}

impl CapacityArgs {
    /// What is asked.
    pub fn question(&self) -> Question {
        Question {
            orders_per_s: self.rate,
            average_per_s: self.average.unwrap_or(self.rate / 3.0),
            lines: self.lines,
            hottest: self.hottest / 100.0,
            shards: self.shards,
            member_cpus: self.member_cpus,
            utilization: self.utilization / 100.0,
            cpu_factor: self.cpu_factor,
            append_ms: self.append_ms,
            retention_h: self.retention,
            keep_days: self.keep,
            replicas: self.replicas,
            store_writes_per_s: self.store_writes,
            store_disk_mib_per_s: self.store_disk,
            write_amplification: self.write_amplification,
            store_gib: self.store_room,
            store_cpus: self.store_cpus,
            pd_timestamps_per_s: self.pd_timestamps,
            prices: self.price_cpu_hour.map(|cpu_hour| Prices {
                cpu_hour,
                gib_month: self.price_gib_month,
                traffic_gib: self.price_traffic_gib,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Command};

    fn asked(arguments: &[&str]) -> Question {
        let cli = Cli::try_parse_from([&["orderctl", "capacity"], arguments].concat());
        match cli.map(|cli| cli.command) {
            Ok(Command::Capacity(capacity)) => capacity.question(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_not_said_is_what_the_model_goes_by() {
        assert_eq!(asked(&[]), Question::default());
        let asked = asked(&["--rate", "120000", "--lines", "3.5", "--price-cpu-hour", "0.04"]);
        assert!((asked.orders_per_s - 120_000.0).abs() < 1e-9 && (asked.average_per_s - 40_000.0).abs() < 1e-9);
        assert!(asked.prices.is_some_and(|prices| (prices.cpu_hour - 0.04).abs() < 1e-9));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for wrong in [
            ["--rate", "0"],
            ["--rate", "NaN"],
            ["--lines", "0"],
            ["--lines", "2001"],
            ["--hottest", "101"],
            ["--shards", "8193"],
        ] {
            assert!(Cli::try_parse_from([&["orderctl", "capacity"], &wrong[..]].concat()).is_err(), "{wrong:?}");
        }
    }
}
