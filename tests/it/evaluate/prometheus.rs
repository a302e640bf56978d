//! `coxswain evaluate` asks a Prometheus.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    process::Output,
    sync::{Arc, Mutex},
};

use rstest::rstest;
use serde_json::{Value, json};

use super::{SLO, coxswain, documented, text};

/// A server with Prometheus' HTTP API that says the same to every query, and notes them.
struct Server {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(status: &'static str, body: Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(vec![]));
        let notes = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (notes, body) = (notes.clone(), body.to_string());
                std::thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                    let Some(Ok(first)) = lines.next() else { return };
                    while lines.next().is_some_and(|line| line.is_ok_and(|l| !l.is_empty())) {}
                    let path = first.split(' ').nth(1).unwrap_or_default();
                    let url = question(path);
                    notes.lock().unwrap().push(url);
                    let _ = write!(
                        stream,
                        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                        body.len()
                    );
                });
            }
        });
        Self { url, asked }
    }

    fn evaluate(&self, more: &str) -> Output {
        coxswain(&format!(
            "evaluate {SLO} --sli examples/quality-gate/sli.yaml --prometheus {} --service cart --label build=42 {more}",
            self.url
        ))
    }
}

/// The query and the time of a request.
fn question(path: &str) -> String {
    let url = url::Url::parse(&format!("http://x{path}")).unwrap();
    let of = |key: &str| {
        let found = url.query_pairs().find(|(k, _)| k == key);
        found.map(|(_, v)| v.into_owned()).unwrap_or_default()
    };
    format!("{} @ {}", of("query"), of("time"))
}

fn scalar(value: &str) -> Value {
    json!({"status": "success", "data": {"resultType": "scalar", "result": [1, value]}})
}

#[test]
fn prometheus_is_asked_for_every_objective_at_the_end_of_the_window() {
    let server = Server::start("200 OK", scalar("0.25"));
    let out = server.evaluate("--start 2026-01-31T12:00:00Z --timeframe 5m");
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    assert!(
        text(&out.stdout).contains("2026-01-31T12:00:00Z to 2026-01-31T12:05:00Z"),
        "{}",
        text(&out.stdout)
    );
    let mut asked = server.asked.lock().unwrap().clone();
    asked.sort();
    assert_eq!(asked.len(), 4, "{asked:?}");
    assert!(asked.iter().all(|a| a.ends_with("@ 1769861100.000")), "{asked:?}");
    assert!(
        asked
            .iter()
            .any(|a| a.contains(r#"{service="cart",handler="ItemsController"}[300s]"#)),
        "{asked:?}"
    );
    assert!(asked.iter().any(|a| a.contains(r#"{build="42"}"#)), "{asked:?}");
}

#[test]
fn the_documented_command_asks_prometheus() {
    let server = Server::start("200 OK", scalar("0.25"));
    let commands = documented("--prometheus");
    assert_eq!(commands.len(), 1, "{commands:?}");
    let out = coxswain(&commands[0].0.replace("http://localhost:9090", &server.url));
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    assert_eq!(server.asked.lock().unwrap().len(), 4);
}

#[rstest]
#[case::several_series(
    "200 OK",
    json!({"status": "success", "data": {"resultType": "vector", "result": [
        {"metric": {"pod": "a"}, "value": [1, "1"]}, {"metric": {"pod": "b"}, "value": [1, "2"]}]}}),
    "error_rate: the query gives 2 series"
)]
#[case::bad_query("400 Bad Request", json!({"status": "error", "errorType": "bad_data", "error": "parse error: x"}),
    "can't be asked: parse error: x")]
#[case::trouble("503 Service Unavailable", json!({"status": "error", "errorType": "unavailable", "error": "starting"}),
    "HTTP 503, unavailable: starting (asked once)")]
fn what_prometheus_can_not_say_is_no_verdict(
    #[case] status: &'static str,
    #[case] body: Value,
    #[case] says: &str,
) {
    let out = Server::start(status, body).evaluate("--timeframe 5m");
    assert_eq!(out.status.code(), Some(3), "{}", text(&out.stdout));
    assert!(text(&out.stdout).contains(says), "{}", text(&out.stdout));
}

#[test]
fn nobody_answers() {
    let out = coxswain(&format!(
        "evaluate {SLO} --sli examples/quality-gate/sli.yaml --prometheus http://127.0.0.1:1 --service cart --label build=42 --timeframe 5m"
    ));
    assert_eq!(out.status.code(), Some(3));
    assert!(
        text(&out.stdout).contains("--prometheus (127.0.0.1:1): "),
        "{}",
        text(&out.stdout)
    );
}
