# Locust as the tutorial's job/config.yaml names it, on Debian's Python.
tag=docker.io/locustio/locust:2.8.6
base=busybox
inputs=(hack/images/locust)
flags=(--entrypoint '["locust"]' --env PATH=/usr/local/bin:/usr/bin:/bin --env PYTHONUNBUFFERED=1 --env PYTHONDONTWRITEBYTECODE=1)
python=3.11

rootfs() {
	local site=$1/usr/local/lib/python$python/dist-packages
	libc "$1"
	# Left out: what only dpkg would need.
	debs python3 libstdc++6 | without "$libc_packages dpkg tar libacl1 libmd0 libselinux1 libpcre2-8-0 readline-common" | unpack "$1"
	[ -x "$1/usr/bin/python$python" ] || die "Debian's python3 is not $python any more: mend hack/images/recipes/locust.sh"
	locust_packages "$site"
	# The script that pip would write names the host's Python.
	mkdir -p "$1/usr/local/bin"
	printf '#!/usr/bin/python3\nimport sys\nfrom locust.main import main\nsys.exit(main())\n' >"$1/usr/local/bin/locust"
	chmod 755 "$1/usr/local/bin/locust"
	rm -rf "${site:?}"/bin "$site"/*/test{,s} "${1:?}"/usr/lib/python$python/{test,idlelib,turtledemo,lib2to3,ensurepip,pydoc_data} \
		"$1"/usr/share/{polkit-1,readline,dpkg} "${1:?}"/var "$1"/etc/{init.d,cron.daily,logrotate.d}
	# A read-only root keeps Python from saving its compiled modules, so they come with the image: else each start compiles
	# a thousand files. Unchecked, because packing may change the times that a check would look at.
	chroot "$1" "/usr/bin/python$python" -m compileall -q --invalidation-mode unchecked-hash "/usr/lib/python$python" /usr/local/lib
	chroot "$1" /usr/local/bin/locust --version >&2 || die "the locust image does not start: see above"
}

# With the host's pip, whatever Python that runs: every version is pinned, and wheels are asked for by the image's own ABI.
# Two dependencies are published as source only; they are plain Python, so their wheels are built here first.
locust_packages() {
	local arch pip=(env PIP_ROOT_USER_ACTION=ignore python3 -m pip --quiet --disable-pip-version-check --no-input)
	arch=$(uname -m)
	"${pip[@]}" --version >/dev/null 2>&1 || need pip3 python3-pip
	say "downloading Locust's Python packages"
	"${pip[@]}" wheel --no-deps --wheel-dir "$scratch/wheels" -r "$here/locust/source-only.txt" >&2
	"${pip[@]}" install --no-compile --no-deps --target "$1" --only-binary=:all: --implementation cp \
		--python-version $python --abi "cp${python/./}" --abi abi3 --abi none \
		--platform "manylinux2014_$arch" --platform "manylinux_2_28_$arch" --platform "manylinux_2_34_$arch" \
		-r "$here/locust/requirements.txt" "$scratch/wheels"/*.whl >&2
}
