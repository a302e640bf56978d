# The tutorial's demo service, from its sources here: one static binary.
tag=ghcr.io/coxswain-dev/helloservice:0.1.0
inputs=(examples/tutorial/helloservice)
flags=(--entrypoint '["/helloservice"]' --user 65532:65532)

rootfs() {
	need_go
	(cd "$repo/examples/tutorial/helloservice" && CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$1/helloservice" . >&2)
}
