# Alertmanager, from Debian's package.
alertmanager_version=0.25.0
tag=docker.io/prom/alertmanager:v$alertmanager_version
base=busybox
flags=(--entrypoint '["/bin/alertmanager"]'
	--cmd '["--config.file=/etc/alertmanager/alertmanager.yml","--storage.path=/alertmanager"]'
	--env PATH=/usr/bin:/bin --user 65534 --workdir /alertmanager)

rootfs() {
	local deb version
	deb=$(debs prometheus-alertmanager | only prometheus-alertmanager)
	version=$(dpkg-deb -f "$deb" Version)
	[[ $version == "$alertmanager_version"* ]] ||
		die "Debian's prometheus-alertmanager is $version now: set alertmanager_version in hack/images/recipes/alertmanager.sh, and the tag in tests/it/cluster/alertmanager.yaml"
	libc "$1"
	unpack "$1" <<<"$deb"
	rm -rf "$1/etc/init.d" "$1/etc/default" "$1/etc/logrotate.d" "${1:?}/var" "$1/lib/systemd"
	# Where the image of the same name has them.
	mkdir -p "$1/bin" "$1/alertmanager"
	mv "$1/usr/bin/prometheus-alertmanager" "$1/bin/alertmanager"
	chmod 777 "$1/alertmanager"
}
