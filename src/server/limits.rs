//! How much may be asked at once, and by one client.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use tokio::time::Instant;

/// So many clients are known at once.
const CLIENTS: usize = 1024;

/// How often each client may ask: so many times a second, and so many at once after a rest.
pub struct Rates {
    per_second: f64,
    burst: f64,
    clients: Mutex<HashMap<String, Bucket>>,
}

#[derive(Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Rates {
    /// So many times a second, and so many at once.
    pub fn new(per_second: u32, burst: u32) -> Self {
        Self {
            per_second: f64::from(per_second),
            burst: f64::from(burst),
            clients: Mutex::new(HashMap::new()),
        }
    }

    /// Whether this client may ask now; if so, it has asked.
    pub fn allow(&self, client: &str) -> bool {
        let now = Instant::now();
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if clients.len() >= CLIENTS && !clients.contains_key(client) {
            self.make_room(&mut clients, now);
        }
        let bucket = clients.entry(client.to_owned()).or_insert(Bucket {
            left: self.burst,
            at: now,
        });
        bucket.left = self.refilled(*bucket, now);
        bucket.at = now;
        let allowed = bucket.left >= 1.0;
        if allowed {
            bucket.left -= 1.0;
        }
        allowed
    }

    fn refilled(&self, bucket: Bucket, now: Instant) -> f64 {
        let rested = now.duration_since(bucket.at).as_secs_f64();
        rested.mul_add(self.per_second, bucket.left).min(self.burst)
    }

    /// Forgets who has rested long enough to be as good as new; where nobody has, who asked longest ago.
    fn make_room(&self, clients: &mut HashMap<String, Bucket>, now: Instant) {
        clients.retain(|_, bucket| self.refilled(*bucket, now) < self.burst);
        if clients.len() >= CLIENTS {
            let oldest = clients.iter().min_by_key(|(_, bucket)| bucket.at);
            if let Some(oldest) = oldest.map(|(client, _)| client.clone()) {
                clients.remove(&oldest);
            }
        }
    }
}

/// One client, by its address; of IPv6 its network, which one client may have all of.
pub fn client_of(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => {
            let s = ip.segments();
            format!("{:x}:{:x}:{:x}:{:x}::/64", s[0], s[1], s[2], s[3])
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_is_held_to_its_rate_and_others_are_not() {
        let rates = Rates::new(2, 3);
        let asked = |client: &str, times: usize| (0..times).filter(|_| rates.allow(client)).count();
        assert_eq!(asked("a", 10), 3);
        assert_eq!(asked("b", 1), 1);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(asked("a", 10), 2);
        tokio::time::advance(Duration::from_mins(1)).await;
        assert_eq!(asked("a", 10), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn the_table_is_bounded() {
        let rates = Rates::new(1, 2);
        for i in 0..3 * CLIENTS {
            assert!(rates.allow(&i.to_string()));
        }
        assert!(rates.clients.lock().unwrap().len() <= CLIENTS);
    }

    #[test]
    fn an_ipv6_network_is_one_client() {
        let client = |ip: &str| client_of(ip.parse().unwrap());
        assert_eq!(client("2001:db8::1"), client("2001:db8::ffff:2"));
        assert_ne!(client("2001:db8::1"), client("2001:db8:1::1"));
        assert_eq!(client("::ffff:10.0.0.1"), "10.0.0.1");
    }
}
