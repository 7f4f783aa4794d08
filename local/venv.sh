#!/bin/sh
# `sh local/venv.sh FILE`: makes .venv with the newest Python here that really runs, and installs the file's
# requirements into it, as pinned.
# Shell, because it is what there is before Python.
set -eu
cd "$(dirname "$0")/.."

# A python3.13 on the PATH may be a shim that only says which versions exist, or lack what makes an environment.
works() {
    "$1" -c 'import sys, ensurepip, ssl; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
}

find_python() {
    for candidate in python3.13 python3.12 python3.11 python3 /usr/bin/python3; do
        if works "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

install_python() {
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        as_root="sudo env"
    fi
    export DEBIAN_FRONTEND=noninteractive
    $as_root apt-get -qq -o DPkg::Lock::Timeout=300 update
    # The system's own first; where that is too old, a later one beside it.
    for package in python3-venv python3.13-venv python3.12-venv python3.11-venv; do
        $as_root apt-get -qq -y -o DPkg::Lock::Timeout=300 install --no-install-recommends "$package" || continue
        if find_python >/dev/null; then
            return
        fi
    done
}

if ! { [ -x .venv/bin/python ] && works .venv/bin/python; }; then
    find_python >/dev/null || install_python
    python=$(find_python) || {
        echo "no Python 3.11 to 3.13 with venv was found or could be installed" >&2
        exit 1
    }
    echo "setting up .venv with $python ..."
    rm -rf .venv
    "$python" -m venv .venv
fi
.venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
.venv/bin/python -m local.packages "$1"
cat > .venv/bin/sluice <<'END'
#!/bin/sh
# The command line of this checkout, from any directory.
PYTHONPATH=$(dirname "$0")/../..${PYTHONPATH:+:$PYTHONPATH} exec "$(dirname "$0")/python" -m cli "$@"
END
chmod +x .venv/bin/sluice
