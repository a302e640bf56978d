//! What Alertmanager posts: its webhook's version 4.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// The longest fingerprint that is kept as it is; Alertmanager's own has 16 characters.
const FINGERPRINT_MAX: usize = 64;

/// One message: a group of alerts.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// How many alerts of the group were left out of it (`max_alerts`).
    #[serde(default)]
    pub truncated_alerts: u32,
    /// The alerts, firing and resolved ones.
    pub alerts: Vec<Alert>,
}

/// One alert.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    /// `firing` or `resolved`.
    #[serde(default)]
    pub status: String,
    /// What tells it from others.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// What people read.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    #[serde(default)]
    starts_at: String,
    #[serde(default)]
    ends_at: String,
    /// Where Prometheus shows the rule.
    #[serde(default, rename = "generatorURL")]
    pub generator_url: String,
    #[serde(default)]
    fingerprint: String,
}

impl Alert {
    /// Whether it is over.
    pub fn is_resolved(&self) -> bool {
        self.status == "resolved"
    }

    /// A label, where it has a value.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels
            .get(name)
            .map(String::as_str)
            .filter(|v| !v.is_empty())
    }

    /// An annotation, where it has a value.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        let found = self.annotations.get(name).map(String::as_str);
        found.filter(|v| !v.is_empty())
    }

    /// The alert's name; empty where it has none.
    pub fn name(&self) -> &str {
        self.label("alertname").unwrap_or_default()
    }

    /// Since when it fires. The beginning of time where that can't be read: it must be the same each time it is sent.
    pub fn started(&self) -> Timestamp {
        micros(self.starts_at.parse().unwrap_or(Timestamp::UNIX_EPOCH))
    }

    /// When it was resolved.
    pub fn ended(&self) -> Timestamp {
        micros(self.ends_at.parse().unwrap_or(Timestamp::UNIX_EPOCH)).max(self.started())
    }

    /// What tells it from others: Alertmanager's fingerprint, or a hash of the labels where there is none that can be used.
    pub fn fingerprint(&self) -> String {
        let own = &self.fingerprint;
        if (1..=FINGERPRINT_MAX).contains(&own.len()) && own.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return own.clone();
        }
        let mut digest = Sha256::new();
        for text in self.labels.iter().flat_map(|(name, value)| [name, value]) {
            digest.update(text.len().to_le_bytes());
            digest.update(text);
        }
        let bytes = digest.finalize();
        bytes.iter().take(8).map(|b| format!("{b:02x}")).collect()
    }
}

/// What the API server keeps of a time; years that it can't write count as the beginning.
fn micros(time: Timestamp) -> Timestamp {
    let whole = Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(Timestamp::UNIX_EPOCH);
    if (Timestamp::UNIX_EPOCH.as_second()..253_402_000_000).contains(&whole.as_second()) {
        whole
    } else {
        Timestamp::UNIX_EPOCH
    }
}

/// Reads a message.
///
/// # Errors
/// What is wrong with a body that is no such message, for people.
pub fn read(body: &[u8]) -> Result<Webhook, String> {
    serde_json::from_slice(body).map_err(|error| {
        format!(
            "the body is no message of Alertmanager's webhook: {error}; let a webhook_config of Alertmanager send it, or send {{\"version\": \"4\", \"alerts\": [{{\"status\": \"firing\", \"labels\": {{...}}, \"startsAt\": \"...\"}}]}}"
        )
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn alert(value: serde_json::Value) -> Alert {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_message_is_read_whole() {
        let body = json!({
            "version": "4", "groupKey": "{}:{}", "truncatedAlerts": 3, "status": "firing", "receiver": "coxswain",
            "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://am",
            "alerts": [
                {"status": "firing", "labels": {"alertname": "Slow"}, "annotations": {"summary": "s"},
                 "startsAt": "2026-01-05T09:00:00.1234567Z", "endsAt": "0001-01-01T00:00:00Z",
                 "generatorURL": "http://p/graph", "fingerprint": "c8dcb5c4a1e56a0b"},
                {"status": "resolved", "labels": {}, "startsAt": "2026-01-05T09:00:00Z", "endsAt": "2026-01-05T09:05:00Z"},
            ],
        });
        let read = read(body.to_string().as_bytes()).unwrap();
        assert_eq!((read.truncated_alerts, read.alerts.len()), (3, 2));
        let (first, second) = (&read.alerts[0], &read.alerts[1]);
        assert_eq!((first.name(), first.is_resolved()), ("Slow", false));
        assert_eq!(first.fingerprint(), "c8dcb5c4a1e56a0b");
        assert_eq!(first.started().to_string(), "2026-01-05T09:00:00.123456Z");
        assert!(second.is_resolved());
        assert_eq!(second.ended().to_string(), "2026-01-05T09:05:00Z");
    }

    #[test]
    fn without_a_fingerprint_the_labels_tell_alerts_apart() {
        let one = alert(json!({"labels": {"a": "bc"}}));
        let two = alert(json!({"labels": {"ab": "c"}}));
        assert_eq!(one.fingerprint().len(), 16);
        assert_eq!(one.fingerprint(), one.clone().fingerprint());
        assert_ne!(one.fingerprint(), two.fingerprint());
        let odd = alert(json!({"labels": {"a": "bc"}, "fingerprint": "../x"}));
        assert_eq!(odd.fingerprint(), one.fingerprint());
    }

    #[rstest]
    #[case("")]
    #[case("[]")]
    #[case("{}")]
    #[case(r#"{"alerts": {}}"#)]
    #[case(r#"{"alerts": [{"labels": {"a": 1}}]}"#)]
    fn what_is_no_message_is_refused_with_the_remedy(#[case] body: &str) {
        let refused = read(body.as_bytes()).unwrap_err();
        assert!(refused.contains("webhook_config"), "{refused}");
    }

    #[rstest]
    #[case("-009999-01-01T00:00:00Z")]
    #[case("9999-12-31T23:59:59Z")]
    #[case("yesterday")]
    fn odd_times_are_the_beginning(#[case] time: &str) {
        assert_eq!(alert(json!({"startsAt": time})).started(), Timestamp::UNIX_EPOCH);
    }
}
