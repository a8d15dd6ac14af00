"""A run that died is begun anew, but not for ever: on a real Prefect server, with runs of a deployment that died."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Completed, Crashed, State
from prefect_server import prefect_server

from flows import deaths
from flows.deaths import DEATHS, refuse_after_deaths
from flows.pool import Pool
from flows.retention import retention
from schemas.errors import InternalError


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SyncPrefectClient]:
    with (
        prefect_server(tmp_path_factory.mktemp("prefect")) as api,
        temporary_settings({PREFECT_API_URL: api}),
        get_client(sync_client=True) as client,
    ):
        yield client


@pytest.fixture
def ended(client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch) -> "Ended":
    """This process counts as a run of a deployment, of which earlier runs can be made."""
    made = Ended(client)
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", str(made.deployment))
    return made


class Ended:
    """A deployment of its own, and runs of it that ended just now."""

    def __init__(self, client: SyncPrefectClient) -> None:
        self._client = client
        self._flow = client.create_flow(retention)
        self.deployment = client.create_deployment(self._flow, f"retention-{id(self)}")

    def with_state(self, state: State, times: int) -> None:
        for _ in range(times):
            run = self._client.create_flow_run_from_deployment(self.deployment)
            self._client.set_flow_run_state(run.id, state, force=True)


def test_after_too_many_deaths_the_next_run_fails_and_does_nothing(ended: Ended, pool: Pool) -> None:
    ended.with_state(Crashed(), DEATHS - 1)
    ended.with_state(Completed(), 2)
    refuse_after_deaths()
    ended.with_state(Crashed(), 1)
    with pytest.raises(InternalError, match="died within a day"):
        retention(str(pool.root))
    assert (pool.root / "logs" / "commons.jsonl").read_text().count('"retention_ended"') == 0


def test_old_deaths_and_those_of_other_deployments_do_not_count(
    ended: Ended, client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    Ended(client).with_state(Crashed(), DEATHS)
    refuse_after_deaths()
    ended.with_state(Crashed(), DEATHS)
    with pytest.raises(InternalError):
        refuse_after_deaths()
    monkeypatch.setattr(deaths, "WITHIN", timedelta(0))
    refuse_after_deaths()


def test_a_command_has_no_deployment_and_is_never_refused(client: SyncPrefectClient) -> None:
    Ended(client).with_state(Crashed(), DEATHS)
    refuse_after_deaths()
