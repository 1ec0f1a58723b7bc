"""The pages on Dask clusters: their scripts build margins, and the files for Kubernetes are what it accepts.

A stand-in for each service starts a cluster on this machine, with the arguments that the script gives the service.
"""

from __future__ import annotations

import copy
import importlib.util
import os
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from distributed.cli import dask_scheduler, dask_worker

from skymargin.catalogs.write_catalog import write_catalog
from skymargin.cli.build import build
from tests.support.catalogs import ids_of
from tests.support.processes import run
from tests.support.samples import scattered_stars
from tests.support.servers import page_bucket
from tools.mkdocs_hooks import FILE, on_page_markdown

ROOT = Path(__file__).parents[2]
HOW_TO = ROOT / "docs" / "how-to"
FILES = HOW_TO / "files"
KUBERNETES = (HOW_TO / "run-on-kubernetes.md").read_text(encoding="utf-8")

STAND_INS = {
    "dask_kubernetes/__init__.py": "",
    "dask_kubernetes/operator.py": """
from pathlib import Path
import yaml
from distributed import LocalCluster

class KubeCluster(LocalCluster):
    def __init__(self, *, custom_cluster_spec):
        worker = yaml.safe_load(Path(custom_cluster_spec).read_text())["spec"]["worker"]
        arguments = worker["spec"]["containers"][0]["args"]
        threads = int(arguments[arguments.index("--nthreads") + 1])
        super().__init__(
            n_workers=worker["replicas"],
            threads_per_worker=threads,
            processes=False,
            dashboard_address="127.0.0.1:0",
        )

    def adapt(self, minimum, maximum):
        assert 0 <= minimum < maximum
""",
    "coiled.py": """
from distributed import LocalCluster

class Cluster(LocalCluster):
    def __init__(self, *, n_workers, region, container, worker_cpu, worker_memory, spot_policy):
        assert (n_workers, worker_memory) == (10, "16 GiB")
        super().__init__(n_workers=2, threads_per_worker=worker_cpu, processes=False, dashboard_address="127.0.0.1:0")
""",
    "dask_gateway.py": """
from distributed import LocalCluster

class GatewayCluster(LocalCluster):
    def adapt(self, minimum=None, maximum=None):
        assert 0 <= minimum < maximum

class Gateway:
    def __init__(self, address, auth):
        assert address.startswith("https://")

    def new_cluster(self, *, image):
        return GatewayCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0")
""",
}


def scripts(page: str) -> list[str]:
    text = (HOW_TO / page).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


CLUSTER, REPORT = scripts("run-on-a-cluster.md")
(KUBE,) = scripts("run-on-kubernetes.md")
COILED, GATEWAY = scripts("run-on-coiled-or-gateway.md")


# One process runs all scripts, in which Dask and the rest are imported once.
RUN_ALL = """
import os, runpy, sys
from distributed import LocalCluster

with LocalCluster(
    n_workers=1, threads_per_worker=2, processes=False, protocol="tcp://", dashboard_address="127.0.0.1:0"
) as running:
    os.environ["DASK_SCHEDULER_ADDRESS"] = running.scheduler_address
    runpy.run_path(sys.argv[1], run_name="__main__")
for script in sys.argv[2:]:
    runpy.run_path(script, run_name="__main__")
"""


def test_the_scripts(tmp_path: Path) -> None:
    for name, code in STAND_INS.items():
        (tmp_path / "packages" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "packages" / name).write_text(code)
    (tmp_path / "dask-cluster.yaml").write_text((FILES / "dask-cluster.yaml").read_text())
    pages = {15: CLUSTER, 20: KUBE, 30: COILED, 40: GATEWAY}
    for threshold_arcsec, script in pages.items():
        # The catalog is smaller than that of the page, and gets a wider margin.
        assert f"margin_threshold={threshold_arcsec}.0" in script
        wider = script.replace(f"threshold={threshold_arcsec}.0", "threshold=3600.0")
        (tmp_path / f"{threshold_arcsec}.py").write_text(wider)
    paths = os.pathsep.join([str(tmp_path / "packages"), os.environ.get("PYTHONPATH", "")])
    with page_bucket(tmp_path) as (bucket, environment):
        command = [sys.executable, "-W", "error", "-c", RUN_ALL, *(f"{number}.py" for number in pages)]
        done = run(command, tmp_path, environment | {"PYTHONPATH": paths})
        made = bucket.contents("margins")
    assert len(done.stdout.splitlines()) == len(pages)
    # The margins and nothing else, on the store and here.
    names = {f"my_catalog_{threshold_arcsec}arcs" for threshold_arcsec in pages}
    assert {file.split("/")[0] for file in made} == names
    assert {f"{name}/hats.properties" for name in names} <= set(made)
    assert not any((tmp_path / "progress").iterdir())


def test_the_script_with_a_performance_report(tmp_path: Path) -> None:
    pytest.importorskip("bokeh", reason="Dask's performance report needs bokeh, which is not installed")
    write_catalog(
        scattered_stars(3_000, seed=5), tmp_path / "demo" / "gaia_dr3_bright", rows_per_partition=400
    )
    (tmp_path / "script.py").write_text(REPORT.replace("threshold=35.0", "threshold=3600.0"))
    run([sys.executable, "script.py"], tmp_path)
    assert ids_of(tmp_path / "demo" / "gaia_dr3_bright_35arcs")
    assert "skymargin-map" in (tmp_path / "margin-report.html").read_text()


# --- the files for Kubernetes ---


def documents(name: str) -> dict[str, Any]:
    """The resources in a file, by kind."""
    return {each["kind"]: each for each in yaml.safe_load_all((FILES / name).read_text(encoding="utf-8"))}


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """The schema of a DaskCluster as the operator installs it, in which nothing else is allowed than it names."""
    spec = importlib.util.find_spec("dask_kubernetes")
    if spec is None or spec.submodule_search_locations is None:
        pytest.skip("the schema is in the package dask-kubernetes, which is not installed")
    crds = "operator/deployment/helm/dask-kubernetes-operator/crds/daskcluster.yaml"
    definition = yaml.safe_load((Path(spec.submodule_search_locations[0]) / crds).read_text())
    (version,) = definition["spec"]["versions"]
    schema: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    schema["properties"] |= {name: {} for name in ("apiVersion", "kind", "metadata")}
    return strict(schema)


def strict(schema: Any) -> Any:
    """The schema without fields that it does not name: the server drops them silently."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: strict(value) for key, value in schema.items()}
    names_all = isinstance(schema.get("properties"), dict) and "type" in schema
    return inner | ({"additionalProperties": False} if names_all else {})


def problems(value: Any, schema: Any) -> list[str]:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    return [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(value)]


def containers() -> Iterator[dict[str, Any]]:
    cluster = documents("dask-cluster.yaml")["DaskCluster"]["spec"]
    yield from cluster["worker"]["spec"]["containers"]
    yield from cluster["scheduler"]["spec"]["containers"]
    yield from documents("margin-job.yaml")["Job"]["spec"]["template"]["spec"]["containers"]


def test_the_cluster_is_what_the_operator_accepts(schema: dict[str, Any]) -> None:
    cluster = documents("dask-cluster.yaml")["DaskCluster"]
    assert cluster["apiVersion"] == "kubernetes.dask.org/v1"
    assert problems(cluster, schema) == []
    for change in (
        lambda worker: worker.update(replicas="two"),
        lambda worker: worker["spec"].pop("containers"),
        lambda worker: worker["spec"]["containers"][0].pop("name"),
        lambda worker: worker["spec"]["containers"][0].update(arguments=["dask"]),
    ):
        broken = copy.deepcopy(cluster)
        change(broken["spec"]["worker"])
        assert len(problems(broken, schema)) == 1


def test_the_job_runs_a_pod_that_kubernetes_accepts(schema: dict[str, Any]) -> None:
    pod = schema["properties"]["spec"]["properties"]["worker"]["properties"]["spec"]
    job = documents("margin-job.yaml")
    assert problems(job["Job"]["spec"]["template"]["spec"], pod) == []
    (volume,) = job["Job"]["spec"]["template"]["spec"]["volumes"]
    assert volume["persistentVolumeClaim"]["claimName"] == job["PersistentVolumeClaim"]["metadata"]["name"]


def test_the_parts_find_each_other() -> None:
    cluster = documents("dask-cluster.yaml")["DaskCluster"]
    name, service = cluster["metadata"]["name"], cluster["spec"]["scheduler"]["service"]
    # The operator names the service of the scheduler like this, and puts these labels on its pod.
    address = f"tcp://{name}-scheduler:8786"
    assert service["selector"] == {"dask.org/cluster-name": name, "dask.org/component": "scheduler"}
    ports = {port["name"]: port for port in service["ports"]}
    (scheduler,) = cluster["spec"]["scheduler"]["spec"]["containers"]
    assert {port["name"]: port["containerPort"] for port in scheduler["ports"]} == {
        port["targetPort"]: port["port"] for port in ports.values()
    }
    assert ports["tcp-comm"]["port"] == 8786
    *_, job = containers()
    assert job["args"][job["args"].index("--scheduler") + 1] == address
    assert job["args"][job["args"].index("--resume-tmp") + 1] == job["volumeMounts"][0]["mountPath"]
    # One image for all, and the one that the page builds.
    (image,) = {container["image"] for container in containers()}
    assert f"--tag {image} dist" in KUBERNETES
    assert all(f'"{image}"' in script for script in (COILED, GATEWAY))


def test_the_commands_of_the_containers_are_known() -> None:
    commands = {
        "dask worker": dask_worker.main,
        "dask scheduler": dask_scheduler.main,
        "skymargin build": build,
    }
    seen = set()
    for container in containers():
        program, name, *arguments = container["args"]
        seen.add(f"{program} {name}")
        context = commands[f"{program} {name}"].make_context(name, arguments, resilient_parsing=False)
        limits, requests = (container["resources"][kind] for kind in ("limits", "requests"))
        assert int(requests["cpu"]) <= int(limits["cpu"])
        if name == "worker":
            assert context.params["nthreads"] == int(requests["cpu"])
    assert seen == set(commands)


def test_the_image_has_what_the_containers_need() -> None:
    lines = (FILES / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    instructions = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    assert [name for name, _ in instructions] == ["FROM", "COPY", "RUN", "RUN", "USER", "WORKDIR"]
    of = dict(reversed(instructions))
    python = re.fullmatch(r"python:3\.(\d+)-slim-bookworm", of["FROM"])
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert python
    assert int(python[1]) >= int(project["requires-python"].removeprefix(">=3."))
    assert of["COPY"] == f"{project['name']}-*.whl /wheels/"
    extras = re.findall(r"\[(\w+)\]", of["RUN"])
    assert extras == ["s3"]
    assert set(extras) <= set(project["optional-dependencies"])


def test_files_are_in_the_page_as_they_are() -> None:
    marks = FILE.findall(KUBERNETES)
    assert [name for name, _ in marks] == [
        f"how-to/files/{name}" for name in ("Dockerfile", "dask-cluster.yaml", "margin-job.yaml")
    ]
    page = on_page_markdown(KUBERNETES)
    assert "<!--" not in page
    for name, language in marks:
        content = (ROOT / "docs" / name).read_text(encoding="utf-8")
        assert f"```{language}\n{content}```" in page
        assert f"](files/{Path(name).name})" in KUBERNETES
