"""What this machine has for a run, what it lacks and what to do about it. Starts and changes nothing."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from gazetune.config.address import Address
from gazetune.errors import InputError
from gazetune.files.writable import nearest_folder, require_writable
from gazetune.reward.layout.varlen import explain_no_varlen, find_varlen
from gazetune.reward.model.quantization import has_bitsandbytes
from gazetune.tracking.location import check_tracking_uri
from gazetune.train.limits.disk_offload import can_build_async_io
from gazetune.train.processes.deepspeed_op import read_op_state

GIB = 2**30


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the doctor's report."""

    name: str
    level: Literal["OK", "WARN", "FAIL"]
    detail: str
    """What was found."""
    hint: str = ""
    """What to do about it; empty for OK."""

    def to_json(self) -> dict[str, str]:
        """Return the check as a JSON object."""
        return asdict(self)


def run_checks(storage: Path, tracking_uri: str | None) -> list[Check]:
    """Return all checks: Python, packages, GPUs and attention, DeepSpeed's ops, NF4, storage, MLflow, cores, memory.

    Parameters
    ----------
    storage : Path
        The folder results would go to; it need not exist, and is not made.
    tracking_uri : str or None
        The MLflow tracking URI; None stands for a sqlite file in the storage.
    """
    requirements, python = declared_ranges()
    checks = [check_python(python)]
    checks += [check_package(requirement) for requirement in requirements]
    checks += [check_gpus(), check_attention(find_capabilities()), check_ops(), check_nf4(), check_disk_offload()]
    checks += [check_storage(storage), check_tracking(storage, tracking_uri)]
    checks += [check_cores(), check_memory(), check_shared_memory()]
    return checks


def declared_ranges() -> tuple[list[Requirement], str]:
    """Return what the package requires, and the range of Python versions, as `pyproject.toml` declares them."""
    try:
        metadata = importlib.metadata.metadata("gazetune")
        declared, python = metadata.get_all("Requires-Dist") or [], metadata["Requires-Python"]
    except importlib.metadata.PackageNotFoundError:  # run from a checkout that was not installed
        project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        declared, python = project["dependencies"], project["requires-python"]
    requirements = [Requirement(line) for line in declared]
    # Extras are wanted by none but those who asked for them.
    return [each for each in requirements if each.marker is None or each.marker.evaluate({"extra": ""})], python


def check_python(accepted: str) -> Check:
    """Compare the version of Python with the range it must lie in."""
    version = ".".join(map(str, sys.version_info[:3]))
    if version in SpecifierSet(accepted):
        return Check("python", "OK", version)
    return Check("python", "FAIL", f"{version}, needed {accepted}", "make .venv with another Python: make PYTHON=...")


def check_package(requirement: Requirement) -> Check:
    """Compare an installed package with the range it must lie in."""
    needed = str(requirement.specifier) or "any version"
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return Check(requirement.name, "FAIL", f"not installed, needed {needed}", f"pip install '{requirement}'")
    if requirement.specifier.contains(version, prereleases=True):
        return Check(requirement.name, "OK", version)
    hint = f"pip install '{requirement}' (other versions were not tried)"
    return Check(requirement.name, "FAIL", f"{version}, needed {needed}", hint)


def check_gpus() -> Check:
    """List the CUDA GPUs that torch can use."""
    import torch

    if torch.cuda.is_available():
        cards = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
        return Check("GPUs", "OK", ", ".join(f"{card.name} ({card.total_memory / GIB:.0f} GiB)" for card in cards))
    if shutil.which("nvidia-smi") is not None:
        hint = f"torch {torch.__version__} cannot use them: install a build for this driver's CUDA version"
        return Check("GPUs", "WARN", "nvidia-smi is here, but torch sees no GPU", hint)
    return Check("GPUs", "OK", "none: runs use the CPU")


def find_capabilities() -> dict[str, tuple[int, int]]:
    """Return the compute capability of each GPU that torch can use, by the name of its kind."""
    import torch

    there = range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
    return {torch.cuda.get_device_name(index): torch.cuda.get_device_capability(index) for index in there}


def check_attention(capabilities: Mapping[str, tuple[int, int]]) -> Check:
    """Say which attention a run gets, for GPUs with these compute capabilities."""
    if not capabilities:
        return Check("attention", "OK", "torch's own, a call for each length of text (CPU)")
    kernel = find_varlen()
    problems = {name: explain_no_varlen(kernel, capability) for name, capability in capabilities.items()}
    told = [f"{name}: {problem}" for name, problem in problems.items() if problem is not None]
    if not told:
        return Check("attention", "OK", "varlen_attn: texts without padding, in bf16")
    hint = "train.batching auto pads there; texts without padding need a GPU from Ampere on and torch 2.10 or later"
    return Check("attention", "WARN", "; ".join(told), hint)


def check_ops() -> Check:
    """Say whether DeepSpeed's communication op for CPUs is built."""
    report = read_op_state()
    if report.state != "missing":
        return Check("DeepSpeed ops", "OK", f"{report.state}: {report.detail}")
    hint = "install g++ if it is missing, then gazetune doctor --build-ops"
    return Check("DeepSpeed ops", "WARN", report.detail, hint)


def check_nf4() -> Check:
    """Say whether backbones can be quantised."""
    if has_bitsandbytes():
        return Check("NF4", "OK", f"bitsandbytes {importlib.metadata.version('bitsandbytes')}")
    return Check("NF4", "OK", "not here: adapter.quantization nf4 needs pip install 'gazetune[quant]'")


def check_disk_offload() -> Check:
    """Say whether DeepSpeed can build what `deepspeed.offload: nvme` needs."""
    if can_build_async_io():
        return Check("disk offload", "OK", "DeepSpeed's aio op can be built")
    return Check("disk offload", "OK", "not here: deepspeed.offload nvme needs libaio's headers (Debian: libaio-dev)")


def check_storage(storage: Path) -> Check:
    """Write a file where results would go, and look at the free space."""
    name = f"storage {storage}"
    folder = nearest_folder(storage.absolute())
    try:
        require_writable(folder)
    except OSError as error:
        hint = "choose another folder with --storage"
        return Check(name, "FAIL", f"{folder} cannot be written: {error.strerror}", hint)
    free = shutil.disk_usage(folder).free / GIB
    if free < 2:
        level: Literal["WARN", "FAIL"] = "FAIL" if free < 0.1 else "WARN"
        return Check(name, level, f"{free:.2f} GiB free", "free some space or choose another folder with --storage")
    return Check(name, "OK", f"writable, {free:.0f} GiB free")


def check_tracking(storage: Path, uri: str | None) -> Check:
    """Ask whether MLflow answers at the tracking URI, for a few seconds at most."""
    name = "MLflow"
    if uri is None and not (storage / "mlflow.db").is_file():
        return Check(name, "OK", f"a sqlite file will be made in {storage}")
    try:
        resolved = check_tracking_uri(uri, storage)
    except InputError as error:
        return Check(name, "FAIL", str(error), "leave --tracking-uri out to use a sqlite file in the storage")
    return Check(name, "OK", f"{Address(resolved)} answers")


def check_cores() -> Check:
    """Count the cores this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if cores < 2:
        return Check("cores", "WARN", str(cores), "set resources.workers=1: each worker holds a core")
    return Check("cores", "OK", str(cores))


def check_memory() -> Check:
    """Look at the memory that is free, within the limit of this container where there is one."""
    import psutil

    free = psutil.virtual_memory().available / GIB
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.is_file() and used.is_file() and limit.read_text().strip() != "max":
        free = min(free, (int(limit.read_text()) - int(used.read_text())) / GIB)
    if free < 4:
        level: Literal["WARN", "FAIL"] = "FAIL" if free < 1 else "WARN"
        return Check("memory", level, f"{free:.1f} GiB free", "close other programs, or use fewer workers")
    return Check("memory", "OK", f"{free:.0f} GiB free")


def check_shared_memory(folder: Path = Path("/dev/shm")) -> Check:
    """Look at the size of shared memory, which holds Ray's object store and DeepSpeed's buffers."""
    if not folder.is_dir():
        return Check("shared memory", "WARN", f"no {folder}", "Ray will use files in /tmp, which is slower")
    size = shutil.disk_usage(folder).total / GIB
    if size < 1:
        return Check("shared memory", "WARN", f"{size:.2f} GiB", "start the container with --shm-size=2g or more")
    return Check("shared memory", "OK", f"{size:.1f} GiB")
