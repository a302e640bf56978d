//! Names that follow from what they name, so that the same thing never gets two, and that can't be too long.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::api::Scope;

/// The longest DNS label.
pub const LABEL_MAX: usize = 63;
/// The longest name of a SequenceExecution; its Jobs' and Evaluations' names are made from parts of it.
pub const EXECUTION_MAX: usize = 52;
const HASH_LENGTH: usize = 10;
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// What makes a Job the one it is: there is at most one Job for each key.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct JobKey<'a> {
    /// The SequenceExecution's uid.
    pub execution_uid: &'a str,
    /// The attempt, from 1.
    pub attempt: i32,
    /// The sequence's task, by its index.
    pub task: usize,
    /// The action: [`crate::core::jobs::matching::Matched::index`], which tells apart the actions of several JobConfigs.
    pub action: usize,
    /// The action's Job, by its index.
    pub job: usize,
    /// The try, from 1.
    pub try_: i32,
}

/// A text that is no Job's key.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "{0:?} is no key of a Job: it must be <execution uid>/<attempt>/<task>/<action>/<job>/<try>, as in COXSWAIN_KEY"
)]
pub struct ParseKeyError(String);

impl<'a> JobKey<'a> {
    /// Reads what [`JobKey`] prints.
    pub fn parse(text: &'a str) -> Result<Self, ParseKeyError> {
        Self::read(text).ok_or_else(|| ParseKeyError(text.to_owned()))
    }

    fn read(text: &'a str) -> Option<Self> {
        let mut parts = text.split('/');
        let key = Self {
            execution_uid: parts.next().filter(|uid| !uid.is_empty())?,
            attempt: parts.next()?.parse().ok()?,
            task: parts.next()?.parse().ok()?,
            action: parts.next()?.parse().ok()?,
            job: parts.next()?.parse().ok()?,
            try_: parts.next()?.parse().ok()?,
        };
        parts.next().is_none().then_some(key)
    }
}

/// The value of the annotation `coxswain.dev/key`: `<execution uid>/<attempt>/<task>/<action>/<job>/<try>`.
impl fmt::Display for JobKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            execution_uid,
            attempt,
            task,
            action,
            job,
            try_,
        } = self;
        write!(f, "{execution_uid}/{attempt}/{task}/{action}/{job}/{try_}")
    }
}

/// A Job's name: `<service>-<task>-<hash of the key>`, at most 52 characters, which leaves room for its pod's suffix.
pub fn job_name(service: &str, task: &str, key: &JobKey) -> String {
    format!(
        "{}-{}-{}",
        label_part(service, 20),
        label_part(task, 20),
        hash(&[&key.to_string()])
    )
}

/// The name of a problem's run: `<problem>-<run>-<hash>`, at most 52 characters.
pub fn execution_name(problem_name: &str, problem_uid: &str, run: u32) -> String {
    let run = run.to_string();
    format!(
        "{}-{run}-{}",
        label_part(problem_name, 30),
        hash(&[problem_uid, &run])
    )
}

/// The name of the first run of a Delivery's generation: `<delivery>-<generation>-<hash>`, at most 52 characters.
pub fn delivery_run_name(delivery_name: &str, delivery_uid: &str, generation: i64) -> String {
    let generation = generation.to_string();
    let room = EXECUTION_MAX - HASH_LENGTH - generation.len() - 2;
    format!(
        "{}-{generation}-{}",
        label_part(delivery_name, room.min(30)),
        hash(&[delivery_uid, &generation])
    )
}

/// The name of the run that a `triggeredOn` rule starts when another ends: `<service>-<sequence>-<hash>`, at most 52
/// characters. The same rule of the same parent gives the same name.
pub fn follow_up_name(service: &str, stage: &str, sequence: &str, parent_uid: &str) -> String {
    let hash = hash(&[parent_uid, stage, sequence]);
    format!("{}-{}-{hash}", label_part(service, 20), label_part(sequence, 20))
}

/// The name of a task's Evaluation: `<execution>-<attempt>-<hash>`, at most 63 characters.
pub fn evaluation_name(
    execution_name: &str,
    execution_uid: &str,
    attempt: i32,
    task: usize,
    try_: i32,
) -> String {
    let hash = hash(&[
        execution_uid,
        &attempt.to_string(),
        &task.to_string(),
        &try_.to_string(),
    ]);
    format!("{}-{attempt}-{hash}", label_part(execution_name, 40))
}

/// The name of an imported definition: `<project>-<stage>-<service>`, as far as its scope goes, at most 52 characters.
/// Where the dashes don't tell which part is what, or the name would be longer, a hash of the scope ends it: so that two
/// scopes never get one name.
pub fn definition_name(scope: &Scope) -> String {
    let parts = scope_parts(scope);
    let plain = parts.join("-");
    let no_dashes = |parts: &[&str]| parts.iter().all(|part| !part.contains('-'));
    let told_apart = match (&scope.stage, &scope.service) {
        (_, None) => no_dashes(&parts),
        (None, Some(_)) => false,
        (Some(_), Some(_)) => no_dashes(&parts[..2]),
    };
    if told_apart && plain.len() <= EXECUTION_MAX {
        return plain;
    }
    format!("{}-{}", label_part(&plain, 41), scope_hash(scope, ""))
}

/// The name of the ConfigMap with an imported directory's files: `<scope>-<directory>-<hash>`, at most 52 characters.
pub fn files_name(scope: &Scope, directory: &str) -> String {
    let of = scope_parts(scope).pop().unwrap_or_default();
    let readable = format!("{}-{directory}", label_part(of, 20));
    format!("{}-{}", label_part(&readable, 41), scope_hash(scope, directory))
}

fn scope_parts(scope: &Scope) -> Vec<&str> {
    [Some(&scope.project), scope.stage.as_ref(), scope.service.as_ref()]
        .into_iter()
        .flatten()
        .map(String::as_str)
        .collect()
}

fn scope_hash(scope: &Scope, more: &str) -> String {
    let part = |part: &Option<String>| part.clone().unwrap_or_default();
    hash(&[&scope.project, &part(&scope.stage), &part(&scope.service), more])
}

/// The name of the question that a task puts: `<execution>-<attempt>-<hash>`, at most 63 characters.
pub fn approval_name(execution_name: &str, execution_uid: &str, attempt: i32, task: usize) -> String {
    evaluation_name(execution_name, execution_uid, attempt, task, 1)
}

/// The name of the run that repeats another: `<execution>-<hash>`, at most 52 characters.
pub fn retry_name(execution_name: &str, execution_uid: &str, id: &str) -> String {
    let hash = hash(&[execution_uid, "retry", id]);
    format!("{}-{hash}", label_part(execution_name, 40))
}

/// What stands for one kind of problem on one service of a namespace: its title and its root cause.
pub fn problem_label(project: &str, stage: &str, service: &str, title: &str, cause: Option<&str>) -> String {
    hash(&[project, stage, service, title, cause.unwrap_or_default()])
}

/// The name of the problem that alerts open after the one of uid `after`, which is empty where there was none:
/// `<service>-<title>-<hash>`, at most 52 characters.
pub fn problem_name(service: &str, title: &str, label: &str, after: &str) -> String {
    let hash = hash(&[label, "problem", after]);
    format!("{}-{}-{hash}", label_part(service, 20), label_part(title, 20))
}

/// The name of what an event asks for: `<service>-<what>-<hash>`, at most 52 characters. An event is the same as another
/// when its source and id are.
pub fn event_name(service: &str, what: &str, source: &str, id: &str) -> String {
    let hash = hash(&["event", source, id]);
    format!("{}-{}-{hash}", label_part(service, 20), label_part(what, 20))
}

/// What the API server may add five characters to (`generateName`): readable, at most 46 characters with the dash.
pub fn generated(parts: &[&str]) -> String {
    let readable: Vec<String> = parts.iter().map(|part| label_part(part, 22)).collect();
    format!("{}-", label_part(&readable.join("-"), 45))
}

/// Whether this is a DNS label: 1 to 63 of `a-z`, `0-9` and `-`, with `-` neither first nor last.
pub fn is_dns_label(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=LABEL_MAX).contains(&name.len())
        && name.bytes().all(inner)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// At most `max` characters of `text` that can stand in a DNS label; `x` when none can.
fn label_part(text: &str, max: usize) -> String {
    let mut part = String::with_capacity(max);
    for c in text.chars() {
        let c = c.to_ascii_lowercase();
        let c = if c.is_ascii_lowercase() || c.is_ascii_digit() {
            c
        } else {
            '-'
        };
        if c == '-' && (part.is_empty() || part.ends_with('-')) {
            continue;
        }
        if part.len() == max {
            break;
        }
        part.push(c);
    }
    part.truncate(part.trim_end_matches('-').len());
    if part.is_empty() { "x".to_owned() } else { part }
}

/// Fifty bits that stand for `parts`, in base 32. Each part is preceded by its length, so that no two lists of parts
/// are hashed as the same bytes.
fn hash(parts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part.len().to_le_bytes());
        digest.update(part);
    }
    digest
        .finalize()
        .iter()
        .take(HASH_LENGTH)
        .map(|b| char::from(BASE32[usize::from(b & 31)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn key(uid: &str) -> JobKey<'_> {
        JobKey {
            execution_uid: uid,
            attempt: 2,
            task: 1,
            action: 0,
            job: 3,
            try_: 1,
        }
    }

    #[test]
    fn a_key_reads_from_the_execution_down_to_the_try() {
        assert_eq!(key("5f1c").to_string(), "5f1c/2/1/0/3/1");
    }

    #[test]
    fn generated_names_leave_room_for_what_is_added() {
        assert_eq!(generated(&["cart", "Slow main page!"]), "cart-slow-main-page-");
        assert!(generated(&[&"x".repeat(99), &"y".repeat(99)]).len() <= 46);
    }

    #[test]
    fn names_tell_people_what_they_name() {
        let job = job_name("helloservice", "je-test", &key("5f1c"));
        assert!(job.starts_with("helloservice-je-test-"), "{job}");
        let run = execution_name("helloservice-slow", "9a", 2);
        assert!(run.starts_with("helloservice-slow-2-"), "{run}");
        let delivered = delivery_run_name("cart", "9a", 7);
        assert!(delivered.starts_with("cart-7-"), "{delivered}");
        assert!(evaluation_name(&run, "5f1c", 3, 3, 1).starts_with("helloservice-slow-2-"));
    }

    #[test]
    fn a_name_stays_the_same_from_one_version_to_the_next() {
        // A changed hash would start a second Job after an update of the operator.
        assert_eq!(
            job_name("helloservice", "action", &key("5f1c")),
            "helloservice-action-eekqvkhjst"
        );
    }

    #[rstest]
    #[case("shop", None, None, "shop")]
    #[case("shop", Some("qa"), None, "shop-qa")]
    #[case("shop", Some("qa"), Some("my-cart"), "shop-qa-my-cart")]
    #[case::dashes("my-shop", None, None, "my-shop-#")]
    #[case::no_stage("shop", None, Some("cart"), "shop-cart-#")]
    #[case::dashes("my-shop", Some("qa"), Some("cart"), "my-shop-qa-cart-#")]
    fn definitions_are_named_by_their_scope(
        #[case] project: &str,
        #[case] stage: Option<&str>,
        #[case] service: Option<&str>,
        #[case] expected: &str,
    ) {
        let name = definition_name(&scope(project, stage, service));
        match expected.strip_suffix('#') {
            None => assert_eq!(name, expected),
            Some(start) => assert_eq!(
                name.strip_prefix(start).map(str::len),
                Some(HASH_LENGTH),
                "{name}"
            ),
        }
    }

    fn scope(project: &str, stage: Option<&str>, service: Option<&str>) -> Scope {
        Scope {
            project: project.to_owned(),
            stage: stage.map(str::to_owned),
            service: service.map(str::to_owned),
        }
    }

    #[rstest]
    #[case("Je_Test", "je-test")]
    #[case("--a..b--", "a-b")]
    #[case("äöü", "x")]
    #[case("", "x")]
    #[case("a-very-long-service-name", "a-very-long-service")]
    fn any_text_becomes_part_of_a_label(#[case] text: &str, #[case] part: &str) {
        assert_eq!(label_part(text, 20), part);
    }

    #[rstest]
    #[case("a", true)]
    #[case("0-a", true)]
    #[case("", false)]
    #[case("-a", false)]
    #[case("a-", false)]
    #[case("A", false)]
    #[case("a.b", false)]
    fn knows_a_dns_label(#[case] name: &str, #[case] is: bool) {
        assert_eq!(is_dns_label(name), is);
    }

    #[test]
    fn a_label_has_at_most_63_characters() {
        assert!(is_dns_label(&"a".repeat(63)));
        assert!(!is_dns_label(&"a".repeat(64)));
    }

    proptest! {
        #[test]
        fn no_two_scopes_have_one_name(scopes in proptest::collection::hash_set(
            ("[a-c]{1,2}(-[a-c])?", proptest::option::of("[a-c]{1,2}(-[a-c]{1,30})?"), proptest::option::of("[a-c](-[a-c]){0,2}")), 1..100)
        ) {
            let scopes = scopes.iter().map(|(p, st, se)| scope(p, st.as_deref(), se.as_deref()));
            let names: Vec<_> = scopes.map(|s| (definition_name(&s), files_name(&s, "charts"))).collect();
            for (definition, files) in &names {
                prop_assert!(is_dns_label(definition) && definition.len() <= EXECUTION_MAX, "{definition}");
                prop_assert!(is_dns_label(files) && files.len() <= EXECUTION_MAX, "{files}");
            }
            let distinct = |names: HashSet<&String>| names.len();
            prop_assert_eq!(distinct(names.iter().map(|n| &n.0).collect()), names.len());
            prop_assert_eq!(distinct(names.iter().map(|n| &n.1).collect()), names.len());
        }

        #[test]
        fn every_name_is_a_label_that_fits(
            a in ".{0,80}", b in ".{0,80}", uid in ".{0,50}", n in any::<i32>(), m in any::<usize>(), run in any::<u32>()
        ) {
            let key = JobKey { execution_uid: &uid, attempt: n, task: m, action: m, job: m, try_: n };
            let job = job_name(&a, &b, &key);
            prop_assert!(is_dns_label(&job) && job.len() <= EXECUTION_MAX, "{job}");
            let first = delivery_run_name(&a, &uid, i64::from(n).wrapping_mul(i64::from(run)));
            for execution in [
                execution_name(&a, &uid, run), follow_up_name(&a, &b, &b, &uid), retry_name(&a, &uid, &b), first,
            ] {
                prop_assert!(is_dns_label(&execution) && execution.len() <= EXECUTION_MAX, "{execution}");
            }
            let evaluation = evaluation_name(&a, &uid, n, m, n);
            prop_assert!(is_dns_label(&evaluation), "{evaluation}");
        }

        #[test]
        fn different_keys_give_different_names(
            keys in proptest::collection::hash_set(("[a-f0-9/]{0,6}", 0..3i32, 0..3usize, 0..3usize, 0..3usize, 0..3i32), 1..100)
        ) {
            let names: HashSet<_> = keys
                .iter()
                .map(|(uid, attempt, task, action, job, try_)| {
                    let key = JobKey { execution_uid: uid, attempt: *attempt, task: *task, action: *action, job: *job, try_: *try_ };
                    job_name("s", "t", &key)
                })
                .collect();
            prop_assert_eq!(names.len(), keys.len());
        }

        #[test]
        fn different_runs_give_different_names(a in "[a-z0-9]{0,8}", b in "[a-z0-9]{0,8}", m in 0..12u32, n in 0..12u32) {
            let same = execution_name("p", &a, m) == execution_name("p", &b, n);
            prop_assert_eq!(same, (a, m) == (b, n));
        }
    }
}
