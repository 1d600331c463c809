//! What a shell sees of the command line: completions, help, settings from the environment, and a
//! server that is not there.

use futures::future::join_all;
use ordermill_tests::process::{Ended, Orderctl};

use super::{Shop, failed, sane, says};

/// Nobody listens here.
const NOWHERE: &str = "http://127.0.0.1:1";

/// A key as a server asks for, of some length.
const KEY: &str = "0123456789abcdef";

const COMMANDS: [&str; 7] = ["items", "order", "import", "convert", "events", "audit", "completion"];

async fn alone(arguments: &[&str]) -> Ended {
    Orderctl::run_with_environment(&[], arguments).await
}

#[tokio::test]
async fn completions_name_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let ended = alone(&["completion", shell]).await.well();
        assert_eq!(ended.stderr, "");
        says(&ended.stdout, &COMMANDS);
        says(&ended.stdout, &["from-csv", "fulfil", "follow", "retry-for", "open-references", "settle"]);
    }
    says(&failed(alone(&["completion", "cmd"]).await), &["[possible values: bash, elvish, fish, powershell, zsh]"]);
}

#[tokio::test]
async fn help_goes_to_standard_output_and_complaints_do_not() {
    let help = sane(alone(&["--help"]).await).well();
    assert_eq!(help.stderr, "");
    says(&help.stdout, &COMMANDS);
    says(&help.stdout, &["Exit codes: 0 all is well", "3 the audit found violations", "130 interrupted"]);
    for command in COMMANDS {
        let help = sane(alone(&[command, "--help"]).await).well();
        says(&help.stdout, &["Usage: orderctl "]);
    }
    assert!(sane(alone(&["--version"]).await).well().stdout.starts_with("orderctl "));
    for arguments in [&[][..], &["items"], &["order"], &["events"]] {
        let ended = sane(alone(arguments).await);
        assert_eq!((ended.code, &*ended.stdout), (Some(1), ""), "{arguments:?}");
        says(&ended.stderr, &["Usage: orderctl "]);
    }
    for arguments in [&["fly"][..], &["import"], &["audit", "--fast"], &["--timeout", "soon", "audit"]] {
        says(&failed(sane(alone(arguments).await)), &["--help"]);
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_explained() {
    let calls = [
        &["items", "list"][..],
        &["items", "set", "tea", "--on-hand", "1"],
        &["order", "create", "--line", "tea:1:1GBP"],
        &["order", "get", "x"],
        &["order", "list", "--output", "table"],
        &["order", "cancel", "x"],
        &["events", "tail"],
        &["audit"],
    ];
    let ended = join_all(calls.map(|arguments| Orderctl::run(NOWHERE, arguments))).await;
    for ended in ended {
        let said = failed(sane(ended));
        says(&said, &["error: cannot reach http://127.0.0.1:1", "`ordermill serve`", "--server", "ORDERMILL_SERVER"]);
    }
    for (server, why) in [
        ("localhost:8080", "it must begin with http://"),
        ("https://127.0.0.1:1", "cannot reach https://127.0.0.1:1"),
        ("http://", "check --server"),
    ] {
        says(&failed(sane(Orderctl::run(server, &["audit"]).await)), &[why]);
    }
}

#[tokio::test]
async fn the_environment_names_the_server() {
    let shop = Shop::open(1, &[("tea", 5)]).await;
    let named = [("ORDERMILL_SERVER", &*shop.url)];
    let ended = Orderctl::run_with_environment(&named, &["items", "get", "tea"]).await.well();
    assert_eq!(ended.json()[0]["on_hand"], 5);
    // A slash at the end does no harm, and an option is above the environment.
    let slash = [("ORDERMILL_SERVER", &*format!("{}/", shop.url))];
    Orderctl::run_with_environment(&slash, &["items", "get", "tea"]).await.well();
    let wrong = [("ORDERMILL_SERVER", NOWHERE)];
    Orderctl::run_with_environment(&wrong, &["items", "get", "tea", "--server", &shop.url]).await.well();
    let path = format!("{}/v1", shop.url);
    says(&failed(Orderctl::run(&path, &["items", "list"]).await), &["/v1/v1/items"]);
    shop.close().await;
}

#[tokio::test]
async fn a_key_is_sent_where_one_is_asked_for() {
    let dir = tempfile::TempDir::new().expect("a directory can be made");
    let config = dir.path().join("ordermill.toml");
    std::fs::write(&config, format!("[api-keys]\n{KEY} = \"acme\"\n")).expect("a file can be written");
    let settings = ordermill_tests::process::Settings::new(dir.path().join("data"), 1);
    let settings = settings.with(&["--config", config.to_str().expect("the path is UTF-8")]);
    let server = ordermill_tests::process::Server::start(settings).await;
    let (url, list) = (server.url(), ["items", "list"]);
    for key in [None, Some("wrong")] {
        let arguments = [&list[..], &key.map_or(vec![], |key| vec!["--api-key", key])].concat();
        let said = failed(sane(Orderctl::run(&url, &arguments).await));
        says(&said, &["give a key with --api-key or ORDERMILL_API_KEY"]);
    }
    let keyed = [("ORDERMILL_SERVER", &*url), ("ORDERMILL_API_KEY", KEY)];
    Orderctl::run_with_environment(&keyed, &list).await.well();
    Orderctl::run(&url, &["items", "set", "tea", "--on-hand", "1", "--api-key", KEY]).await.well();
    server.stop().await;
}
