# A shell and the usual small tools, for tests and as the base of the other images. Debian's static build: 1.35, which
# stands in for the tag 1.36 here.
tag=docker.io/library/busybox:1.36
flags=(--cmd '["sh"]' --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)

rootfs() {
	local applet
	debs busybox-static | only busybox-static | unpack "$1"
	mkdir -p "$1/etc" "$1/root" "$1/tmp" "$1/usr/bin"
	chmod 1777 "$1/tmp"
	# Each applet is a link; the static binary runs here as it does there.
	while read -r applet; do
		[ "$applet" = busybox ] || ln -s busybox "$1/bin/$applet"
	done < <("$1/bin/busybox" --list)
	ln -s ../../bin/env "$1/usr/bin/env"
	cat >"$1/etc/passwd" <<-'EOF'
		root:x:0:0:root:/root:/bin/sh
		app:x:1000:2000:the user that jobs run as:/tmp:/bin/sh
		nobody:x:65534:65534:nobody:/:/bin/false
	EOF
	cat >"$1/etc/group" <<-'EOF'
		root:x:0:
		app:x:2000:
		nogroup:x:65534:
	EOF
	echo 'hosts: files dns' >"$1/etc/nsswitch.conf"
}
