#!/usr/bin/env bash
# Installs libtorch into a folder with the layout of pytorch.org's archives: lib/, include/, build-version.
#
#   libtorch.sh DIR          with CUDA if this machine has an NVIDIA driver, otherwise without
#   libtorch.sh DIR cpu      without CUDA: 0.5 GB
#   libtorch.sh DIR cuda     with CUDA, even without a driver: 4 GB
#
# The libraries and headers are those of the `torch` wheel. pip downloads it, so pip's configuration applies
# (PIP_INDEX_URL, PIP_CERT, proxies). Its wheels must be those of PyPI, whose SHA-256 hashes are in `wheels/`; with
# SUBWATCH_UNVERIFIED_WHEELS=1 they may be others, such as 2.11.0+cpu, which was built without CUDA. The folder is
# replaced atomically, after a check that the libraries load. Complete downloads are reused after an interruption. Needs
# python3-venv.

. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

[[ $# -ge 1 && $# -le 2 && ${2:-auto} =~ ^(auto|cpu|cuda)$ ]] || fail "usage: libtorch.sh DIR [cpu|cuda]"
mkdir -p "$(dirname "$1")"
folder=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
partial=$folder.partial
wheels=$folder.wheels
contents=$folder/contents

has_nvidia_driver() {
    [[ -e /dev/nvidiactl ]] || PATH=$PATH:/sbin:/usr/sbin ldconfig -p 2>/dev/null | grep -qF libcuda.so.1
}

# The file `contents` is written last. An installation with CUDA also works without a GPU. One from a wheel without CUDA
# is kept unless CUDA is requested explicitly.
is_complete() {
    [[ -r $contents && -e $folder/lib/libtorch_cpu.so && -d $folder/include ]] || return 1
    [[ $(<"$contents") == "$torch cuda" || $(<"$contents") == "$torch cpu" && $device == cpu ||
        $(<"$contents") == "$torch cpu-wheel" && $wanted != cuda ]]
}

# Prints the CUDA packages that the downloaded wheel requires. Even libtorch_cpu.so links to two of them.
cuda_packages() {
    "$partial/venv/bin/python" - "$wheels" "$device" <<'PY'
import email, glob, sys, zipfile
from pip._vendor.packaging.requirements import Requirement

folder, device = sys.argv[1:]
with zipfile.ZipFile(glob.glob(f"{folder}/torch-*.whl")[0]) as wheel:
    name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = email.message_from_bytes(wheel.read(name))
for text in metadata.get_all("Requires-Dist", []):
    package = Requirement(text)
    if not package.name.startswith(("cuda-toolkit", "nvidia-")):
        continue
    if package.marker and not package.marker.evaluate({"extra": ""}):
        continue
    package.marker = None
    if device == "cpu":
        package.extras &= {"cudart", "cupti"}
        if not package.extras and not package.name.startswith(("nvidia-cuda-runtime", "nvidia-cuda-cupti")):
            continue
    print(package)
PY
}

# Extracts the headers and libraries, and writes the wheel's version to `build-version`.
extract() {
    "$partial/venv/bin/python" - "$wheels" "$partial" "$device" <<'PY'
import glob, pathlib, re, shutil, sys, zipfile

wheels, target, device = sys.argv[1:]
# Parts of torch that only Python needs.
unwanted = r"lib(torch_python|torch_global_deps|shm)\b"
if device == "cpu":
    unwanted += r"|lib(torch_cuda|c10_cuda|caffe2_nvrtc|torch_nvshmem)"
for file in glob.glob(f"{wheels}/*.whl"):
    is_torch = pathlib.Path(file).name.startswith("torch-")
    with zipfile.ZipFile(file) as wheel:
        for entry in wheel.infolist():
            if entry.is_dir():
                continue
            path = pathlib.PurePosixPath(entry.filename)
            if is_torch and path.parts[:2] == ("torch", "include"):
                to = path.relative_to("torch")
            elif re.search(r"\.so(\.\d+)*$", path.name) and path.parent.name == "lib":
                if re.match(unwanted, path.name):
                    continue
                if device == "cpu" and not is_torch and not re.match(r"lib(cudart|cupti)\.so", path.name):
                    continue
                # All libraries in one folder: libtorch's search their own folder for CUDA's.
                to = pathlib.PurePosixPath("lib") / path.name
            else:
                continue
            to = pathlib.Path(target, to)
            to.parent.mkdir(parents=True, exist_ok=True)
            with wheel.open(entry) as source, open(to, "wb") as out:
                shutil.copyfileobj(source, out, 1 << 20)
            if to.parent.name == "lib":
                to.chmod(0o755)
    if is_torch:
        version = pathlib.Path(file).name.split("-")[1]
        pathlib.Path(target, "build-version").write_text(version + "\n")
PY
}

# Fails unless the libraries and their dependencies load. CUDA's also load without a driver.
check_libraries() {
    local libraries=("$partial/lib/libtorch_cpu.so")
    [[ $device == cpu ]] || libraries+=("$partial/lib/libtorch_cuda.so" "$partial/lib/libtorch_cuda_linalg.so")
    env -u LD_LIBRARY_PATH "$partial/venv/bin/python" -c '
import ctypes, sys
for path in sys.argv[1:]:
    ctypes.CDLL(path, ctypes.RTLD_GLOBAL)' "${libraries[@]}"
}

download() {
    run_foreground "$partial/venv/bin/python" -m pip download --disable-pip-version-check --only-binary=:all: \
        --dest "$wheels" "$@" >&2 ||
        fail "pip could not download the wheels of libtorch: see its message above, then run this again." \
            "If the index has other wheels than PyPI and you trust it, set SUBWATCH_UNVERIFIED_WHEELS=1"
}

install() {
    local source packages kind=$device
    rm -rf "$partial"
    run_foreground env -u PYTHONHOME -u PYTHONPATH "$python" -m venv "$partial/venv" ||
        fail "$python could not create a virtual environment: install the package python3-venv"
    # Discard wheels of another version, Python or index.
    source=$({ printf '%s\n' "$torch" && "$partial/venv/bin/python" -VV && "$partial/venv/bin/python" -m pip config list; } | sha256sum)
    [[ -r $wheels/source && $(<"$wheels/source") == "$source" ]] || rm -rf "$wheels"
    mkdir -p "$wheels"
    printf '%s\n' "$source" >"$wheels/source"
    if [[ -z ${SUBWATCH_UNVERIFIED_WHEELS:-} ]]; then
        download --no-deps --require-hashes --requirement "$scripts/wheels/libtorch-$device.txt"
    else
        download --no-deps "$torch"
    fi
    packages=$(cuda_packages)
    if [[ -z $packages ]]; then
        [[ $wanted != cuda ]] || fail "the wheel that pip found was built without CUDA: configure pip to use another" \
            "index"
        [[ $device == cpu ]] || say "the wheel that pip found was built without CUDA, so no GPU will be used"
        device=cpu
        kind=cpu-wheel
    elif [[ -n ${SUBWATCH_UNVERIFIED_WHEELS:-} ]]; then
        # shellcheck disable=SC2086 # one word per package
        download $packages
    fi
    say "unpacking libtorch"
    extract
    check_libraries || fail "the libraries of libtorch cannot be loaded: see the message above"
    rm -rf "$partial/venv"
    printf '%s\n' "$torch $kind" >"$partial/contents"
    rm -rf "$folder"
    mv "$partial" "$folder"
    rm -rf "$wheels"
}

wanted=${2:-auto}
device=$wanted
[[ $device != auto ]] || { if has_nvidia_driver; then device=cuda; else device=cpu; fi; }
# shellcheck disable=SC2317 # reached through trap_exit
clean_up() { rm -rf "$partial"; }
lock "$folder.lock" "libtorch.sh" 1800
trap_exit
if is_complete; then exit 0; fi
if [[ $device == cpu ]]; then size='0.5 GB to download'; else size='3 GB to download, with CUDA'; fi
heading "installing libtorch into ${folder#"$root/"}: $size"
install
