//! How far a run has come, as an order of what happens to it.

use std::{fmt, str::FromStr};

/// What can happen to a run or a task, in its order.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Step {
    /// It was asked for.
    Triggered,
    /// It began.
    Started,
    /// It was held back.
    Held,
    /// It ended.
    Finished,
}

impl Step {
    const ALL: [Self; 4] = [Self::Triggered, Self::Started, Self::Held, Self::Finished];

    /// The word, which is also the end of a CloudEvent's type.
    pub fn word(self) -> &'static str {
        match self {
            Self::Triggered => "triggered",
            Self::Started => "started",
            Self::Held => "held",
            Self::Finished => "finished",
        }
    }
}

/// Where in its story a run is. What happens to a run is told in this order, so that one position says what was told.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Position {
    /// At its beginning.
    Begun(Step),
    /// At one of its tasks.
    Task {
        /// The attempt, from 1.
        attempt: i32,
        /// The task's place in the sequence, from 0.
        task: usize,
        /// What happened.
        step: Step,
    },
    /// At its end.
    Ended,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begun(step) => write!(f, "begun.{}", step.word()),
            Self::Task { attempt, task, step } => write!(f, "{attempt}.{task}.{}", step.word()),
            Self::Ended => f.write_str("ended"),
        }
    }
}

/// This text is no position.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no position in a run's story")]
pub struct Unreadable;

impl FromStr for Position {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let step = |word: &str| Step::ALL.into_iter().find(|s| s.word() == word).ok_or(Unreadable);
        match text.split('.').collect::<Vec<_>>()[..] {
            ["ended"] => Ok(Self::Ended),
            ["begun", word] => Ok(Self::Begun(step(word)?)),
            [attempt, task, word] => Ok(Self::Task {
                attempt: attempt.parse().map_err(|_| Unreadable)?,
                task: task.parse().map_err(|_| Unreadable)?,
                step: step(word)?,
            }),
            _ => Err(Unreadable),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn positions() -> impl Strategy<Value = Position> {
        let step = || prop::sample::select(&Step::ALL[..]);
        prop_oneof![
            step().prop_map(Position::Begun),
            (1..2000, 0_usize..64, step()).prop_map(|(attempt, task, step)| Position::Task {
                attempt,
                task,
                step
            }),
            Just(Position::Ended),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(position in positions()) {
            prop_assert_eq!(position.to_string().parse(), Ok(position));
        }
    }

    #[rstest]
    #[case("begun.triggered", "begun.started")]
    #[case("begun.held", "1.0.triggered")]
    #[case("1.9.finished", "1.10.triggered")]
    #[case("9.3.finished", "10.0.triggered")]
    #[case("10.0.triggered", "10.0.started")]
    #[case("10.63.finished", "ended")]
    fn the_story_goes_forward(#[case] earlier: Position, #[case] later: Position) {
        assert!(earlier < later);
    }

    #[rstest]
    #[case("")]
    #[case("begun")]
    #[case("1.2.gone")]
    #[case("x.2.started")]
    #[case("1.2.started.")]
    fn no_position(#[case] text: &str) {
        assert_eq!(text.parse::<Position>(), Err(Unreadable));
    }
}
