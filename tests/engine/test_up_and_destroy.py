"""Which resources `isthmus up` leaves unchanged in its first step."""

from isthmus.engine.run.up_and_destroy import _urns_outside_first_step

PREFIX = "urn:pulumi:dev::isthmus::"
PLATFORM = "isthmus:index:LlmPlatform"


def state(*types: str) -> dict:
    """A resource for each qualified type, named by its number."""
    return {
        "resources": [
            {"urn": f"{PREFIX}{kind}::{number}", "type": kind.rpartition("$")[2]}
            for number, kind in enumerate(types)
        ]
    }


def test_a_state_with_only_the_first_step_has_no_other_resources():
    assert _urns_outside_first_step({}) == []
    first = state(
        "pulumi:pulumi:Stack",
        "pulumi:providers:kubernetes",
        PLATFORM,
        f"{PLATFORM}$isthmus:index:AdmissionGuard",
        f"{PLATFORM}$isthmus:index:AdmissionGuard$kubernetes:admissionregistration.k8s.io/v1:"
        "ValidatingAdmissionPolicy",
        f"{PLATFORM}$isthmus:index:ClassNamespace$kubernetes:core/v1:Namespace",
    )
    assert _urns_outside_first_step(first) == []


def test_resources_outside_the_first_step_stay_unchanged():
    deployed_state = state(
        PLATFORM,
        f"{PLATFORM}$isthmus:index:ModelServer",
        f"{PLATFORM}$isthmus:index:ModelServer$kubernetes:apps/v1:Deployment",
        f"{PLATFORM}$isthmus:index:Network$aws:ec2/vpc:Vpc",
    )
    assert _urns_outside_first_step(deployed_state) == [
        resource["urn"] for resource in deployed_state["resources"][1:]
    ]
