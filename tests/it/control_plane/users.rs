//! Real users with the shipped roles, and the admission policies in force or not.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use k8s_openapi::api::{authorization::v1::SubjectAccessReview, core::v1::Namespace};
use kube::{
    Api, Client, Config, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    core::{ApiResource, DynamicObject, GroupVersionKind},
};
use serde_json::{Value, json};

pub(super) const APPROVER: &str = "ann";
/// Another approver, in the group `release-managers`.
pub(super) const MANAGER: &str = "max";
pub(super) const EDITOR: &str = "eve";
pub(super) const ADMIN: &str = "ada";
/// May write every object, and has none of the policies' verbs.
pub(super) const SCRIBE: &str = "sam";
/// Is known to the API server, and may do nothing.
pub(super) const OUTSIDER: &str = "otto";
pub(super) const OPERATOR: &str = "system:serviceaccount:coxswain-system:coxswain";

pub(super) struct World {
    root: Client,
    pub(super) namespace: String,
}

/// What a test may ask of the API server as one user.
pub(super) struct User {
    client: Client,
    namespace: String,
}

type Answered = Result<DynamicObject, kube::Error>;

fn resource(object: &Value) -> ApiResource {
    let (version, kind) = (
        object["apiVersion"].as_str().unwrap(),
        object["kind"].as_str().unwrap(),
    );
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

/// Repeats until the API server has seen what was written; it says so only by what it does.
pub(super) async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let began = Instant::now();
    while !holds().await {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "not in a minute: {what}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn documents(directory: &str) -> Vec<Value> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let mut all = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() || path.ends_with("kustomization.yaml") {
            continue;
        }
        let text = fs::read_to_string(path).unwrap();
        all.extend(
            text.split("\n---\n")
                .map(|d| serde_yaml::from_str::<Value>(d).unwrap()),
        );
    }
    all
}

impl World {
    /// A namespace of its own for `what`, with the roles bound, and the policies as wanted.
    pub(super) async fn new(what: &str, policies: bool) -> World {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let root = Client::try_default().await.unwrap();
        let namespace = format!("{what}-{}", std::process::id());
        let world = World { root, namespace };
        for name in ["coxswain-system", &world.namespace] {
            world
                .apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
                .await;
        }
        for role in documents("config/rbac") {
            world.apply(&role).await;
        }
        let every = json!(["create", "get", "list", "update", "patch", "delete"]);
        world.role("scribe", &json!({"apiGroups": ["coxswain.dev"], "resources": ["approvals", "deliveries", "sequenceexecutions"], "verbs": every})).await;
        for (user, kind, role) in [
            (APPROVER, "ClusterRole", "coxswain-approver"),
            (MANAGER, "ClusterRole", "coxswain-approver"),
            (EDITOR, "ClusterRole", "coxswain-editor"),
            (ADMIN, "ClusterRole", "coxswain-editor"),
            (ADMIN, "ClusterRole", "coxswain-admin"),
            (SCRIBE, "Role", "scribe"),
        ] {
            world.bind(user, kind, role).await;
        }
        for (user, verb, plural) in [
            (APPROVER, "approve", "approvals"),
            (MANAGER, "approve", "approvals"),
            (EDITOR, "retry", "sequenceexecutions"),
            (ADMIN, "create", "sequenceexecutions"),
            (ADMIN, "skip-gate", "sequenceexecutions"),
            (SCRIBE, "create", "deliveries"),
            (OPERATOR, "ask", "approvals"),
        ] {
            world.may(user, verb, plural, "").await;
        }
        for object in documents("config/admission") {
            if policies {
                world.apply(&object).await;
            } else {
                let gone = world
                    .all(&object)
                    .delete(
                        object["metadata"]["name"].as_str().unwrap(),
                        &DeleteParams::default(),
                    )
                    .await;
                assert!(
                    gone.is_ok() || matches!(&gone, Err(kube::Error::Api(e)) if e.code == 404),
                    "{gone:?}"
                );
            }
        }
        world.until_enforced(policies).await;
        world
    }

    pub(super) async fn end(self) {
        Api::<Namespace>::all(self.root)
            .delete(&self.namespace, &DeleteParams::default())
            .await
            .unwrap();
    }

    /// Each policy is asked, because the API server takes up each by itself.
    async fn until_enforced(&self, enforced: bool) {
        let (operator, editor, admin) = (
            self.operator().await,
            self.user(EDITOR).await,
            self.user(ADMIN).await,
        );
        let mut answered = question("probe");
        answered["spec"]["answers"] = json!([{"by": "nobody", "choice": "Approve"}]);
        let skipping = run("probe", json!({"control": {"skip": [skip("test", "nobody")]}}));
        let requested = delivery("probe", json!({"requestedBy": "nobody"}));
        for (user, probe) in [(&operator, answered), (&admin, skipping), (&editor, requested)] {
            let what = format!("{} enforced={enforced}", probe["kind"]);
            until(&what, || async {
                user.dry_run(&probe).await.is_err() == enforced
            })
            .await;
        }
    }

    pub(super) async fn role(&self, name: &str, rule: &Value) {
        let metadata = json!({"name": name, "namespace": self.namespace});
        self.apply(&json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata, "rules": [rule]}))
            .await;
    }

    pub(super) async fn bind(&self, user: &str, kind: &str, role: &str) {
        let group = "rbac.authorization.k8s.io";
        self.apply(&json!({
            "apiVersion": format!("{group}/v1"), "kind": "RoleBinding",
            "metadata": {"name": format!("{user}-{role}"), "namespace": self.namespace},
            "roleRef": {"apiGroup": group, "kind": kind, "name": role},
            "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
        }))
        .await;
    }

    /// Returns once the API server knows that the user may.
    pub(super) async fn may(&self, user: &str, verb: &str, plural: &str, name: &str) {
        let attributes = json!({"namespace": self.namespace, "group": "coxswain.dev", "resource": plural, "verb": verb, "name": name});
        let review: SubjectAccessReview = serde_json::from_value(
            json!({"metadata": {}, "spec": {"user": user, "resourceAttributes": attributes}}),
        )
        .unwrap();
        let reviews = Api::<SubjectAccessReview>::all(self.root.clone());
        until(&format!("{user} may {verb} {plural}"), || async {
            let review = reviews.create(&PostParams::default(), &review).await.unwrap();
            review.status.unwrap().allowed
        })
        .await;
    }

    pub(super) async fn operator(&self) -> User {
        self.user_in(OPERATOR, &["system:serviceaccounts", "system:authenticated"])
            .await
    }

    pub(super) async fn user(&self, name: &str) -> User {
        let groups: &[&str] = if name == MANAGER {
            &["release-managers", "system:authenticated"]
        } else {
            &["system:authenticated"]
        };
        self.user_in(name, groups).await
    }

    async fn user_in(&self, name: &str, groups: &[&str]) -> User {
        let mut config = Config::infer().await.unwrap();
        config.auth_info.impersonate = Some(name.to_owned());
        config.auth_info.impersonate_groups = Some(groups.iter().map(|&g| g.to_owned()).collect());
        User {
            client: Client::try_from(config).unwrap(),
            namespace: self.namespace.clone(),
        }
    }

    fn all(&self, object: &Value) -> Api<DynamicObject> {
        match object["metadata"]["namespace"].as_str() {
            Some(namespace) => Api::namespaced_with(self.root.clone(), namespace, &resource(object)),
            None => Api::all_with(self.root.clone(), &resource(object)),
        }
    }

    pub(super) async fn apply(&self, object: &Value) {
        let name = object["metadata"]["name"].as_str().unwrap();
        self.all(object)
            .patch(name, &PatchParams::apply("test").force(), &Patch::Apply(object))
            .await
            .unwrap();
    }

    /// The policies, each once the API server has checked the types of its expressions.
    pub(super) async fn checked_policies(&self) -> Vec<DynamicObject> {
        let sample =
            json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy"});
        let policies = self.all(&sample);
        let ours = ListParams::default().labels("app.kubernetes.io/name=coxswain");
        until("the policies' types are checked", || async {
            let all = policies.list(&ours).await.unwrap().items;
            all.iter()
                .all(|p| p.data["status"]["observedGeneration"].as_i64() == p.metadata.generation)
        })
        .await;
        policies.list(&ours).await.unwrap().items
    }
}

impl User {
    pub(super) fn client(&self) -> Client {
        self.client.clone()
    }

    fn api(&self, object: &Value) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource(object))
    }

    fn of(&self, kind: &str) -> Api<DynamicObject> {
        self.api(&json!({"apiVersion": "coxswain.dev/v1alpha1", "kind": kind}))
    }

    pub(super) async fn create(&self, object: &Value) -> Answered {
        let body = serde_json::from_value(object.clone()).unwrap();
        self.api(object).create(&PostParams::default(), &body).await
    }

    pub(super) async fn dry_run(&self, object: &Value) -> Answered {
        let body = serde_json::from_value(object.clone()).unwrap();
        let params = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        self.api(object).create(&params, &body).await
    }

    pub(super) async fn merge(&self, kind: &str, name: &str, patch: Value) -> Answered {
        self.of(kind)
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
    }

    pub(super) async fn json_patch(&self, kind: &str, name: &str, patch: Value) -> Answered {
        let patch = Patch::<Value>::Json(serde_json::from_value(patch).unwrap());
        self.of(kind).patch(name, &PatchParams::default(), &patch).await
    }

    /// Server-side apply, with a field manager of one's own.
    pub(super) async fn apply(&self, kind: &str, name: &str, manager: &str, spec: Value) -> Answered {
        let body = json!({"apiVersion": "coxswain.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
        self.of(kind)
            .patch(name, &PatchParams::apply(manager), &Patch::Apply(body))
            .await
    }

    /// Writes the status as the operator does: whole, as an update.
    pub(super) async fn status(&self, kind: &str, name: &str, status: Value) -> Answered {
        let api = self.of(kind);
        let mut object = api.get(name).await?;
        object.data["status"] = status;
        api.replace_status(&object.name_any(), &PostParams::default(), &object)
            .await
    }

    pub(super) async fn delete(&self, kind: &str, name: &str) -> Result<(), kube::Error> {
        self.of(kind)
            .delete(name, &DeleteParams::default())
            .await
            .map(|_| ())
    }
}

/// The request was refused, and the message says this.
#[track_caller]
pub(super) fn refused<T: std::fmt::Debug>(answered: Result<T, kube::Error>, says: &str) {
    match answered {
        Err(kube::Error::Api(status)) => {
            assert!(status.message.contains(says), "{says:?}: {}", status.message)
        }
        other => panic!("not refused with {says:?}: {other:?}"),
    }
}

fn object(kind: &str, name: &str, mut spec: Value, more: Value) -> Value {
    spec.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    json!({"apiVersion": "coxswain.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

pub(super) fn question(name: &str) -> Value {
    let spec = json!({
        "project": "shop", "stage": "production", "service": "cart", "sequence": "delivery", "attempt": 1, "task": 0,
        "execution": {"kind": "SequenceExecution", "name": "cart-1"}, "question": "Shall cart:2 go to production?",
        "expiresAt": "2030-01-01T00:00:00.000000Z", "onExpiry": "Decline",
    });
    object("Approval", name, spec, json!({}))
}

pub(super) fn run(name: &str, more: Value) -> Value {
    let spec = json!({"project": "shop", "stage": "production", "service": "cart", "sequence": "delivery"});
    object("SequenceExecution", name, spec, more)
}

pub(super) fn delivery(name: &str, more: Value) -> Value {
    let spec = json!({"project": "shop", "service": "cart", "image": "cart:2"});
    object("Delivery", name, spec, more)
}

pub(super) fn skip(task: &str, by: &str) -> Value {
    json!({"attempt": 1, "task": task, "reason": "done by hand", "by": by})
}
