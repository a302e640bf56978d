//! One archive, from where the source says, if its digest is what the source says.

use std::{
    fmt::Write as _,
    fs::File,
    io::Write as _,
    net::{IpAddr, SocketAddr},
    path::Path,
};

use anyhow::{Context as _, bail};
use reqwest::{StatusCode, Url, redirect};
use sha2::{Digest as _, Sha256};

use super::Limits;
use crate::core::{
    address::{Refusal, refusal},
    jobs::files::artifact::is_sha256,
};

/// Writes the archive to `to`. Nothing of it may be used before this has succeeded.
pub(super) async fn download(url: &str, digest: &str, to: &Path, limits: Limits) -> anyhow::Result<()> {
    if !is_sha256(digest) {
        bail!("its digest is {digest:?}, and not one such as sha256:...");
    }
    let found = tokio::time::timeout(limits.timeout, get(url, to, limits))
        .await
        .with_context(|| format!("{url} did not answer in full within {:?}", limits.timeout))??;
    if found != digest {
        bail!("{url} has the digest {found} instead of {digest}: nothing of it is used");
    }
    Ok(())
}

/// Writes what is there to `to`, and returns its digest.
async fn get(url: &str, to: &Path, limits: Limits) -> anyhow::Result<String> {
    // reqwest panics without one; when main has installed it, this does nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let url: Url = url.parse().with_context(|| format!("{url:?} is no URL"))?;
    let host = url.host_str().with_context(|| format!("{url} names no host"))?;
    let addresses = addresses(host, url.port_or_known_default().unwrap_or(80), limits).await?;
    let mut client = reqwest::Client::builder()
        .user_agent(concat!("coxswain/", env!("CARGO_PKG_VERSION")))
        // Only the source says where its artifact is: neither a server nor the environment does.
        .redirect(redirect::Policy::none())
        .no_proxy()
        .resolve_to_addrs(host, &addresses);
    if url.scheme() == "http" {
        client = client.tls_certs_only([]);
    }
    let client = client.build().context("no HTTP client could be made")?;
    let blocked =
        "if it can't be reached from here, see whether a NetworkPolicy of Flux's namespace keeps Jobs out";
    let answer = client.get(url.clone()).send().await;
    let mut answer = answer.with_context(|| format!("asking for {url} ({blocked})"))?;
    match answer.status() {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => bail!(
            "{url} is not there any more (404): Flux keeps few revisions, and this attempt is pinned to this one; run it again"
        ),
        status if status.is_redirection() => {
            bail!("{url} leads elsewhere ({status}), and redirects are not followed")
        }
        status => bail!("{url} answers {status}"),
    }
    let too_large = || {
        let most = limits.archive >> 20;
        format!(
            "{url} has more than the {most} MiB that are fetched at most; narrow the source, as with spec.ignore"
        )
    };
    if answer
        .content_length()
        .is_some_and(|length| length > limits.archive)
    {
        bail!(too_large());
    }
    let mut file = File::create(to).with_context(|| format!("making {}", to.display()))?;
    let (mut hash, mut length) = (Sha256::new(), 0);
    while let Some(chunk) = answer.chunk().await.with_context(|| format!("reading {url}"))? {
        length += chunk.len() as u64;
        if length > limits.archive {
            bail!(too_large());
        }
        hash.update(&chunk);
        file.write_all(&chunk)
            .with_context(|| format!("writing {}", to.display()))?;
    }
    let mut digest = "sha256:".to_owned();
    for byte in hash.finalize() {
        // Writing to a String can't fail.
        let _ = write!(digest, "{byte:02x}");
    }
    Ok(digest)
}

/// The host's addresses, of which every one may be asked. The connection goes to these, so the name can't lead elsewhere
/// in the meantime.
async fn addresses(host: &str, port: u16, limits: Limits) -> anyhow::Result<Vec<SocketAddr>> {
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let found = tokio::net::lookup_host((name, port)).await;
    let found: Vec<SocketAddr> = found.with_context(|| format!("looking up {host}"))?.collect();
    for address in &found {
        if let Some(why) = refused(address.ip(), limits.allow_loopback) {
            bail!("{host} is {}, {why}", address.ip());
        }
    }
    Ok(found)
}

fn refused(ip: IpAddr, allow_loopback: bool) -> Option<String> {
    refusal(ip, allow_loopback).map(|refusal| match refusal {
        Refusal::Loopback => "the pod itself, which has no artifacts".to_owned(),
        never @ Refusal::Never(_) => never.to_string(),
    })
}
