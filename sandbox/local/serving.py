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
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx

from edge.callers.postgres import PREFIX as KEY_PREFIX
from edge.callers.store import digest_of
from isthmus.contracts.reference import sign_on_proxy
from isthmus.core import yaml_files
from isthmus.core.errors import EnvironmentFault
from isthmus.core.kubernetes_client import KubeClient
from sandbox import endpoint, processes
from sandbox.cluster.kwok import free_ports
from sandbox.home import Home, write_private
from sandbox.local import chats, keycloak, models, monitoring, postgres, sign_on, supervisor, tasks
from sandbox.local.adapting import (
    LEDGER,
    LOOPBACK,
    MAIL,
    Places,
    Substitution,
    adapt,
    chat_database_name,
    database_name,
)
from sandbox.local.authority import Authority
from sandbox.local.monitoring import AlertPorts, Watch
from sandbox.local.pod_monitors import Declared, read_declared, targets_of
from sandbox.local.pods import Mount, Objects, Pod, Program, Volume, read_objects
from sandbox.local.postgres import ADMINISTRATOR, Postgres
from sandbox.local.secrets import AWS_CREDENTIALS, CHAT_USER, DATABASE_USERS, SENIORS, Secrets
from sandbox.local.served import NAME, folder, read_document
from sandbox.local.supervisor import Process

ROOT = Path(__file__).resolve().parents[2]
READY_S = 300.0
"""Longest wait for the next part that becomes ready. A busy machine needs minutes for Keycloak and the chats."""
EDGE = ("python", "-m", "edge", "--config")
CALLER = "developer.sandbox.local"
"""Name in the certificate of whoever calls the gateways from this machine."""
REVIEWERS = ("reviewer-one", "reviewer-two", "reviewer-three")
CHAT_ROLES = ("chat", "sign-on")
DESK_SIGN_ON = "reviews-sign-on"
"""Role of the pods at which reviewers sign on to a desk."""
NOTIFIER = "notifier"
"""Role of the pods that tell people that answers wait."""
LOADER = "loader"
"""Role of the pods that load the usage ledger."""
SIGN_ON, REALM_PATH = "sign-on", "/realms/bank"
"""The sign-on among the parts with ports, and the path of its realm (`realm.json`)."""
MONITORING = "monitoring"
"""What watches among the parts with ports, and the folder of its files."""
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Door:
    """A gateway that answers here. All paths are strings, as the file of the platform has them."""

    data_class: str
    site: str
    url: str
    workloads: Sequence[str]
    """Those that chat first."""
    key_files: Mapping[str, str]
    """File with the development key of each workload."""
    store: str
    """Where its sealed records are, `s3://BUCKET/PREFIX`."""
    store_endpoint: str
    public_key: str
    """File with the key that verifies the seals."""
    tasks: Mapping[str, str] = field(default_factory=dict)
    """What the model of each workload does: chat, embedding or rerank."""
    stops: str = ""
    """File of stopped workloads; empty: the gateway has none."""
    evaluation_key_files: Mapping[str, str] = field(default_factory=dict)
    """File with the key of each workload's evaluations."""
    databases: Mapping[str, str] = field(default_factory=dict)
    """File with each senior's access to its database; empty: it has none."""

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
    """Of its API."""
    pages: str = ""
    """Where people open its desk and sign on; empty: it has no desk here."""
    people: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Roles at its desk by the name of each person who has one."""


@dataclass(frozen=True)
class Chat:
    """A chat that answers here."""

    data_class: str
    site: str
    url: str
    """Where people open it and sign on."""


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
    chats: Sequence[Chat] = ()
    mails: str = ""
    """Folder with the mails of notifiers; empty: there is no notifier."""
    prometheus: Mapping[str, str] = field(default_factory=dict)
    """URL of each site's Prometheus; none without `metrics`."""
    alertmanager: str = ""
    """URL of Alertmanager; empty: it does not run."""
    alerts: str = ""
    """File with the alerts that came, a line of JSON each; empty without Alertmanager."""
    ledger: str = ""
    """File with a reader's access to the usage ledger; empty: a gateway's records are loaded into none."""

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


def read(home: Home) -> Platform | None:
    """What the last `serve` started; None if nothing runs."""
    data = read_document(home)
    if data is None:
        return None
    return Platform(
        **{
            **data,
            "doors": [Door(**door) for door in data["doors"]],
            "desks": [Desk(**desk) for desk in data["desks"]],
            "substitutions": [Substitution(**entry) for entry in data["substitutions"]],
            "people": [keycloak.SignOnPerson(**entry) for entry in data["people"]],
            "chats": [Chat(**entry) for entry in data["chats"]],
        }
    )


def serve(
    home: Home,
    stack: str,
    clusters: Mapping[str, KubeClient],
    regions: Collection[str],
    progress: Progress,
    *,
    metrics: bool = False,
) -> Platform:
    """Start everything anew, and return once all of it is ready.

    `clusters`: the cluster of each site that has one. `regions`: those of AWS in which gateways may be on Fargate.
    `metrics`: run a Prometheus for each site and an Alertmanager too.

    Raises `EnvironmentFault` if the stack is not up, a part does not start, or a package cannot be installed.
    """
    if metrics:
        monitoring.require_programs()
    state = home.read_state()
    if "aws" not in state:
        raise EnvironmentFault(
            "the sandbox is not up", where=str(home.root), fix="Run `isthmus sandbox up REQUIREMENTS`"
        )
    read = [read_objects(cluster, site) for site, cluster in clusters.items()]
    objects = _join([*read, *tasks.read_tasks(endpoint.address(state["aws"]["port"]), regions)])
    if not any(pod.role == "gateway" for pod in objects.pods):
        raise EnvironmentFault(
            f"no gateway of {stack} stands in the sandbox",
            where=stack,
            fix=f"Run `isthmus up {stack} --yes` first",
        )
    declared = {site: read_declared(cluster) for site, cluster in clusters.items()} if metrics else None
    objects = _install(objects, progress)
    end(home)
    shutil.rmtree(folder(home), ignore_errors=True)
    folder(home).mkdir(parents=True, mode=0o711)
    starting = _Starting(home, stack, objects, state["aws"]["port"], progress)
    return starting.run(declared)


def _install(objects: Objects, progress: Progress) -> Objects:
    """Install what the pods need. Returns those that can run here."""
    has_chats = any(pod.role == "chat" for pod in objects.pods)
    tools = keycloak.missing_tools()
    nobody = f"people cannot sign on without {' and '.join(tools)}" if tools else ""
    why = (nobody or chats.missing()) if has_chats else ""
    left_out = {*(CHAT_ROLES if why else ()), *(sign_on_proxy.ROLES if nobody else ())}
    sends_mail = find_spec("apprise") is not None
    left_out |= set() if sends_mail else {NOTIFIER}
    has_sign_on = any(pod.role in sign_on_proxy.ROLES and pod.role not in left_out for pod in objects.pods)
    with ThreadPoolExecutor(3) as pool:
        arguments = {argument for pod in objects.pods for argument in _model_arguments(pod)}
        installing = [pool.submit(models.PACKAGES.install)]
        if models.POOLING in arguments:
            installing.append(pool.submit(models.EMBEDDING_PACKAGES.install))
        if not tools:
            installing.append(pool.submit(keycloak.install, progress))
        if has_chats and not why:
            installing.append(pool.submit(chats.install))
        if has_sign_on:
            installing.append(pool.submit(sign_on.install))
        seconds = max(task.result() for task in installing)
    if seconds:
        progress(f"installed what it needs in {seconds:.0f} s")
    if why:
        progress(f"no chat runs here: {why}")
    if nobody and any(pod.role == DESK_SIGN_ON for pod in objects.pods):
        progress(f"no review desk runs here: {nobody}")
    if not sends_mail and any(pod.role == NOTIFIER for pod in objects.pods):
        progress("no notifier runs here: the package `apprise` is missing; run `make try`")
    return replace(objects, pods=[pod for pod in objects.pods if pod.role not in left_out])


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
        """Groups that gateways and desks know from tokens."""
        self.clients: set[str] = set()
        """Applications at which people sign on."""
        self.people: list[keycloak.SignOnPerson] = []
        self.substitutions: list[Substitution] = []
        self.stores: dict[tuple[str, str], dict[str, Any]] = {}
        """Sections `store` of the sealers, by class and site."""
        self.keys: dict[tuple[str, str], str] = {}
        """Development keys by class and workload."""
        self.evaluation_keys: dict[tuple[str, str], str] = {}
        """Keys for evaluations by class and workload."""
        self.prometheus: dict[str, str] = {}
        """URL of each site's Prometheus."""
        self.alertmanager = ""

    def port(self, pod: str, kind: str) -> int:
        if (pod, kind) not in self.ports:
            [self.ports[pod, kind]] = free_ports(1)
        return self.ports[pod, kind]

    def run(self, declared: Mapping[str, Declared] | None = None) -> Platform:
        """`declared`: what each cluster declares for Prometheus; None: nothing watches."""
        self.progress("creates the database, keys and certificates")
        self.postgres.create()
        started = [self._database(), *self._models(), *self._mail_relay()]
        pods = sorted(self.objects.pods, key=lambda pod: _ORDER.index(pod.role))
        edges = self._programs([pod for pod in pods if pod.role not in sign_on_proxy.ROLES])
        proxies = self._programs([pod for pod in pods if pod.role in sign_on_proxy.ROLES])
        sign_on = self._sign_on()
        self._make_buckets()
        watching = [] if declared is None else self._monitoring(declared)
        # Proxies wait until people can sign on, so they are the last.
        write_private(self.folder / "aws-credentials", AWS_CREDENTIALS)
        (self.folder / "keys").mkdir()
        everything = [*sign_on, *started, *edges, *watching, *proxies]
        self._start(everything)
        platform = self._platform(len(everything))
        write_private(self.folder / "platform.json", json.dumps(asdict(platform), indent=1) + "\n")
        return platform

    def _programs(self, pods: Sequence[Pod]) -> list[Process]:
        """The processes of pods' programs that run here."""
        programs = [(pod, program) for pod in pods for program in pod.programs]
        return [process for pod, program in programs if (process := self._program(pod, program)) is not None]

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
        chatting = {chat_database_name(pod.data_class) for pod in self.objects.pods if pod.role == "chat"}
        self.postgres.make_databases(
            [LEDGER, *(database_name(name) for name in classes)],
            self.secrets.passwords,
            dict.fromkeys(sorted(chatting), CHAT_USER),
        )
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
        """Keycloak with the people of the gateways' and desks' groups, if any takes tokens."""
        if not self.groups:
            return []
        if missing := keycloak.missing_tools():
            self.progress(f"nobody can sign on here: Keycloak needs {' and '.join(missing)}")
            return []
        realm, self.people = keycloak.realm(self.groups, self.clients)
        target = self.folder / "keycloak"
        keycloak.prepare(target, realm)
        command = keycloak.command(target, self.port(SIGN_ON, "listen"), self.port(SIGN_ON, "health"))
        environment = supervisor.environment(keycloak.environment())
        return [Process("sign-on", command, environment, str(self._log("sign-on")), str(target))]

    def _mail_relay(self) -> list[Process]:
        """The mail relay of this machine, if anything sends mail."""
        if not any(pod.role == NOTIFIER for pod in self.objects.pods):
            return []
        command = [sys.executable, "-m", "sandbox.local.mail_relay", str(self.port(MAIL, "listen"))]
        environment = supervisor.environment({"PYTHONPATH": str(ROOT)})
        return [Process(MAIL, [*command, str(self._mails)], environment, str(self._log(MAIL)), str(ROOT))]

    def _monitoring(self, declared: Mapping[str, Declared]) -> list[Process]:
        """A Prometheus for each site, as in life: rules select by namespace, which two sites may share."""
        folder, logs = self.folder / MONITORING, self.folder / "logs"
        ports = AlertPorts(
            self.port(MONITORING, monitoring.ALERTMANAGER), self.port(MONITORING, monitoring.INBOX)
        )
        monitoring.write_alertmanager(folder, ports)
        processes = monitoring.alert_processes(folder, ports, logs)
        for site in sorted({pod.site for pod in self.objects.pods}):
            pods = [pod for pod in self.objects.pods if pod.site == site]
            at_site = declared.get(site, Declared((), {}))
            targets = targets_of(at_site, pods, lambda pod, kind: self.ports.get((pod, kind)))
            name = f"{monitoring.PROMETHEUS_PROGRAM}-{site}"
            watch = Watch(name, self.port(MONITORING, name), targets, at_site.rules)
            monitoring.write_watch(folder, watch, ports)
            processes.append(monitoring.watch_process(folder, watch, logs))
            self.prometheus[site] = f"http://{LOOPBACK}:{watch.port}"
        self.alertmanager = f"http://{LOOPBACK}:{ports.alertmanager}"
        return processes

    @property
    def _mails(self) -> Path:
        """The folder of the mails that this machine's relay takes."""
        return self.folder / "mails"

    def _models(self) -> list[Process]:
        """A server of a small model for each endpoint, so that classes share none."""
        made = []
        for pod in self.objects.pods:
            if pod.role != "model":
                continue
            arguments = _model_arguments(pod)
            answers, command = models.server(self.port(pod.label, "model"), arguments)
            served = next((each for each in arguments if each.startswith("--served-model-name=")), "")
            model = served.partition("=")[2] or "the model"
            self.substitutions.append(Substitution(pod.label, "vLLM on GPUs", model, f"{answers} on the CPU"))
            name = f"{pod.namespace}.{pod.name}.model"
            made.append(
                Process(name, command, supervisor.environment({}), str(self._log(name)), str(self.folder))
            )
        return made

    def _program(self, pod: Pod, program: Program) -> Process | None:
        """The process of a container; None for one that does not run here."""
        if pod.role in sign_on_proxy.ROLES:
            self.clients.add(sign_on.client_of(program))
            command, variables, said = sign_on.command(pod, program, self._folders(pod, program), self.places)
            waits_for = self._sign_on_ready
        elif pod.role == "chat" and program.name == "chat":
            data = self.folder / "pods" / f"{pod.namespace}.{pod.name}" / "data"
            data.mkdir(parents=True, exist_ok=True)
            folders = self._folders(pod, program)
            command, variables, said = chats.open_webui(pod, program, folders, self.places, data)
            waits_for = self._tables_made
        else:
            return self._edge(pod, program)
        self.substitutions += said
        name = f"{pod.namespace}.{pod.name}.{program.name}"
        environment = supervisor.environment(variables)
        return Process(
            name, command, environment, str(self._log(name)), str(self.folder), waits_for=str(waits_for)
        )

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
        for group in (config.get("desk") or {}).get("groups", []):
            self.groups.update(group["groups"])
        adapted, substituted = adapt(config, pod, folders, self.places)
        if adapted["mode"] == "reviews":
            adapted["reviewers"] = [
                {
                    "name": f"{name}@sandbox",
                    "client": f"{name}.sandbox.local",
                    "senior": name in SENIORS,
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
            key = KEY_PREFIX + secrets.token_urlsafe(32)
            self.evaluation_keys[gateway["class"], workload] = key
            entries.append({"key_sha256": digest_of(key).hex(), "workload": workload, "evaluation": True})
        write_private(file, yaml_files.dumps({"callers": entries}))

    def _ledger_place(self) -> dict[str, Any]:
        return {"host": LOOPBACK, "port": self.postgres.port, "name": LEDGER}

    def _public_key_file(self, data_class: str, site: str) -> Path:
        return self.folder / "keys" / f"{data_class}.{site}.sealer.pem"

    def _process(self, pod: Pod, program: Program, file: Path) -> Process:
        name = f"{pod.namespace}.{pod.name}.{program.name}"
        keys: dict[str, str] = {}
        if pod.role == "translator":
            keys = {"AWS_ACCESS_KEY_ID": "sandbox", "AWS_SECRET_ACCESS_KEY": "sandbox"}
            self.substitutions.append(
                Substitution(pod.label, "AWS identity", pod.identity, "keys of the sandbox")
            )
        waits_for = str(self._tables_made) if pod.role in _DATABASE_ROLES else ""
        return self._edge_process(name, file, keys, waits_for)

    def _edge_process(self, name: str, file: Path, more: Mapping[str, str], waits_for: str) -> Process:
        """The process of an edge's configuration. `more`: variables of its environment."""
        temporary = self.folder / "tmp" / name
        temporary.mkdir(parents=True, exist_ok=True)
        extra = {
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(temporary),
            "HOSTNAME": name[-60:],
            # Nothing of the user's AWS settings, and no metadata service.
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            **more,
        }
        environment = supervisor.environment(extra)
        command = [sys.executable, "-m", "edge", "--config", str(file)]
        return Process(name, command, environment, str(self._log(name)), str(ROOT), waits_for=waits_for)

    @property
    def _tables_made(self) -> Path:
        """A file that is there once the database has its tables."""
        return self.folder / "tables-made"

    @property
    def _sign_on_ready(self) -> Path:
        """A file that is there once people can sign on."""
        return self.folder / "sign-on-ready"

    def _folders(self, pod: Pod, program: Program) -> dict[str, str]:
        """The folder here of each path at which a program sees a volume, and the file of each `env:NAME`."""
        folders: dict[str, str] = {}
        for mount in program.mounts:
            folders[mount.path] = str(self._folder(pod, mount))
        for name, (volume, file) in program.variables.items():
            folders[f"env:{name}"] = str(self._folder(pod, Mount("", volume)) / file)
        return folders

    def _folder(self, pod: Pod, mount: Mount) -> Path:
        """The folder here of a volume, with its files."""
        volume = pod.volumes[mount.volume]
        if volume.kind == "claim":
            share = (
                self.objects.shares.get((pod.namespace, volume.source)) or f"/{pod.namespace}/{volume.source}"
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
        return target

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
        client = endpoint.client("s3", self.aws_url, "us-east-1")
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
            for senior in SENIORS:
                users += ["--operators-user", senior]
                write_private(
                    self._database_file(name, senior), yaml_files.dumps({**place, **self._login(senior)})
                )
            self._keys_command(file, "migrate", *users)
            for workload in self._workloads(name):
                if (name, workload) not in self.keys:
                    issue = ("issue", "--workload", workload, "--class", name, "--days", "30")
                    self.keys[name, workload] = self._keys_command(file, *issue).strip()
                    key = self._keys_command(file, *issue, "--evaluation").strip()
                    self.evaluation_keys[name, workload] = key

        file = self.folder / "config" / "database-usage.yaml"
        place = self._ledger_place()
        write_private(file, yaml_files.dumps({**place, "user": ADMINISTRATOR, "password": str(password)}))
        self._keys_command(file, "migrate", "--usage-user", "usage", "--usage-readers-user", "usage_readers")
        write_private(self._ledger_file, yaml_files.dumps({**place, **self._login("usage_readers")}))

    @property
    def _ledger_file(self) -> Path:
        """File with a reader's access to the usage ledger."""
        return self.folder / "config" / "usage-readers.yaml"

    def _database_file(self, data_class: str, senior: str) -> Path:
        """File with a senior's access to the database of a class."""
        return self.folder / "config" / f"database-{data_class}-{senior}.yaml"

    def _login(self, user: str) -> dict[str, str]:
        password = self.folder / f"{user}.password"
        write_private(password, self.secrets.passwords[user] + "\n")
        return {"user": user, "password": str(password)}

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
        parts = {"health": "", "detector-health": "'s detector", "model": "'s model"}
        waiting = {
            f"{pod.name}{parts[kind]}": f"{port}/health"
            for (label, kind), port in self.ports.items()
            for pod in self.objects.pods
            if pod.label == label and kind in parts
        }
        for pod in self.objects.pods:
            if pod.role in sign_on_proxy.ROLES:
                # A chat's proxy speaks no TLS here; a desk's is ready with its port of metrics.
                place = f"{self.port(pod.label, 'listen')}/ready"
                if pod.role == DESK_SIGN_ON:
                    place = f"{self.port(pod.label, 'metrics')}/metrics"
                waiting[pod.name] = place
        if self.people:
            waiting["sign-on"] = f"{self.port(SIGN_ON, 'health')}/health"
        for (part, name), port in self.ports.items():
            if part == MONITORING and name != monitoring.INBOX:
                waiting[name] = f"{port}/-/ready"
        end = time.monotonic() + READY_S
        while waiting:
            for name in [name for name, place in waiting.items() if _problem(place) is None]:
                del waiting[name]
                end = time.monotonic() + READY_S
                self.progress(f"{name} is ready")
                if name == "sign-on":
                    self._sign_on_ready.touch()
            failed = [
                state for state in supervisor.read_states(self.folder / "status.json") if not state.is_running
            ]
            if failed or time.monotonic() > end:
                reasons = [f"{name}: {_problem(place)}" for name, place in sorted(waiting.items())]
                what = (
                    f"{failed[0].name} {failed[0].ended[-1]}: {processes.tail(Path(failed[0].log))}"
                    if failed
                    else f"for {READY_S:.0f} s nothing more became ready; not ready: {'; '.join(reasons)}"
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
        doors = [self._door(pod, config) for pod, config in self._gateway_configs()]
        at_desks = {pod.data_class for pod in self.objects.pods if pod.role == DESK_SIGN_ON}
        desks = [
            self._desk(pod, has_pages=pod.data_class in at_desks)
            for pod in self.objects.pods
            if pod.role == "reviews"
        ]
        return Platform(
            *(self.stack, str(self.folder), doors, desks, self.substitutions, count),
            issuer=self.places.issuer if self.people else "",
            people=self.people,
            ledger=str(self._ledger_file) if self._is_all_loaded else "",
            mails=str(self._mails) if any(pod.role == NOTIFIER for pod in self.objects.pods) else "",
            prometheus=self.prometheus,
            alertmanager=self.alertmanager,
            alerts=str(monitoring.alerts_file(self.folder / MONITORING)) if self.alertmanager else "",
            chats=[
                Chat(pod.data_class, pod.site, chats.address(pod, self.places))
                for pod in self.objects.pods
                if pod.role == "chat"
            ],
        )

    @property
    def _is_all_loaded(self) -> bool:
        """Whether the usage ledger gets the records of every sealer."""
        loaded = {(pod.data_class, pod.site) for pod in self.objects.pods if pod.role == LOADER}
        return bool(self.stores) and loaded >= {*self.stores}

    def _desk(self, pod: Pod, *, has_pages: bool) -> Desk:
        """A review service, with the people who have a role at its desk."""
        url = f"https://{LOOPBACK}:{self.port(pod.label, 'listen')}"
        if not has_pages:
            return Desk(pod.data_class, pod.site, url)
        file = self.folder / "config" / f"{pod.namespace}.{pod.name}.reviews.yaml"
        entries = (yaml_files.load(file).data.get("desk") or {}).get("groups", [])
        people = {
            person.name: sorted(roles)
            for person in self.people
            if (roles := {str(entry["role"]) for entry in entries if {*entry["groups"]} & {*person.groups}})
        }
        return Desk(pod.data_class, pod.site, url, self.places.desk_url(pod.data_class), people)

    def _door(self, pod: Pod, config: Mapping[str, Any]) -> Door:
        """A gateway, with files of its workloads' keys and of the key of its seals."""
        tasks = {route["workload"]: route.get("task", "chat") for route in config["routes"]}
        workloads = sorted(tasks, key=lambda name: TASK_ORDER.index(tasks[name]))
        folder = self.folder / "keys"
        files, evaluation_files = {}, {}
        for workload in workloads:
            files[workload] = str(folder / f"{pod.data_class}.{workload}.key")
            write_private(Path(files[workload]), self.keys[pod.data_class, workload] + "\n")
            evaluation_files[workload] = str(folder / f"{pod.data_class}.{workload}.evaluation.key")
            write_private(
                Path(evaluation_files[workload]), self.evaluation_keys[pod.data_class, workload] + "\n"
            )
        public_key = self._public_key_file(pod.data_class, pod.site)
        write_private(public_key, self.secrets.public_key(pod.site, pod.data_class))
        store = self.stores.get((pod.data_class, pod.site), {})
        return Door(
            data_class=pod.data_class,
            site=pod.site,
            url=f"https://{LOOPBACK}:{self.port(pod.label, 'listen')}",
            workloads=workloads,
            tasks=tasks,
            key_files=files,
            evaluation_key_files=evaluation_files,
            store=f"s3://{store.get('bucket')}/{store.get('prefix', '')}" if store else "",
            store_endpoint=self.aws_url,
            public_key=str(public_key),
            stops=str(config.get("stops", "")),
            databases={senior: str(self._database_file(pod.data_class, senior)) for senior in SENIORS}
            if "database" in config
            else {},
        )


TASK_ORDER = ("chat", "embedding", "rerank")
_DATABASE_ROLES = ("gateway", LOADER, "reviews", NOTIFIER, "chat")
_ORDER = (
    "model",
    "translator",
    "sealer",
    LOADER,
    "gateway",
    "reviews",
    NOTIFIER,
    "chat",
    *sign_on_proxy.ROLES,
)
"""Roles in the order in which their pods start."""


def _model_arguments(pod: Pod) -> list[str]:
    """The arguments of the programs of a model's pod; none for another pod."""
    return (
        [argument for program in pod.programs for argument in program.command] if pod.role == "model" else []
    )


def _file_here(path: str, folders: Mapping[str, str]) -> Path:
    if path in folders:
        return Path(folders[path])
    for mount, here in sorted(folders.items(), key=lambda entry: -len(entry[0])):
        if path.startswith(f"{mount}/"):
            return Path(here + path.removeprefix(mount))
    raise EnvironmentFault(f"{path} is in no volume of its pod", where="sandbox serve")


def _problem(place: str) -> str | None:
    """Why the process at `PORT/PATH` is not ready; None if it is."""
    try:
        answer = httpx.get(f"http://{LOOPBACK}:{place}", timeout=2.0, trust_env=False)
    except httpx.HTTPError as error:
        return str(error)
    return None if answer.status_code == 200 else answer.text.strip()
