//! `ordermill serve` as a process: when it says that it is ready, how it stops, and what it is told
//! by flags, environment and file.

use std::path::Path;
use std::time::Duration;

use ordermill_api::{Health, Order, ProblemKind};
use ordermill_tests::load::Load;
use ordermill_tests::process::{Ended, Http, Orderctl, Server, Settings, audit, in_time, problem, until};
use ordermill_tests::seed;
use ordermill_tests::tls::Authority;
use reqwest::Method;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// Requests that are under way when the server is told to stop.
const UNDER_WAY: usize = 8;

/// A request that is sent in two parts.
struct Halves {
    stream: BufReader<TcpStream>,
    rest: Vec<u8>,
}

impl Halves {
    /// Sends the beginning.
    async fn begin(url: &str, beginning: &str, rest: &str) -> Self {
        let address = url.strip_prefix("http://").expect("a server's URL");
        let mut stream = in_time("a connection", TcpStream::connect(address)).await.expect("the server accepts");
        stream.write_all(beginning.as_bytes()).await.expect("the server reads");
        Self { stream: BufReader::new(stream), rest: rest.as_bytes().to_vec() }
    }

    /// Begins to post an order, and waits until the server asks for its body: then it is under way.
    async fn order(url: &str, reference: &str) -> Self {
        let order = json!({
            "customer": reference, "reference": reference,
            "lines": [{"sku": "sku-00", "quantity": 1, "unit_price": {"amount": 250, "currency": "GBP"}}],
        });
        let body = order.to_string();
        let head = format!(
            "POST /v1/orders HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
             idempotency-key: {reference}\r\nexpect: 100-continue\r\n\r\n",
            body.len()
        );
        let mut request = Self::begin(url, &head, &body).await;
        let asked = request.line().await;
        assert!(asked.starts_with("HTTP/1.1 100"), "{asked:?}");
        assert_eq!(request.line().await, "");
        request
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        in_time("a line of the answer", self.stream.read_line(&mut line)).await.expect("the server answers");
        line.trim_end().to_owned()
    }

    /// All that comes until the server closes the connection.
    async fn remains(mut self) -> String {
        let mut text = String::new();
        in_time("the end of the answer", self.stream.read_to_string(&mut text)).await.expect("the server answers");
        text
    }

    /// Sends the rest; the status and the body of the answer. The server closes the connection.
    async fn end(mut self) -> (u16, String) {
        let rest = std::mem::take(&mut self.rest);
        self.stream.get_mut().write_all(&rest).await.expect("the server reads");
        let answer = self.remains().await;
        let status = answer.get(9..12).and_then(|status| status.parse().ok());
        let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
        (status.unwrap_or_else(|| panic!("no answer: {answer:?}")), body.to_owned())
    }
}

async fn a_stop_loses_no_answer(shards: u32) {
    let dir = TempDir::new().expect("a directory can be made");
    let mut server = Server::start(Settings::new(dir.path().join("data"), shards)).await;
    let (url, http) = (server.url(), server.http());
    let readiness = Halves::begin(&url, "GET /readyz HTTP/1.1\r\nhost: x\r\n", "\r\n").await;
    let mut follower =
        Halves::begin(&url, "GET /v1/events HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n\r\n", "").await;
    assert_eq!(follower.line().await, "HTTP/1.1 200 OK");
    let load = Load::start(http.clone(), 8, seed()).await;
    load.more(200).await;
    let mut under_way = Vec::new();
    for number in 0..UNDER_WAY {
        under_way.push(Halves::order(&url, &format!("under way {number}")).await);
    }
    load.more(50).await;
    server.terminate();
    let address = url.strip_prefix("http://").expect("a server's URL").to_owned();
    until("connections to be refused", || async {
        match TcpStream::connect(&*address).await {
            Ok(_) => Err("it accepts".to_owned()),
            Err(_) => Ok(()),
        }
    })
    .await;
    let (status, body) = readiness.end().await;
    let health: Health = serde_json::from_str(&body).expect("an answer about health");
    assert_eq!((status, &*health.status), (503, "draining"));
    // The stream ends; it does not break off in the midst of an event.
    let rest = follower.remains().await;
    assert!(rest.ends_with("0\r\n\r\n"), "the stream broke off: {:?}", rest.get(rest.len().saturating_sub(80)..));
    let mut answered = Vec::new();
    for request in under_way {
        let (status, body) = request.end().await;
        assert_eq!(status, 201, "{body}");
        answered.push(serde_json::from_str::<Order>(&body).expect("an order"));
    }
    let settings = server.settings();
    let ended = server.ended().await.well();
    assert_eq!(ended.stdout.lines().count(), 1, "{}", ended.stdout);
    let acknowledged = load.books();

    // The load has gone on asking, and goes on now.
    server = Server::start(settings).await;
    for order in answered {
        let id = order.id.clone().expect("an order has an id");
        let now: Order = http.get(&format!("/v1/orders/{id}")).await.expect(200).json();
        assert!(now == order, "{order:?}, now {now:?}");
    }
    let customers = |order: &Order| !order.customer.as_deref().is_some_and(|name| name.starts_with("under way"));
    let orders: Vec<Order> = http.orders().await.into_iter().filter(customers).collect();
    acknowledged.check(&orders, &http.items().await);
    load.more(50).await;
    let books = load.finish().await;
    assert_eq!(audit(&url).await["orders"], books.orders() + UNDER_WAY);
    let orders: Vec<Order> = http.orders().await.into_iter().filter(customers).collect();
    books.check_exactly(&orders, &http.items().await);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_of_one_shard_loses_no_answer() {
    a_stop_loses_no_answer(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_of_many_shards_loses_no_answer() {
    a_stop_loses_no_answer(64).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_line_says_where_it_listens_once_it_is_ready() {
    let dir = TempDir::new().expect("a directory can be made");
    let data_dir = dir.path().join("not/there/yet");
    let server = Server::start(Settings::new(&data_dir, 4)).await;
    assert_eq!(server.first_line(), format!("listening on {}\n", server.url()));
    assert!(!server.url().ends_with(":0"), "{}", server.url());
    let health: Health = server.http().get("/readyz").await.expect(200).json();
    assert_eq!(health.status, "ok");
    server.stop().await;
}

/// A pipe in the place of a file: whoever opens it waits for the other end, and so a server that
/// reads it recovers for as long as the test likes.
fn pipe_instead_of(file: &Path) -> String {
    let text = std::fs::read_to_string(file).expect("the file can be read");
    std::fs::remove_file(file).expect("the file can be removed");
    mknodat(CWD, file, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe can be made");
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_served_and_nothing_is_said_before_recovery_ends() {
    let dir = TempDir::new().expect("a directory can be made");
    let mut server = Server::start(Settings::new(dir.path().join("data"), 4)).await;
    let http = server.http();
    http.put("/v1/items/a", &json!({"on_hand": 1})).await.expect(201);
    server.kill().await;
    let format = server.data_dir().join("FORMAT");
    let text = pipe_instead_of(&format);
    let starting = tokio::spawn(Server::start(server.settings()));
    let answer = until("an answer", || async {
        http.send(http.request(reqwest::Method::GET, "/readyz")).await.map_err(|error| error.to_string())
    })
    .await;
    assert_eq!((answer.status, &*answer.json::<Health>().status), (503, "recovering"));
    http.get("/healthz").await.expect(200);
    for answer in [http.get("/v1/items/a").await, http.put("/v1/items/b", &json!({"on_hand": 1})).await] {
        assert_eq!((answer.status, problem(&answer)), (503, ProblemKind::Unavailable));
        assert_ne!(answer.header("retry-after"), "");
    }
    assert!(!starting.is_finished(), "it says that it is ready while it is not");
    let write = tokio::task::spawn_blocking(move || std::fs::write(format, text));
    in_time("the pipe to be read", write).await.expect("it can be written").expect("it can be written");
    let server = in_time("the server", starting).await.expect("it starts");
    http.get("/readyz").await.expect(200);
    http.get("/v1/items/a").await.expect(200);
    http.get("/v1/items/b").await.expect(404);
    server.terminate();
    server.ended().await;
}

/// Where a setting stands.
#[derive(Clone, Copy)]
struct Told<'t> {
    file: &'t str,
    environment: &'t [(&'t str, &'t str)],
    flags: &'t [&'t str],
}

/// A server that is told so.
fn told(dir: &Path, told: Told<'_>) -> Settings {
    let file = dir.join("ordermill.toml");
    std::fs::write(&file, told.file).expect("a file can be written");
    let mut settings = Settings::new(dir.join("data"), 1).with(&["--config", file.to_str().expect("UTF-8")]);
    // Whatever the usual settings say, these shall not.
    settings.arguments.drain(..2);
    settings.environment = told.environment.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    settings.with(told.flags)
}

/// What a server that is told so does: its shards, whether its log is JSON, and whether it keeps
/// room that no disk has.
async fn effect(told_so: Told<'_>) -> (u64, bool, bool) {
    let dir = TempDir::new().expect("a directory can be made");
    let server = Server::start(told(dir.path(), told_so)).await;
    let put = server.http().put("/v1/items/a", &json!({"on_hand": 1})).await.status;
    assert!(matches!(put, 201 | 507), "{put}");
    server.terminate();
    let log = server.ended().await.well().stderr;
    let line = log.lines().find(|line| line.contains("ready")).unwrap_or_else(|| panic!("no line: {log}"));
    let format = std::fs::read_to_string(dir.path().join("data/FORMAT")).expect("the directory says how it was made");
    let shards = format.lines().find_map(|line| line.strip_prefix("shards ")).expect("it says how many shards");
    (shards.parse().expect("a number"), serde_json::from_str::<Value>(line).is_ok(), put == 507)
}

/// More room than any disk has.
const NO_ROOM: &str = "1000000000000";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flag_wins_over_the_environment_over_the_file_over_the_default() {
    let nothing = Told { file: "", environment: &[], flags: &[] };
    assert_eq!(effect(nothing).await, (1, false, false));
    let file = Told { file: &format!("shards = 2\nlog = \"json\"\nmin-free-mib = {NO_ROOM}\n"), ..nothing };
    assert_eq!(effect(file).await, (2, true, true));
    let variables = [("ORDERMILL_SHARDS", "3"), ("ORDERMILL_LOG", "text"), ("ORDERMILL_MIN_FREE_MIB", "1")];
    let environment = Told { environment: &variables, ..file };
    assert_eq!(effect(environment).await, (3, false, false));
    let flags = Told { flags: &["--shards", "4", "--log", "json", "--min-free-mib", NO_ROOM], ..environment };
    assert_eq!(effect(flags).await, (4, true, true));
    // Each setting for itself.
    let mixed = Told { flags: &["--min-free-mib", "1"], environment: &variables[..1], ..file };
    assert_eq!(effect(mixed).await, (3, true, false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_setting_that_does_not_fit_is_named() {
    let nothing = Told { file: "", environment: &[], flags: &[] };
    let wrong: [(Told<'_>, &[&str]); 11] = [
        (Told { file: "shard = 8\n", ..nothing }, &["ordermill.toml", "unknown field `shard`"]),
        (Told { file: "[storage]\nshards = 8\n", ..nothing }, &["ordermill.toml", "unknown field `storage`"]),
        (Told { file: "shards = \"eight\"\n", ..nothing }, &["ordermill.toml", "shards = \"eight\""]),
        (Told { file: "shards = 0\n", ..nothing }, &["--shards is 0"]),
        (Told { file: "log = \"xml\"\n", ..nothing }, &["ordermill.toml", "log = \"xml\"", "json"]),
        (Told { file: "journal-retention = \"soon\"\n", ..nothing }, &["journal-retention", "soon", "24h"]),
        (Told { file: "shards = [", ..nothing }, &["ordermill.toml", "line 1"]),
        (Told { environment: &[("ORDERMILL_CACHE_MIB", "many")], ..nothing }, &["--cache-mib", "many"]),
        (Told { flags: &["--journal-retention", "3"], ..nothing }, &["--journal-retention", "24h"]),
        (Told { flags: &["--log-filter", "a=b=c"], ..nothing }, &["a=b=c"]),
        (Told { flags: &["--segment-mib", "4096"], ..nothing }, &["segment"]),
    ];
    for (told_so, words) in wrong {
        let dir = TempDir::new().expect("a directory can be made");
        let ended = match Server::try_start(told(dir.path(), told_so)).await {
            Ok(server) => panic!("it started, {words:?} or not: {}", server.log()),
            Err(ended) => ended,
        };
        let Ended { code, stdout, stderr } = ended;
        assert!(matches!(code, Some(1 | 2)) && stdout.is_empty(), "{code:?} {stdout}{stderr}");
        assert!(words.iter().all(|word| stderr.contains(word)), "{words:?}: {stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
    }
    let dir = TempDir::new().expect("a directory can be made");
    let missing = Settings::new(dir.path().join("data"), 1).with(&["--config", "/not/there.toml"]);
    let ended = Server::try_start(missing).await.expect_err("there is no such file");
    assert!(ended.code == Some(1) && ended.stderr.contains("/not/there.toml"), "{ended:?}");
}

/// Asks for something under an id of its own; returns the status.
async fn ask(http: &Http, path: &str, id: &str) -> u16 {
    let request = http.request(reqwest::Method::GET, path).header("x-request-id", id);
    let answer = http.send(request).await.expect("the server answers");
    assert_eq!(answer.header("x-request-id"), id);
    answer.status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_has_one_object_per_line_and_one_line_per_request() {
    let dir = TempDir::new().expect("a directory can be made");
    let settings = Settings::new(dir.path().join("data"), 1).with(&["--log", "json"]);
    let server = Server::start(settings.clone().with(&["--log-filter", "info,ordermill_ingress=debug"])).await;
    let http = server.http();
    let asked = [
        ("/v1/items/none", "/v1/items/{sku}", 404),
        ("/v1/orders", "/v1/orders", 200),
        ("/v1/orders/none", "/v1/orders/{id}", 404),
        ("/nowhere", "unknown", 404),
        ("/readyz", "/readyz", 200),
    ];
    for (number, (path, _, status)) in asked.iter().enumerate() {
        assert_eq!(ask(&http, path, &format!("request-{number}")).await, *status, "{path}");
    }
    server.terminate();
    let log = server.ended().await.well().stderr;
    let lines: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect();
    for line in &lines {
        assert!(["timestamp", "level", "target", "message"].iter().all(|name| line[name].is_string()), "{line}");
    }
    for (number, (path, route, status)) in asked.iter().enumerate() {
        let mut found = lines.iter().filter(|line| line["span"]["id"] == format!("request-{number}"));
        let line = found.next().unwrap_or_else(|| panic!("{path} has no line: {log}"));
        assert_eq!(found.next(), None, "{path} has more than one line");
        let span = &line["span"];
        assert_eq!((&span["route"], &span["method"]), (&json!(route), &json!("GET")));
        assert_eq!((&line["message"], &span["status"]), (&json!("answered"), &json!(status)), "{line}");
        assert!(span["seconds"].as_f64().is_some_and(|seconds| seconds < Duration::from_mins(1).as_secs_f64()));
    }
    // Unless asked for, requests are not logged: they are counted.
    let server = Server::start(settings).await;
    ask(&server.http(), "/v1/orders", "quiet").await;
    server.terminate();
    let log = server.ended().await.well().stderr;
    assert!(log.contains("\"message\":\"ready\"") && !log.contains("quiet"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_in_a_directory_come_and_go_while_it_serves() {
    let dir = TempDir::new().expect("a directory can be made");
    let keys = dir.path().join("keys");
    let put = |tenant: &str, text: &str| std::fs::write(keys.join(tenant), text).expect("a file can be written");
    std::fs::create_dir(&keys).expect("a directory can be made");
    put("default", "key-of-the-default-tenant\n");
    let settings = Settings::new(dir.path().join("data"), 1);
    let server = Server::start(settings.with(&["--api-keys-dir", keys.to_str().expect("a path is text")])).await;
    let http = server.http();
    let asked = async |key: &str| {
        let request = http.request(Method::GET, "/v1/items").bearer_auth(key);
        http.send(request).await.expect("the server answers").status
    };
    assert_eq!(http.get("/v1/items").await.status, 401);
    assert_eq!((asked("key-of-the-default-tenant").await, asked("first-key-of-acme").await), (200, 401));
    put("acme", "first-key-of-acme\nsecond-key-of-acme\n");
    let becomes = async |key: &str, status: u16| {
        until(&format!("{status} for {key}"), async || match asked(key).await {
            now if now == status => Ok(()),
            now => Err(now.to_string()),
        })
        .await;
    };
    becomes("first-key-of-acme", 200).await;
    assert_eq!(asked("second-key-of-acme").await, 200);
    // What is no key changes nothing, and is no end.
    put("acme", "short\n");
    put("globex", "key-of-globex-as-well\n");
    until("a warning", async || {
        let log = server.log();
        if log.contains("they do not fit") { Ok(()) } else { Err(log) }
    })
    .await;
    assert_eq!((asked("first-key-of-acme").await, asked("key-of-globex-as-well").await), (200, 401));
    put("acme", "second-key-of-acme\n");
    becomes("first-key-of-acme", 401).await;
    assert_eq!((asked("second-key-of-acme").await, asked("key-of-globex-as-well").await), (200, 200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_shown_and_another_one_once_its_files_have_changed() {
    let dir = TempDir::new().expect("a directory can be made");
    let at = |name: &str| dir.path().join(name).to_str().expect("a path is text").to_owned();
    let settings = Settings::new(dir.path().join("data"), 1);
    let (before, after, key) = (Authority::new(), Authority::new(), "key-of-the-default-tenant");
    let show = |authority: &Authority| {
        let (certificate, key) = authority.certificate(&[settings.listen.ip().to_string()]);
        std::fs::write(at("tls.crt"), certificate).expect("a file can be written");
        std::fs::write(at("tls.key"), key).expect("a file can be written");
    };
    show(&before);
    std::fs::create_dir(at("keys")).expect("a directory can be made");
    std::fs::write(at("keys/default"), key).expect("a file can be written");
    std::fs::write(at("before.crt"), before.pem()).expect("a file can be written");
    let secured = ["--http-certificate", &at("tls.crt"), "--http-key", &at("tls.key"), "--api-keys-dir", &at("keys")];
    let server = Server::start(settings.clone().with(&secured)).await;
    let url = server.url();
    assert!(url.starts_with("https://"), "{url}");
    let asked = async |authority: &Authority| {
        let http = Http::secured(&url, None, authority.pem(), key);
        http.send(http.request(Method::GET, "/v1/items")).await.map(|answer| answer.status)
    };
    assert_eq!(asked(&before).await.expect("it is trusted"), 200);
    assert!(asked(&after).await.is_err(), "it is not of this authority");
    let plain = Http::new(&url.replace("https", "http"));
    assert!(plain.send(plain.request(Method::GET, "/v1/items")).await.is_err(), "nothing goes in the clear");

    // As people ask, with the authority named and without.
    let ca = at("before.crt");
    let set = ["items", "set", "tea", "--on-hand", "5", "--api-key", key];
    Orderctl::run(&url, &[&set[..], &["--ca", &ca]].concat()).await.well();
    let refused = Orderctl::run(&url, &set).await;
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("certificate"), "{}", refused.stderr);
    let absent = Orderctl::run(&url, &["audit", "--ca", "/nowhere.crt"]).await;
    assert!(absent.code == Some(1) && absent.stderr.contains("/nowhere.crt cannot be read"), "{}", absent.stderr);

    // Half of a change is none: the certificate before is shown until both files fit.
    let warned = async |count: usize| {
        until("a warning", async || {
            let log = server.log();
            if log.matches("they do not fit").count() == count { Ok(()) } else { Err(log) }
        })
        .await;
    };
    std::fs::write(at("tls.key"), "no key").expect("a file can be written");
    warned(1).await;
    assert_eq!(asked(&before).await.expect("it is trusted"), 200);
    show(&after);
    until("the other certificate", async || asked(&after).await.map_err(|error| format!("{error:?}"))).await;
    assert!(asked(&before).await.is_err());

    server.terminate();
    server.ended().await.well();
    let half = Server::try_start(settings.with(&["--http-key", &at("tls.key")])).await.expect_err("half of it");
    assert!(half.stderr.contains("HTTPS needs both of --http-certificate and --http-key"), "{}", half.stderr);
}
