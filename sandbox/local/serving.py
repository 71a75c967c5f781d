"""Runs the pods of a stack as processes of this machine, and tells where they answer.

`serve` reads what stands in the sandbox's clusters, so the stack must be up. One copy of each Deployment runs. What
differs from the manifests is listed (`sandbox.local.adapting`).
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

from edge.callers.postgres import PREFIX as KEY_PREFIX
from edge.callers.store import digest_of
from isthmus.core import yaml_files
from isthmus.core.errors import EnvironmentFault
from isthmus.core.kubernetes_client import KubeClient
from sandbox import endpoint, processes
from sandbox.cluster.kwok import free_ports
from sandbox.home import Home, write_private
from sandbox.local import keycloak, models, postgres, supervisor
from sandbox.local.adapting import LOOPBACK, Places, Substitution, adapt, database_name
from sandbox.local.authority import Authority
from sandbox.local.pods import Objects, Pod, Program, Volume, read_objects
from sandbox.local.postgres import ADMINISTRATOR, Postgres
from sandbox.local.secrets import AWS_CREDENTIALS, DATABASE_USERS, Secrets
from sandbox.local.supervisor import Process

NAME = "local-platform"
"""The supervisor's name among the sandbox's processes."""
ROOT = Path(__file__).resolve().parents[2]
READY_S = 180.0
EDGE = ("python", "-m", "edge", "--config")
CALLER = "developer.sandbox.local"
"""Name in the certificate of whoever calls the gateways from this machine."""
REVIEWERS = ("reviewer-one", "reviewer-two")
SIGN_ON, REALM_PATH = "sign-on", "/realms/bank"
"""The sign-on among the parts with ports, and the path of its realm (`realm.json`)."""
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Door:
    """A gateway that answers here. All paths are strings, as the file of the platform has them."""

    data_class: str
    site: str
    url: str
    workloads: Sequence[str]
    key_files: Mapping[str, str]
    """File with the development key of each workload."""
    store: str
    """Where its sealed records are, `s3://BUCKET/PREFIX`."""
    store_endpoint: str
    public_key: str
    """File with the key that verifies the seals."""

    @property
    def key(self) -> str:
        """Development key of the first workload."""
        return Path(self.key_files[self.workloads[0]]).read_text().strip()


@dataclass(frozen=True)
class Desk:
    """A review service that answers here."""

    data_class: str
    site: str
    url: str


@dataclass(frozen=True)
class Platform:
    """What runs here of a stack."""

    stack: str
    folder: str
    doors: Sequence[Door]
    desks: Sequence[Desk]
    substitutions: Sequence[Substitution]
    processes: int
    reviewers: Sequence[str] = REVIEWERS
    """Names of the certificates with which people review."""
    issuer: str = ""
    """Where people sign on; empty: nowhere."""
    people: Sequence[keycloak.SignOnPerson] = ()

    @property
    def credentials(self) -> Path:
        """A shared credentials file of the sandbox's AWS."""
        return Path(self.folder) / "aws-credentials"

    @property
    def ca(self) -> Path:
        """The authority of all certificates here."""
        return Path(self.folder) / "ca.crt"

    @property
    def certificate(self) -> Path:
        """The caller's certificate, with its key in the same folder."""
        return Path(self.folder) / "caller.crt"

    @property
    def certificate_key(self) -> Path:
        return Path(self.folder) / "caller.key"


def folder(home: Home) -> Path:
    """The folder of the local platform's files."""
    return home.root / "local"


def read(home: Home) -> Platform | None:
    """What the last `serve` started; None if nothing runs."""
    if NAME not in processes.running_processes(home):
        return None
    try:
        data = json.loads((folder(home) / "platform.json").read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return Platform(
        **{
            **data,
            "doors": [Door(**door) for door in data["doors"]],
            "desks": [Desk(**desk) for desk in data["desks"]],
            "substitutions": [Substitution(**entry) for entry in data["substitutions"]],
            "people": [keycloak.SignOnPerson(**entry) for entry in data["people"]],
        }
    )


def serve(home: Home, stack: str, clusters: Mapping[str, KubeClient], progress: Progress) -> Platform:
    """Start everything anew, and return once all of it is ready.

    `clusters`: the cluster of each site that has one.

    Raises `EnvironmentFault` if the stack is not up, a part does not start, or a package cannot be installed.
    """
    state = home.read_state()
    if "aws" not in state:
        raise EnvironmentFault(
            "the sandbox is not up", where=str(home.root), fix="Run `isthmus sandbox up REQUIREMENTS`"
        )
    with ThreadPoolExecutor(2) as pool:
        installing = [pool.submit(models.install)]
        if not keycloak.missing_tools():
            installing.append(pool.submit(keycloak.install, progress))
        seconds = max(task.result() for task in installing)
    if seconds:
        progress(f"installed what it needs in {seconds:.0f} s")
    end(home)
    shutil.rmtree(folder(home), ignore_errors=True)
    folder(home).mkdir(parents=True, mode=0o711)
    objects = _join([read_objects(cluster, site) for site, cluster in clusters.items()])
    if not any(pod.role == "gateway" for pod in objects.pods):
        raise EnvironmentFault(
            f"no gateway of {stack} stands in the sandbox's clusters",
            where=stack,
            fix=f"Run `isthmus up {stack} --yes` first",
        )
    starting = _Starting(home, stack, objects, state["aws"]["port"], progress)
    return starting.run()


def end(home: Home) -> None:
    """End the processes of the local platform, if any runs."""
    running = processes.running_processes(home).get(NAME)
    if running is not None:
        processes.end_processes([running], patience_s=supervisor.DRAIN_S + 5)
    postgres.delete(folder(home) / "postgres")


def _join(read: Sequence[Objects]) -> Objects:
    return Objects(
        pods=[pod for objects in read for pod in objects.pods],
        files={key: value for objects in read for key, value in objects.files.items()},
        services={key: value for objects in read for key, value in objects.services.items()},
        certificates={key: value for objects in read for key, value in objects.certificates.items()},
        shares={key: value for objects in read for key, value in objects.shares.items()},
    )


class _Starting:
    """One start of a stack's processes."""

    def __init__(self, home: Home, stack: str, objects: Objects, aws_port: int, progress: Progress) -> None:
        self.home, self.stack, self.objects, self.progress = home, stack, objects, progress
        self.folder = folder(home)
        self.authority = Authority(self.folder)
        self.secrets = Secrets(self.authority)
        self.aws_url = endpoint.address(aws_port)
        self.ports: dict[tuple[str, str], int] = {}
        [database_port] = free_ports(1)
        self.postgres = Postgres(self.folder / "postgres", database_port)
        entities = models.entity_model()
        self.places = Places(
            objects,
            self.port,
            database_port,
            self.aws_url,
            secrets.token_hex(4),
            {entities.name: str(entities)},
            issuer=""
            if keycloak.missing_tools()
            else f"http://{LOOPBACK}:{self.port(SIGN_ON, 'listen')}{REALM_PATH}",
            caller=CALLER,
        )
        self.groups: set[str] = set()
        """Groups that gateways know from tokens."""
        self.people: list[keycloak.SignOnPerson] = []
        self.substitutions: list[Substitution] = []
        self.stores: dict[tuple[str, str], dict[str, Any]] = {}
        """Sections `store` of the sealers, by class and site."""
        self.keys: dict[tuple[str, str], str] = {}
        """Development keys by class and workload."""

    def port(self, pod: str, kind: str) -> int:
        if (pod, kind) not in self.ports:
            [self.ports[pod, kind]] = free_ports(1)
        return self.ports[pod, kind]

    def run(self) -> Platform:
        self.progress("creates the database, keys and certificates")
        self.postgres.create()
        started = [self._database(), *self._language_models()]
        pods = sorted(self.objects.pods, key=lambda pod: _ORDER.index(pod.role))
        programs = [(pod, program) for pod in pods for program in pod.programs]
        edges = [process for pod, program in programs if (process := self._edge(pod, program)) is not None]
        sign_on = self._sign_on()
        self._make_buckets()
        everything = [*sign_on, *started, *edges]
        self._start(everything)
        platform = self._platform(len(everything))
        write_private(self.folder / "platform.json", json.dumps(asdict(platform), indent=1) + "\n")
        return platform

    def _start(self, all_processes: Sequence[Process]) -> None:
        """Start the supervisor with all processes, and return once everything is ready."""
        run = self.folder / "run.json"
        supervisor.write_run(run, all_processes)
        pid = processes.start(
            [sys.executable, "-m", "sandbox.local.supervisor", str(run)],
            log=self.folder / "logs" / "supervisor.log",
            environment=supervisor.environment(
                {"PYTHONPATH": str(ROOT), "ISTHMUS_HOME": str(self.home.root)}
            ),
            folder=ROOT,
        )
        processes.record(self.home, {NAME: pid})
        self.postgres.wait()
        classes = sorted({pod.data_class for pod in self.objects.pods if pod.role in ("gateway", "reviews")})
        self.postgres.make_databases([database_name(name) for name in classes], self.secrets.passwords)
        self._make_tables_and_keys(classes)
        self._tables_made.touch()
        self._wait()

    # -- processes

    def _database(self) -> Process:
        return Process(
            "postgres",
            self.postgres.command,
            supervisor.environment({}),
            str(self._log("postgres")),
            str(self.postgres.folder),
            str(self.postgres.run_as.get("user", "")),
        )

    def _sign_on(self) -> list[Process]:
        """Keycloak with the people of the gateways' groups, if any gateway takes tokens."""
        if not self.groups:
            return []
        if missing := keycloak.missing_tools():
            self.progress(f"nobody can sign on here: Keycloak needs {' and '.join(missing)}")
            return []
        realm, self.people = keycloak.realm(self.groups)
        target = self.folder / "keycloak"
        keycloak.prepare(target, realm)
        command = keycloak.command(target, self.port(SIGN_ON, "listen"), self.port(SIGN_ON, "health"))
        environment = supervisor.environment(keycloak.environment())
        return [Process("sign-on", command, environment, str(self._log("sign-on")), str(target))]

    def _language_models(self) -> list[Process]:
        """A server of the small model for each endpoint, so that classes share none."""
        made = []
        for pod in self.objects.pods:
            if pod.role != "model":
                continue
            port = self.port(pod.label, "model")
            command = [
                str(models.interpreter()),
                str(Path(__file__).with_name("model_server.py")),
                *("--port", str(port), "--model", str(models.language_model())),
            ]
            served = next(
                (
                    argument
                    for program in pod.programs
                    for argument in program.command
                    if argument.startswith("--served-model-name=")
                ),
                "",
            )
            model = served.partition("=")[2] or "the model"
            self.substitutions.append(
                Substitution(pod.label, "vLLM on GPUs", model, f"{models.LANGUAGE_MODEL} on the CPU")
            )
            name = f"{pod.namespace}.{pod.name}.model"
            made.append(
                Process(name, command, supervisor.environment({}), str(self._log(name)), str(self.folder))
            )
        return made

    def _edge(self, pod: Pod, program: Program) -> Process | None:
        """The process of a container that runs the edge; None for another one."""
        if program.command[:4] != EDGE:
            if program.command:
                self.substitutions.append(
                    Substitution(pod.label, f"container {program.name}", program.command[0], "not run")
                )
            return None
        folders = self._folders(pod, program)
        source = program.command[4]
        here = _file_here(source, folders)
        config = yaml_files.load(here).data
        for grant in (config.get("tokens") or {}).get("workloads", []):
            self.groups.update(grant["groups"])
        adapted, substituted = adapt(config, pod, folders, self.places)
        if adapted["mode"] == "reviews":
            adapted["reviewers"] = [
                {
                    "name": f"{name}@sandbox",
                    "client": f"{name}.sandbox.local",
                    "senior": name == REVIEWERS[-1],
                }
                for name in REVIEWERS
            ]
            substituted.append(
                Substitution(pod.label, "reviewers", "those of the organisation", ", ".join(REVIEWERS))
            )
        if callers := adapted.get("callers"):
            self._write_callers(Path(callers), adapted)
        if adapted["mode"] == "sealer":
            self.stores[pod.data_class, pod.site] = adapted["store"]
        self.substitutions += substituted
        file = self.folder / "config" / f"{pod.namespace}.{pod.name}.{program.name}.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(yaml_files.dumps(adapted))
        return self._process(pod, program, file)

    def _write_callers(self, file: Path, gateway: Mapping[str, Any]) -> None:
        """Write the file of callers of a gateway that has no database: a new key for each workload."""
        entries = []
        for workload in dict.fromkeys(route["workload"] for route in gateway["routes"]):
            key = KEY_PREFIX + secrets.token_urlsafe(32)
            self.keys[gateway["class"], workload] = key
            entries.append({"key_sha256": digest_of(key).hex(), "workload": workload})
        write_private(file, yaml_files.dumps({"callers": entries}))

    def _process(self, pod: Pod, program: Program, file: Path) -> Process:
        name = f"{pod.namespace}.{pod.name}.{program.name}"
        temporary = self.folder / "tmp" / name
        temporary.mkdir(parents=True, exist_ok=True)
        extra = {
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(temporary),
            "HOSTNAME": name[-60:],
            # Nothing of the user's AWS settings, and no metadata service.
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        if pod.role == "translator":
            keys = {"AWS_ACCESS_KEY_ID": "sandbox", "AWS_SECRET_ACCESS_KEY": "sandbox"}
            extra |= keys
            self.substitutions.append(
                Substitution(
                    pod.label, "AWS identity", "a certificate of Roles Anywhere", "keys of the sandbox"
                )
            )
        environment = supervisor.environment(extra)
        command = [sys.executable, "-m", "edge", "--config", str(file)]
        waits_for = str(self._tables_made) if pod.role in ("gateway", "reviews") else ""
        return Process(name, command, environment, str(self._log(name)), str(ROOT), waits_for=waits_for)

    @property
    def _tables_made(self) -> Path:
        """A file that is there once the database has its tables."""
        return self.folder / "tables-made"

    def _folders(self, pod: Pod, program: Program) -> dict[str, str]:
        """The folder here of each path at which a program sees a volume, with the files of ConfigMaps and Secrets."""
        folders: dict[str, str] = {}
        for mount in program.mounts:
            volume = pod.volumes[mount.volume]
            if volume.kind == "claim":
                share = (
                    self.objects.shares.get((pod.namespace, volume.source))
                    or f"/{pod.namespace}/{volume.source}"
                )
                target = self.folder / "volumes" / share.strip("/") / mount.folder
            else:
                target = self.folder / "pods" / f"{pod.namespace}.{pod.name}" / mount.volume
            if not target.exists():
                target.mkdir(parents=True)
                files: Mapping[str, str] = {}
                if volume.kind == "files":
                    files = self._files_of(pod, volume)
                elif volume.kind == "secret":
                    files = self.secrets.files(self.objects, pod, mount.volume)
                for name, text in files.items():
                    write_private(target / name, text)
            folders[mount.path] = str(target)
        return folders

    def _files_of(self, pod: Pod, volume: Volume) -> Mapping[str, str]:
        """The files of a ConfigMap. One that the organisation makes, with an authority of its own, is ours here."""
        if (files := self.objects.files.get((pod.namespace, volume.source))) is not None:
            return files
        self.substitutions.append(
            Substitution(pod.label, f"ConfigMap {volume.source}", "the organisation's", "the local authority")
        )
        return {"ca.crt": self.authority.text}

    def _log(self, name: str) -> Path:
        (self.folder / "logs").mkdir(exist_ok=True)
        return self.folder / "logs" / f"{name}.log"

    # -- what must be there before they work

    def _make_buckets(self) -> None:
        """Create the stores of the sealers, with object lock."""
        import boto3

        client = boto3.client(
            "s3",
            endpoint_url=self.aws_url,
            region_name="us-east-1",
            aws_access_key_id="sandbox",
            aws_secret_access_key="sandbox",  # noqa: S106
        )
        existing = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
        for bucket in sorted({store["bucket"] for store in self.stores.values()} - existing):
            client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)

    def _make_tables_and_keys(self, classes: Iterable[str]) -> None:
        """Create the tables of each class, and a key for each of its workloads that has none."""
        password = self.folder / "administrator.password"
        write_private(password, self.postgres.password + "\n")
        for name in classes:
            file = self.folder / "config" / f"database-{name}.yaml"
            place = {"host": LOOPBACK, "port": self.postgres.port, "name": database_name(name)}
            write_private(file, yaml_files.dumps({**place, "user": ADMINISTRATOR, "password": str(password)}))
            users = [option for user in DATABASE_USERS for option in (f"--{user}-user", user)]
            self._keys_command(file, "migrate", *users)
            for workload in self._workloads(name):
                if (name, workload) not in self.keys:
                    self.keys[name, workload] = self._keys_command(
                        file, "issue", "--workload", workload, "--class", name, "--days", "30"
                    ).strip()

    def _keys_command(self, database: Path, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "edge.keys", "--database", str(database), *arguments],
            cwd=ROOT,
            env=supervisor.environment({"PYTHONPATH": str(ROOT)}),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise EnvironmentFault(
                f"`python -m edge.keys {arguments[0]}` failed: {done.stderr.strip()[-300:]}",
                where=str(database),
            )
        return done.stdout

    def _gateway_configs(self) -> Iterable[tuple[Pod, dict[str, Any]]]:
        for pod in self.objects.pods:
            if pod.role == "gateway":
                file = self.folder / "config" / f"{pod.namespace}.{pod.name}.edge.yaml"
                yield pod, yaml_files.load(file).data

    def _workloads(self, data_class: str) -> list[str]:
        names = [
            route["workload"]
            for _, config in self._gateway_configs()
            if config["class"] == data_class
            for route in config["routes"]
        ]
        return list(dict.fromkeys(names))

    def _wait(self) -> None:
        """Return once each part reports that it is ready."""
        parts = {"health": "", "detector-health": "'s detector", "model": "'s language model"}
        waiting = {
            f"{pod.name}{parts[kind]}": port
            for (label, kind), port in self.ports.items()
            for pod in self.objects.pods
            if pod.label == label and kind in parts
        }
        if self.people:
            waiting["sign-on"] = self.port(SIGN_ON, "health")
        end = time.monotonic() + READY_S
        while waiting:
            for name in [name for name, port in waiting.items() if _problem(port) is None]:
                del waiting[name]
                self.progress(f"{name} is ready")
            failed = [
                state for state in supervisor.read_states(self.folder / "status.json") if not state.is_running
            ]
            if failed or time.monotonic() > end:
                reasons = [f"{name}: {_problem(port)}" for name, port in sorted(waiting.items())]
                what = (
                    f"{failed[0].name} {failed[0].ended[-1]}: {processes.tail(Path(failed[0].log))}"
                    if failed
                    else f"not ready after {READY_S:.0f} s: {'; '.join(reasons)}"
                )
                raise EnvironmentFault(
                    what,
                    where=str(self.folder / "logs"),
                    fix="Read the logs in this folder; `isthmus sandbox down` ends what runs",
                )
            if waiting:
                time.sleep(0.2)

    def _platform(self, count: int) -> Platform:
        for name, names in (
            ("caller", (CALLER,)),
            *((name, (f"{name}.sandbox.local",)) for name in REVIEWERS),
        ):
            certificate, key = self.authority.issue(names)
            write_private(self.folder / f"{name}.crt", certificate)
            write_private(self.folder / f"{name}.key", key)
        (self.folder / "keys").mkdir(exist_ok=True)
        write_private(self.folder / "aws-credentials", AWS_CREDENTIALS)
        doors = [self._door(pod, config) for pod, config in self._gateway_configs()]
        desks = [
            Desk(pod.data_class, pod.site, f"https://{LOOPBACK}:{self.port(pod.label, 'listen')}")
            for pod in self.objects.pods
            if pod.role == "reviews"
        ]
        return Platform(
            *(self.stack, str(self.folder), doors, desks, self.substitutions, count),
            issuer=self.places.issuer if self.people else "",
            people=self.people,
        )

    def _door(self, pod: Pod, config: Mapping[str, Any]) -> Door:
        """A gateway, with files of its workloads' keys and of the key of its seals."""
        workloads = list(dict.fromkeys(route["workload"] for route in config["routes"]))
        files = {}
        for workload in workloads:
            files[workload] = str(self.folder / "keys" / f"{pod.data_class}.{workload}.key")
            write_private(Path(files[workload]), self.keys[pod.data_class, workload] + "\n")
        public_key = self.folder / "keys" / f"{pod.data_class}.{pod.site}.sealer.pem"
        write_private(public_key, self.secrets.public_key(pod.site, pod.data_class))
        store = self.stores.get((pod.data_class, pod.site), {})
        return Door(
            data_class=pod.data_class,
            site=pod.site,
            url=f"https://{LOOPBACK}:{self.port(pod.label, 'listen')}",
            workloads=workloads,
            key_files=files,
            store=f"s3://{store.get('bucket')}/{store.get('prefix', '')}" if store else "",
            store_endpoint=self.aws_url,
            public_key=str(public_key),
        )


_ORDER = ("model", "translator", "sealer", "gateway", "reviews")
"""Roles in the order in which their pods start."""


def _file_here(path: str, folders: Mapping[str, str]) -> Path:
    for mount, here in sorted(folders.items(), key=lambda entry: -len(entry[0])):
        if path.startswith(f"{mount}/"):
            return Path(here + path.removeprefix(mount))
    raise EnvironmentFault(f"{path} is in no volume of its pod", where="sandbox serve")


def _problem(port: int) -> str | None:
    """Why the process at a port is not ready; None if it is."""
    try:
        answer = httpx.get(f"http://{LOOPBACK}:{port}/health", timeout=2.0, trust_env=False)
    except httpx.HTTPError as error:
        return str(error)
    return None if answer.status_code == 200 else answer.text.strip()
