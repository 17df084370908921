"""The files that start a cluster and submit to it."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

import gazetune

ROOT = Path(__file__).resolve().parents[3]
SUBMIT = ROOT / "launch" / "submit.sh"


@pytest.fixture
def config() -> dict[str, Any]:
    """Return cluster.yaml as `ray up` takes it: with Ray's defaults for AWS filled in."""
    return prepare_config(yaml.safe_load((ROOT / "cluster.yaml").read_text(encoding="utf-8")))


def test_rays_schema_accepts_the_cluster(config: dict[str, Any]) -> None:
    validate_config(config)
    assert config["provider"]["type"] == "aws"


def test_rays_schema_would_notice_a_wrong_key(config: dict[str, Any]) -> None:
    with pytest.raises(Exception, match="ssh_users_typo"):
        validate_config({**config, "ssh_users_typo": 1})


def test_nothing_listens_to_the_world(config: dict[str, Any]) -> None:
    text = yaml.safe_dump(config)
    assert not re.search(r"(?<!\d)0\.0\.0\.0|::/0", text)
    head = " ".join(config["head_start_ray_commands"])
    assert "--dashboard-host=127.0.0.1" in head
    for command in (head, " ".join(config["worker_start_ray_commands"])):
        assert "RAY_AUTH_MODE=token" in command
    # A node type without a group of its own gets Ray's, which lets in ssh from everywhere.
    assert all(kind["node_config"].get("SecurityGroupIds") for kind in config["available_node_types"].values())
    assert any(remote.endswith(".ray/auth_token") for remote in config["file_mounts"])


def test_trials_run_on_gpu_workers_that_scale_and_never_on_the_head(config: dict[str, Any]) -> None:
    types = config["available_node_types"]
    head = types.pop(config["head_node_type"])
    assert head["resources"] == {"CPU": 0, "GPU": 0} and head["max_workers"] == 0
    for kind in types.values():
        assert kind["resources"]["GPU"] >= 1 and kind["min_workers"] < kind["max_workers"] <= config["max_workers"]


def test_the_nodes_install_this_version_with_this_versions_ray(config: dict[str, Any]) -> None:
    wheel = f"gazetune-{gazetune.__version__}-py3-none-any.whl"
    assert config["file_mounts"][f"/home/ubuntu/wheels/{wheel}"] == f"dist/{wheel}"
    install = next(command for command in config["setup_commands"] if "pip install" in command)
    assert f"file:///home/ubuntu/wheels/{wheel}" in install
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    ray = next(line.strip(' ",') for line in project.splitlines() if '"ray[default' in line)
    assert f'"{ray}"' in install


def test_every_command_is_valid_shell(config: dict[str, Any]) -> None:
    for key in ("setup_commands", "head_setup_commands", "head_start_ray_commands", "worker_start_ray_commands"):
        for command in config[key]:
            subprocess.run(["bash", "-n", "-c", command], check=True)


RAY = """#!{python}
# Stands in for the ray command: serves a dashboard, and writes down what was submitted.
import http.server, json, os, sys
if sys.argv[1] == "dashboard":
    open({log!r} + ".tunnel", "w").write(str(os.getpid()))
    port = int(sys.argv[sys.argv.index("--port") + 1])
    http.server.HTTPServer(("127.0.0.1", port), http.server.SimpleHTTPRequestHandler).serve_forever()
folder = sys.argv[sys.argv.index("--working-dir") + 1]
files = {{name: open(os.path.join(folder, name)).read() for name in os.listdir(folder)}}
json.dump({{"argv": sys.argv[1:], "files": files, "auth": os.environ.get("RAY_AUTH_MODE")}}, open({log!r}, "w"))
sys.exit({code})
"""


class Submission:
    """Runs submit.sh in a folder with a space file and a stand-in for `ray`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "submitted.json"
        (folder / "bin").mkdir()
        (folder / "my space.yaml").write_text("name: mine\n")
        (folder / "cluster.yaml").write_text("cluster_name: x\n")
        self.ray(0)

    def ray(self, code: int) -> None:
        path = self.folder / "bin" / "ray"
        path.write_text(RAY.format(python=sys.executable, log=str(self.log), code=code))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {key: value for key, value in os.environ.items() if key != "RAY_AUTH_MODE"}
        environment |= {"PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}", "TMPDIR": str(self.folder)}
        command = ["bash", str(SUBMIT), *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    def submitted(self) -> dict[str, Any]:
        return dict(json.loads(self.log.read_text()))


@pytest.fixture
def submission(tmp_path: Path) -> Submission:
    return Submission(tmp_path)


def test_a_search_is_submitted_with_its_file_and_its_arguments_whole(submission: Submission) -> None:
    done = submission.run(
        "-a", "http://127.0.0.1:8265", "my space.yaml", "--set", "data.source=/a b/$x.jsonl", "--json"
    )
    assert done.returncode == 0, done.stderr
    found = submission.submitted()
    argv = found["argv"]
    assert argv[: argv.index("--working-dir")] == ["job", "submit", "--address", "http://127.0.0.1:8265"]
    search = ["gazetune", "search", "space.yaml", "--address", "auto", "--storage", "/home/ubuntu/shared/runs"]
    assert argv[argv.index("--") + 1 :] == [*search, "--set", "data.source=/a b/$x.jsonl", "--json"]
    assert found["files"] == {"space.yaml": "name: mine\n"} and found["auth"] == "token"
    assert not list(submission.folder.glob("tmp.*"))


def test_a_shipped_space_is_submitted_by_its_name(submission: Submission) -> None:
    assert submission.run("-a", "http://x:1", "-s", "/efs/runs", "-d", "demo").returncode == 0
    found = submission.submitted()
    assert found["argv"][-6:] == ["search", "demo", "--address", "auto", "--storage", "/efs/runs"]
    assert "--no-wait" in found["argv"] and found["files"] == {}


def test_the_dashboard_is_reached_through_a_tunnel_that_ends_with_the_script(submission: Submission) -> None:
    done = submission.run("demo")
    assert done.returncode == 0, done.stderr
    assert submission.submitted()["argv"][3].startswith("http://127.0.0.1:2")
    tunnel = int(Path(f"{submission.log}.tunnel").read_text())
    for _ in range(50):
        if not Path(f"/proc/{tunnel}").exists():
            return
        time.sleep(0.1)
    pytest.fail("the tunnel still runs")


def test_a_failed_job_fails_the_script(submission: Submission) -> None:
    submission.ray(1)
    assert submission.run("-a", "http://x:1", "demo").returncode == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "which search space?"),
        (["-a", "http://x:1", "absent.yaml"], "no file 'absent.yaml'"),
        (["-c", "absent.yaml", "demo"], "no file 'absent.yaml'"),
        (["-x", "demo"], "no option -x"),
        (["-a"], "-a needs a value"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_submitted(
    submission: Submission, arguments: list[str], said: str
) -> None:
    done = submission.run(*arguments)
    assert done.returncode == 2 and said in done.stderr and not submission.log.exists()


def test_help_is_printed(submission: Submission) -> None:
    assert "usage: launch/submit.sh" in submission.run("-h").stdout


def test_shellcheck_finds_nothing() -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    subprocess.run(["shellcheck", str(SUBMIT)], check=True)
