#!/bin/sh
# Sets one number in one YAML file of a Git repository and pushes it, so that whatever syncs the cluster from Git (Argo CD,
# Flux) carries it out. However often it runs for one task of one run, there is one commit.
#
# It needs sh, awk and git 2.32 or newer: the image alpine/git has them.
set -eu

: "${GIT_URL:?the repository, for example https://git.example.com/shop/deploy.git}"
: "${GIT_BRANCH:?the branch that is synced}"
: "${GIT_FILE:?the file in the repository}"
: "${GIT_FIELD:?the field in the file, at the start of a line}"
: "${GIT_VALUE:?the new number}"
: "${COXSWAIN_KEY:?set in every Job of Coxswain}"
: "${COXSWAIN_EXECUTION:?set in every Job of Coxswain}"
pushes=${GIT_PUSHES:-5}    # so often a push is tried
pause=${GIT_PAUSE:-2}      # so many seconds are between two tries
result=${RESULT_FILE:-/dev/termination-log}

# The last part of the key counts the tries of a task. A try whose pod was lost may have pushed: so the key without it.
key=${COXSWAIN_KEY%/*}

# What the task comes to. None of the texts has a quote or a backslash: what comes from outside was looked at before.
finish() {
	printf '{"result": "%s", "message": "%s"}' "$1" "$2" >"$result"
	printf '%s\n' "$2"
	[ "$1" = pass ]
	exit
}

case $GIT_VALUE in
*[!0-9]*) finish fail "the new value is not a number: see the action value in the Remediation" ;;
esac
case $GIT_FIELD$GIT_FILE$GIT_BRANCH in
*[!A-Za-z0-9._/-]*) finish fail "GIT_FIELD, GIT_FILE and GIT_BRANCH may have letters, digits and . _ / - only" ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export GIT_TERMINAL_PROMPT=0 GIT_HTTP_LOW_SPEED_LIMIT=1000 GIT_HTTP_LOW_SPEED_TIME=30
export GIT_AUTHOR_NAME=Coxswain GIT_AUTHOR_EMAIL=coxswain@localhost
export GIT_COMMITTER_NAME=$GIT_AUTHOR_NAME GIT_COMMITTER_EMAIL=$GIT_AUTHOR_EMAIL

# With a user name and a password or token they are given when the server asks, and never stand on a command line.
repo() {
	# shellcheck disable=SC2016 # git's shell expands it
	git -C "$work" -c 'credential.helper=!f() { echo "username=$GIT_USERNAME"; echo "password=$GIT_PASSWORD"; }; f' "$@"
}

# The commit of this task that is on the branch already, if any.
committed() {
	repo log --format='%h %(trailers:key=Coxswain-Key,valueonly,separator=%x2C)' FETCH_HEAD |
		awk -v key="$key" '$2 == key { print $1; exit }'
}

# Writes the value into the file; prints what stood there before.
edit() {
	awk -v field="$GIT_FIELD:" -v value="$GIT_VALUE" -v out="$work/edited" '
		$1 == field && index($0, field) == 1 && !found { found = 1; print $2; $2 = value }
		{ print > out }
		END { exit !found }' "$work/$GIT_FILE"
}

repo init --quiet
repo remote add origin "$GIT_URL"
tries=0
while [ "$tries" -lt "$pushes" ]; do
	[ "$tries" -eq 0 ] || sleep "$pause"
	tries=$((tries + 1))
	# What was there last time is fetched anew: somebody else may have pushed, or our own push may have come through.
	repo fetch --quiet origin "$GIT_BRANCH" || continue
	repo checkout --quiet --force --detach FETCH_HEAD
	commit=$(committed)
	[ -z "$commit" ] || finish pass "commit $commit has it already"
	[ -f "$work/$GIT_FILE" ] || finish fail "there is no file $GIT_FILE on branch $GIT_BRANCH"
	before=$(edit) || finish fail "$GIT_FILE has no line that starts with $GIT_FIELD:"
	[ "$before" != "$GIT_VALUE" ] || finish pass "$GIT_FIELD is $GIT_VALUE in $GIT_FILE already"
	cp "$work/edited" "$work/$GIT_FILE"
	repo add -- "$GIT_FILE"
	repo commit --quiet --message "${KEPTN_SERVICE:-$GIT_FILE}: $GIT_FIELD $GIT_VALUE" \
		--trailer "Coxswain-Execution: $COXSWAIN_EXECUTION" --trailer "Coxswain-Key: $key"
	if repo push --quiet origin "HEAD:refs/heads/$GIT_BRANCH"; then
		finish pass "$GIT_FIELD $GIT_VALUE is commit $(repo rev-parse --short HEAD) of $GIT_BRANCH"
	fi
done
finish fail "could not push to $GIT_BRANCH in $pushes tries; the log says why"
