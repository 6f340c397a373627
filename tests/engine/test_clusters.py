"""Who can reach a Dask cluster: TLS as it is asked for, and ports of this machine only."""

from __future__ import annotations

import logging
import shutil
import signal
import subprocess
import sys
import types
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import pytams
from exact import DoubleWell2DSingle
from pytams.cli.config import Config

distributed = pytest.importorskip("distributed")
import psutil  # noqa: E402 - comes with Dask

from pytams.engine.clusters import _slurm_cluster, connect  # noqa: E402 - needs Dask
from pytams.engine.dask import OnDask  # noqa: E402 - likewise

pytestmark = pytest.mark.filterwarnings("ignore")  # Dask's own, at its shutdown

TABLE: dict[str, dict[str, Any]] = {
    "tams": {"ntrajectories": 10},
    "trajectory": {"end_time": 20, "step_size": 1, "targetscore": 4},
    "model": {"class": "exact:Walk"},
}
FILES = {"ca_file": "ca.pem", "cert": "cert.pem", "key": "key.pem"}


def config(**dask: Any) -> Config:
    return Config(TABLE | {"runner": {"type": "dask"}, "dask": dask}, Path())


def certificates(folder: Path) -> dict[str, str]:
    """Make a certificate that signs itself, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl here")
    folder.mkdir()
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run([*make, "-keyout", key, "-out", cert], check=True, capture_output=True)
    return {"ca_file": cert, "cert": cert, "key": key}


@pytest.mark.parametrize("security", [True, False, FILES])
def test_what_may_be_asked_for(security: Any) -> None:
    assert config(security=security, queue="q").cluster.security == security


@pytest.mark.parametrize(
    ("dask", "message"),
    [
        ({"security": "yes"}, r"\[dask\] security: write { ca_file = ..., cert = ..., key = ... }, or true for"),
        ({"security": {"ca_file": "x"}}, r"\[dask\] security: write { ca_file"),
        ({"security": FILES | {"password": "x"}}, r"\[dask\] security: write { ca_file"),
        ({"security": FILES | {"key": 3}}, r"\[dask\] security: write { ca_file"),
        ({"security": True, "address": "tls://h:1"}, r"or true for certificates made for a new cluster"),
    ],
)
def test_what_may_not(dask: dict[str, Any], message: str) -> None:
    with pytest.raises(pytams.SettingsError, match=message):
        config(**dask)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    files = {name: str(tmp_path / name) for name in FILES}
    with pytest.raises(pytams.SettingsError, match="security: there is no file .*ca_file"):
        connect("local", security=files)


def test_certificates_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(pytams.SettingsError, match="security: true needs a package to make certificates: .*cryptogr"):
        connect("local", security=True)


def test_slurm_jobs_get_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if find_spec("dask_jobqueue") is None:
        pytest.skip("dask_jobqueue is not here")
    before = signal.getsignal(signal.SIGINT)
    jobqueue = types.SimpleNamespace(SLURMCluster=_slurm_cluster())
    assert signal.getsignal(signal.SIGINT) is before
    made: list[Any] = []

    monkeypatch.setattr(jobqueue.SLURMCluster, "adapt", lambda cluster, **options: made.append(cluster))
    files = certificates(tmp_path / "certificates")
    options = {"cores": 1, "memory": "1GB", "interface": "lo", "scheduler_options": {"dashboard_address": None}}
    client = connect("slurm", security=files, options=options)
    script = made[0].job_script()
    client.close()
    made[0].close()
    assert f"--tls-ca-file {files['ca_file']}" in script
    assert f"--tls-key {files['key']}" in script
    assert "tls://" in script


@pytest.mark.slow
def test_tls_on_this_machine(tmp_path: Path) -> None:
    """Nobody without the certificates gets in, and nobody from another machine reaches the ports."""
    files = certificates(tmp_path / "ours")
    client = connect("local", n_workers=2, security=files, options={"silence_logs": logging.CRITICAL})
    address = client.scheduler.address
    assert address.startswith("tls://127.0.0.1:")
    assert client.dashboard_link.startswith("http://127.0.0.1:")
    here = psutil.Process()
    processes = [here, *here.children(recursive=True)]
    sockets = [socket for process in processes for socket in process.net_connections("inet")]
    listening = [socket.laddr for socket in sockets if socket.status == psutil.CONN_LISTEN]
    assert len(listening) >= 4  # scheduler, dashboard, two workers
    assert {place.ip for place in listening} == {"127.0.0.1"}
    tams = pytams.TAMS(
        DoubleWell2DSingle(), end_time=2, step_size=0.02, target_score=0.5, n_trajectories=10, n_discard=2
    )
    expected = tams.run(1, seed=1).runs
    assert tams.run(1, seed=1, engine=partial(OnDask, connect=client, seconds=0.1)).runs == expected
    there = partial(connect, "local", address=address, security=files)
    assert tams.run(1, seed=1, engine=partial(OnDask, connect=there, seconds=0.1)).runs == expected
    for security in (None, distributed.Security(**_stranger(tmp_path / "stranger"))):
        with pytest.raises((TypeError, OSError)):
            distributed.Client(address.replace("tls", "tls" if security else "tcp"), security=security, timeout=1.0)
    cluster = client.cluster
    client.close()
    cluster.close()


def _stranger(folder: Path) -> dict[str, Any]:
    files = certificates(folder)
    return {
        "tls_ca_file": files["ca_file"],
        "tls_client_cert": files["cert"],
        "tls_client_key": files["key"],
        "require_encryption": True,
    }


@pytest.mark.slow
def test_tls_with_certificates_of_its_own() -> None:
    pytest.importorskip("cryptography")
    client = connect("local", security=True, options={"silence_logs": logging.CRITICAL})
    assert client.scheduler.address.startswith("tls://127.0.0.1:")
    assert client.submit(sum, [1, 2]).result() == 3
    cluster = client.cluster
    client.close()
    cluster.close()
