"""Does a Dask cluster give the same rows as this process, whatever becomes of its workers?"""

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time

import pytest

from accel_sim.cli.main import main

COMMAND = (sys.executable, "-c", "from accel_sim.cli.main import run; run()")
POINTS = (
    "sweep", "edge_16x16", "--limit-images", "2", "--set", "mac_array.rows=4,8,16,32",
    "--weight-bits", "4,8",
)  # fmt: skip


@pytest.fixture
def cluster(tmp_path):
    """The address of a scheduler with two workers, and the processes of these."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, scheduler_port=0,
        host="127.0.0.1", local_directory=str(tmp_path / "dask"),
    ) as cluster:  # fmt: skip
        yield cluster


def rows(path):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT * FROM points ORDER BY key").fetchall()


@pytest.mark.slow
def test_a_cluster_gives_the_rows_of_this_process(cluster, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert main([*POINTS, "-o", "here.db", "--workers", "1"]) == 0
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another"))
    address = cluster.scheduler_address
    assert main([*POINTS, "-o", "there.db", "--scheduler", address]) == 0
    assert rows("there.db") == rows("here.db")


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_no_point(cluster, tmp_path):
    from distributed import Client

    many = f"mac_array.rows={','.join(map(str, range(2, 18)))}"
    arguments = ["sweep", "edge_16x16", "--limit-images", "2", "--set", many, "-o"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with Client(cluster.scheduler_address) as client:
        pids = list(client.run(os.getpid).values())
    with subprocess.Popen(
        [*COMMAND, *arguments, "there.db", "--scheduler", cluster.scheduler_address],
        cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        deadline = time.monotonic() + 120
        while count_rows(tmp_path / "there.db") < 2 and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(pids[0], signal.SIGKILL)
        printed, errors = process.communicate()
    assert (process.returncode, errors) == (0, "")
    here = subprocess.run(
        [*COMMAND, *arguments, "here.db", "--workers", "1"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert printed == here.stdout
    assert rows(tmp_path / "there.db") == rows(tmp_path / "here.db")


def count_rows(path):
    try:
        return len(rows(path))
    except sqlite3.Error:  # not made yet
        return 0


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_scheduler_that_is_not_there_is_one_line(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("accel_sim.sweep.dask_workers.CONNECT_SECONDS", 0.5)
    address = f"tcp://127.0.0.1:{free_port()}"
    assert main([*POINTS, "-o", "r.db", "--scheduler", address]) == 2
    assert capsys.readouterr().err == (
        f"--scheduler: no scheduler answers at {address!r} within 0.5 s (OSError); start one "
        "with: dask scheduler\n"
    )
    assert rows("r.db") == []


@pytest.mark.parametrize("address", ["nonsense", "tcp://", "ftp://host:1"])
def test_an_address_that_is_none_is_one_line(capsys, tmp_path, monkeypatch, address):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("accel_sim.sweep.dask_workers.CONNECT_SECONDS", 0.5)
    assert main([*POINTS, "--scheduler", address]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"--scheduler: no scheduler answers at {address!r} within 0.5 s (")
    assert error.count("\n") == 1


@pytest.mark.slow
def test_a_cluster_without_workers_is_one_line(capsys, tmp_path, monkeypatch):
    from distributed import LocalCluster

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("accel_sim.sweep.dask_workers.FIRST_WORKER_SECONDS", 0.5)
    with LocalCluster(n_workers=0, dashboard_address=None, host="127.0.0.1") as cluster:
        address = cluster.scheduler_address
        assert main([*POINTS, "--scheduler", address]) == 2
    assert capsys.readouterr().err == (
        f"--scheduler: {address!r} has no worker after 0.5 s; start one with: dask worker "
        f"{address}\n"
    )


def test_workers_and_a_scheduler_do_not_go_together(capsys):
    assert main([*POINTS, "--scheduler", "tcp://host:1", "--workers", "2"]) == 2
    assert capsys.readouterr().err == (
        "--workers: has no use with --scheduler, whose workers are there; leave it out\n"
    )


def test_dask_that_is_not_installed_is_one_line(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.delitem(sys.modules, "accel_sim.sweep.dask_workers", raising=False)
    assert main([*POINTS, "--scheduler", "tcp://host:1"]) == 2
    assert capsys.readouterr().err == (
        "--scheduler: needs Dask; install it with: pip install 'accel-sim[distributed]'\n"
    )
