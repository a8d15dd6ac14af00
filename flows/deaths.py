"""A run that died is begun anew by the server (`flows/automations.py`), but not for ever."""

from datetime import UTC, datetime, timedelta

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterEndTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.runtime import deployment

from schemas.errors import InternalError

DEATHS, WITHIN = 5, timedelta(days=1)
"""So many runs of a deployment that died within such a time, and the next one fails, which a person is told of."""


def refuse_after_deaths() -> None:
    """Raises InternalError in a run whose deployment's runs died too often: what kills them is likely to kill this one.

    A run that fails is not begun anew; on its schedule the next one is tried, and runs once the deaths are a day old. A flow that is
    run by a command has no deployment, and is never refused.
    """
    if not deployment.id:
        return
    died = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.CRASHED])),
        end_time=FlowRunFilterEndTime.model_validate({"after_": datetime.now(UTC) - WITHIN}),
    )
    own = DeploymentFilter(id=DeploymentFilterId(any_=[deployment.id]))
    with get_client(sync_client=True) as client:
        if len(client.read_flow_runs(flow_run_filter=died, deployment_filter=own, limit=DEATHS)) < DEATHS:
            return
    raise InternalError(
        f"{DEATHS} runs of this deployment died within a day, so this one does nothing.",
        "See docs/guides/runbook.md (2, memory; 10), then run the command by hand: `commons ingest`, `commons purge --due`.",
    )
