//! The namespaces that the operator works in: all of the cluster, or those of a list, each with a watch of its own.
//!
//! With a list nothing is asked of the whole cluster, so Roles are enough.

use std::{
    collections::{BTreeSet, VecDeque},
    fmt::Debug,
    str::FromStr,
};

use futures::{
    Stream, StreamExt,
    stream::{self, BoxStream, SelectAll, select_all},
};
use kube::{
    Api, Client, Resource,
    core::NamespaceResourceScope,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};
use serde::de::DeserializeOwned;

/// The namespaces that the operator works in.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Namespaces {
    /// All of the cluster.
    #[default]
    All,
    /// These, and nothing is asked of others.
    Only(BTreeSet<String>),
}

/// A namespace can't be called so.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is no namespace: give their names, separated by commas, such as shop,shop-staging")]
pub struct NoNamespace(String);

impl FromStr for Namespaces {
    type Err = NoNamespace;

    /// Names, separated by commas. No name at all means every namespace.
    fn from_str(text: &str) -> Result<Self, NoNamespace> {
        if text.trim().is_empty() {
            return Ok(Self::All);
        }
        let name = |part: &str| {
            let part = part.trim();
            let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            let fits = (1..=63).contains(&part.len()) && part.chars().all(inner);
            let fits = fits && !part.starts_with('-') && !part.ends_with('-');
            fits.then(|| part.to_owned())
                .ok_or_else(|| NoNamespace(part.to_owned()))
        };
        text.split(',')
            .map(name)
            .collect::<Result<_, _>>()
            .map(Self::Only)
    }
}

impl Namespaces {
    /// This one.
    pub fn one(name: &str) -> Self {
        Self::Only(BTreeSet::from([name.to_owned()]))
    }

    /// These, and one more.
    #[must_use]
    pub fn and(&self, one: &str) -> Self {
        match self {
            Self::All => Self::All,
            Self::Only(names) => Self::Only(names.iter().cloned().chain([one.to_owned()]).collect()),
        }
    }

    /// What a list has to be asked of, one after the other: the whole cluster, or each namespace.
    pub fn apis<K>(&self, client: &Client, resource: &K::DynamicType) -> Vec<Api<K>>
    where
        K: Resource<Scope = kube::core::DynamicResourceScope>,
    {
        match self {
            Self::All => vec![Api::all_with(client.clone(), resource)],
            Self::Only(names) => names
                .iter()
                .map(|name| Api::namespaced_with(client.clone(), name, resource))
                .collect(),
        }
    }

    /// Watches a kind in all of them, and begins again after failures, later each time. It is one stream as of one watch:
    /// only when every namespace was listed the list is complete.
    pub fn watch<K>(
        &self,
        client: &Client,
        config: watcher::Config,
    ) -> BoxStream<'static, watcher::Result<Event<K>>>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + Send
            + 'static,
    {
        match self {
            Self::All => watcher(Api::all(client.clone()), config)
                .default_backoff()
                .boxed(),
            Self::Only(names) => {
                let (names, client) = (names.clone(), client.clone());
                let each = move || {
                    let one = |name: &String| {
                        let api = Api::namespaced(client.clone(), name);
                        watcher(api, config.clone()).default_backoff().boxed()
                    };
                    names.iter().map(one).collect()
                };
                merged(each).boxed()
            }
        }
    }
}

type Events<K> = BoxStream<'static, watcher::Result<Event<K>>>;

/// Where several watches stand that are to look like one.
enum Phase<K> {
    /// They are to be made, for the first time or because one of them lost its thread.
    Begin,
    /// The first of `waiting` is listing, and has said `listed` of it; `done` have been listed and rest until all have.
    Listing {
        waiting: VecDeque<Events<K>>,
        listed: Vec<K>,
        done: Vec<Events<K>>,
    },
    /// All are listed.
    Watching(SelectAll<Events<K>>),
}

/// The events of several watches, as if one watch told them: `Init` and `InitDone` stand around the objects of all. A
/// reader replaces everything that it knows at `InitDone`, so when one watch has listed anew, all are begun anew.
fn merged<K: Send + 'static>(
    each: impl Fn() -> Vec<Events<K>> + Send + 'static,
) -> impl Stream<Item = watcher::Result<Event<K>>> + Send + 'static {
    let state = (each, Phase::Begin, VecDeque::new());
    stream::unfold(state, async |(each, mut phase, mut told)| {
        loop {
            if let Some(object) = told.pop_front() {
                return Some((Ok(Event::InitApply(object)), (each, phase, told)));
            }
            let event = match &mut phase {
                Phase::Begin => {
                    phase = Phase::Listing {
                        waiting: each().into(),
                        listed: vec![],
                        done: vec![],
                    };
                    Ok(Event::Init)
                }
                Phase::Listing {
                    waiting,
                    listed,
                    done,
                } => match waiting.front_mut() {
                    None => {
                        phase = Phase::Watching(select_all(std::mem::take(done)));
                        Ok(Event::InitDone)
                    }
                    Some(first) => match first.next().await? {
                        Err(error) => Err(error),
                        Ok(event) => {
                            match event {
                                // A list that failed half-way begins again.
                                Event::Init => listed.clear(),
                                Event::InitApply(object) => listed.push(object),
                                Event::InitDone => {
                                    told.extend(listed.drain(..));
                                    done.extend(waiting.pop_front());
                                }
                                Event::Apply(_) | Event::Delete(_) => {}
                            }
                            continue;
                        }
                    },
                },
                Phase::Watching(all) => match all.next().await? {
                    Ok(Event::Init | Event::InitApply(_)) => continue,
                    Ok(Event::InitDone) => {
                        phase = Phase::Begin;
                        continue;
                    }
                    other => other,
                },
            };
            return Some((event, (each, phase, told)));
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("", Ok(Namespaces::All))]
    #[case("shop", Ok(only(&["shop"])))]
    #[case(" b, a,b", Ok(only(&["a", "b"])))]
    #[case("a,,b", Err(NoNamespace(String::new())))]
    #[case("a,Shop", Err(NoNamespace("Shop".to_owned())))]
    #[case("*", Err(NoNamespace("*".to_owned())))]
    #[case("-a", Err(NoNamespace("-a".to_owned())))]
    fn a_list_of_names(#[case] text: &str, #[case] expected: Result<Namespaces, NoNamespace>) {
        assert_eq!(text.parse(), expected);
    }

    fn only(names: &[&str]) -> Namespaces {
        Namespaces::Only(names.iter().map(|&name| name.to_owned()).collect())
    }

    #[test]
    fn one_more_changes_nothing_where_all_are_meant() {
        assert_eq!(Namespaces::All.and("a"), Namespaces::All);
        assert_eq!(only(&["b"]).and("a"), only(&["a", "b"]));
    }

    /// What the merged stream says, in short, when the watches say this; each time it begins anew it takes the next.
    async fn said(scripts: Vec<Vec<Vec<Event<&'static str>>>>) -> Vec<String> {
        let scripts = Arc::new(Mutex::new(VecDeque::from(scripts)));
        let each = move || {
            let now = scripts.lock().unwrap().pop_front().unwrap_or_default();
            let open = |events: Vec<_>| {
                let told = stream::iter(events.into_iter().map(Ok));
                told.chain(stream::pending()).boxed()
            };
            now.into_iter().map(open).collect()
        };
        let short = |event: watcher::Result<Event<&'static str>>| match event.unwrap() {
            Event::Init => "(".to_owned(),
            Event::InitDone => ")".to_owned(),
            Event::InitApply(object) => object.to_owned(),
            Event::Apply(object) => format!("+{object}"),
            Event::Delete(object) => format!("-{object}"),
        };
        let told = merged(each).map(short);
        let quiet = tokio::time::sleep(std::time::Duration::from_secs(1));
        told.take_until(quiet).collect().await
    }

    #[tokio::test(start_paused = true)]
    async fn the_list_is_complete_when_every_namespace_was_listed() {
        use Event::{Apply, Delete, Init, InitApply, InitDone};
        let first = vec![Init, InitApply("a1"), InitDone, Apply("a2"), Delete("a1")];
        // Its second page failed, and meanwhile b1 was deleted.
        let second = vec![Init, InitApply("b1"), Init, InitApply("b2"), InitDone];
        let said = said(vec![vec![first, second]]).await;
        assert_eq!(said, ["(", "a1", "b2", ")", "+a2", "-a1"]);
    }

    #[tokio::test(start_paused = true)]
    async fn when_one_lists_anew_all_do() {
        use Event::{Apply, Init, InitApply, InitDone};
        let lost = vec![Init, InitApply("a1"), InitDone, Init, InitApply("a2"), InitDone];
        let other = vec![Init, InitApply("b1"), InitDone];
        let again = vec![
            vec![Init, InitApply("a2"), InitDone, Apply("a3")],
            vec![Init, InitDone],
        ];
        let said = said(vec![vec![lost, other], again]).await;
        assert_eq!(said, ["(", "a1", "b1", ")", "(", "a2", ")", "+a3"]);
    }
}
