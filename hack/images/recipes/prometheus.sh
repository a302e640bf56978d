# Prometheus, from Debian's package: the server, promtool and the files of its own web pages.
prometheus_version=2.42.0
tag=docker.io/prom/prometheus:v$prometheus_version
base=busybox
flags=(--entrypoint '["/bin/prometheus"]'
	--cmd '["--config.file=/etc/prometheus/prometheus.yml","--storage.tsdb.path=/prometheus"]'
	--env PATH=/usr/bin:/bin --user 65534 --workdir /prometheus)

rootfs() {
	local deb version
	deb=$(debs prometheus | only prometheus)
	version=$(dpkg-deb -f "$deb" Version)
	[[ $version == "$prometheus_version"* ]] ||
		die "Debian's prometheus is $version now: set prometheus_version in hack/images/recipes/prometheus.sh, and the tag in examples/tutorial/prometheus"
	libc "$1"
	unpack "$1" <<<"$deb"
	rm -rf "$1/etc/init.d" "$1/etc/default" "$1/etc/logrotate.d" "${1:?}/var"
	# Where the image of the same name has them.
	mkdir -p "$1/bin" "$1/prometheus"
	mv "$1"/usr/bin/{prometheus,promtool} "$1/bin/"
	chmod 777 "$1/prometheus"
}
