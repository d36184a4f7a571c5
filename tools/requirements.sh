#!/bin/sh
# Make the virtual environment in $VENV with everything that edged, its tests and its checks need.
# Called by the Makefile; needs Python 3.10 or newer with venv, and the network once.
set -eu

if ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
    echo "cannot set up edged: $("$PYTHON" -c 'import sys; print("Python %d.%d" % sys.version_info[:2])' 2>/dev/null || echo "no $PYTHON"), expected Python 3.10 or newer; name another with PYTHON=python3.12" >&2
    exit 2
fi
if ! "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null; then
    version=$("$PYTHON" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    # Debian keeps venv in a package of its own; as root on a fresh box it is fetched here.
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -qq && apt-get install -y -qq --no-install-recommends "$version" >/dev/null
    else
        echo "cannot make a virtual environment: $PYTHON has no venv, expected the package $version; run: sudo apt install $version" >&2
        exit 2
    fi
fi

[ -x "$VENV/bin/pip" ] || "$PYTHON" -m venv "$VENV"
"$VENV/bin/python" - > "$VENV/requirements.txt" <<'PY'
"""Print what pyproject.toml asks for, edged itself left out: its wheel is installed later, without its needs."""
try:
    import tomllib
except ImportError:
    from pip._vendor import tomli as tomllib
with open("pyproject.toml", "rb") as file:
    data = tomllib.load(file)
project, extras = data["project"], data["project"]["optional-dependencies"]
wanted = data["build-system"]["requires"] + project["dependencies"] + extras["dev"]
(everything,) = extras["all"]
for extra in (*everything[len("edged[") : -1].split(","), "workshop"):
    wanted += [need for need in extras[extra] if not need.startswith("edged[")]
print("\n".join(wanted))
PY
"$VENV/bin/pip" install --quiet --disable-pip-version-check -c constraints.txt -r "$VENV/requirements.txt"
# It reads what the Sparkplug package sends. It asks for paho 1, whose client it has, and reads as well beside paho 2.
"$VENV/bin/pip" install --quiet --disable-pip-version-check --no-deps -c constraints.txt pysparkplug
