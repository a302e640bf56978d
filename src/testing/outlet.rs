//! Sinks that take what the story lets them take.

use std::sync::{Arc, Mutex};

use futures::{FutureExt, future::BoxFuture};

use crate::{
    core::outbound::{Letter, Sink},
    effects::outlet::{Outlet, SendError, SinkName},
};

/// Says whether a sink takes a letter.
type Taker = Box<dyn FnMut(&SinkName, &Letter) -> Result<(), SendError> + Send>;

/// What was sent, to which sinks; clones are the same one.
#[derive(Clone)]
pub struct Post {
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    taker: Taker,
    taken: Vec<(SinkName, Letter)>,
    tried: usize,
}

impl Default for Post {
    fn default() -> Self {
        Self {
            shared: Arc::new(Mutex::new(Shared {
                taker: Box::new(|_, _| Ok(())),
                taken: Vec::new(),
                tried: 0,
            })),
        }
    }
}

impl Post {
    /// From now on, letters are taken or not as this says.
    pub fn takes(&self, taker: impl FnMut(&SinkName, &Letter) -> Result<(), SendError> + Send + 'static) {
        self.locked().taker = Box::new(taker);
    }

    /// From now on, no sink is there.
    pub fn is_down(&self) {
        self.takes(|_, _| {
            Err(SendError::Unavailable {
                why: "connection refused".to_owned(),
                after: None,
            })
        });
    }

    /// From now on, everything is taken.
    pub fn is_up(&self) {
        self.takes(|_, _| Ok(()));
    }

    /// What the sink of this name took, in order.
    pub fn taken(&self, sink: &str) -> Vec<Letter> {
        let shared = self.locked();
        let taken = shared.taken.iter().filter(|(name, _)| name.name == sink);
        taken.map(|(_, letter)| letter.clone()).collect()
    }

    /// How often anything was sent, taken or not.
    pub fn tried(&self) -> usize {
        self.locked().tried
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().expect("nobody panics while taking")
    }
}

impl Outlet for Post {
    fn send<'a>(
        &'a self,
        name: &'a SinkName,
        _: &'a Sink,
        letter: &'a Letter,
    ) -> BoxFuture<'a, Result<(), SendError>> {
        let mut shared = self.locked();
        shared.tried += 1;
        let answer = (shared.taker)(name, letter);
        if answer.is_ok() {
            shared.taken.push((name.clone(), letter.clone()));
        }
        std::future::ready(answer).boxed()
    }
}
