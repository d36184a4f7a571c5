"""What is secret stays so: canaries in every place where a secret may lie, a daemon that fails in every way, and nobody who sings."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from fakes import brokers
from fakes.answering import answering
from fakes.brokers import BrokerProcess, free_port
from fakes.certificates import Authority
from fakes.daemon import DEVICE, Run, edged, write_config
from fakes.sensor import picture_bundle, pipeline
from fakes.waiting import until

pytestmark = pytest.mark.slow

CANARY = "sings"
"""Part of every secret here, and of nothing else."""
OLD, RIGHT = f"old-{CANARY}-3PQ7x", f"right-{CANARY}-9fLwZ"
CAMERA, QUERY = f"camera-{CANARY}-b2VyZ", f"query-{CANARY}-c3Jt"
CONTROL, READ, GUESS = (f"{word}-{CANARY}-0123456789abcdef" for word in ("control", "read", "guess"))
LOUD = (
    sys.executable,
    "-c",
    "import sys; sys.argv[1:2] = ['run', '--log-level', 'debug']; from edged.cli import main; raise SystemExit(main())",
)
PATHS = (
    "/",
    "/healthz",
    "/readyz",
    "/metrics",
    "/api/overview",
    "/api/health",
    "/api/ready",
    "/api/openapi.json",
    "/v2",
)


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[BrokerProcess]:
    """Give a broker that knows the device's right password."""
    made = brokers.mosquitto(tmp_path, *brokers.knowing(tmp_path, {DEVICE: RIGHT, "reader": "reads"}))
    yield made
    made.close()


@pytest.fixture
def stubborn() -> Iterator[int]:
    """Give the port of a camera that lets nobody in."""

    class Refuses(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.end_headers()

    with answering(Refuses) as url:
        yield int(url.rstrip("/").rpartition(":")[2])


@pytest.fixture
def heard(guarded: BrokerProcess) -> Iterator[list[tuple[str, str]]]:
    """Give every document that the broker passes on."""
    found: list[tuple[str, str]] = []
    reader = mqtt.Client(CallbackAPIVersion.VERSION2)
    reader.username_pw_set("reader", "reads")
    reader.on_message = lambda _c, _u, message: found.append((message.topic, message.payload.decode()))
    reader.on_connect = lambda client, *_: client.subscribe("edged/#", 1)
    reader.connect("127.0.0.1", guarded.port)
    reader.loop_start()
    yield found
    reader.disconnect()
    reader.loop_stop()


def secret(folder: Path, name: str, text: str) -> str:
    file = folder / name
    file.write_text(f"{text}\n")
    return f'"{file}"'


def camera(name: str, url: str, password: str) -> str:
    more = f'username = "viewer"\npassword_file = {password}\n' if password else ""
    return f'[[source]]\nname = "{name}"\nkind = "camera"\nurl = "{url}"\n{more}' + pipeline(
        f"{name}-sees", source=name, model="still"
    )


@pytest.fixture
def config(guarded: BrokerProcess, stubborn: int, tmp_path: Path) -> tuple[Path, int]:
    """Give a configuration with a secret in every place, and its HTTP port; only the broker's will turn out right."""
    picture_bundle(tmp_path / "models" / "still")
    pair = Authority(tmp_path).sign("box", names="IP:127.0.0.1")
    password, port = secret(tmp_path, "camera.secret", CAMERA), free_port()
    tokens = (
        f"token_file = {secret(tmp_path, 'control', CONTROL)}\nread_token_file = {secret(tmp_path, 'read', READ)}\n"
    )
    cameras = [
        camera("dock", f"rtsp://127.0.0.1:{free_port()}/stream?key={QUERY}", password),
        camera("gate", f"http://127.0.0.1:{stubborn}/video.mjpg?key={QUERY}", password),
    ]
    if shutil.which("gst-launch-1.0"):
        text = f"rtspsrc location=rtsp://127.0.0.1:{free_port()}/ user-id=viewer user-pw={CAMERA} ! decodebin"
        cameras.append(camera("yard", text, ""))
    more = (
        f'[http]\nlisten = "127.0.0.1:{port}"\n{tokens}'
        f'[grpc]\nlisten = "127.0.0.1:{free_port()}"\n{tokens}tls = {{ cert = "{pair.cert}", key = "{pair.key}" }}\n'
        f'[tracing]\nendpoint = "http://127.0.0.1:{stubborn}/v1/traces?key={QUERY}"\nsample = 1.0\n'
        f"token_file = {password}\n"
        f'[remote.still]\nurl = "http://127.0.0.1:{stubborn}"\ntoken_file = {password}\n'
        f'[updates]\nrepository = "http://127.0.0.1:{stubborn}/?key={QUERY}"\ntrust = "{tmp_path / "none.json"}"\n'
    )
    file = write_config(tmp_path, guarded.port, "".join(cameras), more=more)
    given = secret(tmp_path, "mqtt.secret", OLD)
    file.write_text(file.read_text().replace("[mqtt]\n", f"[mqtt]\npassword_file = {given}\n"))
    return file, port


def ask(port: int, path: str, token: str) -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        return answer.status, f"{answer.headers}\n{answer.read().decode(errors='replace')}"
    except (OSError, HTTPException):
        return 0, ""
    finally:
        connection.close()


def keys_of(folder: Path) -> list[str]:
    """Give a line of each private key."""
    return [file.read_text().splitlines()[1] for file in folder.glob("*.key")]


def test_no_secret_is_told_by_a_daemon_that_fails_in_every_way(
    config: tuple[Path, int], heard: list[tuple[str, str]], run: Run, tmp_path: Path
) -> None:
    file, port = config
    daemon = run(file, program=LOUD)
    until(lambda: "mqtt.password_file" in daemon.said(), "the broker refused the old password")
    daemon.kill()
    (tmp_path / "mqtt.secret").write_text(RIGHT)
    daemon.start()
    until(lambda: any("/out/telemetry" in topic for topic, _ in heard), "it reports with the right one")
    until(lambda: ask(port, "/healthz", CONTROL)[0] == 200, "it answers")
    refused = [ask(port, path, GUESS)[1] for path in PATHS]
    for source in re.findall(r'^name = "(\w+)"\nkind = "camera"', file.read_text(), re.MULTILINE):
        until(lambda source=source: f'"source": "{source}"' in daemon.said(), f"{source} was lost")
    told = [ask(port, path, CONTROL) for path in PATHS]
    checked = edged("check", "--config", file, "--json")
    file.write_text(file.read_text() + "nonsense")
    daemon.reload()
    until(lambda: "reload.refused" in daemon.said(), "a configuration that is no good")
    daemon.stop()

    assert {status for status, _ in told if status != 503} == {200}
    state = [path.read_bytes().decode("latin-1") for path in (tmp_path / "state").rglob("*") if path.is_file()]
    texts = [daemon.said(), *refused, *(text for _, text in told), json.dumps(heard), checked.out, checked.err]
    for singer in (CANARY, *keys_of(tmp_path)):
        assert [_around(text, singer) for text in texts if singer in text] == []
    # What is kept as the last configuration that ran names files, and a camera's own address as it was given.
    for kept in state:
        assert not {OLD, RIGHT, CONTROL, READ, GUESS} & set(re.findall(rf"[\w-]*{CANARY}[\w-]*", kept))


@pytest.mark.parametrize(
    "wrong",
    [
        f'[mqtt]\npassword = "{OLD}"\n',
        f'[mqtt]\nhost = "edged:{OLD}@broker"\n',
        f'[http]\ntoken = "{OLD}"\n',
        f'[http]\nlisten = "user:{OLD}@127.0.0.1:8080"\n',
        f'[updates]\nrepository = "https://user:{OLD}@models/"\ntrust = "/x"\n',
        f'[[source]]\nname = "a"\nkind = "camera"\nurl = "rtsp://viewer:{OLD}@10.0.0.7/"\n',
        f'[[source]]\nname = "a"\nkind = "camera"\nurl = "rtsp://10.0.0.7/"\npassword = "{OLD}"\n',
    ],
)
def test_a_secret_in_the_wrong_place_is_a_fault_that_does_not_repeat_it(wrong: str, tmp_path: Path) -> None:
    file = tmp_path / "edged.toml"
    file.write_text(f'[device]\nid = "press-07"\n[state]\ndirectory = "{tmp_path}"\n{wrong}')

    said = edged("check", "--config", file)

    assert said.status != 0
    assert CANARY not in said.out + said.err


def _around(text: str, singer: str) -> str:
    at = text.index(singer)
    return text[max(0, at - 200) : at + 80]
