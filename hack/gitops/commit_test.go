package gitops

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const valuesFile = "production/cart/values.yaml"

// remote is a bare repository, and somebody who works with it.
type remote struct {
	t         *testing.T
	url, home string
}

func newRemote(t *testing.T) remote {
	t.Helper()
	r := remote{t: t, url: filepath.Join(t.TempDir(), "deploy.git"), home: t.TempDir()}
	r.git("", "init", "--quiet", "--bare", "--initial-branch=main", r.url)
	clone := r.clone()
	r.write(clone, valuesFile, "image: cart:1.0.0\nreplicaCount: 2 # for now\nlimits:\n  replicaCount: 9\n")
	r.git(clone, "add", "--all")
	r.git(clone, "commit", "--quiet", "--message", "the beginning")
	r.git(clone, "push", "--quiet", "origin", "HEAD:main")
	return r
}

func (r remote) env() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + r.home, "TMPDIR=" + r.home, "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=Jane", "GIT_AUTHOR_EMAIL=jane@example.com",
		"GIT_COMMITTER_NAME=Jane", "GIT_COMMITTER_EMAIL=jane@example.com"}
}

func (r remote) git(directory string, args ...string) string {
	r.t.Helper()
	command := exec.Command("git", args...)
	command.Dir, command.Env = directory, r.env()
	out, err := command.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func (r remote) clone() string {
	r.t.Helper()
	directory := filepath.Join(r.t.TempDir(), "clone")
	r.git("", "clone", "--quiet", r.url, directory)
	return directory
}

func (r remote) write(clone, name, text string) {
	r.t.Helper()
	path := filepath.Join(clone, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

func (r remote) commits() int {
	r.t.Helper()
	return strings.Count(r.git(r.url, "log", "--format=%h", "main"), "\n") + 1
}

// said is what the task comes to: what the script leaves in the termination log.
type said struct {
	Result  string `json:"result"`
	Message string `json:"message"`
}

// act runs the script as a Job of Coxswain runs it. What is in `more` wins.
func (r remote) act(more ...string) said {
	r.t.Helper()
	script, err := filepath.Abs(root + "/examples/gitops/commit/commit.sh")
	if err != nil {
		r.t.Fatal(err)
	}
	result := filepath.Join(r.t.TempDir(), "result")
	command := exec.Command("sh", script)
	command.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + r.home, "TMPDIR=" + r.home, "GIT_CONFIG_NOSYSTEM=1",
		"KEPTN_SERVICE=cart", "COXSWAIN_EXECUTION=slow-1-x", "COXSWAIN_KEY=uid-1/1/1/0/0/1",
		"GIT_URL=" + r.url, "GIT_BRANCH=main", "GIT_FILE=" + valuesFile, "GIT_FIELD=replicaCount", "GIT_VALUE=4",
		"GIT_PAUSE=0", "RESULT_FILE=" + result}, more...)
	out, failed := command.CombinedOutput()
	r.t.Logf("%s", out)
	var found said
	if text, err := os.ReadFile(result); err != nil || json.Unmarshal(text, &found) != nil {
		r.t.Fatalf("no result (%v): %q\n%s", err, text, out)
	}
	if (failed == nil) != (found.Result == "pass") {
		r.t.Errorf("exit %v, result %s", failed, found.Result)
	}
	if left, _ := filepath.Glob(r.home + "/tmp*"); len(left) != 0 {
		r.t.Errorf("it leaves %v behind", left)
	}
	return found
}

func (r remote) values() string {
	r.t.Helper()
	return r.git(r.url, "show", "main:"+valuesFile)
}

func TestTheActionCommitsOnce(t *testing.T) {
	r := newRemote(t)
	if first := r.act(); !strings.HasPrefix(first.Message, "replicaCount 4 is commit ") {
		t.Errorf("%+v", first)
	}
	want := "image: cart:1.0.0\nreplicaCount: 4 # for now\nlimits:\n  replicaCount: 9"
	if have := r.values(); have != want {
		t.Errorf("%s", have)
	}
	message := r.git(r.url, "log", "-1", "--format=%an: %B", "main")
	if want := "Coxswain: cart: replicaCount 4\n\nCoxswain-Execution: slow-1-x\nCoxswain-Key: uid-1/1/1/0/0"; message != want {
		t.Errorf("%q", message)
	}
	// The pod runs again; or the pod was lost, and the task is tried once more; also after somebody changed it back.
	for _, key := range []string{"uid-1/1/1/0/0/1", "uid-1/1/1/0/0/2"} {
		if again := r.act("COXSWAIN_KEY=" + key); !strings.HasSuffix(again.Message, " has it already") {
			t.Errorf("%s: %+v", key, again)
		}
	}
	clone := r.clone()
	r.git(clone, "revert", "--no-edit", "HEAD")
	r.git(clone, "push", "--quiet", "origin", "HEAD:main")
	if again := r.act(); !strings.HasSuffix(again.Message, " has it already") || r.commits() != 3 {
		t.Errorf("%+v, %d commits", again, r.commits())
	}
	// The next attempt is another wish; a key that only begins alike is another one, too.
	if next := r.act("COXSWAIN_KEY=uid-1/1/1/0/01/1"); next.Result != "pass" || r.commits() != 4 {
		t.Errorf("%+v, %d commits", next, r.commits())
	}
}

func TestWhatGitSaysAlreadyIsNotCommitted(t *testing.T) {
	r := newRemote(t)
	if said := r.act("GIT_VALUE=2"); said.Message != "replicaCount is 2 in "+valuesFile+" already" || r.commits() != 1 {
		t.Errorf("%+v, %d commits", said, r.commits())
	}
}

// Somebody else pushes between fetch and push, as often as the hook lets them.
func (r remote) disturb(times int) {
	r.t.Helper()
	other := r.clone()
	counter := filepath.Join(r.t.TempDir(), "counter")
	// The hook runs in the bare repository when the script pushes; the other one's push is let through.
	hook := `#!/bin/sh
[ -z "$OTHER" ] || exit 0
n=$(cat '` + counter + `' 2>/dev/null || echo 0)
[ "$n" -lt ` + string(rune('0'+times)) + ` ] || exit 0
echo $((n + 1)) >'` + counter + `'
unset GIT_DIR GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES
cd '` + other + `' && git fetch --quiet origin main && git checkout --quiet --detach FETCH_HEAD &&
	echo "$n" >>notes && git add notes && git -c user.name=Jane -c user.email=jane@example.com commit --quiet -m "note $n" &&
	OTHER=1 git push --quiet origin HEAD:main
`
	path := filepath.Join(r.url, "hooks", "pre-receive")
	if err := os.WriteFile(path, []byte(hook), 0o755); err != nil {
		r.t.Fatal(err)
	}
}

func TestAPushThatSomebodyElseWonIsTriedAgain(t *testing.T) {
	r := newRemote(t)
	r.disturb(2)
	if said := r.act(); said.Result != "pass" || r.commits() != 4 {
		t.Errorf("%+v, %d commits", said, r.commits())
	}
	if have := r.git(r.url, "show", "main:notes"); have != "0\n1" {
		t.Errorf("what the others pushed is gone: %q", have)
	}
	if !strings.Contains(r.values(), "replicaCount: 4") {
		t.Errorf("%s", r.values())
	}
}

func TestTriesHaveAnEnd(t *testing.T) {
	r := newRemote(t)
	r.disturb(9)
	said := r.act("GIT_PUSHES=3")
	if said.Result != "fail" || said.Message != "could not push to main in 3 tries; the log says why" {
		t.Errorf("%+v", said)
	}
	// Three notes, and nothing of ours.
	if r.commits() != 4 || strings.Contains(r.values(), "replicaCount: 4") {
		t.Errorf("%d commits\n%s", r.commits(), r.values())
	}
}

func TestAnAnswerThatGotLostIsNoSecondCommit(t *testing.T) {
	r := newRemote(t)
	// The push comes through, and the script's git is told that it did not.
	lying := `#!/bin/sh
real=$(PATH=${PATH#*:} command -v git)
"$real" "$@"
code=$?
case " $* " in *" push "*) exit 1 ;; esac
exit $code
`
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "git"), []byte(lying), 0o755); err != nil {
		t.Fatal(err)
	}
	said := r.act("PATH=" + bin + ":" + os.Getenv("PATH"))
	if said.Result != "pass" || !strings.HasSuffix(said.Message, " has it already") || r.commits() != 2 {
		t.Errorf("%+v, %d commits", said, r.commits())
	}
}

func TestWhatIsWrongIsSaid(t *testing.T) {
	r := newRemote(t)
	for _, test := range []struct{ env, says string }{
		{"GIT_VALUE=many", "the new value is not a number: see the action value in the Remediation"},
		{"GIT_FIELD=replicas", valuesFile + " has no line that starts with replicas:"},
		{"GIT_FILE=production/cart/values.yml", "there is no file production/cart/values.yml on branch main"},
		{`GIT_FILE=a"b`, "GIT_FIELD, GIT_FILE and GIT_BRANCH may have letters, digits and . _ / - only"},
		{"GIT_BRANCH=trunk", "could not push to trunk in 5 tries; the log says why"},
	} {
		if said := r.act(test.env); said.Result != "fail" || said.Message != test.says {
			t.Errorf("%s: %+v", test.env, said)
		}
	}
	if r.commits() != 1 {
		t.Errorf("%d commits", r.commits())
	}
}
