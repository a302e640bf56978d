//! Keptn's context: the flow that an event belongs to, always a UUID.

use sha2::{Digest, Sha256};

/// The context that an event names: as it is where it is a UUID, else the UUID that its hash makes (so that the same text is
/// always the same flow); and where it names none, the one that its source and id make.
pub fn of(named: Option<&str>, source: &str, id: &str) -> String {
    match named.map(str::trim).filter(|text| !text.is_empty()) {
        Some(text) if is_uuid(text) => text.to_ascii_lowercase(),
        Some(text) => uuid(&["context", text]),
        None => uuid(&["event", source, id]),
    }
}

/// Whether this is a UUID, written with its dashes.
pub fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

/// A UUID (version 8: made from a hash) that stands for these parts.
pub fn uuid(parts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part.len().to_le_bytes());
        digest.update(part);
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.finalize()[..16]);
    from_bytes(bytes)
}

/// A UUID (version 8) of these bytes.
pub fn from_bytes(bytes: [u8; 16]) -> String {
    let number = u128::from_be_bytes(bytes) & !(0xf << 76) & !(0x3 << 62) | 0x8 << 76 | 0x2 << 62;
    let hex = format!("{number:032x}");
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_stays_and_everything_else_becomes_one() {
        let own = "9281DDF3-304a-84d7-939f-e9b2876e4867";
        assert_eq!(of(Some(own), "s", "1"), own.to_lowercase());
        let hashed = of(Some("my-flow"), "s", "1");
        assert!(is_uuid(&hashed));
        assert_eq!(
            hashed,
            of(Some("my-flow"), "t", "2"),
            "the same text is the same flow"
        );
        let made = of(None, "s", "1");
        assert!(is_uuid(&made) && made == of(Some(" "), "s", "1") && made != of(None, "s", "2"));
    }
}
