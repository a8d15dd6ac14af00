"""What a Prefect server does by itself: runs that died are ended and begun anew, and somebody is told of what needs a person."""

import os
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ActionTypes, ChangeFlowRunState, DoNothing, RunDeployment, SendNotification
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.exceptions import ObjectNotFound

if TYPE_CHECKING:
    from uuid import UUID

NOTIFY_URL = "COMMONS_NOTIFY_URL"
"""Environment variable: a webhook that is told of missed, failed and ended runs. It may hold a token: no file of ours holds it,
and the server keeps it as a secret. Without it whoever was told before still is."""

HEARTBEATS_MISSED = timedelta(seconds=90)
"""A run that gave no sign for so long is taken for dead; it gives one every 30 seconds."""

_BLOCK = "incident-commons"
_RUNS = ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]})
_EACH_RUN = {"prefect.resource.id"}
_ENDS = {f"prefect.flow-run.{state}" for state in ("Completed", "Failed", "Cancelled", "Crashed", "Paused", "Suspended")}
_BEAT = "prefect.flow-run.heartbeat"


def automations(notify: "UUID | None") -> list[AutomationCore]:
    """Every automation. Where there is nobody to be told, they still show among the server's events."""

    def tell(subject: str) -> list[ActionTypes]:
        # Names of runs and of deployments and a state's name are all that is told: no message of a state.
        if notify is None:
            return [DoNothing()]
        body = "{{ flow.name }} / {{ deployment.name }}: {{ flow_run.state.name }}. See the server's page, and docs/guides/runbook.md."
        return [SendNotification(block_document_id=notify, subject=f"Incident Commons: {subject}", body=body)]

    def seen(*states: str) -> EventTrigger:
        expect = {f"prefect.flow-run.{state}" for state in states}
        return EventTrigger(expect=expect, match=_RUNS, for_each=_EACH_RUN, posture=Posture.Reactive, threshold=1)

    silent = EventTrigger(
        after={_BEAT},
        expect={_BEAT, *_ENDS},
        match=_RUNS,
        for_each=_EACH_RUN,
        posture=Posture.Proactive,
        within=HEARTBEATS_MISSED,
    )
    return [
        AutomationCore(
            name="a run that died is ended",
            description="Its worker is gone: without this it would count as running for ever.",
            trigger=silent,
            actions=[
                ChangeFlowRunState(name=None, state=StateType.CRASHED, force=True, message="No sign of it: its worker is gone.")
            ],
        ),
        AutomationCore(
            name="a run that died is begun anew",
            description="What was done is kept, what was spent is not spent twice: see docs/guides/runbook.md.",
            trigger=seen("Crashed"),
            actions=[
                RunDeployment(source="inferred", deployment_id=None, parameters=None, job_variables=None),
                *tell("a run died and is begun anew"),
            ],
        ),
        AutomationCore(
            name="a run failed", description="A person has to look.", trigger=seen("Failed"), actions=tell("a run failed")
        ),
        AutomationCore(
            name="a run is late",
            description="No worker took it up in time.",
            trigger=seen("Late"),
            actions=tell("a run is late: is a worker there?"),
        ),
    ]


def make_automations() -> list[str]:
    """Makes them on the configured server, in place of those of the same name; returns their names.

    One that is there as it should be is left alone: a new one would not know that a run which died before gave a sign once.
    """
    notify = _notification_block(os.environ.get(NOTIFY_URL, ""))
    made = automations(notify)
    with get_client(sync_client=True) as client:
        for automation in made:
            there = client.read_automations_by_name(automation.name)
            if [_told(old) for old in there] == [_told(automation)]:
                continue
            for old in there:
                client.delete_automation(old.id)
            client.create_automation(automation)
    return [automation.name for automation in made]


def _told(automation: AutomationCore) -> Any:
    """An automation without what a server adds."""
    return _without_ids(AutomationCore.model_validate(automation.model_dump(exclude={"id"})).model_dump(mode="json"))


def _without_ids(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_ids(each) for name, each in value.items() if name != "id"}
    return [_without_ids(each) for each in value] if isinstance(value, list) else value


def _notification_block(url: str) -> "UUID | None":
    """Who is told: the webhook of this address; without one, whoever was told before."""
    from prefect.blocks.notifications import CustomWebhookNotificationBlock

    if not url:
        with get_client(sync_client=True) as client, suppress(ObjectNotFound):
            return client.read_block_document_by_name(_BLOCK, "custom-webhook", include_secrets=False).id
        return None
    told = {"name": _BLOCK, "url": "{{address}}", "secrets": {"address": url}, "method": "POST"}  # the page shows no secret
    told |= {"json_data": {"subject": "{{subject}}", "text": "{{body}}"}}
    block: Any = CustomWebhookNotificationBlock.model_validate(told)
    saved: UUID = block.save(_BLOCK, overwrite=True)
    return saved
