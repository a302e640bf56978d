//! Waking objects of another controller: a bounded queue, and "all of them" when it is full.

use std::sync::Arc;

use futures::{Stream, StreamExt, stream};
use kube::{Resource, runtime::reflector::ObjectRef};
use tokio::sync::{Notify, mpsc};

const QUEUE: usize = 4096;

/// Wakes objects of a kind.
pub struct Wake<K: Resource<DynamicType = ()>> {
    queue: mpsc::Sender<ObjectRef<K>>,
    all: Arc<Notify>,
}

impl<K: Resource<DynamicType = ()>> Clone for Wake<K> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            all: self.all.clone(),
        }
    }
}

/// The receiving end.
pub struct Woken<K: Resource<DynamicType = ()>> {
    queue: mpsc::Receiver<ObjectRef<K>>,
    all: Arc<Notify>,
}

/// Both ends.
pub fn channel<K: Resource<DynamicType = ()>>() -> (Wake<K>, Woken<K>) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let all = Arc::new(Notify::new());
    (
        Wake {
            queue: sender,
            all: all.clone(),
        },
        Woken { queue: receiver, all },
    )
}

impl<K: Resource<DynamicType = ()>> Wake<K> {
    /// Has the object looked at again. When the queue is full, all objects are.
    pub fn wake(&self, object: ObjectRef<K>) {
        if self.queue.try_send(object).is_err() {
            self.all.notify_one();
        }
    }

    /// Has all objects looked at again.
    pub fn wake_all(&self) {
        self.all.notify_one();
    }
}

impl<K: Resource<DynamicType = ()> + Send + 'static> Woken<K> {
    /// The objects to look at, and the signal that all are to be.
    pub fn into_streams(
        self,
    ) -> (
        impl Stream<Item = ObjectRef<K>> + Send + 'static,
        impl Stream<Item = ()> + Send + Sync + 'static,
    ) {
        let single = stream::unfold(self.queue, |mut queue| async move {
            queue.recv().await.map(|o| (o, queue))
        });
        let all = stream::unfold(self.all, |all| async move {
            all.notified().await;
            Some(((), all))
        });
        (single.boxed(), all)
    }
}
