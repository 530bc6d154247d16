"""The files of deploy/ agree with z1: metrics, flags, paths and settings exist."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest
from typer.testing import CliRunner

from z1.cli.main import app
from z1.engines.vllm_params import MIDDLEWARE
from z1.profiles import PROFILES
from z1.serve.metrics import Metrics
from z1.vllm_plugin.settings import read_settings

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"


def metric_names() -> set[str]:
    """Every metric of the server and of the plug-in, as Prometheus stores it."""
    from z1.vllm_plugin import counters  # registers the plug-in's

    assert counters.COUNTERS
    pages = Metrics().text().decode() + generate_latest().decode()
    families = dict(re.findall(r"^# TYPE (z1_\w+) (\w+)", pages, re.MULTILINE))
    parts = {"histogram": ("_bucket", "_sum", "_count")}
    return {name + part for name, kind in families.items() for part in parts.get(kind, ("",))}


def test_the_dashboard_names_metrics_that_exist_and_all_of_them() -> None:
    panels = json.loads((DEPLOY / "grafana" / "z1.json").read_text("utf-8"))["panels"]
    expressions = [target["expr"] for panel in panels for target in panel["targets"]]
    used = {name for text in expressions for name in re.findall(r"\bz1_\w+", text)}
    known = metric_names()
    assert used <= known
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in known if not name.endswith("_created")}
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in used} == families


def test_the_dashboard_can_fail() -> None:
    assert "z1_requests_total" in metric_names()
    assert "z1_requests" not in metric_names()


def services() -> Any:
    yaml = pytest.importorskip("yaml")
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))["services"]


def test_the_commands_of_compose_use_flags_that_exist() -> None:
    found = services()
    help_text = CliRunner().invoke(app, ["serve", "--help"]).output
    dockerfile = (DEPLOY / "Dockerfile").read_text("utf-8")
    flags = [part.partition("=")[0] for part in found["z1"]["command"] if part.startswith("--")]
    flags += re.findall(r'"(--[a-z-]+)"', dockerfile.partition("ENTRYPOINT")[2])
    assert flags
    assert all(re.search(rf"{flag}\b", help_text) for flag in flags), flags
    assert f"--middleware={MIDDLEWARE}" in found["vllm"]["command"]
    (processor,) = (part for part in found["vllm"]["command"] if part.startswith("--logits-processors"))
    assert re.fullmatch(r"--logits-processors=z1\.vllm_plugin:\$\{PROFILE:-(.*)\}", processor)[1] in PROFILES  # type: ignore[index]


def test_what_compose_mounts_and_the_images_copy_exists() -> None:
    mounted = [part.partition(":")[0] for service in services().values() for part in service.get("volumes", [])]
    local = [DEPLOY / part for part in mounted if part.startswith("./") and part != "./key"]
    for name in ("Dockerfile", "vllm.Dockerfile"):
        lines = re.findall(r"^COPY (.*) \S+$", (DEPLOY / name).read_text("utf-8"), re.MULTILINE)
        local += [ROOT / part for line in lines for part in line.split()]
    assert len(local) > 8
    assert not [path for path in local if not path.exists()]


def test_the_extras_of_the_image_and_the_settings_of_the_plug_in_are_valid() -> None:
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    (asked,) = re.findall(r'"/z1\[(.*?)\]"', (DEPLOY / "Dockerfile").read_text("utf-8"))
    assert set(asked.split(",")) <= extras.keys()
    settings = read_settings(DEPLOY / "vllm" / "vllm.toml")
    assert settings.enabled
    assert settings.default.thinking_budget is None


@pytest.mark.skipif(shutil.which("nginx") is None or shutil.which("openssl") is None, reason="no nginx or openssl here")
def test_nginx_accepts_the_configuration(tmp_path: Path) -> None:
    key, certificate = tmp_path / "z1.key", tmp_path / "z1.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=z1", "-days", "1"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    text = (DEPLOY / "nginx.conf").read_text("utf-8")
    text = text.replace("/etc/nginx/z1.pem", str(certificate)).replace("/etc/nginx/z1.key", str(key))
    path = tmp_path / "nginx.conf"
    path.write_text(text.replace("/run/nginx-z1.pid", str(tmp_path / "pid")), "utf-8")
    done = subprocess.run(["nginx", "-t", "-c", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
