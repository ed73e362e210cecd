"""A real Slurm of two nodes on this machine, for the tests: its daemons, and how to kill them."""

import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "sinfo")
NODES = ("d1", "d2")
CONF = """
ClusterName=loopback
SlurmctldHost=localhost
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,bf_interval=1
ReturnToService=2
SlurmdTimeout=5
NodeName=d1 NodeHostname=localhost Port={ports[1]} CPUs=1
NodeName=d2 NodeHostname=localhost Port={ports[2]} CPUs=1
PartitionName=main Nodes=d1,d2 Default=YES State=UP
"""


def lacking() -> str:
    """Why there can be no cluster here; empty when there can."""
    absent = [name for name in DAEMONS if shutil.which(name) is None]
    if absent:
        return f"no {', '.join(absent)}: install munge, slurmctld, slurmd and slurm-client"
    return "" if os.geteuid() == 0 else "slurmd of a test needs root"


class Cluster:
    """Use as a context; `environment` makes Slurm's commands talk to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf")}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "Cluster":
        (self.folder / "state").mkdir(parents=True)
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        text = CONF.format(ports=_free_ports(3), user="root", folder=self.folder)
        (self.folder / "slurm.conf").write_text(text)
        files = [("key-file", key.name), ("socket", "munge.socket"), ("pid-file", "munge.pid"),
                 ("log-file", "munge.log"), ("seed-file", "munge.seed")]  # fmt: skip
        places = [f"--{option}={self.folder / name}" for option, name in files]
        self._start("munged", "munged", "--foreground", "--force", *places)
        self._start("slurmctld", "slurmctld", "-D", "-c")
        for node in NODES:
            self.start(node)
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["scancel", "--me"], env=self.environment, check=False)
        for started in reversed(self._running.values()):
            started.terminate()
        for started in self._running.values():
            started.wait()

    def start(self, node: str) -> None:
        """Start a node's daemon, for the first time or again."""
        self._start(node, "slurmd", "-D", "-N", node)

    def kill(self, node: str) -> None:
        """Lose a node, as Slurm sees it; a task on it goes on, cut off."""
        self._running[node].send_signal(signal.SIGKILL)
        self._running[node].wait()

    def _start(self, name: str, *words: str) -> None:
        log = (self.folder / f"{name}.out").open("ab")
        self._running[name] = subprocess.Popen(
            words, env=self.environment, stdout=log, stderr=log, start_new_session=True
        )
        log.close()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("localhost", 0))
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports
