//! placeholder
/// placeholder
pub async fn run(
    _c: std::sync::Arc<super::Context>,
    _m: std::sync::Arc<dyn crate::facts::metrics::MetricsSource>,
    _s: crate::facts::stores::Cache<crate::api::MetricsProvider>,
    _t: tokio_util::sync::CancellationToken,
) {
    std::future::pending::<()>().await
}
