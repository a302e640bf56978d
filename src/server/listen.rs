//! Connections: accepted, encrypted, bounded in number and in time.
//!
//! An idle connection keeps nobody out: when there are too many, the one that has been idle longest is closed. One that
//! sends its request slower than the limits is closed too.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    time::Instant,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

/// So many connections there are at most.
pub const CONNECTIONS: usize = 1024;
/// A connection must have sent a request's head within this time, also while it is idle.
pub const HEAD: Duration = Duration::from_secs(10);
/// Headers may be so big, all together, in bytes.
const HEADERS_MAX: usize = 32 * 1024;
/// Certificates are looked at again so long after the last time, when somebody connects.
const FRESH: Duration = Duration::from_secs(10);
/// What is being answered at the shutdown may take so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who is at the other end.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// A certificate and its key, in a directory with `tls.crt` and `tls.key`, as a Secret of type `kubernetes.io/tls` is mounted.
pub struct Tls {
    directory: PathBuf,
    read: Mutex<Option<(Instant, Vec<u8>, TlsAcceptor)>>,
}

impl Tls {
    /// Reads the certificate once, so that a wrong one is told at the start.
    ///
    /// # Errors
    /// What is wrong with the files.
    pub fn new(directory: PathBuf) -> Result<Self, String> {
        let tls = Self {
            directory,
            read: Mutex::new(None),
        };
        tls.acceptor()?;
        Ok(tls)
    }

    /// The acceptor with the certificate that is there now; while a new one can't be used, the old one.
    fn acceptor(&self) -> Result<TlsAcceptor, String> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, _, acceptor)) = read.as_ref()
            && at.elapsed() < FRESH
        {
            return Ok(acceptor.clone());
        }
        let before = read.take();
        let fresh = self.files().and_then(|bytes| match &before {
            Some((_, same, acceptor)) if *same == bytes => Ok((bytes, acceptor.clone())),
            _ => configured(&bytes).map(|acceptor| (bytes, acceptor)),
        });
        let (bytes, acceptor) = match (fresh, before) {
            (Ok(fresh), _) => fresh,
            (Err(error), Some((_, bytes, acceptor))) => {
                tracing::warn!(
                    "{}: {error}; the certificate before is used on",
                    self.directory.display()
                );
                (bytes, acceptor)
            }
            (Err(error), None) => return Err(format!("{}: {error}", self.directory.display())),
        };
        *read = Some((Instant::now(), bytes, acceptor.clone()));
        Ok(acceptor)
    }

    fn files(&self) -> Result<Vec<u8>, String> {
        let file = |name: &str| {
            std::fs::read(self.directory.join(name))
                .map_err(|e| format!("{name}: {e}; mount a Secret of type kubernetes.io/tls there"))
        };
        let mut bytes = file("tls.crt")?;
        bytes.push(b'\n');
        bytes.extend(file("tls.key")?);
        Ok(bytes)
    }
}

fn configured(pem: &[u8]) -> Result<TlsAcceptor, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|e| format!("tls.crt is no certificate: {e}"))?;
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(|e| format!("tls.key is no private key: {e}"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
    let mut config = config.map_err(|e| format!("tls.crt and tls.key don't fit: {e}"))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The connections that there are, by their age.
#[derive(Clone, Default)]
struct Open(Arc<Mutex<(u64, BTreeMap<u64, Connection>)>>);

#[derive(Clone, Default)]
struct Connection {
    busy: Arc<AtomicBool>,
    close: CancellationToken,
}

impl Open {
    /// A place for one more; None where all of `most` are busy.
    fn enter(&self, most: usize) -> Option<(u64, Connection)> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if open.1.len() >= most {
            let idle = open.1.iter().find(|(_, c)| !c.busy.load(Ordering::Relaxed));
            let id = idle.map(|(id, _)| *id)?;
            if let Some(oldest) = open.1.remove(&id) {
                oldest.close.cancel();
            }
        }
        open.0 += 1;
        let (id, new) = (open.0, Connection::default());
        open.1.insert(id, new.clone());
        Some((id, new))
    }

    fn leave(&self, id: u64) {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.1.remove(&id);
    }
}

/// Serves until `shutdown` is cancelled; then what is being answered is finished. At most `most` connections at once.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    router: Router,
    most: usize,
    shutdown: CancellationToken,
) {
    let (open, tasks) = (Open::default(), TaskTracker::new());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // No file descriptor is left, for example: some will be.
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some((id, connection)) = open.enter(most) else {
            turn_away(&stream);
            continue;
        };
        let (open, tls, router, shutdown) = (open.clone(), tls.clone(), router.clone(), shutdown.clone());
        tasks.spawn(async move {
            let close = connection.close.clone();
            tokio::select! {
                () = attend(stream, peer, tls, router, connection, shutdown) => {}
                () = close.cancelled() => {}
            }
            open.leave(id);
        });
    }
    tasks.close();
    let _ = tokio::time::timeout(PATIENCE, tasks.wait()).await;
}

fn turn_away(stream: &TcpStream) {
    let answer = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let _ = stream.try_write(answer);
}

async fn attend(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<Arc<Tls>>,
    router: Router,
    connection: Connection,
    shutdown: CancellationToken,
) {
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else {
        return answer(stream, peer, router, connection, shutdown).await;
    };
    match tls.acceptor() {
        Ok(acceptor) => match tokio::time::timeout(HEAD, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => answer(stream, peer, router, connection, shutdown).await,
            Ok(Err(error)) => tracing::debug!(%error, %peer, "no TLS connection came about"),
            Err(_) => tracing::debug!(%peer, "a TLS handshake took too long"),
        },
        Err(error) => tracing::warn!("{error}"),
    }
}

async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    router: Router,
    connection: Connection,
    shutdown: CancellationToken,
) {
    let busy = connection.busy;
    let service = hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let (router, busy) = (router.clone(), busy.clone());
        async move {
            busy.store(true, Ordering::Relaxed);
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(Peer(peer));
            let answered = router.oneshot(request).await;
            busy.store(false, Ordering::Relaxed);
            answered
        }
    });
    let serving = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_headers(64)
        .max_buf_size(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut serving = std::pin::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = shutdown.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %peer, "a connection ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_idle_one_makes_room_and_a_busy_one_never() {
        let open = Open::default();
        let (_, first) = open.enter(2).unwrap();
        let (_, second) = open.enter(2).unwrap();
        first.busy.store(true, Ordering::Relaxed);
        let (id, third) = open.enter(2).unwrap();
        assert!(second.close.is_cancelled() && !first.close.is_cancelled());
        third.busy.store(true, Ordering::Relaxed);
        assert!(open.enter(2).is_none());
        open.leave(id);
        assert!(open.enter(2).is_some());
    }
}
