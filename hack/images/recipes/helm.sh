# Helm as the tutorial's job/config.yaml names it.
tag=docker.io/alpine/helm:3.9.0
base=busybox
flags=(--entrypoint '["helm"]' --cmd '["--help"]' --env PATH=/usr/local/bin:/usr/bin:/bin --workdir /apps)

rootfs() {
	mkdir -p "$1/usr/bin" "$1/apps"
	cp "$(helm_binary)" "$1/usr/bin/helm"
	ca_bundle "$1"
}
