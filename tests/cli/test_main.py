"""Behaviour of every command: help, usage errors, exit codes, and where output goes."""

from __future__ import annotations

import json
import subprocess
import sys

from isthmus.cli import main

HEAVY = ("pulumi", "pulumi_aws", "pulumi_kubernetes", "boto3", "pydantic", "rich", "ruamel", "litellm")


def test_help_lists_the_commands_that_exist_and_no_others(isthmus):
    result = isthmus("--help")
    listed = result.out.split("Commands:")[1]
    assert [line.split()[0] for line in listed.splitlines() if line.startswith("  ") and line[2] != " "] == [
        "blueprints",
        "starter",
        "discover",
        "plan",
        "compare",
        "studio",
        "init",
        "models",
        "gpus",
        "size",
        "schema",
        "render",
        "images",
        "preview",
        "ci",
        "trust",
        "drift",
        "up",
        "verify",
        "stop",
        "release",
        "audit",
        "calibrate",
        "evaluate",
        "fine-tune",
        "usage",
        "value",
        "sanitise",
        "destroy",
        "evidence",
        "break-glass",
        "sandbox",
    ]
    assert result.code == 0


def test_help_imports_no_slow_modules(isthmus):
    code = "import sys; from isthmus.cli import main; main(['--help']); print(sorted(sys.modules), file=sys.stderr)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(eval(result.stderr))  # noqa: S307 (our own print above)
    assert not loaded & set(HEAVY), f"--help would wait for {sorted(loaded & set(HEAVY))}"


def test_version_is_the_package_version(isthmus):
    from isthmus import __version__

    assert isthmus("--version").out == f"isthmus {__version__}\n"


def test_an_unknown_command_is_a_usage_error_that_names_the_nearest(isthmus):
    result = isthmus("rendr", "bank-dev")
    assert result.code == 2
    assert "`render`" in result.err
    assert "Traceback" not in result.err


def test_an_unknown_option_is_a_usage_error(isthmus):
    result = isthmus("render", "bank-dev", "--nonsense")
    assert (result.code, result.out) == (2, "")
    assert "--nonsense" in result.err
    assert result.err.count("\n") == 1, "an error is one paragraph, wrapped by the terminal only"


def test_an_unknown_stack_names_the_nearest_and_lists_all(isthmus, project):
    result = isthmus("render", "bank-dve", "--project", project)
    assert result.code == 2
    assert "Did you mean `bank-dev`?" in result.err
    assert "The stacks are: bank-dev" in result.err


def test_outside_a_project_the_error_names_the_fix(isthmus, tmp_path):
    result = isthmus("render", "bank-dev", cwd=tmp_path)
    assert result.code == 2
    assert "--project" in result.err


def test_a_traceback_is_only_shown_with_debug(isthmus, project):
    quiet = isthmus("render", "nothing", "--project", project)
    loud = isthmus("render", "nothing", "--project", project, "--debug")
    assert "Traceback" not in quiet.err
    assert "Traceback" in loud.err


def test_json_is_printed_alone_on_stdout(isthmus):
    result = isthmus("blueprints", "--format", "json")
    assert "regulated-hybrid" in [load["name"] for load in json.loads(result.out)]
    assert result.err == ""


def test_a_blueprint_shows_what_it_builds(isthmus):
    result = isthmus("blueprints", "regulated-hybrid")
    assert "builds: onprem-vllm, bedrock, sagemaker, mig" in result.out


def test_a_json_schema_is_printed_for_each_kind_of_file(isthmus):
    for name in ("requirements", "plan", "overrides", "images"):
        result = isthmus("schema", name)
        assert result.code == 0, result.err
        assert json.loads(result.out)["$schema"].startswith("https://json-schema.org/")
    assert isthmus("schema", "secrets").code == 2


def test_an_interrupt_ends_quietly_with_130(monkeypatch, capsys):
    import isthmus.cli.app as app

    def interrupted(_args):
        raise KeyboardInterrupt

    monkeypatch.setattr(app, "run", interrupted)
    assert main(["render", "bank-dev"]) == 130
    assert capsys.readouterr() == ("", "")


def test_an_unexpected_error_is_reported_without_a_traceback(monkeypatch, capsys):
    import isthmus.cli.app as app

    def broken(_args):
        raise RuntimeError("of all things")

    monkeypatch.setattr(app, "run", broken)
    assert main(["render", "bank-dev"]) == 3
    err = capsys.readouterr().err
    assert "of all things" in err
    assert "--debug" in err
    assert "Traceback" not in err


def test_shell_completion_offers_stack_and_blueprint_names(isthmus):
    stacks = isthmus(_ISTHMUS_COMPLETE="complete_bash", COMP_WORDS="isthmus render ba", COMP_CWORD="2")
    assert "bank-dev" in stacks.out.split()
    names = isthmus(_ISTHMUS_COMPLETE="complete_bash", COMP_WORDS="isthmus blueprints re", COMP_CWORD="2")
    assert "regulated-hybrid" in names.out.split()
