//! Connections that are slow, idle or many keep nobody out.

use std::{net::SocketAddr, time::Duration};

use axum::{Router, routing::get};
use coxswain::server::listen;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;

async fn serve(most: usize) -> (SocketAddr, CancellationToken) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let router = Router::new().route("/", get(async || "well"));
    tokio::spawn(listen::serve(listener, None, router, most, stop.clone()));
    (address, stop)
}

/// Asks once on a connection of its own.
async fn ask(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_idle_connections_block_nobody() {
    // Fewer places than idle ones, so that they must be made.
    for most in [64, listen::CONNECTIONS] {
        let (address, _stop) = serve(most).await;
        let mut idle = Vec::new();
        for i in 0..1000 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            if i % 2 == 0 {
                // A slow one: it has begun, and never ends.
                stream
                    .write_all(b"POST /alertmanager HTTP/1.1\r\nX-")
                    .await
                    .unwrap();
            }
            idle.push(stream);
        }
        for _ in 0..20 {
            let answered = tokio::time::timeout(Duration::from_secs(2), ask(address)).await;
            assert!(answered.unwrap().ends_with("well"));
        }
        drop(idle);
    }
}

#[tokio::test(start_paused = true)]
async fn who_sends_a_head_byte_by_byte_is_closed() {
    let (address, _stop) = serve(10).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let begun = tokio::time::Instant::now();
    let mut sent = 0;
    let closed = loop {
        if stream.write_all(b"G").await.is_err() {
            break true;
        }
        sent += 1;
        let mut byte = [0; 64];
        match tokio::time::timeout(Duration::from_secs(1), stream.read(&mut byte)).await {
            Ok(Ok(0) | Err(_)) => break true,
            _ if sent > 60 => break false,
            _ => {}
        }
    };
    assert!(
        closed && begun.elapsed() < Duration::from_secs(15),
        "{:?}",
        begun.elapsed()
    );
}
