"""Trials in a real PostgreSQL server, which is stopped in the middle of a study and started again."""

import json
import os
import shutil
import socket
import subprocess
import sys

import pytest
from small_search import SMALL, autopeft

pytest.importorskip("psycopg")
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(shutil.which("initdb") is None, reason="PostgreSQL's programs are not on the path"),
]
PASSWORD = "not-to-be-seen"
TRIALS = ["--trials", "3", "--rates", "1", "--no-ceiling", "--space", "lora", "--workers", "1"]


class Server:
    """A server of its own on loopback; PostgreSQL does not run as root."""

    def __init__(self, folder):
        self.folder = folder
        self.user = {"user": "postgres"} if os.getuid() == 0 else {}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        password = folder / "password"
        password.write_text(PASSWORD)
        if self.user:
            shutil.chown(folder, "postgres")
        self.call("initdb", "-U", "me", "-A", "scram-sha-256", f"--pwfile={password}")

    def call(self, program, *arguments):
        command = [program, "-D", str(self.folder / "data"), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self.folder, **self.user)

    def start(self):
        options = f"-p {self.port} -h 127.0.0.1 -k {self.folder}"
        self.call("pg_ctl", "-w", "-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self):
        self.call("pg_ctl", "-w", "-m", "immediate", "stop")


@pytest.fixture
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("postgresql")
    for above in [folder, *folder.parents][:3]:
        above.chmod(0o755)
    running = Server(folder)
    running.start()
    yield running
    running.stop()


def test_a_study_outlives_its_server_and_keeps_no_password(server, tmp_path):
    place = f"127.0.0.1:{server.port}/postgres"
    command = ["search", *SMALL, *TRIALS, "--out", str(tmp_path / "study"), "--storage"]
    asked = [sys.executable, "-m", "autopeft", *command, f"postgresql://me:{PASSWORD}@{place}"]
    running = subprocess.Popen(asked, stderr=subprocess.PIPE, text=True)
    left = ""
    for line in running.stderr:
        left += line
        if "[1/3]" in line:
            server.stop()
            break
    left += running.stderr.read()
    assert "[1/3]" in left, left
    assert running.wait() == 2 and "Traceback" not in left and "storage" in left.splitlines()[-1]
    server.start()
    environment = {**os.environ, "PGPASSWORD": PASSWORD}
    autopeft(*command, f"postgresql://me@{place}", env=environment)
    done = autopeft("report", tmp_path / "study", "--json", env=environment)
    rows = (tmp_path / "study" / "trials.csv").read_text().splitlines()[1:]
    assert [row.split(",")[0] for row in rows] == ["0", "1", "2"] and json.loads(done.stdout)["front"]
    kept = b"".join(p.read_bytes() for p in (tmp_path / "study").iterdir() if p.is_file())
    assert PASSWORD.encode() not in kept and PASSWORD not in left + done.stdout + done.stderr
