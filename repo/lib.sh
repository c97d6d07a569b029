# Shared by the scripts of this directory: words with the time, and what must be installed.
# shellcheck shell=sh

started=$(date +%s)

# say WORDS: what is being done, with the time since the start.
say() {
	now=$(($(date +%s) - started))
	printf '%3d:%02d  %s\n' $((now / 60)) $((now % 60)) "$*" >&2
}

# die WORDS: ends the script.
die() {
	echo "${0##*/}: $*" >&2
	exit 1
}

# need PACKAGE...: installs what is missing, and says so.
need() {
	missing=
	for package; do
		case $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true) in
		installed) ;;
		*) missing="$missing $package" ;;
		esac
	done
	[ -n "$missing" ] || return 0
	[ "$(id -u)" = 0 ] || die "these packages are missing:$missing
hint: apt-get install$missing"
	say "installing$missing"
	# A bare machine may have no package lists yet.
	# shellcheck disable=SC2086 # a list of words
	if ! DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing >/dev/null 2>&1; then
		apt-get update -qq
		DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing >/dev/null
	fi
}

# as_owner DIRECTORY COMMAND...: runs it as the owner of the directory if we are root and
# he is not, so that sudo leaves no files of root in a person's checkout.
as_owner() {
	owner=$(stat -c %U "$1")
	shift
	if [ "$(id -u)" != 0 ] || [ "$owner" = root ]; then
		"$@"
		return
	fi
	home=$(getent passwd "$owner" | cut -d: -f6)
	runuser -u "$owner" -- env HOME="$home" PATH="$home/.cargo/bin:$PATH" "$@"
}

# key_home: where the keys of the repository are kept. Outside every published tree.
key_home() {
	printf '%s' "${GUIFI_REPO_KEY:-${XDG_CONFIG_HOME:-$HOME/.config}/guifi/repository-key}"
}

# version: of the packages, from the changelog. Its reader has set `here`.
# shellcheck disable=SC2154
version() { sed -n '1s/.*(\(.*\)).*/\1/p' "$here/../debian/changelog"; }

# end_agent: ends the agent of GNUPGHOME, and waits for it: the next one must not meet it.
end_agent() {
	agent=$(gpg-connect-agent --no-autostart 'GETINFO pid' /bye 2>/dev/null | sed -n 's/^D //p')
	gpgconf --kill gpg-agent >/dev/null 2>&1 || true
	[ -n "$agent" ] || return 0
	for _ in $(seq 50); do
		case $(sed -n 's/^State:\s*//p' "/proc/$agent/status" 2>/dev/null) in
		'' | Z*) return 0 ;;
		esac
		sleep 0.1
	done
}
