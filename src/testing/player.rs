//! Job controller and kubelet in one, played from a script, on the server's storage: nothing that they do is counted as
//! the operator's. Times are those of the real ones: a pod tells at once, a Job about a second later.

mod acts;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::future::BoxFuture;
use k8s_openapi::api::batch::v1::Job;

use super::ApiServer;

/// What becomes of one Job's pod.
#[derive(Clone)]
pub struct Play {
    pub(super) pod: Pod,
    /// From the Job's creation to the container's start.
    pub(super) starts_after: Duration,
    /// From the container's start to its end; `None`: it never ends.
    pub(super) runs: Option<Duration>,
    pub(super) exit_code: i32,
    pub(super) message: Option<String>,
    /// A second container that goes on when ours has ended.
    pub(super) sidecar: bool,
    /// The Job controller's delay; `None`: it is down.
    pub(super) job_after: Option<Duration>,
    pub(super) on_end: Option<Deed>,
    pub(super) work: Option<Work>,
}

/// Something that happens in the world.
type Deed = Arc<dyn Fn(&ApiServer, &Job) + Send + Sync>;

/// A program: its exit code and termination message.
type Work = Arc<dyn Fn(ApiServer, Job) -> BoxFuture<'static, (i32, String)> + Send + Sync>;

/// How the pod comes to life.
#[derive(Clone, Debug)]
pub(super) enum Pod {
    Starts,
    /// The container waits for this reason and message.
    Waits(String, String),
    Unschedulable(String),
    /// The Job controller can't create one.
    Refused(String),
    /// It is evicted before its container starts.
    EvictedBeforeStart,
    /// It is evicted instead of ending by itself.
    EvictedWhileRunning,
}

impl Play {
    /// The container starts after half a second and exits two seconds later.
    pub fn exits(exit_code: i32) -> Self {
        Self {
            pod: Pod::Starts,
            starts_after: Duration::from_millis(500),
            runs: Some(Duration::from_secs(2)),
            exit_code,
            message: None,
            sidecar: false,
            job_after: Some(Duration::from_secs(1)),
            on_end: None,
            work: None,
        }
    }

    /// The container runs this program, for as long as that takes.
    pub fn works<F>(program: impl Fn(ApiServer, Job) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = (i32, String)> + Send + 'static,
    {
        Self {
            work: Some(Arc::new(move |server, job| Box::pin(program(server, job)))),
            ..Self::exits(0)
        }
    }

    /// The container never ends by itself.
    pub fn hangs() -> Self {
        Self {
            runs: None,
            ..Self::exits(0)
        }
    }

    /// The pod is there, but its container never starts: `ErrImagePull`, `CreateContainerConfigError`.
    pub fn never_starts(reason: &str, message: &str) -> Self {
        Self {
            pod: Pod::Waits(reason.to_owned(), message.to_owned()),
            ..Self::exits(0)
        }
    }

    /// No node takes the pod.
    pub fn unschedulable(message: &str) -> Self {
        Self {
            pod: Pod::Unschedulable(message.to_owned()),
            ..Self::exits(0)
        }
    }

    /// The Job controller may not create the pod: a quota, or a service account that is missing.
    pub fn no_pod(message: &str) -> Self {
        Self {
            pod: Pod::Refused(message.to_owned()),
            ..Self::exits(0)
        }
    }

    /// The pod is evicted before its container starts.
    pub fn evicted_before_start() -> Self {
        Self {
            pod: Pod::EvictedBeforeStart,
            ..Self::exits(137)
        }
    }

    /// The pod is evicted when it has run for the given time.
    pub fn evicted_after(runs: Duration) -> Self {
        Self {
            pod: Pod::EvictedWhileRunning,
            ..Self::exits(137).running(runs)
        }
    }

    /// The container runs so long.
    #[must_use]
    pub fn running(mut self, runs: Duration) -> Self {
        self.runs = Some(runs);
        self
    }

    /// The container starts so long after the Job's creation.
    #[must_use]
    pub fn starting_after(mut self, length: Duration) -> Self {
        self.starts_after = length;
        self
    }

    /// The container's termination message.
    #[must_use]
    pub fn saying(mut self, message: &str) -> Self {
        self.message = Some(message.to_owned());
        self
    }

    /// An injected second container never ends, so neither does the Job.
    #[must_use]
    pub fn with_sidecar(mut self) -> Self {
        self.sidecar = true;
        self
    }

    /// The Job's status follows the pod's after so long.
    #[must_use]
    pub fn job_tells_after(mut self, length: Duration) -> Self {
        self.job_after = Some(length);
        self
    }

    /// The Job's status never tells the end.
    #[must_use]
    pub fn job_never_tells(mut self) -> Self {
        self.job_after = None;
        self
    }

    /// What the container's work changed in the world, done when it ends by itself.
    #[must_use]
    pub fn and_then(mut self, deed: impl Fn(&ApiServer, &Job) + Send + Sync + 'static) -> Self {
        self.on_end = Some(Arc::new(deed));
        self
    }
}

/// Chooses what becomes of a Job.
pub type Script = Arc<dyn Fn(&Job) -> Play + Send + Sync>;

/// Plays Jobs; clones are the same one.
#[derive(Clone)]
pub struct Player {
    server: ApiServer,
    script: Arc<Mutex<Script>>,
}

impl Player {
    /// Starts to play: until the script says otherwise, every container exits 0.
    pub fn start(server: ApiServer) -> Self {
        let script: Script = Arc::new(|_: &Job| Play::exits(0));
        let player = Self {
            server,
            script: Arc::new(Mutex::new(script)),
        };
        tokio::spawn(player.clone().run());
        player
    }

    /// From now on, new Jobs follow this script.
    pub fn script(&self, script: impl Fn(&Job) -> Play + Send + Sync + 'static) {
        *self.script.lock().expect("nobody panics while choosing") = Arc::new(script);
    }

    fn choose(&self, job: &Job) -> Play {
        let script = self.script.lock().expect("nobody panics while choosing").clone();
        script(job)
    }

    async fn run(self) {
        let mut changed = self.server.changed();
        let mut seen = 0;
        loop {
            changed.borrow_and_update();
            for job in self.server.created_since::<Job>(&mut seen) {
                let play = self.choose(&job);
                tokio::spawn(acts::Stage::new(self.server.clone(), &job).perform(job, play));
            }
            if changed.changed().await.is_err() {
                return;
            }
        }
    }
}

/// Whether a Job's container has this argument, command, image or environment value: for scripts.
pub fn mentions(job: &Job, text: &str) -> bool {
    let pod = job.spec.as_ref().and_then(|s| s.template.spec.as_ref());
    pod.is_some_and(|p| serde_json::to_string(&p.containers).is_ok_and(|json| json.contains(text)))
}
