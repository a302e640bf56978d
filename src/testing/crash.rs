//! One story, crashed before and after each of its writes.

use std::{fmt, rc::Rc, time::Duration};

use futures::future::{BoxFuture, LocalBoxFuture};

use super::{Call, Fault, Operator, Seat, World};

/// Where the operator crashes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CrashPoint {
    /// At its k-th write, from 1.
    pub write: usize,
    /// Whether the write took effect.
    pub after: bool,
}

impl fmt::Display for CrashPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "crash {} write {}",
            if self.after { "after" } else { "before" },
            self.write
        )
    }
}

/// A story that can be told again and again.
#[derive(Clone)]
pub struct Scenario<T> {
    /// Sets the stage; the operator is not yet there.
    pub setup: Rc<dyn Fn(&World)>,
    /// The operator's main function.
    pub operator: Rc<dyn Fn(Seat, &World) -> BoxFuture<'static, ()>>,
    /// What happens once the operator runs, until the story is at its end.
    pub story: Rc<dyn Fn(World) -> LocalBoxFuture<'static, ()>>,
    /// How long a crashed operator is away.
    pub away: Duration,
    /// What is to be the same, however often the operator crashed.
    pub outcome: Rc<dyn Fn(&World) -> T>,
}

/// How one telling came out.
#[derive(Debug)]
pub struct Told<T> {
    /// Where the operator crashed.
    pub crashes: Vec<CrashPoint>,
    /// What was asked at those writes.
    pub at: Vec<String>,
    /// How many writes the operator made in all.
    pub writes: usize,
    /// How it came out.
    pub outcome: T,
}

impl<T> Scenario<T> {
    /// Tells the story; the operator crashes at each of these points, and comes back.
    pub fn tell(&self, crashes: &[CrashPoint]) -> Told<T> {
        let crashes = crashes.to_vec();
        World::run(async |world: World| {
            (self.setup)(&world);
            let plan = crashes.clone();
            let (noted, notes) = std::sync::mpsc::channel();
            world.server.on_request(move |call: &Call| {
                let point = call.write.and_then(|k| plan.iter().find(|p| p.write == k));
                let Some(point) = point else { return Fault::Proceed };
                drop(noted.send(call.label()));
                if point.after {
                    Fault::CrashAfter
                } else {
                    Fault::CrashBefore
                }
            });
            let told = (self.story)(world.clone());
            let kept_alive = self.keep_alive(&world);
            tokio::select! {
                () = told => {}
                () = kept_alive => {}
            }
            Told {
                crashes: crashes.clone(),
                at: notes.try_iter().collect(),
                writes: world.server.writes().len(),
                outcome: (self.outcome)(&world),
            }
        })
    }

    /// Starts the operator, and again whenever it has crashed.
    async fn keep_alive(&self, world: &World) {
        let mut incarnation = 1;
        loop {
            let operator: Operator = world.start(&format!("operator-{incarnation}"), |seat| {
                (self.operator)(seat, world)
            });
            operator.dead().await;
            incarnation += 1;
            tokio::time::sleep(self.away).await;
        }
    }

    /// Tells the story once undisturbed, then crashed before and after each write; `check` compares each with the
    /// undisturbed one. Says how many tellings there were.
    pub fn crash_everywhere(&self, mut check: impl FnMut(&Told<T>, &Told<T>)) -> usize {
        let golden = self.tell(&[]);
        let points =
            (1..=golden.writes).flat_map(|write| [false, true].map(|after| CrashPoint { write, after }));
        let mut tellings = 1;
        for point in points {
            check(&golden, &self.tell(&[point]));
            tellings += 1;
        }
        tellings
    }
}
