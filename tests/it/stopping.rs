//! How long the operator takes to end when Kubernetes tells it to.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const LIMIT: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(60);

/// The operator as a process.
struct Process {
    child: Child,
    health: String,
}

impl Process {
    fn start(kubeconfig: &str) -> Self {
        let health = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .to_string();
        let child = Command::new(env!("CARGO_BIN_EXE_coxswain"))
            .args(["run", "--listen=", "--health-address", &health])
            .env("KUBECONFIG", kubeconfig)
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, health }
    }

    fn says(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(&self.health).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.lines().next().map(str::to_owned)
    }

    fn until_ok(&self, path: &str) {
        let began = Instant::now();
        while !self.says(path).is_some_and(|line| line.contains(" 200 ")) {
            assert!(
                began.elapsed() < PATIENCE,
                "{path} is not 200 within {PATIENCE:?}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// SIGTERM, and how long it takes to end well.
    fn stop(mut self) -> Duration {
        let began = Instant::now();
        let told = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status();
        assert!(told.unwrap().success());
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "{status}");
                return began.elapsed();
            }
            assert!(began.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An API server that takes connections and never answers.
#[test]
fn it_ends_at_once_also_while_the_api_server_is_silent() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let kubeconfig = format!(
        "{{apiVersion: v1, kind: Config, current-context: c, contexts: [{{name: c, context: {{cluster: c, user: u}}}}], \
         clusters: [{{name: c, cluster: {{server: 'http://{address}'}}}}], users: [{{name: u, user: {{}}}}]}}"
    );
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("silent-kubeconfig");
    std::fs::write(&path, kubeconfig).unwrap();
    let operator = Process::start(path.to_str().unwrap());
    operator.until_ok("/healthz");
    let _connection = server.accept().unwrap();
    let took = operator.stop();
    assert!(took < LIMIT, "{took:?}");
}

/// `control_plane::stopping` asks for this with a cluster.
pub fn a_ready_operator_ends_at_once() {
    let kubeconfig = std::env::var("KUBECONFIG").expect("KUBECONFIG names a cluster");
    let operator = Process::start(&kubeconfig);
    operator.until_ok("/readyz");
    let took = operator.stop();
    assert!(took < LIMIT, "{took:?}");
}
