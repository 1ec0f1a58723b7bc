"""What is published says one thing in all places: versions, dependencies, addresses, platforms."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import skymargin
from tests.support.processes import run
from tools import check_wheel

ROOT = Path(__file__).parents[2]
REPOSITORY = "https://github.com/skymargin/skymargin"
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def read_toml(name: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / name).read_text(encoding="utf-8"))


def read_yaml(name: str | Path) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


PROJECT = read_toml("pyproject.toml")["project"]
WORKSPACE = read_toml("Cargo.toml")["workspace"]["package"]


def requirement(text: str) -> tuple[str, str]:
    """Name and versions of a requirement, as conda has them."""
    match = re.fullmatch(r"([A-Za-z0-9._-]+)(\[[^]]*\])? ?([^;]*)(;.*)?", text)
    assert match, text
    name = match[1].lower().replace("_", "-")
    return {"dask-core": "dask"}.get(name, name), match[3].replace(" ", "")


def locked(name: str) -> dict[str, set[str]]:
    """The versions of each package in a lock file."""
    versions: dict[str, set[str]] = {}
    for line in (ROOT / "requirements" / name).read_text(encoding="utf-8").splitlines():
        if line[:1].isalnum():
            package, _, version = line.partition("==")
            versions.setdefault(package, set()).add(version.partition(";")[0].strip())
    return versions


def test_all_versions_are_one() -> None:
    version = WORKSPACE["version"]
    assert version == skymargin.__version__
    assert PROJECT["dynamic"] == ["version"]
    assert read_yaml("CITATION.cff")["version"] == version
    assert read_yaml("conda/recipe.yaml")["context"]["version"] == version


def test_all_addresses_are_in_one_place() -> None:
    assert {url for url in PROJECT["urls"].values() if "github" in url} == {
        REPOSITORY,
        f"{REPOSITORY}/blob/main/CHANGELOG.md",
        f"{REPOSITORY}/issues",
    }
    citation, recipe = read_yaml("CITATION.cff"), read_yaml("conda/recipe.yaml")
    assert (
        citation["repository-code"] == WORKSPACE["repository"] == recipe["about"]["repository"] == REPOSITORY
    )
    assert citation["url"] == PROJECT["urls"]["Documentation"] == recipe["about"]["documentation"]
    assert (ROOT / "CHANGELOG.md").is_file()
    [link] = read_yaml(".github/ISSUE_TEMPLATE/config.yml")["contact_links"]
    assert link["url"].startswith(f"{REPOSITORY}/")


def test_licence_authors_and_summary_are_the_same_everywhere() -> None:
    citation, recipe = read_yaml("CITATION.cff"), read_yaml("conda/recipe.yaml")
    assert {PROJECT["license"], WORKSPACE["license"], citation["license"], recipe["about"]["license"]} == {
        "BSD-3-Clause"
    }
    assert PROJECT["authors"] == citation["authors"] == [{"name": name} for name in WORKSPACE["authors"]]
    assert PROJECT["description"] == recipe["about"]["summary"]
    assert PROJECT["description"].lower() in citation["title"].lower()


def test_pythons_are_those_that_are_tested() -> None:
    prefix = "Programming Language :: Python :: 3."
    stated = [kind.removeprefix(prefix) for kind in PROJECT["classifiers"] if kind.startswith(prefix)]
    assert PROJECT["requires-python"] == f">=3.{stated[0]}"
    jobs = read_yaml(".github/workflows/checks.yml")["jobs"]
    for job in ("tests", "other-systems"):
        assert jobs[job]["strategy"]["matrix"]["python-version"] == [f"3.{minor}" for minor in stated]
    # The extension is built once, for the oldest and all later ones.
    assert f"abi3-py3{stated[0]}" in (ROOT / "rust/py/Cargo.toml").read_text(encoding="utf-8")
    assert not [kind for kind in PROJECT["classifiers"] if kind.startswith("License ::")], (
        "licence is an expression"
    )


def test_systems_are_those_that_wheels_are_built_for() -> None:
    systems = {
        kind.rpartition(" :: ")[2] for kind in PROJECT["classifiers"] if kind.startswith("Operating System")
    }
    included = read_yaml(".github/workflows/wheels.yml")["jobs"]["wheels"]["strategy"]["matrix"]["include"]
    names = {"ubuntu": "Linux", "macos": "MacOS", "windows": "Windows"}
    built = {(names[entry["os"].partition("-")[0]], entry["target"]) for entry in included}
    assert {system for system, _ in built} == systems
    assert {target for system, target in built if system != "Windows"} == {"x86_64", "aarch64"}
    tested = read_yaml(".github/workflows/checks.yml")["jobs"]["other-systems"]["strategy"]["matrix"]["os"]
    assert {names[system.partition("-")[0]] for system in tested} == systems - {"Linux"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_may_read_alone_and_pin_their_actions(path: Path) -> None:
    workflow = read_yaml(path)
    assert workflow["permissions"] == {"contents": "read"}
    used = [
        step["uses"] for job in workflow["jobs"].values() for step in job.get("steps", ()) if "uses" in step
    ]
    assert used
    # By the tag or branch of the major version, which gets their fixes.
    assert not [action for action in used if not re.fullmatch(r"[\w.-]+/[\w.-]+@(v\d+|release/v\d+)", action)]
    for job in workflow["jobs"].values():
        # A job that calls another workflow has the limits of that.
        assert "uses" in job or job["timeout-minutes"] <= 90
        writes = {name for name, right in job.get("permissions", {}).items() if right == "write"}
        assert not writes or (writes == {"id-token"} and job["environment"] == "release")


def test_one_version_of_each_action_is_used() -> None:
    used = {
        step["uses"].partition("@")[::2]
        for path in WORKFLOWS
        for job in read_yaml(path)["jobs"].values()
        for step in job.get("steps", ())
        if "uses" in step
    }
    names = [name for name, _ in used]
    assert len(names) > 5
    assert len(names) == len(set(names))


def test_workflows_run_files_and_commands_that_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    text = "\n".join(path.read_text(encoding="utf-8") for path in WORKFLOWS)
    assert set(re.findall(r"run: make (\w+)", text)) <= targets
    named = set(re.findall(r"\b((?:tools|requirements|rust|tests)/[\w./-]*\w)", text))
    assert {"tools/check_wheel.py", "requirements/dev.lock", "rust/checked.toml"} <= named
    assert not [name for name in named if not (ROOT / name).exists()]


def test_hooks_use_the_locked_versions() -> None:
    hooks = {repo["repo"]: repo.get("rev", "") for repo in read_yaml(".pre-commit-config.yaml")["repos"]}
    assert {hooks["https://github.com/astral-sh/ruff-pre-commit"].removeprefix("v")} == locked("dev.lock")[
        "ruff"
    ]


def test_the_recipe_needs_what_the_package_needs() -> None:
    run = [requirement(text) for text in read_yaml("conda/recipe.yaml")["requirements"]["run"]]
    assert sorted(run) == sorted(
        [("python", PROJECT["requires-python"]), *(requirement(text) for text in PROJECT["dependencies"])]
    )
    host = dict(requirement(text) for text in read_yaml("conda/recipe.yaml")["requirements"]["host"])
    [backend] = read_toml("pyproject.toml")["build-system"]["requires"]
    assert host["maturin"] == requirement(backend)[1]
    [entry] = read_yaml("conda/recipe.yaml")["build"]["python"]["entry_points"]
    assert entry == f"skymargin = {PROJECT['scripts']['skymargin']}"


def test_the_demo_has_the_versions_of_the_tests() -> None:
    demo, all_packages = locked("demo.lock"), locked("dev.lock")
    assert {name: versions for name, versions in demo.items() if all_packages.get(name) != versions} == {}
    needed = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["demo"], "maturin"]
    assert {requirement(text)[0] for text in needed} <= set(demo)
    # Neither the tests' packages nor those of the documentation.
    assert len(demo) < 0.65 * len(all_packages)
    assert not {"pytest", "mkdocs", "moto", "ruff"} & set(demo)


def test_only_the_geometry_is_a_crate_for_others() -> None:
    crates = {
        path.parent.name: tomllib.loads(path.read_text(encoding="utf-8"))["package"]
        for path in (ROOT / "rust").glob("*/Cargo.toml")
    }
    assert {name for name, crate in crates.items() if crate["publish"] is True} == {"geometry"}
    assert WORKSPACE["publish"] is False
    geometry = crates["geometry"]
    assert len(geometry["keywords"]) <= 5
    assert all(re.fullmatch(r"[a-z][a-z0-9_-]{0,19}", word) for word in geometry["keywords"])
    folder = ROOT / "rust/geometry"
    assert geometry["readme"] == "README.md"
    assert (folder / "README.md").read_text(encoding="utf-8").startswith("# skymargin-geometry\n")
    # A crate is packed alone, without the files above it.
    assert (folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    # Nothing that is not published may be needed.
    ours = {name for name in crates if name != "geometry"}
    manifest = tomllib.loads((folder / "Cargo.toml").read_text(encoding="utf-8"))
    assert not {f"skymargin-{name}" for name in ours} & set(manifest["dependencies"])


def test_forms_for_issues_have_what_the_site_asks_for() -> None:
    forms = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))
    assert [form.stem for form in forms] == ["bug_report", "config", "feature_request"]
    for form in forms:
        if form.stem == "config":
            continue
        content = read_yaml(form)
        assert content["name"]
        assert content["description"]
        fields = [field["id"] for field in content["body"] if field["type"] != "markdown"]
        assert len(fields) == len(set(fields)) > 0
        assert all(field["attributes"]["label"] for field in content["body"] if field["type"] != "markdown")


def test_the_documentation_is_built_with_the_settings_of_the_repository() -> None:
    built = read_yaml(".readthedocs.yaml")
    assert (ROOT / built["mkdocs"]["configuration"]).is_file()
    assert built["mkdocs"]["fail_on_warning"] is True
    [install] = built["python"]["install"]
    assert set(install["extra_requirements"]) <= set(PROJECT["optional-dependencies"])


def test_nothing_is_called_published() -> None:
    """Remove this when it is."""
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), ROOT / "rust/geometry/README.md"]
    pages += [*(ROOT / "docs").rglob("*.ipynb"), *(ROOT / "python").rglob("*.py")]
    said = re.compile(
        r"pypi\.org/project/skymargin|crates\.io/crates/skymargin|anaconda\.org/\S*skymargin"
        r"|pip install (?:[\\'\"\w\[\],-]* )*[\\'\"]*skymargin\b"
    )
    for refused in (
        "pip install skymargin",
        "pip install 'skymargin[s3]'",
        r"pip install lsdb \"skymargin[a,b]\"",
    ):
        assert said.search(refused), refused
    assert not said.search('pip install "$(ls dist/skymargin-*.whl)[plot]"')
    assert len(pages) > 100
    assert not [str(page) for page in pages if said.search(page.read_text(encoding="utf-8"))]


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, unpacked."""
    folder = tmp_path_factory.mktemp("sdist")
    run([sys.executable, "-m", "maturin", "sdist", "--out", folder], ROOT)
    [archive] = folder.glob("skymargin-*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return archive.with_name(archive.name.removesuffix(".tar.gz"))


def test_the_source_distribution_has_what_its_tests_import(sdist: Path) -> None:
    script = (ROOT / "tools/test_sdist.sh").read_text(encoding="utf-8")
    tests = re.findall(r"tests/[\w./]+", script.rpartition("-m pytest")[2])
    assert len(tests) > 2
    files = [
        file
        for name in tests
        for file in ((sdist / name).rglob("*.py") if (sdist / name).is_dir() else [sdist / name])
    ]
    roots = ("tests", "benchmarks", "conformance", "tools")
    imported = {
        name
        for file in files
        for name in re.findall(r"^(?:from|import) ([\w.]+)", file.read_text(encoding="utf-8"), re.MULTILINE)
        if name.partition(".")[0] in roots
    }
    assert {"tests.support.catalogs", "conformance.reference"} <= imported
    places = [sdist / name.replace(".", "/") for name in imported]
    assert not [
        str(place) for place in places if not place.with_suffix(".py").exists() and not place.is_dir()
    ]
    assert {path.name for path in (sdist / "conformance/v1").iterdir()} == {
        path.name for path in (ROOT / "conformance/v1").iterdir()
    }


def test_the_source_distribution_is_built_with_the_locked_crates(sdist: Path) -> None:
    """It lacks the crates that only tests need, so Cargo.lock loses entries; it gets none and changes none."""
    before = crates_of(sdist)
    run(["cargo", "metadata", "--offline", "--quiet", "--format-version", "1"], sdist)
    after = crates_of(sdist)
    assert after < before
    assert {name for name, _ in after} >= {"skymargin-scan", "skymargin-py", "parquet", "pyo3"}
    # `--locked` would refuse that.
    script = (ROOT / "tools/test_sdist.sh").read_text(encoding="utf-8")
    assert re.findall(r'^MATURIN_PEP517_ARGS="(.*)"', script, re.MULTILINE) == ["--config rust/checked.toml"]


def crates_of(folder: Path) -> set[tuple[str, str]]:
    lock = tomllib.loads((folder / "Cargo.lock").read_text(encoding="utf-8"))
    return {(package["name"], package["version"]) for package in lock["package"]}


def test_the_oldest_versions_are_tested_with_all_that_the_tests_import() -> None:
    script = (ROOT / "tools/test_lowest.sh").read_text(encoding="utf-8")
    assert "tests/geometry" in script
    assert re.search(r"uv pip install .* mpmath\b", script)


def test_the_check_of_wheels_refuses_what_is_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = tmp_path / "skymargin-0.1.0-cp311-abi3-manylinux_2_28_x86_64.whl"
    wheel.write_bytes(bytes(2_000))
    monkeypatch.setattr(check_wheel, "MAX_BYTES", 1_999)
    with pytest.raises(SystemExit, match=r"2,000 bytes, more than 1,999"):
        check_wheel.check(wheel)


def test_the_check_of_wheels_asks_auditwheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_wheel.sys, "platform", "linux")

    def shown(text: str) -> None:
        done = subprocess.CompletedProcess([], 0, text, "")
        monkeypatch.setattr(check_wheel.subprocess, "run", lambda *_args, **_options: done)

    wheel = tmp_path / "skymargin-0.1.0-cp311-abi3-manylinux_2_34_x86_64.whl"
    wheel.write_bytes(bytes(2_000_000))
    shown('is consistent with the following platform\ntag: "manylinux_2_34_x86_64".')
    assert "2.0 MB, for Linux with glibc 2.34 or newer" in check_wheel.check(wheel)
    shown('is consistent with the following platform tag: "manylinux_2_36_x86_64".')
    with pytest.raises(SystemExit, match="should be tagged manylinux_2_36_x86_64"):
        check_wheel.check(wheel)
    shown('is consistent with the following platform tag: "manylinux_2_34_aarch64".')
    with pytest.raises(SystemExit, match="should be tagged manylinux_2_34_aarch64"):
        check_wheel.check(wheel)
    # As from a container whose glibc is newer than what the extension uses.
    shown('is consistent with the following platform tag: "manylinux_2_17_x86_64".')
    assert "for Linux with glibc 2.34 or newer (manylinux_2_34_x86_64, " in check_wheel.check(wheel)
    shown('is consistent with the following platform tag: "linux_x86_64".')
    with pytest.raises(SystemExit, match="no manylinux wheel"):
        check_wheel.check(wheel)
