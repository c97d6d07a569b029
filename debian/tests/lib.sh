# Shared by the tests: a box with a community of its own, alone.
# shellcheck shell=sh

# fail WORDS: ends the test.
fail() {
	echo "$*" >&2
	exit 1
}

# found_community: makes this box the first of a community, until the test ends.
found_community() {
	trap 'guifi-leave --yes >/dev/null 2>&1 || true' EXIT
	guifi-join autopkgtest --create --zone here --name first --wait --yes
}

# within SECONDS COMMAND...: tries until it succeeds.
within() {
	seconds=$1
	shift
	end=$(($(date +%s) + seconds))
	until "$@"; do
		[ "$(date +%s)" -lt "$end" ] || fail "not within $seconds s: $*"
		sleep 0.2
	done
}

# sockets: those on the ports between boxes.
sockets() { ss -Hlun 'sport = :7656 or sport = :7657' && ss -Hltn 'sport = :7656 or sport = :7657'; }
